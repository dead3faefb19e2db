//! How a request ended, what it went through, and which of several failures its caller is told: the one the caller
//! can do most about.

use crate::classify::{Blame, Class, Fault};
use crate::plan::Skip;
use crate::time::Time;
use std::time::Duration;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The first content of this target's answer was forwarded.
    Committed {
        /// Its index in the chain.
        target: usize,
    },
    /// No target answered.
    Failed(Box<Failure>),
}

/// Why no target answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the caller is told.
    pub kind: FailureKind,
    /// When to try again: the soonest opening of a closed target. `None` when nothing is known to open, or when
    /// trying again would not help.
    pub retry_after: Option<Duration>,
    /// The last fault of that kind, else the last of all; `None` when no target was called.
    pub last: Option<Fault>,
}

/// What a caller is told when no target answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request itself is wrong; the provider's answer goes back as it is.
    ClientFault,
    /// The prompt fits no allowed target.
    TooLong,
    /// The prompt or answer was declined by policy.
    Refused,
    /// Rate limits; waiting helps.
    Limited,
    /// Overload or open breakers; trying later helps.
    Overloaded,
    /// Targets were too slow.
    Timeout,
    /// Targets failed or answered nonsense.
    Broken,
    /// Our own means are used up: no descriptors are left for connections. The operator's fault; waiting may help.
    Exhausted,
    /// Credit, spend caps or daily and monthly quotas are used up.
    Quota,
    /// Keys or models are set up wrongly: the operator's fault.
    Misconfigured,
    /// No target of the chain can or may serve the request.
    NoTarget,
    /// Time ran out.
    Deadline,
    /// The caller left.
    Cancelled,
}

impl FailureKind {
    /// Name in logs and metrics, e.g. `limited`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientFault => "client_fault",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Exhausted => "exhausted",
            Self::Quota => "quota",
            Self::Misconfigured => "misconfigured",
            Self::NoTarget => "no_target",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind one fault leads to when nothing else happened.
    pub(crate) fn of(fault: &Fault) -> Self {
        if fault.blame == Blame::Gateway {
            return Self::Exhausted;
        }
        match fault.class {
            Class::ClientBug => Self::ClientFault,
            Class::TooLong => Self::TooLong,
            Class::Refused => Self::Refused,
            Class::RateLimited => Self::Limited,
            Class::Overloaded => Self::Overloaded,
            Class::Timeout => Self::Timeout,
            Class::PreSend | Class::Transient | Class::Malformed | Class::MidStream => Self::Broken,
            Class::Quota => Self::Quota,
            Class::Auth | Class::Config => Self::Misconfigured,
            Class::Cancelled => Self::Cancelled,
        }
    }

    /// Smaller is more actionable: what the caller can mend, then what waiting mends, then what only the operator
    /// can mend.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::ClientFault => 0,
            Self::TooLong => 1,
            Self::Refused => 2,
            Self::Limited => 3,
            Self::Overloaded => 4,
            Self::Timeout => 5,
            Self::Broken => 6,
            Self::Exhausted => 7,
            Self::Quota => 8,
            Self::Misconfigured => 9,
            Self::NoTarget => 10,
            Self::Deadline => 11,
            Self::Cancelled => 12,
        }
    }

    /// Trying the same request again later can help.
    pub(crate) const fn may_pass(self) -> bool {
        !matches!(self, Self::ClientFault | Self::TooLong | Self::Refused | Self::NoTarget | Self::Cancelled)
    }
}

/// What keeps a target closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A rate limit.
    Limited,
    /// A used-up quota, or credit.
    Quota,
    /// A refused credential.
    Credential,
    /// A model that is not there.
    Missing,
    /// Its breaker.
    Breaker,
}

impl Why {
    /// Name in logs, metrics and trails, e.g. `breaker`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Quota => "quota",
            Self::Credential => "credential",
            Self::Missing => "missing",
            Self::Breaker => "breaker",
        }
    }

    /// The kind it leads to when every target is closed for it.
    pub(crate) const fn kind(self) -> FailureKind {
        match self {
            Self::Limited => FailureKind::Limited,
            Self::Quota => FailureKind::Quota,
            Self::Credential | Self::Missing => FailureKind::Misconfigured,
            Self::Breaker => FailureKind::Overloaded,
        }
    }
}

/// One line of a request's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Index in the chain.
    pub target: usize,
    /// When it began.
    pub at: Time,
    /// How long the call took, to its failure or first content; zero when there was no call.
    pub took: Duration,
    /// What became of it.
    pub result: EntryResult,
}

/// What became of a target, or of one call to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryResult {
    /// It cannot serve this request.
    Skipped(Skip),
    /// It is closed until then.
    Closed(Why, Time),
    /// The call failed.
    Failed(Box<Fault>),
    /// The call answered.
    Answered,
}
