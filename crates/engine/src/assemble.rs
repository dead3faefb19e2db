//! Builds targets and chains from a configuration: everything that can be known before the first request.

use http::Uri;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use unfail_config::{Config, ProviderConfig, Route, TargetRef};
use unfail_wire::Wire;
use unfail_wire::wires::wire;

use crate::cells::{CellRegistry, DomainNames};
use crate::pool::Origin;
use crate::target::{Chain, Credential, Endpoint, Protocol, Target, TargetParts};
use crate::tls::Trust;
use crate::validate::{Demand, Schema};
use crate::via;
use crate::world::World;

/// Makes chains under one configuration.
#[derive(Debug)]
pub(crate) struct Workshop {
    config: Config,
    providers: BTreeMap<String, Provider>,
    registry: Arc<CellRegistry>,
    world: World,
}

/// A provider, ready to be pointed at.
#[derive(Debug)]
struct Provider {
    endpoint: Arc<Endpoint>,
    credentials: Vec<Named>,
}

/// A credential, and what tells it from every other: a hash, so that another key under the same name is another
/// credential, and the same key under another name is not.
#[derive(Debug)]
struct Named {
    name: String,
    credential: Arc<Credential>,
}

impl Workshop {
    /// # Errors
    /// An unknown wire, an unusable base URL or key, in words for the operator.
    pub(crate) fn new(config: Config, registry: Arc<CellRegistry>, world: World) -> Result<Self, String> {
        let mut providers = BTreeMap::new();
        let mut number = 0;
        for row in &config.providers {
            let wire = wire(&row.wire)
                .ok_or_else(|| format!("`{}` speaks the unknown wire `{}`", row.id, row.wire))?;
            let endpoint = Arc::new(endpoint(row, wire, world)?);
            let mut credentials = Vec::new();
            for key in &row.keys {
                let source = format!("the key of `{}` (`{}`)", row.id, key.name);
                let secret = Some(key.secret.clone());
                let credential = Credential::new(number, source, row.auth, secret, &endpoint);
                let credential =
                    credential.map_err(|error| format!("{} of `{}`: {error}", key.name, row.id))?;
                let name = fingerprint(key.secret.expose_secret());
                credentials.push(Named { name, credential: Arc::new(credential) });
                number += 1;
            }
            if credentials.is_empty() {
                let source = format!("`{}`, which is asked without a key,", row.id);
                let credential = Arc::new(Credential::new(number, source, row.auth, None, &endpoint)?);
                credentials.push(Named { name: "none".to_owned(), credential });
                number += 1;
            }
            providers.insert(row.id.clone(), Provider { endpoint, credentials });
        }
        Ok(Self { config, providers, registry, world })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The chain of a route: each target once per credential, in order.
    ///
    /// # Errors
    /// A target or schema that cannot be used, in words for the operator.
    pub(crate) fn chain(&self, name: &str, route: &Route) -> Result<Chain, String> {
        let mut targets = Vec::new();
        for reference in &route.chain {
            let provider = self
                .providers
                .get(&reference.provider)
                .ok_or_else(|| format!("`{reference}` names a provider that cannot be used"))?;
            for credential in &provider.credentials {
                let target = self.target(reference, route, provider, credential)?;
                targets.push(Arc::new(target));
            }
        }
        let demand = match &route.schema {
            None => None,
            Some(source) => {
                let schema = Schema::compile(source.clone());
                Some(Demand::Schema(schema.map_err(|breach| format!("route `{name}`: {breach}"))?))
            }
        };
        // Each target of the chain means each of its credentials.
        let rules = route.rules.grown(route.chain.len(), targets.len());
        Ok(Chain { name: name.into(), targets, rules, demand, max_calls: route.max_calls })
    }

    fn target(
        &self,
        reference: &TargetRef,
        route: &Route,
        provider: &Provider,
        credential: &Named,
    ) -> Result<Target, String> {
        let label = reference.to_string();
        let known = self.config.catalog.get(&reference.provider, &reference.model);
        let mut traits = known.map(|model| model.traits.clone()).unwrap_or_default();
        if let Some(cap) = route.max_output_tokens {
            traits.max_output = Some(traits.max_output.map_or(cap, |most| most.min(cap)));
        }
        // At another address it is another account and another limit, whatever it is called.
        let place = provider.endpoint.place();
        let names = DomainNames {
            credential: format!("{place}\u{0}{}\u{0}{}", reference.provider, credential.name),
            limit: format!("{place}\u{0}{label}\u{0}{}", credential.name),
            breaker: reference.clone(),
        };
        Target::new(TargetParts {
            label: label.into(),
            model: reference.model.clone(),
            endpoint: provider.endpoint.clone(),
            credential: credential.credential.clone(),
            traits,
            price: known.and_then(|model| model.price.clone()),
            cells: self.registry.cells(&names, self.config.breaker(reference), self.world.now()),
            listed: known.is_some(),
        })
    }
}

fn fingerprint(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn endpoint(row: &ProviderConfig, wire: &'static dyn Wire, world: World) -> Result<Endpoint, String> {
    let wrong = |why: &str| format!("base URL of `{}`: {why}", row.id);
    let uri: Uri = row.base_url.parse().map_err(|_| wrong("not a URL"))?;
    let origin = Origin::of(&uri).ok_or_else(|| wrong("needs a scheme and a host"))?;
    let trust = row.ca.as_ref().map(|ca| {
        Trust::of(ca.pem.expose_secret()).map_err(|why| format!("`{}` of `{}` {why}", ca.name, row.id))
    });
    let trust = trust.transpose()?;
    Ok(Endpoint {
        wire,
        origin,
        base_path: uri.path().trim_end_matches('/').to_owned(),
        protocol: Protocol { http2: row.http2, trust },
        quirks: row.quirks,
        via: via::own(world),
    })
}

impl Chain {
    /// One chain after another, each target once; the terms of the first with room to call each target, and no more
    /// calls than was written for any route among them.
    pub(crate) fn joined(chains: &[Arc<Chain>]) -> Self {
        let mut targets: Vec<Arc<Target>> = Vec::new();
        for chain in chains {
            for target in &chain.targets {
                let known = targets.iter().any(|known| {
                    known.label == target.label && Arc::ptr_eq(&known.credential, &target.credential)
                });
                if !known {
                    targets.push(target.clone());
                }
            }
        }
        let first = chains.first();
        let rules = first.map(|chain| chain.rules.grown(chain.targets.len(), targets.len()));
        let mut rules = rules.unwrap_or_default();
        let written = chains.iter().filter_map(|chain| chain.max_calls).min();
        rules.max_calls = written.map_or(rules.max_calls, |most| most.min(rules.max_calls));
        Self {
            name: first.map_or_else(|| "".into(), |chain| chain.name.clone()),
            targets,
            rules,
            demand: first.and_then(|chain| chain.demand.clone()),
            max_calls: written,
        }
    }
}
