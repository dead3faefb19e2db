//! One scan tells what a request needs, and refuses what is wrong.

use crate::requests::everything;
use crate::support::*;
use serde_json::{Value, json};
use std::borrow::Cow;
use unfail_wire::Dialect;
use unfail_wire::format::Invalid;
use unfail_wire::outline::{MEDIA_TOKENS, Needs, Outline, estimate_tokens};
use unfail_wire::wires::anthropic::Anthropic;

fn outline(body: &[u8]) -> Result<Outline<'_>, Invalid> {
    Anthropic.outline(inbound(body))
}

#[track_caller]
fn check(body: &Value, expected: Needs) {
    let body = body.to_string();
    let needs = outline(body.as_bytes()).unwrap().needs;
    assert_eq!(Needs { input_tokens: expected.input_tokens, ..needs }, expected, "{body}");
}

fn saying(content: Value) -> Value {
    json!({"model":"m","max_tokens":9,"messages":[{"role":"user","content":content}]})
}

#[test]
fn needs_are_told() {
    let plain = Needs { max_output_tokens: Some(9), messages: 1, ..Needs::default() };
    check(&saying(json!("x")), plain);
    let with = |key: &str, value: Value| {
        let mut body = saying(json!("x"));
        body[key] = value;
        body
    };
    check(&with("tools", json!([{"name":"a"}])), Needs { tools: true, ..plain });
    check(&with("tools", json!([])), plain);
    check(&with("tool_choice", json!({"type":"any"})), Needs { forced_tool: true, ..plain });
    check(&with("tool_choice", json!({"name":"x","type":"tool"})), Needs { forced_tool: true, ..plain });
    check(&with("tool_choice", json!({"type":"auto"})), plain);
    check(
        &with("output_config", json!({"format":{"type":"json_schema"}})),
        Needs { json_schema: true, ..plain },
    );
    check(&with("output_config", json!({"effort":"low","format":null})), plain);
    let image = json!({"source":{"data":"AAAA","type":"base64"},"type":"image"});
    check(&saying(json!([image])), Needs { images: true, ..plain });
    check(&saying(json!([{"type":"document","source":{"type":"url"}}])), Needs { files: true, ..plain });
    check(&saying(json!([{"type":"document","source":{"type":"text","data":"x"}}])), plain);
    let result = json!([{"type":"tool_result","tool_use_id":"a","content":[image]}]);
    check(&saying(result), Needs { tools: true, images: true, ..plain });
    let searched = json!([{"type":"web_search_tool_result","content":{"type":"error"}},
                          {"type":"search_result","source":"https://example.org","content":[]}]);
    check(&saying(searched), plain);
}

#[test]
fn tokens_are_estimated_from_text_and_media() {
    let words = "word ".repeat(400);
    let tokens = |body: Value| {
        let body = body.to_string();
        outline(body.as_bytes()).unwrap().needs.input_tokens
    };
    assert_eq!(tokens(saying(json!(words))), estimate_tokens(words.len()));
    assert_eq!(tokens(saying(json!([{"type":"text","text":words}]))), estimate_tokens(words.len()));
    let escaped = "\"\n".repeat(200);
    assert_eq!(tokens(saying(json!(escaped))), estimate_tokens(escaped.len()));
    let image = json!({"type":"image","source":{"type":"base64","data":"A".repeat(90_000)}});
    assert_eq!(tokens(saying(json!([image, image]))), estimate_tokens(0) + 2 * MEDIA_TOKENS);
    let text = json!({"type":"document","source":{"data":words,"type":"text"}});
    assert_eq!(tokens(saying(json!([text]))), estimate_tokens(words.len()));
    let signed = json!([{"type":"thinking","thinking":words,"signature":"A".repeat(9_000)}]);
    assert_eq!(tokens(saying(signed)), estimate_tokens(words.len()));
    let mut tools = saying(json!(""));
    tools["tools"] = json!([{"name":"look","description":words,"input_schema":{"type":"object"}}]);
    assert!(tokens(tools) > estimate_tokens(words.len()));
}

#[test]
fn names_are_borrowed_where_they_can_be() {
    let body = r#"{"stream":true,"model":"claude-x","fallbacks":["b"],"models":["c\n","d"],"max_tokens":1,
                   "messages":[{"role":"user","content":"x"}],"metadata":{"user_id":"u"},"unknown":[{"deep":[1.5,-2,null,true]}]}"#;
    let outline = outline(body.as_bytes()).unwrap();
    assert!(matches!(outline.model, Cow::Borrowed("claude-x")));
    assert_eq!(outline.fallbacks, ["b", "c\n", "d"]);
    assert_eq!((outline.stream, outline.stream_usage), (true, true));
    assert_eq!(outline.user.as_deref(), Some("u"));
}

#[test]
fn wrong_types_and_missing_members_name_their_field() {
    let cases = [
        ("/model", json!(1), "`model` must be a string, but is a number"),
        ("/model", Value::Null, "`model` must be a string, but is null"),
        ("/max_tokens", json!(1.5), "`max_tokens` must be a non-negative integer, but is a number"),
        ("/max_tokens", json!("9"), "`max_tokens` must be a non-negative integer, but is a string"),
        ("/messages", json!("hi"), "`messages` must be an array, but is a string"),
        ("/messages", json!([]), "`messages` must hold at least one message"),
        ("/messages/1", json!(null), "`messages[1]` must be an object, but is null"),
        (
            "/messages/0/content",
            json!({}),
            "`messages[0].content` must be a string or an array, but is an object",
        ),
        ("/messages/0/content/1", json!([]), "`messages[0].content[1]` must be an object, but is an array"),
        (
            "/messages/0/content/0/type",
            json!(true),
            "`messages[0].content[0].type` must be a string, but is a boolean",
        ),
        ("/tools", json!({}), "`tools` must be an array, but is an object"),
        ("/models", json!([{}]), "`models[0]` must be a string, but is an object"),
        ("/models", json!("a"), "`models` must be an array, but is a string"),
        ("/fallbacks", json!([[]]), "`fallbacks[0]` must be a string, but is an array"),
        ("/stream", json!(1), "`stream` must be `true` or `false`, but is a number"),
        ("/metadata/user_id", json!(7), "`metadata.user_id` must be a string, but is a number"),
    ];
    for (pointer, value, message) in cases {
        let mut body = everything();
        body["models"] = json!([]);
        body["fallbacks"] = json!([]);
        *body.pointer_mut(pointer).unwrap() = value;
        let error = outline(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.message, message);
        assert!(message.contains(&format!("`{}`", error.param.unwrap())));
    }
    for name in ["model", "max_tokens", "messages"] {
        let mut body = everything();
        body.as_object_mut().unwrap().remove(name);
        let error = outline(body.to_string().as_bytes()).unwrap_err();
        assert_eq!((error.param.as_deref(), error.message), (Some(name), format!("`{name}` is missing")));
    }
}

#[test]
fn what_is_no_json_is_refused_without_echoing_it() {
    let bomb = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let schema_bomb =
        format!(r#"{{"output_config":{{"format":{}1{}}}}}"#, r#"{"a":"#.repeat(9_000), "}".repeat(9_000));
    let cases: [&[u8]; 7] = [
        b"",
        b"[]",
        b"{\"model\":\"m\"} {}",
        b"{\"secret\":\"hunter2\",}",
        b"{\"x\":\"\xff\"}",
        bomb.as_bytes(),
        schema_bomb.as_bytes(),
    ];
    for body in cases {
        let error = outline(body).unwrap_err();
        assert_eq!(error.param, None, "{error:?}");
        assert!(error.message.len() < 200 && !error.message.contains("hunter2"), "{error:?}");
    }
    let wrong = r#"{"max_tokens":"hunter2 hunter2"}"#;
    assert!(!outline(wrong.as_bytes()).unwrap_err().message.contains("hunter2"));
}
