//! A complete answer, both ways.
//!
//! Reads what the provider sends leniently where the format may grow (unknown blocks are skipped) and strictly
//! where an answer would be a lie (no content, no reason why it ended). Knows nothing of streams.

use super::ids::Ids;
use super::words::{
    Counts, NAME, UsageBody, finish, input_object, redacted, signature, stop_reason, usage_body,
};
use crate::chat::{ChatResponse, Choice, Part, Thinking, ToolCall};
use crate::error_body::ErrorBody;
use crate::format::Flaw;
use serde::Deserialize;
use serde_json::{Value, json};

/// Reads a complete answer.
///
/// # Errors
/// [`Flaw::Malformed`] when it is none, [`Flaw::Failed`] for an error under a success status. Empty content with a
/// reason is an answer: models end a turn without a word.
pub(super) fn read(body: &[u8]) -> Result<ChatResponse, Flaw> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Flaw::Malformed("not JSON"))?;
    if let Some(error) = ErrorBody::in_success(&body) {
        return Err(Flaw::Failed(Box::new(error)));
    }
    let word = |key: &str| body.get(key).and_then(Value::as_str);
    let blocks = body.get("content").and_then(Value::as_array);
    let blocks = blocks.ok_or(Flaw::Malformed("no `content`"))?;
    let reason = word("stop_reason").ok_or(Flaw::Malformed("no `stop_reason`"))?;
    let mut parts = Vec::new();
    for block in blocks {
        parts.extend(part(block)?);
    }
    let usage = match body.get("usage").filter(|usage| !usage.is_null()) {
        None => None,
        Some(usage) => {
            let usage = UsageBody::deserialize(usage);
            let mut counts = Counts::default();
            counts.merge(&usage.map_err(|_| Flaw::Malformed("`usage` of the wrong shape"))?);
            Some(counts.usage())
        }
    };
    let choice = Choice { parts, finish: finish(reason, word("stop_sequence")), logprobs: None };
    Ok(ChatResponse {
        id: word("id").unwrap_or_default().to_owned(),
        model: word("model").unwrap_or_default().to_owned(),
        created: None,
        choices: vec![choice],
        usage,
    })
}

/// A part for a block; none for an empty text and for blocks unknown here.
fn part(block: &Value) -> Result<Option<Part>, Flaw> {
    let text = |key: &str| {
        let text = block.get(key).and_then(Value::as_str).map(str::to_owned);
        text.ok_or(Flaw::Malformed("a block without its content"))
    };
    let kind = block.get("type").and_then(Value::as_str);
    Ok(Some(match kind.ok_or(Flaw::Malformed("a block without `type`"))? {
        "text" => Part::Text(text("text")?),
        "thinking" => {
            let seal = block.get("signature").and_then(Value::as_str).and_then(signature);
            Part::Thinking(Thinking { text: text("thinking")?, seal })
        }
        "redacted_thinking" => {
            Part::Thinking(Thinking { text: String::new(), seal: Some(redacted(&text("data")?)) })
        }
        "tool_use" => {
            let input = block.get("input").filter(|input| input.is_object());
            let arguments = input.ok_or(Flaw::Malformed("a call without `input`"))?.to_string();
            Part::ToolCall(ToolCall { id: text("id")?, name: text("name")?, arguments, seal: None })
        }
        _ => return Ok(None),
    })
    .filter(|part| *part != Part::Text(String::new())))
}

/// Writes a complete answer; of several alternatives the first, for the format has room for one.
pub(super) fn write(response: &ChatResponse) -> Vec<u8> {
    let choice = response.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let mut ids = Ids::default();
    let content = parts.iter().filter_map(|part| block(part, |id| ids.answer(id, &response.id)));
    let content: Vec<Value> = content.collect();
    let (reason, sequence) = choice.map_or(("end_turn", None), |choice| stop_reason(&choice.finish));
    let body = json!({
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": null,
        "usage": usage_body(&response.usage.unwrap_or_default()),
    });
    body.to_string().into_bytes()
}

/// A block for a part of an answer. Foreign signatures mean nothing here, so such reasoning is shown unsigned.
fn block(part: &Part, id: impl FnOnce(&str) -> String) -> Option<Value> {
    match part {
        Part::Text(text) | Part::Refusal(text) => {
            (!text.is_empty()).then(|| json!({ "type": "text", "text": text }))
        }
        Part::Thinking(thinking) => match thinking.seal.as_ref().filter(|seal| seal.wire == NAME) {
            Some(seal) if seal.redacted => Some(json!({ "type": "redacted_thinking", "data": seal.data })),
            None if thinking.text.is_empty() => None,
            seal => {
                let signature = seal.map_or("", |seal| seal.data.as_str());
                Some(json!({ "type": "thinking", "thinking": thinking.text, "signature": signature }))
            }
        },
        Part::ToolCall(call) => Some(json!({
            "type": "tool_use",
            "id": id(&call.id),
            "name": call.name,
            "input": input_object(&call.arguments),
        })),
        Part::Image(_) | Part::Audio(_) | Part::File(_) | Part::ToolResult(_) => None,
    }
}
