//! Server-sent events from bytes that may be split anywhere.

use bytes::Bytes;

/// One event, one comment, or stray bytes between events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they came, terminator included.
    pub raw: Bytes,
    /// The `event:` field; empty when absent.
    pub event: Bytes,
    /// The `data:` lines joined by `\n`; a slice of `raw` when there was one line.
    pub data: Bytes,
    /// What it is.
    pub kind: FrameKind,
}

/// What a [`Frame`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// An event with data.
    Event,
    /// Only comments, ids or retries: keeps the connection alive and says nothing.
    Silence,
    /// Lines that are no server-sent events at all (a bare JSON error, HTML); they stand in `data`.
    Stray,
}
