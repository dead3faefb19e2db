//! How hosts that share a wire differ: rate-limit headers, error envelope, strictness. Named by property.

use std::time::Duration;

use crate::act::Hint;
use crate::clock::{decimal_seconds, go_duration, http_date, rfc3339, whole_seconds};
use crate::limit::{Gauge, Stated};

/// A header field.
pub(crate) type Header = (String, String);

pub(crate) fn header(name: &str, value: impl ToString) -> Header {
    (name.to_owned(), value.to_string())
}

/// Properties of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    /// Family of its rate-limit headers.
    pub limits: LimitHeaders,
    /// Shape of its errors, on the `openai-chat` wire.
    pub envelope: Envelope,
    /// Where it shows reasoning, on the `openai-chat` wire.
    pub reasoning: ReasoningField,
    /// Unknown fields are refused and the rules of each model name are kept, as the wire's own vendor does; hosts
    /// that imitate the wire ignore them.
    pub strict: bool,
    /// A stream carries usage without being asked, on the `openai-chat` wire.
    pub usage_always: bool,
}

/// Families of rate-limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHeaders {
    /// `x-ratelimit-reset-requests: 6m0s`.
    GoDuration,
    /// `x-ratelimit-reset-requests-minute: 33.5`, the window in the name.
    DecimalSeconds,
    /// `anthropic-ratelimit-requests-reset: 2026-11-21T12:40:59Z`.
    Rfc3339,
    /// `x-ratelimit-reset: 1795246080000`, on refusals only.
    EpochMillis,
    /// None at all.
    None,
}

/// Shapes of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `{"error": {"message": …}}`.
    Wrapped,
    /// `{"message": …}`.
    Flat,
}

/// Where reasoning is shown in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningField {
    /// Nowhere; it is only counted.
    Hidden,
    /// `reasoning`.
    Reasoning,
    /// `reasoning_content`.
    ReasoningContent,
}

impl Flavour {
    /// The vendor of the `openai-chat` wire.
    pub const OPENAI_CHAT: Self = Flavour {
        limits: LimitHeaders::GoDuration,
        envelope: Envelope::Wrapped,
        reasoning: ReasoningField::Hidden,
        strict: true,
        usage_always: false,
    };
    /// A host of that wire with Go durations and reasoning in `reasoning`.
    pub const GO_DURATIONS: Self = Flavour {
        reasoning: ReasoningField::Reasoning,
        strict: false,
        usage_always: true,
        ..Flavour::OPENAI_CHAT
    };
    /// A host of that wire with decimal seconds and flat errors.
    pub const DECIMAL_FLAT: Self =
        Flavour { limits: LimitHeaders::DecimalSeconds, envelope: Envelope::Flat, ..Flavour::GO_DURATIONS };
    /// A host of that wire with epoch milliseconds on refusals.
    pub const EPOCH_MILLIS: Self = Flavour { limits: LimitHeaders::EpochMillis, ..Flavour::GO_DURATIONS };
    /// The vendor of the `anthropic` wire.
    pub const ANTHROPIC: Self = Flavour { limits: LimitHeaders::Rfc3339, ..Flavour::OPENAI_CHAT };
    /// The vendor of the `gemini` wire.
    pub const GEMINI: Self = Flavour { limits: LimitHeaders::None, ..Flavour::OPENAI_CHAT };
}

/// Tokens per minute every simulated provider claims to allow; only its calls are really limited.
const TOKENS_PER_MINUTE: u32 = 2_000_000;

/// The rate-limit headers of a family; `refused` on a 429.
pub(crate) fn gauge_headers(
    family: LimitHeaders,
    gauge: Gauge,
    wall: Duration,
    refused: bool,
) -> Vec<Header> {
    let Gauge { limit, remaining, reset } = gauge;
    // Tokens are said to be almost full again; a filled bucket would be no test of reading the right one.
    let tokens_left = TOKENS_PER_MINUTE - 1000;
    let tokens_reset = Duration::from_millis(30);
    let named = |name: &dyn Fn(&str, &str) -> String, requests_reset: String, tokens_reset: String| {
        vec![
            header(&name("limit", "requests"), limit),
            header(&name("remaining", "requests"), remaining),
            header(&name("reset", "requests"), requests_reset),
            header(&name("limit", "tokens"), TOKENS_PER_MINUTE),
            header(&name("remaining", "tokens"), tokens_left),
            header(&name("reset", "tokens"), tokens_reset),
        ]
    };
    let instant = |span: Duration| rfc3339(Duration::from_secs(whole_seconds(wall + span)));
    match family {
        LimitHeaders::GoDuration => named(
            &|what, of| format!("x-ratelimit-{what}-{of}"),
            go_duration(reset),
            go_duration(tokens_reset),
        ),
        LimitHeaders::DecimalSeconds => named(
            &|what, of| format!("x-ratelimit-{what}-{of}-minute"),
            decimal_seconds(reset),
            decimal_seconds(tokens_reset),
        ),
        LimitHeaders::Rfc3339 => named(
            &|what, of| format!("anthropic-ratelimit-{of}-{what}"),
            instant(reset),
            instant(tokens_reset),
        ),
        LimitHeaders::EpochMillis if refused => vec![
            header("x-ratelimit-limit", limit),
            header("x-ratelimit-remaining", remaining),
            header("x-ratelimit-reset", (wall + reset).as_millis()),
        ],
        LimitHeaders::EpochMillis | LimitHeaders::None => Vec::new(),
    }
}

/// A 429 to be told: what it states and what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) hint: Hint,
    /// Absent when nothing may be stated.
    pub(crate) gauge: Option<Gauge>,
}

impl Told {
    /// For a scripted 429.
    pub(crate) fn scripted(hint: Hint) -> Self {
        let reset = match hint {
            Hint::RetryAfterSeconds(seconds)
            | Hint::RetryAfterDate(seconds)
            | Hint::ResetHeadersOnly(seconds) => Some(Duration::from_secs(seconds.into())),
            Hint::RetryAfterMs(millis) => Some(Duration::from_millis(millis.into())),
            Hint::Nothing => None,
        };
        Told { hint, gauge: reset.map(|reset| Gauge { limit: 60, remaining: 0, reset }) }
    }

    /// For a limit that was really exceeded: the true wait, in the form the limit states it.
    pub(crate) fn measured(stated: Stated, wait: Duration, gauge: Gauge) -> Self {
        let seconds = u32::try_from(whole_seconds(wait)).unwrap_or(u32::MAX);
        let hint = match stated {
            Stated::Seconds => Hint::RetryAfterSeconds(seconds),
            Stated::Date => Hint::RetryAfterDate(seconds),
            Stated::Millis => {
                Hint::RetryAfterMs(u32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX))
            }
            Stated::ResetHeaders => Hint::ResetHeadersOnly(seconds),
            Stated::Nothing => Hint::Nothing,
        };
        Told { hint, gauge: (stated != Stated::Nothing).then_some(gauge) }
    }

    /// `retry-after` and the family's own headers.
    pub(crate) fn headers(&self, family: LimitHeaders, wall: Duration) -> Vec<Header> {
        let mut headers = match self.hint {
            Hint::RetryAfterSeconds(seconds) => vec![header("retry-after", seconds)],
            // Rounded up, so that the date is never before the end of the wait.
            Hint::RetryAfterDate(seconds) => {
                let at = Duration::from_secs(whole_seconds(wall) + u64::from(seconds));
                vec![header("retry-after", http_date(at))]
            }
            Hint::RetryAfterMs(millis) => vec![header("retry-after-ms", millis)],
            Hint::ResetHeadersOnly(_) | Hint::Nothing => Vec::new(),
        };
        headers.extend(self.gauge.map(|gauge| gauge_headers(family, gauge, wall, true)).unwrap_or_default());
        headers
    }

    /// The wait for a body to name, where vendors name it: not when only headers or nothing may state it.
    pub(crate) fn in_words(&self) -> Option<Duration> {
        match self.hint {
            Hint::RetryAfterSeconds(seconds) | Hint::RetryAfterDate(seconds) => {
                Some(Duration::from_secs(seconds.into()))
            }
            Hint::RetryAfterMs(millis) => Some(Duration::from_millis(millis.into())),
            Hint::ResetHeadersOnly(_) | Hint::Nothing => None,
        }
    }

    /// The wait for a wire whose body is the only place for it.
    pub(crate) fn in_body(&self) -> Option<Duration> {
        self.in_words().or(self.gauge.map(|gauge| gauge.reset))
    }
}
