//! A request on its way through the engine.

use http::HeaderValue;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use unfail_policy::time::Time;
use unfail_wire::chat::{ChatRequest, Format};
use unfail_wire::format::{Inbound, Refusal};
use unfail_wire::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use unfail_wire::{Dialect, chat};

use crate::identify::Caller;
use crate::target::Chain;
use crate::validate::Demand;

/// A request that has been identified and routed.
#[derive(Debug)]
pub struct Call<'a> {
    /// Who asks, and the terms.
    pub errand: Errand,
    /// Targets it may use, in order.
    pub chain: Arc<Chain>,
    /// What is asked.
    pub ask: Ask<'a>,
}

/// Who asks, and the terms.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Request id.
    pub id: Arc<str>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// End user as the caller named them.
    pub user: Option<String>,
    /// Agent or program that asks, as the caller named it; for the log.
    pub agent: Option<String>,
    /// How urgent the caller says it is; for the log.
    pub priority: Option<Priority>,
    /// Dialect of the caller, for the log.
    pub dialect: &'static str,
    /// When the request began.
    pub started: Time,
    /// The caller's own deadline, counted from `started`; the route's applies where it is sooner.
    pub deadline: Option<Duration>,
    /// What [`crate::via::onward`] says of a request that comes from another gateway.
    pub via: Option<HeaderValue>,
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the answer.
    Interactive,
    /// Neither of the others.
    Default,
    /// Nobody waits; it may take long.
    Batch,
}

impl Priority {
    /// The priority called `word`: `interactive`, `default` or `batch`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "interactive" => Some(Self::Interactive),
            "default" => Some(Self::Default),
            "batch" => Some(Self::Batch),
            _ => None,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Default => "default",
            Self::Batch => "batch",
        }
    }
}

/// What is asked, and in whose words.
pub enum Ask<'a> {
    /// A body in a caller's dialect: passed through where the target speaks the same.
    Spoken {
        /// The dialect.
        dialect: &'static dyn Dialect,
        /// The body.
        inbound: Inbound<'a>,
        /// What the scan found.
        outline: &'a Outline<'a>,
        /// The caller may have a provider's own bytes, where they are in this dialect.
        open: bool,
    },
    /// A request of the library.
    Hub {
        /// The request.
        request: &'a ChatRequest,
        /// What the answer must be, beyond what the route demands.
        demand: Option<Demand>,
    },
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spoken { dialect, .. } => f.debug_tuple("Spoken").field(&dialect.name()).finish(),
            Self::Hub { .. } => f.write_str("Hub"),
        }
    }
}

impl Ask<'_> {
    /// What a target must be able to do.
    pub(crate) fn needs(&self) -> Needs {
        match self {
            Self::Spoken { outline, .. } => outline.needs,
            Self::Hub { request, .. } => needs(request),
        }
    }

    /// The answer is wanted as a stream.
    pub(crate) fn stream(&self) -> bool {
        match self {
            Self::Spoken { outline, .. } => outline.stream,
            Self::Hub { request, .. } => request.stream,
        }
    }
}

/// The request in the hub, read at most once and only if a target needs it.
pub(crate) struct Translation<'a> {
    ask: &'a Ask<'a>,
    parsed: OnceLock<Result<ChatRequest, Refusal>>,
}

impl<'a> Translation<'a> {
    pub(crate) fn new(ask: &'a Ask<'a>) -> Self {
        Self { ask, parsed: OnceLock::new() }
    }

    pub(crate) fn request(&self) -> Result<&ChatRequest, Refusal> {
        match self.ask {
            Ask::Hub { request, .. } => Ok(request),
            Ask::Spoken { dialect, inbound, .. } => {
                self.parsed.get_or_init(|| dialect.parse(*inbound)).as_ref().map_err(Clone::clone)
            }
        }
    }
}

/// What a target must be able to do to serve a hub request.
fn needs(request: &ChatRequest) -> Needs {
    let mut needs = Needs {
        max_output_tokens: request.output.max_tokens,
        tools: !request.tools.tools.is_empty(),
        forced_tool: matches!(
            request.tools.choice,
            Some(chat::ToolChoice::Required | chat::ToolChoice::Named(_))
        ),
        json_schema: matches!(request.output.format, Format::JsonSchema(_)),
        many_choices: request.output.choices.is_some_and(|count| count > 1),
        messages: request.messages.len(),
        ..Needs::default()
    };
    let (mut bytes, mut media) = (0_usize, 0_u64);
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        weigh(part, &mut needs, &mut bytes, &mut media);
    }
    needs.input_tokens = estimate_tokens(bytes) + media * MEDIA_TOKENS;
    needs
}

fn weigh(part: &chat::Part, needs: &mut Needs, bytes: &mut usize, media: &mut u64) {
    match part {
        chat::Part::Text(text) | chat::Part::Refusal(text) => *bytes += text.len(),
        chat::Part::Thinking(thinking) => *bytes += thinking.text.len(),
        chat::Part::Image(_) => (needs.images, *media) = (true, *media + 1),
        chat::Part::Audio(_) => (needs.audio, *media) = (true, *media + 1),
        chat::Part::File(_) => (needs.files, *media) = (true, *media + 1),
        chat::Part::ToolCall(call) => {
            needs.tools = true;
            *bytes += call.name.len() + call.arguments.len();
        }
        chat::Part::ToolResult(result) => {
            needs.tools = true;
            for part in &result.content {
                weigh(part, needs, bytes, media);
            }
        }
    }
}
