//! Everything that was considered for one request, in the order in which it happened.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// One target considered.
#[derive(Debug, Clone, Default)]
pub struct AttemptNote {
    /// The target.
    pub target: Arc<str>,
    /// `ok`, a failure class, `resting` or `skipped`.
    pub result: &'static str,
    /// What a resting target rests from: `limited`, `breaker`, `credential`, `quota` or `missing`.
    pub rests: Option<&'static str>,
    /// Why, in words; may quote what the provider, and through it the caller, said. Not for the log.
    pub reason: String,
    /// Why, as far as machines and unfail itself said it.
    pub gist: String,
    /// Status the provider answered with.
    pub status: Option<u16>,
    /// Milliseconds the call took.
    pub took_ms: Option<f64>,
}

/// Targets whose reason is told in a message; the trail has all of them.
const UNCALLED_TOLD: usize = 4;

/// Every target considered for a request, in order, with what came of it.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Route that served the request.
    pub route: Arc<str>,
    /// Targets and results.
    pub attempts: Vec<AttemptNote>,
    /// Calls sent upstream.
    pub calls: u32,
    /// Calls sent to a target that had failed this request before.
    pub retries: u32,
}

impl Trail {
    /// `anthropic:rate_limited,gemini:ok`: the provider and the result of each; `gemini:resting(breaker)` for one that
    /// was not called.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut text = String::new();
        for attempt in &self.attempts {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(attempt.target.split('/').next().unwrap_or_default());
            text.push(':');
            text.push_str(attempt.result);
            if let Some(why) = attempt.rests {
                text.push('(');
                text.push_str(why);
                text.push(')');
            }
        }
        text
    }

    /// The same, of an answer that broke off after it had begun: the last target did not answer after all.
    pub(crate) fn cut(&self, class: &'static str, reason: String, gist: String) -> Self {
        let mut trail = self.clone();
        if let Some(last) = trail.attempts.last_mut() {
            (last.result, last.reason, last.gist) = (class, reason, gist);
        }
        trail
    }

    /// Why no target was called, for people: `gemini/…: rate limited, next try in 3 s; …`. Empty when all were.
    pub(crate) fn uncalled(&self) -> String {
        let uncalled = self.attempts.iter().filter(|attempt| attempt.took_ms.is_none());
        let told: Vec<String> =
            uncalled.map(|attempt| format!("{}: {}", attempt.target, attempt.reason)).collect();
        let (shown, rest) = told.split_at(told.len().min(UNCALLED_TOLD));
        let mut text = shown.join("; ");
        if !rest.is_empty() {
            text.push_str(&format!("; and {} more", rest.len()));
        }
        text
    }

    /// The headers of developer mode that tell how an answer was, or was not, found.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        put(headers, ROUTE, &self.route);
        headers.insert(ATTEMPTS, HeaderValue::from(self.calls));
        put(headers, TRAIL, &self.compact());
    }
}

const ROUTE: HeaderName = HeaderName::from_static("x-unfail-route");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-unfail-attempts");
const TRAIL: HeaderName = HeaderName::from_static("x-unfail-trail");

/// Sets a header if the value can stand in one.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
