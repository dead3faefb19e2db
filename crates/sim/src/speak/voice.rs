//! What every simulated wire can do, and the types it is said in. No wire is named here.

use std::time::Duration;

use serde_json::Value;

use crate::act::Refusal;
use crate::brain::{Prompt, Reply};
use crate::flavour::{Flavour, Header, Told, header};
use crate::http1::Request;

/// A call that passed the vendor's checks.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) prompt: Prompt,
    pub(crate) delivery: Delivery,
    /// Answers wanted.
    pub(crate) choices: u32,
    /// Usage wanted in the stream.
    pub(crate) usage: bool,
    /// Random padding wanted in the stream.
    pub(crate) padding: bool,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// One JSON body.
    Whole,
    /// Server-sent events.
    Events,
    /// One JSON array, written piece by piece.
    Array,
}

/// Facts about one answer that no wire may make up.
#[derive(Debug, Clone)]
pub(crate) struct Scene<'a> {
    pub(crate) flavour: &'a Flavour,
    /// Number of the call, from 1; ids are made of it.
    pub(crate) serial: u64,
    /// Since the Unix epoch.
    pub(crate) wall: Duration,
    /// Spent on this call so far.
    pub(crate) spent: Duration,
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
}

impl Plain {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![header("content-type", "application/json")];
        Plain { status, headers, body: body.to_string().into_bytes() }
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        let headers = vec![header("content-type", "text/html; charset=UTF-8")];
        Plain { status, headers, body: body.as_bytes().to_vec() }
    }

    pub(crate) fn with(mut self, headers: impl IntoIterator<Item = Header>) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// One write of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) piece: Piece,
    pub(crate) bytes: Vec<u8>,
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Opens the stream or a part of it.
    Open,
    /// Carries a token of the answer.
    Token,
    /// Says how the answer ended and what it cost.
    Close,
    /// The wire's end marker.
    End,
}

impl Frame {
    pub(crate) fn new(piece: Piece, bytes: impl Into<Vec<u8>>) -> Self {
        Frame { piece, bytes: bytes.into() }
    }
}

/// What a request is for, by its method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Generate,
    Count,
    Models,
    Model(String),
    Unknown,
}

/// Whether the key of a request is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFault {
    Missing,
    Wrong,
}

/// A wire, as its vendor speaks it.
pub(crate) trait Voice: Sync {
    fn route(&self, request: &Request) -> Route;
    /// The credential of a request, from wherever the vendor takes it.
    fn key<'r>(&self, request: &'r Request) -> Option<&'r str>;
    fn key_refused(&self, fault: KeyFault, scene: &Scene<'_>) -> Plain;
    /// No such path, or not with this method.
    fn lost(&self, request: &Request, scene: &Scene<'_>) -> Plain;
    /// Reads a call as strictly as the vendor does.
    fn read(&self, request: &Request, route: &Route, scene: &Scene<'_>) -> Result<Ask, Plain>;
    fn answer(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value;
    fn frames(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame>;
    fn count(&self, ask: &Ask) -> Value;
    fn models(&self, scene: &Scene<'_>) -> Value;
    fn model(&self, id: &str, scene: &Scene<'_>) -> Value;
    /// An error of the vendor; none where this wire says it in an answer.
    fn refuse(&self, refusal: Refusal, ask: &Ask, scene: &Scene<'_>) -> Option<Plain>;
    fn limited(&self, told: &Told, ask: &Ask, scene: &Scene<'_>) -> Plain;
    /// The error frame of a stream that has begun. `first` when no frame went before it.
    fn error_frame(&self, ask: &Ask, scene: &Scene<'_>, first: bool) -> Vec<u8>;
    /// A frame that is framed well and decodes to nothing. `first` when no frame went before it.
    fn malformed_frame(&self, ask: &Ask, first: bool) -> Vec<u8>;
    /// Header fields of every response.
    fn headers(&self, scene: &Scene<'_>) -> Vec<Header>;
}
