//! What a caller's `model` becomes: a chain of targets.

use std::collections::HashMap;
use std::sync::Arc;
use unfail_config::{Config, Resolution, TargetRef};
use unfail_policy::breaker;

use crate::assemble::Workshop;
use crate::identify::{Caller, Callers};
use crate::target::Chain;

/// One version of the configuration, resolved: a request sees one from start to end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) callers: Callers,
    /// Chains of every route and of every known `provider/model` and bare model.
    chains: HashMap<String, Arc<Chain>>,
    names: Vec<Name>,
    workshop: Workshop,
}

/// A name a caller may use as `model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub id: String,
    /// `unfail` for routes, else the provider.
    pub owner: String,
}

/// Owner of routes.
const OWN: &str = "unfail";

impl Name {
    /// A route, which says nothing about the providers behind it.
    #[must_use]
    pub fn is_route(&self) -> bool {
        self.owner == OWN
    }
}

/// Why a request has no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// Nothing has this name.
    #[error("there is no route or model `{name}`{}{}", hint(near), choice(routes))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest names.
        near: Vec<String>,
        /// Routes the caller may use; empty where it is not to be told.
        routes: Vec<String>,
    },
    /// It names a provider, or a model of one, that the configuration does not use.
    #[error("`{name}` cannot be used: {why}")]
    Unused {
        /// The name asked for.
        name: String,
        /// Why, and what to do, in words for the operator.
        why: String,
    },
    /// A list of models without end.
    #[error("at most {FALLBACKS_MAX} further models can be named")]
    TooMany,
    /// The caller's key does not allow it.
    #[error("this key may not use `{name}`")]
    NotAllowed {
        /// The name asked for.
        name: String,
    },
}

fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", names.join(" or "))
}

/// Routes that are told; a longer list hides the one that was meant.
const ROUTES_TOLD: usize = 8;

fn choice(routes: &[String]) -> String {
    let told: Vec<String> = routes.iter().take(ROUTES_TOLD).map(|name| format!("`{name}`")).collect();
    match (told.len(), routes.len().saturating_sub(told.len())) {
        (0, _) => String::new(),
        (_, 0) => format!("; routes: {}", told.join(", ")),
        (_, more) => format!("; routes: {} and {more} more", told.join(", ")),
    }
}

/// Further models a request may name; more only hide which of them matters.
const FALLBACKS_MAX: usize = 16;
/// Longest name of a model: the longest known is half of it. Names are remembered, so they have an end.
const NAME_BYTES_MAX: usize = 200;
/// Characters of an impossible name that are repeated to the caller.
const NAME_SHOWN: usize = 60;

/// The name used when a caller names no model.
const AUTO: &str = "auto";

impl Snapshot {
    /// Resolves a whole configuration.
    ///
    /// # Errors
    /// The first thing that cannot be built, in words for the operator.
    pub(crate) fn new(
        config: Config,
        workshop: impl FnOnce(Config) -> Result<Workshop, String>,
    ) -> Result<Self, String> {
        let mut callers = Callers::open();
        for key in &config.callers {
            let routes = (!key.routes.is_empty()).then(|| key.routes.clone());
            callers.add(&key.secret, Caller { name: key.name.as_str().into(), routes });
        }
        let workshop = workshop(config)?;
        let config = workshop.config();
        let mut chains = HashMap::new();
        let mut names = Vec::new();
        for (name, route) in &config.routes {
            chains.insert(name.clone(), Arc::new(workshop.chain(name, route)?));
            names.push(Name { id: name.clone(), owner: OWN.to_owned() });
        }
        for model in config.catalog.models().filter(|model| config.provider(&model.provider).is_some()) {
            names.push(Name { id: model.name(), owner: model.provider.clone() });
            for name in [model.name(), model.id.clone()] {
                if let (false, Resolution::Direct(targets)) =
                    (chains.contains_key(&name), config.resolve(&name))
                {
                    let chain = Arc::new(workshop.chain(&name, &config.direct(targets))?);
                    chains.insert(name, chain);
                }
            }
        }
        Ok(Self { callers, chains, names, workshop })
    }

    /// Whether any request could be served.
    pub(crate) fn has_targets(&self) -> bool {
        self.chains.values().any(|chain| !chain.targets.is_empty())
    }

    /// When a target is left alone.
    pub(crate) fn breaker(&self, target: &TargetRef) -> breaker::Settings {
        self.workshop.config().breaker(target)
    }

    /// Names the caller may use.
    pub(crate) fn names(&self, caller: &Caller) -> Vec<Name> {
        self.names.iter().filter(|name| caller.may_use(&name.id)).cloned().collect()
    }

    /// The chain for `name`, followed by those for `fallbacks`.
    pub(crate) fn route<S: AsRef<str>>(
        &self,
        caller: &Caller,
        name: &str,
        fallbacks: &[S],
    ) -> Result<Arc<Chain>, Unroutable> {
        if fallbacks.len() > FALLBACKS_MAX {
            return Err(Unroutable::TooMany);
        }
        let first = self.one(caller, if name.is_empty() { AUTO } else { name })?;
        if fallbacks.is_empty() {
            return Ok(first);
        }
        let mut chains = vec![first];
        for fallback in fallbacks {
            chains.push(self.one(caller, fallback.as_ref())?);
        }
        Ok(Arc::new(Chain::joined(&chains)))
    }

    fn one(&self, caller: &Caller, name: &str) -> Result<Arc<Chain>, Unroutable> {
        if name.len() > NAME_BYTES_MAX || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let name = name.chars().take(NAME_SHOWN).collect();
            return Err(self.unknown(caller, name, Vec::new()));
        }
        if !caller.may_use(name) {
            return Err(Unroutable::NotAllowed { name: name.to_owned() });
        }
        if let Some(chain) = self.chains.get(name) {
            return Ok(chain.clone());
        }
        let near = match self.workshop.config().resolve(name) {
            Resolution::NotFound { near } => near,
            Resolution::Unused { why } => return Err(Unroutable::Unused { name: name.to_owned(), why }),
            Resolution::Route(route) => return self.made(caller, name, route),
            Resolution::Direct(targets) => {
                return self.made(caller, name, &self.workshop.config().direct(targets));
            }
        };
        Err(self.unknown(caller, name.to_owned(), near))
    }

    fn unknown(&self, caller: &Caller, name: String, near: Vec<String>) -> Unroutable {
        let routes = self.names.iter().filter(|name| name.is_route() && caller.may_use(&name.id));
        Unroutable::Unknown { name, near, routes: routes.map(|name| name.id.clone()).collect() }
    }

    /// A chain over a model the catalog does not know: built for this request.
    fn made(
        &self,
        caller: &Caller,
        name: &str,
        route: &unfail_config::Route,
    ) -> Result<Arc<Chain>, Unroutable> {
        let chain = self.workshop.chain(name, route);
        chain.map(Arc::new).map_err(|_| self.unknown(caller, name.to_owned(), Vec::new()))
    }
}
