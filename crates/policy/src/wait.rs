//! How long a provider says to wait, wherever and however it says so. A stated wait is a measurement, not a
//! backoff: it is read exactly and only bounded against nonsense.

use crate::calendar;
use crate::time::Wall;
use regex::Regex;
use std::sync::LazyLock;
use std::time::Duration;
use unfail_wire::error_body::ErrorBody;

/// No stated wait is longer: the longest calendar window a provider counts in is a month.
pub const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Response headers, however the caller stores them.
pub trait Headers {
    /// The value of `name`, which is given in lower case and compared without regard to case.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Headers for &[(&str, &str)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

impl<const N: usize> Headers for [(&str, &str); N] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// A wait and the kind of clock it was stated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    /// From now; never zero, at most [`LONGEST`].
    pub(crate) wait: Duration,
    /// Stated as a moment ("on the first of next month"), not as a length.
    pub(crate) calendar: bool,
}

/// The wait a failed answer states. Looked for in this order: `retry-after-ms`, `retry-after` (seconds or date),
/// the vendor spellings in milliseconds, the body's own field, the body's words ("try again in 1m42.6s"), and last
/// the reset of each limit of which nothing remains (the longest, since every one of them must pass).
///
/// Moments are measured from the provider's own `date` header when it sent one, so a wrong local clock does not
/// matter. What is negative, zero or unreadable says nothing and the next place is asked.
#[must_use]
pub fn stated_wait(headers: &dyn Headers, body: Option<&ErrorBody>, wall: Wall) -> Option<Duration> {
    stated(headers, body, wall).map(|stated| stated.wait)
}

pub(crate) fn stated(headers: &dyn Headers, body: Option<&ErrorBody>, wall: Wall) -> Option<Stated> {
    let now = headers.get("date").and_then(calendar::parse_instant).unwrap_or(wall);
    let millis = |name: &&str| headers.get(name).and_then(parse_millis);
    let length = |wait| Stated { wait, calendar: false };
    ["retry-after-ms"]
        .iter()
        .find_map(millis)
        .map(length)
        .or_else(|| read(headers.get("retry-after")?, now))
        .or_else(|| ["x-ms-retry-after-ms", "x-retry-after-ms"].iter().find_map(millis).map(length))
        .or_else(|| read(body?.wait.as_deref()?, now))
        .or_else(|| in_words(&body?.message, now))
        .or_else(|| resets(headers, now))
}

/// One value in any of the forms providers use: a length with units (`1m12.5s`, `38.2s`, `26 seconds`), plain
/// seconds, a moment in seconds or milliseconds since 1970, an RFC 3339 moment or an HTTP date. `now` is only used
/// for moments. `None` when it says nothing about the future.
#[must_use]
pub fn parse_wait(text: &str, now: Wall) -> Option<Duration> {
    read(text, now).map(|stated| stated.wait)
}

fn read(text: &str, now: Wall) -> Option<Stated> {
    let text = text.trim().trim_matches('"');
    if text.contains(':') {
        return ahead(calendar::parse_instant(text)?, now);
    }
    if let Some(seconds) = parse_units(text) {
        return Some(Stated { wait: bounded(seconds)?, calendar: false });
    }
    match parse_number(text)? {
        // No length is this long, so it is a moment: 1e9 s after the epoch was in 2001.
        millis if millis > 1e12 => ahead(Wall::from_millis(millis as u64), now),
        seconds if seconds > 1e9 => ahead(Wall::from_millis((seconds * 1000.0) as u64), now),
        seconds => Some(Stated { wait: bounded(seconds)?, calendar: false }),
    }
}

fn ahead(moment: Wall, now: Wall) -> Option<Stated> {
    let wait = now.until(moment).min(LONGEST);
    (!wait.is_zero()).then_some(Stated { wait, calendar: true })
}

fn bounded(seconds: f64) -> Option<Duration> {
    if seconds >= LONGEST.as_secs_f64() {
        return Some(LONGEST);
    }
    // Written so that NaN fails as well.
    let wait = if seconds > 0.0 { Duration::try_from_secs_f64(seconds).ok()? } else { return None };
    (!wait.is_zero()).then_some(wait)
}

fn parse_millis(text: &str) -> Option<Duration> {
    bounded(parse_number(text.trim())? / 1000.0)
}

fn parse_number(text: &str) -> Option<f64> {
    // `f64` would also read "inf" and "nan".
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if plain { text.parse().ok() } else { None }
}

/// `1h26m24s` and the like, in seconds.
fn parse_units(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut seconds = None;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        seconds = Some(seconds.unwrap_or(0.0) + number.parse::<f64>().ok()? * seconds_in(unit)?);
        rest = tail.trim_start();
    }
    seconds
}

fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

const LENGTH: &str = concat!(
    r"(?i)(?:try again|retry) (?:in|after)\s+((?:\d+(?:\.\d+)?\s*",
    r"(?:days?|d|hours?|h|milliseconds?|ms|minutes?|m|seconds?|s)\s*)+)"
);
const MOMENT: &str = r"(?i)regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}))?";

fn in_words(message: &str, now: Wall) -> Option<Stated> {
    static LENGTHS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LENGTH).ok());
    static MOMENTS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(MOMENT).ok());
    let length = || read(LENGTHS.as_ref()?.captures(message)?.get(1)?.as_str(), now);
    let moment = || {
        let found = MOMENTS.as_ref()?.captures(message)?;
        let clock = found.get(2).map_or("00:00", |clock| clock.as_str());
        ahead(calendar::parse_instant(&format!("{}T{clock}Z", found.get(1)?.as_str()))?, now)
    };
    length().or_else(moment)
}

/// Header of what remains and header of when it is back, for every limit that is known to be reported.
/// Spellings: OpenAI style (per dimension and per window), Anthropic, older IETF drafts.
const LIMITS: [(&str, &str); 19] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining-project-tokens", "x-ratelimit-reset-project-tokens"),
    ("x-ratelimit-remaining-requests-minute", "x-ratelimit-reset-requests-minute"),
    ("x-ratelimit-remaining-requests-hour", "x-ratelimit-reset-requests-hour"),
    ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day"),
    ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
    ("x-ratelimit-remaining-tokens-hour", "x-ratelimit-reset-tokens-hour"),
    ("x-ratelimit-remaining-tokens-day", "x-ratelimit-reset-tokens-day"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("anthropic-priority-input-tokens-remaining", "anthropic-priority-input-tokens-reset"),
    ("anthropic-priority-output-tokens-remaining", "anthropic-priority-output-tokens-reset"),
    ("anthropic-fast-input-tokens-remaining", "anthropic-fast-input-tokens-reset"),
    ("anthropic-fast-output-tokens-remaining", "anthropic-fast-output-tokens-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
    ("ratelimitbysize-remaining", "ratelimitbysize-reset"),
];

fn resets(headers: &dyn Headers, now: Wall) -> Option<Stated> {
    let used_up = |name: &str| headers.get(name).and_then(remaining).is_some_and(|left| left <= 0.0);
    let named = LIMITS
        .iter()
        .filter(|(remaining, _)| used_up(remaining))
        .filter_map(|(_, reset)| read(headers.get(reset)?, now));
    // The nameless limit is sent on rejections alone, sometimes without saying what remains.
    let nameless = headers
        .get("x-ratelimit-reset")
        .filter(|_| headers.get("x-ratelimit-remaining").is_none() || used_up("x-ratelimit-remaining"))
        .and_then(|reset| read(reset, now));
    let structured = headers.get("ratelimit").and_then(|field| structured(field, now));
    named.chain(nameless).chain(structured).max_by_key(|stated| stated.wait)
}

fn remaining(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// `RateLimit: "minute";r=0;t=30, "day";r=5;t=3600` of the IETF draft (httpapi-ratelimit-headers-10): `r` is what
/// remains, `t` the seconds until it is back.
fn structured(field: &str, now: Wall) -> Option<Stated> {
    let value = |item: &str, key: &str| {
        item.split(';').find_map(|part| part.trim().strip_prefix(key).map(str::to_owned))
    };
    field
        .split(',')
        .filter(|item| value(item, "r=").and_then(|left| remaining(&left)).is_some_and(|left| left <= 0.0))
        .filter_map(|item| read(&value(item, "t=")?, now))
        .max_by_key(|stated| stated.wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        for pattern in [LENGTH, MOMENT] {
            assert!(Regex::new(pattern).is_ok(), "{pattern}");
        }
    }
}
