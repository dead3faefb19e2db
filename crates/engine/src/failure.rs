//! Why a request got no answer, and everything that was tried.

use std::sync::Arc;
use std::time::Duration;

pub use crate::trail::Trail;
pub use unfail_policy::attempt::FailureKind;

/// A request that got no (complete) answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Whose fault it is and what can be done.
    pub kind: FailureKind,
    /// What happened, in words; the last provider's own where that helps. Without secrets.
    pub message: String,
    /// The provider's machine code for a fault of the caller.
    pub code: Option<String>,
    /// The parameter at fault, for a fault of the caller.
    pub param: Option<String>,
    /// When trying again can succeed, as far as is known.
    pub retry_after: Option<Duration>,
    /// Everything that was considered.
    pub trail: Arc<Trail>,
}

/// Code of a failure that is unfail's own end.
const STOPPED: &str = "server_stopping";

/// The failure of a request that was under way when unfail had to stop.
pub(crate) fn stopped(trail: Arc<Trail>) -> Failure {
    Failure {
        kind: FailureKind::Overloaded,
        message: "unfail is stopping and ended this request; try again elsewhere".to_owned(),
        code: Some(STOPPED.to_owned()),
        param: None,
        retry_after: None,
        trail,
    }
}

impl Failure {
    /// Whether the caller's SDK should try again by itself: only when nothing was sent upstream and the wait is
    /// known, or when unfail stopped and another may answer. Everything else has been tried as often as is good.
    #[must_use]
    pub fn worth_retrying(&self) -> bool {
        let stopped = self.code.as_deref() == Some(STOPPED);
        stopped
            || (self.trail.calls == 0
                && self.retry_after.is_some()
                && matches!(self.kind, FailureKind::Limited | FailureKind::Overloaded))
    }
}
