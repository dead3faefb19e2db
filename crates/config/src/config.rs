//! What a checked configuration means: only valid values, ready for the engine. No parsing, no problems.

use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use unfail_catalog::{Auth, Catalog};
use unfail_policy::attempt::Rules;
use unfail_policy::breaker;
use unfail_wire::target::Quirks;

/// Everything the configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerConfig,
    /// Providers that can be used, in the order route `auto` tries them: first those of the automatic order, then
    /// the rest of the catalog, then rows of the operator's own.
    pub providers: Vec<ProviderConfig>,
    /// Models, with what the configuration adds.
    pub catalog: Catalog,
    /// Routes by name. `auto` is among them whenever there is a provider to put into it.
    pub routes: BTreeMap<String, Route>,
    /// Caller keys kept in the file, by name.
    pub callers: Vec<CallerKey>,
    /// What holds where no route is named; its chain is empty.
    pub(crate) defaults: Route,
    /// Settings of breakers that are not the default ones, by target.
    pub(crate) breakers: BTreeMap<TargetRef, breaker::Settings>,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What callers may see.
    pub mode: Mode,
    /// Largest request body, in bytes.
    pub max_body: u64,
    /// Longest a caller may take to send its headers.
    pub header_timeout: Duration,
    /// Longest a caller may take to send its body.
    pub body_timeout: Duration,
    /// Longest that requests in flight may take once the server is told to stop.
    pub drain: Duration,
}

/// What callers may see of the providers behind a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Target, attempts and trail, in response headers and errors.
    Developer,
    /// Nothing but the request id.
    Product,
}

/// A provider that can be used.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Name in targets.
    pub id: String,
    /// Wire it speaks.
    pub wire: String,
    /// What the wire's paths are appended to: `http` or `https`, no slash at its end.
    pub base_url: String,
    /// Speak HTTP/2 where the host agrees to it.
    pub http2: bool,
    /// Whose certificates it is trusted by; `None`: those of the system's authorities.
    pub ca: Option<Authority>,
    /// Where the key goes; [`Auth::None`] exactly when `keys` is empty.
    pub auth: Auth,
    /// Its credentials, in the order they are used.
    pub keys: Vec<Credential>,
    /// How its version of the wire differs.
    pub quirks: Quirks,
    /// Model to use where only the provider is named.
    pub default_model: Option<String>,
}

/// Certificate authorities of the operator's own.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Where the certificates came from (`file:PATH`): fit for logs.
    pub name: String,
    /// The file: certificates in PEM. Whatever else it holds is not to be shown.
    pub pem: SecretString,
}

/// A secret and where it came from.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where it came from (`env:NAME`): fit for logs and metrics.
    pub name: String,
    /// The secret itself.
    pub secret: SecretString,
}

/// One target of a chain; the credential is chosen at each attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetRef {
    /// Id of a provider that can be used.
    pub provider: String,
    /// Model as the provider knows it.
    pub model: String,
}

/// `provider/model`.
impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// A named policy with a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name; `direct` where the caller named targets instead of a route.
    pub name: String,
    /// Targets in the order they are tried, none of them twice.
    pub chain: Vec<TargetRef>,
    /// How attempts are made.
    pub rules: Rules,
    /// `max_calls`, where somebody wrote it; else the rules have what the chain needs.
    pub max_calls: Option<u32>,
    /// When a target is to be left alone. Routes may differ about a target; [`Config::breaker`] says what holds.
    pub breaker: breaker::Settings,
    /// JSON schema every answer must match.
    pub schema: Option<Value>,
    /// Most tokens an answer may have.
    pub max_output_tokens: Option<u64>,
}

/// A caller key kept in the file.
#[derive(Debug, Clone)]
pub struct CallerKey {
    /// Its name.
    pub name: String,
    /// The key the caller sends.
    pub secret: SecretString,
    /// Routes it may use; empty means all, and targets named directly.
    pub routes: Vec<String>,
}

impl Config {
    /// The usable provider with this id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&ProviderConfig> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// When a target is left alone, whichever route a call comes by.
    #[must_use]
    pub fn breaker(&self, target: &TargetRef) -> breaker::Settings {
        self.breakers.get(target).copied().unwrap_or(self.defaults.breaker)
    }

    /// A route of default rules over targets a caller named itself.
    #[must_use]
    pub fn direct(&self, chain: Vec<TargetRef>) -> Route {
        self.defaults.over(chain)
    }
}

impl Route {
    /// The same rules over another chain, with room to call each of its targets once.
    pub(crate) fn over(&self, chain: Vec<TargetRef>) -> Self {
        Self { rules: self.rules.for_chain(chain.len()), chain, ..self.clone() }
    }
}
