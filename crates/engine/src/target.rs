//! What an attempt is sent to: a provider, a model and a credential, resolved once when the configuration is read.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use unfail_catalog::{Auth, Price};
use unfail_policy::attempt::Rules;
use unfail_policy::plan::TargetFacts;
use unfail_wire::Wire;
use unfail_wire::target::{ErrorQuirk, JsonMode, Quirks, Target as Facts, Traits};

use crate::cells::Cells;
use crate::pool::Origin;
use crate::tls::Trust;
use crate::validate::Demand;

/// Output limit sent where one is needed, the caller gave none and the model's own is unknown.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// How a provider is spoken to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protocol {
    /// HTTP/2 where the server agrees to it; else HTTP/1.1 with keep-alive, which is the cheapest, and one stuck
    /// connection harms one request.
    pub(crate) http2: bool,
    /// Whom to trust, where that is not the system's affair.
    pub(crate) trust: Option<Trust>,
}

/// Where one provider is reached, shared by its targets.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) wire: &'static dyn Wire,
    pub(crate) origin: Origin,
    /// Path of the base URL, without a slash at the end.
    pub(crate) base_path: String,
    pub(crate) protocol: Protocol,
    pub(crate) quirks: Quirks,
    /// What this process is to the provider.
    pub(crate) via: HeaderValue,
}

impl Endpoint {
    /// Where it is: the base URL.
    pub(crate) fn place(&self) -> String {
        format!("{}{}", self.origin.name(), self.base_path)
    }

    /// The address of `path` as a request line of the endpoint's protocol has it.
    fn uri(&self, path: &str) -> Option<Uri> {
        if self.protocol.http2 { self.origin.with(path) } else { path.parse().ok() }
    }

    /// Headers that only depend on where a request goes.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // HTTP/2 has a field of its own for it.
        if !self.protocol.http2 {
            headers.insert(HOST, self.origin.host());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.wire.headers() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(VIA, self.via.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers
    }
}

/// A key for a provider.
pub(crate) struct Credential {
    /// Its number among all credentials.
    pub(crate) number: u32,
    /// What people call it: by its provider and where it came from.
    pub(crate) source: String,
    pub(crate) secret: Option<SecretString>,
    /// What every request carries: content type, authentication, what the wire demands.
    pub(crate) headers: HeaderMap,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Credential {
    /// The headers that carry `secret`, with those the endpoint always demands.
    ///
    /// # Errors
    /// When the secret has characters no header may have; the message does not show it.
    pub(crate) fn new(
        number: u32,
        source: String,
        auth: Auth,
        secret: Option<SecretString>,
        endpoint: &Endpoint,
    ) -> Result<Self, String> {
        let mut headers = endpoint.headers();
        if let Some(secret) = &secret {
            let (name, text) = match auth {
                Auth::Bearer => (AUTHORIZATION, format!("Bearer {}", secret.expose_secret())),
                Auth::Header(name) => (HeaderName::from_static(name), secret.expose_secret().to_owned()),
                Auth::None => return Ok(Self { number, source, secret: None, headers }),
            };
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| "the key has characters that a header cannot carry".to_owned())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { number, source, secret, headers })
    }
}

/// How unfail names itself to providers.
const AGENT: &str = concat!("unfail/", env!("CARGO_PKG_VERSION"));

/// What an attempt is sent to.
#[derive(Debug)]
pub(crate) struct Target {
    /// `provider/model`.
    pub(crate) label: Arc<str>,
    pub(crate) model: String,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) credential: Arc<Credential>,
    pub(crate) traits: Traits,
    pub(crate) price: Option<Price>,
    pub(crate) cells: Cells,
    /// The catalog knows the model.
    listed: bool,
    whole: Uri,
    stream: Uri,
}

/// The parts a target is made of.
pub(crate) struct TargetParts {
    pub(crate) label: Arc<str>,
    pub(crate) model: String,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) credential: Arc<Credential>,
    pub(crate) traits: Traits,
    pub(crate) price: Option<Price>,
    pub(crate) cells: Cells,
    pub(crate) listed: bool,
}

impl Target {
    /// # Errors
    /// When the model's name cannot stand in a URL the wire puts it in.
    pub(crate) fn new(parts: TargetParts) -> Result<Self, String> {
        let TargetParts { label, model, endpoint, credential, traits, price, cells, listed } = parts;
        let uri = |stream| {
            let path = format!("{}{}", endpoint.base_path, endpoint.wire.path(&model, stream));
            endpoint.uri(&path).ok_or_else(|| format!("`{label}` makes no valid URL"))
        };
        let (whole, stream) = (uri(false)?, uri(true)?);
        Ok(Self { label, model, endpoint, credential, traits, price, cells, listed, whole, stream })
    }

    pub(crate) fn wire(&self) -> &'static dyn Wire {
        self.endpoint.wire
    }

    pub(crate) fn error_quirk(&self) -> ErrorQuirk {
        self.endpoint.quirks.errors
    }

    /// What a renderer must know.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            model: &self.model,
            quirks: &self.endpoint.quirks,
            traits: &self.traits,
            default_max_tokens: self.default_max_tokens(),
        }
    }

    /// All the model can say, unless the provider's admission control charges for what is announced.
    fn default_max_tokens(&self) -> u64 {
        let most = self.traits.max_output.unwrap_or(DEFAULT_MAX_TOKENS);
        if self.endpoint.quirks.max_tokens_always { most.min(DEFAULT_MAX_TOKENS) } else { most }
    }

    /// What planning must know.
    fn plan_facts(&self) -> TargetFacts<'_> {
        TargetFacts {
            credential: self.credential.number,
            domain: self.cells.number(),
            traits: &self.traits,
            schema_by_prompt: self.endpoint.quirks.json_schema == JsonMode::Object,
            allowed: true,
        }
    }

    pub(crate) fn uri(&self, stream: bool) -> &Uri {
        if stream { &self.stream } else { &self.whole }
    }

    /// Headers of every request: authentication and what the wire demands. Nothing of the caller's, nothing of
    /// another target's.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.credential.headers
    }

    /// The model's name, when the catalog does not know it: any caller may have made it up.
    pub(crate) fn unlisted(&self) -> Option<&str> {
        (!self.listed && !self.model.is_empty()).then_some(self.model.as_str())
    }

    /// What must never be repeated to anybody.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.credential.secret.iter().map(|secret| secret.expose_secret()).collect()
    }
}

/// Ordered targets a request may use, and the terms.
#[derive(Debug)]
pub struct Chain {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) rules: Rules,
    pub(crate) demand: Option<Demand>,
    /// The most calls that an operator wrote down for any of its routes; callers who name further models do not get
    /// more.
    pub(crate) max_calls: Option<u32>,
}

impl Chain {
    /// What planning must know of each target.
    pub(crate) fn facts(&self) -> Vec<TargetFacts<'_>> {
        self.targets.iter().map(|target| target.plan_facts()).collect()
    }

    /// Name of the route, or of the model asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
