//! What callers send, read into the hub: turns taken apart, and wrong types named.

use crate::support::*;
use serde_json::{Value, json};
use unfail_wire::chat::*;
use unfail_wire::format::{Invalid, Refusal};

fn body(messages: Value) -> Value {
    json!({"model":"m","max_tokens":9,"messages":messages})
}

#[track_caller]
fn check_messages(messages: Value, expected: &[Message]) {
    assert_eq!(parse(body(messages).to_string().as_bytes()).unwrap().messages, expected);
}

#[test]
fn a_user_turn_with_results_is_two_messages() {
    check_messages(
        json!([
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"a","content":"1"},
                {"type":"text","text":"hurry"},
                {"type":"tool_result","tool_use_id":"b"}]},
        ]),
        &[
            message(
                Role::Tool,
                [
                    result("a", "1"),
                    Part::ToolResult(ToolResult { id: "b".into(), content: vec![], is_error: false }),
                ],
            ),
            user("hurry"),
        ],
    );
}

#[test]
fn results_spread_over_turns_are_gathered() {
    let one =
        |id: &str| json!({"role":"user","content":[{"type":"tool_result","tool_use_id":id,"content":id}]});
    check_messages(
        json!([{"role":"assistant","content":""}, one("a"), {"role":"user","content":"x"}, one("b")]),
        &[message(Role::Assistant, []), message(Role::Tool, [result("a", "a"), result("b", "b")]), user("x")],
    );
    check_messages(
        json!([{"role":"user","content":"x"}, one("a"), {"role":"system","content":"s"}, one("b")]),
        &[
            message(Role::Tool, [result("a", "a")]),
            user("x"),
            system("s"),
            message(Role::Tool, [result("b", "b")]),
        ],
    );
}

#[test]
fn empty_content_says_nothing() {
    check_messages(
        json!([{"role":"user","content":[]},{"role":"user","content":[{"type":"text","text":""}]},
               {"role":"system","content":""},{"role":"assistant","content":[]}]),
        &[message(Role::Assistant, [])],
    );
}

#[test]
fn thinking_keeps_its_seal() {
    check_messages(
        json!([{"role":"assistant","content":[
            {"type":"thinking","thinking":"a","signature":"s"},
            {"type":"thinking","thinking":"b","signature":""},
            {"type":"redacted_thinking","data":"d"}]}]),
        &[message(
            Role::Assistant,
            [thinking("a", Some(seal("s", false))), thinking("b", None), thinking("", Some(seal("d", true)))],
        )],
    );
}

#[test]
fn thinking_and_effort_are_reasoning() {
    let said = |amount, visible| Some(Reasoning { amount, visible });
    let cases = [
        (json!({}), None),
        (json!({"thinking":{"type":"disabled"}}), said(Amount::Effort(Effort::None), false)),
        (json!({"thinking":{"type":"enabled","budget_tokens":2048}}), said(Amount::Tokens(2_048), true)),
        (
            json!({"thinking":{"type":"enabled","budget_tokens":2048,"display":"omitted"}}),
            said(Amount::Tokens(2_048), false),
        ),
        (json!({"thinking":{"type":"adaptive"}}), said(Amount::Effort(Effort::Medium), false)),
        (
            json!({"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}}),
            said(Amount::Effort(Effort::Max), true),
        ),
        (json!({"output_config":{"effort":"low"}}), said(Amount::Effort(Effort::Low), false)),
    ];
    for (extra, expected) in cases {
        let mut body = body(json!([{"role":"user","content":"x"}]));
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(parse(body.to_string().as_bytes()).unwrap().reasoning, expected, "{extra}");
    }
}

/// A body in which `pointer` holds `value`, and the field its error names.
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/model", json!(1), "model"),
        ("/model", Value::Null, "model"),
        ("/max_tokens", json!("9"), "max_tokens"),
        ("/max_tokens", json!(-1), "max_tokens"),
        ("/messages", json!({}), "messages"),
        ("/messages", json!([]), "messages"),
        ("/messages/0", json!("hi"), "messages[0]"),
        ("/messages/0/role", json!("tool"), "messages[0].role"),
        ("/messages/0/content", json!(7), "messages[0].content"),
        ("/messages/0/content", Value::Null, "messages[0].content"),
        ("/messages/0/content/0/type", json!([]), "messages[0].content[0].type"),
        ("/messages/0/content/0/text", json!({}), "messages[0].content[0].text"),
        ("/messages/0/content/1/source/data", json!(1), "messages[0].content[1].source.data"),
        ("/messages/1/content/0/input", json!("{}"), "messages[1].content[0].input"),
        ("/messages/2/content/0/tool_use_id", Value::Null, "messages[2].content[0].tool_use_id"),
        ("/messages/2/content/0/content", json!(1), "messages[2].content[0].content"),
        ("/system", json!(false), "system"),
        ("/tools", json!("all"), "tools"),
        ("/tools/0/input_schema", json!(true), "tools[0].input_schema"),
        ("/tools/0/name", json!(0), "tools[0].name"),
        ("/tool_choice/type", json!("maybe"), "tool_choice.type"),
        ("/tool_choice", json!({"type":"tool","name":"leap"}), "tool_choice"),
        ("/stream", json!("yes"), "stream"),
        ("/temperature", json!("hot"), "temperature"),
        ("/stop_sequences", json!("###"), "stop_sequences"),
        ("/stop_sequences", json!([1]), "stop_sequences[0]"),
        ("/metadata", json!([]), "metadata"),
        ("/metadata/user_id", json!(1), "metadata.user_id"),
        ("/thinking", json!("on"), "thinking"),
        ("/output_config/effort", json!(3), "output_config.effort"),
    ]
}

pub(crate) fn everything() -> Value {
    json!({
        "model": "m", "max_tokens": 9, "stream": false, "system": "s", "temperature": 0.5,
        "messages": [
            {"role":"user","content":[{"type":"text","text":"x"},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}]},
            {"role":"assistant","content":[{"type":"tool_use","id":"a","name":"look","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"1"}]}],
        "tools": [{"name":"look","input_schema":{"type":"object"}}],
        "tool_choice": {"type":"auto"}, "stop_sequences": ["###"], "metadata": {"user_id":"u"},
        "thinking": {"type":"adaptive"}, "output_config": {"effort":"low"},
    })
}

#[test]
fn wrong_types_name_their_field() {
    assert!(parse(everything().to_string().as_bytes()).is_ok());
    for (pointer, value, param) in wrong() {
        let mut body = everything();
        *body.pointer_mut(pointer).unwrap() = value;
        match parse(body.to_string().as_bytes()) {
            Err(Refusal::Invalid(Invalid { param: Some(found), .. })) => assert_eq!(found, param, "{body}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    for text in ["", "{", "[]", "{} x", "\u{7f}"] {
        assert!(
            matches!(parse(text.as_bytes()), Err(Refusal::Invalid(Invalid { param: None, .. }))),
            "{text}"
        );
    }
}
