//! Error bodies: what the official clients look for, for every kind.

use crate::support::setup;
use serde_json::{Value, json};
use std::time::Duration;
use unfail_wire::Dialect;
use unfail_wire::problem::{Problem, ProblemKind};
use unfail_wire::wires::openai_chat::OpenAiChat;

fn problem(kind: ProblemKind) -> Problem {
    Problem {
        kind,
        status: 400,
        message: "what \"happened\"".to_owned(),
        code: None,
        param: None,
        retry_after: None,
        request_id: "req-1".to_owned(),
        trail: None,
    }
}

fn body(problem: &Problem) -> Value {
    serde_json::from_slice(&OpenAiChat.render_problem(problem)).unwrap()
}

#[test]
fn every_kind_has_a_type_and_a_code() {
    let lines = ProblemKind::ALL.map(|kind| {
        let error = &body(&problem(kind))["error"];
        format!("{kind:?}: {} {}", error["type"], error["code"])
    });
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Invalid: "invalid_request_error" null
    Authentication: "invalid_request_error" "invalid_api_key"
    Permission: "permission_error" "permission_denied"
    NotFound: "invalid_request_error" "model_not_found"
    TooLarge: "invalid_request_error" "request_too_large"
    ContextLength: "invalid_request_error" "context_length_exceeded"
    Refused: "invalid_request_error" "content_policy_violation"
    RateLimited: "rate_limit_error" "rate_limit_exceeded"
    Quota: "insufficient_quota" "insufficient_quota"
    Overloaded: "service_unavailable_error" "server_is_overloaded"
    Timeout: "server_error" "timeout"
    Upstream: "server_error" "upstream_error"
    Internal: "server_error" "internal_error"
    "#);
}

#[test]
fn everything_known_is_told() {
    let full = Problem {
        code: Some("exact".to_owned()),
        param: Some("messages[0]".to_owned()),
        retry_after: Some(Duration::from_millis(1_500)),
        trail: Some("a:rate_limited,b:ok".to_owned()),
        ..problem(ProblemKind::RateLimited)
    };
    let more = json!({"request_id": "req-1", "retry_after_ms": 1500, "trail": "a:rate_limited,b:ok"});
    let error = json!({
        "message": "what \"happened\"",
        "type": "rate_limit_error",
        "param": "messages[0]",
        "code": "exact",
        "unfail": more,
    });
    assert_eq!(body(&full), json!({ "error": error }));
    let bare = body(&problem(ProblemKind::Invalid));
    assert_eq!(bare["error"]["unfail"], json!({"request_id": "req-1"}));
    assert_eq!(bare["error"]["code"], Value::Null);
}

#[test]
fn a_broken_stream_never_looks_finished() {
    let mut encoder = OpenAiChat.encoder(setup(true, false));
    let mut out = Vec::new();
    encoder.problem(&problem(ProblemKind::Upstream), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("data: {\"error\":{") && text.ends_with("}\n\n"));
    assert!(!text.contains("[DONE]"));
}
