//! A caller's own bytes made fit for a target of the same format.
//!
//! Changes what must change and leaves every other byte as it came, so that members unknown here survive.

use crate::format::Unspeakable;
use crate::json::{Edits, quoted};
use crate::outline::Outline;
use crate::target::{ReasoningControl, Target};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

/// A thinking block's signature when there is none.
const UNSIGNED: &[u8] = b"\"signature\":\"\"";
/// Members that newer models refuse.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// The body for `target`.
///
/// # Errors
/// [`Unspeakable`] for a body that is no JSON object; an outlined body is one.
pub(super) fn adapt(body: &[u8], outline: &Outline<'_>, target: &Target<'_>) -> Result<Bytes, Unspeakable> {
    let members = outline.members_of(body)?;
    let mut edits = members.edit();
    edits.set("model", quoted(target.model));
    edits.remove("models");
    // The provider has a member of this name too; it is ours when it names models.
    if !outline.fallbacks.is_empty() {
        edits.remove("fallbacks");
    }
    if let Some(limit) = target.traits.max_output
        && outline.needs.max_output_tokens.is_some_and(|asked| asked > limit)
    {
        edits.set("max_tokens", limit.to_string());
    }
    repair(body, &mut edits, matches!(target.traits.reasoning, ReasoningControl::Budget { .. }));
    let sampling: &[&str] = if target.traits.sampling == Some(false) { &SAMPLING } else { &[] };
    for refused in sampling.iter().chain(target.quirks.refused) {
        edits.remove(refused);
    }
    Ok(Bytes::from(edits.apply()))
}

/// What a conversation needs that other providers carried on, before this one takes it back. Reasoning of other
/// formats is shown to callers unsigned, and unsigned thinking is refused here; so is budgeted thinking in the middle
/// of a tool loop that began without any.
fn repair(body: &[u8], edits: &mut Edits<'_>, budgeted: bool) {
    let unsigned = memmem::find_iter(body, b"\"signature\"").any(|at| {
        let member = body.iter().skip(at).filter(|byte| !byte.is_ascii_whitespace());
        member.take(UNSIGNED.len()).eq(UNSIGNED)
    });
    let budgeted = budgeted && memmem::find(body, b"\"budget_tokens\"").is_some();
    if !unsigned && !budgeted {
        return;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
    let enabled = body.pointer("/thinking/type").is_some_and(|kind| kind == "enabled");
    let Some(messages) = body.get_mut("messages").and_then(Value::as_array_mut) else { return };
    if unsigned {
        drop_unsigned(messages);
        edits.set("messages", Value::from(messages.clone()).to_string());
    }
    if budgeted && enabled && lacks_thinking(messages) {
        edits.remove("thinking");
    }
}

fn drop_unsigned(messages: &mut Vec<Value>) {
    for message in messages.iter_mut() {
        if let Some(blocks) = message.get_mut("content").and_then(Value::as_array_mut) {
            let empty = |block: &Value| block.get("signature").is_some_and(|signature| signature == "");
            blocks.retain(|block| !(is(block, "type", "thinking") && empty(block)));
        }
    }
    messages.retain(|message| message.get("content") != Some(&Value::Array(Vec::new())));
}

/// The last assistant turn calls a tool and does not begin with thinking.
fn lacks_thinking(messages: &[Value]) -> bool {
    let last = messages.iter().rfind(|message| is(message, "role", "assistant"));
    let blocks = last.and_then(|message| message.get("content")).and_then(Value::as_array);
    blocks.is_some_and(|blocks| {
        let thought = |block: &Value| is(block, "type", "thinking") || is(block, "type", "redacted_thinking");
        blocks.iter().any(|block| is(block, "type", "tool_use")) && !blocks.first().is_some_and(thought)
    })
}

fn is(value: &Value, key: &str, word: &str) -> bool {
    value.get(key).is_some_and(|found| found == word)
}
