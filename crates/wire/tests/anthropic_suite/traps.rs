//! Every known trap of translating to and from this format, each with a test of its own name.

use crate::support::*;
use serde_json::{Value, json};
use unfail_wire::chat::*;
use unfail_wire::target::{Quirks, ReasoningControl, Target, Traits};
use unfail_wire::wires::anthropic::Anthropic;
use unfail_wire::{Dialect, Wire};

/// The rendered body has exactly this at `pointer`; `null` stands for absent.
#[track_caller]
fn check(request: &ChatRequest, traits: &Traits, expected: &[(&str, Value)]) {
    let body = rendered(request, traits).unwrap();
    for (pointer, expected) in expected {
        let found = body.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{pointer} in {body:#}");
    }
}

#[track_caller]
fn check_unspeakable(request: &ChatRequest, what: &str) {
    assert_eq!(rendered(request, &classic()).unwrap_err().what, what);
}

fn hello() -> ChatRequest {
    asking([user("Hello")])
}

fn with_tools(choice: Option<ToolChoice>) -> ChatRequest {
    ChatRequest { tools: ToolUse { tools: vec![tool("look")], choice, parallel: None }, ..hello() }
}

#[test]
fn max_tokens_is_always_sent_and_clamped_to_the_model() {
    let asked = |max_tokens| ChatRequest { output: Output { max_tokens, ..Output::default() }, ..hello() };
    for (max_tokens, sent) in [(None, 4_096), (Some(10), 10), (Some(900_000), 64_000), (Some(0), 1)] {
        check(&asked(max_tokens), &classic(), &[("/max_tokens", json!(sent))]);
    }
    let small = Traits { max_output: Some(100), ..classic() };
    check(&asked(None), &small, &[("/max_tokens", json!(100))]);
}

#[test]
fn sampling_is_dropped_where_the_model_refuses_it() {
    let drawn = Sampling {
        temperature: Some(0.5),
        top_p: Some(0.9),
        top_k: Some(40),
        seed: Some(7),
        frequency_penalty: Some(1.0),
        presence_penalty: Some(1.0),
        stop: Vec::new(),
    };
    let request = ChatRequest { sampling: drawn.clone(), ..hello() };
    let gone = [("/temperature", Value::Null), ("/top_p", Value::Null), ("/top_k", Value::Null)];
    check(&request, &modern(), &gone);
    check(&ChatRequest { reasoning: effort(Effort::Low), ..request.clone() }, &classic(), &gone);
    let kept = [("/temperature", json!(0.5)), ("/top_p", Value::Null), ("/top_k", json!(40))];
    check(&request, &classic(), &kept);
    let body = rendered(&request, &classic()).unwrap();
    for refused in ["seed", "frequency_penalty", "presence_penalty", "user"] {
        assert!(body.get(refused).is_none(), "{refused}");
    }
    let nucleus = Sampling { temperature: None, ..drawn };
    check(&ChatRequest { sampling: nucleus, ..hello() }, &classic(), &[("/top_p", json!(0.9))]);
}

#[test]
fn temperature_is_clamped_not_rescaled() {
    for (asked, sent) in [(0.3, 0.3), (1.0, 1.0), (1.7, 1.0), (-1.0, 0.0)] {
        let sampling = Sampling { temperature: Some(asked), ..Sampling::default() };
        check(&ChatRequest { sampling, ..hello() }, &classic(), &[("/temperature", json!(sent))]);
    }
}

#[test]
fn a_forced_tool_becomes_words_where_it_cannot_be_forced() {
    let required = with_tools(Some(ToolChoice::Required));
    let named = with_tools(Some(ToolChoice::Named("look".to_owned())));
    check(&required, &classic(), &[("/tool_choice", json!({"type": "any"})), ("/system", Value::Null)]);
    check(&named, &classic(), &[("/tool_choice", json!({"type": "tool", "name": "look"}))]);
    let auto = json!({"type": "auto"});
    let asked = json!("Call at least one tool in your next answer.");
    check(&required, &modern(), &[("/tool_choice", auto.clone()), ("/system", asked.clone())]);
    let asked_by_name = json!("Call the tool `look` in your next answer.");
    check(&named, &modern(), &[("/tool_choice", auto.clone()), ("/system", asked_by_name)]);
    let budgeted = ChatRequest { reasoning: effort(Effort::High), ..required };
    check(&budgeted, &classic(), &[("/tool_choice", auto), ("/system", asked)]);
}

#[test]
fn tool_choices_and_parallel_calls() {
    let cases = [
        (None, None, Value::Null),
        (None, Some(true), Value::Null),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Auto), Some(true), json!({"type": "auto", "disable_parallel_tool_use": false})),
        (Some(ToolChoice::Required), Some(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
    ];
    for (choice, parallel, sent) in cases {
        let tools = ToolUse { tools: vec![tool("look")], choice, parallel };
        check(&ChatRequest { tools, ..hello() }, &classic(), &[("/tool_choice", sent)]);
    }
}

#[test]
fn prefill_only_where_the_model_continues_it() {
    let request = asking([user("Write"), assistant("Once upon a time \n")]);
    check(
        &request,
        &classic(),
        &[("/messages/1/content/0/text", json!("Once upon a time")), ("/messages/2", Value::Null)],
    );
    let closed = [("/messages/2", json!({"role":"user","content":[{"type":"text","text":"Continue."}]}))];
    check(&request, &modern(), &closed);
    check(&ChatRequest { reasoning: effort(Effort::High), ..request }, &classic(), &closed);
}

#[test]
fn blank_texts_are_never_sent() {
    let request = asking([
        system(" "),
        message(Role::User, [text(""), text("Hello"), text("\n")]),
        message(Role::Assistant, [text("")]),
        user("again"),
    ]);
    let words = json!([{"type":"text","text":"Hello"},{"type":"text","text":"again"}]);
    check(&request, &classic(), &[("/messages/0/content", words), ("/system", Value::Null)]);
    check(&asking([]), &classic(), &[("/messages/0/content/0/text", json!("."))]);
}

#[test]
fn results_come_first_in_their_turn_even_after_text() {
    let request = asking([
        user("Look"),
        message(Role::Assistant, [call("a", "look", "{}"), call("b", "look", "{}")]),
        user("hurry"),
        message(Role::Tool, [result("b", "2"), result("a", "1")]),
    ]);
    let body = rendered(&request, &classic()).unwrap();
    assert_acceptable(&body);
    check(
        &request,
        &classic(),
        &[
            ("/messages/2/content/0/content/0/text", json!("1")),
            ("/messages/2/content/2/text", json!("hurry")),
        ],
    );
}

#[test]
fn tools_are_declared_when_only_the_history_has_them() {
    let request = asking([
        user("Look"),
        message(Role::Assistant, [call("a", "look", "{}"), call("b", "look", "{}")]),
        message(Role::Tool, [result("a", "1"), result("b", "2")]),
    ]);
    let declared = json!([{"name":"look","input_schema":{"type":"object","properties":{}}}]);
    check(&request, &classic(), &[("/tools", declared), ("/tool_choice", json!({"type":"none"}))]);
    let choice = ToolUse { choice: Some(ToolChoice::Required), ..ToolUse::default() };
    check(&ChatRequest { tools: choice, ..hello() }, &classic(), &[("/tool_choice", Value::Null)]);
}

#[test]
fn arguments_are_objects_whatever_they_were() {
    let cases = [("", json!({})), ("{\"a\":1}", json!({"a":1})), ("nope", json!({"_raw":"nope"}))];
    for (arguments, input) in cases {
        let called = message(Role::Assistant, [call("a", "look", arguments)]);
        let request = asking([user("Look"), called, message(Role::Tool, [result("a", "1")])]);
        check(&request, &classic(), &[("/messages/1/content/0/input", input)]);
    }
}

#[test]
fn repeated_call_ids_are_told_apart() {
    let turn = |words: &str| {
        [
            message(Role::Assistant, [call("null", "look", "{}"), call("null", "look", "{}")]),
            message(Role::Tool, [result("null", words), result("null", "second")]),
        ]
    };
    let mut messages = vec![user("Look")];
    messages.extend(turn("one"));
    messages.extend(turn("two"));
    let body = rendered(&asking(messages), &classic()).unwrap();
    assert_acceptable(&body);
    assert_eq!(body.pointer("/messages/4/content/0/content/0/text"), Some(&json!("two")));
    assert_eq!(body.pointer("/messages/4/content/1/content/0/text"), Some(&json!("second")));
}

#[test]
fn a_pause_is_no_error_and_reasons_may_grow() {
    for reason in ["pause_turn", "compaction", "whatever_comes"] {
        let body = json!({"content":[{"type":"text","text":"x"}],"stop_reason":reason});
        let response = Wire::parse(&Anthropic, body.to_string().as_bytes()).unwrap();
        assert_eq!(response.choices[0].finish, Finish::Stop, "{reason}");
    }
}

#[test]
fn several_answers_and_log_probabilities_are_refused_early() {
    let asked = |output| ChatRequest { output, ..hello() };
    check_unspeakable(
        &asked(Output { choices: Some(2), ..Output::default() }),
        "several alternative answers",
    );
    check_unspeakable(&asked(Output { logprobs: Some(0), ..Output::default() }), "log probabilities");
    assert!(rendered(&asked(Output { choices: Some(1), ..Output::default() }), &classic()).is_ok());
}

#[test]
fn media_the_format_cannot_carry_are_refused_early() {
    let audio = Media { mime: None, source: Source::Inline("AA==".to_owned()), detail: None };
    let word =
        Document { name: None, media: Media { mime: Some("application/msword".into()), ..audio.clone() } };
    let cases = [
        (Role::User, Part::Audio(audio), "audio"),
        (Role::User, image("image/tiff"), "images that are not JPEG, PNG, GIF or WebP"),
        (Role::User, Part::File(word), "documents that are neither PDF nor text"),
        (Role::Assistant, image("image/png"), "media in an assistant turn"),
    ];
    for (role, part, what) in cases {
        check_unspeakable(&asking([message(role, [part])]), what);
    }
    let tools = ToolUse { tools: vec![tool("ns.look")], ..ToolUse::default() };
    let what = "tool names of other than letters, digits, `_` and `-`";
    check_unspeakable(&ChatRequest { tools, ..hello() }, what);
}

#[test]
fn a_text_document_is_sent_as_text() {
    let media = Media {
        mime: Some("text/markdown".to_owned()),
        source: Source::Inline("IyBIaQ==".to_owned()),
        detail: None,
    };
    let document = Part::File(Document { name: Some("a.md".to_owned()), media });
    let source = json!({"type":"text","media_type":"text/plain","data":"# Hi"});
    let request = asking([message(Role::User, [document])]);
    let sent = json!({"type":"document","source":source,"title":"a.md"});
    check(&request, &classic(), &[("/messages/0/content/0", sent)]);
}

#[test]
fn system_words_are_hoisted_from_everywhere() {
    let request = asking([system("One"), user("Hi"), system("Two"), assistant("Yes"), user("Go")]);
    check(&request, &classic(), &[("/system", json!("One\n\nTwo")), ("/messages/2/role", json!("user"))]);
}

#[test]
fn json_mode_is_asked_for_in_words_and_schemas_where_they_are_guaranteed() {
    let schema = json!({"type":"object","properties":{"a":{"type":"integer","minimum":1}}});
    let closed = json!({"type":"object",
        "properties":{"a":{"type":"integer","description":"Must satisfy minimum: 1"}},
        "additionalProperties":false});
    let wanted = |schema| {
        let schema = JsonSchema { name: "x".to_owned(), description: None, schema, strict: None };
        let format = Format::JsonSchema(schema);
        ChatRequest { output: Output { format, ..Output::default() }, ..hello() }
    };
    let sent = json!({"type":"json_schema","schema":closed});
    check(&wanted(schema.clone()), &classic(), &[("/output_config/format", sent), ("/system", Value::Null)]);
    let without = Traits { json_schema: Some(false), ..classic() };
    let open = json!({"type":"object","additionalProperties":{"type":"string"}});
    for (request, traits) in [(wanted(schema), &without), (wanted(open), &classic())] {
        let body = rendered(&request, traits).unwrap();
        assert!(
            body["system"].as_str().unwrap().contains("JSON Schema") && body.get("output_config").is_none()
        );
    }
    let object =
        ChatRequest { output: Output { format: Format::JsonObject, ..Output::default() }, ..hello() };
    check(&object, &classic(), &[("/system", json!("Answer with one JSON object and nothing else."))]);
}

#[test]
fn tools_and_a_schema_may_stand_together() {
    let schema = json!({"type":"object","properties":{"a":{"type":"string"}}});
    let schema = JsonSchema { name: "x".to_owned(), description: None, schema, strict: None };
    let output = Output { format: Format::JsonSchema(schema), ..Output::default() };
    let request = ChatRequest { output, ..with_tools(Some(ToolChoice::Auto)) };
    let body = rendered(&request, &classic()).unwrap();
    assert!(body["tools"].is_array() && body["output_config"]["format"].is_object());
}

#[test]
fn strict_tools_take_the_subset_or_give_up_strictness() {
    let declared = |parameters: Value| {
        let parameters = Some(parameters);
        let tools = vec![Tool { parameters, strict: Some(true), ..tool("look") }];
        ChatRequest { tools: ToolUse { tools, ..ToolUse::default() }, ..hello() }
    };
    let fits = declared(json!({"type":"object","properties":{"a":{"oneOf":[{"type":"string"}]}}}));
    let any_of = json!([{"type":"string"}]);
    check(
        &fits,
        &classic(),
        &[("/tools/0/input_schema/properties/a/anyOf", any_of), ("/tools/0/strict", json!(true))],
    );
    let open = json!({"type":"object","additionalProperties":{}});
    check(
        &declared(open.clone()),
        &classic(),
        &[("/tools/0/input_schema", open), ("/tools/0/strict", Value::Null)],
    );
    let untyped = json!({"properties":{}});
    let typed = json!({"properties":{},"type":"object"});
    let mut loose = declared(untyped);
    loose.tools.tools[0].strict = None;
    check(&loose, &classic(), &[("/tools/0/input_schema", typed)]);
}

#[test]
fn cache_markers_do_not_leave_the_format() {
    let body = json!({"model":"m","max_tokens":9,"cache_control":{"type":"ephemeral"},
        "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]});
    let hub = parse(body.to_string().as_bytes()).unwrap();
    assert!(!rendered(&hub, &classic()).unwrap().to_string().contains("cache_control"));
}

#[test]
fn identities_that_look_like_people_are_not_sent() {
    let cases = [
        ("user_1", json!({"user_id":"user_1"})),
        ("ann@example.org", Value::Null),
        ("+49 (30) 1234-56", Value::Null),
        ("", Value::Null),
    ];
    for (name, sent) in cases {
        check(&ChatRequest { user: Some(name.to_owned()), ..hello() }, &classic(), &[("/metadata", sent)]);
    }
}

#[test]
fn stop_texts_of_blanks_are_dropped() {
    let stop = vec![" ".to_owned(), "###".to_owned(), "\n\n".to_owned()];
    let sampling = Sampling { stop, ..Sampling::default() };
    check(&ChatRequest { sampling, ..hello() }, &modern(), &[("/stop_sequences", json!(["###"]))]);
}

#[test]
fn fields_a_target_refuses_are_left_out() {
    let quirks = Quirks { refused: &["metadata", "top_k"], no_strict_tools: true, ..Quirks::NONE };
    let mut request = with_tools(None);
    request.tools.tools[0].strict = Some(true);
    request.user = Some("user_1".to_owned());
    request.sampling.top_k = Some(5);
    let traits = classic();
    let body = Wire::render(&Anthropic, &request, &Target { quirks: &quirks, ..target(&traits) }).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert!(body.get("metadata").is_none() && body.get("top_k").is_none());
    assert!(body["tools"][0].get("strict").is_none());
}

#[test]
fn reasoning_is_said_as_the_model_takes_it() {
    let amount = |amount, visible| Some(Reasoning { amount, visible });
    let by_effort = ReasoningControl::Effort { least: Effort::Low, most: Effort::High };
    let enabled = |budget: u64| json!({"type":"enabled","budget_tokens":budget});
    let summarized = json!({"type":"adaptive","display":"summarized"});
    let off = json!({"type":"disabled"});
    let cases = [
        (BUDGET, effort(Effort::None), off.clone(), Value::Null),
        (BUDGET, effort(Effort::Minimal), enabled(1_024), Value::Null),
        (BUDGET, effort(Effort::Max), enabled(16_384), Value::Null),
        (BUDGET, amount(Amount::Tokens(99_000), true), enabled(32_000), Value::Null),
        (
            BUDGET,
            amount(Amount::Tokens(5_000), false),
            json!({"type":"enabled","budget_tokens":5_000,"display":"omitted"}),
            Value::Null,
        ),
        (ADAPTIVE, effort(Effort::None), off, Value::Null),
        (ADAPTIVE, effort(Effort::Minimal), summarized.clone(), json!("low")),
        (ADAPTIVE, amount(Amount::Tokens(3_000), true), summarized.clone(), json!("medium")),
        (
            ADAPTIVE,
            amount(Amount::Effort(Effort::XHigh), false),
            json!({"type":"adaptive","display":"omitted"}),
            json!("xhigh"),
        ),
        (ALWAYS_ON, effort(Effort::None), Value::Null, json!("low")),
        (ReasoningControl::None, effort(Effort::High), Value::Null, Value::Null),
        (ReasoningControl::Unknown, effort(Effort::High), summarized.clone(), json!("high")),
        (ReasoningControl::Unknown, amount(Amount::Tokens(3_000), true), summarized.clone(), json!("medium")),
        // Newer models refuse `disabled`, older ones think only when told to: nothing is right for both.
        (ReasoningControl::Unknown, effort(Effort::None), Value::Null, Value::Null),
        (ReasoningControl::Unknown, None, Value::Null, Value::Null),
        (by_effort, effort(Effort::Max), Value::Null, json!("high")),
        (by_effort, effort(Effort::None), Value::Null, json!("low")),
        (ADAPTIVE, None, Value::Null, Value::Null),
    ];
    for (control, reasoning, thinking, effort) in cases {
        let request = ChatRequest { reasoning, ..hello() };
        let traits = Traits { reasoning: control, ..Traits::default() };
        check(&request, &traits, &[("/thinking", thinking), ("/output_config/effort", effort)]);
    }
}

#[test]
fn a_budget_leaves_room_for_the_answer_or_is_given_up() {
    let asked = |max_tokens: u64, effort_: Effort| ChatRequest {
        reasoning: effort(effort_),
        output: Output { max_tokens: Some(max_tokens), ..Output::default() },
        ..hello()
    };
    let check = |request: &ChatRequest, limit: u64, max_tokens: u64, budget: Value| {
        let traits = Traits { max_output: Some(limit), ..classic() };
        let expected = [("/max_tokens", json!(max_tokens)), ("/thinking/budget_tokens", budget)];
        check(request, &traits, &expected);
    };
    check(&asked(10_000, Effort::High), 64_000, 10_000, json!(4_096));
    check(&asked(500, Effort::High), 64_000, 4_596, json!(4_096));
    check(&asked(4_096, Effort::High), 5_000, 5_000, json!(4_096));
    check(&asked(500, Effort::High), 4_000, 4_000, json!(3_999));
    check(&asked(500, Effort::High), 1_000, 500, Value::Null);
}

#[test]
fn budgeted_thinking_pauses_in_a_tool_loop_that_lost_its_thinking() {
    let looped = |parts: Vec<Part>| ChatRequest {
        reasoning: effort(Effort::High),
        ..asking([user("Look"), message(Role::Assistant, parts), message(Role::Tool, [result("a", "1")])])
    };
    let bare = looped(vec![text("Well"), call("a", "look", "{}")]);
    check(&bare, &classic(), &[("/thinking", Value::Null)]);
    let adaptive = Traits { reasoning: ADAPTIVE, ..classic() };
    check(&bare, &adaptive, &[("/thinking/type", json!("adaptive"))]);
    let kept = looped(vec![thinking("hm", Some(seal("c2ln", false))), call("a", "look", "{}")]);
    check(&kept, &classic(), &[("/thinking/type", json!("enabled"))]);
}

#[test]
fn warming_a_cache_and_hosted_features_cannot_leave_the_format() {
    let with = |key: &str, value: Value| {
        let mut body = json!({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]});
        body[key] = value;
        body
    };
    let block = |block: Value| with("messages", json!([{"role":"user","content":[block]}]));
    let cases = [
        (with("max_tokens", json!(0)), "warming a prompt cache"),
        (with("container", json!("c_1")), "containers"),
        (with("mcp_servers", json!([{"name":"x"}])), "MCP servers"),
        (with("inference_geo", json!("eu")), "a region of inference"),
        (
            with("tools", json!([{"type":"web_search_20260318","name":"web_search"}])),
            "tools run by the provider",
        ),
        (with("thinking", json!({"type":"between_tools"})), "this kind of thinking"),
        (with("output_config", json!({"effort":"ultra"})), "this effort"),
        (with("output_config", json!({"format":{"type":"grammar"}})), "answer formats of this type"),
        (block(json!({"type":"image","source":{"type":"file","file_id":"f"}})), "uploaded files"),
        (
            block(json!({"type":"document","source":{"type":"content","content":[]}})),
            "documents made of blocks",
        ),
        (
            block(json!({"type":"server_tool_use","id":"s","name":"x","input":{}})),
            "content blocks of this type",
        ),
    ];
    for (body, what) in cases {
        let refusal = parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(refusal.to_string(), format!("cannot express {what}"), "{body}");
    }
    assert!(parse(with("mcp_servers", json!([])).to_string().as_bytes()).is_ok());
}

#[test]
fn complete_answers_that_are_none() {
    let cases = [
        ("", "Malformed(\"not JSON\")"),
        ("<html>", "Malformed(\"not JSON\")"),
        ("null", "Malformed(\"no `content`\")"),
        (r#"{"content":[]}"#, "Malformed(\"no `stop_reason`\")"),
        (r#"{"stop_reason":"end_turn"}"#, "Malformed(\"no `content`\")"),
        (
            r#"{"content":[{"type":"text"}],"stop_reason":"end_turn"}"#,
            "Malformed(\"a block without its content\")",
        ),
        (r#"{"content":[{}],"stop_reason":"end_turn"}"#, "Malformed(\"a block without `type`\")"),
        (
            r#"{"content":[{"type":"tool_use","id":"a","name":"b","input":"{}"}],"stop_reason":"tool_use"}"#,
            "Malformed(\"a call without `input`\")",
        ),
        (
            r#"{"content":[],"stop_reason":"end_turn","usage":{"input_tokens":"many"}}"#,
            "Malformed(\"`usage` of the wrong shape\")",
        ),
    ];
    for (body, expected) in cases {
        let flaw = Wire::parse(&Anthropic, body.as_bytes()).unwrap_err();
        assert_eq!(format!("{flaw:?}"), expected, "{body}");
    }
    for body in [r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#, r#"{"error":"x"}"#] {
        let flaw = format!("{:?}", Wire::parse(&Anthropic, body.as_bytes()).unwrap_err());
        assert!(flaw.starts_with("Failed") && flaw.contains("message: \"x\""), "{flaw}");
    }
}

#[test]
fn answers_of_other_wires_have_all_a_client_demands() {
    let foreign = Seal { wire: "gemini", redacted: false, data: "x".to_owned() };
    let parts = vec![
        thinking("shown unsigned", Some(foreign.clone())),
        thinking("", Some(Seal { redacted: true, ..foreign })),
        Part::Refusal("No.".to_owned()),
        call("", "look", "nope"),
    ];
    let choice = Choice { parts, finish: Finish::ContentFilter, logprobs: None };
    let id = "msg.1".to_owned();
    let response = ChatResponse { id, choices: vec![choice], ..ChatResponse::default() };
    let body: Value = serde_json::from_slice(&Dialect::render(&Anthropic, &response)).unwrap();
    let expected = json!({"id":"msg.1","type":"message","role":"assistant","model":"","content":[
            {"type":"thinking","thinking":"shown unsigned","signature":""},
            {"type":"text","text":"No."},
            {"type":"tool_use","id":"toolu_msg_1","name":"look","input":{"_raw":"nope"}}],
        "stop_reason":"refusal","stop_sequence":null,"stop_details":null,
        "usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,
            "output_tokens_details":{"thinking_tokens":0},"server_tool_use":null,"service_tier":null}});
    assert_eq!(body, expected);
}

#[test]
fn the_wire_says_where_it_is_served() {
    assert_eq!(Wire::name(&Anthropic), Dialect::name(&Anthropic));
    assert_eq!(Dialect::same_wire(&Anthropic), Some(Wire::name(&Anthropic)));
    assert_eq!(Anthropic.path("any", true), "/v1/messages");
    assert_eq!(Anthropic.headers(), [("anthropic-version", "2023-06-01")]);
}
