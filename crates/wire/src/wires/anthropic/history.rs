//! From the hub's messages to turns this format accepts: alternating, user first, every call answered at once.
//!
//! The provider refuses a whole request for one empty text, one unanswered call or one foreign call id, so a
//! conversation that began elsewhere is put in order here. Nothing is invented beyond the fillers below.

use super::ids::{Ids, tool_name};
use super::words::{NAME, input_object};
use crate::chat::{Document, Media, Message, Part, Role, Source, Thinking, ToolCall, ToolResult};
use crate::format::Unspeakable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Result given for a call that has none in the conversation.
const NO_RESULT: &str = "No result was returned for this call.";
/// User turn put before a conversation that starts with the assistant.
const OPENING: &str = ".";
/// User turn put after a conversation that ends with the assistant, for models that cannot continue it.
const CONTINUE: &str = "Continue.";

/// A conversation in the format's order.
#[derive(Debug)]
pub(super) struct History {
    /// Instructions, in the order in which they were given.
    pub(super) system: Vec<String>,
    /// Alternating turns.
    turns: Vec<Turn>,
    /// Names of the tools called, in the order of the calls.
    pub(super) called: Vec<String>,
}

#[derive(Debug)]
struct Turn {
    assistant: bool,
    blocks: Vec<Value>,
}

impl History {
    /// Reads a conversation.
    ///
    /// # Errors
    /// [`Unspeakable`] for content the format has no block for.
    pub(super) fn read(messages: &[Message]) -> Result<Self, Unspeakable> {
        let mut reader = Reader::default();
        for message in messages {
            match message.role {
                Role::System => reader.system(message)?,
                Role::User | Role::Tool => reader.user(message)?,
                Role::Assistant => reader.assistant(message)?,
            }
        }
        reader.finish()
    }

    /// The last assistant turn calls a tool without the thinking that led to it. Budgeted thinking cannot go on
    /// from there.
    pub(super) fn calls_without_thinking(&self) -> bool {
        self.turns.iter().rev().find(|turn| turn.assistant).is_some_and(|turn| {
            let mut kinds = turn.blocks.iter().map(kind);
            !turn.blocks.first().is_some_and(is_thinking) && kinds.any(|kind| kind == "tool_use")
        })
    }

    /// The `messages` array. With `prefill` an open assistant turn stays last for the model to continue.
    pub(super) fn into_messages(mut self, prefill: bool) -> Value {
        if self.turns.first().is_none_or(|turn| turn.assistant) {
            self.turns.insert(0, Turn { assistant: false, blocks: vec![text(OPENING)] });
        }
        match self.turns.last_mut() {
            Some(last) if last.assistant && prefill => trim_end(last),
            Some(last) if last.assistant => {
                self.turns.push(Turn { assistant: false, blocks: vec![text(CONTINUE)] });
            }
            _ => {}
        }
        let turns = self.turns.into_iter();
        turns.map(|turn| json!({ "role": role_word(turn.assistant), "content": turn.blocks })).collect()
    }
}

fn role_word(assistant: bool) -> &'static str {
    if assistant { "assistant" } else { "user" }
}

/// The text a model is to continue may not end in whitespace.
fn trim_end(turn: &mut Turn) {
    if let Some(Value::String(last)) = turn.blocks.last_mut().and_then(|block| block.get_mut("text")) {
        last.truncate(last.trim_end().len());
    }
}

/// A turn while the conversation is read, with the calls it makes.
#[derive(Debug, Default)]
struct Draft {
    assistant: bool,
    blocks: Vec<Value>,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    /// The id as rewritten for this format.
    id: String,
    /// Its place among all calls of the conversation.
    number: usize,
}

/// Calls of one turn that share a caller's id and have no result yet, by number.
#[derive(Debug)]
struct Unanswered {
    turn: usize,
    calls: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Reader<'a> {
    system: Vec<String>,
    /// Finished turns, and the one being written.
    done: Vec<Draft>,
    current: Draft,
    /// What answers each call, by number.
    results: Vec<Option<&'a ToolResult>>,
    /// By the caller's id; the newest turn last. Ids repeat in some dialects, so a result answers the newest turn
    /// that waits for it.
    unanswered: HashMap<&'a str, Vec<Unanswered>>,
    ids: Ids,
    called: Vec<String>,
}

impl<'a> Reader<'a> {
    fn system(&mut self, message: &'a Message) -> Result<(), Unspeakable> {
        if message.parts.iter().any(Part::is_media) {
            return Err(Unspeakable { what: "media in system instructions" });
        }
        let texts = message.parts.iter().filter_map(said);
        self.system.extend(texts.map(str::to_owned));
        Ok(())
    }

    fn user(&mut self, message: &'a Message) -> Result<(), Unspeakable> {
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.answer(result),
                other => {
                    let block = shown(other)?;
                    self.draft(false).blocks.extend(block);
                }
            }
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<(), Unspeakable> {
        for part in &message.parts {
            match part {
                Part::ToolCall(call) => self.call(call),
                Part::Thinking(thinking) => self.draft(true).blocks.extend(sealed(thinking)),
                Part::Image(_) | Part::File(_) | Part::Audio(_) => {
                    return Err(Unspeakable { what: "media in an assistant turn" });
                }
                other => {
                    let block = said(other).map(text);
                    self.draft(true).blocks.extend(block);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &'a ToolCall) {
        let id = self.ids.take(&call.id);
        let name = tool_name(&call.name);
        let number = self.results.len();
        self.results.push(None);
        let input = input_object(&call.arguments);
        let draft = self.draft(true);
        draft.blocks.push(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
        draft.calls.push(Call { id, number });
        self.called.push(name);
        let turn = self.done.len();
        let waiting = self.unanswered.entry(call.id.as_str()).or_default();
        match waiting.last_mut() {
            Some(last) if last.turn == turn => last.calls.push_back(number),
            _ => waiting.push(Unanswered { turn, calls: VecDeque::from([number]) }),
        }
    }

    /// Gives a result to the call it answers; one that answers nothing is dropped.
    fn answer(&mut self, result: &'a ToolResult) {
        let Some(waiting) = self.unanswered.get_mut(result.id.as_str()) else { return };
        let Some(newest) = waiting.last_mut() else { return };
        let number = newest.calls.pop_front();
        if newest.calls.is_empty() {
            waiting.pop();
        }
        if let Some(slot) = number.and_then(|number| self.results.get_mut(number)) {
            *slot = Some(result);
            // The assistant's next message is another turn, even when nothing else stands between.
            self.draft(false);
        }
    }

    /// The turn being written, a new one when the speaker changes.
    fn draft(&mut self, assistant: bool) -> &mut Draft {
        if self.current.assistant != assistant {
            let next = Draft { assistant, ..Draft::default() };
            self.done.push(std::mem::replace(&mut self.current, next));
        }
        &mut self.current
    }

    fn finish(mut self) -> Result<History, Unspeakable> {
        self.done.push(self.current);
        let mut turns = Vec::new();
        for mut draft in self.done {
            // An assistant turn may not end in thinking: without what followed, it has no use either.
            while draft.blocks.last().is_some_and(is_thinking) {
                draft.blocks.pop();
            }
            append(&mut turns, draft.assistant, draft.blocks);
            let result = |call: &Call| self.results.get(call.number).copied().flatten();
            let results = draft.calls.iter().map(|call| result_block(&call.id, result(call)));
            append(&mut turns, false, results.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(History { system: self.system, turns, called: self.called })
    }
}

/// Adds blocks to the last turn, or as a new one when the speaker changes.
fn append(turns: &mut Vec<Turn>, assistant: bool, blocks: Vec<Value>) {
    if blocks.is_empty() {
        return;
    }
    match turns.last_mut() {
        Some(last) if last.assistant == assistant => last.blocks.extend(blocks),
        _ => turns.push(Turn { assistant, blocks }),
    }
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_thinking(block: &Value) -> bool {
    matches!(kind(block), "thinking" | "redacted_thinking")
}

// === Blocks ===

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// The words of a part; none for blank text, which the provider refuses.
fn said(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        _ => None,
    }
}

/// A block for what a user or a tool shows; none for what only an assistant says.
fn shown(part: &Part) -> Result<Option<Value>, Unspeakable> {
    match part {
        Part::Text(_) | Part::Refusal(_) => Ok(said(part).map(text)),
        Part::Image(media) => image(media).map(Some),
        Part::File(document) => file(document).map(Some),
        Part::Audio(_) => Err(Unspeakable { what: "audio" }),
        Part::ToolCall(_) | Part::ToolResult(_) | Part::Thinking(_) => Ok(None),
    }
}

fn result_block(id: &str, result: Option<&ToolResult>) -> Result<Value, Unspeakable> {
    let Some(result) = result else {
        let content = [text(NO_RESULT)];
        return Ok(json!({ "type": "tool_result", "tool_use_id": id, "content": content, "is_error": true }));
    };
    let parts = result.content.iter().filter_map(|part| shown(part).transpose());
    let content = parts.collect::<Result<Vec<_>, _>>()?;
    let mut block = json!({ "type": "tool_result", "tool_use_id": id });
    if !content.is_empty() {
        set(&mut block, "content", Value::Array(content));
    }
    if result.is_error {
        set(&mut block, "is_error", Value::Bool(true));
    }
    Ok(block)
}

fn set(block: &mut Value, key: &str, value: Value) {
    if let Some(members) = block.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// Thinking goes back only to those who signed it: any other signature is refused.
fn sealed(thinking: &Thinking) -> Option<Value> {
    let seal = thinking.seal.as_ref().filter(|seal| seal.wire == NAME)?;
    Some(if seal.redacted {
        json!({ "type": "redacted_thinking", "data": seal.data })
    } else {
        json!({ "type": "thinking", "thinking": thinking.text, "signature": seal.data })
    })
}

fn image(media: &Media) -> Result<Value, Unspeakable> {
    let source = match &media.source {
        Source::Url(url) => json!({ "type": "url", "url": url }),
        Source::Inline(data) => {
            let mime = match media.mime.as_deref() {
                Some("image/jpg" | "image/jpeg") => "image/jpeg",
                Some(mime @ ("image/png" | "image/gif" | "image/webp")) => mime,
                _ => return Err(Unspeakable { what: "images that are not JPEG, PNG, GIF or WebP" }),
            };
            json!({ "type": "base64", "media_type": mime, "data": data })
        }
    };
    Ok(json!({ "type": "image", "source": source }))
}

fn file(document: &Document) -> Result<Value, Unspeakable> {
    const UNREADABLE: Unspeakable = Unspeakable { what: "documents that are neither PDF nor text" };
    let source = match &document.media.source {
        Source::Url(url) => json!({ "type": "url", "url": url }),
        Source::Inline(data) => match document.media.mime.as_deref() {
            Some(mime @ "application/pdf") => json!({ "type": "base64", "media_type": mime, "data": data }),
            Some(mime) if mime.starts_with("text/") => {
                let bytes = STANDARD.decode(data).map_err(|_| UNREADABLE)?;
                let text = String::from_utf8(bytes).map_err(|_| UNREADABLE)?;
                json!({ "type": "text", "media_type": "text/plain", "data": text })
            }
            _ => return Err(UNREADABLE),
        },
    };
    let mut block = json!({ "type": "document", "source": source });
    if let Some(name) = &document.name {
        set(&mut block, "title", Value::from(name.as_str()));
    }
    Ok(block)
}
