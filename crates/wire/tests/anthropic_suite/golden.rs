//! Fixtures as tables: every snapshot shows what came in beside what it became.

use crate::support::*;
use serde_json::Value;
use std::fmt::Write as _;
use unfail_wire::chat::*;
use unfail_wire::target::Traits;
use unfail_wire::wires::anthropic::Anthropic;
use unfail_wire::{Dialect, Wire};

macro_rules! fixtures {
    ($folder:literal, $suffix:literal: $($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../fixtures/anthropic/", $folder, "/", $name, $suffix)))),*]
    };
}

/// A body with one line for each member and each item of its lists.
fn laid_out(body: &Value) -> String {
    let mut text = String::new();
    for (key, value) in body.as_object().unwrap() {
        match value {
            Value::Array(items) => {
                writeln!(text, "{key}:").unwrap();
                items.iter().for_each(|item| writeln!(text, "  {item}").unwrap());
            }
            value => writeln!(text, "{key}: {value}").unwrap(),
        }
    }
    text
}

/// The hub request, one line for each message and one for each group of members.
fn described(request: &ChatRequest) -> String {
    let mut text = String::new();
    for message in &request.messages {
        writeln!(text, "{:?} {:?}", message.role, message.parts).unwrap();
    }
    let ChatRequest { tools, output, sampling, reasoning, stream, user, .. } = request;
    write!(text, "{tools:?}\n{output:?}\n{sampling:?}\n{reasoning:?}\nstream {stream}, user {user:?}")
        .unwrap();
    text
}

fn body_for(request: &ChatRequest, traits: &Traits) -> String {
    rendered(request, traits).map_or_else(|error| error.to_string(), |body| laid_out(&body))
}

#[test]
fn requests_read_and_written_again() {
    let fixtures = fixtures!("requests", ".json": "plain", "coding_agent", "media", "schema", "forced_tool");
    for (name, fixture) in fixtures {
        let hub = parse(fixture.as_bytes()).unwrap();
        let shown = format!(
            "{fixture}\n--- hub\n{}\n\n--- for a classic model\n{}\n\n--- for a modern model\n{}",
            described(&hub),
            body_for(&hub, &classic()),
            body_for(&hub, &modern()),
        );
        insta::assert_snapshot!(format!("request_{name}"), shown);
    }
}

#[test]
fn answers_read_and_written_again() {
    let fixtures =
        fixtures!("responses", ".json": "full", "silent", "stop_sequence", "refusal", "error", "cut");
    for (name, fixture) in fixtures {
        let read = Wire::parse(&Anthropic, fixture.as_bytes());
        let again = read.as_ref().map(|response| Dialect::render(&Anthropic, response));
        let again = again.map(|body| laid_out(&serde_json::from_slice(&body).unwrap()));
        let shown = format!("{fixture}\n--- hub\n{read:#?}\n\n--- again\n{}", again.unwrap_or_default());
        insta::assert_snapshot!(format!("response_{name}"), shown);
    }
}

#[test]
fn streams_read_and_written_again() {
    let fixtures = fixtures!("streams", ".sse": "full", "newer", "overloaded", "refused");
    for (name, fixture) in fixtures {
        let (events, decoded, complete) = decode(fixture.as_bytes());
        let mut shown = format!("{fixture}--- hub\n");
        for event in &events {
            writeln!(shown, "{event:?}").unwrap();
        }
        writeln!(shown, "complete: {complete}\n\n--- frames").unwrap();
        for decoded in &decoded {
            writeln!(shown, "{decoded:?}").unwrap();
        }
        write!(shown, "\n--- again\n{}", String::from_utf8(encode(&events)).unwrap()).unwrap();
        insta::assert_snapshot!(format!("stream_{name}"), shown);
    }
}

/// Conversations as other formats leave them, which this one would refuse as they are.
fn foreign() -> Vec<(&'static str, ChatRequest)> {
    let calls = |calls: &[(&str, &str)]| {
        let parts: Vec<Part> = calls.iter().map(|(id, arguments)| call(id, "look", arguments)).collect();
        message(Role::Assistant, parts)
    };
    let tool_role = |parts: Vec<Part>| message(Role::Tool, parts);
    let mut image_result = result("b", "");
    if let Part::ToolResult(result) = &mut image_result {
        result.content = vec![image("image/jpg"), text("the map")];
        result.is_error = true;
    }
    let offering =
        ToolUse { tools: vec![tool("look")], choice: Some(ToolChoice::Required), parallel: Some(true) };
    vec![
        (
            "parallel_results_out_of_order",
            asking([
                system("Be brief."),
                user("Look twice"),
                calls(&[("call|a", "{\"x\":1}"), ("b", "")]),
                tool_role(vec![image_result, result("call|a", "first")]),
                system("Now in French."),
                user("And?"),
            ]),
        ),
        (
            "unanswered_and_orphaned",
            asking([
                user("Look"),
                calls(&[("a", "not json"), ("c", "[1]")]),
                user("Never mind"),
                tool_role(vec![result("zzz", "nobody asked"), result("c", "late")]),
            ]),
        ),
        (
            "starts_and_ends_with_the_assistant",
            asking([assistant("Hi, I am Bot.  "), user(" \n"), assistant("How can I help? \n")]),
        ),
        (
            "forced_tool_json_and_effort",
            ChatRequest {
                tools: offering,
                output: Output { format: Format::JsonObject, max_tokens: Some(900), ..Output::default() },
                sampling: Sampling { temperature: Some(1.4), top_p: Some(0.9), ..Sampling::default() },
                reasoning: effort(Effort::High),
                user: Some("ann@example.org".to_owned()),
                ..asking([user("Look")])
            },
        ),
        (
            "foreign_thinking",
            asking([
                user("Think"),
                message(
                    Role::Assistant,
                    [
                        thinking(
                            "elsewhere",
                            Some(Seal { wire: "gemini", redacted: false, data: "x".into() }),
                        ),
                        thinking("here", Some(seal("c2ln", false))),
                        thinking("", Some(seal("b3BhcXVl", true))),
                        text("Done"),
                        thinking("an afterthought", Some(seal("c2ln", false))),
                    ],
                ),
                user("Again"),
            ]),
        ),
    ]
}

#[test]
fn foreign_conversations_are_put_in_order() {
    for (name, request) in foreign() {
        for traits in [classic(), modern()] {
            assert_acceptable(&rendered(&request, &traits).unwrap());
        }
        let shown = format!(
            "{}\n\n--- for a classic model\n{}\n\n--- for a modern model\n{}",
            described(&request),
            body_for(&request, &classic()),
            body_for(&request, &modern()),
        );
        insta::assert_snapshot!(format!("foreign_{name}"), shown);
    }
}
