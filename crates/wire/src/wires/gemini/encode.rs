//! Answers in this dialect, whole and streamed, and its error bodies.

use super::logprobs;
use super::part::{Reader, sign, spoken};
use super::words::{reason, signature};
use crate::chat::{ChatResponse, Finish, Part, Seal, ToolCall, Usage};
use crate::event::{Delta, Event};
use crate::format::{Encoder, EncoderSetup};
use crate::problem::{Problem, ProblemKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A complete answer.
pub(super) fn answer(response: &ChatResponse) -> Vec<u8> {
    let candidates = response.choices.iter().zip(0_u32..).map(|(choice, index)| {
        let parts = spoken(&choice.parts, Reader::Caller).unwrap_or_default();
        let mut candidate = candidate(index, parts, choice.logprobs.as_ref());
        candidate.insert("finishReason".to_owned(), json!(reason(&choice.finish)));
        Value::Object(candidate)
    });
    let candidates = candidates.collect();
    chunk(candidates, response.usage.as_ref(), &response.id, &response.model).to_string().into_bytes()
}

fn candidate(index: u32, parts: Vec<Value>, logprobs: Option<&Value>) -> Map<String, Value> {
    let mut candidate = Map::new();
    candidate.insert("content".to_owned(), json!({ "parts": parts, "role": "model" }));
    if let Some(logprobs) = logprobs.and_then(logprobs::from_hub) {
        candidate.insert("logprobsResult".to_owned(), logprobs);
    }
    candidate.insert("index".to_owned(), json!(index));
    candidate
}

fn chunk(candidates: Vec<Value>, usage: Option<&Usage>, id: &str, model: &str) -> Value {
    let mut chunk = Map::new();
    chunk.insert("candidates".to_owned(), Value::Array(candidates));
    if let Some(usage) = usage {
        chunk.insert("usageMetadata".to_owned(), usage_metadata(usage));
    }
    chunk.insert("modelVersion".to_owned(), json!(model));
    chunk.insert("responseId".to_owned(), json!(id));
    Value::Object(chunk)
}

fn usage_metadata(usage: &Usage) -> Value {
    let mut metadata = Map::new();
    metadata.insert("promptTokenCount".to_owned(), json!(usage.input));
    metadata.insert("candidatesTokenCount".to_owned(), json!(usage.output.saturating_sub(usage.reasoning)));
    metadata.insert("totalTokenCount".to_owned(), json!(usage.input.saturating_add(usage.output)));
    // Zeros are left out where the provider itself leaves them out.
    for (key, count) in
        [("cachedContentTokenCount", usage.cache_read), ("thoughtsTokenCount", usage.reasoning)]
    {
        if count > 0 {
            metadata.insert(key.to_owned(), json!(count));
        }
    }
    Value::Object(metadata)
}

/// Writes one stream. A call is held until its choice finishes, since this dialect sends calls whole; finishes and
/// usage go out together in the last frame.
#[derive(Debug)]
pub(super) struct StreamEncoder {
    setup: EncoderSetup,
    choices: BTreeMap<u32, Held>,
    usage: Option<Usage>,
    /// Nothing may follow the end or a problem.
    closed: bool,
}

/// What is held back of one choice.
#[derive(Debug, Default)]
struct Held {
    calls: BTreeMap<u32, ToolCall>,
    /// The latest text was reasoning: a seal that comes now belongs to it.
    thinking: bool,
    finish: Option<Finish>,
}

impl StreamEncoder {
    /// A stream that has sent nothing.
    pub(super) fn new(setup: EncoderSetup) -> Self {
        Self { setup, choices: BTreeMap::new(), usage: None, closed: false }
    }

    fn send(&self, candidates: Vec<Value>, out: &mut Vec<u8>) {
        let usage = self.usage.as_ref();
        write_frame(&chunk(candidates, usage, &self.setup.id, &self.setup.model), out);
    }

    fn delta(&mut self, choice: u32, delta: &Delta, out: &mut Vec<u8>) {
        let held = self.choices.entry(choice).or_default();
        let part = match delta {
            Delta::Text(text) | Delta::Refusal(text) => {
                held.thinking = false;
                (!text.is_empty()).then(|| json!({ "text": text }))
            }
            Delta::Thinking(text) => {
                held.thinking = true;
                (!text.is_empty()).then(|| json!({ "text": text, "thought": true }))
            }
            Delta::ThinkingSeal(seal) => seal_part(seal, held.thinking),
            Delta::ToolCall { call, id, name, seal } => {
                let (id, name, seal) = (id.clone(), name.clone(), seal.clone());
                held.calls.insert(*call, ToolCall { id, name, arguments: String::new(), seal });
                None
            }
            Delta::Arguments { call, json } => {
                if let Some(call) = held.calls.get_mut(call) {
                    call.arguments.push_str(json);
                }
                None
            }
            Delta::Logprobs(logprobs) => {
                let candidate = candidate(choice, vec![silence()], Some(logprobs));
                return self.send(vec![Value::Object(candidate)], out);
            }
        };
        if let Some(part) = part {
            self.send(vec![Value::Object(candidate(choice, vec![part], None))], out);
        }
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        let choices = std::mem::take(&mut self.choices);
        let candidates = choices.into_iter().filter_map(|(choice, held)| {
            let finish = held.finish?;
            let calls: Vec<Part> = held.calls.into_values().map(Part::ToolCall).collect();
            let mut parts = spoken(&calls, Reader::Caller).unwrap_or_default();
            if parts.is_empty() {
                parts.push(silence());
            }
            let mut candidate = candidate(choice, parts, None);
            candidate.insert("finishReason".to_owned(), json!(reason(&finish)));
            Some(Value::Object(candidate))
        });
        let candidates = candidates.collect();
        self.send(candidates, out);
    }
}

impl Encoder for StreamEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.closed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                if self.setup.open && !id.is_empty() {
                    self.setup.id.clone_from(id);
                }
                if self.setup.open && !model.is_empty() {
                    self.setup.model.clone_from(model);
                }
            }
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            Event::Finish { choice, finish } => {
                self.choices.entry(*choice).or_default().finish = Some(finish.clone());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {
                self.last(out);
                self.closed = true;
            }
        }
    }

    fn problem(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        if !self.closed {
            self.closed = true;
            write_frame(&error(problem), out);
        }
    }
}

/// A part that says nothing, as the provider itself sends: SDKs take a frame without parts for a broken turn.
fn silence() -> Value {
    json!({ "text": "" })
}

fn seal_part(seal: &Seal, thinking: bool) -> Option<Value> {
    let signature = signature(Some(seal))?;
    let mut part = if thinking { json!({ "text": "", "thought": true }) } else { silence() };
    sign(&mut part, signature);
    Some(part)
}

fn write_frame(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(value.to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// The RPC status name of each kind of problem.
const STATUSES: &[(ProblemKind, &str)] = &[
    (ProblemKind::Invalid, "INVALID_ARGUMENT"),
    (ProblemKind::Authentication, "UNAUTHENTICATED"),
    (ProblemKind::Permission, "PERMISSION_DENIED"),
    (ProblemKind::NotFound, "NOT_FOUND"),
    (ProblemKind::TooLarge, "INVALID_ARGUMENT"),
    (ProblemKind::ContextLength, "INVALID_ARGUMENT"),
    (ProblemKind::Refused, "FAILED_PRECONDITION"),
    (ProblemKind::RateLimited, "RESOURCE_EXHAUSTED"),
    (ProblemKind::Quota, "RESOURCE_EXHAUSTED"),
    (ProblemKind::Overloaded, "UNAVAILABLE"),
    (ProblemKind::Timeout, "DEADLINE_EXCEEDED"),
    (ProblemKind::Upstream, "UNAVAILABLE"),
    (ProblemKind::Internal, "INTERNAL"),
];

/// An error body: the RPC envelope with its standard details.
pub(super) fn error(problem: &Problem) -> Value {
    let status = STATUSES.iter().find(|(kind, _)| *kind == problem.kind).map_or("UNKNOWN", |(_, name)| name);
    let mut details = Vec::new();
    let mut detail = |kind: &str, key: &str, value: Value| {
        details.push(json!({ "@type": format!("type.googleapis.com/google.rpc.{kind}"), key: value }));
    };
    if let Some(code) = &problem.code {
        detail("ErrorInfo", "reason", json!(code));
    }
    if let Some(param) = &problem.param {
        let violation = json!([{ "field": param, "description": problem.message }]);
        detail("BadRequest", "fieldViolations", violation);
    }
    if let Some(wait) = problem.retry_after {
        detail("RetryInfo", "retryDelay", json!(seconds(wait)));
    }
    if !problem.request_id.is_empty() {
        detail("RequestInfo", "requestId", json!(problem.request_id));
    }
    if let Some(trail) = &problem.trail {
        detail("DebugInfo", "detail", json!(trail));
    }
    json!({ "error": {
        "code": problem.status, "message": problem.message, "status": status, "details": details,
    } })
}

/// A duration as protobuf writes it in JSON: `38s`, `38.200s`.
fn seconds(wait: Duration) -> String {
    match wait.subsec_millis() {
        0 => format!("{}s", wait.as_secs()),
        millis => format!("{}.{millis:03}s", wait.as_secs()),
    }
}
