//! The wires: one folder each, written from the vendors' documents and from nothing of this project.

mod anthropic;
pub(crate) mod check;
mod gemini;
mod openai_chat;
pub(crate) mod page;
pub(crate) mod voice;

use std::fmt;
use std::str::FromStr;

use self::voice::Voice;
use crate::flavour::Flavour;

/// The wire a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// Chat completions.
    OpenAiChat,
    /// Messages.
    Anthropic,
    /// Content generation.
    Gemini,
}

impl Speaks {
    /// All of them.
    pub const ALL: [Speaks; 3] = [Speaks::OpenAiChat, Speaks::Anthropic, Speaks::Gemini];

    /// The flavour of the wire's own vendor.
    #[must_use]
    pub fn flavour(self) -> Flavour {
        match self {
            Speaks::OpenAiChat => Flavour::OPENAI_CHAT,
            Speaks::Anthropic => Flavour::ANTHROPIC,
            Speaks::Gemini => Flavour::GEMINI,
        }
    }

    /// The name of the format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Speaks::OpenAiChat => "openai-chat",
            Speaks::Anthropic => "anthropic",
            Speaks::Gemini => "gemini",
        }
    }

    pub(crate) fn voice(self) -> &'static dyn Voice {
        match self {
            Speaks::OpenAiChat => &openai_chat::OpenAiChat,
            Speaks::Anthropic => &anthropic::Anthropic,
            Speaks::Gemini => &gemini::Gemini,
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// No wire has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWire(String);

impl fmt::Display for UnknownWire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unknown wire `{}`", self.0)
    }
}

impl std::error::Error for UnknownWire {}

impl FromStr for Speaks {
    type Err = UnknownWire;

    fn from_str(name: &str) -> Result<Self, UnknownWire> {
        Speaks::ALL.into_iter().find(|wire| wire.name() == name).ok_or_else(|| UnknownWire(name.to_owned()))
    }
}
