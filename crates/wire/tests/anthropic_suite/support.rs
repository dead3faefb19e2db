//! What the tests of this format share: targets, short words for hub values, framing, and the provider's own rules
//! as checks.

use bytes::Bytes;
use serde_json::Value;
use std::collections::HashSet;
use unfail_wire::chat::*;
use unfail_wire::event::{Delta, Event};
use unfail_wire::format::{Decoded, EncoderSetup, Inbound, Refusal, Unspeakable};
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::sse::{Frame, FrameKind};
use unfail_wire::target::{Quirks, ReasoningControl, Target, Traits};
use unfail_wire::wires::anthropic::Anthropic;
use unfail_wire::{Dialect, Wire};

pub(crate) const BUDGET: ReasoningControl =
    ReasoningControl::Budget { min: 1_024, max: 32_000, can_disable: true };
pub(crate) const ADAPTIVE: ReasoningControl = ReasoningControl::Adaptive { can_disable: true };
pub(crate) const ALWAYS_ON: ReasoningControl = ReasoningControl::Adaptive { can_disable: false };

/// A model of the generation that takes sampling, prefill and budgets.
pub(crate) fn classic() -> Traits {
    Traits { max_output: Some(64_000), prefill: Some(true), reasoning: BUDGET, ..Traits::default() }
}

/// A model of the generation that takes none of these and cannot be forced to call.
pub(crate) fn modern() -> Traits {
    Traits {
        max_output: Some(128_000),
        prefill: Some(false),
        sampling: Some(false),
        forced_tool: Some(false),
        reasoning: ALWAYS_ON,
        ..Traits::default()
    }
}

pub(crate) fn target(traits: &Traits) -> Target<'_> {
    Target { model: "claude-x", quirks: &Quirks::NONE, traits, default_max_tokens: 4_096 }
}

pub(crate) fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound { body, path_model: None, path_stream: false }
}

pub(crate) fn parse(body: &[u8]) -> Result<ChatRequest, Refusal> {
    Dialect::parse(&Anthropic, inbound(body))
}

/// The body rendered for a model, as a value.
pub(crate) fn rendered(request: &ChatRequest, traits: &Traits) -> Result<Value, Unspeakable> {
    Wire::render(&Anthropic, request, &target(traits)).map(|body| serde_json::from_slice(&body).unwrap())
}

// === Hub values ===

pub(crate) fn message(role: Role, parts: impl Into<Vec<Part>>) -> Message {
    Message { role, parts: parts.into(), name: None }
}

pub(crate) fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

pub(crate) fn system(words: &str) -> Message {
    message(Role::System, [text(words)])
}

pub(crate) fn user(words: &str) -> Message {
    message(Role::User, [text(words)])
}

pub(crate) fn assistant(words: &str) -> Message {
    message(Role::Assistant, [text(words)])
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> Part {
    let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
    Part::ToolCall(ToolCall { id, name, arguments, seal: None })
}

pub(crate) fn result(id: &str, words: &str) -> Part {
    Part::ToolResult(ToolResult { id: id.to_owned(), content: vec![text(words)], is_error: false })
}

pub(crate) fn seal(data: &str, redacted: bool) -> Seal {
    Seal { wire: "anthropic", redacted, data: data.to_owned() }
}

pub(crate) fn thinking(words: &str, seal: Option<Seal>) -> Part {
    Part::Thinking(Thinking { text: words.to_owned(), seal })
}

pub(crate) fn image(mime: &str) -> Part {
    let source = Source::Inline("aVZCT1I=".to_owned());
    Part::Image(Media { mime: Some(mime.to_owned()), source, detail: None })
}

pub(crate) fn tool(name: &str) -> Tool {
    Tool { name: name.to_owned(), description: None, parameters: None, strict: None }
}

pub(crate) fn asking(messages: impl Into<Vec<Message>>) -> ChatRequest {
    ChatRequest { model: "claude-x".to_owned(), messages: messages.into(), ..ChatRequest::default() }
}

pub(crate) fn effort(effort: Effort) -> Option<Reasoning> {
    Some(Reasoning { amount: Amount::Effort(effort), visible: true })
}

pub(crate) fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

pub(crate) fn problem(kind: ProblemKind) -> Problem {
    Problem {
        kind,
        status: 529,
        message: "no target answered".to_owned(),
        code: None,
        param: None,
        retry_after: None,
        request_id: "req_1".to_owned(),
        trail: None,
    }
}

// === Streams ===

/// Cuts a stream whose frames end in `\n\n`.
pub(crate) fn frames(stream: &[u8]) -> Vec<Frame> {
    let stream = std::str::from_utf8(stream).unwrap();
    stream.split_inclusive("\n\n").filter(|frame| !frame.trim().is_empty()).map(frame).collect()
}

pub(crate) fn frame(raw: &str) -> Frame {
    let field = |name: &str| {
        let mut lines = raw.lines().filter_map(|line| line.strip_prefix(name));
        Bytes::from(lines.next().unwrap_or_default().to_owned())
    };
    let data = field("data: ");
    let kind = if data.is_empty() { FrameKind::Silence } else { FrameKind::Event };
    Frame { raw: Bytes::from(raw.to_owned()), event: field("event: "), data, kind }
}

/// Everything a decoder says about a stream: events, how each frame decoded, whether the end was seen.
pub(crate) fn decode(stream: &[u8]) -> (Vec<Event>, Vec<Decoded>, bool) {
    let mut decoder = Anthropic.decoder();
    let mut events = Vec::new();
    let decoded = frames(stream)
        .iter()
        .filter(|frame| frame.kind == FrameKind::Event)
        .map(|frame| decoder.frame(frame, &mut events))
        .collect();
    let complete = decoder.end(&mut events);
    (events, decoded, complete)
}

pub(crate) fn setup() -> EncoderSetup {
    EncoderSetup { id: "msg_own".to_owned(), model: "auto".to_owned(), open: true, created: 0, usage: false }
}

pub(crate) fn encode(events: &[Event]) -> Vec<u8> {
    let mut encoder = Anthropic.encoder(setup());
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    out
}

/// An answer put together from events, as a caller would: text, reasoning and calls each in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Gathered {
    pub(crate) text: String,
    pub(crate) thinking: String,
    pub(crate) seals: Vec<Seal>,
    pub(crate) calls: Vec<(String, String, String)>,
}

pub(crate) fn gather(events: &[Event]) -> Gathered {
    let mut all = Gathered::default();
    let mut numbers = Vec::new();
    for event in events {
        let Event::Delta { choice: 0, delta } = event else { continue };
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => all.text.push_str(text),
            Delta::Thinking(text) => all.thinking.push_str(text),
            Delta::ThinkingSeal(seal) => all.seals.push(seal.clone()),
            Delta::ToolCall { call, id, name, .. } => {
                numbers.push(*call);
                all.calls.push((id.clone(), name.clone(), String::new()));
            }
            Delta::Arguments { call, json } => {
                let place = numbers.iter().position(|number| number == call).unwrap();
                all.calls[place].2.push_str(json);
            }
            Delta::Logprobs(_) => {}
        }
    }
    all
}

// === The provider's rules ===

fn kind(block: &Value) -> &str {
    block["type"].as_str().unwrap()
}

/// The body breaks none of the ordering rules for which the provider refuses a request.
pub(crate) fn assert_acceptable(body: &Value) {
    let turns = body["messages"].as_array().unwrap();
    assert_eq!(turns[0]["role"], "user", "the first turn is the user's\n{body:#}");
    assert!(body["max_tokens"].as_u64().unwrap() > 0);
    let mut ids = HashSet::new();
    let mut pending: Vec<&str> = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let role = turn["role"].as_str().unwrap();
        assert_eq!(role, if index % 2 == 0 { "user" } else { "assistant" }, "turns alternate\n{body:#}");
        let blocks = turn["content"].as_array().unwrap();
        assert!(!blocks.is_empty(), "no turn is empty\n{body:#}");
        let results = blocks.iter().take_while(|block| kind(block) == "tool_result");
        let answered: Vec<&str> = results.map(|block| block["tool_use_id"].as_str().unwrap()).collect();
        assert_eq!(answered, pending, "results come first, complete and in order\n{body:#}");
        let stray = blocks.iter().skip(answered.len()).any(|block| kind(block) == "tool_result");
        assert!(!stray, "no result comes later\n{body:#}");
        pending =
            blocks.iter().filter(|b| kind(b) == "tool_use").map(|b| b["id"].as_str().unwrap()).collect();
        for id in &pending {
            assert!(ids.insert(*id), "ids are unique\n{body:#}");
            assert!(
                !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)),
                "{id}"
            );
        }
        for block in blocks.iter().filter(|block| kind(block) == "text") {
            assert!(!block["text"].as_str().unwrap().trim().is_empty(), "no blank text\n{body:#}");
        }
        if role == "assistant" {
            assert!(!kind(blocks.last().unwrap()).contains("thinking"), "no turn ends in thinking\n{body:#}");
        }
    }
    assert!(pending.is_empty(), "every call is answered\n{body:#}");
    assert!(ids.is_empty() || body["tools"].is_array(), "calls need declarations\n{body:#}");
    let last = turns.last().unwrap();
    if let (true, Some(words)) = (last["role"] == "assistant", last["content"].as_array().unwrap().last()) {
        let words = words["text"].as_str().unwrap();
        assert_eq!(words, words.trim_end(), "an open turn does not end in whitespace");
    }
}

/// The stream has the form the official clients read: one message, blocks one after another, the end last.
pub(crate) fn assert_readable(stream: &[u8]) {
    let frames = frames(stream);
    let mut open: Option<(u64, String)> = None;
    let mut next = 0;
    let mut names = Vec::new();
    for frame in &frames {
        let body: Value = serde_json::from_slice(&frame.data).unwrap();
        let name = body["type"].as_str().unwrap().to_owned();
        assert_eq!(frame.event, name.as_bytes(), "the event is named as its type");
        match name.as_str() {
            "message_start" => {
                let message = &body["message"];
                for key in ["id", "type", "role", "model"] {
                    assert!(message[key].is_string(), "{key} in {message}");
                }
                assert!(message["content"].is_array() && message["usage"]["input_tokens"].is_u64());
                assert!(message["usage"]["output_tokens"].is_u64());
            }
            "content_block_start" => {
                assert_eq!((open.is_none(), body["index"].as_u64()), (true, Some(next)));
                open = Some((next, kind(&body["content_block"]).to_owned()));
            }
            "content_block_delta" => {
                let (index, block) = open.as_ref().unwrap();
                assert_eq!(body["index"].as_u64(), Some(*index));
                let fits = match kind(&body["delta"]) {
                    "text_delta" => block == "text",
                    "thinking_delta" | "signature_delta" => block == "thinking",
                    "input_json_delta" => block == "tool_use",
                    _ => false,
                };
                assert!(fits, "{body} in a {block} block");
            }
            "content_block_stop" => {
                assert_eq!(open.take().map(|(index, _)| index), body["index"].as_u64());
                next += 1;
            }
            "message_delta" => {
                assert!(body["delta"]["stop_reason"].is_string() && body["usage"]["output_tokens"].is_u64());
            }
            _ => {}
        }
        names.push(name);
    }
    assert!(open.is_none(), "the last block is stopped");
    assert_eq!(names.first().map(String::as_str), Some("message_start"));
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    assert_eq!(names.iter().filter(|name| name.starts_with("message_")).count(), 3);
}
