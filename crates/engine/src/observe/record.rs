//! One request as the log tells it. Holds names and numbers only: no prompt, no answer, no key.

use serde::{Serialize, Serializer};
use std::sync::Arc;
use std::time::Duration;

use crate::call::{Errand, Priority};
use crate::trail::Trail;

/// One request, told once, when it is over.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When the request began, unix milliseconds.
    pub at_ms: u64,
    /// Who asked for what.
    #[serde(rename = "request")]
    pub about: About,
    /// How an answer was found.
    pub path: Path,
    /// How it ended.
    pub outcome: Outcome,
    /// Class of the last failure, or of what its targets rest from, when the request failed; of the fault, when its
    /// stream was cut; kind of problem, when it was rejected or no target could serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<&'static str>,
    /// How long it took.
    pub timing: Timing,
    /// Tokens of the answering call, when the provider told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Cost of the answering call in USD, when its price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// Who asked for what.
#[derive(Debug, Clone, Serialize, Default)]
pub struct About {
    /// Request id, also in the response headers.
    pub id: Arc<str>,
    /// Name of the caller's key; `anonymous` without keys.
    pub caller: Arc<str>,
    /// End user as the caller named them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Agent or program that asks, as the caller named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// How urgent the caller said it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Route that served it; empty when no target was considered.
    pub route: Arc<str>,
    /// Dialect of the caller.
    pub dialect: &'static str,
    /// The answer was streamed.
    pub stream: bool,
}

impl About {
    /// What an errand says, before anything came of it.
    pub(crate) fn of(errand: &Errand, route: Arc<str>) -> Self {
        Self {
            id: errand.id.clone(),
            caller: errand.caller.name.clone(),
            user: errand.user.clone(),
            agent: errand.agent.clone(),
            priority: errand.priority,
            route,
            dialect: errand.dialect,
            stream: false,
        }
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Path {
    /// First target of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<Arc<str>>,
    /// Target that answered.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<Arc<str>>,
    /// Another target than the primary answered.
    pub fallback_used: bool,
    /// Calls sent upstream.
    pub calls: u32,
    /// Calls sent to a target that had failed this request before.
    pub retries: u32,
    /// Every target considered, in order, with what came of it.
    pub attempts: Attempts,
}

/// Every target considered; shared with the answer, not copied for the log.
#[derive(Debug, Clone, Default)]
pub struct Attempts(pub Arc<Trail>);

impl Serialize for Attempts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.attempts.serialize(serializer)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The caller got a complete answer.
    Answered,
    /// The caller got an error instead of an answer.
    Failed,
    /// The stream ended in an error event after content.
    Cut,
    /// The caller left before the end.
    Cancelled,
    /// unfail stopped before the end; the caller got an error, where it still could be told.
    Stopped,
    /// Turned away before any target was considered: a wrong key, body or model.
    Rejected,
}

/// How long it took, in milliseconds from the first byte of the request.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// To the end.
    pub latency_ms: f64,
    /// To the first content, when there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
}

/// Milliseconds with microseconds behind the point.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Tokens {
    /// Prompt, cached tokens included.
    pub input: u64,
    /// Of these, from a cache.
    pub cached: u64,
    /// Generated, reasoning included.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
}
