//! An error as a caller is told it, before a dialect gives it a body.

use std::time::Duration;

/// What went wrong, for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which typed error of an SDK it becomes.
    pub kind: ProblemKind,
    /// HTTP status, set where the reply is made; formats that repeat it in the body read it here.
    pub status: u16,
    /// What happened and what to do, in words; never a secret.
    pub message: String,
    /// Machine-readable detail (`context_length_exceeded`), when there is one more exact than the kind.
    pub code: Option<String>,
    /// Offending field of the caller's body.
    pub param: Option<String>,
    /// When to try again, when that is known.
    pub retry_after: Option<Duration>,
    /// Id of the request, for formats that put it in the body.
    pub request_id: String,
    /// How each target failed, one line each, when the operator lets callers see it.
    pub trail: Option<String>,
}

/// Kinds of problem every dialect has a word for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The body or a parameter is wrong.
    Invalid,
    /// The caller's key is missing or unknown.
    Authentication,
    /// The caller may not do this.
    Permission,
    /// No such model, route or path.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// The prompt is longer than any allowed target takes.
    ContextLength,
    /// The prompt or answer was declined by policy.
    Refused,
    /// A rate limit; try again later.
    RateLimited,
    /// Every target's quota or credit is used up; trying again soon does not help.
    Quota,
    /// Every target is overloaded or down for now.
    Overloaded,
    /// No target answered in time.
    Timeout,
    /// Targets failed or answered nonsense.
    Upstream,
    /// A fault of unfail itself.
    Internal,
}

impl ProblemKind {
    /// All kinds, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Invalid,
        Self::Authentication,
        Self::Permission,
        Self::NotFound,
        Self::TooLarge,
        Self::ContextLength,
        Self::Refused,
        Self::RateLimited,
        Self::Quota,
        Self::Overloaded,
        Self::Timeout,
        Self::Upstream,
        Self::Internal,
    ];

    /// Name in logs and in the plain dialects, e.g. `rate_limited`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::ContextLength => "context_length",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}
