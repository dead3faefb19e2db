//! The formats themselves, one module each. A new wire is its own file (a folder of `mod`, `request`,
//! `response`, `stream` past 600 lines) and one line in each table here.

pub mod anthropic;
pub mod gemini;
pub mod openai_chat;
pub mod plain;

use crate::format::{Dialect, Wire};

/// Every wire a provider may speak.
pub static WIRES: &[&dyn Wire] = &[&openai_chat::OpenAiChat, &anthropic::Anthropic, &gemini::Gemini];

/// Every dialect a caller may speak.
pub static DIALECTS: &[&dyn Dialect] =
    &[&openai_chat::OpenAiChat, &anthropic::Anthropic, &gemini::Gemini, &plain::PlainChat, &plain::PlainRun];

/// The wire with this name.
#[must_use]
pub fn wire(name: &str) -> Option<&'static dyn Wire> {
    WIRES.iter().copied().find(|wire| wire.name() == name)
}
