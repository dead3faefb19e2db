//! The models: what `models.toml` says, plus what configuration adds. Lookup only; choosing is policy's.

use crate::price::{Price, Tier, pico_usd_per_token};
use serde::Deserialize;
use std::collections::BTreeMap;
use unfail_wire::chat::Effort;
use unfail_wire::target::{ReasoningControl, Traits};

/// The models shipped with this version.
const EMBEDDED: &str = include_str!("models.toml");

/// One model of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// Id of its provider.
    pub provider: String,
    /// Name as the provider knows it; may contain slashes.
    pub id: String,
    /// What it can do.
    pub traits: Traits,
    /// What it costs; `None` is unknown, not free.
    pub price: Option<Price>,
    /// Last announced day of service, `YYYY-MM-DD`.
    pub retires: Option<String>,
}

impl Model {
    /// `provider/model`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider, self.id)
    }
}

/// Why the embedded list could not be read; a test proves that it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the built-in list of models is broken: {0}")]
pub struct CatalogError(String);

/// Every known model, by provider and id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    models: BTreeMap<String, BTreeMap<String, Model>>,
}

impl Catalog {
    /// The models shipped with this version. Parsed at each call, in about a millisecond.
    ///
    /// # Errors
    /// When the embedded list is broken.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::parse(EMBEDDED)
    }

    fn parse(text: &str) -> Result<Self, CatalogError> {
        let rows: BTreeMap<String, BTreeMap<String, Row>> =
            toml::from_str(text).map_err(|error| CatalogError(error.to_string()))?;
        let mut catalog = Self::default();
        for (provider, rows) in rows {
            for (id, row) in rows {
                let model = row
                    .into_model(&provider, &id)
                    .map_err(|what| CatalogError(format!("{provider}/{id}: {what}")))?;
                catalog.insert(model);
            }
        }
        Ok(catalog)
    }

    /// These models too; one that is already there is replaced.
    #[must_use]
    pub fn with(mut self, models: impl IntoIterator<Item = Model>) -> Self {
        for model in models {
            self.insert(model);
        }
        self
    }

    fn insert(&mut self, model: Model) {
        self.models.entry(model.provider.clone()).or_default().insert(model.id.clone(), model);
    }

    /// The model `id` of `provider`.
    #[must_use]
    pub fn get(&self, provider: &str, id: &str) -> Option<&Model> {
        self.models.get(provider)?.get(id)
    }

    /// The model named `provider/model`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Model> {
        let (provider, id) = name.split_once('/')?;
        self.get(provider, id)
    }

    /// Every provider's model of this very id, by provider.
    pub fn find_bare<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Model> {
        self.models.values().filter_map(move |models| models.get(id))
    }

    /// The models of one provider, by id.
    pub fn models_of(&self, provider: &str) -> impl Iterator<Item = &Model> {
        self.models.get(provider).into_iter().flat_map(BTreeMap::values)
    }

    /// Every model, by provider and id.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values().flat_map(BTreeMap::values)
    }
}

/// A model as `models.toml` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    context: Option<u64>,
    max_input: Option<u64>,
    max_output: Option<u64>,
    #[serde(default)]
    can: Vec<Ability>,
    #[serde(default)]
    cannot: Vec<Ability>,
    reasoning: Option<Reasoning>,
    #[serde(default)]
    tools_without_reasoning: bool,
    usd_per_mtok: Option<Usd>,
    #[serde(default)]
    tiers: Vec<TierUsd>,
    retires: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Ability {
    Tools,
    ForcedTool,
    JsonSchema,
    Images,
    Audio,
    Files,
    Sampling,
    Prefill,
    Reasoning,
}

/// Exactly one of the first three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasoning {
    effort: Option<(Strength, Strength)>,
    budget: Option<(u64, u64)>,
    #[serde(default)]
    adaptive: bool,
    #[serde(default)]
    can_disable: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Strength {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usd {
    input: f64,
    output: f64,
    cached: Option<f64>,
    cache_write: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierUsd {
    above: u64,
    input: f64,
    output: f64,
    cached: Option<f64>,
}

impl Row {
    fn into_model(self, provider: &str, id: &str) -> Result<Model, String> {
        if let Some(both) = self.can.iter().find(|ability| self.cannot.contains(ability)) {
            return Err(format!("`{}` is both in `can` and `cannot`", both.name()));
        }
        let ability = |which: Ability| {
            self.can
                .contains(&which)
                .then_some(true)
                .or_else(|| self.cannot.contains(&which).then_some(false))
        };
        let traits = Traits {
            context: self.context,
            max_input: self.max_input,
            max_output: self.max_output,
            tools: ability(Ability::Tools),
            forced_tool: ability(Ability::ForcedTool),
            json_schema: ability(Ability::JsonSchema),
            images: ability(Ability::Images),
            audio: ability(Ability::Audio),
            files: ability(Ability::Files),
            sampling: ability(Ability::Sampling),
            prefill: ability(Ability::Prefill),
            reasoning: match (self.reasoning, ability(Ability::Reasoning)) {
                (Some(reasoning), None) => reasoning.control()?,
                (None, Some(false)) => ReasoningControl::None,
                (None, None) => ReasoningControl::Unknown,
                _ => return Err("`reasoning` stands in `cannot` or says how it is controlled".to_owned()),
            },
            tools_without_reasoning: self.tools_without_reasoning,
        };
        let price = self.usd_per_mtok.map(|usd| usd.price(&self.tiers)).transpose()?;
        let (provider, id) = (provider.to_owned(), id.to_owned());
        Ok(Model { provider, id, traits, price, retires: self.retires })
    }
}

impl Ability {
    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ForcedTool => "forced_tool",
            Self::JsonSchema => "json_schema",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Files => "files",
            Self::Sampling => "sampling",
            Self::Prefill => "prefill",
            Self::Reasoning => "reasoning",
        }
    }
}

impl Reasoning {
    fn control(self) -> Result<ReasoningControl, String> {
        let can_disable = self.can_disable;
        match (self.effort, self.budget, self.adaptive) {
            (Some((least, most)), None, false) => {
                Ok(ReasoningControl::Effort { least: least.effort(), most: most.effort() })
            }
            (None, Some((min, max)), false) if min <= max => {
                Ok(ReasoningControl::Budget { min, max, can_disable })
            }
            (None, None, true) => Ok(ReasoningControl::Adaptive { can_disable }),
            _ => Err("`reasoning` must be one of `effort`, `budget` (rising) and `adaptive`".to_owned()),
        }
    }
}

impl Strength {
    fn effort(self) -> Effort {
        match self {
            Self::None => Effort::None,
            Self::Minimal => Effort::Minimal,
            Self::Low => Effort::Low,
            Self::Medium => Effort::Medium,
            Self::High => Effort::High,
            Self::XHigh => Effort::XHigh,
            Self::Max => Effort::Max,
        }
    }
}

impl Usd {
    fn price(&self, tiers: &[TierUsd]) -> Result<Price, String> {
        if !tiers.is_sorted_by(|a, b| a.above < b.above) {
            return Err("`tiers` must rise".to_owned());
        }
        let tiers = tiers.iter().map(|tier| {
            Ok(Tier {
                above: tier.above,
                input: pico(tier.input)?,
                output: pico(tier.output)?,
                cached: tier.cached.map(pico).transpose()?,
            })
        });
        Ok(Price {
            input: pico(self.input)?,
            output: pico(self.output)?,
            cached: self.cached.map(pico).transpose()?,
            cache_write: self.cache_write.map(pico).transpose()?,
            tiers: tiers.collect::<Result<_, String>>()?,
        })
    }
}

fn pico(usd_per_mtok: f64) -> Result<u64, String> {
    pico_usd_per_token(usd_per_mtok).ok_or_else(|| format!("`{usd_per_mtok}` is not a price"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::provider;
    use proptest::prelude::*;
    use std::sync::LazyLock;
    use unfail_wire::chat::Usage;

    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

    #[test]
    fn every_model_is_whole() {
        assert!(CATALOG.models().count() >= 80);
        for model in CATALOG.models() {
            let name = model.name();
            let traits = &model.traits;
            assert!(provider(&model.provider).is_some(), "{name} has no provider");
            assert!(model.price.is_some(), "{name} has no price");
            let context = traits.context.unwrap();
            assert!(traits.max_input.is_none_or(|max| max < context), "{name}");
            assert!(traits.max_output.is_some_and(|max| max <= context), "{name}");
            assert!(traits.forced_tool != Some(true) || traits.tools == Some(true), "{name}");
            assert!(model.retires.as_ref().is_none_or(|day| is_day(day)), "{name}");
            if traits.tools_without_reasoning {
                let off = matches!(traits.reasoning, ReasoningControl::Effort { least: Effort::None, .. });
                assert!(off && traits.tools == Some(true), "{name} could never use functions");
            }
        }
    }

    fn is_day(text: &str) -> bool {
        let parts: Vec<_> = text.split('-').map(|part| (part.len(), part.parse::<u16>())).collect();
        matches!(parts[..], [(4, Ok(2026..)), (2, Ok(1..=12)), (2, Ok(1..=31))])
    }

    #[test]
    fn every_line_of_the_list_is_a_model() {
        let headings = EMBEDDED.lines().filter(|line| line.starts_with('[')).count();
        assert_eq!(headings, CATALOG.models().count());
    }

    #[test]
    fn facts_are_read() {
        let table = [
            ("anthropic/claude-haiku-5-5", 1_000_000, Some(true), "0.0006"),
            ("anthropic/claude-sonnet-5-5", 1_000_000, Some(false), "0.012"),
            ("openai/gpt-6-luna", 1_050_000, Some(true), "0.0006"),
            ("groq/openai/gpt-oss-20b", 131_072, Some(true), "0.000375"),
            ("together/Qwen/Qwen3.8-2.4T-A95B", 1_010_000, None, "0.008"),
        ];
        for (name, context, forced_tool, cost) in table {
            let model = CATALOG.find(name).unwrap();
            assert_eq!(model.name(), name);
            assert_eq!(model.traits.context, Some(context), "{name}");
            assert_eq!(model.traits.forced_tool, forced_tool, "{name}");
            let usage = Usage { input: 1_000, output: 1_000, ..Usage::default() };
            assert_eq!(model.price.as_ref().unwrap().cost(&usage).to_string(), cost, "{name}");
        }
    }

    #[test]
    fn reasoning_is_controlled_in_its_own_way() {
        let table = [
            ("openai/gpt-5-mini", ReasoningControl::Effort { least: Effort::Minimal, most: Effort::High }),
            ("openai/gpt-4o", ReasoningControl::None),
            ("mistral/codestral-latest", ReasoningControl::None),
            ("xai/grok-4.20", ReasoningControl::Unknown),
            (
                "anthropic/claude-haiku-4-5",
                ReasoningControl::Budget { min: 1_024, max: 63_999, can_disable: true },
            ),
            ("anthropic/claude-opus-5", ReasoningControl::Adaptive { can_disable: true }),
            ("anthropic/claude-opus-5-5", ReasoningControl::Adaptive { can_disable: false }),
            ("gemini/gemini-2.5-pro", ReasoningControl::Budget { min: 128, max: 32_768, can_disable: false }),
            ("gemini/gemini-3.8-flash", ReasoningControl::Effort { least: Effort::Low, most: Effort::High }),
        ];
        for (name, expected) in table {
            assert_eq!(CATALOG.find(name).unwrap().traits.reasoning, expected, "{name}");
        }
        assert_eq!(Model::default().traits.reasoning, ReasoningControl::Unknown, "a model nobody knows");
    }

    #[test]
    fn bare_ids_find_every_provider() {
        let providers = |id| CATALOG.find_bare(id).map(|m| m.provider.as_str()).collect::<Vec<_>>();
        assert_eq!(providers("openai/gpt-oss-120b"), ["groq", "together"]);
        assert_eq!(providers("claude-haiku-5-5"), ["anthropic"]);
        assert!(providers("gpt-oss").is_empty());
        assert_eq!(CATALOG.find("claude-haiku-5-5"), None);
    }

    #[test]
    fn additions_replace() {
        let own = Model { provider: "groq".into(), id: "openai/gpt-oss-20b".into(), ..Model::default() };
        let new = Model { provider: "in-house".into(), id: "a/b/c".into(), ..Model::default() };
        let catalog = CATALOG.clone().with([own.clone(), new.clone()]);
        assert_eq!(catalog.find("groq/openai/gpt-oss-20b"), Some(&own));
        assert_eq!(catalog.find("in-house/a/b/c"), Some(&new));
        assert_eq!(catalog.models().count(), CATALOG.models().count() + 1);
    }

    #[test]
    fn broken_lists_say_where() {
        let table = [
            ("[p.m]\ncan = ['tools']\ncannot = ['tools']", "p/m: `tools` is both in `can` and `cannot`"),
            ("[p.m]\nusd_per_mtok = { input = -1.0, output = 1.0 }", "p/m: `-1` is not a price"),
            (
                "[p.m]\ncan = ['reasoning']",
                "p/m: `reasoning` stands in `cannot` or says how it is controlled",
            ),
            (
                "[p.m]\ncannot = ['reasoning']\nreasoning = { adaptive = true }",
                "p/m: `reasoning` stands in `cannot` or says how it is controlled",
            ),
            (
                "[p.m]\nreasoning = { adaptive = true, budget = [1, 2] }",
                "p/m: `reasoning` must be one of `effort`, `budget` (rising) and `adaptive`",
            ),
            (
                "[p.m]\nusd_per_mtok = { input = 1.0, output = 1.0 }\n\
                 tiers = [{ above = 2, input = 1.0, output = 1.0 }, { above = 2, input = 1.0, output = 1.0 }]",
                "p/m: `tiers` must rise",
            ),
            ("[p.m]\ncontex = 1", "unknown field `contex`"),
        ];
        for (text, expected) in table {
            let error = Catalog::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_model_gets_cheaper_with_more_tokens(
            input in 0_u64..600_000,
            cached in 0_u64..300_000,
            output in 0_u64..300_000,
            more in 0_u64..300_000,
        ) {
            for model in CATALOG.models() {
                let price = model.price.as_ref().unwrap();
                let at = |input: u64, cache_read: u64, output: u64| {
                    let input = input + cache_read;
                    price.cost(&Usage { input, cache_read, output, ..Usage::default() })
                };
                let cost = at(input, cached, output);
                prop_assert!(at(input + more, cached, output) >= cost, "{}", model.name());
                prop_assert!(at(input, cached + more, output) >= cost, "{}", model.name());
                prop_assert!(at(input, cached, output + more) >= cost, "{}", model.name());
            }
        }
    }
}
