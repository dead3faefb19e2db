//! What each wire refuses, and that it takes what its vendor takes: requests as bodies, answers as status and words.

use serde_json::{Value, json};
use unfail_sim::{Act, Script, Speaks};

use crate::ask::{Ask, anthropic, ask, gemini, openai, post, provider, with_body};

/// A body with one field changed, or removed when the value is null.
fn changed(mut body: Value, field: &str, value: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
    body
}

/// Sends the wire's plain request with one field changed.
async fn check_field(wire: Speaks, field: &str, value: Value, wanted: Result<(), &str>) {
    let body = changed(ask(wire, "hello", false).body, field, value);
    check(wire, with_body(wire, body), wanted).await;
}

async fn check(wire: Speaks, ask: Ask, wanted: Result<(), &str>) {
    let answer = post(&provider(wire, Act::default()), &ask).await;
    let text = answer.text();
    let case = format!("{} {:.600}\n{text:.600}", ask.path, ask.body.to_string());
    match wanted {
        Ok(()) => assert_eq!(answer.status, 200, "{case}"),
        Err(words) => {
            assert_eq!(answer.status, 400, "{case}");
            let said = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(said.contains(words), "wanted {words:?}: {case}");
        }
    }
}

const OK: Result<(), &str> = Ok(());

fn tool(schema: Value) -> Value {
    json!([{"type": "function", "function": {"name": "f", "parameters": schema}}])
}

#[tokio::test]
async fn openai_chat_fields() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
        "additionalProperties": false});
    let format = |schema: &Value, strict: bool| json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": strict}});
    for (field, value, wanted) in [
        ("model", Value::Null, Err("Missing required parameter: 'model'")),
        ("messages", Value::Null, Err("Missing required parameter: 'messages'")),
        ("messages", json!([]), Err("empty array")),
        ("made_up", json!(1), Err("Unknown parameter: 'made_up'")),
        ("temperature", json!("hot"), Err("Invalid type for 'temperature'")),
        ("temperature", json!(2.5), Err("Invalid value for 'temperature'")),
        ("temperature", json!(1), OK),
        ("n", json!(0), Err("Invalid value for 'n'")),
        ("n", json!(2), OK),
        ("stop", json!(["a", "b", "c", "d", "e"]), Err("maximum length 4")),
        ("stop", json!("a"), OK),
        ("stream_options", json!({"include_usage": true}), Err("only allowed when 'stream' is enabled")),
        ("tool_choice", json!("auto"), Err("only allowed when 'tools' are specified")),
        ("tools", json!([]), Err("empty array")),
        ("tools", json!([{"type": "function"}]), Err("Missing required parameter")),
        ("tools", tool(open.clone()), OK),
        ("tools", tool(json!({"type": "string"})), Err("Invalid schema for function 'f'")),
        ("tools", json!([{"type": "function", "function": {"name": "f g"}}]), Err("matches")),
        (
            "tools",
            json!([{"type": "function", "function": {"name": "f", "strict": true, "parameters": open}}]),
            Err("'additionalProperties' is required"),
        ),
        ("response_format", json!({"type": "json_object"}), Err("the word 'json'")),
        ("response_format", json!({"type": "xml"}), Err("response_format.type")),
        ("response_format", format(&open, false), OK),
        ("response_format", format(&open, true), Err("'additionalProperties' is required")),
        ("response_format", format(&closed, true), OK),
        ("response_format", format(&json!({"type": "array"}), true), Err("schema must be of")),
        ("response_format", json!({"type": "json_schema", "json_schema": {"schema": {}}}), Err("name")),
        ("reasoning_effort", json!("extreme"), Err("Invalid value for 'reasoning_effort'")),
        ("max_tokens", json!(5), OK),
        ("user", json!(null), OK),
    ] {
        check_field(Speaks::OpenAiChat, field, value, wanted).await;
    }
}

#[tokio::test]
async fn openai_chat_model_names() {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let tools = tool(json!({"type": "object", "properties": {}}));
    for (model, field, value, wanted) in [
        ("gpt-5.4", "max_tokens", json!(9), Err("Use 'max_completion_tokens' instead")),
        ("o3", "max_tokens", json!(9), Err("Use 'max_completion_tokens' instead")),
        ("gpt-5.4", "max_completion_tokens", json!(9), OK),
        ("gpt-5", "temperature", json!(0.5), Err("'temperature' is not supported with this model")),
        ("gpt-5", "temperature", json!(1), OK),
        ("gpt-5", "stop", json!("x"), Err("'stop' is not supported")),
        ("gpt-5.4-mini", "temperature", json!(0.5), OK),
        ("gpt-5.6", "temperature", json!(0.5), Err("'temperature' is not supported")),
        ("gpt-5.4", "tools", tools.clone(), OK),
        ("gpt-5.6", "tools", tools.clone(), Err("Function tools with reasoning_effort are not supported")),
        ("gpt-4.1", "tools", tools.clone(), OK),
        ("gpt-4.1", "temperature", json!(0.5), OK),
    ] {
        let body = changed(json!({"model": model, "messages": messages}), field, value);
        check(Speaks::OpenAiChat, openai(body), wanted).await;
    }
    let body = json!({"model": "gpt-5.6", "messages": messages, "tools": tools, "reasoning_effort": "none"});
    check(Speaks::OpenAiChat, openai(body), OK).await;
}

#[tokio::test]
async fn openai_chat_messages() {
    let user = json!({"role": "user", "content": "hello"});
    let calls = |ids: &[&str]| {
        let call =
            |id: &&str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "42"});
    let image =
        |url: &str| json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]});
    for (messages, wanted) in [
        (json!([user, calls(&["a"]), result("a")]), OK),
        (json!([user, calls(&["a", "b"]), result("b"), result("a"), user]), OK),
        (json!([user, calls(&["a", "b"]), result("a"), user]), Err("did not have response messages: b")),
        (json!([user, calls(&["a"])]), Err("did not have response messages: a")),
        (json!([user, result("a")]), Err("must be a response to a preceeding message")),
        (
            json!([user, calls(&["a"]), result("a"), result("a")]),
            Err("must be a response to a preceeding message"),
        ),
        (json!([user, calls(&["x".repeat(41).as_str()])]), Err("maximum length 40")),
        (json!([{"role": "assistant", "content": null}]), Err("expected a string or an array")),
        (json!([{"role": "robot", "content": "x"}]), Err("Invalid value: 'robot'")),
        (json!([{"role": "user", "content": [{"type": "video"}]}]), Err("Invalid value: 'video'")),
        (json!([{"role": "user", "content": [{"type": "text"}]}]), Err("expected a string")),
        (json!([{"role": "system", "content": "x"}, {"role": "developer", "content": "y"}, user]), OK),
        (json!([image("data:image/png;base64,aGk=")]), OK),
        (json!([image("https://example.com/a.png")]), OK),
        (json!([image("data:image/png;base64,%%")]), Err("Invalid image data")),
        (json!([image("a.png")]), Err("Invalid image data")),
    ] {
        check(Speaks::OpenAiChat, openai(json!({"model": "m", "messages": messages})), wanted).await;
    }
}

#[tokio::test]
async fn anthropic_fields() {
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = |schema: Value| json!({"format": {"type": "json_schema", "schema": schema}});
    let tool = |name: &str, schema: Value| json!([{"name": name, "input_schema": schema}]);
    for (field, value, wanted) in [
        ("max_tokens", Value::Null, Err("max_tokens: Field required")),
        ("model", Value::Null, Err("model: Field required")),
        ("messages", Value::Null, Err("messages: Field required")),
        ("messages", json!([]), Err("at least one message")),
        ("n", json!(1), Err("n: Extra inputs are not permitted")),
        ("seed", json!(1), Err("seed: Extra inputs are not permitted")),
        ("temperature", json!(1.5), Err("temperature: Input should be a valid number from 0 to 1")),
        ("temperature", json!(0.5), OK),
        ("stop_sequences", json!([" "]), Err("non-whitespace")),
        ("tools", tool("f", json!({"type": "object"})), OK),
        ("tools", tool("f", json!({})), Err("tools.0.custom.input_schema.type")),
        ("tools", tool("a b", json!({"type": "object"})), Err("String should match pattern")),
        ("tools", json!([{"type": "function", "function": {}}]), Err("Input tag 'function'")),
        ("tools", json!([{"type": "web_search_20260318", "name": "web_search"}]), OK),
        ("tool_choice", json!({"type": "auto"}), Err("while providing tools")),
        ("thinking", json!({"type": "enabled", "budget_tokens": 1000}), Err("greater than or equal to 1024")),
        (
            "thinking",
            json!({"type": "enabled", "budget_tokens": 5000}),
            Err("`max_tokens` must be greater than"),
        ),
        ("thinking", json!({"type": "enabled", "budget_tokens": 2000}), OK),
        ("thinking", json!({"type": "adaptive"}), Err("not supported on this model")),
        ("output_config", format(closed), OK),
        (
            "output_config",
            format(json!({"type": "object"})),
            Err("'additionalProperties' must be explicitly set"),
        ),
        (
            "output_config",
            format(json!({"type": "string", "minLength": 1})),
            Err("property 'minLength' is not supported"),
        ),
        ("output_config", format(json!({"anyOf": [{"oneOf": []}]})), Err("schema.anyOf.0: ")),
        ("output_config", json!({"effort": "extreme"}), Err("output_config.effort")),
        ("system", json!([{"type": "text", "text": ""}]), Err("must be non-empty")),
        ("system", json!([{"type": "text", "text": "be brief"}]), OK),
    ] {
        check_field(Speaks::Anthropic, field, value, wanted).await;
    }
}

#[tokio::test]
async fn anthropic_versions_and_models() {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let prefill = json!([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Well"}]);
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    for (model, more, wanted) in [
        ("claude-sonnet-4-6", json!({"temperature": 0.5}), OK),
        ("claude-opus-4-7", json!({"temperature": 0.5}), Err("`temperature` is not supported on this model")),
        ("claude-sonnet-5-5", json!({"top_k": 5}), Err("`top_k` is not supported on this model")),
        ("claude-sonnet-4-5", json!({"temperature": 0.5, "top_p": 0.5}), Err("cannot both be specified")),
        ("claude-sonnet-4-5-20250929", json!({"messages": prefill}), OK),
        (
            "claude-sonnet-4-6",
            json!({"messages": prefill}),
            Err("does not support assistant message prefill"),
        ),
        ("claude-opus-5-5", json!({"thinking": {"type": "disabled"}}), Err("not supported on this model")),
        ("claude-haiku-5-5", json!({"thinking": {"type": "disabled"}}), OK),
        (
            "claude-opus-4-7",
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            Err("not supported"),
        ),
        (
            "claude-sonnet-5-5",
            json!({"tools": tools, "tool_choice": {"type": "any"}}),
            Err("forced tool use"),
        ),
        ("claude-haiku-5-5", json!({"tools": tools, "tool_choice": {"type": "any"}}), OK),
        (
            "claude-haiku-5-5",
            json!({"tools": tools, "tool_choice": {"type": "tool", "name": "g"}}),
            Err("Tool 'g'"),
        ),
    ] {
        let mut body = json!({"model": model, "max_tokens": 4096, "messages": messages});
        for (name, value) in more.as_object().unwrap() {
            body = changed(body, name, value.clone());
        }
        check(Speaks::Anthropic, anthropic(body), wanted).await;
    }
    let plain = || ask(Speaks::Anthropic, "hello", false);
    let without = Ask { headers: vec![("x-api-key", "k")], ..plain() };
    check(Speaks::Anthropic, without, Err("anthropic-version: header is required")).await;
    let newer = vec![("authorization", "Bearer k"), ("anthropic-version", "2026-10-21")];
    check(Speaks::Anthropic, Ask { headers: newer.clone(), ..plain() }, OK).await;
    let body = changed(plain().body, "temperature", json!(0.5));
    let refused = Err("temperature: Extra inputs are not permitted");
    check(Speaks::Anthropic, Ask { headers: newer, ..anthropic(body) }, refused).await;
}

#[tokio::test]
async fn anthropic_messages() {
    let said = |role: &str, content: Value| json!({"role": role, "content": content});
    let user = || said("user", json!("hello"));
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "42"});
    let text = json!({"type": "text", "text": "so?"});
    let source = |kind: &str, data: &str| json!([{"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}]);
    for (messages, wanted) in [
        (
            json!([user(), said("assistant", json!([call("a")])), said("user", json!([result("a"), text]))]),
            OK,
        ),
        (
            json!([
                user(),
                said("assistant", json!([call("a"), call("b")])),
                said("user", json!([result("a")]))
            ]),
            Err("without `tool_result` blocks immediately after: b"),
        ),
        (json!([user(), said("assistant", json!([call("a")])), user()]), Err("without `tool_result`")),
        (
            json!([user(), said("assistant", json!([call("a")])), said("user", json!([text, result("a")]))]),
            Err("must come before any text"),
        ),
        (json!([said("user", json!([result("a")]))]), Err("unexpected `tool_use_id`")),
        (json!([user(), said("assistant", json!([call("a.b")]))]), Err("String should match pattern")),
        (json!([said("assistant", json!("hi")), user()]), Err("first message must use the \"user\" role")),
        (json!([said("user", json!(""))]), Err("must be non-empty")),
        (json!([said("user", json!([{"type": "text", "text": ""}]))]), Err("must be non-empty")),
        (json!([said("user", json!([]))]), Err("must have non-empty content")),
        (json!([user(), said("assistant", json!("Well "))]), Err("trailing whitespace")),
        (json!([user(), user()]), OK),
        (json!([said("tool", json!("x"))]), Err("Input should be 'user' or 'assistant'")),
        (
            json!([said("user", json!([{"type": "image_url"}]))]),
            Err("does not match any of the expected tags"),
        ),
        (json!([said("user", source("image/png", "aGk="))]), OK),
        (json!([said("user", source("image/bmp", "aGk="))]), Err("media_type")),
        (json!([said("user", source("image/png", "%%"))]), Err("invalid base64")),
        (
            json!([
                user(),
                said("assistant", json!([{"type": "thinking", "thinking": "x", "signature": "y"}, text])),
                user()
            ]),
            Err("Invalid `signature`"),
        ),
    ] {
        let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
        let body =
            json!({"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": messages, "tools": tools});
        check(Speaks::Anthropic, anthropic(body), wanted).await;
    }
    let messages = json!([user(), said("assistant", json!([call("a")])), said("user", json!([result("a")]))]);
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": messages});
    check(Speaks::Anthropic, anthropic(body), Err("must define tools")).await;
}

#[tokio::test]
async fn gemini_fields() {
    let config = |config: Value| ("generationConfig", config);
    let declare = |declaration: Value| ("tools", json!([{"functionDeclarations": [declaration]}]));
    let calling = |config: Value| ("toolConfig", json!({"functionCallingConfig": config}));
    for ((field, value), wanted) in [
        (("contents", Value::Null), Err("contents is not specified")),
        (("contents", json!([])), Err("contents is not specified")),
        (("messages", json!([])), Err("Unknown name \"messages\": Cannot find field.")),
        (config(json!({"temperature": 0.5, "top_p": 0.5, "maxOutputTokens": 50})), OK),
        (config(json!({"max_tokens": 50})), Err("Unknown name \"maxTokens\" at 'generation_config'")),
        (config(json!({"temperature": "hot"})), Err("Invalid value at 'generation_config.temperature'")),
        (config(json!({"stopSequences": ["1", "2", "3", "4", "5", "6"]})), Err("at most 5")),
        (config(json!({"candidateCount": 2})), Err("Multiple candidates")),
        (
            config(json!({"responseSchema": {"type": "OBJECT"}})),
            Err("only supported when the response mime type"),
        ),
        (
            config(
                json!({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "oneOf": []}}),
            ),
            Err("Unknown name \"oneOf\""),
        ),
        (
            config(json!({"responseMimeType": "application/json", "responseSchema":
                {"type": "OBJECT", "properties": {"a": {"type": ["STRING", "NULL"]}}}})),
            Err("Unknown name \"type\" at 'generation_config.response_schema.properties.a'"),
        ),
        (
            config(json!({"responseMimeType": "application/json", "responseJsonSchema":
                {"type": "object", "properties": {"const": {"const": 1}}}})),
            OK,
        ),
        (
            config(json!({"response_mime_type": "application/json", "response_schema":
                {"type": "OBJECT", "property_ordering": ["min_items"], "properties":
                    {"min_items": {"type": "ARRAY", "min_items": 1, "items": {"any_of": [{"type": "STRING"}]}}}}})),
            OK,
        ),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": 0, "thinkingLevel": "LOW"}})),
            Err("only one of thinking"),
        ),
        (config(json!({"thinkingConfig": {"thinkingLevel": "SOME"}})), Err("TYPE_ENUM")),
        (declare(json!({"name": "f"})), OK),
        (declare(json!({"name": "9f"})), Err("Invalid function name")),
        (
            declare(json!({"name": "f", "parameters": {"type": "OBJECT", "properties": {}}})),
            Err("non-empty for OBJECT"),
        ),
        (
            declare(json!({"name": "f", "parameters": {"type": "OBJECT", "$schema": "x"}})),
            Err("Unknown name \"$schema\""),
        ),
        (declare(json!({"name": "f", "parametersJsonSchema": {"$schema": "x"}})), OK),
        (("tools", json!([{"type": "function"}])), Err("Unknown name \"type\" at 'tools[0]'")),
        (calling(json!({"mode": "ANY"})), Err("without function_declarations")),
        (calling(json!({"mode": "AUTO", "allowedFunctionNames": ["f"]})), Err("only be set when")),
        (calling(json!({"mode": "SOMETIMES"})), Err("TYPE_ENUM")),
        (("systemInstruction", json!({"role": "system", "parts": [{"text": "x"}]})), OK),
        (("safetySettings", json!([])), OK),
    ] {
        check_field(Speaks::Gemini, field, value, wanted).await;
    }
}

#[tokio::test]
async fn gemini_contents() {
    let said = |role: &str, parts: Value| json!({"role": role, "parts": parts});
    let user = || said("user", json!([{"text": "hello"}]));
    let call =
        |mark: Value| changed(json!({"functionCall": {"name": "f", "args": {}}}), "thoughtSignature", mark);
    let signed = || call(json!("skip_thought_signature_validator"));
    let result = || json!({"functionResponse": {"name": "f", "response": {"output": 42}}});
    for (contents, wanted) in [
        (json!([user(), said("model", json!([signed()])), said("user", json!([result()]))]), OK),
        (
            json!([
                user(),
                said("model", json!([signed(), call(Value::Null)])),
                said("user", json!([result(), result()]))
            ]),
            OK,
        ),
        (
            json!([user(), said("model", json!([call(Value::Null)])), said("user", json!([result()]))]),
            Err("missing a thought_signature"),
        ),
        (
            json!([user(), said("model", json!([call(json!("Zm9v"))])), said("user", json!([result()]))]),
            Err("Corrupted thought signature"),
        ),
        (
            json!([
                user(),
                said("model", json!([signed(), call(Value::Null)])),
                said("user", json!([result()]))
            ]),
            Err("equal to the number of function call parts"),
        ),
        (
            json!([user(), said("model", json!([signed()])), user()]),
            Err("equal to the number of function call parts"),
        ),
        (json!([user(), said("model", json!([signed()]))]), Err("followed by a function response")),
        (
            json!([user(), said("user", json!([result()]))]),
            Err("comes immediately after a function call turn"),
        ),
        (
            json!([said("model", json!([signed()])), said("user", json!([result()]))]),
            Err("comes immediately after a user turn"),
        ),
        (json!([said("assistant", json!([{"text": "x"}]))]), Err("valid role: user, model")),
        (json!([said("user", json!([]))]), Err("must not be empty")),
        (json!([said("user", json!([{"text": ""}]))]), Err("must not be empty")),
        (json!([said("user", json!([{}]))]), Err("one initialized field")),
        (json!([said("user", json!([{"text": "x", "inlineData": {}}]))]), Err("already set")),
        (json!([said("user", json!([{"text": "x", "cache": 1}]))]), Err("Unknown name \"cache\"")),
        (json!([said("user", json!([{"inline_data": {"mime_type": "image/png", "data": "aGk="}}]))]), OK),
        (
            json!([said("user", json!([{"inlineData": {"mimeType": "image/png", "data": "%%"}}]))]),
            Err("TYPE_BYTES"),
        ),
        (
            json!([
                user(),
                said("model", json!([signed()])),
                said("user", json!([{"functionResponse": {"name": "f", "response": "42"}}]))
            ]),
            Err("function_response.response"),
        ),
    ] {
        check(Speaks::Gemini, gemini(json!({"contents": contents})), wanted).await;
    }
}

/// Older models sign nothing, and do not mix functions with JSON.
#[tokio::test]
async fn gemini_generations() {
    let path = "/v1beta/models/gemini-2.5-flash:generateContent";
    let user = json!({"role": "user", "parts": [{"text": "hello"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let result = json!({"functionResponse": {"name": "f", "response": {"output": 42}}});
    let contents = json!([user, call, {"role": "user", "parts": [result]}]);
    check(Speaks::Gemini, Ask { path, ..gemini(json!({"contents": contents})) }, OK).await;
    let body = json!({"contents": [user], "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"responseMimeType": "application/json"}});
    let refused = Err("Function calling with a response mime type");
    check(Speaks::Gemini, Ask { path, ..gemini(body.clone()) }, refused).await;
    check(Speaks::Gemini, gemini(body), OK).await;
}

#[tokio::test]
async fn bodies_that_are_no_request() {
    for wire in Speaks::ALL {
        let started = provider(wire, Act::default());
        for body in ["", "{", "[]", "null", "\"x\"", "{\"a\":1"] {
            let asked = ask(wire, "hello", false);
            let mut raw = unfail_testkit::Raw::connect(started.address()).await.unwrap();
            raw.post(asked.path, &asked.headers, body).await.unwrap();
            let seen = raw.read_response(std::time::Duration::from_secs(5)).await.unwrap();
            assert_eq!(seen.status, 400, "{wire}: {body:?}: {}", seen.text());
            assert!(serde_json::from_slice::<Value>(&seen.body).unwrap()["error"].is_object());
        }
        assert!(
            started
                .calls()
                .iter()
                .all(|call| call.act == "invalid request" && call.body.get("model").is_none())
        );
    }
}

#[tokio::test]
async fn keys_and_paths() {
    for (wire, missing, wrong, lost) in [
        (Speaks::OpenAiChat, 401, (401, "invalid_api_key"), "/v1/nothing"),
        (Speaks::Anthropic, 401, (401, "invalid x-api-key"), "/v1/nothing"),
        (Speaks::Gemini, 403, (400, "API_KEY_INVALID"), "/v1beta/models/gemini-3.8-flash:sing"),
    ] {
        let started = provider(wire, Act::default());
        let plain = ask(wire, "hello", false);
        let mut keyless = ask(wire, "hello", false);
        keyless.headers.remove(0);
        assert_eq!(post(&started, &keyless).await.status.as_u16(), missing, "{wire}");
        assert_eq!(
            post(&started, &Ask { path: lost, ..ask(wire, "hello", false) }).await.status,
            404,
            "{wire}"
        );
        started.set_script(Script::default().accepting(["another key"]));
        let answer = post(&started, &plain).await;
        assert_eq!(answer.status.as_u16(), wrong.0, "{wire}");
        assert!(answer.text().contains(wrong.1), "{wire}: {}", answer.text());
        let key = plain.headers[0].1.trim_start_matches("Bearer ");
        started.set_script(Script::default().accepting([key]));
        assert_eq!(post(&started, &plain).await.status, 200, "{wire}");
        let acts: Vec<String> = started.calls().into_iter().map(|call| call.act).collect();
        assert_eq!(acts, ["no key", "unknown path", "wrong key", "answer"]);
    }
}
