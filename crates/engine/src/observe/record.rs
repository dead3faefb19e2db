//! One request as the log tells it. Holds names and numbers only: no prompt, no answer, no key.

use std::sync::Arc;
use std::time::Duration;

use super::line::{Object, member};
use crate::call::{Errand, Priority};
use crate::trail::{AttemptNote, Trail};

/// One request, told once, when it is over.
#[derive(Debug, Clone)]
pub struct Record {
    /// When the request began, unix milliseconds.
    pub at_ms: u64,
    /// Who asked for what.
    pub about: About,
    /// How an answer was found.
    pub path: Path,
    /// How it ended.
    pub outcome: Outcome,
    /// Class of the last failure, or of what its targets rest from, when the request failed; of the fault, when its
    /// stream was cut; kind of problem, when it was rejected or no target could serve it.
    pub error_class: Option<&'static str>,
    /// How long it took.
    pub timing: Timing,
    /// Tokens of the answering call, when the provider told.
    pub tokens: Option<Tokens>,
    /// Cost of the answering call in USD, when its price is known.
    pub cost_usd: Option<f64>,
}

impl Record {
    /// As a JSON object: members that say nothing are left out.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.count(member!("at_ms"), self.at_ms);
        self.about.write(&mut line.object(member!("request")));
        self.path.write(&mut line.object(member!("path")));
        line.text(member!("outcome"), self.outcome.name());
        if let Some(class) = self.error_class {
            line.text(member!("error_class"), class);
        }
        {
            let mut timing = line.object(member!("timing"));
            timing.number(member!("latency_ms"), self.timing.latency_ms);
            if let Some(first_token) = self.timing.first_token_ms {
                timing.number(member!("first_token_ms"), first_token);
            }
        }
        if let Some(tokens) = &self.tokens {
            tokens.write(&mut line.object(member!("tokens")));
        }
        if let Some(cost) = self.cost_usd {
            line.number(member!("cost_usd"), cost);
        }
    }
}

/// Who asked for what.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Request id, also in the response headers.
    pub id: Arc<str>,
    /// Name of the caller's key; `anonymous` without keys.
    pub caller: Arc<str>,
    /// End user as the caller named them.
    pub user: Option<String>,
    /// Agent or program that asks, as the caller named it.
    pub agent: Option<String>,
    /// How urgent the caller said it is.
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

    fn write(&self, object: &mut Object<'_>) {
        object.text(member!("id"), &self.id);
        object.text(member!("caller"), &self.caller);
        if let Some(user) = &self.user {
            object.text(member!("user"), user);
        }
        if let Some(agent) = &self.agent {
            object.text(member!("agent"), agent);
        }
        if let Some(priority) = self.priority {
            object.text(member!("priority"), priority.name());
        }
        object.text(member!("route"), &self.route);
        object.text(member!("dialect"), self.dialect);
        object.truth(member!("stream"), self.stream);
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Default)]
pub struct Path {
    /// First target of the chain.
    pub primary: Option<Arc<str>>,
    /// Target that answered.
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

impl Path {
    fn write(&self, object: &mut Object<'_>) {
        if let Some(primary) = &self.primary {
            object.text(member!("primary"), primary);
        }
        if let Some(answered_by) = &self.answered_by {
            object.text(member!("final"), answered_by);
        }
        object.truth(member!("fallback_used"), self.fallback_used);
        object.count(member!("calls"), self.calls);
        object.count(member!("retries"), self.retries);
        object.list(member!("attempts"), &self.attempts.0.attempts, attempt);
    }
}

/// What a provider, and through it the caller, said may not be in the log.
fn attempt(note: &AttemptNote, object: &mut Object<'_>) {
    object.text(member!("target"), &note.target);
    object.text(member!("result"), note.result);
    if let Some(rests) = note.rests {
        object.text(member!("rests"), rests);
    }
    if !note.gist.is_empty() {
        object.text(member!("reason"), &note.gist);
    }
    if let Some(status) = note.status {
        object.count(member!("status"), status);
    }
    if let Some(took) = note.took_ms {
        object.number(member!("took_ms"), took);
    }
}

/// Every target considered; shared with the answer, not copied for the log.
#[derive(Debug, Clone, Default)]
pub struct Attempts(pub Arc<Trail>);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Outcome {
    /// As the log names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
            Self::Rejected => "rejected",
        }
    }
}

/// How long it took, in milliseconds from the first byte of the request.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// To the end.
    pub latency_ms: f64,
    /// To the first content, when there was any.
    pub first_token_ms: Option<f64>,
}

/// Milliseconds with microseconds behind the point.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy)]
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

impl Tokens {
    fn write(self, object: &mut Object<'_>) {
        object.count(member!("input"), self.input);
        object.count(member!("cached"), self.cached);
        object.count(member!("output"), self.output);
        object.count(member!("reasoning"), self.reasoning);
    }
}
