//! Answers in the Gemini format: whole and streamed, both directions, its errors, and the laws that what was written
//! reads back as it was.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper that cannot go on fails its test"
)]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use unfail_wire::chat::{ChatResponse, Choice, Finish, Part, Seal, Thinking, ToolCall, Usage};
use unfail_wire::driver::Driver;
use unfail_wire::event::{Delta, Event};
use unfail_wire::format::{Decoded, Dialect, EncoderSetup, Flaw, Wire};
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::sse::{Frame, FrameKind};
use unfail_wire::wires::gemini::Gemini;

// === helpers ===

fn fixture(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gemini").join(path);
    std::fs::read_to_string(path).expect("fixture")
}

fn snapshot(name: &str, text: String) {
    insta::with_settings!({ snapshot_path => "../fixtures/gemini/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn frame(data: &[u8]) -> Frame {
    let data = Bytes::copy_from_slice(data);
    Frame { raw: data.clone(), event: Bytes::new(), data, kind: FrameKind::Event }
}

/// Cuts a stream into frames, as a framer would for these simple ones.
fn frames(stream: &str) -> Vec<Frame> {
    let blocks = stream.split("\r\n\r\n").filter_map(|block| block.strip_prefix("data: "));
    blocks.map(|data| frame(data.as_bytes())).collect()
}

/// Reads a stream to its end or its first fault: events, what each frame was, and whether it ended well.
fn decode(stream: &str) -> (Vec<Event>, Vec<Decoded>, bool) {
    let mut decoder = Gemini.decoder();
    let (mut events, mut decoded) = (Vec::new(), Vec::new());
    for frame in frames(stream) {
        decoded.push(decoder.frame(&frame, &mut events));
        if matches!(decoded.last(), Some(Decoded::Corrupt(_) | Decoded::Failed(_))) {
            return (events, decoded, false);
        }
    }
    let whole = decoder.end(&mut events);
    (events, decoded, whole)
}

/// Reads a stream as it is read in service: its events, what each frame was, and how it ended.
fn drive(stream: &str) -> (Vec<Event>, Vec<String>) {
    let mut driver = Driver::new(Gemini.decoder());
    driver.push(Bytes::from(stream.to_owned()));
    let (mut events, mut frames) = (Vec::new(), Vec::new());
    while let Some(piece) = driver.next(&mut events) {
        frames.push(
            piece.map_or_else(|fault| format!("{fault:?}"), |piece| format!("unknown: {}", piece.unknown)),
        );
    }
    let end = driver.finish(&mut events);
    frames.push(end.map_or_else(|fault| format!("end: {fault:?}"), |_| "end: complete".to_owned()));
    (events, frames)
}

fn one_frame(value: &Value) -> (Vec<Event>, Vec<Decoded>, bool) {
    decode(&format!("data: {value}\r\n\r\n"))
}

fn setup() -> EncoderSetup {
    EncoderSetup { id: "our-id".into(), model: "our-model".into(), open: true, created: 1, usage: true }
}

fn encode(events: &[Event], setup: EncoderSetup) -> String {
    let mut encoder = Dialect::encoder(&Gemini, setup);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).expect("UTF-8")
}

fn delta(choice: u32, delta: Delta) -> Event {
    Event::Delta { choice, delta }
}

fn own(data: &str) -> Seal {
    Seal { wire: "gemini", redacted: false, data: data.into() }
}

fn candidate(candidate: Value) -> Value {
    json!({ "candidates": [candidate], "responseId": "r", "modelVersion": "m" })
}

fn flaw(body: &Value) -> Flaw {
    Wire::parse(&Gemini, body.to_string().as_bytes()).expect_err("a flaw")
}

// === golden tables ===

#[test]
fn complete_answers_read_into_the_hub() {
    for name in ["text", "calls_without_ids", "length_on_thoughts", "two_candidates", "logprobs", "picture"] {
        let body = fixture(&format!("answers/{name}.json"));
        let answer = Wire::parse(&Gemini, body.as_bytes()).expect("an answer");
        let again = String::from_utf8(Dialect::render(&Gemini, &answer)).expect("UTF-8");
        snapshot(
            &format!("answer_{name}"),
            format!("{body}\n--- hub ---\n{answer:#?}\n--- rendered ---\n{again}"),
        );
    }
}

#[test]
fn streams_read_into_events() {
    for name in [
        "text",
        "calls_and_a_finish_on_every_frame",
        "blocked_prompt",
        "two_candidates",
        "cut",
        "error_in_the_middle",
        "bare_error",
        "malformed_call",
        "unknown_things",
    ] {
        let stream = fixture(&format!("streams/{name}.sse"));
        let (events, frames) = drive(&stream);
        let frames = frames.join("\n");
        snapshot(
            &format!("stream_{name}"),
            format!("{stream}--- frames ---\n{frames}\n--- events ---\n{events:#?}"),
        );
    }
}

// === finish reasons and flaws ===

#[test]
fn trap_09_every_finish_reason_is_known_whole_and_streamed() {
    let text = json!([{ "text": "x" }]);
    let calls = json!([{ "functionCall": { "name": "f" } }]);
    let cases = [
        ("STOP", &text, Some(Finish::Stop)),
        ("STOP", &calls, Some(Finish::ToolCalls)),
        ("MAX_TOKENS", &text, Some(Finish::Length)),
        ("MAX_TOKENS", &calls, Some(Finish::Length)),
        ("SAFETY", &text, Some(Finish::ContentFilter)),
        ("RECITATION", &text, Some(Finish::ContentFilter)),
        ("LANGUAGE", &text, Some(Finish::ContentFilter)),
        ("BLOCKLIST", &text, Some(Finish::ContentFilter)),
        ("PROHIBITED_CONTENT", &text, Some(Finish::ContentFilter)),
        ("SPII", &text, Some(Finish::ContentFilter)),
        ("IMAGE_SAFETY", &text, Some(Finish::ContentFilter)),
        ("MODEL_ARMOR", &text, Some(Finish::ContentFilter)),
        ("OTHER", &text, None),
        ("MALFORMED_FUNCTION_CALL", &text, None),
        ("MALFORMED_RESPONSE", &text, None),
        ("UNEXPECTED_TOOL_CALL", &text, None),
        ("TOO_MANY_TOOL_CALLS", &text, None),
        ("MISSING_THOUGHT_SIGNATURE", &text, None),
        ("CONTINUATION", &text, None),
        ("SOMETHING_NEW", &text, None),
    ];
    for (reason, parts, expected) in cases {
        let body = candidate(json!({ "content": { "parts": parts }, "finishReason": reason }));
        let whole = Wire::parse(&Gemini, body.to_string().as_bytes());
        let (events, decoded, ended) = one_frame(&body);
        match expected {
            Some(finish) => {
                assert_eq!(whole.expect("an answer").choices[0].finish, finish, "{reason}");
                assert!(ended, "{reason}");
                assert!(events.contains(&Event::Finish { choice: 0, finish }), "{reason}: {events:?}");
            }
            None => {
                assert!(matches!(whole, Err(Flaw::Malformed(_))), "{reason}");
                assert!(matches!(decoded[..], [Decoded::Corrupt(_)]), "{reason}");
                assert!(
                    !events.iter().any(|event| matches!(event, Event::Finish { .. } | Event::End)),
                    "{reason}"
                );
            }
        }
    }
}

#[test]
fn answers_that_are_none_are_flaws() {
    let stop = |content: Value| candidate(json!({ "content": content, "finishReason": "STOP" }));
    for body in [
        stop(json!({})),
        stop(Value::Null),
        stop(json!({ "parts": [] })),
        stop(json!({ "parts": [{ "text": "" }] })),
    ] {
        assert!(matches!(flaw(&body), Flaw::Empty), "{body}");
    }
    for body in [
        json!({}),
        json!([]),
        json!("text"),
        json!({ "candidates": [] }),
        json!({ "candidates": {} }),
        json!({ "candidates": [7] }),
        candidate(json!({ "content": { "parts": [{ "text": "no reason" }] } })),
        candidate(json!({ "content": 7, "finishReason": "STOP" })),
        candidate(json!({ "content": { "parts": {} }, "finishReason": "STOP" })),
        candidate(json!({ "finishReason": 7 })),
        stop(json!({ "parts": [7] })),
        stop(json!({ "parts": [{ "text": 7 }] })),
        stop(json!({ "parts": [{ "functionCall": 7 }] })),
        stop(json!({ "parts": [{ "functionCall": { "args": {} } }] })),
        stop(json!({ "parts": [{ "functionCall": { "name": "f", "args": [] } }] })),
    ] {
        assert!(matches!(flaw(&body), Flaw::Malformed(_)), "{body}");
    }
    assert!(matches!(Wire::parse(&Gemini, b"{\"candidates\":[{"), Err(Flaw::Malformed(_))));
}

#[test]
fn a_blocked_prompt_is_a_refusal() {
    for (feedback, expected) in [
        (json!({ "blockReason": "SAFETY" }), "SAFETY"),
        (json!({ "blockReason": "JAILBREAK", "blockReasonMessage": "no" }), "JAILBREAK: no"),
    ] {
        let body = json!({ "promptFeedback": feedback, "usageMetadata": { "promptTokenCount": 7 } });
        assert!(matches!(flaw(&body), Flaw::Refused(reason) if reason == expected), "{body}");
    }
    let unspecified = json!({ "promptFeedback": { "blockReason": "BLOCK_REASON_UNSPECIFIED" } });
    assert!(matches!(flaw(&unspecified), Flaw::Malformed(_)));
    assert!(matches!(flaw(&json!({ "promptFeedback": { "safetyRatings": [] } })), Flaw::Malformed(_)));
}

#[test]
fn errors_in_disguise_are_found_bare_and_in_arrays() {
    let error = json!({ "error": { "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED" } });
    for body in [error.clone(), json!([error])] {
        let check = |found: &unfail_wire::error_body::ErrorBody| {
            assert_eq!((found.status, found.message.as_str()), (Some(429), "slow down"));
            assert!(found.codes.iter().any(|code| code == "RESOURCE_EXHAUSTED"));
        };
        match flaw(&body) {
            Flaw::Failed(found) => check(&found),
            other => panic!("{other:?}"),
        }
        match &one_frame(&body).1[..] {
            [Decoded::Failed(found)] => check(found),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn frames_that_are_no_answer_are_corrupt() {
    for data in [
        &b"<html>"[..],
        b"{\"candidates\":[",
        b"[DONE]",
        b"7",
        b"{\"candidates\":7}",
        b"{\"candidates\":[{\"index\":4294967296}]}",
    ] {
        let decoded = Gemini.decoder().frame(&frame(data), &mut Vec::new());
        assert!(matches!(decoded, Decoded::Corrupt(_)), "{}", String::from_utf8_lossy(data));
    }
}

#[test]
fn a_stream_is_whole_when_every_candidate_ended() {
    let chunk = |index: u32, reason: Value| json!({ "candidates": [{ "content": { "parts": [{ "text": "x" }] }, "index": index, "finishReason": reason }] });
    let stop = || json!("STOP");
    for (chunks, expected) in [
        (vec![], false),
        (vec![chunk(0, Value::Null)], false),
        (vec![chunk(0, json!("FINISH_REASON_UNSPECIFIED"))], false),
        (vec![chunk(0, stop())], true),
        (vec![chunk(0, stop()), chunk(1, Value::Null)], false),
        (vec![chunk(0, stop()), chunk(1, Value::Null), chunk(1, stop())], true),
        (vec![json!({ "usageMetadata": {} })], false),
    ] {
        let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
        let (events, _, whole) = decode(&stream);
        assert_eq!(whole, expected, "{stream}");
        assert_eq!(events.last() == Some(&Event::End), expected, "{stream}");
    }
}

// === ids, usage ===

#[test]
fn trap_20_made_ids_are_unique_and_the_same_whole_and_streamed() {
    let call = |id: Value| json!({ "functionCall": { "id": id, "name": "f", "args": { "a": 1 } } });
    let parts =
        json!([call(Value::Null), call(json!("")), call(json!("null")), call(json!("x")), call(json!("x"))]);
    let body = candidate(json!({ "content": { "parts": parts }, "finishReason": "STOP" }));
    let ids = |body: &Value| -> Vec<String> {
        let answer = Wire::parse(&Gemini, body.to_string().as_bytes()).expect("an answer");
        answer.choices[0]
            .parts
            .iter()
            .map(|part| match part {
                Part::ToolCall(call) => call.id.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let whole = ids(&body);
    let unique: std::collections::HashSet<&String> = whole.iter().collect();
    assert_eq!(unique.len(), 5);
    assert_eq!(whole[3], "x");
    for made in whole.iter().filter(|id| *id != "x") {
        let tail = made.strip_prefix("call_").expect("a made id");
        assert!(tail.len() == 24 && tail.chars().all(|letter| letter.is_ascii_alphanumeric()), "{made}");
    }
    let (events, _, _) = one_frame(&body);
    let streamed: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { delta: Delta::ToolCall { id, .. }, .. } => Some(id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(streamed, whole);
    let mut other = body.clone();
    other["responseId"] = json!("another");
    assert_ne!(ids(&other)[0], whole[0], "a history of several answers holds no id twice");
}

#[test]
fn trap_13_and_18_usage_is_cumulative_and_omits_zeros() {
    let expected = Usage { input: 12, cache_read: 4, cache_write: 0, output: 25, reasoning: 20 };
    let last = json!({ "promptTokenCount": 10, "toolUsePromptTokenCount": 2, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 20 });
    let mut chunks = [json!({ "promptTokenCount": 10 }), json!({ "promptTokenCount": 10, "candidatesTokenCount": 3 }), last]
        .map(|usage| json!({ "candidates": [{ "content": { "parts": [{ "text": "x" }] } }], "usageMetadata": usage }));
    chunks[2]["candidates"][0]["finishReason"] = json!("STOP");
    let whole = Wire::parse(&Gemini, chunks[2].to_string().as_bytes()).expect("an answer");
    assert_eq!(whole.usage, Some(expected));
    let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    let (events, _, _) = decode(&stream);
    let usages: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Usage(_))).collect();
    assert_eq!(usages, [&Event::Usage(expected)]);

    let (events, _, whole) = decode(&format!("data: {}\r\n\r\n", chunks[1]));
    let spent = Usage { input: 10, output: 3, ..Usage::default() };
    assert_eq!((events.last(), whole), (Some(&Event::Usage(spent)), false), "a cut stream has its cost too");
}

// === encoder ===

fn little_answer() -> Vec<Event> {
    vec![
        Event::Start { id: "up-id".into(), model: "up-model".into() },
        delta(0, Delta::Thinking("hm".into())),
        delta(0, Delta::ThinkingSeal(own("c2ln"))),
        delta(0, Delta::ThinkingSeal(Seal { wire: "anthropic", redacted: true, data: "zzz".into() })),
        delta(0, Delta::Text("Hello".into())),
        delta(0, Delta::ToolCall { call: 0, id: "a".into(), name: "f".into(), seal: Some(own("c2ln")) }),
        delta(0, Delta::ToolCall { call: 1, id: "b".into(), name: "g".into(), seal: None }),
        delta(0, Delta::Arguments { call: 1, json: "{\"x\":".into() }),
        delta(0, Delta::Arguments { call: 0, json: String::new() }),
        delta(0, Delta::Arguments { call: 1, json: "[1]}".into() }),
        Event::Finish { choice: 0, finish: Finish::ToolCalls },
        Event::Usage(Usage { input: 9, cache_read: 1, cache_write: 1, output: 8, reasoning: 3 }),
        Event::End,
    ]
}

#[test]
fn events_are_encoded_with_whole_calls_and_one_last_frame() {
    let events = little_answer();
    let stream = encode(&events, setup());
    snapshot("encoded_stream", format!("{events:#?}\n--- stream ---\n{stream}"));
}

#[test]
fn trap_19_frames_end_in_crlf_and_carry_json_on_one_line() {
    let stream = encode(&little_answer(), setup());
    assert_eq!(stream.matches("\r\n\r\n").count(), stream.matches("data: ").count());
    for frame in stream.split_terminator("\r\n\r\n") {
        let data = frame.strip_prefix("data: ").expect("a data line");
        assert!(!data.contains(['\r', '\n']));
        serde_json::from_str::<Value>(data).expect("JSON");
    }
}

#[test]
fn a_closed_encoder_hides_the_provider() {
    let stream = encode(&little_answer(), EncoderSetup { open: false, ..setup() });
    assert!(stream.contains("our-id") && stream.contains("our-model"));
    assert!(!stream.contains("up-id") && !stream.contains("up-model"));
}

#[test]
fn nothing_is_sent_before_content() {
    let stream = encode(&little_answer()[..1], setup());
    assert_eq!(stream, "");
}

fn problem(kind: ProblemKind) -> Problem {
    Problem {
        kind,
        status: 429,
        message: "every target is limited".into(),
        code: Some("rate_limited".into()),
        param: Some("contents[0]".into()),
        retry_after: Some(Duration::from_millis(38_200)),
        request_id: "req-1".into(),
        trail: Some("a: rate_limited".into()),
    }
}

#[test]
fn a_problem_ends_a_stream_without_a_finish() {
    let mut encoder = Dialect::encoder(&Gemini, setup());
    let mut out = Vec::new();
    encoder.event(&delta(0, Delta::Text("half".into())), &mut out);
    encoder.event(&Event::Finish { choice: 0, finish: Finish::Stop }, &mut out);
    encoder.problem(&problem(ProblemKind::Upstream), &mut out);
    let length = out.len();
    encoder.event(&Event::End, &mut out);
    encoder.problem(&problem(ProblemKind::Upstream), &mut out);
    assert_eq!(out.len(), length, "nothing follows a problem");
    let stream = String::from_utf8(out).expect("UTF-8");
    assert!(!stream.contains("finishReason"), "{stream}");
    let (events, decoded, whole) = decode(&stream);
    assert!(matches!(decoded.last(), Some(Decoded::Failed(_))));
    assert!(!whole && !events.contains(&Event::End));
}

#[test]
fn problems_are_rpc_errors() {
    let mut text = String::new();
    for kind in ProblemKind::ALL {
        let bare = Problem {
            code: None,
            param: None,
            retry_after: None,
            request_id: String::new(),
            trail: None,
            ..problem(kind)
        };
        let body: Value = serde_json::from_slice(&Gemini.render_problem(&bare)).expect("JSON");
        assert_ne!(body["error"]["status"], "UNKNOWN", "{kind:?}");
        text.push_str(&format!("{kind:?}: {body}\n"));
    }
    let full: Value =
        serde_json::from_slice(&Gemini.render_problem(&problem(ProblemKind::RateLimited))).expect("JSON");
    text.push_str(&serde_json::to_string_pretty(&full).expect("JSON"));
    snapshot("problems", text);
    let whole_seconds = Problem { retry_after: Some(Duration::from_secs(5)), ..problem(ProblemKind::Quota) };
    assert!(String::from_utf8_lossy(&Gemini.render_problem(&whole_seconds)).contains("\"5s\""));
}

// === laws ===

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 .,é😀\"\\\\\n{}]{1,12}"
}

fn usage() -> impl Strategy<Value = Usage> {
    (0_u64..1_000, 0_u64..1_000, 0_u64..1_000, 0_u64..1_000).prop_map(
        |(input, cache_read, plain, reasoning)| Usage {
            input,
            cache_read,
            cache_write: 0,
            output: plain + reasoning,
            reasoning,
        },
    )
}

fn logprobs() -> impl Strategy<Value = Option<Value>> {
    let token = || (words(), -800_i32..0);
    prop::option::of(prop::collection::vec((token(), prop::collection::vec(token(), 0..3)), 1..3)).prop_map(|tokens| {
        let one = |(token, quarters): (String, i32)| json!({ "token": token, "logprob": f64::from(quarters) / 4.0, "bytes": null });
        let content: Vec<Value> = tokens?
            .into_iter()
            .map(|(token, top)| {
                let mut token = one(token);
                token["top_logprobs"] = top.into_iter().map(one).collect();
                token
            })
            .collect();
        Some(json!({ "content": content, "refusal": null }))
    })
}

fn own_seal() -> impl Strategy<Value = Option<Seal>> {
    prop::option::of("[A-Za-z0-9+/]{8}".prop_map(|data| own(&data)))
}

fn calls(least: usize) -> impl Strategy<Value = Vec<ToolCall>> {
    let one = ("[a-z]{1,6}", words(), own_seal());
    prop::collection::vec(one, least..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, (name, value, seal))| ToolCall {
                id: format!("id-{n}"),
                name,
                arguments: json!({ "a": value }).to_string(),
                seal,
            })
            .collect()
    })
}

/// What a choice says and why it ended, whole. Its last text may carry a seal of its own.
fn choice() -> impl Strategy<Value = Choice> {
    let thought = prop::option::of((words(), own_seal()));
    let sealed = own_seal();
    let ending = prop::sample::select(vec![Finish::Stop, Finish::Length, Finish::ContentFilter]);
    (thought, words(), sealed, calls(0), ending, logprobs()).prop_map(
        |(thought, text, sealed, calls, ending, logprobs)| {
            let finish = if ending == Finish::Stop && !calls.is_empty() { Finish::ToolCalls } else { ending };
            let thought = thought.map(|(text, seal)| Part::Thinking(Thinking { text, seal }));
            let sealed =
                sealed.map(|seal| Part::Thinking(Thinking { text: String::new(), seal: Some(seal) }));
            let parts = thought.into_iter().chain([Part::Text(text)]).chain(sealed);
            Choice { parts: parts.chain(calls.into_iter().map(Part::ToolCall)).collect(), finish, logprobs }
        },
    )
}

fn response() -> impl Strategy<Value = ChatResponse> {
    (words(), words(), prop::collection::vec(choice(), 1..4), prop::option::of(usage()))
        .prop_map(|(id, model, choices, usage)| ChatResponse { id, model, created: None, choices, usage })
}

/// The events a provider's stream of that answer would give, calls whole and last as this format sends them.
fn events_of(response: &ChatResponse) -> Vec<Event> {
    let mut events = vec![Event::Start { id: response.id.clone(), model: response.model.clone() }];
    for (choice, n) in response.choices.iter().zip(0_u32..) {
        for part in choice.parts.iter().filter(|part| !matches!(part, Part::ToolCall(_))) {
            match part {
                Part::Text(text) => events.push(delta(n, Delta::Text(text.clone()))),
                Part::Thinking(thinking) => {
                    if !thinking.text.is_empty() {
                        events.push(delta(n, Delta::Thinking(thinking.text.clone())));
                    }
                    events.extend(thinking.seal.clone().map(|seal| delta(n, Delta::ThinkingSeal(seal))));
                }
                other => panic!("{other:?}"),
            }
        }
        events.extend(choice.logprobs.clone().map(|logprobs| delta(n, Delta::Logprobs(logprobs))));
    }
    for (choice, n) in response.choices.iter().zip(0_u32..) {
        let calls = choice.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call.clone()),
            _ => None,
        });
        for (made, call) in calls.zip(0_u32..) {
            events.push(delta(n, Delta::ToolCall { call, id: made.id, name: made.name, seal: made.seal }));
            events.push(delta(n, Delta::Arguments { call, json: made.arguments }));
        }
    }
    let finishes = response.choices.iter().zip(0_u32..);
    events.extend(finishes.map(|(choice, n)| Event::Finish { choice: n, finish: choice.finish.clone() }));
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

/// The same events with every argument text in pieces of one character, the calls of a choice interleaved.
fn interleaved(events: &[Event]) -> Vec<Event> {
    let mut out = Vec::new();
    let mut pieces: Vec<(usize, Event)> = Vec::new();
    for event in events {
        match event {
            Event::Delta { choice, delta: Delta::Arguments { call, json } } => {
                let letters = json.chars().enumerate();
                pieces.extend(letters.map(|(n, letter)| {
                    (n, delta(*choice, Delta::Arguments { call: *call, json: letter.into() }))
                }));
            }
            Event::Finish { .. } => {
                pieces.sort_by_key(|(n, _)| *n);
                out.extend(pieces.drain(..).map(|(_, piece)| piece));
                out.push(event.clone());
            }
            _ => out.push(event.clone()),
        }
    }
    out
}

fn any_frame() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u32>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
        Just(json!("STOP")),
        Just(json!([])),
        Just(json!({})),
    ];
    let part = prop::collection::hash_map(
        prop::sample::select(vec!["text", "thought", "thoughtSignature", "functionCall", "inlineData", "x"]),
        leaf.clone(),
        0..3,
    );
    let members = prop::collection::hash_map(
        prop::sample::select(vec!["finishReason", "index", "logprobsResult", "content"]),
        leaf.clone(),
        0..3,
    );
    let tops = prop::collection::hash_map(
        prop::sample::select(vec!["usageMetadata", "promptFeedback", "responseId", "error", "candidates"]),
        leaf,
        0..2,
    );
    (prop::collection::vec((prop::collection::vec(part, 0..3), members), 0..3), tops).prop_map(
        |(candidates, tops)| {
            let candidates: Vec<Value> = candidates
                .into_iter()
                .map(|(parts, members)| {
                    let mut candidate = json!({ "content": { "parts": parts } });
                    members.into_iter().for_each(|(key, value)| candidate[key] = value);
                    candidate
                })
                .collect();
            let mut frame = json!({ "candidates": candidates });
            tops.into_iter().for_each(|(key, value)| frame[key] = value);
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rendered_answer_reads_back(response in response()) {
        let body = Dialect::render(&Gemini, &response);
        let read = Wire::parse(&Gemini, &body).expect("an answer");
        prop_assert_eq!(&read, &response, "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn an_encoded_stream_reads_back(response in response()) {
        let events = events_of(&response);
        for written in [events.clone(), interleaved(&events)] {
            let stream = encode(&written, setup());
            let (read, decoded, whole) = decode(&stream);
            prop_assert!(whole && decoded.iter().all(|decoded| matches!(decoded, Decoded::Known)));
            // An empty start is not sent: the first frame carries id and model, whatever else it says.
            prop_assert_eq!(&read, &events, "{}", stream);
        }
    }

    #[test]
    fn any_frames_are_read_without_panic_and_in_order(chunks in prop::collection::vec(any_frame(), 0..5)) {
        let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
        let (events, _, whole) = decode(&stream);
        let starts = events.iter().filter(|event| matches!(event, Event::Start { .. })).count();
        prop_assert!(starts <= 1 && (events.is_empty() || matches!(events[0], Event::Start { .. })), "{:?}", events);
        prop_assert_eq!(whole, events.last() == Some(&Event::End));
        for chunk in chunks {
            let _ = Wire::parse(&Gemini, chunk.to_string().as_bytes());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(data in prop::collection::vec(any::<u8>(), 0..120)) {
        prop_assert!(Wire::parse(&Gemini, &data).is_err());
        let mut decoder = Gemini.decoder();
        let mut events = Vec::new();
        decoder.frame(&frame(&data), &mut events);
        prop_assert!(!decoder.end(&mut events));
    }
}
