//! Laws of the format: there and back is the same, and nothing a provider or caller sends makes it panic.

use crate::support::{
    CROOKED, able, frames, hear, inbound, picky, pieces, setup, summed_up, target, written,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use unfail_wire::chat::{
    Amount, ChatRequest, ChatResponse, Choice, Document, Effort, Finish, Format, JsonSchema, Media, Message,
    Output, Part, Reasoning, Role, Sampling, Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
    ToolUse, Usage,
};
use unfail_wire::event::{Delta, Event};
use unfail_wire::target::{Quirks, ReasoningHistory};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

// === values ===

fn words() -> impl Strategy<Value = String> {
    prop_oneof![Just("Tell me in JSON.".to_owned()), "\\PC{1,12}", "[a-z\"\\\\\n\u{1F30D}]{1,8}"]
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,12}"
}

/// Numbers that every JSON reader gives back exactly.
fn hundredths(least: i32, most: i32) -> impl Strategy<Value = f64> {
    (least..=most).prop_map(|number| f64::from(number) / 128.0)
}

fn schema() -> impl Strategy<Value = Value> {
    word().prop_map(|name| json!({"type": "object", "properties": {name: {"type": "string"}}}))
}

fn source() -> impl Strategy<Value = (Option<String>, Source)> {
    let inline = "[A-Za-z0-9+/]{4,8}".prop_map(|data| (Some("image/png".to_owned()), Source::Inline(data)));
    let url = word().prop_map(|path| (None, Source::Url(format!("https://example.com/{path}"))));
    prop_oneof![inline, url]
}

fn said() -> impl Strategy<Value = Part> {
    let image = (source(), option::of(Just("low".to_owned())));
    let image = image.prop_map(|((mime, source), detail)| Part::Image(Media { mime, source, detail }));
    let inline = |mime: &str| Media {
        mime: Some(mime.to_owned()),
        source: Source::Inline("AAAA".to_owned()),
        detail: None,
    };
    let file = option::of(word())
        .prop_map(move |name| Part::File(Document { name, media: inline("application/pdf") }));
    let audio =
        prop_oneof![Just("audio/wav"), Just("audio/mp3")].prop_map(move |mime| Part::Audio(inline(mime)));
    prop_oneof![4 => words().prop_map(Part::Text), 1 => image, 1 => file, 1 => audio]
}

fn call() -> impl Strategy<Value = ToolCall> {
    let arguments = prop_oneof![Just("{}".to_owned()), Just("{\"a\":\"\\n\"}".to_owned()), words()];
    (word(), word(), arguments).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments, seal: None })
}

// === requests in normal form ===

fn assistant() -> impl Strategy<Value = Vec<Part>> {
    let parts = (option::of(words()), vec(words(), 0..3), option::of(words()), vec(call(), 0..3));
    parts.prop_map(|(thinking, texts, refusal, calls)| {
        let thinking = thinking.map(|text| Part::Thinking(Thinking { text, seal: None }));
        let parts = thinking.into_iter().chain(texts.into_iter().map(Part::Text));
        parts.chain(refusal.map(Part::Refusal)).chain(calls.into_iter().map(Part::ToolCall)).collect()
    })
}

fn results() -> impl Strategy<Value = Vec<Part>> {
    let result = (word(), vec(words().prop_map(Part::Text), 0..3));
    let result =
        result.prop_map(|(id, content)| Part::ToolResult(ToolResult { id, content, is_error: false }));
    vec(result, 1..3)
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let name = || option::of(word());
    let text = || vec(words().prop_map(Part::Text), 1..3);
    let turn = prop_oneof![
        (Just(Role::System), text(), name()),
        (Just(Role::User), vec(said(), 1..4), name()),
        (Just(Role::Assistant), assistant(), name()),
        (Just(Role::Tool), results(), Just(None)),
    ];
    vec(turn.prop_map(|(role, parts, name)| Message { role, parts, name }), 1..6).prop_map(|turns| {
        let mut messages: Vec<Message> = Vec::new();
        for turn in turns {
            match messages.last_mut() {
                Some(last) if last.role == Role::Tool && turn.role == Role::Tool => {
                    last.parts.extend(turn.parts)
                }
                _ => messages.push(turn),
            }
        }
        messages
    })
}

fn tools() -> impl Strategy<Value = ToolUse> {
    let tool = (word(), option::of(words()), option::of(schema()), option::of(any::<bool>()));
    let tool = tool.prop_map(|(name, description, parameters, strict)| Tool {
        name,
        description,
        parameters,
        strict,
    });
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::Named(String::new())),
    ];
    let some = (vec(tool, 1..3), option::of(choice), option::of(any::<bool>()));
    let some = some.prop_map(|(tools, mut choice, parallel)| {
        if let (Some(ToolChoice::Named(name)), Some(last)) = (&mut choice, tools.last()) {
            name.clone_from(&last.name);
        }
        ToolUse { tools, choice, parallel }
    });
    prop_oneof![Just(ToolUse::default()), some]
}

fn output() -> impl Strategy<Value = Output> {
    let schema = (word(), option::of(words()), schema(), option::of(any::<bool>()));
    let schema = schema.prop_map(|(name, description, schema, strict)| JsonSchema {
        name,
        description,
        schema,
        strict,
    });
    let format =
        prop_oneof![Just(Format::Text), Just(Format::JsonObject), schema.prop_map(Format::JsonSchema)];
    let fields = (option::of(1..10_000_u64), option::of(1..=128_u32), format, option::of(0..=20_u8));
    fields.prop_map(|(max_tokens, choices, format, logprobs)| Output {
        max_tokens,
        choices,
        format,
        logprobs,
    })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let signed = || option::of(hundredths(-256, 256));
    let drawn = (option::of(hundredths(0, 256)), option::of(hundredths(0, 128)), option::of(any::<i64>()));
    (drawn, signed(), signed(), vec(words(), 0..=4)).prop_map(
        |(drawn, frequency_penalty, presence_penalty, stop)| {
            let (temperature, top_p, seed) = drawn;
            Sampling { temperature, top_p, top_k: None, seed, frequency_penalty, presence_penalty, stop }
        },
    )
}

/// JSON mode needs the word; where it is missing the renderer adds an instruction.
fn speaks_of_json(messages: &[Message]) -> bool {
    let named = |part: &Part| matches!(part, Part::Text(text) if text.to_lowercase().contains("json"));
    messages.iter().any(|message| message.parts.iter().any(named))
}

const EFFORTS: [Effort; 6] =
    [Effort::None, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];

prop_compose! {
    fn request()(
        messages in messages(),
        tools in tools(),
        mut output in output(),
        sampling in sampling(),
        effort in option::of(proptest::sample::select(&EFFORTS[..])),
        stream in any::<bool>(),
        user in option::of(word()),
    ) -> ChatRequest {
        if output.format == Format::JsonObject && !speaks_of_json(&messages) {
            output.format = Format::Text;
        }
        let reasoning = effort.map(|effort| Reasoning { amount: Amount::Effort(effort), visible: false });
        let model = "host/model-1".to_owned();
        ChatRequest { model, messages, tools, output, sampling, reasoning, stream, stream_usage: stream, user }
    }
}

// === answers in normal form ===

fn usage() -> impl Strategy<Value = Usage> {
    (0..1_000_u64, 0..100_u64, 0..1_000_u64, 0..100_u64).prop_map(|(input, cached, output, reasoning)| {
        Usage {
            input: input + cached,
            cache_read: cached,
            cache_write: cached / 2,
            output: output + reasoning,
            reasoning,
        }
    })
}

fn unique(mut calls: Vec<ToolCall>) -> Vec<ToolCall> {
    calls.retain(|call| call.id != "null");
    calls.iter_mut().enumerate().for_each(|(position, call)| call.id = format!("{position}-{}", call.id));
    calls
}

fn logprobs() -> impl Strategy<Value = Option<Value>> {
    option::of(
        word().prop_map(|token| json!({"content": [{"token": token, "logprob": -0.5}], "refusal": null})),
    )
}

fn finish(calls: bool) -> impl Strategy<Value = Finish> {
    let end = if calls { Finish::ToolCalls } else { Finish::Stop };
    prop_oneof![Just(end), Just(Finish::Length), Just(Finish::ContentFilter)]
}

fn choice() -> impl Strategy<Value = Choice> {
    let parts =
        (option::of(words()), option::of(words()), option::of(words()), vec(call(), 0..3), logprobs());
    parts.prop_flat_map(|(thinking, text, refusal, calls, logprobs)| {
        let calls = unique(calls);
        let called = !calls.is_empty();
        let mut parts = Vec::new();
        parts.extend(thinking.map(|text| Part::Thinking(Thinking { text, seal: None })));
        parts.extend(text.map(Part::Text));
        parts.extend(refusal.map(Part::Refusal));
        parts.extend(calls.into_iter().map(Part::ToolCall));
        if parts.is_empty() {
            parts.push(Part::Text("Hi".to_owned()));
        }
        finish(called).prop_map(move |finish| Choice {
            parts: parts.clone(),
            finish,
            logprobs: logprobs.clone(),
        })
    })
}

prop_compose! {
    fn response()(
        id in word(),
        model in word(),
        created in any::<u32>(),
        choices in vec(choice(), 1..4),
        usage in option::of(usage()),
    ) -> ChatResponse {
        ChatResponse { id, model, created: Some(u64::from(created)), choices, usage }
    }
}

fn deltas(calls: Vec<ToolCall>, texts: Vec<(u8, String)>, logprobs: Option<Value>) -> Vec<Delta> {
    let mut deltas: Vec<Delta> = texts
        .into_iter()
        .map(|(kind, text)| match kind {
            0 => Delta::Thinking(text),
            1 => Delta::Text(text),
            _ => Delta::Refusal(text),
        })
        .collect();
    deltas.extend(logprobs.map(Delta::Logprobs));
    for (index, call) in (0..).zip(&calls) {
        let (id, name) = (call.id.clone(), call.name.clone());
        deltas.push(Delta::ToolCall { call: index, id, name, seal: None });
    }
    // Arguments of several calls interleave, in pieces.
    for round in 0..2 {
        for (index, call) in (0..).zip(&calls) {
            let middle = call.arguments.chars().count() / 2;
            let first: String = call.arguments.chars().take(middle).collect();
            let json = if round == 0 { first } else { call.arguments.chars().skip(middle).collect() };
            if !json.is_empty() {
                deltas.push(Delta::Arguments { call: index, json });
            }
        }
    }
    deltas
}

fn stream() -> impl Strategy<Value = Vec<Event>> {
    let one = (vec(call(), 0..3), vec((0..3_u8, words()), 1..5), logprobs()).prop_flat_map(
        |(calls, texts, logprobs)| {
            let calls = unique(calls);
            let end = finish(!calls.is_empty());
            (Just(deltas(calls, texts, logprobs)), end)
        },
    );
    (word(), word(), vec(one, 1..3), option::of(usage())).prop_map(|(id, model, choices, usage)| {
        let mut events = vec![Event::Start { id, model }];
        let numbered = || (0..).zip(&choices);
        let longest = choices.iter().map(|(deltas, _)| deltas.len()).max().unwrap_or_default();
        for step in 0..longest {
            for (choice, (deltas, _)) in numbered() {
                events.extend(deltas.get(step).map(|delta| Event::Delta { choice, delta: delta.clone() }));
            }
        }
        events
            .extend(numbered().map(|(choice, (_, finish))| Event::Finish { choice, finish: finish.clone() }));
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
        events
    })
}

/// JSON that looks like what providers and callers send, with anything anywhere.
fn nearly() -> impl Strategy<Value = Value> {
    let key = proptest::sample::select(
        &[
            "choices",
            "delta",
            "message",
            "content",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "index",
            "id",
            "finish_reason",
            "usage",
            "prompt_tokens",
            "total_tokens",
            "error",
            "x_host",
            "type",
            "text",
            "thinking",
            "model",
            "messages",
            "role",
            "stop",
            "tools",
            "tool_choice",
            "response_format",
            "stream",
            "logprobs",
        ][..],
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(
            &["", "stop", "error", "null", "user", "tool", "text", "image_url", "x"][..]
        )
        .prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let object = vec((key.clone(), inner.clone()), 0..6);
        let object = object
            .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        prop_oneof![vec(inner, 0..4).prop_map(Value::Array), object.prop_map(Value::Object)]
    })
}

/// As the decoder tells it: the usage stands in a chunk of its own, before reasons to end are certain.
fn usage_first(mut events: Vec<Event>) -> Vec<Event> {
    if let Some(at) = events.iter().position(|event| matches!(event, Event::Usage(_))) {
        let usage = events.remove(at);
        let first = events.iter().position(|event| matches!(event, Event::Finish { .. } | Event::End));
        events.insert(first.unwrap_or(at), usage);
    }
    events
}

/// Feeds `bytes` to everything that reads.
fn read_everywhere(bytes: &[u8]) {
    let _ = Dialect::parse(&OpenAiChat, inbound(bytes));
    let _ = summed_up(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = hear(&text);
    let _ = hear(&format!("data: {text}\n\ndata: {text}\n\ndata: [DONE]\n\n"));
    if let Ok(outline) = OpenAiChat.outline(inbound(bytes)) {
        for (quirks, traits) in [(Quirks::NONE, able()), (CROOKED, picky())] {
            if let Ok(sent) = OpenAiChat.adapt(inbound(bytes), &outline, &target(&quirks, &traits)) {
                let value: Value = serde_json::from_slice(&sent).expect("adapted bodies are JSON");
                assert_eq!(value["model"], "host/model-1");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn requests_survive_there_and_back(request in request()) {
        let quirks = Quirks { reasoning_history: ReasoningHistory::Reasoning, ..Quirks::NONE };
        let body = Wire::render(&OpenAiChat, &request, &target(&quirks, &able())).unwrap();
        prop_assert!(OpenAiChat.outline(inbound(&body)).is_ok());
        prop_assert_eq!(Dialect::parse(&OpenAiChat, inbound(&body)).unwrap(), request);
    }

    #[test]
    fn the_plain_wire_loses_only_reasoning(mut request in request()) {
        let body = Wire::render(&OpenAiChat, &request, &target(&Quirks::NONE, &able())).unwrap();
        for message in &mut request.messages {
            message.parts.retain(|part| !matches!(part, Part::Thinking(_)));
        }
        prop_assert_eq!(Dialect::parse(&OpenAiChat, inbound(&body)).unwrap(), request);
    }

    #[test]
    fn crooked_hosts_get_what_they_can_read(mut request in request()) {
        request.output.choices = None;
        let body = Wire::render(&OpenAiChat, &request, &target(&CROOKED, &picky())).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        for refused in CROOKED.refused.iter().chain(&["temperature", "stop", "seed", "max_completion_tokens"]) {
            prop_assert!(body.get(refused).is_none());
        }
        prop_assert!(body["max_tokens"].as_u64().unwrap() <= 150);
        for message in body["messages"].as_array().unwrap() {
            let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
            let ids = calls.map(|call| &call["id"]).chain(message.get("tool_call_id"));
            for id in ids {
                prop_assert_eq!(id.as_str().unwrap().len(), 9);
            }
        }
    }

    #[test]
    fn answers_survive_there_and_back(response in response()) {
        let body = Dialect::render(&OpenAiChat, &response);
        prop_assert_eq!(summed_up(&body).unwrap(), response);
    }

    #[test]
    fn streams_survive_there_and_back(events in stream()) {
        let heard = hear(&written(&events, setup(true, true)));
        prop_assert!(heard.complete && heard.remarks.is_empty(), "{:?}", heard.remarks);
        prop_assert_eq!(heard.events, usage_first(events));
    }

    #[test]
    fn a_stream_cut_before_its_last_choice_ends_is_cut(events in stream(), at in any::<prop::sample::Index>()) {
        let stream = written(&events, setup(true, true));
        let frames = frames(&stream);
        let last = frames.iter().rposition(|frame| {
            let text = String::from_utf8_lossy(&frame.raw).into_owned();
            text.contains("\"finish_reason\":\"")
        });
        let kept: String = frames[..at.index(last.unwrap() + 1)]
            .iter()
            .map(|frame| String::from_utf8_lossy(&frame.raw).into_owned())
            .collect();
        let heard = hear(&kept);
        // A choice that never began cannot be missed; every other one can.
        let whole = |event: &&Event| matches!(event, Event::Finish { .. });
        let began = heard.events.iter().filter(whole).count();
        prop_assert!(!heard.complete || began < events.iter().filter(whole).count());
    }

    #[test]
    fn without_its_usage_chunk_a_stream_is_one_that_was_not_asked_for_usage(events in stream()) {
        let asked = written(&events, setup(true, true));
        let unasked = written(&events, setup(false, true));
        let pieces = pieces(&asked);
        let usage = |said: &Vec<Event>| matches!(said[..], [Event::Usage(_)]);
        prop_assert_eq!(pieces.iter().any(|(_, said)| usage(said)), asked.contains("\"usage\":{"));
        let left: String = pieces.into_iter().filter(|(_, said)| !usage(said)).map(|(raw, _)| raw).collect();
        prop_assert_eq!(left.replace(",\"usage\":null", ""), unasked);
    }

    #[test]
    fn nothing_panics_on_nearly_right_json(value in nearly()) {
        read_everywhere(value.to_string().as_bytes());
        let message = json!({"model": "m", "messages": [value, {"role": "user", "content": "Hi"}]});
        read_everywhere(message.to_string().as_bytes());
        read_everywhere(json!({"choices": [value]}).to_string().as_bytes());
        read_everywhere(json!({"choices": [{"index": 0, "delta": value}]}).to_string().as_bytes());
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        read_everywhere(&bytes);
    }
}
