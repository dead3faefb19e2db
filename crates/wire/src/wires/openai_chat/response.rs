//! Complete answers, read from any host that speaks the format and written for callers in its official shape.

use super::answer::{self, Answer, Choice as Alternative, Said};
use super::lenient::{Content, Piece};
use super::words::{self, Ending};
use crate::chat::{ChatResponse, Choice, Finish, Part, Thinking, ToolCall, Usage};
use crate::format::{Flaw, Summary};
use serde_json::{Map, Value, json};

// === reading ===

/// Reads a whole answer.
pub(super) fn parse(body: &[u8]) -> Result<ChatResponse, Flaw> {
    let mut answer = read(body)?;
    let usage = answer.usage();
    let found = answer.choices.take().unwrap_or_default();
    let choices = found.into_iter().map(|found| choice(found, &answer.id.0)).collect();
    Ok(ChatResponse {
        id: answer.id.0.into_owned(),
        model: answer.model.0.into_owned(),
        created: answer.created.0,
        choices,
        usage,
    })
}

/// What must be known of an answer that nobody takes apart.
pub(super) fn summary(body: &[u8]) -> Result<Summary, Flaw> {
    let mut answer = read(body)?;
    let declines = |choice: &Alternative<'_>| finish(choice) == Some(Finish::ContentFilter);
    Ok(Summary {
        usage: answer.usage(),
        declined: answer.choices.iter().flatten().all(declines),
        // What says nothing is a flaw already.
        silent: false,
    })
}

/// The words of an answer that is one.
fn read(body: &[u8]) -> Result<Answer<'_>, Flaw> {
    let text =
        simdutf8::basic::from_utf8(body).map_err(|_| Flaw::Malformed("the answer is not valid UTF-8"))?;
    let answer = match Answer::read(text) {
        Ok(answer) if !answer.error => answer,
        Ok(_) => return Err(failed_or(text, Flaw::Malformed("the answer holds an error that says nothing"))),
        Err(error) if error.is_eof() => return Err(Flaw::Malformed("the answer was cut short")),
        Err(error) if error.is_data() => {
            return Err(failed_or(text, Flaw::Malformed("not a chat completion")));
        }
        Err(_) => return Err(Flaw::Malformed("the answer is not JSON")),
    };
    let Some(choices) = &answer.choices else {
        return Err(failed_or(text, Flaw::Malformed("the answer has no `choices`")));
    };
    let mut explained = false;
    for choice in choices {
        if choice.error.0 {
            return Err(failed_or(text, Flaw::Malformed("a choice holds an error that says nothing")));
        }
        let Some(finish) = finish(choice) else { return Err(Flaw::Failed(answer::given_up(reason(choice)))) };
        // There is content, or the reason to end explains why there is none.
        explained |= choice.said().is_some_and(|said| !said.is_empty())
            || matches!(finish, Finish::Length | Finish::ContentFilter);
    }
    if explained { Ok(answer) } else { Err(Flaw::Empty) }
}

fn reason<'a>(choice: &'a Alternative<'_>) -> &'a str {
    choice.finish_reason.as_ref().map_or("", |reason| &reason.0)
}

/// Why it ended, as it says itself; `None` where its host gave up.
fn finish(choice: &Alternative<'_>) -> Option<Finish> {
    match words::ending(reason(choice)) {
        Ending::Finished(finish) => Some(finish),
        Ending::Broken => None,
    }
}

fn failed_or(text: &str, otherwise: Flaw) -> Flaw {
    answer::error_in(text).map_or(otherwise, Flaw::Failed)
}

fn choice(found: Alternative<'_>, id: &str) -> Choice {
    let finish = finish(&found).unwrap_or(Finish::Stop);
    let index = found.index.get().to_string();
    let parts = parts(found.message.or(found.delta).unwrap_or_default(), &[id, &index]);
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Choice { parts, finish: words::settle(finish, called), logprobs: answer::logprobs(found.logprobs) }
}

fn parts(mut said: Said<'_>, seeds: &[&str; 2]) -> Vec<Part> {
    let mut thinking = said.reasoning().to_owned();
    let mut text = String::new();
    match std::mem::take(&mut said.content) {
        Content::Nothing => {}
        Content::Text(all) => text = all.into_owned(),
        Content::Pieces(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Text(more) => text.push_str(&more),
                    Piece::Thinking(more) => thinking.push_str(&more),
                }
            }
        }
    }
    let mut parts = Vec::new();
    if !thinking.is_empty() {
        parts.push(Part::Thinking(Thinking { text: thinking, seal: None }));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    if !said.refusal.0.is_empty() {
        parts.push(Part::Refusal(std::mem::take(&mut said.refusal.0).into_owned()));
    }
    let mut ids: Vec<String> = Vec::new();
    for (position, call) in said.calls().into_iter().enumerate() {
        let mut id = call.id().to_owned();
        let function = call.function.unwrap_or_default();
        if id.is_empty() || ids.contains(&id) {
            id = words::call_id(&[seeds[0], seeds[1], &position.to_string(), &function.name.0]);
        }
        ids.push(id.clone());
        let arguments = function.arguments().into_owned();
        parts.push(Part::ToolCall(ToolCall {
            id,
            name: function.name.0.into_owned(),
            arguments,
            seal: None,
        }));
    }
    parts
}

// === writing ===

/// Writes a whole answer.
pub(super) fn render(response: &ChatResponse) -> Vec<u8> {
    let choices = response.choices.iter().enumerate().map(|(index, choice)| alternative(index, choice));
    let mut body = json!({
        "id": response.id,
        "object": "chat.completion",
        "created": response.created.unwrap_or_default(),
        "model": response.model,
        "choices": choices.collect::<Vec<_>>(),
    });
    if let (Some(usage), Some(body)) = (&response.usage, body.as_object_mut()) {
        body.insert("usage".to_owned(), counters(usage));
    }
    body.to_string().into_bytes()
}

/// Tokens used, in the official shape.
pub(super) fn counters(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn alternative(index: usize, choice: &Choice) -> Value {
    json!({
        "index": index,
        "message": message(&choice.parts),
        "logprobs": choice.logprobs,
        "finish_reason": words::finish_name(&choice.finish),
    })
}

fn message(parts: &[Part]) -> Value {
    let mut content: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut reasoning: Option<String> = None;
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => content.get_or_insert_default().push_str(text),
            Part::Refusal(text) => refusal.get_or_insert_default().push_str(text),
            Part::Thinking(thinking) => reasoning.get_or_insert_default().push_str(&thinking.text),
            Part::ToolCall(call) => calls.push(tool_call(call)),
            // Models do not answer in these here.
            Part::Image(_) | Part::Audio(_) | Part::File(_) | Part::ToolResult(_) => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), json!(content));
    message.insert("refusal".to_owned(), json!(refusal));
    message.insert("annotations".to_owned(), json!([]));
    if let Some(reasoning) = reasoning.filter(|text| !text.is_empty()) {
        message.insert("reasoning_content".to_owned(), json!(reasoning));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Value::Object(message)
}

/// A call as it stands in messages; no arguments are an empty object, which every JSON reader takes.
pub(super) fn tool_call(call: &ToolCall) -> Value {
    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}
