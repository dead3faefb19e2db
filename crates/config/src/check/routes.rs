//! `[routes.*]`: chains and rules, and route `auto` where none of that name is configured.

use super::providers::{Providers, how_to_give_a_key};
use super::unenforced;
use crate::config::{Route, TargetRef};
use crate::raw::{At, Section};
use crate::report::{Findings, Place, did_you_mean, shown};
use crate::secrets::{Secrets, unread};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use unfail_catalog::{AUTO_ORDER, Catalog};
use unfail_policy::attempt::{OnRefusal, Rules};
use unfail_policy::breaker;

/// The route that exists without being configured.
const AUTO: &str = "auto";

/// Name of the route that holds for targets a caller names itself.
const DIRECT: &str = "direct";

/// Most targets of a chain; longer ones only hide which target matters.
const LONGEST_CHAIN: usize = 16;

/// Checks every route. Returns them with `auto`, and the rules that hold where no route is named.
pub(super) fn check(
    root: &Section,
    providers: &Providers,
    catalog: &Catalog,
    secrets: &dyn Secrets,
    findings: &mut Findings<'_>,
) -> (BTreeMap<String, Route>, Route) {
    let none = Section::empty("routes.*", DIRECT, Place::default());
    let defaults = route(&none, Vec::new());
    let mut routes = BTreeMap::new();
    let mut unknown = Vec::new();
    for section in root.table("routes").into_iter().flat_map(Section::tables) {
        let mut checks = Checks { providers, catalog, unknown: &mut unknown, findings: &mut *findings };
        let chain = checks.chain(section);
        checks.rules(section);
        let mut route = route(section, chain);
        route.schema = schema(section, secrets, findings);
        routes.insert(section.name.clone(), route);
    }
    warn_about_unknown(&unknown, findings);
    let automatic = automatic_chain(providers);
    if !automatic.is_empty() && !routes.contains_key(AUTO) {
        routes.insert(AUTO.to_owned(), Route { name: AUTO.to_owned(), ..defaults.over(automatic) });
    }
    (routes, defaults)
}

/// Says once which models the catalog does not know, however many they are and wherever they stand.
fn warn_about_unknown(unknown: &[(String, Place)], findings: &mut Findings<'_>) {
    let Some((first, place)) = unknown.iter().min_by_key(|(_, place)| place.span.start) else { return };
    let more = unknown.len().saturating_sub(1);
    let message = match more {
        0 => format!("the catalog does not know {}: it is used without price and window", shown(first)),
        _ => format!(
            "the catalog does not know {} and {more} more: they are used without price and window",
            shown(first)
        ),
    };
    findings.warning(
        place,
        message,
        Some(format!("describe {} in `[models.{first:?}]`", if more == 0 { "it" } else { "each, as" })),
    );
}

/// The default models of the automatic order; where none of those providers can be used, of all others.
fn automatic_chain(providers: &Providers) -> Vec<TargetRef> {
    let targets = |automatic: bool| {
        let matching = move |id: &str| AUTO_ORDER.contains(&id) == automatic;
        let usable = providers.usable.iter().filter(move |provider| matching(&provider.id));
        let target = usable.filter_map(|provider| {
            provider.default_model.clone().map(|model| TargetRef { provider: provider.id.clone(), model })
        });
        target.collect::<Vec<_>>()
    };
    let first = targets(true);
    if first.is_empty() { targets(false) } else { first }
}

/// The route as the table says, without its schema.
fn route(section: &Section, chain: Vec<TargetRef>) -> Route {
    let rules = Rules {
        connect: section.duration("connect"),
        first_token: section.duration("first_token"),
        answer: section.duration("answer"),
        stall: section.duration("stall"),
        deadline: section.duration("deadline"),
        cooldown: section.duration("cooldown"),
        patience: section.duration("patience"),
        on_refusal: match section.text("on_refusal") {
            Some("next") => OnRefusal::Next,
            _ => OnRefusal::Stop,
        },
        ..Rules::default().retrying(section.small("retries"))
    };
    let empty = Route {
        name: section.name.clone(),
        chain: Vec::new(),
        rules,
        max_calls: section.count("max_calls").map(|_| section.small("max_calls")),
        breaker: breaker(section),
        schema: None,
        max_output_tokens: section.count("max_output_tokens"),
    };
    let mut route = empty.over(chain);
    if let Some(max_calls) = route.max_calls {
        route.rules.max_calls = max_calls;
    }
    route
}

fn breaker(route: &Section) -> breaker::Settings {
    let empty = Section::empty("routes.*.breaker", "breaker", Place::default());
    let section = route.table("breaker").unwrap_or(&empty);
    breaker::Settings {
        consecutive: section.small("consecutive"),
        error_rate: section.number("error_rate").unwrap_or(1.0),
        slow_rate: section.number("slow_rate").unwrap_or(1.0),
        window: section.duration("window"),
        open: section.duration("open"),
        open_max: section.duration("open_max"),
        probes: section.small("probes"),
        ramp: section.duration("ramp"),
        ..breaker::Settings::default()
    }
}

/// Loads the schema the table names.
fn schema(section: &Section, secrets: &dyn Secrets, findings: &mut Findings<'_>) -> Option<Value> {
    let path = section.text("schema")?;
    let place = section.place_at("schema");
    let text = match secrets.file(Path::new(path)) {
        Ok(text) => text,
        Err(error) => {
            findings.problem(&place, format!("{} cannot be read: {}", shown(path), unread(&error)), None);
            return None;
        }
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(schema) if schema.is_object() => Some(schema),
        Ok(_) => {
            findings.problem(&place, format!("{} is not a JSON schema: it is no object", shown(path)), None);
            None
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let message = format!("{} is not JSON (line {line}, column {column})", shown(path));
            findings.problem(&place, message, None);
            None
        }
    }
}

/// What the checks of one route need.
struct Checks<'a, 'f, 't> {
    providers: &'a Providers,
    catalog: &'a Catalog,
    /// Models no catalog and no name nearby explains, each once.
    unknown: &'f mut Vec<(String, Place)>,
    findings: &'f mut Findings<'t>,
}

impl Checks<'_, '_, '_> {
    /// The chain's valid targets.
    fn chain(&mut self, section: &Section) -> Vec<TargetRef> {
        let place = section.place_at("chain");
        let mut chain: Vec<TargetRef> = Vec::new();
        let Some(written) = section.texts("chain") else {
            if section.is_missing("chain") {
                self.findings.problem(&section.place, "`chain` is missing", None);
            }
            return chain;
        };
        match written.len() {
            0 if section.is_wrong("chain") => {}
            0 => self.findings.problem(&place, "is empty: name at least one target", None),
            1..=LONGEST_CHAIN => {}
            _ => self.findings.problem(&place, format!("has more than {LONGEST_CHAIN} targets"), None),
        }
        for text in written {
            let Some(target) = self.target(&text) else { continue };
            if chain.contains(&target) {
                let message = format!("{} stands in the chain twice", shown(&target.to_string()));
                self.findings.problem(&text.place, message, None);
            } else {
                chain.push(target);
            }
        }
        chain
    }

    /// One entry of a chain; `None` after a problem.
    fn target(&mut self, text: &At<&str>) -> Option<TargetRef> {
        let Some((id, model)) = text.value.split_once('/').filter(|(_, model)| !model.is_empty()) else {
            let message = format!("{} is not `provider/model`", shown(text.value));
            self.findings.problem(&text.place, message, self.whole_name(text.value));
            return None;
        };
        let Some(provider) = self.providers.get(id) else {
            self.unusable(id, text);
            return None;
        };
        let model = match (model, &provider.default_model) {
            ("*", Some(model)) => model.clone(),
            ("*", None) => {
                let message = format!("{} has no default model", shown(id));
                self.findings.problem(&text.place, message, Some("name the model".to_owned()));
                return None;
            }
            (model, _) => model.to_owned(),
        };
        let target = TargetRef { provider: id.to_owned(), model };
        self.warn_about_model(&target, text);
        Some(target)
    }

    /// Says why the provider of a target cannot be used; once, where its own table has said so already.
    fn unusable(&mut self, id: &str, text: &At<&str>) {
        if self.providers.is_declared(id) {
            return;
        }
        if self.providers.is_known(id) {
            let (why, hint) = match how_to_give_a_key(id) {
                Some(hint) => ("has no key", hint),
                None => ("is not set up", format!("add `[providers.{id}]`")),
            };
            self.findings.problem(&text.place, format!("provider {} {why}", shown(id)), Some(hint));
            return;
        }
        let hint = self.providers.nearest(id).or_else(|| self.whole_name(text.value));
        self.findings.problem(&text.place, format!("there is no provider {}", shown(id)), hint);
    }

    /// What to write instead of a bare model id or provider.
    fn whole_name(&self, text: &str) -> Option<String> {
        if self.providers.is_known(text) {
            return Some(format!("`{text}/*` is its default model"));
        }
        let serving = self.catalog.find_bare(text).map(unfail_catalog::Model::name).collect::<Vec<_>>();
        (!serving.is_empty()).then(|| format!("did you mean `{}`?", serving.join("` or `")))
    }

    fn warn_about_model(&mut self, target: &TargetRef, text: &At<&str>) {
        let name = target.to_string();
        match self.catalog.get(&target.provider, &target.model) {
            Some(model) => {
                if let Some(day) = &model.retires {
                    self.findings.warning(&text.place, format!("{} retires on {day}", shown(&name)), None);
                }
            }
            None => {
                let known: Vec<_> =
                    self.catalog.models_of(&target.provider).map(unfail_catalog::Model::name).collect();
                let hint = did_you_mean(&name, known.iter().map(String::as_str))
                    .or_else(|| self.whole_name(text.value));
                if hint.is_none() {
                    if self.unknown.iter().all(|(known, _)| *known != name) {
                        self.unknown.push((name, text.place.clone()));
                    }
                    return;
                }
                let message = format!(
                    "the catalog does not know {}: it is used without price and window",
                    shown(&name)
                );
                self.findings.warning(&text.place, message, hint);
            }
        }
    }

    /// What does not fit together, and what is not there yet.
    fn rules(&mut self, section: &Section) {
        let (deadline, first_token) = (section.duration("deadline"), section.duration("first_token"));
        if deadline < first_token {
            let message = format!("is shorter than `first_token` ({first_token:?}), which then never counts");
            self.findings.warning(&section.place_at("deadline"), message, None);
        }
        let breaker = breaker(section);
        if breaker.open > breaker.open_max {
            let place = section.table("breaker").map(|table| table.place_at("open")).unwrap_or_default();
            let message = format!("is longer than `open_max` ({:?})", breaker.open_max);
            self.findings.problem(&place, message, None);
        }
        if section.text("on_exhausted") == Some("queue") {
            let hint = Some("use `\"error\"`".to_owned());
            let place = section.place_at("on_exhausted");
            self.findings.problem(&place, "the durable queue does not exist in this version", hint);
        }
        unenforced::warn_key(section, "priority", self.findings);
        unenforced::warn_key(section, "patience", self.findings);
    }
}
