//! Why a request is not carried on: its body is wrong, or it cannot be said. Plain data, no judgement of whose
//! turn is next.

/// The caller's body is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Path of the offending field (`messages[2].role`), when there is one.
    pub param: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a body could not be read into the hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's fault.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Valid, but only a target of the same wire can be told.
    #[error(transparent)]
    Unspeakable(#[from] Unspeakable),
}

/// A request cannot be said in a wire or to a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot express {what}")]
pub struct Unspeakable {
    /// What has no words there, e.g. "custom tools".
    pub what: &'static str,
}
