//! What a provider is told to do with its next calls: answers, refusals, faults of the socket and of the stream.
//!
//! Pure data and its text form. How an act looks on the wire is decided in `perform`.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::limit::Limit;

/// What to do with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Answer as the vendor would.
    Answer(Pace),
    /// Answer exactly this, whatever the wire.
    Status {
        /// HTTP status.
        status: u16,
        /// Header fields besides `content-length` and `date`.
        headers: Vec<(String, String)>,
        /// Body bytes, UTF-8.
        body: String,
    },
    /// 429, stating the wait this way.
    RateLimited(Hint),
    /// An error of the vendor, in its true status and body.
    Refuse(Refusal),
    /// A fault of the connection.
    Break(Break),
    /// A complete answer that is not what it should be.
    Odd(Odd),
    /// An answer that goes wrong, or is delivered oddly, on its way.
    Fault(Fault),
    /// Wait before doing the other.
    Delay(Duration, Box<Act>),
    /// Say exactly these words in doing the other.
    Say(String, Box<Act>),
}

/// How fast an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Before the response head.
    pub first: Duration,
    /// Before every token.
    pub each: Duration,
}

impl Pace {
    /// The first token after `first`, then so many per second (none or negative: all at once).
    #[must_use]
    pub fn per_second(first: Duration, tokens: f64) -> Self {
        let each = if tokens > 0.0 { Duration::from_secs_f64(1.0 / tokens) } else { Duration::ZERO };
        Pace { first, each }
    }
}

/// How a 429 states the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// `retry-after` in seconds.
    RetryAfterSeconds(u32),
    /// `retry-after` as a date so many seconds ahead.
    RetryAfterDate(u32),
    /// `retry-after-ms`.
    RetryAfterMs(u32),
    /// Only the wire's rate-limit headers say when, in seconds (or the body, on the wire that has none).
    ResetHeadersOnly(u32),
    /// Nothing does.
    Nothing,
}

/// Errors of a vendor. Each wire has its own status and body for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The provider has no capacity (529 or 503).
    Overloaded,
    /// 500.
    ServerError,
    /// 503.
    Unavailable,
    /// 502 with a page of HTML, from the edge.
    HtmlBadGateway,
    /// 400: the prompt exceeds the context window.
    ContextTooLong,
    /// The prompt was refused: 400, or 200 with no answer on wires that do so.
    ContentPolicy,
    /// The key is not valid (401, on one wire 400).
    Unauthorized,
    /// 402.
    PaymentRequired,
    /// The account's credit is used up, under the status the wire has for it (429, 400).
    QuotaExhausted,
    /// 404: no such model.
    ModelNotFound,
}

/// Faults of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Reset instead of a response.
    ResetBeforeHeaders,
    /// No response, until the client leaves.
    HangBeforeHeaders,
    /// A head, then nothing.
    HangAfterHeaders,
    /// Answer, then close the idle connection after this time.
    CloseWhenIdle(Duration),
    /// Answer, then reset the connection when the next request arrives on it.
    CloseOnNextRequest,
}

/// Complete answers that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// 200 with an error for a body.
    ErrorUnder200,
    /// A valid envelope with no answer in it.
    EmptyChoices,
    /// JSON that ends in the middle.
    InvalidJson,
    /// The right body under `text/html`.
    WrongContentType,
    /// The model declines.
    Declined,
    /// An answer of at least so many bytes.
    BigBody(usize),
    /// Compressed, when the client accepts it or when forced.
    Gzip {
        /// Also when the client did not offer it.
        forced: bool,
    },
}

/// Answers that go wrong, or are delivered oddly, on their way. Counts are tokens delivered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after the opening frames.
    CutBeforeFirst,
    /// The connection ends without the end of the body.
    CutAfter(usize),
    /// The body ends properly, but the answer in it does not.
    EndAfter(usize),
    /// Silence until the client leaves.
    StallAfter(usize),
    /// One frame is no JSON; the rest follows as if nothing had been.
    MalformedAfter(usize),
    /// The wire's error frame, and the end.
    ErrorAfter(usize),
    /// Complete, but without the wire's end marker.
    NoDone,
    /// One byte per chunk, in a text of many languages.
    EveryByte,
    /// So many bytes per interval.
    SlowDrip {
        /// Bytes per write.
        bytes: usize,
        /// Time between two writes.
        every: Duration,
    },
}

/// What a provider does, call after call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// For the next calls, one each.
    pub queue: VecDeque<Act>,
    /// For all calls after them.
    pub default: Act,
    /// A rate limit that is really kept; calls above it get its 429 and take nothing from the queue.
    pub limit: Option<Limit>,
    /// Keys that are valid; all of them when absent.
    pub accept_keys: Option<Vec<String>>,
}

impl Default for Script {
    fn default() -> Self {
        Script::always(Act::default())
    }
}

impl Script {
    /// The same for every call.
    pub fn always(act: impl Into<Act>) -> Self {
        Script { queue: VecDeque::new(), default: act.into(), limit: None, accept_keys: None }
    }

    /// These for the next calls, then normal answers.
    pub fn first<A: Into<Act>>(acts: impl IntoIterator<Item = A>) -> Self {
        Script { queue: acts.into_iter().map(Into::into).collect(), ..Script::default() }
    }

    /// Normal answers within a limit, true 429s above it.
    #[must_use]
    pub fn limited(limit: Limit) -> Self {
        Script { limit: Some(limit), ..Script::default() }
    }

    /// With another act once the queue is used up.
    #[must_use]
    pub fn then(mut self, act: impl Into<Act>) -> Self {
        self.default = act.into();
        self
    }

    /// With only these keys valid.
    pub fn accepting<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.accept_keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }
}

impl Default for Act {
    fn default() -> Self {
        Act::Answer(Pace::default())
    }
}

macro_rules! into_act {
    ($($kind:ident => $variant:ident),+) => {$(
        impl From<$kind> for Act {
            fn from(kind: $kind) -> Self {
                Act::$variant(kind)
            }
        }
    )+};
}

into_act!(Pace => Answer, Hint => RateLimited, Refusal => Refuse, Break => Break, Odd => Odd, Fault => Fault);

// === text form: `name`, `name:number`, `name:number:number`, `delay:ms:act` ===

/// Acts without a parameter, by name.
const PLAIN: &[(&str, Act)] = &[
    ("answer", Act::Answer(Pace { first: Duration::ZERO, each: Duration::ZERO })),
    ("limited-without-hint", Act::RateLimited(Hint::Nothing)),
    ("overloaded", Act::Refuse(Refusal::Overloaded)),
    ("server-error", Act::Refuse(Refusal::ServerError)),
    ("unavailable", Act::Refuse(Refusal::Unavailable)),
    ("html-bad-gateway", Act::Refuse(Refusal::HtmlBadGateway)),
    ("context-too-long", Act::Refuse(Refusal::ContextTooLong)),
    ("content-policy", Act::Refuse(Refusal::ContentPolicy)),
    ("unauthorized", Act::Refuse(Refusal::Unauthorized)),
    ("payment-required", Act::Refuse(Refusal::PaymentRequired)),
    ("quota-exhausted", Act::Refuse(Refusal::QuotaExhausted)),
    ("model-not-found", Act::Refuse(Refusal::ModelNotFound)),
    ("reset-before-headers", Act::Break(Break::ResetBeforeHeaders)),
    ("hang-before-headers", Act::Break(Break::HangBeforeHeaders)),
    ("hang-after-headers", Act::Break(Break::HangAfterHeaders)),
    ("close-on-next-request", Act::Break(Break::CloseOnNextRequest)),
    ("error-under-200", Act::Odd(Odd::ErrorUnder200)),
    ("empty-choices", Act::Odd(Odd::EmptyChoices)),
    ("invalid-json", Act::Odd(Odd::InvalidJson)),
    ("wrong-content-type", Act::Odd(Odd::WrongContentType)),
    ("declined", Act::Odd(Odd::Declined)),
    ("gzip", Act::Odd(Odd::Gzip { forced: false })),
    ("gzip-forced", Act::Odd(Odd::Gzip { forced: true })),
    ("cut-before-first", Act::Fault(Fault::CutBeforeFirst)),
    ("no-done", Act::Fault(Fault::NoDone)),
    ("every-byte", Act::Fault(Fault::EveryByte)),
];

impl Act {
    /// The acts without a parameter, with the names they are given in text form.
    pub fn plain() -> impl Iterator<Item = (&'static str, Act)> {
        PLAIN.iter().map(|(name, act)| (*name, act.clone()))
    }
}

fn numbered(name: &str, number: u32) -> Option<Act> {
    let count = number as usize;
    Some(match name {
        "status" => {
            Act::Status { status: u16::try_from(number).ok()?, headers: Vec::new(), body: String::new() }
        }
        "retry-after-seconds" => Hint::RetryAfterSeconds(number).into(),
        "retry-after-date" => Hint::RetryAfterDate(number).into(),
        "retry-after-ms" => Hint::RetryAfterMs(number).into(),
        "reset-headers" => Hint::ResetHeadersOnly(number).into(),
        "close-when-idle" => Break::CloseWhenIdle(Duration::from_millis(number.into())).into(),
        "big-body" => Odd::BigBody(count).into(),
        "cut-after" => Fault::CutAfter(count).into(),
        "end-after" => Fault::EndAfter(count).into(),
        "stall-after" => Fault::StallAfter(count).into(),
        "malformed-after" => Fault::MalformedAfter(count).into(),
        "error-after" => Fault::ErrorAfter(count).into(),
        _ => return None,
    })
}

/// No act is written so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAct(String);

impl fmt::Display for UnknownAct {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unknown act `{}`", self.0)
    }
}

impl std::error::Error for UnknownAct {}

impl FromStr for Act {
    type Err = UnknownAct;

    fn from_str(text: &str) -> Result<Self, UnknownAct> {
        let unknown = || UnknownAct(text.to_owned());
        if let Some((_, act)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(act.clone());
        }
        let (name, rest) = text.split_once(':').ok_or_else(unknown)?;
        let (first, second) = rest.split_once(':').map_or((rest, None), |(a, b)| (a, Some(b)));
        let number: u32 = first.parse().map_err(|_| unknown())?;
        let span = Duration::from_millis(number.into());
        let millis = |text: &str| text.parse().map(Duration::from_millis).map_err(|_| unknown());
        match (name, second) {
            ("delay", Some(act)) => Ok(Act::Delay(span, Box::new(act.parse()?))),
            ("answer", Some(each)) => Ok(Pace { first: span, each: millis(each)? }.into()),
            ("slow-drip", Some(every)) => {
                Ok(Fault::SlowDrip { bytes: number as usize, every: millis(every)? }.into())
            }
            (_, None) => numbered(name, number).ok_or_else(unknown),
            (_, Some(_)) => Err(unknown()),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PLAIN.iter().find(|(_, act)| act == self) {
            return out.write_str(name);
        }
        match self {
            Act::Answer(pace) => write!(out, "answer:{}:{}", pace.first.as_millis(), pace.each.as_millis()),
            Act::Status { status, .. } => write!(out, "status:{status}"),
            Act::RateLimited(Hint::RetryAfterSeconds(n)) => write!(out, "retry-after-seconds:{n}"),
            Act::RateLimited(Hint::RetryAfterDate(n)) => write!(out, "retry-after-date:{n}"),
            Act::RateLimited(Hint::RetryAfterMs(n)) => write!(out, "retry-after-ms:{n}"),
            Act::RateLimited(Hint::ResetHeadersOnly(n)) => write!(out, "reset-headers:{n}"),
            Act::Break(Break::CloseWhenIdle(span)) => write!(out, "close-when-idle:{}", span.as_millis()),
            Act::Odd(Odd::BigBody(n)) => write!(out, "big-body:{n}"),
            Act::Fault(Fault::CutAfter(n)) => write!(out, "cut-after:{n}"),
            Act::Fault(Fault::EndAfter(n)) => write!(out, "end-after:{n}"),
            Act::Fault(Fault::StallAfter(n)) => write!(out, "stall-after:{n}"),
            Act::Fault(Fault::MalformedAfter(n)) => write!(out, "malformed-after:{n}"),
            Act::Fault(Fault::ErrorAfter(n)) => write!(out, "error-after:{n}"),
            Act::Fault(Fault::SlowDrip { bytes, every }) => {
                write!(out, "slow-drip:{bytes}:{}", every.as_millis())
            }
            Act::Delay(span, act) => write!(out, "delay:{}:{act}", span.as_millis()),
            Act::Say(_, act) => act.fmt(out),
            // The rest has no parameter and stands in the table.
            other => write!(out, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_form_reads_back() {
        let numbered = [
            "answer:100:20",
            "status:418",
            "retry-after-seconds:2",
            "retry-after-date:3",
            "retry-after-ms:1500",
            "reset-headers:4",
            "close-when-idle:50",
            "big-body:100000",
            "cut-after:40",
            "end-after:3",
            "stall-after:7",
            "malformed-after:2",
            "error-after:5",
            "slow-drip:16:10",
            "delay:30:cut-after:4",
        ];
        let plain = Act::plain().map(|(name, _)| name);
        for text in plain.chain(numbered) {
            let act: Act = text.parse().unwrap();
            assert_eq!(act.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_act_is_refused() {
        for text in [
            "",
            "answers",
            "cut-after",
            "cut-after:x",
            "cut-after:1:2",
            "delay:5",
            "delay:5:nope",
            "status:99999",
        ] {
            assert_eq!(
                text.parse::<Act>(),
                Err(UnknownAct(text.rsplit("delay:5:").next().unwrap().to_owned()))
            );
        }
    }

    #[test]
    fn a_rate_is_a_time_between_tokens() {
        let second = Duration::from_secs(1);
        for (tokens, each) in
            [(50.0, second / 50), (0.5, second * 2), (0.0, Duration::ZERO), (-1.0, Duration::ZERO)]
        {
            assert_eq!(Pace::per_second(second, tokens), Pace { first: second, each });
        }
    }

    #[test]
    fn a_script_is_built_up() {
        let script =
            Script::first([Refusal::Overloaded, Refusal::ServerError]).then(Hint::Nothing).accepting(["k"]);
        assert_eq!(script.queue, [Act::Refuse(Refusal::Overloaded), Act::Refuse(Refusal::ServerError)]);
        assert_eq!((script.default, script.limit), (Act::RateLimited(Hint::Nothing), None));
        assert_eq!(script.accept_keys, Some(vec!["k".to_owned()]));
    }
}
