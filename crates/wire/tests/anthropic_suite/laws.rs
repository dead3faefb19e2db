//! Laws that hold for every value: there and back is where one was, whatever comes in harms nobody, and what goes
//! out breaks no rule of the provider.

use crate::requests::everything;
use crate::support::*;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use unfail_wire::chat::*;
use unfail_wire::event::{Delta, Event};
use unfail_wire::sse::{Frame, FrameKind};
use unfail_wire::target::Traits;
use unfail_wire::wires::anthropic::Anthropic;
use unfail_wire::{Dialect, Wire};

// === Values in normal form ===

fn words() -> impl Strategy<Value = String> {
    "[a-zé🔎\"\\\\ \n]{0,12}[a-z]"
}

fn arguments() -> impl Strategy<Value = String> {
    select(vec![r#"{}"#, r#"{"a":1}"#, r#"{"s":"}\"{","n":[1.5,null]}"#]).prop_map(str::to_owned)
}

fn picture() -> impl Strategy<Value = Part> {
    let inline = select(vec!["image/png", "image/jpeg"]).prop_map(image);
    let url = Just(Part::Image(Media {
        mime: None,
        source: Source::Url("https://example.org/a.png".to_owned()),
        detail: None,
    }));
    prop_oneof![inline, url]
}

fn document() -> impl Strategy<Value = Part> {
    of(words()).prop_map(|name| {
        let source = Source::Inline("JVBERi0=".to_owned());
        let media = Media { mime: Some("application/pdf".to_owned()), source, detail: None };
        Part::File(Document { name, media })
    })
}

fn sealed() -> impl Strategy<Value = Part> {
    prop_oneof![
        ("[a-z]{0,6}", "[a-z]{1,6}").prop_map(|(words, data)| thinking(&words, Some(seal(&data, false)))),
        "[a-z]{1,6}".prop_map(|data| thinking("", Some(seal(&data, true)))),
    ]
}

fn shown() -> impl Strategy<Value = Part> {
    prop_oneof![3 => words().prop_map(Part::Text), 1 => picture(), 1 => document()]
}

/// A turn before it has its ids: the assistant's thinking and words, its calls with their results, the user's words.
#[derive(Debug, Clone)]
struct Exchange {
    user: Vec<Part>,
    said: Vec<Part>,
    calls: Vec<(String, Vec<Part>, bool)>,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let said = (vec(sealed(), 0..3), vec(words().prop_map(Part::Text), 1..3));
    let calls = vec((arguments(), vec(shown(), 0..2), any::<bool>()), 0..3);
    (vec(shown(), 1..3), said, calls).prop_map(|(user, (mut said, texts), calls)| {
        said.extend(texts);
        Exchange { user, said, calls }
    })
}

/// A conversation in normal form that ends with the user or with results.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    (of(words()), vec(exchange(), 0..4), vec(shown(), 1..3)).prop_map(|(instructions, exchanges, last)| {
        let mut messages: Vec<Message> = instructions.iter().map(|words| system(words)).collect();
        for (turn, Exchange { user, said, calls }) in exchanges.into_iter().enumerate() {
            messages.push(message(Role::User, user));
            let ids = |number: usize| format!("toolu_{turn}-{number}");
            let mut parts = said;
            let called = calls.iter().enumerate();
            parts.extend(called.map(|(number, (arguments, ..))| call(&ids(number), "look", arguments)));
            messages.push(message(Role::Assistant, parts));
            let results = calls.into_iter().enumerate().map(|(number, (_, content, is_error))| {
                Part::ToolResult(ToolResult { id: ids(number), content, is_error })
            });
            let results: Vec<Part> = results.collect();
            if !results.is_empty() {
                messages.push(message(Role::Tool, results));
            }
        }
        messages.push(message(Role::User, last));
        messages
    })
}

fn tools() -> impl Strategy<Value = ToolUse> {
    let schema = json!({"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false});
    let other =
        (of(words()), of(Just(schema)), of(any::<bool>())).prop_map(|(description, parameters, strict)| {
            Tool { description, parameters, strict, ..tool("other") }
        });
    let free = select(vec![ToolChoice::Auto, ToolChoice::Required, ToolChoice::Named("look".to_owned())]);
    let choice = prop_oneof![
        Just((None, None)),
        Just((Some(ToolChoice::None), None)),
        (free.prop_map(Some), of(any::<bool>())),
    ];
    (of(other), choice).prop_map(|(other, (choice, parallel))| {
        let tools = std::iter::once(tool("look")).chain(other).collect();
        ToolUse { tools, choice, parallel }
    })
}

fn format() -> impl Strategy<Value = Format> {
    let open = json!({"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false});
    let mut closed = open.clone();
    closed["required"] = json!(["a"]);
    let named = |schema, strict| {
        Format::JsonSchema(JsonSchema { name: "output".to_owned(), description: None, schema, strict })
    };
    select(vec![Format::Text, named(open, None), named(closed, Some(true))])
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let unit = || select(vec![0.0, 0.25, 0.5, 1.0]);
    let drawn = prop_oneof![
        Just((None, None)),
        unit().prop_map(|temperature| (Some(temperature), None)),
        unit().prop_map(|top_p| (None, Some(top_p))),
    ];
    (drawn, of(0..100_u64), vec(words(), 0..3)).prop_map(|((temperature, top_p), top_k, stop)| Sampling {
        temperature,
        top_p,
        top_k,
        stop,
        ..Sampling::default()
    })
}

/// A model and a wish it can be told.
fn reasoning() -> impl Strategy<Value = (Traits, Option<Reasoning>)> {
    let none = Reasoning { amount: Amount::Effort(Effort::None), visible: false };
    let said = |amount, visible| Reasoning { amount, visible };
    let efforts = select(vec![Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max]);
    let model = |reasoning| Traits { reasoning, ..classic() };
    prop_oneof![
        Just((classic(), None)),
        select(vec![BUDGET, ADAPTIVE]).prop_map(move |control| (model(control), Some(none))),
        (1_024..16_000_u64, any::<bool>())
            .prop_map(move |(tokens, visible)| (model(BUDGET), Some(said(Amount::Tokens(tokens), visible)))),
        (efforts, any::<bool>()).prop_map(move |(effort, visible)| (
            model(ADAPTIVE),
            Some(said(Amount::Effort(effort), visible))
        )),
    ]
}

/// A request this format can say word for word to the model beside it.
fn request() -> impl Strategy<Value = (ChatRequest, Traits)> {
    let knobs = (sampling(), reasoning(), of("user_[a-z]{1,8}"), any::<bool>());
    (conversation(), tools(), (16_001..64_000_u64, format()), knobs).prop_map(
        |(
            mut messages,
            mut tools,
            (max_tokens, format),
            (mut sampling, (traits, reasoning), user, stream),
        )| {
            if reasoning.is_some_and(|wish| wish.amount != Amount::Effort(Effort::None)) {
                sampling = Sampling { stop: sampling.stop, ..Sampling::default() };
                tools.choice = tools.choice.map(|choice| match choice {
                    ToolChoice::Required | ToolChoice::Named(_) => ToolChoice::Auto,
                    other => other,
                });
                // A loop can be thought through to its end only if its thinking was kept.
                for message in messages.iter_mut().filter(|message| message.role == Role::Assistant) {
                    message.parts.insert(0, thinking("so", Some(seal("s", false))));
                }
            }
            let output = Output { max_tokens: Some(max_tokens), format, ..Output::default() };
            let model = "claude-x".to_owned();
            let stream_usage = stream;
            (
                ChatRequest {
                    model,
                    messages,
                    tools,
                    output,
                    sampling,
                    reasoning,
                    stream,
                    stream_usage,
                    user,
                },
                traits,
            )
        },
    )
}

fn usage() -> impl Strategy<Value = Usage> {
    (0..99_u64, 0..99_u64, 0..99_u64, 0..99_u64, 0..99_u64).prop_map(
        |(fresh, read, write, output, reasoning)| Usage {
            input: fresh + read + write,
            cache_read: read,
            cache_write: write,
            output,
            reasoning,
        },
    )
}

fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        select(vec![Finish::Stop, Finish::Length, Finish::ToolCalls, Finish::ContentFilter]),
        of(words()).prop_map(Finish::StopSequence),
    ]
}

/// What one block says, as events: `call` numbers are given afterwards.
fn block() -> impl Strategy<Value = Vec<Delta>> {
    let pieces = || vec(words(), 1..4);
    let sealing = |redacted| "[a-z]{1,6}".prop_map(move |data| Delta::ThinkingSeal(seal(&data, redacted)));
    let called = (arguments(), any::<prop::sample::Index>()).prop_map(|(json, cut)| {
        let call = Delta::ToolCall { call: 0, id: "toolu_1".to_owned(), name: "look".to_owned(), seal: None };
        let (head, tail) = json.split_at(cut.index(json.len()));
        let pieces = [head, tail].into_iter().filter(|piece| !piece.is_empty());
        let pieces = pieces.map(|json| Delta::Arguments { call: 0, json: json.to_owned() });
        std::iter::once(call).chain(pieces).collect::<Vec<_>>()
    });
    prop_oneof![
        pieces().prop_map(|pieces| pieces.into_iter().map(Delta::Text).collect()),
        (pieces(), of(sealing(false))).prop_map(|(pieces, seal)| pieces
            .into_iter()
            .map(Delta::Thinking)
            .chain(seal)
            .collect()),
        sealing(true).prop_map(|seal| vec![seal]),
        sealing(false).prop_map(|seal| vec![seal]),
        called,
    ]
}

fn numbered(blocks: Vec<Vec<Delta>>) -> Vec<Vec<Event>> {
    let mut next = 0;
    let numbered = blocks.into_iter().map(|mut block| {
        let own = next;
        next += u32::from(matches!(block.first(), Some(Delta::ToolCall { .. })));
        for piece in &mut block {
            match piece {
                Delta::ToolCall { call, id, .. } => (*call, *id) = (own, format!("toolu_{own}")),
                Delta::Arguments { call, .. } => *call = own,
                _ => {}
            }
        }
        block.into_iter().map(delta).collect()
    });
    numbered.collect()
}

fn around(deltas: Vec<Event>, finish: Finish, usage: Usage) -> Vec<Event> {
    let mut events = vec![Event::Start { id: "msg_1".to_owned(), model: "claude-x".to_owned() }];
    events.extend(deltas);
    events.extend([Event::Finish { choice: 0, finish }, Event::Usage(usage), Event::End]);
    events
}

fn response() -> impl Strategy<Value = ChatResponse> {
    let part = prop_oneof![
        words().prop_map(Part::Text),
        sealed(),
        words().prop_map(|words| thinking(&words, None)),
        arguments().prop_map(|arguments| call("toolu_1", "look", &arguments)),
    ];
    (vec(part, 0..5), finish(), usage()).prop_map(|(mut parts, finish, usage)| {
        for (index, part) in parts.iter_mut().enumerate() {
            if let Part::ToolCall(call) = part {
                call.id = format!("toolu_{index}");
            }
        }
        ChatResponse {
            id: "msg_1".to_owned(),
            model: "claude-x".to_owned(),
            created: None,
            choices: vec![Choice { parts, finish, logprobs: None }],
            usage: Some(usage),
        }
    })
}

// === Values in no form at all ===

/// Messages as careless callers and other formats leave them.
fn wild() -> impl Strategy<Value = Vec<Message>> {
    let id = || select(vec!["", "a", "a.b", "a_b", "null", "a_b_2"]);
    let blank = || select(vec!["", " ", "x ", "\n"]);
    let part = prop_oneof![
        3 => blank().prop_map(text),
        2 => id().prop_map(|id| call(id, "look", "nope")),
        3 => (id(), blank()).prop_map(|(id, words)| result(id, words)),
        1 => sealed(),
        1 => blank().prop_map(|words| Part::Refusal(words.to_owned())),
    ];
    let role = select(vec![Role::System, Role::User, Role::Assistant, Role::Tool]);
    vec((role, vec(part, 0..4)).prop_map(|(role, parts)| message(role, parts)), 0..9)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(1.5)),
        select(vec!["", "text", "tool_use", "user", "adaptive", "error"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = select(vec!["type", "text", "content", "source", "input", "error", "x"]);
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((key, inner), 0..3).prop_map(|members| {
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

/// All places of a value.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{path}/{index}"), all));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, member)| places(member, &format!("{path}/{key}"), all));
        }
        _ => {}
    }
}

/// Replaces one place of a value.
fn damage(value: &mut Value, place: prop::sample::Index, with: Value) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let place = &all[place.index(all.len())];
    *value.pointer_mut(place).unwrap() = with;
}

/// A good value with one place replaced by anything.
fn damaged(good: Vec<Value>) -> impl Strategy<Value = Value> {
    (select(good), any::<prop::sample::Index>(), any_json()).prop_map(|(mut value, place, with)| {
        damage(&mut value, place, with);
        value
    })
}

fn read_everything(body: &[u8]) {
    let outlined = Anthropic.outline(inbound(body));
    if let Ok(outline) = &outlined {
        for traits in [classic(), modern()] {
            let adapted = Anthropic.adapt(inbound(body), outline, &target(&traits)).unwrap();
            assert!(serde_json::from_slice::<Value>(&adapted).is_ok());
        }
    }
    if let Ok(hub) = parse(body) {
        let outline = outlined.expect("what can be read can be outlined");
        assert_eq!((&*outline.model, outline.stream), (hub.model.as_str(), hub.stream));
        assert_eq!(outline.needs.max_output_tokens, hub.output.max_tokens);
        assert_eq!(outline.needs.json_schema, hub.output.format != Format::Text);
        if let Ok(body) = rendered(&hub, &modern()) {
            assert_acceptable(&body);
        }
    }
    let _ = Wire::parse(&Anthropic, body);
    let mut decoder = Anthropic.decoder();
    let mut events = Vec::new();
    let (data, kind) = (Bytes::copy_from_slice(body), FrameKind::Event);
    let _ = decoder.frame(&Frame { raw: data.clone(), event: data.clone(), data, kind }, &mut events);
    decoder.end(&mut events);
}

proptest! {
    #[test]
    fn a_request_comes_back_as_it_was((request, traits) in request()) {
        let body = Wire::render(&Anthropic, &request, &target(&traits)).unwrap();
        assert_acceptable(&serde_json::from_slice(&body).unwrap());
        prop_assert_eq!(parse(&body).unwrap(), request);
    }

    #[test]
    fn adapting_changes_the_model_alone((request, traits) in request()) {
        let body = Wire::render(&Anthropic, &request, &target(&traits)).unwrap();
        let outline = Anthropic.outline(inbound(&body)).unwrap();
        let other = unfail_wire::target::Target { model: "claude-y", ..target(&traits) };
        let adapted = Anthropic.adapt(inbound(&body), &outline, &other).unwrap();
        prop_assert_eq!(parse(&adapted).unwrap(), ChatRequest { model: "claude-y".to_owned(), ..request });
    }

    #[test]
    fn the_outline_agrees_with_the_request((request, traits) in request()) {
        let body = Wire::render(&Anthropic, &request, &target(&traits)).unwrap();
        let needs = Anthropic.outline(inbound(&body)).unwrap().needs;
        let parts = || request.messages.iter().flat_map(|message| &message.parts);
        let inner = || parts().flat_map(|part| match part {
            Part::ToolResult(result) => result.content.as_slice(),
            part => std::slice::from_ref(part),
        });
        prop_assert_eq!(needs.images, inner().any(|part| matches!(part, Part::Image(_))));
        prop_assert_eq!(needs.files, inner().any(|part| matches!(part, Part::File(_))));
        let forced = matches!(request.tools.choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        prop_assert_eq!((needs.tools, needs.forced_tool), (true, forced));
        prop_assert_eq!(needs.json_schema, request.output.format != Format::Text);
        prop_assert_eq!(needs.max_output_tokens, request.output.max_tokens);
    }

    #[test]
    fn any_conversation_is_put_in_order(messages in wild()) {
        let request = asking(messages);
        for traits in [classic(), modern()] {
            let body = rendered(&request, &traits).unwrap();
            assert_acceptable(&body);
            prop_assert_eq!(&rendered(&request, &traits).unwrap(), &body);
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was(response in response()) {
        let body = Dialect::render(&Anthropic, &response);
        prop_assert_eq!(Wire::parse(&Anthropic, &body).unwrap(), response);
    }

    #[test]
    fn events_come_back_as_they_were(blocks in vec(block(), 0..6), finish in finish(), usage in usage()) {
        let events = around(numbered(blocks).concat(), finish, usage);
        let stream = encode(&events);
        assert_readable(&stream);
        let (again, _, complete) = decode(&stream);
        prop_assert_eq!(again, events);
        prop_assert!(complete);
    }

    #[test]
    fn interleaved_events_lose_nothing(
        blocks in vec(block(), 0..6),
        order in vec(any::<prop::sample::Index>(), 64),
        usage in usage(),
    ) {
        let mut queues: Vec<_> = numbered(blocks).into_iter().map(std::collections::VecDeque::from).collect();
        let mut deltas = Vec::new();
        for index in order {
            queues.retain(|queue| !queue.is_empty());
            if queues.is_empty() {
                break;
            }
            let chosen = index.index(queues.len());
            deltas.extend(queues[chosen].pop_front());
        }
        deltas.extend(queues.into_iter().flatten());
        let events = around(deltas, Finish::ToolCalls, usage);
        let stream = encode(&events);
        assert_readable(&stream);
        prop_assert_eq!(gather(&decode(&stream).0), gather(&events));
    }

    #[test]
    fn no_bytes_do_harm(body in vec(any::<u8>(), 0..64)) {
        read_everything(&body);
    }

    #[test]
    fn no_json_does_harm(body in any_json()) {
        read_everything(body.to_string().as_bytes());
    }

    #[test]
    fn no_damage_does_harm(body in damaged(vec![
        everything(),
        serde_json::from_str(include_str!("../../fixtures/anthropic/requests/coding_agent.json")).unwrap(),
        serde_json::from_str(include_str!("../../fixtures/anthropic/responses/full.json")).unwrap(),
    ])) {
        read_everything(body.to_string().as_bytes());
    }

    #[test]
    fn no_damaged_stream_does_harm(
        place in any::<prop::sample::Index>(),
        inner in any::<prop::sample::Index>(),
        with in any_json(),
    ) {
        let fixture = include_str!("../../fixtures/anthropic/streams/full.sse");
        let mut decoder = Anthropic.decoder();
        let mut events = Vec::new();
        let mut frames = frames(fixture.as_bytes());
        let chosen = place.index(frames.len());
        let mut body: Value = serde_json::from_slice(&frames[chosen].data).unwrap();
        damage(&mut body, inner, with);
        frames[chosen].data = Bytes::from(body.to_string());
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Event) {
            let _ = decoder.frame(frame, &mut events);
        }
        decoder.end(&mut events);
        let order = |event: &Event| match event {
            Event::Start { .. } => 0,
            Event::Delta { .. } => 1,
            Event::Finish { .. } => 2,
            Event::Usage(_) => 3,
            Event::End => 4,
        };
        prop_assert!(events.is_sorted_by_key(order), "{:?}", events);
    }
}
