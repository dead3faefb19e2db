//! Builds the library's engine: the same configuration a file would give, written down and checked in memory.

use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unfail_config::{Config, Problem, Secrets};
use unfail_policy::attempt::Rules;

use crate::engine::Engine;
use crate::observe::Log;
use crate::target::Chain;
use crate::world::environment;

/// What a [`crate::CascadeBuilder`] collected.
pub(crate) struct Given {
    pub(crate) targets: Vec<(String, String)>,
    pub(crate) keys: BTreeMap<String, SecretString>,
    pub(crate) hosts: BTreeMap<String, Host>,
    pub(crate) rules: Rules,
}

/// Where and how a provider is reached, as far as it was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) wire: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) ca: Option<PathBuf>,
}

/// Name of the one route.
const ROUTE: &str = "cascade";
/// Prefix of the variable names under which given keys are looked up.
const KEY: &str = "UNFAIL_GIVEN_";
/// What such a key is called where people read of it.
const GIVEN: &str = "given";

/// # Errors
/// Every problem of the configuration, one a line.
pub(crate) fn assemble(given: Given) -> Result<(Engine, Arc<Chain>), String> {
    let text = written(&given);
    let (config, report) = unfail_config::load("cascade", text.as_bytes(), &given);
    let mut config: Config = config.ok_or_else(|| {
        let told = |problem: &Problem| match &problem.hint {
            Some(hint) => format!("{}: {}; {hint}", problem.key, problem.message),
            None => format!("{}: {}", problem.key, problem.message),
        };
        let problems: Vec<String> = report.problems.iter().map(told).collect();
        problems.join("\n")
    })?;
    for key in config.providers.iter_mut().flat_map(|provider| &mut provider.keys) {
        if key.name.contains(KEY) {
            GIVEN.clone_into(&mut key.name);
        }
    }
    if let Some(route) = config.routes.get_mut(ROUTE) {
        route.rules = given.rules.grown(0, route.chain.len());
    }
    let engine = Engine::new(config, Log::none()).map_err(|error| error.to_string())?;
    let library = crate::identify::Caller { name: "library".into(), routes: None };
    let chain = engine.route::<&str>(&library, ROUTE, &[]).map_err(|error| error.to_string())?;
    Ok((engine, chain))
}

/// The configuration file that says the same. Texts are quoted as JSON, which TOML's basic strings include.
fn written(given: &Given) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut file = String::new();
    let named: BTreeSet<&str> = given.targets.iter().map(|(provider, _)| provider.as_str()).collect();
    for (number, provider) in named.iter().enumerate() {
        let key = given.keys.contains_key(*provider).then(|| format!("keys = [\"env:{KEY}{number}\"]\n"));
        // Writing to a String cannot fail.
        let _ = write!(file, "[providers.{}]\n{}", quote(provider), key.unwrap_or_default());
        let host = given.hosts.get(*provider).cloned().unwrap_or_default();
        let ca = host.ca.map(|path| format!("file:{}", path.display()));
        for (name, value) in [("wire", host.wire), ("base_url", host.base_url), ("ca", ca)] {
            let _ = value.map(|value| writeln!(file, "{name} = {}", quote(&value)));
        }
    }
    let chain: Vec<String> =
        given.targets.iter().map(|(provider, model)| quote(&format!("{provider}/{model}"))).collect();
    let _ = write!(file, "[routes.{ROUTE}]\nchain = [{}]\n", chain.join(", "));
    file
}

impl Secrets for Given {
    fn env(&self, name: &str) -> Option<String> {
        let Some(number) = name.strip_prefix(KEY) else { return environment(name) };
        let named: BTreeSet<&str> = self.targets.iter().map(|(provider, _)| provider.as_str()).collect();
        let provider = named.into_iter().nth(number.parse().ok()?)?;
        self.keys.get(provider).map(|key| key.expose_secret().to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let given = self.hosts.values().any(|host| host.ca.as_deref() == Some(path));
        if given { std::fs::read_to_string(path) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}
