//! A complete answer into the hub.

use super::candidate::{Candidate, Ids, Piece, block_reason, candidate, finish, text_of, usage};
use super::words::{Medium, medium};
use crate::chat::{ChatResponse, Choice, Document, Finish, Media, Part, Thinking};
use crate::error_body::ErrorBody;
use crate::format::Flaw;
use serde_json::Value;

/// Reads a complete answer.
///
/// # Errors
/// [`Flaw::Failed`] for an error under a success status, [`Flaw::Refused`] for a blocked prompt, [`Flaw::Empty`] for
/// an answer that ended normally and says nothing, [`Flaw::Malformed`] for everything that is no finished answer.
pub(super) fn parse(body: &[u8]) -> Result<ChatResponse, Flaw> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| Flaw::Malformed("the answer is not valid JSON"))?;
    if let Some(error) = ErrorBody::in_success(&answer) {
        return Err(Flaw::Failed(Box::new(error)));
    }
    let candidates = answer.get("candidates").and_then(Value::as_array);
    let Some(candidates) = candidates.filter(|candidates| !candidates.is_empty()) else {
        return Err(
            block_reason(&answer).map_or(Flaw::Malformed("the answer has no candidates"), Flaw::Refused)
        );
    };
    let id = text_of(&answer, "responseId");
    let mut choices = Vec::with_capacity(candidates.len());
    let mut silent = true;
    for value in candidates {
        let (candidate, _) = candidate(value, &id, |_| Ids::default()).map_err(Flaw::Malformed)?;
        silent &= candidate.pieces.is_empty();
        choices.push(choice(candidate).map_err(Flaw::Malformed)?);
    }
    // Without a word the other reasons still explain themselves; a plain stop does not.
    if silent && choices.iter().all(|choice| choice.finish == Finish::Stop) {
        return Err(Flaw::Empty);
    }
    let model = text_of(&answer, "modelVersion");
    Ok(ChatResponse { id, model, created: None, choices, usage: usage(&answer) })
}

fn choice(candidate: Candidate) -> Result<Choice, &'static str> {
    let ending = candidate.ending.ok_or("a candidate has no finish reason")?;
    let mut parts = Vec::with_capacity(candidate.pieces.len());
    for piece in candidate.pieces {
        match piece {
            Piece::Text(text, seal) => {
                if !text.is_empty() {
                    parts.push(Part::Text(text));
                }
                if seal.is_some() {
                    parts.push(Part::Thinking(Thinking { text: String::new(), seal }));
                }
            }
            Piece::Thought(text, seal) => parts.push(Part::Thinking(Thinking { text, seal })),
            Piece::Call(call) => parts.push(Part::ToolCall(call)),
            Piece::Media(media) => parts.push(shown(media)),
            Piece::Other => {}
        }
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Ok(Choice { finish: finish(ending, has_calls)?, parts, logprobs: candidate.logprobs })
}

fn shown(media: Media) -> Part {
    match media.mime.as_deref().map(medium) {
        Some(Medium::Image) | None => Part::Image(media),
        Some(Medium::Audio) => Part::Audio(media),
        Some(Medium::File | Medium::Video) => Part::File(Document { name: None, media }),
    }
}
