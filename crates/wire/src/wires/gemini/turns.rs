//! The conversation as `contents`: user and model turns, results directly behind their calls.
//!
//! The wire's rules, kept here and nowhere else: consecutive turns of one role are one turn; a turn of results
//! follows its calls at once, with as many parts in the same order; no part is empty; system text is apart.

use super::part::{Reader, shown, sign, spoken};
use super::words::SKIP_SIGNATURE;
use crate::chat::{Message, Part, Role, ToolCall, ToolResult};
use crate::format::Unspeakable;
use serde_json::{Value, json};

/// What stands for the result of a call the caller never answered.
const UNANSWERED: &str = "no result was given for this call";

/// A conversation in this wire's words.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Parts of `systemInstruction`.
    pub(super) system: Vec<Value>,
    /// `contents`.
    pub(super) contents: Vec<Value>,
}

/// Writes a conversation. `stand_in`: the model demands a signature on the first call of every step, so calls made
/// by others get the documented stand-in.
///
/// # Errors
/// [`Unspeakable`] for media no provider of this wire fetches or in instructions, and for a conversation that opens
/// with a call or says nothing.
pub(super) fn talk(messages: &[Message], stand_in: bool) -> Result<Talk, Unspeakable> {
    let mut draft = Draft::default();
    for message in messages {
        draft.message(message)?;
    }
    draft.answer()?;
    let Draft { mut system, mut turns, .. } = draft;
    if turns.is_empty() {
        // Instructions alone are no conversation here; said as the user they still get their answer.
        turns.push(Turn { role: USER, parts: std::mem::take(&mut system), results: false });
    }
    match turns.first() {
        Some(first) if first.parts.is_empty() => {
            return Err(Unspeakable { what: "a conversation without content" });
        }
        Some(first) if first.parts.iter().any(is_call) => {
            return Err(Unspeakable { what: "a conversation that opens with a tool call" });
        }
        _ => {}
    }
    if stand_in {
        turns.iter_mut().for_each(Turn::stand_in);
    }
    let contents = turns.into_iter().map(|turn| json!({ "role": turn.role, "parts": turn.parts })).collect();
    Ok(Talk { system, contents })
}

const USER: &str = "user";
const MODEL: &str = "model";

#[derive(Debug)]
struct Turn {
    role: &'static str,
    parts: Vec<Value>,
    /// The parts are results: such a turn stays alone, its parts are counted.
    results: bool,
}

impl Turn {
    fn stand_in(&mut self) {
        let first = self.parts.iter_mut().find(|part| is_call(part));
        if let Some(call) = first.filter(|call| call.get("thoughtSignature").is_none()) {
            sign(call, SKIP_SIGNATURE);
        }
    }
}

fn is_call(part: &Value) -> bool {
    part.get("functionCall").is_some()
}

#[derive(Debug, Default)]
struct Draft<'a> {
    system: Vec<Value>,
    turns: Vec<Turn>,
    /// Calls of the model's turn that is being written.
    open: Vec<&'a ToolCall>,
    /// Results that came for them, in the caller's order.
    given: Vec<&'a ToolResult>,
}

impl<'a> Draft<'a> {
    fn message(&mut self, message: &'a Message) -> Result<(), Unspeakable> {
        match message.role {
            Role::System if message.parts.iter().any(Part::is_media) => {
                return Err(Unspeakable { what: "media in system instructions" });
            }
            Role::System => self.system.extend(shown_all(&message.parts)?),
            Role::User => {
                self.answer()?;
                self.push(USER, shown_all(&message.parts)?);
            }
            Role::Assistant => {
                if !self.given.is_empty() {
                    self.answer()?;
                }
                self.push(MODEL, spoken(&message.parts, Reader::Model)?);
                self.open.extend(message.parts.iter().filter_map(|part| match part {
                    Part::ToolCall(call) => Some(call),
                    _ => None,
                }));
            }
            Role::Tool => self.given.extend(message.parts.iter().filter_map(|part| match part {
                Part::ToolResult(result) => Some(result),
                _ => None,
            })),
        }
        Ok(())
    }

    fn push(&mut self, role: &'static str, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.turns.last_mut().filter(|last| last.role == role && !last.results) {
            Some(last) => last.parts.extend(parts),
            None => self.turns.push(Turn { role, parts, results: false }),
        }
    }

    /// Closes the step: one result for each open call, in the order of the calls. Results nobody asked for fall
    /// away, calls nobody answered get an error, and media, which have no place inside a result of every model,
    /// follow as the user's.
    fn answer(&mut self) -> Result<(), Unspeakable> {
        let mut given = std::mem::take(&mut self.given);
        let mut parts = Vec::with_capacity(self.open.len());
        let mut attached = Vec::new();
        for call in std::mem::take(&mut self.open) {
            let place = given.iter().position(|result| result.id == call.id);
            let result = place.map(|place| given.remove(place));
            parts.push(response(call, result));
            let media = result.map(|result| attachments(&result.content)).transpose()?.unwrap_or_default();
            if !media.is_empty() {
                attached.push(json!({ "text": format!("Returned by `{}`:", call.name) }));
                attached.extend(media);
            }
        }
        if !parts.is_empty() {
            self.turns.push(Turn { role: USER, parts, results: true });
        }
        self.push(USER, attached);
        Ok(())
    }
}

fn shown_all(parts: &[Part]) -> Result<Vec<Value>, Unspeakable> {
    parts.iter().filter_map(|part| shown(part, Reader::Model).transpose()).collect()
}

fn attachments(content: &[Part]) -> Result<Vec<Value>, Unspeakable> {
    let media = content.iter().filter(|part| text_of(part).is_none());
    media.filter_map(|part| shown(part, Reader::Model).transpose()).collect()
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(text),
        _ => None,
    }
}

fn response(call: &ToolCall, result: Option<&ToolResult>) -> Value {
    let wrapped = match result {
        None => json!({ "error": UNANSWERED }),
        Some(result) => {
            let texts: Vec<&str> = result.content.iter().filter_map(text_of).collect();
            let key = if result.is_error { "error" } else { "output" };
            json!({ key: texts.join("\n") })
        }
    };
    if call.id.is_empty() {
        json!({ "functionResponse": { "name": call.name, "response": wrapped } })
    } else {
        json!({ "functionResponse": { "id": call.id, "name": call.name, "response": wrapped } })
    }
}
