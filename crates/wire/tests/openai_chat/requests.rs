//! What the fixtures do not show of reading and writing requests: refusals, and hub requests that only other
//! dialects make.

use crate::support::{CROOKED, able, inbound, target};
use serde_json::{Value, json};
use unfail_wire::chat::{
    Amount, ChatRequest, Document, Effort, Format, Media, Message, Output, Part, Reasoning, Role, Seal,
    Source, Thinking, Tool, ToolCall, ToolResult,
};
use unfail_wire::format::{Refusal, Unspeakable};
use unfail_wire::target::{Quirks, ReasoningControl, ReasoningHistory, Traits};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn turn(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

fn ask(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { model: "m".to_owned(), messages, ..ChatRequest::default() }
}

fn picture(source: Source, mime: Option<&str>) -> Part {
    Part::Image(Media { mime: mime.map(str::to_owned), source, detail: None })
}

fn inline() -> Source {
    Source::Inline("AAAA".to_owned())
}

fn rendered(request: &ChatRequest, quirks: &Quirks, traits: &Traits) -> Result<Value, Unspeakable> {
    let body = Wire::render(&OpenAiChat, request, &target(quirks, traits))?;
    Ok(serde_json::from_slice(&body).unwrap())
}

#[test]
fn wrong_requests_name_the_field() {
    let user = json!({"role": "user", "content": "Hi"});
    let table = [
        (json!({"model": "m", "messages": [user], "reasoning_effort": "hard"}), "reasoning_effort"),
        (json!({"model": "m", "messages": [user], "reasoning_effort": 5}), "reasoning_effort"),
        (json!({"model": "m", "messages": [{"role": "x", "content": "Hi"}]}), "messages[0].role"),
        (
            json!({"model": "m", "messages": [user, {"role": "user", "content": [{"type": "text"}]}]}),
            "messages[1].content[0].text",
        ),
        (json!({"model": "m", "messages": []}), "messages"),
        (json!({"model": "m", "messages": [user], "tools": [{"type": "function"}]}), "tools[0].function"),
        (
            json!({"model": "m", "messages": [user], "tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}),
            "tools[0].function.parameters",
        ),
        (json!({"model": "m", "messages": [user], "tool_choice": "maybe"}), "tool_choice"),
        (
            json!({"model": "m", "messages": [user], "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice",
        ),
        (json!({"model": "m", "messages": [user], "n": 5_000_000_000_u64}), "n"),
        (json!({"messages": [user]}), "model"),
    ];
    for (body, field) in table {
        match Dialect::parse(&OpenAiChat, inbound(body.to_string().as_bytes())) {
            Err(Refusal::Invalid(invalid)) => assert_eq!(invalid.param.as_deref(), Some(field), "{invalid}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn what_the_hub_has_no_words_for_is_named() {
    let user = json!({"role": "user", "content": "Hi"});
    let image =
        |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let table = [
        (json!({"messages": [user], "web_search_options": {}}), "built-in web search"),
        (json!({"messages": [user], "moderation": {"model": "x"}}), "moderation by the provider"),
        (json!({"messages": [user], "response_format": {"type": "grammar"}}), "this kind of response format"),
        (
            json!({"messages": [user], "tool_choice": {"type": "custom", "custom": {"name": "f"}}}),
            "tools other than functions",
        ),
        (json!({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}), "spoken answers"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}]}),
            "calls of tools other than functions",
        ),
        (
            json!({"messages": image("data:image/svg+xml,<svg/>")}),
            "data URLs other than base64 of a named type",
        ),
    ];
    for (mut body, what) in table {
        body["model"] = json!("m");
        let refusal = Dialect::parse(&OpenAiChat, inbound(body.to_string().as_bytes()));
        assert_eq!(refusal, Err(Refusal::Unspeakable(Unspeakable { what })), "{body}");
    }
}

#[test]
fn what_the_format_has_no_words_for_is_named() {
    let url = || Source::Url("https://example.com/x".to_owned());
    let media = |mime: &str, source: Source| Media { mime: Some(mime.to_owned()), source, detail: None };
    let table = [
        (Role::User, Part::Audio(media("audio/flac", inline())), "audio other than wav and mp3"),
        (Role::User, Part::Audio(media("audio/wav", url())), "audio by URL"),
        (
            Role::User,
            Part::File(Document { name: None, media: media("application/pdf", url()) }),
            "documents by URL",
        ),
        (Role::User, picture(inline(), None), "inline media of unknown type"),
        (Role::Assistant, picture(url(), None), "media in an assistant turn"),
    ];
    for (role, part, what) in table {
        let request = ask(vec![turn(role, vec![part])]);
        assert_eq!(rendered(&request, &Quirks::NONE, &able()), Err(Unspeakable { what }));
    }
}

#[test]
fn results_speak_and_their_pictures_follow() {
    let result = |id: &str, content: Vec<Part>, is_error: bool| {
        Part::ToolResult(ToolResult { id: id.to_owned(), content, is_error })
    };
    let shown = picture(inline(), Some("image/png"));
    let request = ask(vec![turn(
        Role::Tool,
        vec![
            result("a", vec![text("one"), shown], false),
            result("b", vec![text("gone")], true),
            result("c", vec![], true),
        ],
    )]);
    let messages = rendered(&request, &Quirks::NONE, &able()).unwrap()["messages"].clone();
    let expected = json!([
        {"role": "tool", "content": "one", "tool_call_id": "a"},
        {"role": "tool", "content": "Error: gone", "tool_call_id": "b"},
        {"role": "tool", "content": "Error", "tool_call_id": "c"},
        {"role": "user", "content": [
            {"type": "text", "text": "From the result of tool call a:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
    ]);
    assert_eq!(messages, expected);
}

#[test]
fn reasoning_of_other_families_stays_behind() {
    let thinking = |seal: Option<Seal>| Part::Thinking(Thinking { text: "Hm".to_owned(), seal });
    let seal = Some(Seal { wire: "anthropic", redacted: false, data: "x".to_owned() });
    let call = Part::ToolCall(ToolCall {
        id: "abcdefghi".to_owned(),
        name: "f".to_owned(),
        arguments: "{}".to_owned(),
        seal: None,
    });
    let spoken = Quirks { reasoning_history: ReasoningHistory::Reasoning, ..Quirks::NONE };
    let table = [
        (Quirks::NONE, vec![thinking(None), text("Hi")], None, None),
        (spoken, vec![thinking(None), text("Hi")], Some("Hm"), None),
        (spoken, vec![thinking(seal.clone()), text("Hi")], None, None),
        (CROOKED, vec![thinking(None), text("Hi")], None, Some("Hm")),
        (CROOKED, vec![thinking(seal.clone()), text("Hi")], None, None),
        (CROOKED, vec![thinking(seal), call], None, Some(" ")),
    ];
    for (quirks, parts, reasoning, content) in table {
        let request = ask(vec![turn(Role::Assistant, parts)]);
        let message = rendered(&request, &quirks, &able()).unwrap()["messages"][0].clone();
        assert_eq!(message.get("reasoning").and_then(Value::as_str), reasoning);
        assert_eq!(message.get("reasoning_content").and_then(Value::as_str), content);
    }
}

#[test]
fn efforts_and_budgets_fit_the_model() {
    let effort = |least, most| ReasoningControl::Effort { least, most };
    let budget = |can_disable| ReasoningControl::Budget { min: 128, max: 32_768, can_disable };
    let table = [
        (Amount::Effort(Effort::Max), effort(Effort::Low, Effort::High), Some("high")),
        (Amount::Effort(Effort::None), effort(Effort::Low, Effort::High), Some("low")),
        (Amount::Tokens(0), effort(Effort::None, Effort::Max), Some("none")),
        (Amount::Tokens(500), effort(Effort::None, Effort::Max), Some("low")),
        (Amount::Tokens(500), effort(Effort::Minimal, Effort::Max), Some("minimal")),
        (Amount::Tokens(1_024), effort(Effort::None, Effort::Max), Some("low")),
        (Amount::Tokens(2_048), effort(Effort::None, Effort::Max), Some("medium")),
        (Amount::Tokens(50_000), effort(Effort::None, Effort::Max), Some("high")),
        (Amount::Effort(Effort::High), ReasoningControl::None, None),
        (Amount::Effort(Effort::Max), ReasoningControl::Unknown, Some("max")),
        (Amount::Effort(Effort::None), ReasoningControl::Unknown, Some("none")),
        (Amount::Tokens(2_048), ReasoningControl::Unknown, Some("medium")),
        (Amount::Effort(Effort::None), budget(false), Some("low")),
        (Amount::Effort(Effort::None), budget(true), Some("none")),
        (Amount::Effort(Effort::XHigh), ReasoningControl::Adaptive { can_disable: true }, Some("xhigh")),
    ];
    for (amount, reasoning, expected) in table {
        let mut request = ask(vec![turn(Role::User, vec![text("Hi")])]);
        request.reasoning = Some(Reasoning { amount, visible: true });
        let body = rendered(&request, &Quirks::NONE, &Traits { reasoning, ..able() }).unwrap();
        assert_eq!(
            body.get("reasoning_effort").and_then(Value::as_str),
            expected,
            "{amount:?} {reasoning:?}"
        );
    }
}

#[test]
fn functions_turn_reasoning_off_where_they_must() {
    let tool = Tool { name: "f".to_owned(), description: None, parameters: None, strict: None };
    let asked = Some(Reasoning { amount: Amount::Effort(Effort::High), visible: false });
    let table = [
        (true, vec![tool.clone()], asked, Some("none")),
        (true, vec![tool.clone()], None, Some("none")),
        (true, vec![], asked, Some("high")),
        (true, vec![], None, None),
        (false, vec![tool], asked, Some("high")),
    ];
    for (tools_without_reasoning, tools, reasoning, expected) in table {
        let mut request = ask(vec![turn(Role::User, vec![text("Hi")])]);
        (request.tools.tools, request.reasoning) = (tools, reasoning);
        let body = rendered(&request, &Quirks::NONE, &Traits { tools_without_reasoning, ..able() }).unwrap();
        let sent = body.get("reasoning_effort").and_then(Value::as_str);
        assert_eq!(sent, expected, "{tools_without_reasoning} {:?}", request.tools);
    }
}

#[test]
fn json_mode_speaks_of_json() {
    let table = [("Give me json.", 1), ("Give me colours.", 2)];
    for (words, messages) in table {
        let output = Output { format: Format::JsonObject, ..Output::default() };
        let request = ChatRequest { output, ..ask(vec![turn(Role::User, vec![text(words)])]) };
        let body = rendered(&request, &Quirks::NONE, &able()).unwrap();
        assert_eq!(body["messages"].as_array().unwrap().len(), messages);
        assert!(body["messages"].to_string().to_lowercase().contains("json"));
    }
}

#[test]
fn long_names_of_users_and_ids_are_shortened() {
    let long = "x".repeat(100);
    let call = ToolCall { id: long.clone(), name: "f".to_owned(), arguments: String::new(), seal: None };
    let result = ToolResult { id: long.clone(), content: vec![], is_error: false };
    let request = ChatRequest {
        user: Some(long),
        ..ask(vec![
            turn(Role::Assistant, vec![Part::ToolCall(call)]),
            turn(Role::Tool, vec![Part::ToolResult(result)]),
        ])
    };
    let body = rendered(&request, &Quirks::NONE, &able()).unwrap();
    assert_eq!(body["user"].as_str().unwrap().len(), 64);
    let id = body["messages"][0]["tool_calls"][0]["id"].clone();
    assert_eq!(id.as_str().unwrap().len(), "call_".len() + 24);
    assert_eq!(body["messages"][1]["tool_call_id"], id);
    assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["arguments"], "{}");
}
