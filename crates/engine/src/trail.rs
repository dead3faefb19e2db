//! Everything that was considered for one request, in the order in which it happened.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use std::sync::Arc;

/// One target considered.
#[derive(Debug, Clone, Serialize, Default)]
pub struct AttemptNote {
    /// The target.
    pub target: Arc<str>,
    /// `ok`, a failure class, `closed` or `skipped`.
    pub result: &'static str,
    /// Why, in words; may quote what the provider, and through it the caller, said. Not for the log.
    #[serde(skip)]
    pub reason: String,
    /// Why, as far as machines and unfail itself said it.
    #[serde(rename = "reason", skip_serializing_if = "String::is_empty")]
    pub gist: String,
    /// Status the provider answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds the call took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
}

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
    /// `anthropic:rate_limited,gemini:ok`: the provider and the result of each.
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
