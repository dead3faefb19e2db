//! Writes answers of the `gemini` wire: whole, as server-sent events with CRLF, and as a growing JSON array.

use serde_json::{Map, Value, json};

use super::request::is_modern;
use super::signature::SIGNATURE;
use crate::brain::{Called, Reply, Shape, Stop, pieces};
use crate::speak::voice::{Ask, Delivery, Frame, Piece, Scene};

fn usage(reply: &Reply) -> Value {
    let answer = reply.usage.output - reply.usage.thinking;
    let mut made = Map::new();
    made.insert("promptTokenCount".to_owned(), json!(reply.usage.input));
    // Zeros are left out, as the vendor's encoding does.
    if answer > 0 {
        made.insert("candidatesTokenCount".to_owned(), json!(answer));
    }
    if reply.usage.thinking > 0 {
        made.insert("thoughtsTokenCount".to_owned(), json!(reply.usage.thinking));
    }
    made.insert("totalTokenCount".to_owned(), json!(reply.usage.input + reply.usage.output));
    let details = json!([{"modality": "TEXT", "tokenCount": reply.usage.input}]);
    made.insert("promptTokensDetails".to_owned(), details);
    Value::Object(made)
}

fn finish(reply: &Reply) -> &'static str {
    match (reply.shape, &reply.stop) {
        (Shape::Declined, _) => "SAFETY",
        (_, Stop::Length) => "MAX_TOKENS",
        _ => "STOP",
    }
}

fn call(ask: &Ask, scene: &Scene<'_>, at: usize, called: &Called) -> Value {
    let Called { name, arguments } = called;
    if !is_modern(&ask.model) {
        return json!({"functionCall": {"name": name, "args": arguments}});
    }
    let id = format!("sim{:08}x{at}", scene.serial);
    let mut part = json!({"functionCall": {"id": id, "name": name, "args": arguments}});
    // Of parallel calls only the first is signed.
    if let Some(fields) = part.as_object_mut().filter(|_| at == 0) {
        fields.insert("thoughtSignature".to_owned(), json!(SIGNATURE));
    }
    part
}

fn chunk(ask: &Ask, reply: &Reply, scene: &Scene<'_>, candidates: &Value) -> Value {
    let mut made = Map::new();
    match (reply.shape, candidates) {
        (Shape::Blocked, _) => {
            made.insert("promptFeedback".to_owned(), json!({"blockReason": "PROHIBITED_CONTENT"}));
        }
        (_, Value::Null) => {}
        (_, candidate) => {
            made.insert("candidates".to_owned(), json!([candidate]));
        }
    }
    made.insert("usageMetadata".to_owned(), usage(reply));
    made.insert("modelVersion".to_owned(), json!(ask.model));
    made.insert("responseId".to_owned(), json!(format!("sim{:08}", scene.serial)));
    Value::Object(made)
}

fn candidate(parts: &[Value], finish: Option<&str>) -> Value {
    let mut content = json!({"role": "model"});
    if let Some(fields) = content.as_object_mut().filter(|_| !parts.is_empty()) {
        fields.insert("parts".to_owned(), json!(parts));
    }
    let mut made = json!({"content": content, "index": 0});
    if let (Some(fields), Some(finish)) = (made.as_object_mut(), finish) {
        fields.insert("finishReason".to_owned(), json!(finish));
    }
    made
}

pub(super) fn answer(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
    if matches!(reply.shape, Shape::Empty | Shape::Blocked) {
        return chunk(ask, reply, scene, &Value::Null);
    }
    let mut parts = Vec::new();
    if !reply.thinking.is_empty() {
        parts.push(json!({"text": reply.thinking, "thought": true}));
    }
    if !reply.text.is_empty() {
        parts.push(json!({"text": reply.text}));
    }
    parts.extend(reply.calls.iter().enumerate().map(|(at, called)| call(ask, scene, at, called)));
    chunk(ask, reply, scene, &candidate(&parts, Some(finish(reply))))
}

/// Frames one value for the delivery; in an array the first opens it and the others follow a comma.
pub(super) fn framed(delivery: Delivery, first: bool, value: &str) -> Vec<u8> {
    match (delivery, first) {
        (Delivery::Array, true) => format!("[{value}").into_bytes(),
        (Delivery::Array, false) => format!("\r\n,\r\n{value}").into_bytes(),
        (Delivery::Events | Delivery::Whole, _) => format!("data: {value}\r\n\r\n").into_bytes(),
    }
}

pub(super) fn frames(ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
    let mut parts: Vec<Value> = Vec::new();
    if matches!(reply.shape, Shape::Full | Shape::Declined) {
        let thoughts = pieces(&reply.thinking);
        parts.extend(thoughts.iter().map(|text| json!({"text": text, "thought": true})));
        parts.extend(pieces(&reply.text).iter().map(|text| json!({"text": text})));
        parts.extend(reply.calls.iter().enumerate().map(|(at, called)| call(ask, scene, at, called)));
    }
    let mut frames = Vec::new();
    for part in parts {
        let value = chunk(ask, reply, scene, &candidate(&[part], None)).to_string();
        frames.push(Frame::new(Piece::Token, framed(ask.delivery, frames.is_empty(), &value)));
    }
    let last = match reply.shape {
        Shape::Full | Shape::Declined => candidate(&closing(ask, reply), Some(finish(reply))),
        Shape::Empty | Shape::Blocked => Value::Null,
    };
    let value = chunk(ask, reply, scene, &last).to_string();
    frames.push(Frame::new(Piece::Close, framed(ask.delivery, frames.is_empty(), &value)));
    if ask.delivery == Delivery::Array {
        frames.push(Frame::new(Piece::End, b"\r\n]\r\n".to_vec()));
    }
    frames
}

/// Parts of the last chunk: the signature of a text answer, on an empty text.
fn closing(ask: &Ask, reply: &Reply) -> Vec<Value> {
    let signed = is_modern(&ask.model) && reply.calls.is_empty() && reply.thought;
    if signed { vec![json!({"text": "", "thoughtSignature": SIGNATURE})] } else { vec![] }
}
