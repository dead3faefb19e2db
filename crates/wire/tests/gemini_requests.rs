//! Requests in the Gemini format: both directions beside each other, the wire's traps by name, and the law that what
//! was rendered reads back as it was.

#![expect(clippy::expect_used, reason = "a helper that cannot go on fails its test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use unfail_wire::chat::{
    Amount, ChatRequest, Document, Effort, Format, JsonSchema, Media, Message, Output, Part, Reasoning, Role,
    Sampling, Seal, Source, Thinking, Tool, ToolCall, ToolChoice, ToolResult, ToolUse,
};
use unfail_wire::format::{Dialect, Inbound, Invalid, Refusal, Unspeakable, Wire};
use unfail_wire::outline::{MEDIA_TOKENS, estimate_tokens};
use unfail_wire::target::{Quirks, ReasoningControl, Target, Traits};
use unfail_wire::wires::gemini::Gemini;

const LEVELS: ReasoningControl = ReasoningControl::Effort { least: Effort::Low, most: Effort::High };
const BUDGET: ReasoningControl = ReasoningControl::Budget { min: 0, max: 24_576, can_disable: true };

// === helpers ===

fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound { body, path_model: Some("models/gemini-x"), path_stream: false }
}

fn traits(reasoning: ReasoningControl) -> Traits {
    Traits { reasoning, ..Traits::default() }
}

fn render_with(request: &ChatRequest, traits: &Traits, quirks: &Quirks) -> Result<Value, Unspeakable> {
    let target = Target { model: "gemini-x", quirks, traits, default_max_tokens: 4_096 };
    let body = Wire::render(&Gemini, request, &target)?;
    Ok(serde_json::from_slice(&body).expect("rendered bodies are JSON"))
}

fn render(request: &ChatRequest, reasoning: ReasoningControl) -> Result<Value, Unspeakable> {
    render_with(request, &traits(reasoning), &Quirks::NONE)
}

fn said(request: &ChatRequest) -> Value {
    render(request, LEVELS).expect("sayable")
}

fn parse(body: &Value) -> Result<ChatRequest, Refusal> {
    Dialect::parse(&Gemini, inbound(body.to_string().as_bytes()))
}

fn talk(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { model: "gemini-x".into(), messages, ..ChatRequest::default() }
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), seal: None })
}

fn result(id: &str, content: &str) -> Part {
    Part::ToolResult(ToolResult { id: id.into(), content: vec![text(content)], is_error: false })
}

fn seal(wire: &'static str, data: &str) -> Option<Seal> {
    Some(Seal { wire, redacted: false, data: data.into() })
}

fn tool(name: &str, parameters: Option<Value>) -> Tool {
    Tool { name: name.into(), description: None, parameters, strict: None }
}

fn schema_format(schema: Value) -> Format {
    Format::JsonSchema(JsonSchema { name: "output".into(), description: None, schema, strict: None })
}

fn media(mime: &str, source: Source) -> Media {
    Media { mime: Some(mime.into()), source, detail: None }
}

fn asked(question: &str) -> Vec<Message> {
    vec![message(Role::User, vec![text(question)])]
}

/// A question, calls and their results.
fn step(calls: Vec<Part>, results: Vec<Part>) -> Vec<Message> {
    let mut messages = asked("go");
    messages.push(message(Role::Assistant, calls));
    messages.push(message(Role::Tool, results));
    messages
}

fn snapshot(name: &str, text: String) {
    insta::with_settings!({ snapshot_path => "../fixtures/gemini/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

// === golden tables ===

#[test]
fn bodies_read_into_the_hub() {
    for name in ["conversation", "tools_without_ids", "snake_case", "thinking_level"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/gemini/requests")
            .join(format!("{name}.json"));
        let body = std::fs::read_to_string(path).expect("fixture");
        let outline = Gemini.outline(inbound(body.as_bytes())).expect("outline");
        let request = Dialect::parse(&Gemini, inbound(body.as_bytes())).expect("request");
        snapshot(
            &format!("request_{name}"),
            format!("{body}\n--- outline ---\n{outline:#?}\n--- hub ---\n{request:#?}"),
        );
    }
}

fn everything() -> ChatRequest {
    let mut messages = vec![message(Role::System, vec![text("Be brief.")])];
    messages.push(message(
        Role::User,
        vec![
            text("See"),
            Part::Image(media("image/png", Source::Inline("iVBORw0KGgo=".into()))),
            Part::Audio(media("audio/wav", Source::Inline("UklGRg==".into()))),
            Part::File(Document {
                name: Some("a.pdf".into()),
                media: media("application/pdf", Source::Url("https://x.test/a.pdf".into())),
            }),
        ],
    ));
    messages.push(message(
        Role::Assistant,
        vec![
            Part::Thinking(Thinking { text: "foreign".into(), seal: seal("anthropic", "zzz") }),
            text("Calling."),
            call("c1", "f", r#"{"a":1}"#),
            call("c2", "g", ""),
        ],
    ));
    messages.push(message(Role::Tool, vec![result("c2", "two"), result("c1", "one")]));
    ChatRequest {
        tools: ToolUse {
            tools: vec![
                tool("f", Some(json!({ "type": "object", "properties": { "a": { "type": "integer" } } }))),
                tool("g", Some(json!({ "type": "object", "properties": {} }))),
            ],
            choice: Some(ToolChoice::Named("f".into())),
            parallel: Some(true),
        },
        output: Output { max_tokens: Some(100), choices: Some(2), format: Format::Text, logprobs: Some(2) },
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(0.9),
            top_k: Some(40),
            seed: Some(7),
            frequency_penalty: Some(0.25),
            presence_penalty: Some(-0.25),
            stop: vec!["END".into()],
        },
        reasoning: Some(Reasoning { amount: Amount::Effort(Effort::High), visible: true }),
        user: Some("u-1".into()),
        ..talk(messages)
    }
}

#[test]
fn the_hub_is_rendered() {
    let json = ChatRequest {
        output: Output {
            format: schema_format(json!({ "type": "object", "properties": { "a": { "const": "x" } } })),
            ..Output::default()
        },
        ..talk(asked("json"))
    };
    let cases = [
        ("everything_for_levels", everything(), LEVELS),
        ("everything_for_a_budget", everything(), BUDGET),
        ("everything_without_reasoning", everything(), ReasoningControl::None),
        ("json_schema", json, BUDGET),
    ];
    for (name, request, control) in cases {
        let body = render(&request, control).expect("sayable");
        let body = serde_json::to_string_pretty(&body).expect("JSON");
        snapshot(&format!("render_{name}"), format!("{control:?}\n{request:#?}\n--- body ---\n{body}"));
    }
}

// === traps ===

#[test]
fn trap_04_an_answer_begun_by_the_caller_is_only_sent_where_it_may_be_continued() {
    let mut messages = asked("count");
    messages.push(message(Role::Assistant, vec![text("one, two,")]));
    let request = talk(messages);
    let refusing = Traits { prefill: Some(false), ..Traits::default() };
    assert!(render_with(&request, &refusing, &Quirks::NONE).is_err());
    assert!(render_with(&request, &Traits::default(), &Quirks::NONE).is_ok());
}

#[test]
fn trap_05_no_empty_part_is_sent() {
    let mut messages = vec![message(Role::User, vec![text(""), text("hi"), text("")])];
    messages.push(message(Role::Assistant, vec![text("")]));
    messages.push(message(Role::User, vec![text("there")]));
    let body = said(&talk(messages));
    assert_eq!(
        body["contents"],
        json!([{ "role": "user", "parts": [{ "text": "hi" }, { "text": "there" }] }])
    );
    assert!(render(&talk(vec![message(Role::User, vec![text("")])]), LEVELS).is_err());
}

#[test]
fn trap_06_results_have_the_number_and_order_of_their_calls() {
    let calls = || vec![call("a", "f", "{}"), call("b", "g", "{}"), call("c", "f", "{}")];
    let names = |body: &Value| -> Vec<String> {
        let parts = body["contents"][2]["parts"].as_array().expect("results");
        parts
            .iter()
            .map(|part| {
                let response = &part["functionResponse"];
                format!("{} {} {}", response["id"], response["name"], response["response"]).replace('"', "")
            })
            .collect()
    };
    let cases = [
        (
            vec![result("c", "3"), result("a", "1"), result("b", "2")],
            ["a f {output:1}", "b g {output:2}", "c f {output:3}"],
        ),
        (
            vec![result("b", "2"), result("orphan", "x"), result("b", "again")],
            [
                "a f {error:no result was given for this call}",
                "b g {output:2}",
                "c f {error:no result was given for this call}",
            ],
        ),
    ];
    for (results, expected) in cases {
        let mut messages = step(calls(), results);
        messages.push(message(Role::User, vec![text("next")]));
        let body = said(&talk(messages));
        assert_eq!(names(&body), expected);
        assert_eq!(
            body["contents"][3],
            json!({ "role": "user", "parts": [{ "text": "next" }] }),
            "results stand alone"
        );
    }
}

#[test]
fn trap_06_calls_without_any_result_are_answered_and_orphans_fall_away() {
    let mut unanswered = asked("go");
    unanswered.push(message(Role::Assistant, vec![call("a", "f", "{}")]));
    let body = said(&talk(unanswered));
    assert!(body["contents"][2]["parts"][0]["functionResponse"]["response"]["error"].is_string());

    let mut orphan = asked("go");
    orphan.push(message(Role::Tool, vec![result("nobody", "x")]));
    assert_eq!(said(&talk(orphan))["contents"], json!([{ "role": "user", "parts": [{ "text": "go" }] }]));
}

#[test]
fn trap_06_media_of_a_result_follow_as_the_users() {
    let picture = Part::Image(media("image/png", Source::Inline("AAAA".into())));
    let result = ToolResult { id: "a".into(), content: vec![text("see"), picture], is_error: false };
    let body = said(&talk(step(vec![call("a", "f", "{}")], vec![Part::ToolResult(result)])));
    assert_eq!(body["contents"][2]["parts"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["contents"][3]["parts"][1]["inlineData"]["data"], "AAAA");
}

#[test]
fn trap_07_a_choice_without_tools_is_left_out() {
    let tools = ToolUse { choice: Some(ToolChoice::Required), ..ToolUse::default() };
    let body = said(&ChatRequest { tools, ..talk(asked("hi")) });
    assert_eq!(body.get("toolConfig"), None);
}

#[test]
fn trap_08_arguments_are_objects() {
    for (arguments, expected) in [
        ("", json!({})),
        ("  ", json!({})),
        (r#"{"a":[1]}"#, json!({ "a": [1] })),
        (r#"{"a":"#, json!({ "_raw": r#"{"a":"# })),
        ("[1]", json!({ "_raw": "[1]" })),
    ] {
        let body = said(&talk(step(vec![call("a", "f", arguments)], vec![result("a", "1")])));
        assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["args"], expected, "{arguments:?}");
    }
}

#[test]
fn trap_10_only_https_media_are_left_to_the_provider() {
    for (url, sayable) in [
        ("https://x.test/a.png", true),
        ("HTTPS://x.test/a", true),
        ("http://x.test/a.png", false),
        ("ftp://x", false),
        ("é", false),
    ] {
        let image = Part::Image(Media { mime: None, source: Source::Url(url.into()), detail: None });
        let body = render(&talk(vec![message(Role::User, vec![image])]), LEVELS);
        match body {
            Ok(body) => assert_eq!(body["contents"][0]["parts"], json!([{ "fileData": { "fileUri": url } }])),
            Err(_) => assert!(!sayable, "{url}"),
        }
    }
}

#[test]
fn media_in_the_url_safe_alphabet_are_said_in_the_standard_one() {
    for (sent, expected) in [("a-_b", "a+/b"), ("a+/b", "a+/b"), ("-A==", "+A=="), ("AAAA", "AAAA")] {
        let blob = json!({ "inlineData": { "mimeType": "image/png", "data": sent } });
        let request = parse(&json!({ "contents": [{ "role": "user", "parts": [blob] }] })).expect("readable");
        let picture = Part::Image(media("image/png", Source::Inline(expected.into())));
        assert_eq!(request.messages[0].parts, [picture], "{sent}");
    }
}

#[test]
fn trap_11_sampling_is_clamped_or_dropped() {
    let sampling = Sampling {
        temperature: Some(3.5),
        top_p: Some(1.5),
        seed: Some(i64::from(i32::MAX) + 1),
        presence_penalty: Some(-9.0),
        stop: ["", "a", "b", "c", "d", "e", "f"].map(String::from).to_vec(),
        ..Sampling::default()
    };
    let request = ChatRequest { sampling, ..talk(asked("hi")) };
    let expected = json!({ "temperature": 2.0, "topP": 1.0, "presencePenalty": -2.0, "stopSequences": ["a", "b", "c", "d", "e"] });
    assert_eq!(said(&request)["generationConfig"], expected);
    let without = Traits { sampling: Some(false), ..Traits::default() };
    let body = render_with(&request, &without, &Quirks::NONE).expect("sayable");
    assert_eq!(body["generationConfig"], json!({ "stopSequences": ["a", "b", "c", "d", "e"] }));
}

#[test]
fn trap_14_system_text_is_hoisted_from_anywhere() {
    let mut messages = asked("one");
    messages.push(message(Role::System, vec![text("be kind")]));
    messages.push(message(Role::User, vec![text("two")]));
    let body = said(&talk(messages));
    assert_eq!(body["systemInstruction"], json!({ "parts": [{ "text": "be kind" }] }));
    assert_eq!(
        body["contents"],
        json!([{ "role": "user", "parts": [{ "text": "one" }, { "text": "two" }] }])
    );

    let alone = said(&talk(vec![message(Role::System, vec![text("say hi")])]));
    assert_eq!(alone, json!({ "contents": [{ "role": "user", "parts": [{ "text": "say hi" }] }] }));
}

#[test]
fn trap_17_tools_and_json_together_need_a_newer_model() {
    for (format, what) in [
        (schema_format(json!({ "type": "object" })), "tools together with a JSON schema"),
        (Format::JsonObject, "tools together with JSON output"),
    ] {
        let request = ChatRequest {
            tools: ToolUse { tools: vec![tool("f", None)], ..ToolUse::default() },
            output: Output { format, ..Output::default() },
            ..talk(asked("hi"))
        };
        assert_eq!(render(&request, BUDGET), Err(Unspeakable { what }));
        assert!(render(&request, LEVELS).is_ok());
    }
}

#[test]
fn trap_20_calls_without_ids_are_linked_by_name_and_order() {
    let body = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "go" }] },
        { "role": "model", "parts": [{ "functionCall": { "name": "f" } }, { "functionCall": { "id": "call_1", "name": "f" } }, { "functionCall": { "name": "g" } }] },
        { "role": "user", "parts": [{ "functionResponse": { "name": "g" } }, { "functionResponse": { "name": "f" } }] },
        { "role": "user", "parts": [{ "functionResponse": { "name": "f" } }, { "functionResponse": { "name": "h" } }] },
    ] });
    let request = parse(&body).expect("valid");
    let ids = |message: &Message| -> Vec<String> {
        message
            .parts
            .iter()
            .map(|part| match part {
                Part::ToolCall(call) => call.id.clone(),
                Part::ToolResult(result) => result.id.clone(),
                other => format!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(request.messages.len(), 3, "results of one step stand in one message");
    assert_eq!(ids(&request.messages[1]), ["call_2", "call_1", "call_3"]);
    assert_eq!(ids(&request.messages[2]), ["call_3", "call_2", "call_1", "call_4"]);
}

#[test]
fn trap_22_several_answers_and_logprobs_have_their_own_words() {
    let output = Output { choices: Some(3), logprobs: Some(200), ..Output::default() };
    let body = said(&ChatRequest { output, ..talk(asked("hi")) });
    assert_eq!(
        body["generationConfig"],
        json!({ "candidateCount": 3, "responseLogprobs": true, "logprobs": 20 })
    );
}

#[test]
fn trap_25_the_output_limit_is_clamped() {
    let always = Quirks { max_tokens_always: true, ..Quirks::NONE };
    let limited = Traits { max_output: Some(1_000), ..Traits::default() };
    for (asked_for, quirks, traits, sent) in [
        (Some(9_999), &Quirks::NONE, &limited, json!(1_000)),
        (Some(10), &Quirks::NONE, &limited, json!(10)),
        (Some(9_999), &Quirks::NONE, &Traits::default(), json!(9_999)),
        (None, &Quirks::NONE, &limited, Value::Null),
        (None, &always, &limited, json!(1_000)),
        (None, &always, &Traits::default(), json!(4_096)),
    ] {
        let output = Output { max_tokens: asked_for, ..Output::default() };
        let request = ChatRequest { output, ..talk(asked("hi")) };
        let body = render_with(&request, traits, quirks).expect("sayable");
        assert_eq!(body["generationConfig"]["maxOutputTokens"], sent, "{asked_for:?}");
    }
}

#[test]
fn signatures_return_on_their_part_and_foreign_calls_get_the_stand_in() {
    let mut own =
        ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into(), seal: seal("gemini", "c2ln") };
    let signatures = |calls: Vec<Part>, control| -> Vec<Value> {
        let results = vec![result("a", "1"), result("b", "2")];
        let body = render(&talk(step(calls, results)), control).expect("sayable");
        let parts = body["contents"][1]["parts"].as_array().expect("calls");
        parts.iter().map(|part| part.get("thoughtSignature").cloned().unwrap_or_default()).collect()
    };
    let second = || call("b", "f", "{}");
    let stand_in = json!("skip_thought_signature_validator");
    assert_eq!(signatures(vec![Part::ToolCall(own.clone()), second()], LEVELS), [json!("c2ln"), Value::Null]);
    own.seal = seal("anthropic", "c2ln");
    let adaptive = ReasoningControl::Adaptive { can_disable: false };
    for control in [LEVELS, adaptive, ReasoningControl::Unknown] {
        let sent = signatures(vec![text("so"), Part::ToolCall(own.clone()), second()], control);
        assert_eq!(sent, [Value::Null, stand_in.clone(), Value::Null]);
    }
    assert_eq!(signatures(vec![Part::ToolCall(own.clone()), second()], BUDGET), [Value::Null, Value::Null]);
}

#[test]
fn stand_ins_for_a_signature_are_no_seal() {
    let litellm = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    for (signature, sealed) in [
        ("skip_thought_signature_validator", false),
        ("context_engineering_is_the_way_to_go", false),
        (litellm, false),
        ("", false),
        ("c2ln", true),
    ] {
        let body = json!({ "contents": [{ "role": "model", "parts": [{ "functionCall": { "name": "f" }, "thoughtSignature": signature }] }] });
        let request = parse(&body).expect("valid");
        assert!(
            matches!(&request.messages[0].parts[0], Part::ToolCall(call) if call.seal.is_some() == sealed),
            "{signature}"
        );
    }
}

#[test]
fn a_conversation_may_not_open_with_a_call() {
    let request = talk(vec![message(Role::Assistant, vec![call("a", "f", "{}")])]);
    assert_eq!(
        render(&request, LEVELS),
        Err(Unspeakable { what: "a conversation that opens with a tool call" })
    );
}

#[test]
fn reasoning_becomes_a_budget_or_a_level() {
    use Effort::{High, Low, Max, Medium, Minimal, None as Off, XHigh};
    let effort = |effort| Amount::Effort(effort);
    let pro = ReasoningControl::Budget { min: 128, max: 32_768, can_disable: false };
    let adaptive = |can_disable| ReasoningControl::Adaptive { can_disable };
    let all = ReasoningControl::Effort { least: Minimal, most: Max };
    let cases = [
        (effort(Off), BUDGET, json!({ "thinkingBudget": 0 })),
        (effort(Off), pro, json!({ "thinkingBudget": 128 })),
        (Amount::Tokens(0), pro, json!({ "thinkingBudget": 128 })),
        (effort(Minimal), pro, json!({ "thinkingBudget": 512 })),
        (effort(Low), BUDGET, json!({ "thinkingBudget": 1_024 })),
        (effort(Medium), BUDGET, json!({ "thinkingBudget": 8_192 })),
        (effort(High), pro, json!({ "thinkingBudget": 24_576 })),
        (effort(Max), pro, json!({ "thinkingBudget": 32_768 })),
        (Amount::Tokens(99_999), BUDGET, json!({ "thinkingBudget": 24_576 })),
        (effort(Off), LEVELS, json!({ "thinkingLevel": "LOW" })),
        (effort(Max), LEVELS, json!({ "thinkingLevel": "HIGH" })),
        (effort(XHigh), all, json!({ "thinkingLevel": "XHIGH" })),
        (effort(Off), all, json!({ "thinkingLevel": "MINIMAL" })),
        (Amount::Tokens(600), all, json!({ "thinkingLevel": "MINIMAL" })),
        (Amount::Tokens(8_192), all, json!({ "thinkingLevel": "MEDIUM" })),
        (effort(Off), adaptive(false), json!({ "thinkingLevel": "LOW" })),
        (effort(Off), adaptive(true), json!({ "thinkingLevel": "MINIMAL" })),
        (effort(Max), adaptive(true), json!({ "thinkingLevel": "HIGH" })),
        (effort(High), ReasoningControl::None, Value::Null),
        (effort(High), ReasoningControl::Unknown, json!({ "thinkingLevel": "HIGH" })),
        (effort(Max), ReasoningControl::Unknown, json!({ "thinkingLevel": "HIGH" })),
        (effort(Off), ReasoningControl::Unknown, json!({ "thinkingLevel": "LOW" })),
    ];
    for (amount, control, expected) in cases {
        let request =
            ChatRequest { reasoning: Some(Reasoning { amount, visible: false }), ..talk(asked("hi")) };
        let body = render(&request, control).expect("sayable");
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{amount:?} {control:?}");
    }
}

#[test]
fn what_is_said_of_reasoning_reaches_an_unknown_model() {
    let traits = Traits::default();
    let target = Target { model: "m", quirks: &Quirks::NONE, traits: &traits, default_max_tokens: 1 };
    for config in [r#"{"thinkingBudget":0}"#, r#"{"thinkingLevel":"OF_NEXT_YEAR","includeThoughts":true}"#] {
        let body = format!(
            r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}],"generationConfig":{{"thinkingConfig":{config}}}}}"#
        );
        let outline = Gemini.outline(inbound(body.as_bytes())).expect("valid");
        assert_eq!(Gemini.adapt(inbound(body.as_bytes()), &outline, &target).expect("sayable"), body);
    }
}

#[test]
fn one_call_at_a_time_cannot_be_said() {
    let refused = Err(Unspeakable { what: "one call at a time" });
    let ask = |choice, parallel, offered: &[Tool]| {
        let tools = ToolUse { tools: offered.to_vec(), choice, parallel };
        render(&ChatRequest { tools, ..talk(asked("hi")) }, LEVELS)
    };
    let offered = [tool("f", None)];
    for choice in
        [None, Some(ToolChoice::Auto), Some(ToolChoice::Required), Some(ToolChoice::Named("f".into()))]
    {
        assert_eq!(ask(choice.clone(), Some(false), &offered), refused, "{choice:?}");
        assert!(ask(choice, Some(true), &offered).is_ok());
    }
    // Where nothing can be called there is nothing to keep apart.
    assert!(ask(Some(ToolChoice::None), Some(false), &offered).is_ok());
    assert!(ask(None, Some(false), &[]).is_ok());
}

#[test]
fn tool_choice_and_strictness_become_a_mode() {
    let mode = |choice: Option<ToolChoice>, strict| {
        let tools = vec![Tool { strict, ..tool("f", None) }];
        let tools = ToolUse { tools, choice, parallel: None };
        said(&ChatRequest { tools, ..talk(asked("hi")) })["toolConfig"]["functionCallingConfig"].clone()
    };
    assert_eq!(mode(None, None), Value::Null);
    assert_eq!(mode(None, Some(true)), json!({ "mode": "VALIDATED" }));
    assert_eq!(mode(Some(ToolChoice::Auto), Some(false)), json!({ "mode": "AUTO" }));
    assert_eq!(mode(Some(ToolChoice::Required), Some(true)), json!({ "mode": "ANY" }));
    assert_eq!(mode(Some(ToolChoice::None), None), json!({ "mode": "NONE" }));
    assert_eq!(
        mode(Some(ToolChoice::Named("f".into())), None),
        json!({ "mode": "ANY", "allowedFunctionNames": ["f"] })
    );
}

#[test]
fn refused_fields_are_left_out() {
    let quirks = Quirks { refused: &["systemInstruction"], ..Quirks::NONE };
    let mut messages = asked("hi");
    messages.insert(0, message(Role::System, vec![text("x")]));
    let body = render_with(&talk(messages), &Traits::default(), &quirks).expect("sayable");
    assert_eq!(body.get("systemInstruction"), None);
}

// === schemas ===

#[test]
fn schemas_are_made_of_known_keywords() {
    let cases = [
        (json!({ "const": "x" }), json!({ "enum": ["x"] })),
        (json!({ "const": true }), json!({ "description": "const: true" })),
        (json!({ "enum": ["a", null] }), json!({ "description": "enum: [\"a\",null]" })),
        (json!({ "oneOf": [{ "type": "string" }] }), json!({ "oneOf": [{ "type": "string" }] })),
        (
            json!({ "type": ["string", "null"], "minLength": 2, "pattern": "^a" }),
            json!({ "type": ["string", "null"], "description": "minLength: 2; pattern: \"^a\"" }),
        ),
        (
            json!({ "description": "A name.", "maxLength": 9 }),
            json!({ "description": "A name.; maxLength: 9" }),
        ),
        (
            json!({ "$schema": "x", "examples": [1], "type": "integer", "nullable": true }),
            json!({ "type": ["integer", "null"] }),
        ),
        (
            json!({ "items": [{ "type": "string" }, true] }),
            json!({ "prefixItems": [{ "type": "string" }, {}] }),
        ),
        (
            json!({ "type": "object", "properties": { "a": {} }, "required": ["a", "b"], "additionalProperties": false }),
            json!({ "type": "object", "properties": { "a": {} }, "required": ["a"], "additionalProperties": false }),
        ),
        (
            json!({ "$ref": "#/definitions/A", "description": "x", "definitions": { "A": { "const": 1 } } }),
            json!({ "$ref": "#/$defs/A", "$defs": { "A": { "enum": [1] } } }),
        ),
        (
            json!({ "required": ["a"], "properties": { "a": {} }, "allOf": [{ "$ref": "#/$defs/B" }, { "minimum": 1 }], "$defs": { "B": { "properties": { "b": { "type": "string" } }, "required": ["b"] } } }),
            json!({ "required": ["a", "b"], "properties": { "a": {}, "b": { "type": "string" } }, "$defs": { "B": { "properties": { "b": { "type": "string" } }, "required": ["b"] } }, "minimum": 1 }),
        ),
        (
            json!({ "type": "string", "allOf": [{ "type": "integer" }] }),
            json!({ "type": "string", "description": "type: \"integer\"" }),
        ),
        (json!({ "allOf": [{ "$ref": "#" }] }), json!({ "description": "also matches #" })),
    ];
    for (schema, expected) in cases {
        let output = Output { format: schema_format(schema.clone()), ..Output::default() };
        let body = said(&ChatRequest { output, ..talk(asked("hi")) });
        assert_eq!(body["generationConfig"]["responseJsonSchema"], expected, "{schema}");
        assert_eq!(body["generationConfig"]["responseMimeType"], "application/json");
    }
}

#[test]
fn a_flood_of_references_is_bounded() {
    let doubling = (0..40).map(|n| (format!("d{n}"), json!({ "allOf": [{ "$ref": format!("#/$defs/d{}", n + 1) }, { "$ref": format!("#/$defs/d{}", n + 1) }] })));
    let defs: serde_json::Map<String, Value> =
        doubling.chain([("d40".to_owned(), json!({ "type": "string" }))]).collect();
    let schema = json!({ "$ref": "#/$defs/d0", "$defs": defs });
    let output = Output { format: schema_format(schema), ..Output::default() };
    let body = said(&ChatRequest { output, ..talk(asked("hi")) });
    assert!(body.to_string().len() < 100_000);
}

#[test]
fn a_tower_of_references_is_bounded() {
    let storey = |n: usize| {
        let next = json!({ "allOf": [{ "$ref": format!("#/$defs/d{}", n + 1) }] });
        (format!("d{n}"), (0..30).fold(next, |inner, _| json!({ "items": inner })))
    };
    let defs: serde_json::Map<String, Value> = (0..60).map(storey).collect();
    let schema = json!({ "allOf": [{ "$ref": "#/$defs/d0" }], "$defs": defs });
    let output = Output { format: schema_format(schema), ..Output::default() };
    let body = said(&ChatRequest { output, ..talk(asked("hi")) });
    assert!(body["generationConfig"]["responseJsonSchema"]["items"].is_object());
}

// === what is refused ===

#[test]
fn wrong_bodies_name_the_field() {
    let contents = |content: Value| json!({ "contents": [content] });
    let part = |part: Value| json!({ "contents": [{ "parts": [{ "text": "x" }, part] }] });
    let config =
        |config: Value| json!({ "contents": [{ "parts": [{ "text": "x" }] }], "generationConfig": config });
    let both = [
        (json!({}), "contents"),
        (json!({ "contents": [] }), "contents"),
        (json!({ "contents": "hi" }), "contents"),
        (contents(json!({ "parts": [{ "text": 5 }] })), "contents[0].parts[0].text"),
        (contents(json!({ "parts": {} })), "contents[0].parts"),
        (part(json!({ "functionCall": [] })), "contents[0].parts[1].functionCall"),
        (part(json!({ "inlineData": { "mimeType": 1 } })), "contents[0].parts[1].inlineData.mimeType"),
        (config(json!([])), "generationConfig"),
        (config(json!({ "maxOutputTokens": -1 })), "generationConfig.maxOutputTokens"),
        (config(json!({ "maxOutputTokens": 1.5 })), "generationConfig.maxOutputTokens"),
    ];
    for (body, param) in &both {
        let bytes = body.to_string();
        let outline = Gemini.outline(inbound(bytes.as_bytes())).expect_err(param);
        assert_eq!(outline.param.as_deref(), Some(*param), "outline of {body}: {outline}");
    }
    let parsed = [
        (contents(json!({ "role": "assistant", "parts": [{ "text": "x" }] })), "contents[0].role"),
        (contents(json!({ "parts": [] })), "contents[0]"),
        (contents(json!({ "parts": [{}] })), "contents[0].parts[0]"),
        (part(json!({ "functionCall": { "name": "f" } })), "contents[0].parts[1]"),
        (
            contents(json!({ "role": "model", "parts": [{ "functionCall": { "args": {} } }] })),
            "contents[0].parts[0].functionCall.name",
        ),
        (
            contents(json!({ "role": "model", "parts": [{ "functionResponse": { "name": "f" } }] })),
            "contents[0].parts[0]",
        ),
        (part(json!({ "inlineData": { "mimeType": "image/png" } })), "contents[0].parts[1].inlineData.data"),
        (config(json!({ "candidateCount": 0 })), "generationConfig.candidateCount"),
        (config(json!({ "stop_sequences": [1] })), "generationConfig.stop_sequences[0]"),
        (
            config(json!({ "thinkingConfig": { "thinkingLevel": "LOW", "thinkingBudget": 1 } })),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            config(json!({ "thinkingConfig": { "thinkingLevel": "SOME" } })),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            json!({ "contents": [{ "parts": [{ "text": "x" }] }], "toolConfig": { "functionCallingConfig": { "mode": "SOME" } } }),
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({ "contents": [{ "parts": [{ "text": "x" }] }], "toolConfig": { "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": ["f"] } } }),
            "toolConfig.functionCallingConfig.allowedFunctionNames[0]",
        ),
    ];
    for (body, param) in both.into_iter().chain(parsed) {
        match parse(&body) {
            Err(Refusal::Invalid(Invalid { param: Some(found), .. })) => assert_eq!(found, param, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn broken_bodies_are_invalid_without_a_field() {
    let bomb = "[".repeat(10_000);
    let nested = format!(
        r#"{{"contents":[{{"parts":[{{"functionCall":{{"name":"f","args":{}}}}}]}}]}}"#,
        "{\"a\":".repeat(5_000)
    );
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{\"contents\":[]} x",
        b"{\"x\":\"\xff\"}",
        bomb.as_bytes(),
        nested.as_bytes(),
    ] {
        let outline = Gemini.outline(inbound(body)).expect_err("invalid");
        assert_eq!(outline.param, None, "{outline}");
        assert!(matches!(Dialect::parse(&Gemini, inbound(body)), Err(Refusal::Invalid(_))));
    }
}

#[test]
fn what_only_this_provider_has_is_unspeakable() {
    let contents = json!([{ "parts": [{ "text": "x" }] }]);
    let part = |part: Value| json!({ "contents": [{ "parts": [part] }] });
    let config = |config: Value| json!({ "contents": contents, "generationConfig": config });
    for body in [
        json!({ "contents": contents, "cachedContent": "cachedContents/a" }),
        json!({ "contents": contents, "tools": [{ "googleSearch": {} }] }),
        json!({ "contents": contents, "tools": [{ "functionDeclarations": [{ "name": "f" }], "codeExecution": {} }] }),
        json!({ "contents": contents, "systemInstruction": { "parts": [{ "inlineData": { "mimeType": "image/png", "data": "" } }] } }),
        part(json!({ "executableCode": { "code": "1" } })),
        part(json!({ "inlineData": { "mimeType": "video/mp4", "data": "AA" } })),
        part(json!({ "fileData": { "fileUri": "gs://bucket/a.png" } })),
        part(json!({ "fileData": { "mimeType": "image/png", "fileUri": "https://x.test/v1beta/files/a" } })),
        part(json!({ "fileData": { "fileUri": "https://x.test/watch?v=1" } })),
        config(json!({ "responseModalities": ["TEXT", "IMAGE"] })),
        config(json!({ "speechConfig": {} })),
        config(json!({ "responseMimeType": "text/x.enum" })),
    ] {
        assert!(Gemini.outline(inbound(body.to_string().as_bytes())).is_ok(), "{body}");
        assert!(matches!(parse(&body), Err(Refusal::Unspeakable(_))), "{body}");
    }
}

// === outline, path, adapt ===

#[test]
fn needs_are_found() {
    let body = json!({
        "models": ["a/b", "c\u{e9}\"d"],
        "contents": [
            { "parts": [{ "inlineData": { "data": "A".repeat(4_000), "mimeType": "image/png" } }, { "file_data": { "fileUri": "https://x.test/a.mp3" } }] },
            { "role": "user", "parts": [{ "fileData": { "mimeType": "application/pdf", "fileUri": "https://x.test/a" } }] }],
        "toolConfig": { "functionCallingConfig": { "mode": "ANY" } },
        "tools": [{ "functionDeclarations": [{ "name": "f" }] }],
        "generation_config": { "max_output_tokens": 77.0, "candidateCount": 2, "responseSchema": {} },
    });
    let bytes = body.to_string();
    let outline = Gemini
        .outline(Inbound { body: bytes.as_bytes(), path_model: Some("models/m"), path_stream: true })
        .expect("valid");
    assert_eq!((&*outline.model, outline.stream, outline.stream_usage), ("m", true, true));
    assert_eq!(outline.fallbacks, ["a/b", "c\u{e9}\"d"]);
    let needs = outline.needs;
    assert_eq!(needs.input_tokens, estimate_tokens(bytes.len() - 4_000) + 3 * MEDIA_TOKENS);
    assert_eq!((needs.max_output_tokens, needs.messages), (Some(77), 2));
    assert!(needs.tools && needs.forced_tool && needs.json_schema && needs.many_choices);
    assert!(needs.images && needs.audio && needs.files);

    let plain = Gemini
        .outline(inbound(
            br#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseSchema":null}}"#,
        ))
        .expect("valid");
    assert!(!plain.needs.json_schema && !plain.needs.tools && !plain.stream);
}

#[test]
fn the_path_names_model_and_verb() {
    for (model, stream, path) in [
        ("gemini-2.5-flash", false, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", true, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        ("a/b c:é?#", false, "/v1beta/models/a%2Fb%20c%3A%C3%A9%3F%23:generateContent"),
    ] {
        assert_eq!(Gemini.path(model, stream), path);
    }
    assert!(Gemini.headers().is_empty());
    assert_eq!(
        (Wire::name(&Gemini), Dialect::name(&Gemini), Gemini.same_wire()),
        ("gemini", "gemini", Some("gemini"))
    );
}

#[test]
fn a_body_for_the_same_wire_keeps_its_bytes() {
    let limited = Traits { max_output: Some(1_000), ..Traits::default() };
    let adapt = |body: &str, traits: &Traits, quirks: &Quirks| {
        let inbound = inbound(body.as_bytes());
        let outline = Gemini.outline(inbound).expect("valid");
        let target = Target { model: "m", quirks, traits, default_max_tokens: 1 };
        let adapted = Gemini.adapt(inbound, &outline, &target).expect("sayable");
        String::from_utf8(adapted.to_vec()).expect("UTF-8")
    };
    let refusing = Quirks { refused: &["labels"], ..Quirks::NONE };
    let contents = r#""contents" : [ {"parts":[{"text":"\u00e9 models"}]} ]"#;
    for (body, expected) in [
        (format!(r#"{{ {contents}, "new":1e2 }}"#), format!(r#"{{ {contents}, "new":1e2 }}"#)),
        (
            format!(r#"{{"models":["a"], {contents}, "fallbacks":[], "new": 1e2}}"#),
            format!(r#"{{{contents}, "new": 1e2}}"#),
        ),
        (
            format!(r#"{{{contents},"generation_config":{{"x":1,"max_output_tokens":2000}}}}"#),
            format!(r#"{{{contents},"generation_config":{{"x":1,"max_output_tokens":1000}}}}"#),
        ),
        (
            format!(r#"{{{contents},"generationConfig":{{"maxOutputTokens":999}}}}"#),
            format!(r#"{{{contents},"generationConfig":{{"maxOutputTokens":999}}}}"#),
        ),
    ] {
        assert_eq!(adapt(&body, &limited, &Quirks::NONE), expected);
    }
    let labelled = format!(r#"{{{contents},"labels":{{}}}}"#);
    assert_eq!(adapt(&labelled, &limited, &Quirks::NONE), labelled);
    assert_eq!(adapt(&labelled, &limited, &refusing), format!("{{{contents}}}"));
}

// === laws ===

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 .,é😀\"\\\\\n{}]{1,12}"
}

fn user_part() -> impl Strategy<Value = Part> {
    let base64 = || "[A-Za-z0-9+/]{4,8}";
    let url = || Just(Source::Url("https://x.test/a".to_owned()));
    prop_oneof![
        4 => words().prop_map(Part::Text),
        1 => prop_oneof![base64().prop_map(Source::Inline), url()].prop_map(|source| Part::Image(media("image/png", source))),
        1 => base64().prop_map(|data| Part::Audio(media("audio/wav", Source::Inline(data)))),
        1 => prop_oneof![base64().prop_map(Source::Inline), url()]
            .prop_map(|source| Part::File(Document { name: None, media: media("application/pdf", source) })),
    ]
}

fn own_seal() -> impl Strategy<Value = Option<Seal>> {
    "[A-Za-z0-9+/]{8}".prop_map(|data| seal("gemini", &data))
}

/// Optional thoughts, then text with or without a seal of its own.
fn spoken() -> impl Strategy<Value = Vec<Part>> {
    let thought = (words(), own_seal()).prop_map(|(text, seal)| Part::Thinking(Thinking { text, seal }));
    let sealed = own_seal().prop_map(|seal| Part::Thinking(Thinking { text: String::new(), seal }));
    (prop::option::of(thought), words(), prop::option::of(sealed), prop::option::of(words())).prop_map(
        |(thought, text, sealed, more)| {
            thought.into_iter().chain([Part::Text(text)]).chain(sealed).chain(more.map(Part::Text)).collect()
        },
    )
}

/// Calls with their results; ids are given out later, over the whole conversation.
fn calls() -> impl Strategy<Value = (Vec<Part>, Vec<Part>)> {
    let one = ("[a-z]{1,4}", prop::option::of(own_seal()), words(), any::<bool>(), words());
    prop::collection::vec(one, 1..4).prop_map(|all| {
        all.into_iter()
            .map(|(name, seal, argument, is_error, answer)| {
                let arguments = json!({ "a": argument }).to_string();
                let call = ToolCall { id: String::new(), name, arguments, seal: seal.flatten() };
                let result = ToolResult { id: String::new(), content: vec![Part::Text(answer)], is_error };
                (Part::ToolCall(call), Part::ToolResult(result))
            })
            .unzip()
    })
}

fn exchange() -> impl Strategy<Value = Vec<Message>> {
    let user = prop::collection::vec(user_part(), 1..4);
    (user, prop::collection::vec(calls(), 0..3), spoken()).prop_map(|(user, steps, last)| {
        let mut messages = vec![message(Role::User, user)];
        for (calls, results) in steps {
            messages.push(message(Role::Assistant, calls));
            messages.push(message(Role::Tool, results));
        }
        messages.push(message(Role::Assistant, last));
        messages
    })
}

fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let system = prop::option::of(prop::collection::vec(words().prop_map(Part::Text), 1..3));
    (system, prop::collection::vec(exchange(), 1..3), any::<bool>()).prop_map(|(system, exchanges, open)| {
        let mut messages: Vec<Message> =
            system.into_iter().map(|parts| message(Role::System, parts)).collect();
        messages.extend(exchanges.into_iter().flatten());
        if open {
            messages.pop();
        }
        for role in [Role::Assistant, Role::Tool] {
            let parts = messages
                .iter_mut()
                .filter(|message| message.role == role)
                .flat_map(|message| &mut message.parts);
            let ids = parts.filter_map(|part| match part {
                Part::ToolCall(call) => Some(&mut call.id),
                Part::ToolResult(result) => Some(&mut result.id),
                _ => None,
            });
            ids.enumerate().for_each(|(n, id)| *id = format!("id-{n}"));
        }
        messages
    })
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] })
}

fn tool_use() -> impl Strategy<Value = ToolUse> {
    let choice = prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::Named("f0".into()))),
    ];
    (prop::collection::vec((prop::option::of(words()), any::<bool>()), 0..3), choice, any::<bool>()).prop_map(
        |(rows, choice, strict)| {
            // The wire has one strictness for all, and only where the model decides.
            let strict = (strict && choice == Some(ToolChoice::Auto)).then_some(true);
            let tools: Vec<Tool> = rows
                .into_iter()
                .enumerate()
                .map(|(n, (description, takes))| Tool {
                    name: format!("f{n}"),
                    description,
                    parameters: takes.then(schema),
                    strict,
                })
                .collect();
            let choice = choice.filter(|_| !tools.is_empty());
            ToolUse { tools, choice, parallel: None }
        },
    )
}

fn hundredths(range: std::ops::Range<i32>) -> impl Strategy<Value = Option<f64>> {
    prop::option::of(range.prop_map(|n| f64::from(n) / 100.0))
}

fn sampling() -> impl Strategy<Value = Sampling> {
    (
        hundredths(0..200),
        hundredths(0..100),
        prop::option::of(0_u64..100),
        prop::option::of(any::<i32>().prop_map(i64::from)),
        (hundredths(-200..200), hundredths(-200..200)),
        prop::collection::vec(words(), 0..5),
    )
        .prop_map(|(temperature, top_p, top_k, seed, (frequency_penalty, presence_penalty), stop)| {
            Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, stop }
        })
}

/// A request this wire can say to a model of the given kind, exactly.
fn request(control: ReasoningControl) -> impl Strategy<Value = ChatRequest> {
    let amount = match control {
        ReasoningControl::Budget { max, .. } => {
            prop_oneof![Just(Amount::Effort(Effort::None)), (1..=max).prop_map(Amount::Tokens)].boxed()
        }
        _ => prop::sample::select(vec![Effort::Low, Effort::Medium, Effort::High])
            .prop_map(Amount::Effort)
            .boxed(),
    };
    let reasoning =
        prop::option::of((amount, any::<bool>()).prop_map(|(amount, visible)| Reasoning { amount, visible }));
    let format = prop_oneof![Just(Format::Text), Just(Format::JsonObject), Just(schema_format(schema()))];
    let output =
        (prop::option::of(any::<u32>()), prop::option::of(2_u32..9), format, prop::option::of(0_u8..=20));
    (conversation(), tool_use(), output, sampling(), reasoning, any::<bool>()).prop_map(
        move |(messages, tools, (max_tokens, choices, format, logprobs), sampling, reasoning, stream)| {
            let format = if control == BUDGET && !tools.tools.is_empty() { Format::Text } else { format };
            let output = Output { max_tokens: max_tokens.map(u64::from), choices, format, logprobs };
            ChatRequest { tools, output, sampling, reasoning, stream, stream_usage: stream, ..talk(messages) }
        },
    )
}

fn reads_back(request: &ChatRequest, control: ReasoningControl) -> Result<(), TestCaseError> {
    let body = render(request, control).expect("sayable").to_string();
    let inbound = Inbound { path_stream: request.stream, ..inbound(body.as_bytes()) };
    let read = Dialect::parse(&Gemini, inbound).expect("valid");
    prop_assert_eq!(&read, request, "{}", body);
    let outline = Gemini.outline(inbound).expect("valid");
    prop_assert_eq!(outline.needs.max_output_tokens, request.output.max_tokens);
    prop_assert_eq!(outline.needs.many_choices, request.output.choices.is_some());
    prop_assert_eq!(outline.needs.json_schema, matches!(request.output.format, Format::JsonSchema(_)));
    Ok(())
}

const BODY_KEYS: &[&str] = &[
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "functionResponse",
    "name",
    "args",
    "response",
    "inlineData",
    "mimeType",
    "data",
    "fileUri",
    "tools",
    "functionDeclarations",
    "parameters",
    "generationConfig",
    "thinkingConfig",
    "models",
    "systemInstruction",
    "toolConfig",
    "functionCallingConfig",
    "mode",
    "x",
];

const SCHEMA_KEYS: &[&str] = &[
    "type",
    "properties",
    "items",
    "allOf",
    "anyOf",
    "required",
    "const",
    "enum",
    "description",
    "nullable",
    "$defs",
    "definitions",
    "$ref",
    "additionalProperties",
    "prefixItems",
    "minLength",
    "$schema",
    "x",
];

/// JSON of any shape, its keys often those of the format, so that readers go deep before they meet what is wrong.
fn any_json(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let key = prop::sample::select(keys);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| json!(f64::from(n) / 4.0)),
        ".{0,6}".prop_map(Value::from),
        Just(json!("model")),
    ];
    leaf.prop_recursive(7, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_rendered_for_levels_reads_back(request in request(LEVELS)) {
        reads_back(&request, LEVELS)?;
    }

    #[test]
    fn what_was_rendered_for_a_budget_reads_back(request in request(BUDGET)) {
        reads_back(&request, BUDGET)?;
    }

    #[test]
    fn any_bytes_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let outline = Gemini.outline(inbound(&body));
        let parsed = Dialect::parse(&Gemini, inbound(&body));
        prop_assert!(outline.is_ok() || matches!(parsed, Err(Refusal::Invalid(_))));
    }

    #[test]
    fn any_json_is_read_without_panic(contents in any_json(BODY_KEYS), rest in any_json(BODY_KEYS)) {
        for body in [json!({ "contents": contents, "generationConfig": rest, "tools": [rest] }), contents.clone()] {
            let bytes = body.to_string();
            let outline = Gemini.outline(inbound(bytes.as_bytes()));
            // The scan may pass what the reader refuses, never the other way round.
            if parse(&body).is_ok() {
                prop_assert!(outline.is_ok(), "{}", body);
            }
            if let Ok(outline) = outline {
                let target = Target { model: "m", quirks: &Quirks::NONE, traits: &Traits::default(), default_max_tokens: 1 };
                prop_assert!(Gemini.adapt(inbound(bytes.as_bytes()), &outline, &target).is_ok());
            }
        }
    }

    #[test]
    fn schemas_of_any_shape_are_sanitised_once_and_for_all(schema in any_json(SCHEMA_KEYS)) {
        let body = |schema| {
            let output = Output { format: schema_format(schema), ..Output::default() };
            said(&ChatRequest { output, ..talk(asked("hi")) })["generationConfig"]["responseJsonSchema"].clone()
        };
        let once = body(schema);
        prop_assert_eq!(body(once.clone()), once);
    }
}
