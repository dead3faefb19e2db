//! Writes answers of the `openai-chat` wire: whole, and as a stream with the vendor's order of chunks.

use serde_json::{Map, Value, json};

use crate::brain::{Called, Reply, Shape, Stop, pieces};
use crate::flavour::ReasoningField;
use crate::speak::voice::{Ask, Frame, Piece, Scene};

/// Words of a model that declines.
const DECLINED: &str = "I'm sorry, I can't help with that.";

fn id(scene: &Scene<'_>) -> String {
    format!("chatcmpl-sim{:08}", scene.serial)
}

fn call_id(scene: &Scene<'_>, choice: u32, at: usize) -> String {
    format!("call_sim{:08}x{choice}x{at}", scene.serial)
}

fn finish(reply: &Reply) -> &'static str {
    match &reply.stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
    }
}

fn usage(ask: &Ask, reply: &Reply) -> Value {
    let output = reply.usage.output * ask.choices;
    json!({
        "prompt_tokens": reply.usage.input,
        "completion_tokens": output,
        "total_tokens": reply.usage.input + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn reasoning_field(scene: &Scene<'_>) -> Option<&'static str> {
    match scene.flavour.reasoning {
        ReasoningField::Hidden => None,
        ReasoningField::Reasoning => Some("reasoning"),
        ReasoningField::ReasoningContent => Some("reasoning_content"),
    }
}

fn call(called: &Called, id: String) -> Value {
    let arguments = called.arguments.to_string();
    json!({"id": id, "type": "function", "function": {"name": called.name, "arguments": arguments}})
}

fn message(reply: &Reply, scene: &Scene<'_>, choice: u32) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    let content =
        if reply.calls.is_empty() && reply.shape == Shape::Full { json!(reply.text) } else { Value::Null };
    message.insert("content".to_owned(), content);
    let refusal = if reply.shape == Shape::Full { Value::Null } else { json!(DECLINED) };
    message.insert("refusal".to_owned(), refusal);
    message.insert("annotations".to_owned(), json!([]));
    if let Some(field) = reasoning_field(scene).filter(|_| !reply.thinking.is_empty()) {
        message.insert(field.to_owned(), json!(reply.thinking));
    }
    if !reply.calls.is_empty() {
        let calls =
            reply.calls.iter().enumerate().map(|(at, called)| call(called, call_id(scene, choice, at)));
        message.insert("tool_calls".to_owned(), calls.collect());
    }
    Value::Object(message)
}

pub(super) fn answer(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
    let choice = |index| {
        json!({
            "index": index,
            "message": message(reply, scene, index),
            "logprobs": null,
            "finish_reason": finish(reply),
        })
    };
    let count = if reply.shape == Shape::Empty { 0 } else { ask.choices };
    json!({
        "id": id(scene),
        "object": "chat.completion",
        "created": scene.wall.as_secs(),
        "model": ask.model,
        "choices": (0..count).map(choice).collect::<Vec<_>>(),
        "usage": usage(ask, reply),
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    })
}

/// Server-sent event of this wire: data only.
pub(super) fn event(data: &str) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

struct Stream<'a> {
    ask: &'a Ask,
    scene: &'a Scene<'a>,
    frames: Vec<Frame>,
}

impl Stream<'_> {
    fn chunk(&mut self, piece: Piece, choices: &Value, usage: Value) {
        let mut chunk = json!({
            "id": id(self.scene),
            "object": "chat.completion.chunk",
            "created": self.scene.wall.as_secs(),
            "model": self.ask.model,
            "service_tier": "default",
            "system_fingerprint": "fp_sim",
            "choices": choices,
        });
        if let Some(fields) = chunk.as_object_mut() {
            if self.ask.usage {
                fields.insert("usage".to_owned(), usage);
            }
            if self.ask.padding {
                // Fills the chunk up to a multiple, so that its length tells less about the token.
                fields
                    .insert("obfuscation".to_owned(), json!("x".repeat(16 - choices.to_string().len() % 16)));
            }
        }
        self.frames.push(Frame::new(piece, event(&chunk.to_string())));
    }

    fn delta(&mut self, piece: Piece, index: u32, delta: &Value, finish: Option<&str>) {
        let choice = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        self.chunk(piece, &choice, Value::Null);
    }

    fn choice(&mut self, reply: &Reply, index: u32) {
        let content = if reply.calls.is_empty() { json!("") } else { Value::Null };
        let opening = json!({"role": "assistant", "content": content, "refusal": null});
        self.delta(Piece::Open, index, &opening, None);
        if let Some(field) = reasoning_field(self.scene) {
            for piece in pieces(&reply.thinking) {
                self.delta(Piece::Token, index, &json!({ field: piece }), None);
            }
        }
        let (field, text) =
            if reply.shape == Shape::Full { ("content", reply.text.as_str()) } else { ("refusal", DECLINED) };
        for piece in pieces(text) {
            self.delta(Piece::Token, index, &json!({ field: piece }), None);
        }
        for (at, called) in reply.calls.iter().enumerate() {
            let id = call_id(self.scene, index, at);
            let head = json!({"index": at, "id": id, "type": "function",
                "function": {"name": called.name, "arguments": ""}});
            self.delta(Piece::Token, index, &json!({"tool_calls": [head]}), None);
            for piece in pieces(&called.arguments.to_string()) {
                let part = json!({"index": at, "function": {"arguments": piece}});
                self.delta(Piece::Token, index, &json!({"tool_calls": [part]}), None);
            }
        }
        self.delta(Piece::Close, index, &json!({}), Some(finish(reply)));
    }
}

pub(super) fn frames(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
    let asked = Ask { usage: ask.usage || scene.flavour.usage_always, ..ask.clone() };
    let mut stream = Stream { ask: &asked, scene, frames: Vec::new() };
    if reply.shape == Shape::Empty {
        stream.chunk(Piece::Open, &json!([]), Value::Null);
    } else {
        for index in 0..ask.choices {
            stream.choice(reply, index);
        }
    }
    if asked.usage {
        stream.chunk(Piece::Close, &json!([]), usage(ask, reply));
    }
    stream.frames.push(Frame::new(Piece::End, event("[DONE]")));
    stream.frames
}
