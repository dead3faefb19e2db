//! Between a stream and a complete answer: [`Fold`] gathers events into a response, [`replay`] tells a response as
//! events.
//!
//! For routes that must hold an answer back (to validate it) and for providers that answered in one piece. The law:
//! folding what was replayed gives the response in [`normal`] form.

use crate::chat::{ChatResponse, Choice, Finish, Part, Seal, Thinking, ToolCall, Usage};
use crate::event::{Delta, Event};
use serde_json::Value;
use std::collections::BTreeMap;

/// Gathers the events of one answer.
#[derive(Debug, Default)]
pub struct Fold {
    id: String,
    model: String,
    choices: BTreeMap<u32, Partial>,
    usage: Option<Usage>,
    ended: bool,
}

/// A choice that is being told.
#[derive(Debug, Default)]
struct Partial {
    parts: Vec<Part>,
    /// Where each call stands in `parts`, by its number.
    calls: Vec<usize>,
    finish: Option<Finish>,
    logprobs: Option<Value>,
}

impl Fold {
    /// Adds the next event.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Start { id, model } => (self.id, self.model) = (id, model),
            Event::Delta { choice, delta } => self.choices.entry(choice).or_default().delta(delta),
            Event::Finish { choice, finish } => self.choices.entry(choice).or_default().finish = Some(finish),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::End => self.ended = true,
        }
    }

    /// The answer, choices in the order of their indexes; `None` unless the end was told and every choice finished.
    /// Events do not tell when an answer was made, so `created` is `None`.
    #[must_use]
    pub fn response(self) -> Option<ChatResponse> {
        let choices: Option<_> = self.choices.into_values().map(Partial::complete).collect();
        let choices = choices.filter(|_| self.ended)?;
        Some(ChatResponse { id: self.id, model: self.model, created: None, choices, usage: self.usage })
    }
}

impl Partial {
    fn delta(&mut self, delta: Delta) {
        let parts = &mut self.parts;
        match delta {
            Delta::Text(text) => add(parts, Part::Text(text)),
            Delta::Refusal(text) => add(parts, Part::Refusal(text)),
            Delta::Thinking(text) => add(parts, Part::Thinking(Thinking { text, seal: None })),
            Delta::ThinkingSeal(seal) => {
                add(parts, Part::Thinking(Thinking { text: String::new(), seal: Some(seal) }));
            }
            Delta::ToolCall { id, name, seal, .. } => {
                self.calls.push(parts.len());
                add(parts, Part::ToolCall(ToolCall { id, name, arguments: String::new(), seal }));
            }
            Delta::Arguments { call, json } => {
                let place = usize::try_from(call).ok().and_then(|call| self.calls.get(call));
                if let Some(Part::ToolCall(call)) = place.and_then(|place| parts.get_mut(*place)) {
                    call.arguments.push_str(&json);
                }
            }
            Delta::Logprobs(more) => add_logprobs(&mut self.logprobs, more),
        }
    }

    fn complete(self) -> Option<Choice> {
        Some(Choice { parts: self.parts, finish: self.finish?, logprobs: self.logprobs })
    }
}

/// Folds the events of a whole answer; `None` as in [`Fold::response`].
pub fn collect(events: impl IntoIterator<Item = Event>) -> Option<ChatResponse> {
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.event(event));
    fold.response()
}

/// The events that tell `response`: each part in one delta, in the order of [`crate::laws`].
#[must_use]
pub fn replay(response: ChatResponse) -> Vec<Event> {
    let mut events = vec![Event::Start { id: response.id, model: response.model }];
    for (choice, said) in (0..).zip(response.choices) {
        let mut calls = 0;
        let deltas = said.parts.into_iter().flat_map(|part| deltas(part, &mut calls));
        events.extend(deltas.map(|delta| Event::Delta { choice, delta }));
        events
            .extend(said.logprobs.map(|logprobs| Event::Delta { choice, delta: Delta::Logprobs(logprobs) }));
        events.push(Event::Finish { choice, finish: said.finish });
    }
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

/// The response as a stream could have told it: text beside text is one part, reasoning ends at its seal, a
/// redacted block has no text, empty parts, media and the time are gone.
#[must_use]
pub fn normal(mut response: ChatResponse) -> ChatResponse {
    response.created = None;
    for choice in &mut response.choices {
        for part in std::mem::take(&mut choice.parts) {
            add(&mut choice.parts, part);
        }
    }
    response
}

fn deltas(part: Part, calls: &mut u32) -> Vec<Delta> {
    match part {
        Part::Text(text) => vec![Delta::Text(text)],
        Part::Refusal(text) => vec![Delta::Refusal(text)],
        Part::Thinking(Thinking { text, seal }) => {
            let text = (!text.is_empty()).then_some(Delta::Thinking(text));
            text.into_iter().chain(seal.map(Delta::ThinkingSeal)).collect()
        }
        Part::ToolCall(ToolCall { id, name, arguments: json, seal }) => {
            let call = *calls;
            *calls += 1;
            let begin = Delta::ToolCall { call, id, name, seal };
            let rest = (!json.is_empty()).then_some(Delta::Arguments { call, json });
            std::iter::once(begin).chain(rest).collect()
        }
        Part::Image(_) | Part::Audio(_) | Part::File(_) | Part::ToolResult(_) => Vec::new(),
    }
}

/// Appends a part in normal form.
fn add(parts: &mut Vec<Part>, part: Part) {
    match part {
        Part::Text(text) | Part::Refusal(text) if text.is_empty() => {}
        Part::Text(more) => match parts.last_mut() {
            Some(Part::Text(text)) => text.push_str(&more),
            _ => parts.push(Part::Text(more)),
        },
        Part::Refusal(more) => match parts.last_mut() {
            Some(Part::Refusal(text)) => text.push_str(&more),
            _ => parts.push(Part::Refusal(more)),
        },
        Part::Thinking(Thinking { text, seal }) => match seal {
            Some(seal) if seal.redacted => {
                add_thinking(parts, text, None);
                parts.push(Part::Thinking(Thinking { text: String::new(), seal: Some(seal) }));
            }
            seal => add_thinking(parts, text, seal),
        },
        Part::ToolCall(_) => parts.push(part),
        Part::Image(_) | Part::Audio(_) | Part::File(_) | Part::ToolResult(_) => {}
    }
}

/// Goes on with the reasoning that has no seal yet, or begins another.
fn add_thinking(parts: &mut Vec<Part>, more: String, closing: Option<Seal>) {
    match parts.last_mut() {
        Some(Part::Thinking(Thinking { text, seal: seal @ None })) => {
            text.push_str(&more);
            *seal = closing;
        }
        _ if more.is_empty() && closing.is_none() => {}
        _ => parts.push(Part::Thinking(Thinking { text: more, seal: closing })),
    }
}

/// Appends log probabilities in the OpenAI shape: an object of lists, one entry per token.
fn add_logprobs(logprobs: &mut Option<Value>, more: Value) {
    match (logprobs, more) {
        (Some(Value::Object(said)), Value::Object(more)) => {
            for (key, value) in more {
                match (said.get_mut(&key), value) {
                    (Some(Value::Array(tokens)), Value::Array(more)) => tokens.extend(more),
                    (Some(_), Value::Null) => {}
                    (_, value) => {
                        said.insert(key, value);
                    }
                }
            }
        }
        (logprobs, more) => *logprobs = Some(more),
    }
}
