//! What a caller's `model` means.

use crate::config::{Config, Route, TargetRef};
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
    /// Nothing; these names are nearest.
    NotFound {
        /// Valid names, nearest first.
        near: Vec<String>,
    },
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
            None => Resolution::NotFound { near: self.near(model) },
        }
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
