//! A caller's own bytes made fit for a target that speaks the same format.
//!
//! Only what a quirk or trait demands is changed, by splicing; when nothing is, only the model's bytes differ.
//! Messages, tools and the answer's format are parsed only when a quirk demands a change inside them and the text
//! holds what it is about; members this version does not know survive that too.

use super::fit::{self, Ids};
use super::render::instruct;
use super::words;
use crate::chat::{Amount, Effort};
use crate::format::{Inbound, Unspeakable};
use crate::json::{Edits, Members, quoted};
use crate::outline::Outline;
use crate::target::{JsonMode, Quirks, ReasoningHistory, StreamUsage, Target, ToolIds, Traits};
use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value, json};

/// The caller's bytes for `target`.
pub(super) fn adapt(
    inbound: Inbound<'_>,
    outline: &Outline<'_>,
    target: &Target<'_>,
) -> Result<Bytes, Unspeakable> {
    if outline.needs.many_choices && fit::is_refused(target, "n") {
        return Err(Unspeakable { what: "several choices" });
    }
    let members = outline.members_of(inbound.body)?;
    let mut edits = members.edit();
    edits.set("model", quoted(target.model));
    edits.remove("models");
    edits.remove("fallbacks");
    limit(&members, &mut edits, outline, target);
    stream(&members, &mut edits, outline, target.quirks);
    options(&members, &mut edits, target);
    messages(&members, &mut edits, outline, target.quirks);
    for field in fit::refused(target) {
        edits.remove(field);
    }
    Ok(Bytes::from(edits.apply()))
}

fn limit(members: &Members<'_>, edits: &mut Edits<'_>, outline: &Outline<'_>, target: &Target<'_>) {
    let (field, other) = fit::limit_fields(target);
    if members.get(field).is_none() {
        edits.rename(other, field);
    } else {
        edits.remove(other);
    }
    let asked = outline.needs.max_output_tokens;
    let wanted = fit::limit(asked, target);
    // Both fields may have been given: the larger counts.
    let stands = members.get(field).or(members.get(other)).and_then(|text| text.parse().ok());
    if let Some(wanted) = wanted.filter(|_| wanted != stands) {
        edits.set(field, wanted.to_string());
    }
}

fn stream(members: &Members<'_>, edits: &mut Edits<'_>, outline: &Outline<'_>, quirks: &Quirks) {
    match quirks.stream_usage {
        StreamUsage::Always => edits.remove("stream_options"),
        StreamUsage::Ask if outline.stream && !outline.stream_usage => {
            let mut options = members.value("stream_options").unwrap_or_else(|| json!({}));
            if let Some(options) = options.as_object_mut() {
                options.insert("include_usage".to_owned(), json!(true));
            }
            edits.set("stream_options", options.to_string());
        }
        StreamUsage::Ask => {}
    }
}

fn options(members: &Members<'_>, edits: &mut Edits<'_>, target: &Target<'_>) {
    match target.quirks.seed {
        None => edits.remove("seed"),
        Some("seed") => {}
        Some(field) => edits.rename("seed", field),
    }
    if let Some(stop) = members.get("stop").filter(|stop| target.quirks.stop_list && stop.starts_with('"')) {
        edits.set("stop", format!("[{stop}]"));
    }
    effort(members, edits, target.traits);
    let tools =
        members.get("tools").filter(|text| target.quirks.no_strict_tools && holds(text, "\"strict\""));
    if let Some(Ok(mut tools)) = tools.map(serde_json::from_str::<Value>)
        && each(&mut tools, |tool| tool.get_mut("function").is_some_and(|function| take(function, "strict")))
    {
        edits.set("tools", tools.to_string());
    }
}

fn effort(members: &Members<'_>, edits: &mut Edits<'_>, traits: &Traits) {
    let field = "reasoning_effort";
    let asked = members.get(field).filter(|asked| *asked != "null");
    let offered =
        |field| members.value(field).is_some_and(|list| list.as_array().is_some_and(|list| !list.is_empty()));
    let functions = traits.tools_without_reasoning && (offered("tools") || offered("functions"));
    let known = asked.map(|asked| words::effort(asked.trim_matches('"')));
    // Words only some hosts know are theirs to judge.
    let amount = known.map(|known| Amount::Effort(known.unwrap_or(Effort::Medium)));
    match fit::effort(amount, functions, traits) {
        None if asked.is_some() => edits.remove(field),
        Some(effort) if functions || known.flatten().is_some_and(|known| known != effort) => {
            edits.set(field, quoted(words::effort_name(effort)));
        }
        _ => {}
    }
}

/// Whether the text holds `needle`: a cheap look before anything is parsed.
fn holds(text: &str, needle: &str) -> bool {
    memmem::find(text.as_bytes(), needle.as_bytes()).is_some()
}

// === inside messages ===

fn messages(members: &Members<'_>, edits: &mut Edits<'_>, outline: &Outline<'_>, quirks: &Quirks) {
    let text = members.get("messages").unwrap_or_default();
    let schema = schema(members, edits, quirks);
    if schema.is_none() && (outline.plain_messages || !demands(quirks, text)) {
        return;
    }
    let Ok(mut list) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let mut ids = Ids::new(quirks.tool_ids);
    let mut changed = each(&mut list, |message| {
        message.as_object_mut().is_some_and(|message| rewrite(message, quirks, &mut ids))
    });
    if let (Some(instruction), Some(list)) = (schema, list.as_array_mut()) {
        instruct(list, &instruction);
        changed = true;
    }
    if changed {
        edits.set("messages", list.to_string());
    }
}

/// The instruction that takes the place of a schema, where the target knows only "some JSON object".
fn schema(members: &Members<'_>, edits: &mut Edits<'_>, quirks: &Quirks) -> Option<String> {
    if quirks.json_schema == JsonMode::Schema {
        return None;
    }
    let format = members
        .value("response_format")
        .filter(|format| format.get("type").is_some_and(|t| t == "json_schema"))?;
    edits.set("response_format", json!({"type": "json_object"}).to_string());
    let schema = format.pointer("/json_schema/schema").cloned().unwrap_or_else(|| json!({"type": "object"}));
    Some(fit::schema_instruction(&schema))
}

/// Whether a quirk demands a change and the messages may hold what it is about.
fn demands(quirks: &Quirks, text: &str) -> bool {
    let reasoning = match quirks.reasoning_history {
        ReasoningHistory::Drop => holds(text, "\"reasoning"),
        ReasoningHistory::Reasoning => holds(text, "\"reasoning_content\""),
        ReasoningHistory::ReasoningContentRequired => {
            holds(text, "\"reasoning\"") || holds(text, "\"tool_calls\"")
        }
    };
    reasoning
        || (!quirks.developer_role && holds(text, "\"developer\""))
        || (quirks.no_names && holds(text, "\"name\""))
        || (quirks.flat_text && holds(text, "\"text\""))
        || (quirks.tool_ids == ToolIds::Nine && holds(text, "\"tool_call"))
}

/// Changes one message; says whether it did.
fn rewrite(message: &mut Map<String, Value>, quirks: &Quirks, ids: &mut Ids) -> bool {
    let is =
        |message: &Map<String, Value>, role: &str| message.get("role").is_some_and(|found| found == role);
    let mut changed = false;
    if !quirks.developer_role && is(message, "developer") {
        message.insert("role".to_owned(), json!("system"));
        changed = true;
    }
    // A result of the old kind is nothing without its name.
    if quirks.no_names && !is(message, "function") {
        changed |= message.shift_remove("name").is_some();
    }
    if quirks.flat_text
        && let Some(text) = message.get("content").and_then(flat)
    {
        message.insert("content".to_owned(), json!(text));
        changed = true;
    }
    changed |= message.get_mut("tool_call_id").is_some_and(|id| rename(id, ids));
    if let Some(calls) = message.get_mut("tool_calls") {
        changed |= each(calls, |call| call.get_mut("id").is_some_and(|id| rename(id, ids)));
    }
    if is(message, "assistant") {
        changed |= reasoning(message, quirks.reasoning_history);
    }
    changed
}

fn reasoning(message: &mut Map<String, Value>, rule: ReasoningHistory) -> bool {
    let (keep, other) = match rule {
        ReasoningHistory::Drop => {
            let first = message.shift_remove("reasoning_content").is_some();
            return message.shift_remove("reasoning").is_some() || first;
        }
        ReasoningHistory::Reasoning => ("reasoning", "reasoning_content"),
        ReasoningHistory::ReasoningContentRequired => ("reasoning_content", "reasoning"),
    };
    let moved = message.shift_remove(other);
    let changed = moved.is_some();
    let spoken = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if message.get(keep).is_some_and(spoken) {
        return changed;
    }
    let called = message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    let required = called && rule == ReasoningHistory::ReasoningContentRequired;
    let text = moved.filter(spoken).or(required.then(|| json!(fit::NO_REASONING)));
    let added = text.is_some();
    message.extend(text.map(|text| (keep.to_owned(), text)));
    changed || added
}

/// A list of texts as one; `None` for anything else.
fn flat(content: &Value) -> Option<String> {
    let text = |part: &Value| {
        let is_text = part.get("type").is_some_and(|kind| kind == "text");
        part.get("text").and_then(Value::as_str).filter(|_| is_text).map(str::to_owned)
    };
    Some(content.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?.join(fit::TEXT_SEPARATOR))
}

fn rename(id: &mut Value, ids: &mut Ids) -> bool {
    let Some(new) = id.as_str().map(|old| ids.of(old)).filter(|new| *id != new.as_str()) else {
        return false;
    };
    *id = json!(new);
    true
}

/// Takes a member out; says whether it was there.
fn take(object: &mut Value, key: &str) -> bool {
    object.as_object_mut().is_some_and(|object| object.shift_remove(key).is_some())
}

/// Changes every item of an array; says whether any changed.
fn each(list: &mut Value, change: impl FnMut(&mut Value) -> bool) -> bool {
    list.as_array_mut().into_iter().flatten().map(change).filter(|changed| *changed).count() > 0
}
