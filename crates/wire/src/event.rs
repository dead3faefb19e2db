//! The hub's stream: what happens while an answer arrives.
//!
//! Order, per answer: `Start`, then deltas and one `Finish` per choice, `End` last; `Usage` anywhere between.
//! [`crate::laws`] states it exactly.

use crate::chat::{Finish, Seal, Usage};
use serde_json::Value;

/// One thing that happened in a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The provider has begun; says nothing about content yet.
    Start {
        /// Id the provider gave, may be empty.
        id: String,
        /// Model that answers, may be empty.
        model: String,
    },
    /// More of one choice.
    Delta {
        /// Index of the choice; 0 unless several were asked for.
        choice: u32,
        /// What was added.
        delta: Delta,
    },
    /// A choice is complete.
    Finish {
        /// Index of the choice.
        choice: u32,
        /// Why it ended.
        finish: Finish,
    },
    /// Tokens used so far; the last one counts.
    Usage(Usage),
    /// The stream ended as the wire says a complete stream ends.
    End,
}

/// What was added to a choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Text.
    Text(String),
    /// Visible reasoning.
    Thinking(String),
    /// Opaque state that closes the current reasoning (or the whole redacted block).
    ThinkingSeal(Seal),
    /// A call begins. `call` counts the calls of this choice from 0; calls may interleave.
    ToolCall {
        /// Index of the call within the choice.
        call: u32,
        /// Link to the result.
        id: String,
        /// Function name.
        name: String,
        /// Opaque state the provider wants back on this call.
        seal: Option<Seal>,
    },
    /// More of a call's JSON text.
    Arguments {
        /// Index of the call within the choice.
        call: u32,
        /// The next piece of the JSON text; any split.
        json: String,
    },
    /// The model declines.
    Refusal(String),
    /// Log probabilities for the text just sent, OpenAI shape.
    Logprobs(Value),
}

impl Event {
    /// Content the caller would see: after such an event is forwarded the answer is committed.
    /// Empty text, role-only deltas, seals and usage are not content.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::Delta { delta, .. } => match delta {
                Delta::Text(text) | Delta::Thinking(text) | Delta::Refusal(text) => !text.is_empty(),
                Delta::ToolCall { .. } | Delta::Arguments { .. } => true,
                Delta::ThinkingSeal(_) | Delta::Logprobs(_) => false,
            },
            Self::Start { .. } | Self::Finish { .. } | Self::Usage(_) | Self::End => false,
        }
    }
}
