//! The scan of a request: what it finds, what it refuses, and that it agrees with the full reading.

use crate::support::{fixtures, inbound};
use serde_json::{Value, json};
use unfail_wire::Dialect;
use unfail_wire::format::{Inbound, Refusal};
use unfail_wire::outline::{MEDIA_TOKENS, Needs};
use unfail_wire::wires::openai_chat::OpenAiChat;

/// A small valid request with `field` set.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body[field] = value;
    body
}

/// A request whose only message is this.
fn message(message: Value) -> Value {
    json!({"model": "m", "messages": [message]})
}

fn part(part: Value) -> Value {
    message(json!({"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}))
}

/// The offending field and the words of the refusal.
fn refused(body: &[u8]) -> (String, String) {
    let invalid = OpenAiChat.outline(inbound(body)).expect_err("must be refused");
    (invalid.param.unwrap_or_default(), invalid.message)
}

/// Each body is refused for this field, in words that hold these.
fn check_refused<const N: usize>(table: [(Value, &str, &str); N]) {
    for (body, param, message) in table {
        let (found, words) = refused(body.to_string().as_bytes());
        assert_eq!(found, param, "{body}: {words}");
        assert!(words.contains(message), "{body}: `{words}` does not say `{message}`");
    }
}

#[test]
fn wrong_messages_are_refused_by_path() {
    let call = |call: Value| message(json!({"role": "assistant", "tool_calls": [call]}));
    check_refused([
        (json!([]), "", "must be an object, but is an array"),
        (json!("text"), "", "must be an object, but is a string"),
        (json!({"messages": [{"role": "user", "content": "Hi"}]}), "model", "missing"),
        (with("model", json!(null)), "model", "must be a string, but is null"),
        (with("model", json!(7)), "model", "must be a string, but is a number"),
        (json!({"model": "m"}), "messages", "missing"),
        (with("messages", json!([])), "messages", "at least one message"),
        (with("messages", json!("Hi")), "messages", "must be an array of messages, but is a string"),
        (with("messages", json!(["Hi"])), "messages[0]", "must be an object"),
        (message(json!({"content": "Hi"})), "messages[0].role", "missing"),
        (message(json!({"role": "robot", "content": "Hi"})), "messages[0].role", "`assistant`"),
        (message(json!({"role": "user"})), "messages[0].content", "missing"),
        (message(json!({"role": "user", "content": null})), "messages[0].content", "missing"),
        (
            message(json!({"role": "system", "content": 5})),
            "messages[0].content",
            "a string or an array of parts",
        ),
        (message(json!({"role": "tool", "content": "x"})), "messages[0].tool_call_id", "missing"),
        (message(json!({"role": "user", "content": ["Hi"]})), "messages[0].content[0]", "must be an object"),
        (part(json!({"text": "x"})), "messages[0].content[1].type", "missing"),
        (part(json!({"type": "text"})), "messages[0].content[1].text", "missing"),
        (part(json!({"type": "text", "image_url": {"url": "x"}})), "messages[0].content[1].text", "missing"),
        (part(json!({"type": "image_url"})), "messages[0].content[1].image_url", "missing"),
        (
            part(json!({"type": "image_url", "image_url": {}})),
            "messages[0].content[1].image_url.url",
            "missing",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": 5}})),
            "messages[0].content[1].image_url.url",
            "must be a string, but is a number",
        ),
        (
            part(json!({"type": "input_audio", "input_audio": 1})),
            "messages[0].content[1].input_audio",
            "object",
        ),
        (call(json!({"function": {"name": "f"}})), "messages[0].tool_calls[0].id", "missing"),
        (call(json!({"id": "c"})), "messages[0].tool_calls[0].function", "missing"),
        (call(json!({"id": "c", "function": {}})), "messages[0].tool_calls[0].function.name", "missing"),
        (
            call(json!({"id": "c", "function": {"name": "f", "arguments": {}}})),
            "messages[0].tool_calls[0].function.arguments",
            "must be a string, but is an object",
        ),
    ]);
}

#[test]
fn wrong_options_are_refused_by_path() {
    check_refused([
        (with("stream", json!("yes")), "stream", "`true` or `false`"),
        (with("stream_options", json!(true)), "stream_options", "an object"),
        (
            with("stream_options", json!({"include_usage": 1})),
            "stream_options.include_usage",
            "`true` or `false`",
        ),
        (with("temperature", json!(2.5)), "temperature", "between 0 and 2, but is 2.5"),
        (with("temperature", json!("hot")), "temperature", "a number, but is a string"),
        (with("top_p", json!(-0.1)), "top_p", "between 0 and 1"),
        (with("presence_penalty", json!(3)), "presence_penalty", "between -2 and 2"),
        (with("n", json!(0)), "n", "between 1 and 128"),
        (with("n", json!(129)), "n", "between 1 and 128"),
        (with("n", json!(1.5)), "n", "a fraction"),
        (with("max_tokens", json!(-1)), "max_tokens", "negative"),
        (with("max_completion_tokens", json!("5")), "max_completion_tokens", "a non-negative integer"),
        (with("seed", json!(1.5)), "seed", "an integer"),
        (with("stop", json!(["a", "b", "c", "d", "e"])), "stop", "at most 4"),
        (with("stop", json!([1])), "stop[0]", "a string"),
        (with("stop", json!(1)), "stop", "a string or an array of strings"),
        (with("user", json!(1)), "user", "a string"),
        (with("models", json!("a")), "models", "an array of model names"),
        (with("fallbacks", json!([{"model": "x"}])), "fallbacks[0]", "a string, but is an object"),
        (with("tools", json!({})), "tools", "an array of tools"),
        (
            with("tools", json!([{"type": "function", "function": {"name": 5}}])),
            "tools[0].function.name",
            "a string",
        ),
        (with("tool_choice", json!("sometimes")), "tool_choice", "`required`"),
        (with("tool_choice", json!(1)), "tool_choice", "a string or an object"),
        (with("parallel_tool_calls", json!(1)), "parallel_tool_calls", "`true` or `false`"),
        (with("response_format", json!("json")), "response_format", "an object"),
        (with("response_format", json!({})), "response_format.type", "missing"),
    ]);
}

#[test]
fn text_that_is_no_json_is_refused_as_a_whole() {
    let deep = |open: &str, close: &str| {
        let (before, after) = (open.repeat(5_000), close.repeat(5_000));
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"x":{before}1{after}}}"#)
    };
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "not valid JSON"),
        (b"{".to_vec(), "not valid JSON"),
        (br#"{"model":"m","messages":[{"role":"user","content":"Hi"}]} {}"#.to_vec(), "trailing"),
        (br#"{"model":"m","messages":[{"role":"user","content":"Hi"}],}"#.to_vec(), "not valid JSON"),
        (br#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":tru}"#.to_vec(), "not valid JSON"),
        (
            br#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":"\ud800"}"#.to_vec(),
            "not valid JSON",
        ),
        (b"{\"model\":\"\xff\"}".to_vec(), "not valid UTF-8 at byte 10"),
        (deep("[", "]").into_bytes(), "recursion limit"),
        (deep("{\"a\":", "}").into_bytes(), "recursion limit"),
    ];
    for (body, message) in table {
        let (param, words) = refused(&body);
        assert!(words.contains(message) && param.is_empty(), "`{words}` does not say `{message}`");
    }
}

#[test]
fn members_given_twice_are_refused() {
    let table = [
        (r#"{"model":"a","model":"b","messages":[{"role":"user","content":"Hi"}]}"#, "model"),
        (r#"{"model":"a","mod\u0065l":"b","messages":[{"role":"user","content":"Hi"}]}"#, "model"),
        (
            r#"{"model":"a","messages":[{"role":"user","content":"Hi","content":"Ho"}]}"#,
            "messages[0].content",
        ),
        (r#"{"model":"a","messages":[{"role":"user","content":"Hi"}],"n":1,"n":2}"#, "n"),
    ];
    for (body, field) in table {
        let (param, words) = refused(body.as_bytes());
        assert_eq!(param, field);
        assert!(words.contains("more than once"), "{words}");
    }
}

#[test]
fn fields_that_are_ruled_on_are_spelled_one_way() {
    let with =
        |key: &str| format!(r#"{{"model":"a","messages":[{{"role":"user","content":"Hi"}}],"{key}":1}}"#);
    for (key, field) in [
        ("Model", "model"),
        ("MODEL", "model"),
        (r"M\u006fdel", "model"),
        ("Models", "models"),
        ("fallBacks", "fallbacks"),
        ("Stream", "stream"),
        // Letters that some readers take for `s` and `k`.
        ("\u{17f}tream", "stream"),
        ("max_to\u{212a}ens", "max_tokens"),
        ("Max_Completion_Tokens", "max_completion_tokens"),
        ("stream_Options", "stream_options"),
    ] {
        let (param, words) = refused(with(key).as_bytes());
        assert_eq!((param.as_str(), words.contains("lower case")), (field, true), "{key}: {words}");
    }
    for key in ["Temperature", "my_Model", "modell", "X-Stream", "\u{e9}", "modelName"] {
        assert!(OpenAiChat.outline(inbound(with(key).as_bytes())).is_ok(), "{key}");
    }
}

#[test]
fn needs_are_found() {
    let schema = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}});
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let audio = json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}});
    let file = json!({"type": "file", "file": {"file_id": "f"}});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "x"});
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}});
    let relaxed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}});
    let base = Needs { input_tokens: 1, messages: 1, ..Needs::default() };
    let media = Needs { input_tokens: 1 + MEDIA_TOKENS, ..base };
    let table = [
        (with("x", json!({"deep": [1, null, true]})), base),
        (with("max_tokens", json!(9)), Needs { max_output_tokens: Some(9), ..base }),
        (with("n", json!(2)), Needs { many_choices: true, ..base }),
        (with("n", json!(1)), base),
        (with("n", json!(null)), base),
        (with("tools", json!([])), base),
        (with("tools", tool), Needs { tools: true, input_tokens: 3, ..base }),
        (with("tool_choice", json!("required")), Needs { forced_tool: true, ..base }),
        (
            with("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
            Needs { forced_tool: true, ..base },
        ),
        (with("tool_choice", json!("auto")), base),
        (with("tool_choice", allowed), Needs { forced_tool: true, ..base }),
        (with("tool_choice", relaxed), base),
        (with("function_call", json!({"name": "f"})), Needs { forced_tool: true, ..base }),
        (with("response_format", schema), Needs { json_schema: true, input_tokens: 10, ..base }),
        (with("response_format", json!({"type": "json_object"})), base),
        (part(image), Needs { images: true, ..media }),
        (part(audio), Needs { audio: true, ..media }),
        (part(file), Needs { files: true, ..media }),
        (message(result), Needs { tools: true, ..base }),
        (
            message(json!({"role": "user", "content": "x".repeat(4_000)})),
            Needs { input_tokens: 1_100, ..base },
        ),
    ];
    for (body, needs) in table {
        let text = body.to_string();
        let outline = OpenAiChat.outline(inbound(text.as_bytes())).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_eq!(outline.needs, needs, "{body}");
    }
}

#[test]
fn both_limits_give_the_larger() {
    let mut body = with("max_tokens", json!(9));
    body["max_completion_tokens"] = json!(5);
    let text = body.to_string();
    assert_eq!(OpenAiChat.outline(inbound(text.as_bytes())).unwrap().needs.max_output_tokens, Some(9));
}

#[test]
fn the_model_may_stand_in_the_path() {
    let body = br#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let inbound = Inbound { body, path_model: Some("m"), path_stream: false };
    assert_eq!(OpenAiChat.outline(inbound).unwrap().model, "m");
    assert_eq!(Dialect::parse(&OpenAiChat, inbound).unwrap().model, "m");
}

#[test]
fn chains_user_and_streaming_are_found() {
    let text = r#"{"model":"a","models":["b","c"],"fallbacks":["d\u0065"],"safety_identifier":"u","stream":true,
        "stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;
    let outline = OpenAiChat.outline(inbound(text.as_bytes())).unwrap();
    assert_eq!(outline.fallbacks, ["b", "c", "de"]);
    assert_eq!(outline.user.as_deref(), Some("u"));
    assert!(outline.stream && outline.stream_usage);
}

#[test]
fn scan_and_full_reading_agree() {
    for (name, body) in fixtures("requests") {
        let outline = OpenAiChat.outline(inbound(body.as_bytes())).unwrap();
        match Dialect::parse(&OpenAiChat, inbound(body.as_bytes())) {
            Err(Refusal::Invalid(invalid)) => panic!("{name}: {invalid}"),
            Err(Refusal::Unspeakable(_)) => {}
            Ok(request) => {
                assert_eq!(request.model, outline.model, "{name}");
                assert_eq!(request.stream, outline.stream, "{name}");
                assert_eq!(request.stream_usage, outline.stream_usage, "{name}");
                assert_eq!(request.user.as_deref(), outline.user.as_deref(), "{name}");
                assert_eq!(request.output.max_tokens, outline.needs.max_output_tokens, "{name}");
                assert_eq!(
                    request.output.choices.is_some_and(|n| n > 1),
                    outline.needs.many_choices,
                    "{name}"
                );
            }
        }
    }
}
