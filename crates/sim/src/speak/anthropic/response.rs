//! Writes answers of the `anthropic` wire: whole, and as a stream with the vendor's order of events.

use serde_json::{Value, json};

use super::complaint::request_id;
use crate::brain::{Called, Reply, Shape, Stop, pieces};
use crate::speak::voice::{Ask, Frame, Piece, Scene};

/// Signature of a thinking block: opaque to callers, and recognised when it comes back.
const SIGNATURE: &str = "sim0aGlua2luZw==";

fn call_id(scene: &Scene<'_>, at: usize) -> String {
    format!("toolu_sim{:08}x{at}", scene.serial)
}

fn ending(reply: &Reply) -> (&'static str, Value, Value) {
    if matches!(reply.shape, Shape::Declined | Shape::Blocked) {
        let details = json!({"type": "refusal", "category": null, "explanation": null});
        return ("refusal", Value::Null, details);
    }
    match &reply.stop {
        Stop::End => ("end_turn", Value::Null, Value::Null),
        Stop::Length => ("max_tokens", Value::Null, Value::Null),
        Stop::Sequence(stop) => ("stop_sequence", json!(stop), Value::Null),
        Stop::Calls => ("tool_use", Value::Null, Value::Null),
    }
}

fn usage(reply: &Reply, output: u32) -> Value {
    json!({
        "input_tokens": reply.usage.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": reply.usage.thinking},
        "server_tool_use": null,
        "service_tier": "standard",
        "inference_geo": "us",
    })
}

fn message(ask: &Ask, scene: &Scene<'_>, content: &Value, usage: Value) -> Value {
    json!({
        "id": format!("msg_sim{:08}", scene.serial),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
        "stop_details": null,
        "usage": usage,
    })
}

pub(super) fn answer(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
    let mut content = Vec::new();
    if reply.thought {
        content.push(json!({"type": "thinking", "thinking": reply.thinking, "signature": SIGNATURE}));
    }
    if !reply.text.is_empty() {
        content.push(json!({"type": "text", "text": reply.text}));
    }
    for (at, Called { name, arguments }) in reply.calls.iter().enumerate() {
        content.push(json!({"type": "tool_use", "id": call_id(scene, at), "name": name, "input": arguments}));
    }
    if reply.shape == Shape::Empty {
        content.clear();
    }
    let mut made = message(ask, scene, &json!(content), usage(reply, reply.usage.output));
    let (reason, sequence, details) = ending(reply);
    if let Some(fields) = made.as_object_mut() {
        fields.insert("stop_reason".to_owned(), json!(reason));
        fields.insert("stop_sequence".to_owned(), sequence);
        fields.insert("stop_details".to_owned(), details);
    }
    made
}

/// Server-sent event of this wire: named after the type its data repeats.
pub(super) fn event(data: &Value) -> Vec<u8> {
    named(data["type"].as_str().unwrap_or_default(), &data.to_string())
}

pub(super) fn named(name: &str, data: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

/// Writes content blocks, numbered over all their kinds.
struct Blocks {
    frames: Vec<Frame>,
    index: usize,
}

impl Blocks {
    fn frame(&mut self, piece: Piece, data: &Value) {
        self.frames.push(Frame::new(piece, event(data)));
    }

    fn block(&mut self, opening: &Value, deltas: impl IntoIterator<Item = Value>) {
        let index = self.index;
        self.frame(
            Piece::Open,
            &json!({"type": "content_block_start", "index": index, "content_block": opening}),
        );
        if index == 0 {
            self.frame(Piece::Open, &json!({"type": "ping"}));
        }
        for delta in deltas {
            // A signature is no token of the answer.
            let piece = if delta.get("signature").is_some() { Piece::Open } else { Piece::Token };
            self.frame(piece, &json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        self.frame(Piece::Open, &json!({"type": "content_block_stop", "index": index}));
        self.index += 1;
    }
}

pub(super) fn frames(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
    let mut blocks = Blocks { frames: Vec::new(), index: 0 };
    // The opening counts the first token, where there is one.
    let opened = message(ask, scene, &json!([]), usage(reply, reply.usage.output.min(1)));
    blocks.frame(Piece::Open, &json!({"type": "message_start", "message": opened}));
    if reply.thought && reply.shape != Shape::Empty {
        let texts = pieces(&reply.thinking);
        let deltas = texts.iter().map(|text| json!({"type": "thinking_delta", "thinking": text}));
        let signed = json!({"type": "signature_delta", "signature": SIGNATURE});
        let opening = json!({"type": "thinking", "thinking": "", "signature": ""});
        blocks.block(&opening, deltas.chain([signed]).collect::<Vec<_>>());
    }
    if !reply.text.is_empty() {
        let texts = pieces(&reply.text);
        let deltas = texts.iter().map(|text| json!({"type": "text_delta", "text": text}));
        blocks.block(&json!({"type": "text", "text": ""}), deltas);
    }
    for (at, Called { name, arguments }) in reply.calls.iter().enumerate() {
        let opening = json!({"type": "tool_use", "id": call_id(scene, at), "name": name, "input": {}});
        // The first fragment is empty; an empty object has no other.
        let text = if arguments.as_object().is_some_and(serde_json::Map::is_empty) {
            String::new()
        } else {
            arguments.to_string()
        };
        let parts = std::iter::once(String::new()).chain(pieces(&text));
        blocks.block(&opening, parts.map(|part| json!({"type": "input_json_delta", "partial_json": part})));
    }
    let (reason, sequence, details) = ending(reply);
    let delta = json!({"stop_reason": reason, "stop_sequence": sequence, "stop_details": details});
    let cost = json!({"output_tokens": reply.usage.output});
    blocks.frame(Piece::Close, &json!({"type": "message_delta", "delta": delta, "usage": cost}));
    blocks.frame(Piece::End, &json!({"type": "message_stop"}));
    blocks.frames
}

/// The error event of a stream.
pub(super) fn error_event(scene: &Scene<'_>) -> Vec<u8> {
    event(&json!({
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded", "details": null},
        "request_id": request_id(scene),
    }))
}
