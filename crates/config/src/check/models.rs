//! `[models.*]`: facts about models, laid over the catalog.

use super::providers::Providers;
use crate::raw::Section;
use crate::report::{Findings, shown};
use unfail_catalog::price::pico_usd_per_token;
use unfail_catalog::{Catalog, Model, Price};

/// Checks every model's table and adds it to the catalog.
pub(super) fn check(
    root: &Section,
    providers: &Providers,
    catalog: Catalog,
    findings: &mut Findings<'_>,
) -> Catalog {
    let sections = root.table("models").into_iter().flat_map(Section::tables);
    let models: Vec<_> =
        sections.filter_map(|section| model(section, providers, &catalog, findings)).collect();
    catalog.with(models)
}

fn model(
    section: &Section,
    providers: &Providers,
    catalog: &Catalog,
    findings: &mut Findings<'_>,
) -> Option<Model> {
    let Some((provider, id)) = section.name.split_once('/').filter(|(_, id)| !id.is_empty()) else {
        let hint = "write `[models.\"provider/model\"]`".to_owned();
        findings.problem(&section.place, "must be named `provider/model`", Some(hint));
        return None;
    };
    if !providers.is_known(provider) {
        let message = format!("there is no provider {}", shown(provider));
        findings.problem(&section.place, message, providers.nearest(provider));
        return None;
    }
    let mut model = catalog.get(provider, id).cloned().unwrap_or_default();
    (model.provider, model.id) = (provider.to_owned(), id.to_owned());
    let traits = &mut model.traits;
    traits.context = section.count("context").or(traits.context);
    traits.max_output = section.count("max_output").or(traits.max_output);
    traits.tools = section.flag("tools").or(traits.tools);
    traits.images = section.flag("images").or(traits.images);
    traits.json_schema = section.flag("json_schema").or(traits.json_schema);
    if let (Some(context), Some(output)) = (traits.context, traits.max_output)
        && output > context
    {
        let message = format!("an answer of {output} tokens does not fit into a window of {context}");
        findings.problem(&section.place_at("max_output"), message, None);
    }
    model.price = price(section, model.price, findings);
    Some(model)
}

/// The catalog's price under what the file says. A price the file states holds for prompts of any length, so it
/// ends the catalog's tiers.
fn price(section: &Section, known: Option<Price>, findings: &mut Findings<'_>) -> Option<Price> {
    let pico = |name: &str| section.number(name).and_then(pico_usd_per_token);
    let (input, output) = (pico("input_usd_per_mtok"), pico("output_usd_per_mtok"));
    let cached = pico("cached_input_usd_per_mtok");
    if input.is_none() && output.is_none() && cached.is_none() {
        return known;
    }
    let price = known.unwrap_or_default();
    let is_known = price != Price::default();
    let missing = match (input, output) {
        _ if is_known => None,
        (None, _) => Some("input_usd_per_mtok"),
        (_, None) => Some("output_usd_per_mtok"),
        _ => None,
    };
    if let Some(missing) = missing {
        findings.problem(&section.place, format!("a price needs `{missing}` too"), None);
        return None;
    }
    Some(Price {
        input: input.unwrap_or(price.input),
        output: output.unwrap_or(price.output),
        cached: cached.or(price.cached),
        cache_write: price.cache_write,
        tiers: Vec::new(),
    })
}
