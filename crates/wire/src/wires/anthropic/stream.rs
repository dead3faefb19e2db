//! Reads a Messages event stream.
//!
//! Tracks which blocks are open and what has been counted; knows no policy. The format grows by new event, block
//! and delta types: those are unknown, never corrupt.

use super::words::{Counts, UsageBody, finish, redacted, signature};
use crate::chat::Finish;
use crate::error_body::ErrorBody;
use crate::event::{Delta, Event};
use crate::format::{Decoded, Decoder};
use crate::sse::Frame;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Event types this decoder understands.
const EVENTS: [&str; 7] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
];
/// Block and delta types it understands.
const KINDS: [&str; 8] = [
    "text",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
];

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    phase: Phase,
    open: BTreeMap<u64, Open>,
    /// Tool calls begun.
    calls: u32,
    counts: Option<Counts>,
}

/// How far the stream is: `message_start`, `message_delta` with a reason, `message_stop`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Fresh,
    Started,
    Finished,
    Ended,
}

/// A block that has begun and not stopped.
#[derive(Debug)]
enum Open {
    Text,
    Thinking,
    Call {
        call: u32,
        /// The input as it stood in the start event; counts when no fragment follows.
        input: String,
        /// A fragment came.
        begun: bool,
    },
    /// Redacted thinking, complete from its start, and types unknown here.
    Other,
}

/// Any event: the members of all types, each read where its type has it.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<DeltaBody<'a>>,
    #[serde(borrow)]
    content_block: Option<BlockBody<'a>>,
    message: Option<MessageBody>,
    usage: Option<UsageBody>,
}

#[derive(Debug, Deserialize)]
struct DeltaBody<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

#[derive(Debug, Deserialize)]
struct BlockBody<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct MessageBody {
    id: Option<String>,
    model: Option<String>,
    usage: Option<UsageBody>,
}

/// A delta of choice 0, the only one.
fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

/// A text, unless it is empty: an empty piece says nothing.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl Decoder for Stream {
    fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Decoded {
        let body: Body<'_> = match serde_json::from_slice(&frame.data) {
            Ok(body) => body,
            Err(_) => return self.misshapen(&frame.data),
        };
        if self.phase == Phase::Ended {
            return Decoded::Known;
        }
        let named = std::str::from_utf8(&frame.event).unwrap_or_default();
        let kind = if body.kind.is_empty() { named } else { &body.kind };
        match kind {
            "ping" => Decoded::Known,
            "error" => failed(&frame.data),
            "message_start" => self.start(body.message, out),
            kind if EVENTS.contains(&kind) && self.phase == Phase::Fresh => {
                Decoded::Corrupt("an event before `message_start`")
            }
            kind if kind.starts_with("content_block_") && self.phase == Phase::Finished => {
                Decoded::Corrupt("content after the reason")
            }
            "content_block_start" => match (body.index, body.content_block) {
                (Some(index), Some(block)) => self.block_start(index, block, out),
                _ => Decoded::Corrupt("a block start without index or block"),
            },
            "content_block_delta" => match (body.index, body.delta) {
                (Some(index), Some(delta)) => self.block_delta(index, delta, out),
                _ => Decoded::Corrupt("a delta without index or content"),
            },
            "content_block_stop" => match body.index.and_then(|index| self.open.remove(&index)) {
                Some(open) => close(open, out),
                None => Decoded::Corrupt("a stop of a block that is not open"),
            },
            "message_delta" => self.message_delta(body.delta, body.usage.as_ref(), out),
            "message_stop" => self.stop(out),
            "" => untyped(&frame.data),
            _ => Decoded::Unknown,
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) -> bool {
        // What was counted before a cut was spent too, the prompt at least.
        self.report(out);
        self.phase == Phase::Ended
    }
}

impl Stream {
    fn start(&mut self, message: Option<MessageBody>, out: &mut Vec<Event>) -> Decoded {
        if self.phase != Phase::Fresh {
            return Decoded::Corrupt("a second `message_start`");
        }
        let Some(message) = message else { return Decoded::Corrupt("a start without a message") };
        self.phase = Phase::Started;
        self.count(message.usage.as_ref());
        let (id, model) = (message.id.unwrap_or_default(), message.model.unwrap_or_default());
        out.push(Event::Start { id, model });
        Decoded::Known
    }

    fn count(&mut self, usage: Option<&UsageBody>) {
        if let Some(usage) = usage {
            self.counts.get_or_insert_default().merge(usage);
        }
    }

    /// An event that does not fit: harmless when its type, or that of its block or delta, is unknown here.
    fn misshapen(&mut self, data: &[u8]) -> Decoded {
        let Ok(body) = serde_json::from_slice::<Value>(data) else {
            return Decoded::Corrupt("an event that is not JSON");
        };
        let kind = |value: Option<&Value>| value?.get("type")?.as_str().map(str::to_owned);
        let inner = kind(body.get("delta")).or_else(|| kind(body.get("content_block")));
        match kind(Some(&body)) {
            Some(kind) if kind == "error" => failed(data),
            Some(kind) if !EVENTS.contains(&kind.as_str()) => Decoded::Unknown,
            _ if inner.is_some_and(|inner| !KINDS.contains(&inner.as_str())) => {
                let index = body.get("index").and_then(Value::as_u64);
                if let Some(index) = index.filter(|_| body.get("content_block").is_some()) {
                    self.open.insert(index, Open::Other);
                }
                Decoded::Unknown
            }
            _ => Decoded::Corrupt("an event of the wrong shape"),
        }
    }

    fn block_start(&mut self, index: u64, block: BlockBody<'_>, out: &mut Vec<Event>) -> Decoded {
        let (open, decoded) = match &*block.kind {
            "text" => {
                out.extend(said(block.text).map(Delta::Text).map(delta));
                (Open::Text, Decoded::Known)
            }
            "thinking" => {
                out.extend(said(block.thinking).map(Delta::Thinking).map(delta));
                let seal = block.signature.as_deref().and_then(signature);
                out.extend(seal.map(Delta::ThinkingSeal).map(delta));
                (Open::Thinking, Decoded::Known)
            }
            "redacted_thinking" => {
                let Some(data) = block.data else {
                    return Decoded::Corrupt("redacted thinking without data");
                };
                out.push(delta(Delta::ThinkingSeal(redacted(&data))));
                (Open::Other, Decoded::Known)
            }
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return Decoded::Corrupt("a call without id or name");
                };
                let call = self.calls;
                self.calls = self.calls.saturating_add(1);
                out.push(delta(Delta::ToolCall { call, id, name, seal: None }));
                let input = block.input.filter(Value::is_object);
                let input = input.map_or_else(|| "{}".to_owned(), |input| input.to_string());
                (Open::Call { call, input, begun: false }, Decoded::Known)
            }
            _ => (Open::Other, Decoded::Unknown),
        };
        match self.open.insert(index, open) {
            None => decoded,
            Some(_) => Decoded::Corrupt("a block that is already open"),
        }
    }

    fn block_delta(&mut self, index: u64, body: DeltaBody<'_>, out: &mut Vec<Event>) -> Decoded {
        let Some(open) = self.open.get_mut(&index) else {
            return Decoded::Corrupt("a delta of a block that is not open");
        };
        let piece = match (&*body.kind, open) {
            (_, Open::Other) => return Decoded::Unknown,
            ("text_delta", Open::Text) => body.text.map(Delta::Text),
            ("thinking_delta", Open::Thinking) => body.thinking.map(Delta::Thinking),
            ("signature_delta", Open::Thinking) => match body.signature.as_deref().map(signature) {
                Some(seal) => {
                    out.extend(seal.map(Delta::ThinkingSeal).map(delta));
                    return Decoded::Known;
                }
                None => None,
            },
            ("input_json_delta", Open::Call { call, begun, .. }) => body.partial_json.map(|json| {
                *begun |= !json.is_empty();
                Delta::Arguments { call: *call, json }
            }),
            (kind, _) if KINDS.contains(&kind) => return Decoded::Corrupt("a delta of another block type"),
            ("citations_delta", _) => return Decoded::Known,
            _ => return Decoded::Unknown,
        };
        let Some(piece) = piece else { return Decoded::Corrupt("a delta without its content") };
        let empty = match &piece {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments { json: text, .. } => {
                text.is_empty()
            }
            _ => false,
        };
        out.extend((!empty).then(|| delta(piece)));
        Decoded::Known
    }

    fn message_delta(
        &mut self,
        body: Option<DeltaBody<'_>>,
        usage: Option<&UsageBody>,
        out: &mut Vec<Event>,
    ) -> Decoded {
        self.count(usage);
        let Some(body) = body else { return Decoded::Known };
        let Some(reason) = body.stop_reason else { return Decoded::Known };
        if self.phase == Phase::Finished {
            return Decoded::Known;
        }
        for open in std::mem::take(&mut self.open).into_values() {
            close(open, out);
        }
        self.phase = Phase::Finished;
        let finish: Finish = finish(&reason, body.stop_sequence.as_deref());
        out.push(Event::Finish { choice: 0, finish });
        Decoded::Known
    }

    fn stop(&mut self, out: &mut Vec<Event>) -> Decoded {
        if self.phase != Phase::Finished {
            return Decoded::Corrupt("an end without a reason");
        }
        self.report(out);
        self.phase = Phase::Ended;
        out.push(Event::End);
        Decoded::Known
    }

    /// Says what was counted. Counts are cumulative, so they are said once, when none can follow.
    fn report(&mut self, out: &mut Vec<Event>) {
        out.extend(self.counts.take().map(|counts| Event::Usage(counts.usage())));
    }
}

/// A call without any fragment has the input of its start, usually none.
fn close(open: Open, out: &mut Vec<Event>) -> Decoded {
    if let Open::Call { call, input, begun: false } = open {
        out.push(delta(Delta::Arguments { call, json: input }));
    }
    Decoded::Known
}

fn failed(data: &[u8]) -> Decoded {
    Decoded::Failed(Box::new(ErrorBody::parse(data)))
}

/// What says no type can only be an error: some hosts write a bare one into the stream.
fn untyped(data: &[u8]) -> Decoded {
    ErrorBody::in_bytes(data)
        .map_or(Decoded::Corrupt("an event without a type"), |error| Decoded::Failed(Box::new(error)))
}
