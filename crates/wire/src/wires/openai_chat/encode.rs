//! Writes a streamed answer and error bodies for callers of this format, as the official clients read them.

use super::response::counters;
use super::words;
use crate::chat::{Finish, Usage};
use crate::event::{Delta, Event};
use crate::format::{Encoder, EncoderSetup};
use crate::json::quoted;
use crate::problem::{Problem, ProblemKind};
use serde_json::{Map, Value, json};

/// Writes hub events as chunks. Usage waits for the end, where the format wants it.
pub(super) struct ChatEncoder {
    setup: EncoderSetup,
    /// Everything of a chunk before its choices; it repeats in every chunk.
    head: String,
    choices: Vec<ChoiceState>,
    usage: Option<Usage>,
}

struct ChoiceState {
    index: u32,
    /// The calls begun, and whether any arguments came for each.
    calls: Vec<(u32, bool)>,
}

impl ChatEncoder {
    pub(super) fn new(setup: EncoderSetup) -> Self {
        let head = head(&setup.id, setup.created, &setup.model);
        Self { setup, head, choices: Vec::new(), usage: None }
    }

    fn start(&mut self, id: &str, model: &str) {
        if !self.setup.open {
            return;
        }
        let id = if id.is_empty() { &self.setup.id } else { id };
        let model = if model.is_empty() { &self.setup.model } else { model };
        self.head = head(id, self.setup.created, model);
    }

    /// One chunk of one choice; `delta` is JSON text.
    fn chunk(&self, choice: u32, delta: &str, finish: Option<&Finish>, out: &mut Vec<u8>) {
        let reason = finish.map_or("null".to_owned(), |finish| quoted(words::finish_name(finish)));
        self.entry(
            &[&choice.to_string(), ",\"delta\":", delta, ",\"logprobs\":null,\"finish_reason\":", &reason],
            out,
        );
    }

    /// One chunk whose only choice is made of `pieces`, its index first.
    fn entry(&self, pieces: &[&str], out: &mut Vec<u8>) {
        let usage = if self.setup.usage { "}],\"usage\":null}\n\n" } else { "}]}\n\n" };
        push_all(out, &["data: ", &self.head, "[{\"index\":"]);
        push_all(out, pieces);
        push_all(out, &[usage]);
    }

    /// The choice's place; its first chunk names the role.
    fn opened(&mut self, index: u32, out: &mut Vec<u8>) -> usize {
        if let Some(position) = self.choices.iter().position(|choice| choice.index == index) {
            return position;
        }
        self.choices.push(ChoiceState { index, calls: Vec::new() });
        self.chunk(index, ROLE, None, out);
        self.choices.len() - 1
    }

    fn delta(&mut self, choice: u32, delta: &Delta, out: &mut Vec<u8>) {
        let position = self.opened(choice, out);
        let state = self.choices.get_mut(position);
        let written = match delta {
            // Opaque state has no place here.
            Delta::ThinkingSeal(_) => return,
            Delta::Text(text) | Delta::Thinking(text) | Delta::Refusal(text) if text.is_empty() => return,
            Delta::Text(text) => format!("{{\"content\":{}}}", quoted(text)),
            Delta::Thinking(text) => format!("{{\"reasoning_content\":{}}}", quoted(text)),
            Delta::Refusal(text) => format!("{{\"refusal\":{}}}", quoted(text)),
            Delta::ToolCall { call, id, name, seal: _ } => {
                state.into_iter().for_each(|state| state.calls.push((*call, false)));
                let function = json!({"name": name, "arguments": ""});
                let begun = json!({"index": call, "id": id, "type": "function", "function": function});
                format!("{{\"tool_calls\":[{begun}]}}")
            }
            Delta::Arguments { call, json } => {
                let calls = state.into_iter().flat_map(|state| &mut state.calls);
                calls.filter(|(index, _)| index == call).for_each(|(_, spoke)| *spoke |= !json.is_empty());
                arguments(*call, json)
            }
            Delta::Logprobs(value) => {
                let (index, value) = (choice.to_string(), value.to_string());
                let pieces = [&index, ",\"delta\":{},\"logprobs\":", &value, ",\"finish_reason\":null"];
                return self.entry(&pieces, out);
            }
        };
        self.chunk(choice, &written, None, out);
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        let position = self.opened(choice, out);
        let calls = self.choices.get_mut(position).map(|state| std::mem::take(&mut state.calls));
        // Clients read the arguments as JSON, and nothing at all is none.
        for (call, _) in calls.unwrap_or_default().into_iter().filter(|(_, spoke)| !spoke) {
            self.chunk(choice, &arguments(call, "{}"), None, out);
        }
        self.chunk(choice, "{}", Some(finish), out);
    }
}

/// The first delta of every choice.
const ROLE: &str = "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}";

fn arguments(call: u32, json: &str) -> String {
    let json = quoted(json);
    format!("{{\"tool_calls\":[{{\"index\":{call},\"function\":{{\"arguments\":{json}}}}}]}}")
}

fn head(id: &str, created: u64, model: &str) -> String {
    let (id, model) = (quoted(id), quoted(model));
    format!(
        "{{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model},\"choices\":"
    )
}

fn push_all(out: &mut Vec<u8>, pieces: &[&str]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

impl Encoder for ChatEncoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => self.start(id, model),
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {
                if let Some(usage) = self.usage.take().filter(|_| self.setup.usage) {
                    let usage = counters(&usage).to_string();
                    push_all(out, &["data: ", &self.head, "[],\"usage\":", &usage, "}\n\n"]);
                }
                push_all(out, &["data: [DONE]\n\n"]);
            }
        }
    }

    fn problem(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        push_all(out, &["data: ", &body(problem).to_string(), "\n\n"]);
    }
}

// === errors ===

/// An error body.
pub(super) fn render_problem(problem: &Problem) -> Vec<u8> {
    body(problem).to_string().into_bytes()
}

/// The `type` and `code` of a kind, as the format's inventor spells them.
fn named(kind: ProblemKind) -> (&'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match kind {
        ProblemKind::Invalid => (INVALID, None),
        ProblemKind::Authentication => (INVALID, Some("invalid_api_key")),
        ProblemKind::Permission => ("permission_error", Some("permission_denied")),
        ProblemKind::NotFound => (INVALID, Some("model_not_found")),
        ProblemKind::TooLarge => (INVALID, Some("request_too_large")),
        ProblemKind::ContextLength => (INVALID, Some("context_length_exceeded")),
        ProblemKind::Refused => (INVALID, Some("content_policy_violation")),
        ProblemKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        ProblemKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        ProblemKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
        ProblemKind::Timeout => ("server_error", Some("timeout")),
        ProblemKind::Upstream => ("server_error", Some("upstream_error")),
        ProblemKind::Internal => ("server_error", Some("internal_error")),
    }
}

fn body(problem: &Problem) -> Value {
    let (kind, code) = named(problem.kind);
    let wait = problem.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let more = [
        ("request_id", Some(json!(problem.request_id))),
        ("retry_after_ms", wait.map(Value::from)),
        ("trail", problem.trail.as_deref().map(Value::from)),
    ];
    let more =
        more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>();
    json!({"error": {
        "message": problem.message,
        "type": kind,
        "param": problem.param,
        "code": problem.code.as_deref().or(code),
        "unfail": more,
    }})
}
