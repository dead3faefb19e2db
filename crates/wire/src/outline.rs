//! What one borrowed scan of a request tells: enough to choose targets without reading it into the hub.

use crate::json::Members;
use crate::refusal::Unspeakable;
use std::borrow::Cow;

/// Facts of a request, borrowed from its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline<'a> {
    /// Model as the caller named it; empty when the dialect lets it out.
    pub model: Cow<'a, str>,
    /// More models to fall through to (`models`, `fallbacks`).
    pub fallbacks: Vec<Cow<'a, str>>,
    /// Stream the answer.
    pub stream: bool,
    /// A streaming caller asked for a usage event.
    pub stream_usage: bool,
    /// What a target must be able to do.
    pub needs: Needs,
    /// Opaque id of the end user.
    pub user: Option<Cow<'a, str>>,
    /// No message holds more than a usual role and one text: nothing inside them needs adapting.
    pub(crate) plain_messages: bool,
    /// Where the top-level members of the body stand, when the scan could note it in passing: adapting the body then
    /// needs no scan of its own.
    pub(crate) members: Option<Members<'a>>,
}

impl<'a> Outline<'a> {
    /// Where the members of the body stand.
    ///
    /// # Errors
    /// When `body` is not the one outlined here, and no JSON object.
    pub(crate) fn members_of(&self, body: &'a [u8]) -> Result<Cow<'_, Members<'a>>, Unspeakable> {
        if let Some(members) = self.members.as_ref().filter(|members| members.are_of(body)) {
            return Ok(Cow::Borrowed(members));
        }
        // The outline has already refused bodies that repeat a member anyone acts on.
        let members = Members::scan(body, &[]);
        members.map(Cow::Owned).map_err(|_| Unspeakable { what: "a body that is no JSON object" })
    }
}

/// What a target must be able to do to serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Estimated prompt tokens: bytes / 4 · 1.1, at least 1; inline media counted as [`MEDIA_TOKENS`] each.
    pub input_tokens: u64,
    /// Output limit the caller set: the largest of all it declared.
    pub max_output_tokens: Option<u64>,
    /// Functions are offered or called.
    pub tools: bool,
    /// A call is demanded.
    pub forced_tool: bool,
    /// The answer must match a JSON schema.
    pub json_schema: bool,
    /// Pictures are shown.
    pub images: bool,
    /// Sound is played.
    pub audio: bool,
    /// Documents are shown.
    pub files: bool,
    /// Several alternative answers.
    pub many_choices: bool,
    /// Number of messages.
    pub messages: usize,
}

/// Prompt tokens assumed for one picture, sound or document, whose bytes say nothing about its tokens
/// (about one 1024×1024 picture on the large vendors).
pub const MEDIA_TOKENS: u64 = 1_000;

/// Tokens of `bytes` of prompt text: a quarter, plus a tenth for safety, at least one.
/// Source: the admission rule of the resilience specification (bytes / 4 · 1.1).
#[must_use]
pub const fn estimate_tokens(bytes: usize) -> u64 {
    let tokens = (bytes as u64).saturating_mul(11) / 40;
    if tokens == 0 { 1 } else { tokens }
}
