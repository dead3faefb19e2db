//! The plain dialects: bodies beside what was understood, answers beside what was told.

#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use unfail_wire::chat::{
    ChatRequest, ChatResponse, Choice, Finish, Format, Part, Role, Seal, Source, Thinking, ToolCall, Usage,
};
use unfail_wire::event::{Delta, Event};
use unfail_wire::fold::replay;
use unfail_wire::format::{Dialect, EncoderSetup, Inbound, Invalid, Refusal};
use unfail_wire::outline::Outline;
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::wires::plain::{PlainChat, PlainRun};

fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound { body, path_model: None, path_stream: false }
}

/// What was understood, in a few lines: only what differs from an empty request.
fn told(outline: &Outline<'_>, request: &ChatRequest) -> String {
    let mut told = format!("  model {:?}, ~{} tokens", outline.model, outline.needs.input_tokens);
    let flags = [
        (outline.stream, "stream"),
        (outline.stream_usage, "stream-usage"),
        (outline.needs.images, "needs-images"),
        (outline.needs.json_schema, "needs-schema"),
        (request.output.format == Format::JsonObject, "json"),
    ];
    flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| write!(told, ", {name}").unwrap());
    if !outline.fallbacks.is_empty() {
        write!(told, ", then {:?}", outline.fallbacks).unwrap();
    }
    for (name, value) in [
        ("max_tokens", request.output.max_tokens.map(|tokens| tokens.to_string())),
        ("temperature", request.sampling.temperature.map(|temperature| temperature.to_string())),
        ("user", request.user.clone()),
    ] {
        value.iter().for_each(|value| write!(told, ", {name} {value}").unwrap());
    }
    if let Format::JsonSchema(schema) = &request.output.format {
        write!(told, ", schema {} {}", schema.name, schema.schema).unwrap();
    }
    for message in &request.messages {
        write!(told, "\n  {:?}:", message.role).unwrap();
        for part in &message.parts {
            match part {
                Part::Text(text) => write!(told, " {text:?}").unwrap(),
                Part::Image(image) => write!(told, " {image:?}").unwrap(),
                other => panic!("{other:?} cannot be said in plain"),
            }
        }
    }
    told
}

fn read(dialect: &dyn Dialect, body: &str) -> Result<String, Invalid> {
    let outline = dialect.outline(inbound(body.as_bytes()));
    let request = dialect.parse(inbound(body.as_bytes()));
    match (outline, request) {
        (Ok(outline), Ok(request)) => {
            agree(&outline, &request);
            Ok(told(&outline, &request))
        }
        (Err(invalid), Err(Refusal::Invalid(same))) => {
            assert_eq!(invalid, same, "both scans refuse {body} alike");
            Err(invalid)
        }
        (outline, request) => panic!("the scans of {body} disagree: {outline:?} {request:?}"),
    }
}

/// Outline and request tell the same.
fn agree(outline: &Outline<'_>, request: &ChatRequest) {
    assert_eq!(outline.model, request.model);
    assert_eq!(outline.stream, request.stream);
    assert_eq!(outline.stream_usage, request.stream_usage);
    assert_eq!(outline.user.as_deref(), request.user.as_deref());
    assert_eq!(outline.needs.messages, request.messages.len());
    assert_eq!(outline.needs.max_output_tokens, request.output.max_tokens);
    assert_eq!(outline.needs.json_schema, matches!(request.output.format, Format::JsonSchema(_)));
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    assert_eq!(outline.needs.images, parts.any(|part| matches!(part, Part::Image(_))));
    assert!(outline.needs.input_tokens > 0);
}

const CHAT: [&str; 12] = [
    r#"{"prompt":"Say hi"}"#,
    r#"{"messages":[{"role":"user","content":"Say hi"}]}"#,
    r#"{"model":"groq/llama","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Bye 👋"}]}"#,
    r#"{"system":"Be brief","messages":[{"role":"system","content":"Really"},{"role":"user","content":"Hi"}]}"#,
    r#"{"prompt":"Hi","system":"","stream":true,"max_tokens":100,"temperature":0.5,"user":"u-1"}"#,
    r#"{"prompt":"Hi","model":null,"json":false,"unheard_of":null}"#,
    r#"{"prompt":"Hi","models":["a/b","c/d"],"fallbacks":["e/f"]}"#,
    r#"{"prompt":"Hi","json":true}"#,
    r#"{"prompt":"Hi","json":true,"schema":{"type":"object","required":["name"]}}"#,
    r#"{"messages":[{"role":"user","content":[{"type":"text","text":"What "},{"type":"text","text":"is it?"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}]}]}"#,
    r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]}]}"#,
    r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":""},{"role":"assistant","content":[]}]}"#,
];

const RUN: [&str; 6] = [
    r#"{"service":"llm","input":{"prompt":"Hi"}}"#,
    r#"{"service":"llm-auto","input":{"prompt":"Hi","model":"support_reply"}}"#,
    r#"{"service":"llm-groq","input":{"prompt":"Hi"}}"#,
    r#"{"service":"llm-groq","input":{"prompt":"Hi","model":"openai/gpt-oss-120b"}}"#,
    r#"{"service":"llm-in-house","input":{"prompt":"Hi","system":"Be brief","stream":true}}"#,
    r#"{"service":"llm","input":{"prompt":"Hi","max_tokens":1,"temperature":2}}"#,
];

#[test]
fn requests_are_understood() {
    let mut table = String::new();
    let chat = CHAT.iter().map(|body| (&PlainChat as &dyn Dialect, *body));
    let run = RUN.iter().map(|body| (&PlainRun as &dyn Dialect, *body));
    for (dialect, body) in chat.chain(run) {
        let told = read(dialect, body).unwrap_or_else(|invalid| panic!("{body}: {invalid}"));
        writeln!(table, "{} {body}\n{told}\n", dialect.name()).unwrap();
    }
    insta::assert_snapshot!(table);
}

fn refused(dialect: &dyn Dialect, body: &str, param: &str, message: &str) {
    let invalid = read(dialect, body).err().unwrap_or_else(|| panic!("{body} is accepted"));
    assert_eq!(invalid.param.as_deref().unwrap_or_default(), param, "{body}: {invalid}");
    assert!(invalid.message.contains(message), "{body}: {invalid}");
}

#[test]
fn wrong_chat_bodies_are_refused() {
    let message = |content: &str| format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#);
    for (body, param, says) in [
        ("", "", "not valid JSON"),
        ("{", "", "not valid JSON"),
        ("[]", "", "must be an object"),
        ("{}", "messages", "`messages` is missing"),
        (r#"{"messages":null}"#, "messages", "is missing"),
        (r#"{"messages":"hi"}"#, "messages", "must be an array"),
        (r#"{"messages":[]}"#, "messages", "`user` or `assistant`"),
        (r#"{"messages":[{"role":"system","content":"x"}]}"#, "messages", "`user` or `assistant`"),
        (r#"{"messages":["hi"]}"#, "messages[0]", "must be an object"),
        (r#"{"messages":[{"content":"x"}]}"#, "messages[0].role", "is missing"),
        (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content", "is missing"),
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].role", "must be `system`, `user`"),
        (
            r#"{"messages":[{"role":"user","content":"x","name":"n"}]}"#,
            "messages[0].name",
            "known are `role`",
        ),
        (r#"{"messages":[],"prompt":"x"}"#, "prompt", "not both"),
        (r#"{"prompt":""}"#, "prompt", "must not be empty"),
        (r#"{"prompt":7}"#, "prompt", "must be a string"),
        (r#"{"prompt":"x","temprature":1}"#, "temprature", "did you mean `temperature`?"),
        (r#"{"prompt":"x","tools":[]}"#, "tools", "known are `messages`, `prompt`"),
        (r#"{"prompt":"x","temperature":2.1}"#, "temperature", "between 0 and 2"),
        (r#"{"prompt":"x","temperature":-1}"#, "temperature", "between 0 and 2"),
        (r#"{"prompt":"x","max_tokens":0}"#, "max_tokens", "at least 1"),
        (r#"{"prompt":"x","max_tokens":-1}"#, "max_tokens", "non-negative integer"),
        (r#"{"prompt":"x","stream":"yes"}"#, "stream", "`true` or `false`"),
        (r#"{"prompt":"x","schema":"y"}"#, "schema", "must be an object"),
        (r#"{"prompt":"x","models":["a",""]}"#, "models[1]", "must not be empty"),
        (r#"{"prompt":"x","fallbacks":"a"}"#, "fallbacks", "must be an array"),
        (&message("7"), "messages[0].content", "a string or a list of parts"),
        (&message(r#""""#), "messages[0].content", "must not be empty"),
        (&message("[]"), "messages[0].content", "must not be empty"),
        (&message(r#"[{"type":"text"}]"#), "messages[0].content[0].text", "is missing"),
        (&message(r#"[{"type":"audio"}]"#), "messages[0].content[0].type", "must be `text` or `image_url`"),
        (&message(r#"[{"type":"text","text":"x","x":1}]"#), "messages[0].content[0].x", "known are"),
        (
            &message(r#"[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]"#),
            "messages[0].content[0].image_url.url",
            "must begin with",
        ),
        (
            &message(r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,<>"}}]"#),
            "messages[0].content[0].image_url.url",
            "must look like",
        ),
        (
            r#"{"messages":[{"role":"assistant","content":[{"type":"image_url"}]}]}"#,
            "messages[0].content[0].type",
            "role `user`",
        ),
        (&format!("{{\"schema\":{}", "[".repeat(100_000)), "", "recursion limit"),
    ] {
        refused(&PlainChat, body, param, says);
    }
}

#[test]
fn wrong_run_bodies_are_refused() {
    for (body, param, says) in [
        ("{}", "service", "is missing"),
        (r#"{"service":"llm"}"#, "input", "is missing"),
        (r#"{"service":"llm","input":"x"}"#, "input", "must be an object"),
        (r#"{"service":"llm","input":{}}"#, "input.prompt", "is missing"),
        (r#"{"service":"llm","input":{"prompt":""}}"#, "input.prompt", "must not be empty"),
        (r#"{"service":"llm","input":{"promt":"x"}}"#, "input.promt", "did you mean `prompt`?"),
        (r#"{"service":"llm","inputs":{"prompt":"x"}}"#, "inputs", "did you mean `input`?"),
        (r#"{"service":"tts","input":{"prompt":"x"}}"#, "service", "`llm-` and the id of a provider"),
        (r#"{"service":"llm-","input":{"prompt":"x"}}"#, "service", "`llm-` and the id of a provider"),
        (r#"{"service":"llm-a/b","input":{"prompt":"x"}}"#, "service", "`llm-` and the id of a provider"),
        (r#"{"service":"llm","input":{"prompt":"x","model":""}}"#, "input.model", "must not be empty"),
        (
            r#"{"service":"llm","input":{"prompt":"x","temperature":3}}"#,
            "input.temperature",
            "between 0 and 2",
        ),
    ] {
        refused(&PlainRun, body, param, says);
    }
}

fn response(parts: Vec<Part>, finish: Finish) -> ChatResponse {
    ChatResponse {
        id: "id-1".into(),
        model: "m-1".into(),
        created: None,
        choices: vec![Choice { parts, finish, logprobs: None }],
        usage: Some(Usage { input: 3, output: 5, reasoning: 2, ..Usage::default() }),
    }
}

/// Thinking, a call and two texts: the texts are the answer.
fn full() -> ChatResponse {
    let seal = Some(Seal { wire: "test", redacted: false, data: "s".into() });
    let thinking = Part::Thinking(Thinking { text: "hm".into(), seal });
    let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into(), seal: None };
    let parts =
        vec![thinking, Part::Text("Hel\"\n".into()), Part::ToolCall(call), Part::Text("lo 👋".into())];
    response(parts, Finish::ToolCalls)
}

#[test]
fn answers_are_rendered() {
    let empty = ChatResponse { usage: None, ..response(vec![], Finish::StopSequence(Some("x".into()))) };
    let refusal = response(vec![Part::Refusal("No.".into())], Finish::ContentFilter);
    let usage = r#"{"input_tokens":3,"output_tokens":5}"#;
    for (response, chat, run) in [
        (
            full(),
            format!(r#"{{"text":"Hel\"\nlo 👋","model":"m-1","finish":"tool_calls","usage":{usage}}}"#),
            format!(
                r#"{{"output":{{"text":"Hel\"\nlo 👋"}},"model":"m-1","usage":{usage},"finish":"tool_calls"}}"#
            ),
        ),
        (
            empty,
            r#"{"text":"","model":"m-1","finish":"stop","usage":null}"#.to_owned(),
            r#"{"output":{"text":""},"model":"m-1","usage":null,"finish":"stop"}"#.to_owned(),
        ),
        (
            refusal,
            format!(r#"{{"text":"No.","model":"m-1","finish":"content_filter","usage":{usage}}}"#),
            format!(
                r#"{{"output":{{"text":"No."}},"model":"m-1","usage":{usage},"finish":"content_filter"}}"#
            ),
        ),
        (
            ChatResponse::default(),
            r#"{"text":"","model":"","finish":null,"usage":null}"#.to_owned(),
            r#"{"output":{"text":""},"model":"","usage":null,"finish":null}"#.to_owned(),
        ),
    ] {
        assert_eq!(String::from_utf8_lossy(&PlainChat.render(&response)), chat);
        assert_eq!(String::from_utf8_lossy(&PlainRun.render(&response)), run);
    }
}

fn setup(open: bool) -> EncoderSetup {
    EncoderSetup { id: "r-1".into(), model: "asked".into(), open, created: 0, usage: true }
}

fn streamed(dialect: &dyn Dialect, events: &[Event], open: bool) -> String {
    let mut encoder = dialect.encoder(setup(open));
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

#[test]
fn streams_are_written() {
    let text = "data: {\"text\":\"Hel\\\"\\n\"}\n\ndata: {\"text\":\"lo 👋\"}\n\n";
    let done = |model: &str| {
        format!(
            "data: {{\"done\":true,\"finish\":\"tool_calls\",\"model\":{model:?},\
             \"usage\":{{\"input_tokens\":3,\"output_tokens\":5}}}}\n\n"
        )
    };
    let events = replay(full());
    for dialect in [&PlainChat as &dyn Dialect, &PlainRun] {
        assert_eq!(streamed(dialect, &events, false), format!("{text}{}", done("asked")));
        assert_eq!(streamed(dialect, &events, true), format!("{text}{}", done("m-1")));
        let cut = &events[..events.len() - 1];
        assert_eq!(streamed(dialect, cut, true), text, "an answer that was cut is never done");
    }
    let nameless = [
        Event::Start { id: String::new(), model: String::new() },
        Event::Delta { choice: 1, delta: Delta::Text("another choice".into()) },
        Event::End,
    ];
    let expect = "data: {\"done\":true,\"finish\":null,\"model\":\"asked\",\"usage\":null}\n\n";
    assert_eq!(streamed(&PlainChat, &nameless, true), expect);
}

fn problem(kind: ProblemKind) -> Problem {
    Problem {
        kind,
        status: 400,
        message: "Something".into(),
        code: None,
        param: None,
        retry_after: None,
        request_id: "r-1".into(),
        trail: None,
    }
}

#[test]
fn problems_are_told() {
    let full = Problem {
        code: Some("all_limited".into()),
        param: Some("messages[0]".into()),
        retry_after: Some(Duration::from_millis(1_500)),
        trail: Some("a:rate_limited".into()),
        ..problem(ProblemKind::RateLimited)
    };
    let body = concat!(
        r#"{"error":{"kind":"rate_limited","message":"Something","retry_after_ms":1500,"param":"messages[0]","#,
        r#""code":"all_limited","request_id":"r-1","trail":"a:rate_limited"}}"#
    );
    for dialect in [&PlainChat as &dyn Dialect, &PlainRun] {
        assert_eq!(String::from_utf8_lossy(&dialect.render_problem(&full)), body);
        let mut encoder = dialect.encoder(setup(true));
        let mut out = Vec::new();
        encoder.problem(&full, &mut out);
        encoder.problem(&full, &mut out);
        encoder.event(&Event::End, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            format!("event: error\ndata: {body}\n\n"),
            "told once, never done"
        );
    }
}

#[test]
fn every_kind_of_problem_has_its_word() {
    for kind in ProblemKind::ALL {
        let body: Value = serde_json::from_slice(&PlainChat.render_problem(&problem(kind))).unwrap();
        // The variant's name in snake case, made without the table under test.
        let mut word = String::new();
        for letter in format!("{kind:?}").chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('_');
            }
            word.extend(letter.to_lowercase());
        }
        assert_eq!(body, json!({"error": {"kind": word, "message": "Something", "request_id": "r-1"}}));
    }
}

#[test]
fn pictures_keep_their_bytes() {
    let request = PlainChat.parse(inbound(CHAT[10].as_bytes())).unwrap();
    let Part::Image(image) = &request.messages[0].parts[0] else { panic!("{request:?}") };
    assert_eq!(image.mime.as_deref(), Some("image/png"));
    assert_eq!(image.source, Source::Inline("aGk=".into()));
    assert_eq!(request.messages[0].role, Role::User);
}

/// JSON made of the words the dialects know, in places they do not expect them.
fn near_bodies() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "user",
            "system",
            "assistant",
            "text",
            "image_url",
            "llm",
            "llm-x",
            "hi"
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "messages",
        "prompt",
        "model",
        "models",
        "system",
        "max_tokens",
        "temperature",
        "stream",
        "schema",
        "json",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "service",
        "input",
    ]);
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

/// A valid body of `POST /chat` and what it must be read as.
fn chat_bodies() -> impl Strategy<Value = (Value, Vec<(Role, String)>)> {
    let message = (
        prop::sample::select(vec![
            ("system", Role::System),
            ("user", Role::User),
            ("assistant", Role::Assistant),
        ]),
        "[a-zé🙂\"\\\\ ]{1,9}",
    );
    (prop::collection::vec(message, 0..6), "[a-z]{1,5}", any::<bool>(), any::<bool>()).prop_map(
        |(mut said, last, parts, stream)| {
            said.push((("user", Role::User), last));
            let content =
                |text: &str| if parts { json!([{"type": "text", "text": text}]) } else { json!(text) };
            let messages: Vec<_> = said
                .iter()
                .map(|((role, _), text)| json!({"role": role, "content": content(text)}))
                .collect();
            let expect = said.into_iter().map(|((_, role), text)| (role, text)).collect();
            (json!({"messages": messages, "stream": stream}), expect)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn valid_bodies_are_read_whole((body, expect) in chat_bodies()) {
        let text = body.to_string();
        let request = PlainChat.parse(inbound(text.as_bytes())).unwrap();
        let outline = PlainChat.outline(inbound(text.as_bytes())).unwrap();
        agree(&outline, &request);
        let bytes: usize = expect.iter().map(|(_, text)| text.len()).sum();
        prop_assert_eq!(outline.needs.input_tokens, unfail_wire::outline::estimate_tokens(bytes));
        let said: Vec<_> = request.messages.into_iter().map(|message| (message.role, message.parts)).collect();
        let expect: Vec<_> = expect.into_iter().map(|(role, text)| (role, vec![Part::Text(text)])).collect();
        prop_assert_eq!(said, expect);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for dialect in [&PlainChat as &dyn Dialect, &PlainRun] {
            prop_assert_eq!(dialect.outline(inbound(&bytes)).is_ok(), dialect.parse(inbound(&bytes)).is_ok());
        }
    }

    #[test]
    fn near_bodies_are_read_or_refused(body in near_bodies()) {
        for dialect in [&PlainChat as &dyn Dialect, &PlainRun] {
            if let Err(invalid) = read(dialect, &body.to_string()) {
                prop_assert!(!invalid.message.is_empty());
            }
        }
    }
}
