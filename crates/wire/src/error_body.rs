//! What an error body says, whoever sent it: read leniently from any bytes, never failing.
//!
//! Providers wrap errors in objects, arrays, flat objects, strings, HTML and plain text; `code` may be text, a
//! number or null. This module finds the facts; `policy::classify` decides what they mean.

/// Facts found in an error body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorBody {
    /// The provider's words, at most 2 kB; empty when there were none.
    pub message: String,
    /// Machine codes, most specific first: detail reasons, error codes, types, RPC status names.
    pub codes: Vec<String>,
    /// Offending parameter, when named.
    pub param: Option<String>,
    /// Status repeated in the body (or its only status, inside a stream).
    pub status: Option<u16>,
    /// Quota ids that were violated (`…PerMinute…`, `…PerDay…`).
    pub quotas: Vec<String>,
    /// Wait stated by the body in any of the usual texts: `38.2s`, `1500ms`, seconds, an instant.
    pub wait: Option<String>,
    /// The input was flagged by moderation.
    pub flagged: bool,
}
