//! What a caller's `model` means.

use crate::config::{Config, Route, TargetRef};
use unfail_catalog::Provider;
use unfail_wire::nearest::nearest;

/// Names offered when nothing is found.
const OFFERED: usize = 3;

/// What a caller's `model` means.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution<'a> {
    /// A configured route, or `auto`.
    Route(&'a Route),
    /// Targets named directly; [`Config::direct`] puts them under the default rules.
    Direct(Vec<TargetRef>),
    /// Targets of providers the catalog knows and this configuration does not use.
    Unused {
        /// Why, and what to do, in words for the operator.
        why: String,
    },
    /// Nothing; these names are nearest.
    NotFound {
        /// Valid names, nearest first.
        near: Vec<String>,
    },
}

/// Why a provider of the catalog is not used, and what to do about it.
fn unused(row: &Provider) -> String {
    let id = row.id;
    match row.key_env {
        [] => format!("provider `{id}` is not set up: it needs no key, but a table `[providers.{id}]`"),
        variables => format!("provider `{id}` has no key: set {}", variables.join(" or ")),
    }
}

impl Config {
    /// What `model` means: a route; `provider/model`; `provider/*` for its default model; or a bare model id, which
    /// becomes a chain of every usable provider that serves it.
    ///
    /// `provider/model` with a model the catalog does not know is passed on as it is, unless the whole text is the
    /// id of a model that other usable providers are known to serve.
    #[must_use]
    pub fn resolve(&self, model: &str) -> Resolution<'_> {
        if let Some(route) = self.routes.get(model) {
            return Resolution::Route(route);
        }
        let named = self.named(model);
        if let Some(target) = &named
            && self.catalog.get(&target.provider, &target.model).is_some()
        {
            return Resolution::Direct(vec![target.clone()]);
        }
        let serving: Vec<_> = self
            .providers
            .iter()
            .filter(|provider| self.catalog.get(&provider.id, model).is_some())
            .map(|provider| TargetRef { provider: provider.id.clone(), model: model.to_owned() })
            .collect();
        if !serving.is_empty() {
            return Resolution::Direct(serving);
        }
        match named {
            Some(target) => Resolution::Direct(vec![target]),
            None => match self.unused(model) {
                whys if whys.is_empty() => Resolution::NotFound { near: self.near(model) },
                whys => Resolution::Unused { why: whys.join("; ") },
            },
        }
    }

    /// Why `provider/model`, or a bare model, leads to no provider that can be used; empty when the catalog knows
    /// neither.
    fn unused(&self, model: &str) -> Vec<String> {
        let row = model.split_once('/').and_then(|(id, _)| unfail_catalog::provider(id));
        if let Some(row) = row.filter(|row| self.provider(row.id).is_none()) {
            return vec![unused(row)];
        }
        let mut serving: Vec<&str> =
            self.catalog.find_bare(model).map(|model| model.provider.as_str()).collect();
        serving.dedup();
        serving.into_iter().filter_map(unfail_catalog::provider).map(unused).collect()
    }

    /// `provider/model` or `provider/*` of a usable provider.
    fn named(&self, model: &str) -> Option<TargetRef> {
        let (provider, model) = model.split_once('/')?;
        let provider = self.provider(provider)?;
        let model = match model {
            "" => return None,
            "*" => provider.default_model.clone()?,
            model => model.to_owned(),
        };
        Some(TargetRef { provider: provider.id.clone(), model })
    }

    fn near(&self, model: &str) -> Vec<String> {
        let usable = self.catalog.models().filter(|known| self.provider(&known.provider).is_some());
        let usable: Vec<_> = usable.collect();
        let names: Vec<_> = usable.iter().map(|known| known.name()).collect();
        let bare = usable.iter().map(|known| known.id.as_str());
        let candidates =
            self.routes.keys().map(String::as_str).chain(names.iter().map(String::as_str)).chain(bare);
        nearest(model, candidates, OFFERED).into_iter().map(str::to_owned).collect()
    }
}
