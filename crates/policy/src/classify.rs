//! What a failed attempt means: one of fourteen classes, what is to be remembered, and how long.
//!
//! Total over anything a provider can send and independent of time and history: the same answer always has the
//! same class. Only waits depend on the wall clock, and only where they are stated as dates.

use crate::calendar;
use crate::condition::{Answer, Condition};
use crate::time::Wall;
use crate::wait::{self, Headers};
use std::time::Duration;
use unfail_wire::error_body::ErrorBody;
use unfail_wire::target::ErrorQuirk;

/// Longest stated wait believed from a rate or quota limit that is stated as a length: 6 h. Dates are believed up
/// to [`wait::LONGEST`].
const LIMIT_CAP: Duration = Duration::from_secs(6 * 3600);
/// Longest stated wait believed from a server in trouble: 300 s.
const TROUBLE_CAP: Duration = Duration::from_secs(300);
/// How long a provider that counts calls in flight is left alone when it does not say: calls end all the time.
const CONCURRENCY_CLOSE: Duration = Duration::from_secs(1);
/// Most characters kept of a provider's words.
const MESSAGE_CHARS: usize = 300;
/// Longest machine code that is taken for one.
const CODE_CHARS: usize = 64;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing was sent: name, connection or TLS failed, or the provider refused the stream unseen.
    PreSend,
    /// A server fault that may pass.
    Transient,
    /// Too slow.
    Timeout,
    /// The provider or model is overloaded; not this account's limit.
    Overloaded,
    /// A limit of this account that ends soon.
    RateLimited,
    /// Credit, spend cap or a daily or monthly quota is used up.
    Quota,
    /// The credential is wrong.
    Auth,
    /// The model does not exist or is not for this credential.
    Config,
    /// The prompt does not fit.
    TooLong,
    /// The prompt or answer was declined by policy.
    Refused,
    /// The caller's request is wrong.
    ClientBug,
    /// The answer is not one.
    Malformed,
    /// Anything that goes wrong after the first content reached the caller.
    MidStream,
    /// The caller left.
    Cancelled,
}

impl Class {
    /// All classes, for tables and tests.
    pub const ALL: [Self; 14] = [
        Self::PreSend,
        Self::Transient,
        Self::Timeout,
        Self::Overloaded,
        Self::RateLimited,
        Self::Quota,
        Self::Auth,
        Self::Config,
        Self::TooLong,
        Self::Refused,
        Self::ClientBug,
        Self::Malformed,
        Self::MidStream,
        Self::Cancelled,
    ];

    /// Name in logs, metrics and trails, e.g. `rate_limited`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreSend => "pre_send",
            Self::Transient => "transient",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Auth => "auth",
            Self::Config => "config",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::ClientBug => "client_bug",
            Self::Malformed => "malformed",
            Self::MidStream => "mid_stream",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening a connection.
    Connect,
    /// The request is under way; nothing came back.
    Sent,
    /// The status and headers came.
    Headers,
    /// An event came, none with content.
    FirstEvent,
    /// Content reached the caller.
    Committed,
}

/// What the shell saw go wrong.
#[derive(Clone, Copy)]
pub enum Signal<'a> {
    /// The transport failed.
    Transport(Transport),
    /// A limit of time passed.
    Timeout(Limit),
    /// An answer that is an error by its status.
    Status {
        /// HTTP status.
        status: u16,
        /// Its headers.
        headers: &'a dyn Headers,
        /// What its body says; [`ErrorBody::default`] when it says nothing.
        body: &'a ErrorBody,
    },
    /// An error inside a success: in the body or in the stream.
    InStream(&'a ErrorBody),
    /// A success that cannot be used.
    Flaw(Flaw),
    /// A success that declines: the provider filtered the prompt or the whole answer.
    ContentFiltered,
    /// The caller left.
    CallerGone,
}

/// Ways the transport fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The name does not resolve.
    Dns,
    /// No connection.
    Connect,
    /// This process may open no further file, so not even a connection.
    NoDescriptor,
    /// No secure connection.
    Tls,
    /// HTTP/2 `REFUSED_STREAM`, or `GOAWAY` below our stream: never processed (RFC 9113 §8.7).
    RefusedStream,
    /// A pooled connection was closed by the other side before our request reached it.
    StaleConnection,
    /// The connection broke after the request was sent and before any answer.
    ResetBeforeHeaders,
    /// The connection broke inside the answer.
    ResetInBody,
}

/// Which limit of time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Opening a connection.
    Connect,
    /// Until the first content event.
    FirstToken,
    /// Between two events.
    Stall,
    /// The request's deadline.
    Total,
}

/// Ways a success cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Not the wire it should be.
    Malformed,
    /// A well-formed answer without content, and nothing that explains it.
    Empty,
    /// A whole answer that breaks the schema this request demands.
    Breach,
    /// Ended before its end.
    Truncated,
    /// Another content type, e.g. a proxy's HTML page.
    WrongContentType,
    /// Larger or deeper than is read.
    TooLarge,
}

/// A failed attempt, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How it failed.
    pub class: Class,
    /// What is to be remembered beyond this request.
    pub close: Close,
    /// The wait the provider stated, bounded for its class; `None` when it stated none.
    pub wait: Option<Duration>,
    /// May the same target be asked again.
    pub same_target: SameTarget,
    /// Whose doing it is.
    pub blame: Blame,
    /// HTTP status, or the one an error inside a 200 names.
    pub status: Option<u16>,
    /// The provider's words, or ours where it had none; at most 300 characters. May quote the prompt, the answer or a
    /// name the caller made up.
    pub message: String,
    /// The same without anything that was quoted: a status, a machine code, our own words.
    pub gist: Box<str>,
    /// The time limit it ran into.
    pub late: Option<Limit>,
    /// The provider's most specific machine code.
    pub code: Option<Box<str>>,
    /// Offending parameter, when named.
    pub param: Option<Box<str>>,
}

/// What a failure closes for other requests: the shell passes the wait to `limited` of the gate of that domain.
/// `Some` is the wait to honour in full; `None` means nothing was stated
/// and the [`crate::gate::Gate`] of that domain waits by its own growing backoff. Every close ends with one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Nothing: it concerns this request only, or the breaker judges it.
    Nothing,
    /// The limit domain: this provider account for this model.
    Domain(Option<Duration>),
    /// The credential, for all models.
    Credential(Option<Duration>),
    /// The target: this model for this credential.
    Target(Option<Duration>),
}

/// May the same target be asked again for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameTarget {
    /// No: the outcome would be the same, or only a wait changes it.
    Never,
    /// At once and free: the provider never saw the request.
    Free,
    /// Once more, after a backoff: it may pass.
    Once,
}

/// Whose doing a failure is, whatever its class: the breaker of a target counts only what is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The target's, as far as its class says so.
    Target,
    /// The request's: the target answered as it should, and one caller's words can bring this about at will.
    Request,
    /// Our own: nothing reached the target.
    Gateway,
}

/// Says what `signal` means. `quirk` is how the provider's statuses differ from the usual, `wall` is only used for
/// waits stated as dates.
///
/// After commit every class but [`Class::Cancelled`] becomes [`Class::MidStream`], which is never retried; what is
/// to be remembered stays.
#[must_use]
pub fn classify(signal: &Signal<'_>, quirk: ErrorQuirk, phase: Phase, wall: Wall) -> Fault {
    let mut fault = match *signal {
        Signal::Transport(transport) => from_transport(transport),
        Signal::Timeout(limit) => {
            let fault = Fault::own(Class::Timeout, SameTarget::Never, slow(limit));
            Fault { late: Some(limit), ..fault }
        }
        Signal::Status { status, headers, body } => {
            let success = (200..300).contains(&status);
            let status = if success { body.status } else { Some(status) };
            let header_code = headers.get("x-amzn-errortype");
            from_answer(&Answer { status, header_code, body, quirk }, headers, wall)
        }
        Signal::InStream(body) => {
            let answer = Answer { status: body.status, header_code: None, body, quirk };
            from_answer(&answer, &[("", ""); 0], wall)
        }
        Signal::Flaw(flaw) => {
            let fault = Fault::own(Class::Malformed, SameTarget::Once, flawed(flaw));
            Fault { blame: blamed(flaw), ..fault }
        }
        Signal::ContentFiltered => {
            Fault::own(Class::Refused, SameTarget::Never, "declined by the provider's content filter")
        }
        Signal::CallerGone => {
            Fault::own(Class::Cancelled, SameTarget::Never, "the caller closed the connection")
        }
    };
    if phase == Phase::Committed && fault.class != Class::Cancelled {
        fault.class = Class::MidStream;
        fault.same_target = SameTarget::Never;
    }
    fault
}

impl Fault {
    /// A fault the provider had no words for.
    fn own(class: Class, same_target: SameTarget, message: &str) -> Self {
        Self {
            class,
            close: Close::Nothing,
            wait: None,
            same_target,
            blame: Blame::Target,
            status: None,
            message: message.to_owned(),
            gist: message.into(),
            late: None,
            code: None,
            param: None,
        }
    }
}

fn from_transport(transport: Transport) -> Fault {
    let (class, same_target, message) = match transport {
        Transport::Dns => (Class::PreSend, SameTarget::Once, "the host name did not resolve"),
        Transport::Connect => (Class::PreSend, SameTarget::Once, "no connection"),
        Transport::NoDescriptor => {
            (Class::PreSend, SameTarget::Once, "this gateway has no file descriptor left for a connection")
        }
        Transport::Tls => (Class::PreSend, SameTarget::Once, "no TLS connection"),
        Transport::RefusedStream => (Class::PreSend, SameTarget::Free, "the stream was refused unprocessed"),
        Transport::StaleConnection => (Class::PreSend, SameTarget::Free, "the pooled connection was closed"),
        Transport::ResetBeforeHeaders => {
            (Class::Transient, SameTarget::Once, "the connection broke before an answer")
        }
        Transport::ResetInBody => {
            (Class::Transient, SameTarget::Once, "the connection broke inside the answer")
        }
    };
    let blame = if transport == Transport::NoDescriptor { Blame::Gateway } else { Blame::Target };
    Fault { blame, ..Fault::own(class, same_target, message) }
}

fn slow(limit: Limit) -> &'static str {
    match limit {
        Limit::Connect => "no connection in time",
        Limit::FirstToken => "no first content in time",
        Limit::Stall => "the answer stalled",
        Limit::Total => "no answer before the deadline",
    }
}

fn flawed(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Malformed => "the answer is malformed",
        Flaw::Empty => "the answer is empty",
        Flaw::Breach => "the answer is not what was asked for",
        Flaw::Truncated => "the answer ended before its end",
        Flaw::WrongContentType => "the answer is of another content type",
        Flaw::TooLarge => "the answer is too large",
    }
}

/// What any caller can make a sound model say is held against its request alone: an answer that the request's own
/// schema does not allow, or none at all. A target that says nothing to anybody costs every request one short call
/// then; the alternative is that one caller closes it for all.
fn blamed(flaw: Flaw) -> Blame {
    match flaw {
        Flaw::Empty | Flaw::Breach => Blame::Request,
        Flaw::Malformed | Flaw::Truncated | Flaw::WrongContentType | Flaw::TooLarge => Blame::Target,
    }
}

fn from_answer(answer: &Answer<'_>, headers: &dyn Headers, wall: Wall) -> Fault {
    let condition = answer.condition();
    let body = answer.body;
    let stated = || wait::stated(headers, Some(body), wall);
    let trouble = || stated().map(|stated| stated.wait.min(TROUBLE_CAP));
    let limit =
        || stated().map(|stated| if stated.calendar { stated.wait } else { stated.wait.min(LIMIT_CAP) });
    let rate = || stated().map(|stated| stated.wait.min(LIMIT_CAP));
    let closing = |wait: Option<Duration>| if wait.is_some() { Close::Domain(wait) } else { Close::Nothing };

    let (class, wait, close) = match condition {
        Condition::Rate => (Class::RateLimited, rate(), Close::Domain(rate())),
        Condition::Concurrent => {
            (Class::RateLimited, rate(), Close::Domain(rate().or(Some(CONCURRENCY_CLOSE))))
        }
        Condition::Oversize => (Class::RateLimited, None, Close::Nothing),
        Condition::Daily => {
            // Only one vendor names violated quotas: the delay it states beside a daily one is meaningless, since
            // that ends at midnight in California.
            let wait = if body.quotas.is_empty() { limit() } else { Some(until_pacific_midnight(wall)) };
            (Class::Quota, wait, Close::Domain(wait))
        }
        Condition::Monthly => {
            (Class::Quota, Some(until_next_month(wall)), Close::Domain(Some(until_next_month(wall))))
        }
        Condition::SpendCap => {
            let wait = limit().unwrap_or_else(|| until_next_month(wall));
            (Class::Quota, Some(wait), Close::Credential(Some(wait)))
        }
        Condition::Billing => (Class::Quota, limit(), Close::Credential(limit())),
        Condition::Capacity => (Class::Overloaded, trouble(), closing(trouble())),
        Condition::Server => (Class::Transient, trouble(), closing(trouble())),
        Condition::Auth => (Class::Auth, None, Close::Credential(None)),
        Condition::Missing => (Class::Config, None, Close::Target(None)),
        Condition::Context => (Class::TooLong, None, Close::Nothing),
        Condition::Invalid => (Class::ClientBug, None, Close::Nothing),
        Condition::Policy => (Class::Refused, None, Close::Nothing),
        Condition::Generation => (Class::Malformed, None, Close::Nothing),
    };
    let forbidden = headers.get("x-should-retry").is_some_and(|value| value.trim() == "false");
    let may_pass = matches!(class, Class::Transient | Class::Malformed) && !forbidden;
    Fault {
        class,
        close,
        wait,
        same_target: if may_pass { SameTarget::Once } else { SameTarget::Never },
        blame: if answer.status == Some(LOOP_DETECTED)
            || (condition == Condition::Generation && !is_server_fault(answer.status))
        {
            // A gateway behind this one has seen the request before; or the provider checked what its model said
            // against what the request asked for.
            Blame::Request
        } else {
            Blame::Target
        },
        status: answer.status,
        message: words(answer, class),
        gist: gist(answer).into(),
        late: None,
        code: body.codes.first().map(|code| code.as_str().into()),
        param: body.param.as_deref().map(Into::into),
    }
}

/// RFC 5842 §7.2.
const LOOP_DETECTED: u16 = 508;

/// A status by which a provider says that something of its own failed.
fn is_server_fault(status: Option<u16>) -> bool {
    matches!(status, Some(424 | 500..=599))
}

fn until_pacific_midnight(wall: Wall) -> Duration {
    wall.until(calendar::next_pacific_midnight(wall))
}

fn until_next_month(wall: Wall) -> Duration {
    wall.until(calendar::next_month(wall))
}

/// The provider's words on one line. Providers quote rejected keys, so of an authentication fault every word that
/// could be one is left out.
fn words(answer: &Answer<'_>, class: Class) -> String {
    let said = answer.body.message.split_whitespace();
    let safe = said.map(|word| if class == Class::Auth && may_be_secret(word) { "…" } else { word });
    let line = safe.collect::<Vec<_>>().join(" ");
    match (line.is_empty(), answer.status) {
        (false, _) => line.chars().take(MESSAGE_CHARS).collect(),
        (true, Some(status)) => format!("HTTP {status} without an explanation"),
        (true, None) => "an error without an explanation".to_owned(),
    }
}

/// A status and the first code that is one: words that a machine chose.
fn gist(answer: &Answer<'_>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_code =
        |code: &&String| code.len() <= CODE_CHARS && code.chars().all(plain) && !may_be_secret(code);
    let code = answer.body.codes.iter().find(is_code);
    match (answer.status, code) {
        (Some(status), Some(code)) => format!("HTTP {status} {code}"),
        (Some(status), None) => format!("HTTP {status}"),
        (None, Some(code)) => code.clone(),
        (None, None) => "an error without a code".to_owned(),
    }
}

fn may_be_secret(word: &str) -> bool {
    let masked = word.contains('*');
    let long = word.len() >= 16 && word.chars().any(|c| c.is_ascii_digit());
    masked || long || word.starts_with("sk-")
}
