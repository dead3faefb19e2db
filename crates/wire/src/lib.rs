//! Every LLM wire format, both directions, as pure translation.
//!
//! Knows nothing about sockets, clocks, randomness, logging or HTTP clients: bytes and values in, bytes and
//! values out. Each format translates to and from one hub ([`chat`], [`event`]), so formats cost N and not N².
//!
//! Reading order: [`chat`] and [`event`] (what is said), [`mod@format`] (the two traits a format implements),
//! [`sse`] → [`driver`] → [`laws`] (how a stream is read), [`fold`] (streams and whole
//! answers), [`wires`] (the formats themselves).

pub mod chat;
pub mod driver;
pub mod error_body;
pub mod event;
pub mod fold;
pub mod format;
pub mod json;
pub mod laws;
pub mod nearest;
pub mod outline;
pub mod problem;
pub mod refusal;
pub mod sse;
pub mod target;
pub mod wires;

pub use chat::{ChatRequest, ChatResponse};
pub use format::{Dialect, Wire};
