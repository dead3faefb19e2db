//! Streams, event by event: what is read, what is refused, and what is written when hub events interleave.

use crate::support::*;
use serde_json::{Value, json};
use unfail_wire::Dialect;
use unfail_wire::Wire as _;
use unfail_wire::chat::*;
use unfail_wire::event::{Delta, Event};
use unfail_wire::format::{Decoded, EncoderSetup};
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::wires::anthropic::Anthropic;

fn start() -> Value {
    json!({"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":1,"output_tokens":1}}})
}

fn block_start(index: u64, block: Value) -> Value {
    json!({"type":"content_block_start","index":index,"content_block":block})
}

fn block_delta(index: u64, delta: Value) -> Value {
    json!({"type":"content_block_delta","index":index,"delta":delta})
}

fn reason(reason: &str) -> Value {
    json!({"type":"message_delta","delta":{"stop_reason":reason},"usage":{"output_tokens":5}})
}

fn stream(bodies: &[Value]) -> Vec<u8> {
    bodies.iter().flat_map(|body| format!("data: {body}\n\n").into_bytes()).collect()
}

fn text_block() -> Value {
    block_start(0, json!({"type":"text","text":""}))
}

/// The last frame decodes as `expected`, in its debug form.
#[track_caller]
fn check_last(bodies: &[Value], expected: &str) {
    let (_, decoded, _) = decode(&stream(bodies));
    assert_eq!(format!("{:?}", decoded.last().unwrap()), expected);
}

#[test]
fn what_the_format_does_not_allow_is_corrupt() {
    let text = |text: &str| json!({"type":"text_delta","text":text});
    let cases: Vec<(Vec<Value>, &str)> = vec![
        (vec![text_block()], "an event before `message_start`"),
        (vec![start(), start()], "a second `message_start`"),
        (vec![json!({"type":"message_start"})], "a start without a message"),
        (vec![start(), block_delta(0, text("x"))], "a delta of a block that is not open"),
        (vec![start(), text_block(), text_block()], "a block that is already open"),
        (vec![start(), json!({"type":"content_block_stop","index":0})], "a stop of a block that is not open"),
        (
            vec![start(), text_block(), block_delta(0, json!({"type":"thinking_delta","thinking":"x"}))],
            "a delta of another block type",
        ),
        (
            vec![start(), text_block(), block_delta(0, json!({"type":"text_delta"}))],
            "a delta without its content",
        ),
        (
            vec![start(), text_block(), block_delta(0, json!({"type":"text_delta","text":1}))],
            "an event of the wrong shape",
        ),
        (vec![start(), json!({"type":"content_block_delta","index":0})], "a delta without index or content"),
        (vec![start(), json!({"type":"content_block_start"})], "a block start without index or block"),
        (vec![start(), block_start(0, json!({"type":"tool_use","id":"a"}))], "a call without id or name"),
        (
            vec![start(), block_start(0, json!({"type":"redacted_thinking"}))],
            "redacted thinking without data",
        ),
        (vec![start(), json!({"type":"message_stop"})], "an end without a reason"),
        (vec![start(), reason("end_turn"), text_block()], "content after the reason"),
        (vec![start(), json!({"delta":1})], "an event of the wrong shape"),
        (vec![start(), json!({"index":1})], "an event without a type"),
    ];
    for (bodies, why) in cases {
        check_last(&bodies, &format!("Corrupt({why:?})"));
    }
    let (_, decoded, _) = decode(b"data: {\"type\":\"ping\"\n\n");
    assert!(matches!(decoded[..], [Decoded::Corrupt("an event that is not JSON")]));
}

#[test]
fn what_is_new_is_unknown() {
    let cases = [
        json!({"type":"weather_report"}),
        json!({"type":"weather_report","index":{},"usage":3}),
        block_start(3, json!({"type":"hologram"})),
        block_start(3, json!({"type":"hologram","text":[]})),
        block_delta(0, json!({"type":"tone_delta"})),
        block_delta(0, json!({"type":"tone_delta","text":{}})),
    ];
    for body in cases {
        check_last(&[start(), text_block(), body], "Unknown");
    }
}

#[test]
fn blocks_of_new_types_run_their_course() {
    for block in [json!({"type":"hologram"}), json!({"type":"hologram","text":[]})] {
        let piece = block_delta(0, json!({"type":"text_delta","text":"x"}));
        let (_, decoded, _) = decode(&stream(&[
            start(),
            block_start(0, block),
            piece,
            json!({"type":"content_block_stop","index":0}),
        ]));
        assert!(matches!(decoded[1..], [Decoded::Unknown, Decoded::Unknown, Decoded::Known]), "{decoded:?}");
    }
}

#[test]
fn call_ids_fit_the_alphabet_and_are_told_apart() {
    let mut events =
        vec![call(0, "functions.look:0"), call(1, ""), call(2, "null"), call(3, "x"), call(4, "x")];
    events.extend(ending());
    let calls = gather(&decode(&encode(&events)).0).calls;
    let ids: Vec<&str> = calls.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["functions_look_0", "toolu_msg_own", "toolu_msg_own_2", "x", "x_2"]);
}

#[test]
fn silence_says_nothing() {
    let mut decoder = Anthropic.decoder();
    let mut events = Vec::new();
    for raw in ["event: ping\ndata: {\"type\":\"ping\"}\n\n", "event: ping\ndata: {}\n\n"] {
        assert!(matches!(decoder.frame(&frame(raw), &mut events), Decoded::Known));
    }
    assert!(events.is_empty() && !decoder.end(&mut events));
}

#[test]
fn errors_end_the_stream_wherever_they_come() {
    let cases = [
        (
            vec![json!({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})],
            "overloaded_error",
        ),
        (
            vec![start(), text_block(), json!({"type":"error","error":{"type":"api_error","message":"x"}})],
            "api_error",
        ),
        (vec![start(), json!({"type":"error","message":"flat"})], "flat"),
        (vec![json!({"error":{"type":"timeout_error","message":"x"}})], "timeout_error"),
    ];
    for (bodies, word) in cases {
        let (events, decoded, complete) = decode(&stream(&bodies));
        let last = format!("{:?}", decoded.last().unwrap());
        assert!(last.starts_with("Failed") && last.contains(word), "{last}");
        assert!(!complete && !events.iter().any(|event| matches!(event, Event::End | Event::Finish { .. })));
    }
}

#[test]
fn only_message_stop_ends_a_stream() {
    let whole = stream(&[start(), text_block(), reason("end_turn"), json!({"type":"message_stop"})]);
    let (events, _, complete) = decode(&whole);
    assert!(complete && events.ends_with(&[Event::End]));
    let (events, _, complete) = decode(&stream(&[start(), text_block(), reason("end_turn")]));
    assert!(!complete && matches!(events.last(), Some(Event::Usage(Usage { output: 5, .. }))));
    let (events, _, complete) = decode(&stream(&[start(), text_block()]));
    // What the prompt cost is known from the start.
    let spent = Usage { input: 1, output: 1, ..Usage::default() };
    assert!(!complete && matches!(events[..], [Event::Start { .. }, Event::Usage(usage)] if usage == spent));
    let mut longer = whole.clone();
    longer.extend(stream(&[json!({"type":"ping"}), text_block()]));
    assert_eq!(decode(&longer).0, decode(&whole).0);
}

#[test]
fn calls_have_arguments_however_they_come() {
    let call = |input: Value| block_start(0, json!({"type":"tool_use","id":"a","name":"look","input":input}));
    let piece = |json: &str| block_delta(0, json!({"type":"input_json_delta","partial_json":json}));
    let stop = json!({"type":"content_block_stop","index":0});
    let cases = [
        (vec![call(json!({})), stop.clone()], "{}"),
        (vec![call(json!({})), piece(""), stop.clone()], "{}"),
        (vec![call(json!({})), piece(""), piece("{\"a\""), piece(":1}"), stop.clone()], "{\"a\":1}"),
        (vec![call(json!({"a":1})), stop], "{\"a\":1}"),
        (vec![call(json!({})), reason("tool_use")], "{}"),
    ];
    for (mut bodies, arguments) in cases {
        bodies.insert(0, start());
        let gathered = gather(&decode(&stream(&bodies)).0);
        assert_eq!(gathered.calls, [("a".to_owned(), "look".to_owned(), arguments.to_owned())]);
    }
}

#[test]
fn usage_is_cumulative_and_said_once() {
    let counted = |usage: Value| json!({"type":"message_delta","delta":{},"usage":usage});
    let bodies = [
        json!({"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}),
        counted(json!({"output_tokens":3})),
        counted(json!({"input_tokens":0,"output_tokens":7,"cache_read_input_tokens":null})),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}),
        json!({"type":"message_stop"}),
    ];
    let (events, _, _) = decode(&stream(&bodies));
    let usage = Usage { input: 15, cache_read: 5, output: 9, ..Usage::default() };
    let end = [Event::Finish { choice: 0, finish: Finish::Stop }, Event::Usage(usage), Event::End];
    assert!(events.ends_with(&end) && events.iter().filter(|e| matches!(e, Event::Usage(_))).count() == 1);
}

// === Writing ===

fn call(call: u32, id: &str) -> Event {
    delta(Delta::ToolCall { call, id: id.to_owned(), name: "look".to_owned(), seal: None })
}

fn arguments(call: u32, json: &str) -> Event {
    delta(Delta::Arguments { call, json: json.to_owned() })
}

fn said(text: &str) -> Event {
    delta(Delta::Text(text.to_owned()))
}

fn ending() -> [Event; 2] {
    [Event::Finish { choice: 0, finish: Finish::ToolCalls }, Event::End]
}

/// Blocks of a written stream: type and content, in order.
fn blocks(stream: &[u8]) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for frame in frames(stream) {
        let body: Value = serde_json::from_slice(&frame.data).unwrap();
        if let Some(kind) = body.pointer("/content_block/type") {
            blocks.push((kind.as_str().unwrap().to_owned(), String::new()));
        }
        for key in ["text", "thinking", "signature", "partial_json"] {
            if let Some(piece) = body.pointer(&format!("/delta/{key}")) {
                blocks.last_mut().unwrap().1.push_str(piece.as_str().unwrap());
            }
        }
    }
    blocks
}

#[track_caller]
fn check_blocks(events: &[Event], expected: &[(&str, &str)]) {
    let mut events = events.to_vec();
    events.extend(ending());
    let stream = encode(&events);
    assert_readable(&stream);
    let owned = expected.iter().map(|(kind, content)| ((*kind).to_owned(), (*content).to_owned()));
    assert_eq!(blocks(&stream), owned.collect::<Vec<_>>());
    assert_eq!(gather(&decode(&stream).0).calls.len(), gather(&events).calls.len());
}

#[test]
fn interleaved_calls_become_blocks_one_after_another() {
    check_blocks(
        &[
            call(0, "a"),
            call(1, "b"),
            arguments(0, "{\"x\""),
            arguments(1, "{\"y\":"),
            arguments(0, ":\"}\"}"),
            arguments(1, "2}"),
            said("done"),
        ],
        &[("tool_use", "{\"x\":\"}\"}"), ("tool_use", "{\"y\":2}"), ("text", "done")],
    );
    check_blocks(
        &[call(0, "a"), call(1, "b"), arguments(1, "{}"), arguments(0, "{\"q\":\"\\\"{\"}"), call(2, "c")],
        &[("tool_use", "{\"q\":\"\\\"{\"}"), ("tool_use", "{}"), ("tool_use", "")],
    );
}

#[test]
fn a_call_without_arguments_holds_back_only_what_follows() {
    check_blocks(
        &[said("a"), call(0, "a"), call(1, "b"), said("b")],
        &[("text", "a"), ("tool_use", ""), ("tool_use", ""), ("text", "b")],
    );
    // Not even an unfinished call is lost when the answer is cut off by its limit.
    check_blocks(&[call(0, "a"), arguments(0, "{\"x"), said("b")], &[("tool_use", "{\"x"), ("text", "b")]);
}

#[test]
fn the_first_call_is_written_as_it_arrives() {
    let mut encoder = Anthropic.encoder(setup());
    let mut out = Vec::new();
    for event in [call(0, "a"), arguments(0, "{\"x\":"), call(1, "b"), arguments(1, "{}")] {
        encoder.event(&event, &mut out);
    }
    assert_eq!(blocks(&out), [("tool_use".to_owned(), "{\"x\":".to_owned())]);
    encoder.event(&arguments(0, "1}"), &mut out);
    assert_eq!(blocks(&out).len(), 2, "complete JSON lets the next call through");
}

#[test]
fn thinking_is_signed_before_it_stops() {
    let thought = |text: &str| delta(Delta::Thinking(text.to_owned()));
    let sealed = |wire, redacted| delta(Delta::ThinkingSeal(Seal { wire, redacted, data: "S".to_owned() }));
    check_blocks(
        &[
            thought("a"),
            thought("b"),
            sealed("anthropic", false),
            thought("c"),
            sealed("gemini", false),
            thought("d"),
            sealed("gemini", true),
            sealed("anthropic", true),
            sealed("anthropic", false),
            said("x"),
        ],
        &[
            ("thinking", "abS"),
            ("thinking", "c"),
            ("thinking", "d"),
            ("redacted_thinking", ""),
            ("thinking", "S"),
            ("text", "x"),
        ],
    );
}

#[test]
fn what_says_nothing_writes_nothing() {
    let other = Event::Delta { choice: 1, delta: Delta::Text("second".to_owned()) };
    let empty = delta(Delta::Thinking(String::new()));
    let refusal = delta(Delta::Refusal("No.".to_owned()));
    check_blocks(&[said(""), other, empty, delta(Delta::Logprobs(json!([]))), refusal], &[("text", "No.")]);
    check_blocks(&[], &[]);
}

#[test]
fn the_reason_waits_for_the_usage_and_both_for_the_end() {
    let mut encoder = Anthropic.encoder(setup());
    let mut out = Vec::new();
    let usage =
        |output| Event::Usage(Usage { input: 30, cache_read: 20, cache_write: 4, output, reasoning: 2 });
    let finish = Event::Finish { choice: 0, finish: Finish::StopSequence(Some("###".to_owned())) };
    for event in [Event::Start { id: String::new(), model: String::new() }, usage(1), finish, usage(9)] {
        encoder.event(&event, &mut out);
    }
    assert_eq!(frames(&out).len(), 1);
    encoder.event(&Event::End, &mut out);
    let body: Value = serde_json::from_slice(&frames(&out)[1].data).unwrap();
    let expected = json!({"type":"message_delta",
        "delta":{"stop_reason":"stop_sequence","stop_sequence":"###","stop_details":null},
        "usage":{"input_tokens":6,"cache_creation_input_tokens":4,"cache_read_input_tokens":20,"output_tokens":9,
            "output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null}});
    assert_eq!(body, expected);
}

#[test]
fn names_are_shown_or_hidden() {
    let theirs = Event::Start { id: "msg_theirs".to_owned(), model: "claude-x-1".to_owned() };
    let nameless = Event::Start { id: String::new(), model: String::new() };
    let cases = [
        (true, &theirs, "msg_theirs", "claude-x-1"),
        (false, &theirs, "msg_own", "auto"),
        (true, &nameless, "msg_own", "auto"),
    ];
    for (open, event, id, model) in cases {
        let mut out = Vec::new();
        Anthropic.encoder(EncoderSetup { open, ..setup() }).event(event, &mut out);
        let body: Value = serde_json::from_slice(&frames(&out)[0].data).unwrap();
        assert_eq!((&body["message"]["id"], &body["message"]["model"]), (&json!(id), &json!(model)));
    }
}

#[test]
fn a_problem_ends_the_stream_for_good() {
    for before in [&[][..], &[said("half")], &[call(0, "a"), call(1, "b")]] {
        let mut encoder = Anthropic.encoder(setup());
        let mut out = Vec::new();
        before.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.problem(&problem(ProblemKind::Overloaded), &mut out);
        let end = out.len();
        encoder.event(&said("more"), &mut out);
        encoder.event(&Event::End, &mut out);
        encoder.problem(&problem(ProblemKind::Internal), &mut out);
        assert_eq!(out.len(), end, "nothing follows");
        let (events, decoded, complete) = decode(&out);
        assert!(matches!(decoded.last(), Some(Decoded::Failed(_))) && !complete);
        assert!(!events.contains(&Event::End));
        assert_eq!(frames(&out).last().unwrap().event, "error");
    }
    let mut encoder = Anthropic.encoder(setup());
    let mut out = Vec::new();
    encoder.event(&Event::End, &mut out);
    let end = out.len();
    encoder.problem(&problem(ProblemKind::Internal), &mut out);
    assert_eq!(out.len(), end, "a finished answer stays finished");
}

#[test]
fn problems_have_the_types_clients_know() {
    let types = ProblemKind::ALL.map(|kind| {
        let body: Value = serde_json::from_slice(&Anthropic.render_problem(&problem(kind))).unwrap();
        format!("{kind:?} {}", body["error"]["type"].as_str().unwrap())
    });
    insta::assert_snapshot!("problem_types", types.join("\n"));
    let full = Problem {
        code: Some("context_length_exceeded".to_owned()),
        param: Some("messages".to_owned()),
        trail: Some("a:timeout".to_owned()),
        ..problem(ProblemKind::ContextLength)
    };
    let body: Value = serde_json::from_slice(&Anthropic.render_problem(&full)).unwrap();
    let expected = json!({"type":"error","error":{"type":"invalid_request_error","message":"no target answered",
        "details":{"error_code":"context_length_exceeded","param":"messages","trail":"a:timeout"}},"request_id":"req_1"});
    assert_eq!(body, expected);
    let plain: Value =
        serde_json::from_slice(&Anthropic.render_problem(&problem(ProblemKind::Timeout))).unwrap();
    assert_eq!(plain["error"]["details"], Value::Null);
}
