//! The two traits a format implements: [`Dialect`] (a caller speaks it) and [`Wire`] (a provider speaks it).
//!
//! Most formats implement both on one type. The plain dialects have no wire; some vendors' wires will have no
//! dialect.

use crate::chat::{ChatRequest, ChatResponse, Choice, Finish, Part, Usage};
use crate::error_body::ErrorBody;
use crate::event::Event;
use crate::outline::Outline;
use crate::problem::Problem;
use crate::sse::Frame;
use crate::target::Target;
use bytes::Bytes;

pub use crate::refusal::{Invalid, Refusal, Unspeakable};

/// A request as it came in: the body, and what the URL said for formats that put it there.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// The whole body.
    pub body: &'a [u8],
    /// Model named in the path.
    pub path_model: Option<&'a str>,
    /// Streaming asked for in the path.
    pub path_stream: bool,
}

/// What a caller speaks.
pub trait Dialect: std::fmt::Debug + Send + Sync {
    /// Name in logs and in the conformance grid, e.g. `openai-chat`.
    fn name(&self) -> &'static str;

    /// The wire whose requests and answers are the same bytes, if there is one.
    fn same_wire(&self) -> Option<&'static str>;

    /// One borrowed scan: is it well-formed, what does it need. The whole body is validated here.
    ///
    /// # Errors
    /// [`Invalid`] names the field and what is wrong with it; the caller gets a 4xx.
    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid>;

    /// Into the hub. Only called when the target speaks another wire.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] is the caller's fault; [`Refusal::Unspeakable`] is valid but has no words in the hub,
    /// so only a target of the same wire can serve it.
    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal>;

    /// A complete answer in this dialect.
    fn render(&self, response: &ChatResponse) -> Vec<u8>;

    /// Whether a complete stream of the same wire whose last frame is this one (empty: none) has the end that callers
    /// wait for. In most formats no stream is complete without it; where one is, who passes its frames on writes the
    /// end with [`Dialect::encoder`].
    fn has_end(&self, _last: &[u8]) -> bool {
        true
    }

    /// A streamed answer in this dialect; `request_id` is used where the provider gave no id.
    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder>;

    /// An error body in this dialect.
    fn render_problem(&self, problem: &Problem) -> Vec<u8>;
}

/// What an [`Encoder`] must know before the first event.
#[derive(Debug, Clone)]
pub struct EncoderSetup {
    /// Id for the answer where the provider gave none (or must not be seen).
    pub id: String,
    /// Model name for the answer where the provider gave none (or must not be seen).
    pub model: String,
    /// Show the provider's own id and model instead, where it gave them.
    pub open: bool,
    /// Unix seconds.
    pub created: u64,
    /// The caller asked for a usage event.
    pub usage: bool,
}

/// Writes hub events as one dialect's stream.
pub trait Encoder: Send {
    /// Appends the bytes for one event; may append nothing.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Ends a committed stream in an error event: never to be mistaken for a finished answer.
    fn problem(&mut self, problem: &Problem, out: &mut Vec<u8>);
}

/// What a provider speaks.
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// Name in catalog rows and configuration, e.g. `openai-chat`.
    fn name(&self) -> &'static str;

    /// Path below the provider's base URL, query included.
    fn path(&self, model: &str, stream: bool) -> String;

    /// Headers the wire demands besides authentication and content type.
    fn headers(&self) -> &'static [(&'static str, &'static str)];

    /// From the hub into a request body for `target`.
    ///
    /// # Errors
    /// [`Unspeakable`] when the target cannot be told this; it is then skipped with the reason, not called.
    fn render(&self, request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable>;

    /// The caller's own bytes made fit for `target`: model name, what the target's quirks demand, nothing else.
    /// Only called when the caller's dialect is this wire.
    ///
    /// # Errors
    /// [`Unspeakable`] as in [`Wire::render`].
    fn adapt(
        &self,
        inbound: Inbound<'_>,
        outline: &Outline<'_>,
        target: &Target<'_>,
    ) -> Result<Bytes, Unspeakable>;

    /// A complete answer into the hub.
    ///
    /// # Errors
    /// [`Flaw`]: not this wire, empty, cut short, or an error in disguise.
    fn parse(&self, body: &[u8]) -> Result<ChatResponse, Flaw>;

    /// What must be known of a complete answer whose own bytes go to a caller of this dialect: as [`Wire::parse`]
    /// says it, for less where a wire knows how.
    ///
    /// # Errors
    /// As [`Wire::parse`].
    fn summary(&self, body: &[u8]) -> Result<Summary, Flaw> {
        self.parse(body).map(|response| Summary::of(&response))
    }

    /// A decoder for one streamed answer.
    fn decoder(&self) -> Box<dyn Decoder>;
}

/// Reads one stream of a wire. State machines only: bytes are framed before, policy lives in [`crate::driver`].
pub trait Decoder: Send {
    /// Reads one frame, appending what it says.
    fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Decoded;

    /// The provider closed the stream: appends what was held back. Returns whether the wire's own end had been
    /// seen (or needs none); `false` means the stream was cut.
    fn end(&mut self, out: &mut Vec<Event>) -> bool;
}

/// A frame decodes three ways, or is the provider's own error.
#[derive(Debug)]
pub enum Decoded {
    /// Understood; the events say what (possibly nothing).
    Known,
    /// Not understood and harmless: an event type this version does not know. Passed on to callers of the same
    /// dialect.
    Unknown,
    /// Not what this wire allows: the answer cannot be trusted.
    Corrupt(&'static str),
    /// The provider reports an error inside the stream.
    Failed(Box<ErrorBody>),
}

/// What decides whether a complete answer is one for the caller, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Tokens, where the provider told.
    pub usage: Option<Usage>,
    /// Every choice was withheld by a content policy.
    pub declined: bool,
    /// Every choice ended normally and holds nothing, and nothing was generated that could explain it.
    pub silent: bool,
}

impl Summary {
    /// That of an answer in the hub.
    #[must_use]
    pub fn of(response: &ChatResponse) -> Self {
        // One token is the end itself, and one wire counts it before anything was generated.
        let generated = response.usage.is_some_and(|usage| usage.output > 1);
        let says_nothing = |choice: &Choice| {
            choice.finish == Finish::Stop
                && choice.parts.iter().all(|part| match part {
                    Part::Text(text) | Part::Refusal(text) => text.is_empty(),
                    Part::Thinking(thinking) => thinking.text.is_empty(),
                    _ => false,
                })
        };
        Self {
            usage: response.usage,
            declined: response.choices.iter().all(|choice| choice.finish == Finish::ContentFilter),
            silent: !generated && response.choices.iter().all(says_nothing),
        }
    }
}

/// A complete answer that is none.
#[derive(Debug)]
pub enum Flaw {
    /// Not this wire, or cut short; the text says why.
    Malformed(&'static str),
    /// Well-formed and without any content or finish reason that explains it.
    Empty,
    /// An error body under a success status.
    Failed(Box<ErrorBody>),
    /// The prompt was refused before any content.
    Refused(String),
}
