//! A caller's own bytes for a target of the same format: what changes, and that nothing else does.

use crate::support::{able, inbound, picky, target};
use serde_json::Value;
use unfail_wire::format::Unspeakable;
use unfail_wire::target::{
    JsonMode, MaxTokens, Quirks, ReasoningControl, ReasoningHistory, StreamUsage, ToolIds, Traits,
};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

fn adapted(body: &str, quirks: Quirks, traits: &Traits) -> Result<String, Unspeakable> {
    let outline = OpenAiChat.outline(inbound(body.as_bytes())).unwrap();
    let sent = OpenAiChat.adapt(inbound(body.as_bytes()), &outline, &target(&quirks, traits))?;
    Ok(String::from_utf8(sent.to_vec()).unwrap())
}

/// A request whose middle is `more`, before and after.
fn check(quirks: Quirks, traits: &Traits, more: &str, expected: &str) {
    let whole = |model: &str, more: &str| {
        format!(
            "{{ \"model\" : \"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}]{more} }}\n"
        )
    };
    let sent = adapted(&whole("route", more), quirks, traits).unwrap();
    assert_eq!(sent, whole("host/model-1", expected));
}

/// A request whose only messages are `list`, before and after.
fn check_messages(quirks: Quirks, list: &str, expected: &str) {
    let whole = |model: &str, list: &str| format!(r#"{{"model":"{model}","messages":[{list}]}}"#);
    let sent = adapted(&whole("m", list), quirks, &able()).unwrap();
    assert_eq!(sent, whole("host/model-1", expected));
}

#[test]
fn only_the_model_changes_where_nothing_is_demanded() {
    let odd = r#", "x" : [1.50, "\u00e9"],"temperature":0.70,"n":1 ,"stop":"a","response_format":{"type":"json_schema"}"#;
    check(Quirks::NONE, &able(), odd, odd);
    let streamed = r#","stream":true,"stream_options":{"include_usage":true}"#;
    check(Quirks::NONE, &able(), streamed, streamed);
}

#[test]
fn top_level_members_follow_the_target() {
    let none = Quirks::NONE;
    let old = Quirks { max_tokens: MaxTokens::MaxTokens, ..none };
    let always = Quirks { max_tokens_always: true, ..none };
    let silent = Quirks { stream_usage: StreamUsage::Always, ..none };
    let (able, picky) = (able(), picky());
    let table = [
        (none, &able, r#","models":["a"],"fallbacks":["b"],"x":1"#, r#","x":1"#),
        (none, &able, r#","max_tokens":9,"x":1"#, r#","max_completion_tokens":9,"x":1"#),
        (old, &able, r#","max_completion_tokens":9"#, r#","max_tokens":9"#),
        (old, &able, r#","max_completion_tokens":9,"max_tokens":5"#, r#","max_tokens":9"#),
        (old, &able, r#","max_completion_tokens":5,"max_tokens":9"#, r#","max_tokens":9"#),
        (none, &picky, r#","max_completion_tokens":200"#, r#","max_completion_tokens":150"#),
        (none, &picky, r#","max_completion_tokens":100"#, r#","max_completion_tokens":100"#),
        (always, &able, "", r#","max_completion_tokens":4096"#),
        (always, &picky, r#","max_tokens":null"#, r#","max_completion_tokens":150"#),
        (none, &able, r#","stream":true"#, r#","stream":true,"stream_options":{"include_usage":true}"#),
        (
            none,
            &able,
            r#","stream":true,"stream_options":{"y":1,"include_usage":false}"#,
            r#","stream":true,"stream_options":{"y":1,"include_usage":true}"#,
        ),
        (
            none,
            &able,
            r#","stream_options":null,"stream":true"#,
            r#","stream_options":{"include_usage":true},"stream":true"#,
        ),
        (silent, &able, r#","stream":true,"stream_options":{"include_usage":true}"#, r#","stream":true"#),
        (Quirks { seed: Some("random_seed"), ..none }, &able, r#","seed": 5"#, r#","random_seed": 5"#),
        (Quirks { seed: None, ..none }, &able, r#","seed":5,"x":1"#, r#","x":1"#),
        (Quirks { stop_list: true, ..none }, &able, r#","stop":"a\n""#, r#","stop":["a\n"]"#),
        (Quirks { stop_list: true, ..none }, &able, r#","stop":["a"]"#, r#","stop":["a"]"#),
        (Quirks { refused: &["user", "n"], ..none }, &able, r#","user":"u","n":1,"x":1"#, r#","x":1"#),
        (none, &picky, r#","temperature":1,"top_p":1,"stop":"a","logprobs":true"#, ""),
        (
            Quirks { no_strict_tools: true, ..none },
            &able,
            r#","tools":[{"type":"function","function":{"name":"f","strict":true,"z":1.50}}]"#,
            r#","tools":[{"type":"function","function":{"name":"f","z":1.5}}]"#,
        ),
    ];
    for (quirks, traits, before, after) in table {
        check(quirks, traits, before, after);
    }
}

#[test]
fn reasoning_follows_the_model() {
    let (able, picky, unknown) = (able(), picky(), Traits::default());
    let dull = Traits { reasoning: ReasoningControl::None, ..Traits::default() };
    let fixed = ReasoningControl::Adaptive { can_disable: false };
    let steady = Traits { reasoning: fixed, ..Traits::default() };
    let torn = Traits { tools_without_reasoning: true, ..able.clone() };
    let tools = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let table = [
        (&picky, r#","reasoning_effort":"minimal""#, r#","reasoning_effort":"low""#),
        (&picky, r#","reasoning_effort":"max""#, r#","reasoning_effort":"high""#),
        (&picky, r#","reasoning_effort":"default""#, r#","reasoning_effort":"default""#),
        (&steady, r#","reasoning_effort":"none""#, r#","reasoning_effort":"low""#),
        (&dull, r#","reasoning_effort":"low","x":1"#, r#","x":1"#),
        (&dull, r#","reasoning_effort":null"#, r#","reasoning_effort":null"#),
        (&unknown, r#","reasoning_effort":"low","x":1"#, r#","reasoning_effort":"low","x":1"#),
        (&unknown, r#","reasoning_effort":"none""#, r#","reasoning_effort":"none""#),
        (&unknown, r#","reasoning_effort":"max""#, r#","reasoning_effort":"max""#),
        (&unknown, r#","reasoning_effort":"odd""#, r#","reasoning_effort":"odd""#),
        (&unknown, r#","reasoning":{"effort":"low"}"#, r#","reasoning":{"effort":"low"}"#),
        (&unknown, tools, tools),
        (&unknown, "", ""),
        (&able, r#","reasoning_effort":"minimal""#, r#","reasoning_effort":"low""#),
        (&able, tools, tools),
        (&torn, tools, &format!(r#"{tools},"reasoning_effort":"none""#)),
        (
            &torn,
            &format!(r#","reasoning_effort":"high"{tools}"#),
            &format!(r#","reasoning_effort":"none"{tools}"#),
        ),
        (
            &torn,
            &format!(r#","reasoning_effort":null{tools}"#),
            &format!(r#","reasoning_effort":"none"{tools}"#),
        ),
        (
            &torn,
            &format!(r#","reasoning_effort":"odd"{tools}"#),
            &format!(r#","reasoning_effort":"none"{tools}"#),
        ),
        (&torn, r#","functions":[{"name":"f"}]"#, r#","functions":[{"name":"f"}],"reasoning_effort":"none""#),
        (&torn, r#","tools":[],"reasoning_effort":"high""#, r#","tools":[],"reasoning_effort":"high""#),
        (&torn, r#","tools":null"#, r#","tools":null"#),
        (&torn, "", ""),
    ];
    for (traits, before, after) in table {
        check(Quirks::NONE, traits, before, after);
    }
}

#[test]
fn messages_follow_the_target() {
    let none = Quirks::NONE;
    let spoken = Quirks { reasoning_history: ReasoningHistory::Reasoning, ..none };
    let required = Quirks { reasoning_history: ReasoningHistory::ReasoningContentRequired, ..none };
    let call = r#""tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    let developer = r#"{"role":"developer","content":"Hi","x":1}"#;
    let named = r#"{"role":"user","name":"ann","content":"Hi","x":1}"#;
    let parts = r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"x":1}"#;
    let mixed = r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}"#;
    let thought = r#"{"role":"assistant","content":"Hi","reasoning_content":"Hm"}"#;
    let calling = format!(r#"{{"role":"assistant","content":null,{call}}}"#);
    let function = r#"{"role":"function","name":"f","content":"x"}"#.to_owned();
    let table = [
        (none, developer.to_owned(), developer.to_owned()),
        (
            Quirks { developer_role: false, ..none },
            developer.into(),
            developer.replace("developer", "system"),
        ),
        (none, named.into(), named.into()),
        (Quirks { no_names: true, ..none }, named.into(), named.replace(r#""name":"ann","#, "")),
        (Quirks { no_names: true, ..none }, function.clone(), function),
        (
            Quirks { flat_text: true, ..none },
            parts.into(),
            r#"{"role":"user","content":"a\nb","x":1}"#.into(),
        ),
        (Quirks { flat_text: true, ..none }, mixed.into(), mixed.into()),
        (none, thought.into(), r#"{"role":"assistant","content":"Hi"}"#.into()),
        (spoken, thought.into(), thought.replace("reasoning_content", "reasoning")),
        (required, thought.into(), thought.into()),
        (required, thought.replace("reasoning_content", "reasoning"), thought.into()),
        (required, calling.clone(), calling.replace("}}]}", r#"}}],"reasoning_content":" "}"#)),
        (spoken, calling.clone(), calling),
    ];
    for (quirks, before, after) in table {
        check_messages(quirks, &before, &after);
    }
}

#[test]
fn short_ids_stay_and_long_ones_agree() {
    let quirks = Quirks { tool_ids: ToolIds::Nine, ..Quirks::NONE };
    let call = |id: &str| {
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#)
    };
    let calls =
        format!(r#"{{"role":"assistant","tool_calls":[{},{}]}}"#, call("abcDEF123"), call("call_long"));
    let results = r#"{"role":"tool","tool_call_id":"call_long","content":"x"},
        {"role":"tool","tool_call_id":"abcDEF123","content":"y"}"#;
    let body = format!(r#"{{"model":"m","messages":[{calls},{results}]}}"#);
    let sent: Value = serde_json::from_str(&adapted(&body, quirks, &able()).unwrap()).unwrap();
    let id = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str).unwrap();
    assert_eq!(id("/messages/0/tool_calls/0/id"), "abcDEF123");
    assert_eq!(id("/messages/2/tool_call_id"), "abcDEF123");
    let made = id("/messages/0/tool_calls/1/id");
    assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{made}");
    assert_eq!(id("/messages/1/tool_call_id"), made);
}

#[test]
fn a_schema_becomes_an_instruction() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}}"#;
    let quirks = Quirks { json_schema: JsonMode::Object, ..Quirks::NONE };
    let sent: Value = serde_json::from_str(&adapted(body, quirks, &able()).unwrap()).unwrap();
    assert_eq!(sent["response_format"], serde_json::json!({"type": "json_object"}));
    let added = &sent["messages"][1];
    assert_eq!(added["role"], "system");
    let text = added["content"].as_str().unwrap();
    assert!(text.contains("JSON") && text.contains(r#"{"type":"object"}"#), "{text}");
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3);
}

#[test]
fn several_choices_need_a_target_that_gives_them() {
    let quirks = Quirks { refused: &["n"], ..Quirks::NONE };
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"n":2}"#;
    assert_eq!(adapted(body, quirks, &able()), Err(Unspeakable { what: "several choices" }));
    let request = Dialect::parse(&OpenAiChat, inbound(body.as_bytes())).unwrap();
    let rendered = Wire::render(&OpenAiChat, &request, &target(&quirks, &able()));
    assert_eq!(rendered, Err(Unspeakable { what: "several choices" }));
}
