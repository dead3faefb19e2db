//! Reading what a provider answers: candidates and usage, the same in a complete answer and in a chunk of a
//! stream. Unknown members and unknown kinds of part are passed over; wrong types are not.

use super::logprobs;
use super::words::{Ending, ending, seal};
use crate::chat::{Finish, Media, Seal, Source, ToolCall, Usage};
use serde_json::Value;
use std::collections::HashSet;

/// What one part of an answer says.
#[derive(Debug)]
pub(super) enum Piece {
    /// Text, and the signature on it; the text may be empty when only the signature came.
    Text(String, Option<Seal>),
    /// Reasoning, likewise.
    Thought(String, Option<Seal>),
    /// A whole call, its id settled.
    Call(ToolCall),
    /// A picture or sound the model made.
    Media(Media),
    /// A kind of part the hub has no words for.
    Other,
}

/// One candidate, or one chunk's share of it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Which of the alternatives it is.
    pub(super) index: u32,
    /// What it says, empty text left out.
    pub(super) pieces: Vec<Piece>,
    /// Why it ended, once it has.
    pub(super) ending: Option<Ending>,
    /// Log probabilities in the hub's shape.
    pub(super) logprobs: Option<Value>,
}

/// Call ids of one candidate: kept where the provider gave usable ones, made where it did not.
#[derive(Debug, Default)]
pub(super) struct Ids {
    seen: HashSet<String>,
}

impl Ids {
    /// A given id is unusable when it is empty, `null` in words, or was given before. The made one depends on the
    /// answer alone, so reading it again gives the same, and differs between answers, so a history of several holds
    /// no id twice.
    fn settle(&mut self, given: &str, salt: &str) -> String {
        let mut id = given.to_owned();
        let mut turn = self.seen.len();
        while id.is_empty() || id == "null" || self.seen.contains(&id) {
            id = made_id(salt, turn);
            turn = turn.saturating_add(1);
        }
        self.seen.insert(id.clone());
        id
    }
}

/// `call_` and 24 letters or digits.
fn made_id(salt: &str, turn: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // FNV-1a with 128 bits: no secrecy wanted, only few collisions. Offset and prime are the published ones.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = salt.bytes().chain(turn.to_le_bytes());
    let mut hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    let mut id = "call_".to_owned();
    for _ in 0..24 {
        let digit = usize::try_from(hash % 62).unwrap_or_default();
        id.extend(ALPHABET.get(digit).map(|byte| char::from(*byte)));
        // 24 digits hold more than 128 bits: the rest is drawn by mixing on.
        hash = (hash / 62) ^ hash.wrapping_mul(PRIME).rotate_left(64);
    }
    id
}

/// Reads one entry of `candidates`.
///
/// # Errors
/// A few words when a member is of the wrong type.
pub(super) fn candidate(
    value: &Value,
    answer_id: &str,
    ids: impl FnOnce(u32) -> Ids,
) -> Result<(Candidate, Ids), &'static str> {
    let object = value.as_object().ok_or("a candidate is not an object")?;
    let index = object.get("index").and_then(Value::as_u64).unwrap_or_default();
    let index = u32::try_from(index).map_err(|_| "a candidate's index is too large")?;
    let mut ids = ids(index);
    let mut pieces = Vec::new();
    for part in parts(object.get("content"))? {
        pieces.extend(piece(part, &mut ids, answer_id, index)?);
    }
    let ending = match object.get("finishReason") {
        None | Some(Value::Null) => None,
        Some(Value::String(reason)) if reason == "FINISH_REASON_UNSPECIFIED" => None,
        Some(Value::String(reason)) => Some(ending(reason)),
        Some(_) => return Err("a finish reason is not a string"),
    };
    let logprobs = object.get("logprobsResult").and_then(logprobs::to_hub);
    Ok((Candidate { index, pieces, ending, logprobs }, ids))
}

fn parts(content: Option<&Value>) -> Result<impl Iterator<Item = &Value>, &'static str> {
    let parts = match content.unwrap_or(&Value::Null) {
        Value::Null => None,
        Value::Object(content) => content.get("parts").filter(|parts| !parts.is_null()),
        _ => return Err("a candidate's content is not an object"),
    };
    match parts {
        None => Ok([].iter()),
        Some(Value::Array(parts)) => Ok(parts.iter()),
        Some(_) => Err("a candidate's parts are not a list"),
    }
}

fn piece(part: &Value, ids: &mut Ids, answer_id: &str, index: u32) -> Result<Option<Piece>, &'static str> {
    let object = part.as_object().ok_or("a part is not an object")?;
    let seal = object.get("thoughtSignature").and_then(Value::as_str).and_then(seal);
    if let Some(text) = object.get("text") {
        let text = text.as_str().ok_or("a text is not a string")?.to_owned();
        if text.is_empty() && seal.is_none() {
            return Ok(None);
        }
        let thought = object.get("thought").and_then(Value::as_bool) == Some(true);
        return Ok(Some(if thought { Piece::Thought(text, seal) } else { Piece::Text(text, seal) }));
    }
    if let Some(call) = object.get("functionCall") {
        let call = call.as_object().ok_or("a function call is not an object")?;
        if call.contains_key("partialArgs") || call.contains_key("willContinue") || call.is_empty() {
            // A call in pieces, which only callers of this dialect can ask for.
            return Ok(Some(Piece::Other));
        }
        let name = call.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or("a function call has no name")?.to_owned();
        let arguments = match call.get("args") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(args) if args.is_object() => args.to_string(),
            Some(_) => return Err("a function call's arguments are not an object"),
        };
        let given = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = ids.settle(given, &format!("{answer_id}/{index}/{name}/{arguments}"));
        return Ok(Some(Piece::Call(ToolCall { id, name, arguments, seal })));
    }
    Ok(Some(inline(object.get("inlineData")).map_or(Piece::Other, Piece::Media)))
}

fn inline(blob: Option<&Value>) -> Option<Media> {
    let data = blob?.get("data")?.as_str()?.to_owned();
    let mime = blob?.get("mimeType").and_then(Value::as_str).map(str::to_owned);
    Some(Media { mime, source: Source::Inline(data), detail: None })
}

/// The hub's finish. `Err` says how the generation failed.
///
/// # Errors
/// The fault's words.
pub(super) fn finish(ending: Ending, has_calls: bool) -> Result<Finish, &'static str> {
    match ending {
        Ending::Stop if has_calls => Ok(Finish::ToolCalls),
        Ending::Stop => Ok(Finish::Stop),
        Ending::Length => Ok(Finish::Length),
        Ending::Filtered => Ok(Finish::ContentFilter),
        Ending::Fault(words) => Err(words),
    }
}

/// `usageMetadata`. Prompt counts include what was cached; candidates exclude thoughts, which the hub includes.
pub(super) fn usage(answer: &Value) -> Option<Usage> {
    let usage = answer.get("usageMetadata")?.as_object()?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or_default();
    let reasoning = count("thoughtsTokenCount");
    Some(Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        cache_read: count("cachedContentTokenCount"),
        cache_write: 0,
        output: count("candidatesTokenCount").saturating_add(reasoning),
        reasoning,
    })
}

/// Why the prompt was refused, when it was.
pub(super) fn block_reason(answer: &Value) -> Option<String> {
    let feedback = answer.get("promptFeedback")?;
    let reason =
        feedback.get("blockReason")?.as_str().filter(|reason| *reason != "BLOCK_REASON_UNSPECIFIED")?;
    let words = feedback.get("blockReasonMessage").and_then(Value::as_str);
    Some(words.map_or_else(|| reason.to_owned(), |words| format!("{reason}: {words}")))
}

/// A text member, empty when absent.
pub(super) fn text_of(answer: &Value, key: &str) -> String {
    answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
