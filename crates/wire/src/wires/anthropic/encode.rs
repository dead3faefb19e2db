//! Writes hub events as a Messages event stream, and problems as error bodies.
//!
//! Blocks follow one another here while hub deltas may interleave, so what cannot be written yet waits. The reason
//! and the usage stand in one event, so they are held until the end is certain.

use super::ids::Ids;
use super::words::{NAME, stop_reason, usage_body};
use crate::chat::{Finish, Seal, Usage};
use crate::event::{Delta, Event};
use crate::format::{Encoder, EncoderSetup};
use crate::problem::{Problem, ProblemKind};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// The state of one written stream.
#[derive(Debug)]
pub(super) struct Writer {
    setup: EncoderSetup,
    phase: Phase,
    /// Index of the current block, or of the next one when none is open.
    index: u32,
    current: Current,
    /// What follows the current block.
    waiting: VecDeque<Held>,
    /// Ids given to calls so far.
    ids: Ids,
    finish: Finish,
    usage: Usage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Started,
    /// The end or an error was written: nothing may follow.
    Closed,
}

/// The block being written.
#[derive(Debug)]
enum Current {
    None,
    Text,
    Thinking,
    Call { call: u32, json: Progress },
}

/// What waits for the current block to be complete.
#[derive(Debug)]
enum Held {
    Text(String),
    Thinking(String),
    Seal(Seal),
    Call { call: u32, id: String, name: String, json: String },
}

impl Writer {
    pub(super) fn new(setup: EncoderSetup) -> Self {
        Self {
            setup,
            phase: Phase::Fresh,
            index: 0,
            current: Current::None,
            waiting: VecDeque::new(),
            ids: Ids::default(),
            finish: Finish::Stop,
            usage: Usage::default(),
        }
    }
}

impl Encoder for Writer {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.phase == Phase::Closed {
            return;
        }
        match event {
            Event::Start { id, model } => self.start(id, model, out),
            Event::Delta { choice: 0, delta } => {
                self.start("", "", out);
                self.delta(delta, out);
            }
            Event::Finish { choice: 0, finish } => self.finish = finish.clone(),
            // The format has room for one answer.
            Event::Delta { .. } | Event::Finish { .. } => {}
            Event::Usage(usage) => self.usage = *usage,
            Event::End => self.end(out),
        }
    }

    fn problem(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            emit(out, "error", &problem_body(problem));
        }
    }
}

impl Writer {
    fn start(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if self.phase != Phase::Fresh {
            return;
        }
        self.phase = Phase::Started;
        let own = |theirs: &str| self.setup.open && !theirs.is_empty();
        let message = json!({
            "id": if own(id) { id } else { &self.setup.id },
            "type": "message",
            "role": "assistant",
            "model": if own(model) { model } else { &self.setup.model },
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "stop_details": null,
            "usage": usage_body(&Usage::default()),
        });
        emit(out, "message_start", &json!({ "type": "message_start", "message": message }));
    }

    fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let held = match delta {
            Delta::Arguments { call, json } => return self.arguments(*call, json, out),
            Delta::Text(text) | Delta::Refusal(text) if !text.is_empty() => Held::Text(text.clone()),
            Delta::Thinking(text) if !text.is_empty() => Held::Thinking(text.clone()),
            Delta::ThinkingSeal(seal) => Held::Seal(seal.clone()),
            Delta::ToolCall { call, id, name, .. } => {
                let id = self.ids.answer(id, &self.setup.id);
                Held::Call { call: *call, id, name: name.clone(), json: String::new() }
            }
            Delta::Text(_) | Delta::Refusal(_) | Delta::Thinking(_) | Delta::Logprobs(_) => return,
        };
        self.waiting.push_back(held);
        self.drain(false, out);
    }

    /// More of a call: the current one goes on, a waiting one grows. What comes for a call whose JSON was already
    /// complete can only be blanks.
    fn arguments(&mut self, of: u32, more: &str, out: &mut Vec<u8>) {
        if let Current::Call { call, json } = &mut self.current
            && *call == of
        {
            json.read(more);
            self.piece(&Piece::InputJsonDelta { partial_json: more }, out);
            return self.drain(false, out);
        }
        for held in &mut self.waiting {
            if let Held::Call { call, json, .. } = held
                && *call == of
            {
                json.push_str(more);
            }
        }
    }

    /// Writes what waits, until the current block is a call that is not complete; `all` waits for nothing.
    fn drain(&mut self, all: bool, out: &mut Vec<u8>) {
        while all || !matches!(&self.current, Current::Call { json, .. } if !json.is_complete()) {
            let Some(held) = self.waiting.pop_front() else { return };
            self.write(held, out);
        }
    }

    fn write(&mut self, held: Held, out: &mut Vec<u8>) {
        match held {
            Held::Text(text) => {
                if !matches!(self.current, Current::Text) {
                    self.open(Current::Text, &json!({ "type": "text", "text": "" }), out);
                }
                self.piece(&Piece::TextDelta { text: &text }, out);
            }
            Held::Thinking(thinking) => {
                self.think(out);
                self.piece(&Piece::ThinkingDelta { thinking: &thinking }, out);
            }
            Held::Seal(seal) => self.seal(&seal, out),
            Held::Call { call, id, name, json } => {
                let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                let mut progress = Progress::default();
                progress.read(&json);
                self.open(Current::Call { call, json: progress }, &block, out);
                if !json.is_empty() {
                    self.piece(&Piece::InputJsonDelta { partial_json: &json }, out);
                }
            }
        }
    }

    /// A seal ends the current thinking. A redacted block is complete in itself; seals of other wires mean nothing
    /// here.
    fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        let ours = seal.wire == NAME;
        if ours && seal.redacted {
            self.open(Current::Thinking, &json!({ "type": "redacted_thinking", "data": seal.data }), out);
        } else if ours {
            self.think(out);
            self.piece(&Piece::SignatureDelta { signature: &seal.data }, out);
        } else if !matches!(self.current, Current::Thinking) {
            return;
        }
        self.close(out);
    }

    fn think(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.current, Current::Thinking) {
            let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
            self.open(Current::Thinking, &block, out);
        }
    }

    fn open(&mut self, next: Current, block: &Value, out: &mut Vec<u8>) {
        self.close(out);
        self.current = next;
        let body = json!({ "type": "content_block_start", "index": self.index, "content_block": block });
        emit(out, "content_block_start", &body);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if matches!(self.current, Current::None) {
            return;
        }
        emit(out, "content_block_stop", &json!({ "type": "content_block_stop", "index": self.index }));
        self.current = Current::None;
        self.index = self.index.saturating_add(1);
    }

    fn piece(&self, delta: &Piece<'_>, out: &mut Vec<u8>) {
        let body = BlockDelta { kind: "content_block_delta", index: self.index, delta };
        emit(out, "content_block_delta", &body);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start("", "", out);
        self.drain(true, out);
        self.close(out);
        let (reason, sequence) = stop_reason(&self.finish);
        let delta = json!({ "stop_reason": reason, "stop_sequence": sequence, "stop_details": null });
        let body = json!({ "type": "message_delta", "delta": delta, "usage": usage_body(&self.usage) });
        emit(out, "message_delta", &body);
        emit(out, "message_stop", &json!({ "type": "message_stop" }));
        self.phase = Phase::Closed;
    }
}

/// How far a JSON object has come, told from its brackets alone.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    depth: usize,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Progress {
    fn read(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(self) -> bool {
        self.begun && self.depth == 0
    }
}

/// The event written most often, without an intermediate value.
#[derive(Serialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    delta: &'a Piece<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the format's own names")]
enum Piece<'a> {
    TextDelta { text: &'a str },
    ThinkingDelta { thinking: &'a str },
    SignatureDelta { signature: &'a str },
    InputJsonDelta { partial_json: &'a str },
}

/// Writes one event.
fn emit(out: &mut Vec<u8>, name: &str, body: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let before = out.len();
    if serde_json::to_writer(&mut *out, body).is_err() {
        // Plain data always serialises; should it not, the frame stays one line of valid JSON.
        out.truncate(before);
        out.extend_from_slice(b"{}");
    }
    out.extend_from_slice(b"\n\n");
}

/// The error envelope.
pub(super) fn problem_body(problem: &Problem) -> Value {
    let members = [("error_code", &problem.code), ("param", &problem.param), ("trail", &problem.trail)];
    let details = members.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into())));
    let details: Map<String, Value> = details.collect();
    let details = if details.is_empty() { Value::Null } else { Value::Object(details) };
    let error = json!({ "type": error_type(problem.kind), "message": problem.message, "details": details });
    json!({ "type": "error", "error": error, "request_id": problem.request_id })
}

/// The type by which callers of this format tell errors apart.
fn error_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Invalid | ProblemKind::ContextLength | ProblemKind::Refused => "invalid_request_error",
        ProblemKind::Authentication => "authentication_error",
        ProblemKind::Permission => "permission_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::TooLarge => "request_too_large",
        ProblemKind::RateLimited | ProblemKind::Quota => "rate_limit_error",
        ProblemKind::Overloaded => "overloaded_error",
        ProblemKind::Timeout => "timeout_error",
        ProblemKind::Upstream | ProblemKind::Internal => "api_error",
    }
}
