//! The caller's own bytes for a target of the same format: what must change does, every other byte stays.

use crate::support::*;
use serde_json::{Value, json};
use unfail_wire::target::{Quirks, Target, Traits};
use unfail_wire::wires::anthropic::Anthropic;
use unfail_wire::{Dialect, Wire};

fn adapted(body: &str, target: &Target<'_>) -> String {
    let outline = Anthropic.outline(inbound(body.as_bytes())).unwrap();
    let bytes = Anthropic.adapt(inbound(body.as_bytes()), &outline, target).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn only_what_must_change_changes() {
    let cases = [
        // The name alone, unknown members and odd spacing kept.
        (
            r#" { "model" : "auto" ,"max_tokens":9,"messages":[ {"role":"user","content":"x"} ], "brand_new": {"a" : 1.00} } "#,
            r#" { "model" : "claude-x" ,"max_tokens":9,"messages":[ {"role":"user","content":"x"} ], "brand_new": {"a" : 1.00} } "#,
        ),
        // Members of our own at the front, in the middle and at the end.
        (
            r#"{"models":["a,b"],"max_tokens":9,"fallbacks":["x"],"messages":[{"role":"user","content":"x"}],"model":"m"}"#,
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"x"}],"model":"claude-x"}"#,
        ),
        (
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"x"}],"model":"m" , "fallbacks":["x"] }"#,
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"x"}],"model":"claude-x" }"#,
        ),
        // The provider has a member of the same name.
        (
            r#"{"model":"m","fallbacks":[{"model":"b"}],"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"claude-x","fallbacks":[{"model":"b"}],"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            r#"{"model":"m","fallbacks":"default","models":[],"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"claude-x","fallbacks":"default","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        ),
        // A key may be escaped, a member may stand twice, a limit may be too high.
        (
            "{\"mod\\u0065l\":\"m\",\"model\":\"n\",\"max_tokens\":999999,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "{\"mod\\u0065l\":\"claude-x\",\"model\":\"claude-x\",\"max_tokens\":64000,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        ),
        (
            r#"{"model":"m","temperature":0.5,"top_p":1,"top_k":3,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            r#"{"model":"claude-x","temperature":0.5,"top_p":1,"top_k":3,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(adapted(body, &target(&classic())), expected);
    }
}

#[test]
fn sampling_and_refused_members_go_where_they_are_refused() {
    let body = r#"{"model":"m","temperature":1,"top_p":1,"speed":"fast","top_k":3,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#;
    let quirks = Quirks { refused: &["speed"], ..Quirks::NONE };
    let traits = modern();
    let target = Target { quirks: &quirks, ..target(&traits) };
    assert_eq!(
        adapted(body, &target),
        r#"{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#
    );
}

#[test]
fn unsigned_thinking_is_not_sent_back() {
    let signed = json!({"type":"thinking","thinking":"a","signature":"s"});
    let unsigned = json!({"type":"thinking","thinking":"b","signature":""});
    let said = json!({"type":"text","text":"the text \"signature\":\"\" is only text"});
    let body = |first: Value, second: Value| {
        json!({"model":"m","max_tokens":9,"messages":[
            {"role":"user","content":"x"},
            {"role":"assistant","content":first},
            {"role":"assistant","content":second}]})
        .to_string()
    };
    let dirty = body(json!([unsigned, signed, said]), json!([unsigned]));
    let clean = json!({"model":"claude-x","max_tokens":9,"messages":[
        {"role":"user","content":"x"},{"role":"assistant","content":[signed, said]}]});
    assert_eq!(adapted(&dirty, &target(&classic())), clean.to_string());
    let untouched = body(json!([signed, said]), json!("x"));
    assert_eq!(adapted(&untouched, &target(&classic())), untouched.replace("\"m\"", "\"claude-x\""));
}

#[test]
fn budgeted_thinking_pauses_in_a_tool_loop_begun_elsewhere() {
    let call = json!({"type":"tool_use","id":"a","name":"look","input":{}});
    let signed = json!({"type":"thinking","thinking":"a","signature":"s"});
    let unsigned = json!({"type":"thinking","thinking":"b","signature":""});
    let enabled = json!({"type":"enabled","budget_tokens":2048});
    let thinks = |blocks: Value, thinking: &Value, traits: &Traits| {
        let body = json!({"model":"m","max_tokens":9,"thinking":thinking,"messages":[
            {"role":"user","content":"x"},
            {"role":"assistant","content":blocks},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]});
        let adapted: Value = serde_json::from_str(&adapted(&body.to_string(), &target(traits))).unwrap();
        adapted.get("thinking").is_some()
    };
    let adaptive = json!({"type":"adaptive"});
    let cases = [
        (json!([call]), &enabled, classic(), false),
        (json!([unsigned, call]), &enabled, classic(), false),
        (json!([signed, call]), &enabled, classic(), true),
        (json!([call]), &adaptive, classic(), true),
        (json!([call]), &enabled, modern(), true),
        (json!([{"type":"text","text":"x"}]), &enabled, classic(), true),
    ];
    for (blocks, thinking, traits, expected) in cases {
        assert_eq!(thinks(blocks.clone(), thinking, &traits), expected, "{blocks} {thinking}");
    }
}

/// Of a model nobody knows nothing is known that could be refused.
#[test]
fn what_is_said_of_reasoning_reaches_an_unknown_model() {
    let traits = Traits::default();
    for said in [
        r#""thinking":{"type":"enabled","budget_tokens":2048}"#,
        r#""thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"max"}"#,
        r#""thinking":{"type":"disabled"}"#,
        r#""output_config":{"effort":"of next year"},"temperature":1,"top_k":3"#,
    ] {
        let body = |model: &str| {
            format!(
                r#"{{"model":"{model}","max_tokens":9,{said},"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"look","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a"}}]}}]}}"#
            )
        };
        assert_eq!(adapted(&body("m"), &target(&traits)), body("claude-x"));
    }
}

#[test]
fn an_odd_model_name_stays_json() {
    let traits = Traits::default();
    let target = Target { model: "a\"b\\c", ..target(&traits) };
    let body = adapted(r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#, &target);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["model"], "a\"b\\c");
}
