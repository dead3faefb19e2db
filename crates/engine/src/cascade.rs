//! The cascade as a library: a list of targets in order of priority, an answer from the first that gives one.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use unfail_engine::Cascade;
//!
//! let cascade = Cascade::builder()
//!     .target("anthropic", "claude-haiku-5-5")
//!     .target("gemini", "gemini-3.5-flash")
//!     .build()?; // keys from ANTHROPIC_API_KEY and GEMINI_API_KEY
//! let answer = cascade.text("Why is the sky blue?").await?;
//! println!("{} (by {})", answer.value, answer.target);
//! # Ok(())
//! # }
//! ```
//!
//! Only faults of providers cascade. A fault of the caller (a wrong schema, a request no provider accepts) comes
//! back at once; when every target failed, the last provider error comes back with everything that was tried.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use unfail_policy::attempt::Rules;
use unfail_wire::ChatRequest;
use unfail_wire::chat::{self, Format, Message, Part, Role, Usage};

use crate::answer::{Answer, AnswerStream, Content, Head};
use crate::call::{Ask, Call, Errand};
use crate::embed::{Given, Host};
use crate::engine::Engine;
use crate::failure::{Failure, Trail};
use crate::identify::Caller;
use crate::target::Chain;
use crate::validate::{Demand, Schema, text_of};
use crate::world::request_id;

/// A chain of targets that answers requests.
#[derive(Debug, Clone)]
pub struct Cascade {
    engine: Arc<Engine>,
    chain: Arc<Chain>,
}

/// Collects targets and terms.
#[derive(Debug, Clone, Default)]
pub struct CascadeBuilder {
    targets: Vec<(String, String)>,
    keys: BTreeMap<String, SecretString>,
    hosts: BTreeMap<String, Host>,
    rules: Rules,
}

/// An answer and how it was found.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// Target that gave it, `provider/model`.
    pub target: Arc<str>,
    /// Tokens used by that call, when the provider told.
    pub usage: Option<Usage>,
    /// Cost of that call in USD, when its price is known.
    pub cost_usd: Option<f64>,
    /// Everything that was tried.
    pub trail: Arc<Trail>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CascadeError {
    /// The cascade cannot be built: the text says what is wrong with which target.
    #[error("{0}")]
    Build(String),
    /// The schema asked for is not usable.
    #[error("the schema is not usable: {0}")]
    Schema(String),
    /// No target answered.
    #[error(transparent)]
    Failed(#[from] Box<Failure>),
}

impl CascadeError {
    /// Everything that was tried, when anything was.
    #[must_use]
    pub fn trail(&self) -> Option<&Trail> {
        match self {
            Self::Failed(failure) => Some(&failure.trail),
            Self::Build(_) | Self::Schema(_) => None,
        }
    }
}

impl CascadeBuilder {
    /// Adds the next target: a provider of the catalog, or of one's own ([`Self::wire`]), and a model as that provider
    /// names it.
    #[must_use]
    pub fn target(mut self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.targets.push((provider.into(), model.into()));
        self
    }

    /// Gives a provider's key instead of taking it from the environment.
    #[must_use]
    pub fn key(mut self, provider: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.keys.insert(provider.into(), key.into());
        self
    }

    /// Reaches a provider at another base URL. A provider the catalog does not know needs its [`Self::wire`] too.
    #[must_use]
    pub fn base_url(mut self, provider: impl Into<String>, url: impl Into<String>) -> Self {
        self.hosts.entry(provider.into()).or_default().base_url = Some(url.into());
        self
    }

    /// Names the wire a provider speaks: `openai-chat`, `anthropic` or `gemini`. With [`Self::base_url`] this makes a
    /// provider of one's own, under any name; it is asked without a key unless [`Self::key`] gives one.
    #[must_use]
    pub fn wire(mut self, provider: impl Into<String>, wire: impl Into<String>) -> Self {
        self.hosts.entry(provider.into()).or_default().wire = Some(wire.into());
        self
    }

    /// Trusts the certificates (PEM) in this file, and no others, where a provider is reached by `https`. The file is
    /// read once, by [`Self::build`].
    #[must_use]
    pub fn ca(mut self, provider: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        self.hosts.entry(provider.into()).or_default().ca = Some(file.into());
        self
    }

    /// Longest time for one answer, everything included (default 600 s).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.rules.deadline = deadline;
        self
    }

    /// All other limits at once; see [`Rules`].
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Builds the cascade. Keys that were not given are taken from the environment variables of the catalog.
    ///
    /// # Errors
    /// [`CascadeError::Build`] for no target, an unknown provider, a provider without a key (with the name of its
    /// variable), or certificates that cannot be used.
    pub fn build(self) -> Result<Cascade, CascadeError> {
        let Self { targets, keys, hosts, rules } = self;
        let given = Given { targets, keys, hosts, rules };
        let (engine, chain) = crate::embed::assemble(given).map_err(CascadeError::Build)?;
        Ok(Cascade { engine: Arc::new(engine), chain })
    }
}

impl Cascade {
    /// Starts a list of targets.
    #[must_use]
    pub fn builder() -> CascadeBuilder {
        CascadeBuilder::default()
    }

    /// A text answer to one prompt.
    ///
    /// # Errors
    /// [`CascadeError::Failed`] when no target answered.
    pub async fn text(&self, prompt: impl Into<String>) -> Result<Reply<String>, CascadeError> {
        let reply = self.ask(&prompt_of(prompt), None).await?;
        let text = reply.value.choices.first().map(|choice| text_of(&choice.parts)).unwrap_or_default();
        Ok(reply.with(text))
    }

    /// A JSON answer to one prompt. An answer that is no JSON counts as a provider fault: the next target is asked.
    ///
    /// # Errors
    /// [`CascadeError::Failed`] when no target answered with JSON.
    pub async fn json(&self, prompt: impl Into<String>) -> Result<Reply<Value>, CascadeError> {
        let mut request = prompt_of(prompt);
        request.output.format = Format::JsonObject;
        let reply = self.ask(&request, Some(Demand::Json)).await?;
        let value = value_of(&reply.value, &Demand::Json)?;
        Ok(reply.with(value))
    }

    /// A typed answer to one prompt, checked against the type's JSON Schema. An answer that does not match counts
    /// as a provider fault: the next target is asked.
    ///
    /// # Errors
    /// [`CascadeError::Schema`] for a type whose schema cannot be used, [`CascadeError::Failed`] when no target
    /// answered with a matching value.
    pub async fn typed<T: DeserializeOwned + JsonSchema>(
        &self,
        prompt: impl Into<String>,
    ) -> Result<Reply<T>, CascadeError> {
        let source =
            schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
        let source = Value::from(source);
        let schema = Schema::compile(source.clone()).map_err(|breach| CascadeError::Schema(breach.0))?;
        let mut request = prompt_of(prompt);
        request.output.format = Format::JsonSchema(chat::JsonSchema {
            name: schema_name(&T::schema_name()),
            description: None,
            schema: source,
            strict: None,
        });
        let demand = Demand::Schema(schema);
        let reply = self.ask(&request, Some(demand.clone())).await?;
        let value = value_of(&reply.value, &demand)?;
        let typed = serde_json::from_value(value).map_err(|error| {
            CascadeError::Schema(format!("the schema admits what the type does not: {error}"))
        })?;
        Ok(reply.with(typed))
    }

    /// Any chat request, not streamed.
    ///
    /// # Errors
    /// [`CascadeError::Failed`] when no target answered.
    pub async fn chat(&self, request: &ChatRequest) -> Result<Reply<chat::ChatResponse>, CascadeError> {
        self.ask(request, None).await
    }

    /// Any chat request, streamed: events as they arrive, after the first content of the winning target. Until then
    /// targets fall through as always; after it the stream is that target's to its end.
    ///
    /// ```no_run
    /// # async fn example(cascade: unfail_engine::Cascade) -> Result<(), Box<dyn std::error::Error>> {
    /// use unfail_wire::chat::{ChatRequest, Message, Part, Role};
    /// use unfail_wire::event::{Delta, Event};
    ///
    /// let message = Message { role: Role::User, parts: vec![Part::Text("Hello".into())], name: None };
    /// let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
    /// let (head, mut stream) = cascade.stream(&request).await?;
    /// println!("answered by {}", head.target);
    /// let mut events = Vec::new();
    /// while let Some(read) = stream.next(&mut events).await {
    ///     read?; // an error here: the answer broke off, and what came so far is all there is
    ///     for event in events.drain(..) {
    ///         if let Event::Delta { delta: Delta::Text(text), .. } = event {
    ///             print!("{text}");
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CascadeError::Failed`] when no target answered. A stream that breaks later ends in an error.
    pub async fn stream(&self, request: &ChatRequest) -> Result<(Head, AnswerStream), CascadeError> {
        let request = ChatRequest { stream: true, stream_usage: true, ..request.clone() };
        let Answer { head, content } = self.send(&request, None).await?;
        match content {
            Content::Stream(stream) => Ok((head, *stream)),
            Content::Whole { .. } | Content::Passed { .. } => {
                Err(CascadeError::Build("a streamed request was answered whole".to_owned()))
            }
        }
    }

    async fn ask(
        &self,
        request: &ChatRequest,
        demand: Option<Demand>,
    ) -> Result<Reply<chat::ChatResponse>, CascadeError> {
        let whole = ChatRequest { stream: false, ..request.clone() };
        let Answer { head, content } = self.send(&whole, demand).await?;
        let response = match content {
            Content::Whole { response, .. } => *response,
            Content::Stream(stream) => stream.collect().await?,
            Content::Passed { .. } => {
                return Err(CascadeError::Build("a request of the hub was answered in a dialect".to_owned()));
            }
        };
        Ok(Reply {
            usage: response.usage,
            value: response,
            target: head.target,
            cost_usd: head.cost_usd,
            trail: head.trail,
        })
    }

    async fn send(&self, request: &ChatRequest, demand: Option<Demand>) -> Result<Answer, Box<Failure>> {
        let world = self.engine.world();
        let errand = Errand {
            id: request_id(&mut world.random()).into(),
            caller: Arc::new(Caller { name: "library".into(), routes: None }),
            user: request.user.clone(),
            agent: None,
            priority: None,
            dialect: "library",
            started: world.now(),
            deadline: None,
            via: None,
        };
        let call = Call { errand, chain: self.chain.clone(), ask: Ask::Hub { request, demand } };
        self.engine.answer(call).await
    }
}

impl<T> Reply<T> {
    fn with<U>(self, value: U) -> Reply<U> {
        let Self { target, usage, cost_usd, trail, .. } = self;
        Reply { value, target, usage, cost_usd, trail }
    }
}

fn prompt_of(prompt: impl Into<String>) -> ChatRequest {
    let message = Message { role: Role::User, parts: vec![Part::Text(prompt.into())], name: None };
    ChatRequest { messages: vec![message], ..ChatRequest::default() }
}

/// The value in an answer that has been checked already.
fn value_of(response: &chat::ChatResponse, demand: &Demand) -> Result<Value, CascadeError> {
    let text = response.choices.first().map(|choice| text_of(&choice.parts)).unwrap_or_default();
    demand.read(&text).map_err(|breach| CascadeError::Schema(breach.0))
}

/// A type's name as the strictest wire accepts it: letters, digits, `_` and `-`, at most 64.
fn schema_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(64).collect()
}
