//! Error bodies of every shape beside the facts found in them, and the law that reading them is total.

#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};
use unfail_wire::error_body::{ErrorBody, MESSAGE_BYTES_MAX, is_error_value};

/// The facts in one line; what is absent is left out.
fn told(facts: &ErrorBody) -> String {
    let mut told = format!("{:?}", facts.message);
    let list =
        |name: &str, words: &[String]| (!words.is_empty()).then(|| format!(" {name}={}", words.join(",")));
    let more = [
        list("codes", &facts.codes),
        facts.param.as_ref().map(|param| format!(" param={param}")),
        facts.status.map(|status| format!(" status={status}")),
        list("quotas", &facts.quotas),
        facts.wait.as_ref().map(|wait| format!(" wait={wait}")),
        facts.flagged.then(|| " flagged".to_owned()),
    ];
    told.extend(more.into_iter().flatten());
    told
}

fn check(body: &str, expect: &str) {
    assert_eq!(told(&ErrorBody::parse(body.as_bytes())), expect, "{body}");
}

#[test]
fn an_error_object() {
    check(
        r#"{"error":{"message":"Slow down.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
        r#""Slow down." codes=rate_limit_exceeded,requests"#,
    );
    check(
        r#"{"error":{"message":"No `seed` here","type":"invalid_request_error","param":"seed","code":null}}"#,
        r#""No `seed` here" codes=invalid_request_error param=seed"#,
    );
    check(
        r#"{"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}"#,
        r#""too long" codes=BadRequestError status=400"#,
    );
    check(r#"{"error":{"message":"balance","code":1113}}"#, r#""balance" codes=1113"#);
    check(r#"{"error":{"message":"later","code":"429"}}"#, r#""later" codes=429 status=429"#);
    check(
        r#"{"error":{"code":"content_filter","message":"filtered","param":"prompt","type":null,"status":400,
            "innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        r#""filtered" codes=ResponsibleAIPolicyViolation,content_filter param=prompt status=400"#,
    );
    check(
        r#"{"error":{"message":"over","type":"dynamic_request_limited"},"error_type":"dynamic_request_limited"}"#,
        r#""over" codes=dynamic_request_limited"#,
    );
    check(
        r#"{"error":{"message":"overloaded","type":"server_error","code":null},"status_code":503}"#,
        r#""overloaded" codes=server_error status=503"#,
    );
}

#[test]
fn an_error_with_details() {
    check(
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Spend limit.",
            "details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        r#""Spend limit." codes=enforced_spend_limit_reached,rate_limit_error"#,
    );
    check(
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded","details":null}}"#,
        r#""Overloaded" codes=overloaded_error"#,
    );
    check(
        r#"[{"error":{"code":429,"message":"Quota.","status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
                {"quotaId":"RequestsPerDay"},{"quotaId":"TokensPerMinute"},{"quotaId":"RequestsPerDay"}]},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.2s"},
            {"@type":"type.googleapis.com/google.rpc.Help","links":[]}]}}]"#,
        r#""Quota." codes=RESOURCE_EXHAUSTED status=429 quotas=RequestsPerDay,TokensPerMinute wait=38.2s"#,
    );
    check(
        r#"{"error":{"code":400,"message":"Bad key.","status":"INVALID_ARGUMENT","details":[
            {"reason":"API_KEY_INVALID","metadata":{"service":"x"}},
            {"fieldViolations":[{"field":"contents[0].parts","description":"empty"}]}]}}"#,
        r#""Bad key." codes=API_KEY_INVALID,INVALID_ARGUMENT param=contents[0].parts status=400"#,
    );
    check(
        r#"{"error":{"code":429,"message":"m","details":[{"reason":"RATE_LIMIT_EXCEEDED",
            "metadata":{"quota_limit":"GeneratePerMinutePerRegion"}}]}}"#,
        r#""m" codes=RATE_LIMIT_EXCEEDED status=429 quotas=GeneratePerMinutePerRegion"#,
    );
}

#[test]
fn an_error_of_a_router() {
    check(
        r#"{"error":{"code":402,"message":"In flight","metadata":{"error_type":"in_flight_budget_exhausted"}}}"#,
        r#""In flight" codes=in_flight_budget_exhausted status=402"#,
    );
    check(
        r#"{"error":{"code":403,"message":"Flagged","metadata":{"reasons":["violence"],"flagged_input":"…"}}}"#,
        r#""Flagged" status=403 flagged"#,
    );
    check(r#"{"error":{"code":403,"message":"No","metadata":{"reasons":[]}}}"#, r#""No" status=403"#);
    check(
        r#"{"error":{"code":429,"message":"Daily","metadata":{"headers":{"X-RateLimit-Limit":"50",
            "X-RateLimit-Reset":"1795305600000"}}}}"#,
        r#""Daily" status=429 wait=1795305600000"#,
    );
    check(
        r#"{"error":{"code":403,"message":"Budget","metadata":{"resets_at":"2026-12-01T00:00:00Z"}}}"#,
        r#""Budget" status=403 wait=2026-12-01T00:00:00Z"#,
    );
    check(
        r#"{"id":"gen-1","choices":[{"finish_reason":"error"}],"error":{"code":502,"message":"gone"}}"#,
        r#""gone" status=502"#,
    );
    check(r#"{"error":{"message":"later","retry_after":1.5}}"#, r#""later" wait=1.5"#);
}

#[test]
fn a_flat_error() {
    check(
        r#"{"message":"High traffic","type":"too_many_requests_error","param":"queue","code":"queue_exceeded"}"#,
        r#""High traffic" codes=queue_exceeded,too_many_requests_error param=queue"#,
    );
    check(
        r#"{"object":"error","message":"Full","type":"service_tier_capacity_exceeded","code":"3505",
            "raw_status_code":429}"#,
        r#""Full" codes=3505,service_tier_capacity_exceeded status=429"#,
    );
    check(
        r#"{"error":{"type":"error","code":"PRECONDITION_FAILED","message":"m"}}"#,
        r#""m" codes=PRECONDITION_FAILED"#,
    );
    check(r#"{"message":"invalid api token"}"#, r#""invalid api token""#);
    check(r#"{"Message":"Forbidden"}"#, r#""Forbidden""#);
    check(
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***."}"#,
        r#""Incorrect API key provided: xa***." codes=Client specified an invalid argument"#,
    );
    check(
        r#"{"error":"Model is overloaded","error_type":"overloaded"}"#,
        r#""Model is overloaded" codes=overloaded"#,
    );
    check(
        r#"{"status":500,"error":"Internal Server Error","message":""}"#,
        r#""Internal Server Error" status=500"#,
    );
    check(r#"{"detail":"Unauthorized"}"#, r#""Unauthorized""#);
    check(
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"seed"],"msg":"Extra inputs"},
            {"type":"missing","loc":["body","model"],"msg":"Field required"}]}"#,
        r#""Extra inputs; Field required" codes=extra_forbidden,missing param=messages.0.seed"#,
    );
    check(
        r#"{"object":"error","message":{"detail":[{"type":"missing","loc":["body","model"],"msg":"Required"}]},
            "type":"invalid_request_error"}"#,
        r#""Required" codes=invalid_request_error,missing param=model"#,
    );
    check(
        r#"{"fault":{"faultstring":"Rate limit quota violation","detail":{"errorcode":"x"}}}"#,
        r#""Rate limit quota violation""#,
    );
    check(
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"Oh"}}}"#,
        r#""Oh" codes=server_error"#,
    );
}

#[test]
fn text_and_pages() {
    check("", r#""""#);
    check("  \r\n ", r#""""#);
    check("null", r#""null""#);
    check("502 Bad Gateway", r#""502 Bad Gateway""#);
    check(r#""quoted words""#, r#""quoted words""#);
    check("[]", r#""""#);
    check("{}", r#""""#);
    check(r#"{"error":{"message":"cut"#, r#""{\"error\":{\"message\":\"cut""#);
    check("{\"error\":\"first\"}\n{\"error\":\"second\"}", r#""first""#);
    check("\u{FEFF}{\"error\":\"marked\"}", r#""marked""#);
    check("event: error\r\ndata: {\"error\":\"framed\"}\r\n\r\n", r#""framed""#);
    check("Failed to\tdeserialize\n the   body\0!", r#""Failed to deserialize the body !""#);
    check(
        "<!DOCTYPE html><html><head><style>a > b {}</style><TITLE lang=en>502 &amp; Bad\nGateway</title></head>",
        r#""502 & Bad Gateway""#,
    );
    check(
        "<html><!-- <b>x</b> > --><script>if (a < b) {}</script><h1>Access denied</h1><p>Error 1010</p></html>",
        r#""Access denied Error 1010""#,
    );
    check(
        "<html><h1>Access&nbsp;denied</h1><script>if (a<b)</script><p>Error 1010",
        r#""Access denied Error 1010""#,
    );
    check("<", r#""""#);
    check("<title", r#""""#);
    let page = format!("<p>{}</p>", "ö".repeat(500));
    check(&page, &format!("{:?}", "ö".repeat(200)));
}

#[test]
fn sizes_are_bounded() {
    let long = "🙂".repeat(2_000);
    let codes: Vec<Value> = (0..100).map(|n| json!({"reason": format!("{n}{long}")})).collect();
    let body = json!({"error": {"message": long, "details": codes, "param": long, "retry_after": long}});
    let facts = ErrorBody::from_value(&body);
    assert_eq!(facts.message.len(), MESSAGE_BYTES_MAX);
    assert!(facts.message.chars().all(|c| c == '🙂'), "cut between characters");
    assert_eq!(facts.codes.len(), 16);
    assert!(facts.codes.iter().chain(&facts.param).chain(&facts.wait).all(|word| word.len() <= 200));
}

#[test]
fn an_error_under_a_success_status() {
    let errors = [
        json!({"error": {"code": 502, "message": "x"}}),
        json!({"error": "x"}),
        json!({"error": true}),
        json!({"id": "gen-1", "choices": [], "error": {"message": "x"}}),
        json!({"type": "error", "error": {"type": "overloaded_error"}}),
        json!({"type": "error", "message": "x"}),
        json!({"object": "error", "message": "x"}),
        json!({"message": "x", "type": "too_many_requests_error", "code": "queue_exceeded"}),
        json!({"message": "x"}),
        json!({"detail": "x"}),
        json!({"detail": [{"msg": "x"}]}),
        json!({"message": {"detail": []}}),
        json!({"fault": {"faultstring": "x"}}),
        json!([{"error": {"code": 429}}]),
        json!({"type": "response.failed", "response": {"error": {"message": "x"}}}),
    ];
    for value in errors {
        assert_eq!(ErrorBody::in_success(&value), Some(ErrorBody::from_value(&value)), "{value}");
        assert!(ErrorBody::in_bytes(value.to_string().as_bytes()).is_some(), "{value}");
    }
    let answers = [
        json!({"choices": [{"message": {"content": "error"}}], "error": null}),
        json!({"id": "msg_1", "type": "message", "content": [], "message": "x"}),
        json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant"}}),
        json!({"type": "ping"}),
        json!({"candidates": [], "usageMetadata": {}}),
        json!({"promptFeedback": {"blockReason": "SAFETY"}}),
        json!({"message": {"role": "assistant", "content": "hi"}, "done": false}),
        json!({"type": "response.completed", "response": {"error": null, "output": []}}),
        json!({"error": ""}),
        json!({"error": false}),
        json!({"error": {}}),
        json!({"error": []}),
        json!([]),
        json!("error"),
        json!(null),
    ];
    for value in answers {
        assert!(!is_error_value(&value), "{value}");
        assert_eq!(ErrorBody::in_success(&value), None, "{value}");
    }
    assert_eq!(ErrorBody::in_bytes(b"<html>"), None);
}

/// JSON made of the words the reader looks for, in places it does not expect them.
fn near_errors() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..600).prop_map(Value::from),
        (-4_000_i32..4_000).prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        "[a-z<{🙂 ]{0,8}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "error",
        "message",
        "code",
        "type",
        "details",
        "metadata",
        "headers",
        "reasons",
        "detail",
        "loc",
        "msg",
        "violations",
        "quotaId",
        "retryDelay",
        "reason",
        "status",
        "status_code",
        "response",
        "fault",
        "choices",
        "X-RateLimit-Reset",
        "fieldViolations",
        "field",
        "innererror",
        "param",
        "faultstring",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn is_bounded(facts: &ErrorBody) -> bool {
    let words: Vec<_> =
        facts.codes.iter().chain(&facts.quotas).chain(&facts.param).chain(&facts.wait).collect();
    facts.message.len() <= MESSAGE_BYTES_MAX
        && words.iter().all(|word| !word.is_empty() && word.len() <= 200)
        && facts.codes.iter().enumerate().all(|(place, code)| !facts.codes[..place].contains(code))
        && facts.status.is_none_or(|status| (200..600).contains(&status))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(is_bounded(&ErrorBody::parse(&bytes)));
    }

    #[test]
    fn any_markup_is_read(page in "(<|>|</|title|script|<title>|<!--|-->|&amp;|data:|[{}\"]|[a-zö🙂 ]){0,40}") {
        let facts = ErrorBody::parse(format!("<{page}").as_bytes());
        prop_assert!(facts.message.chars().count() <= 200);
        prop_assert!(is_bounded(&ErrorBody::parse(page.as_bytes())));
    }

    #[test]
    fn any_value_is_read(value in near_errors()) {
        let facts = ErrorBody::from_value(&value);
        prop_assert!(is_bounded(&facts), "{:?}", facts);
        prop_assert_eq!(ErrorBody::in_success(&value).is_some(), is_error_value(&value));
        if value.is_object() || value.is_array() {
            prop_assert_eq!(ErrorBody::parse(value.to_string().as_bytes()), facts);
        }
    }
}
