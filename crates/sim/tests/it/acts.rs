//! Every act over a bare socket: the exact status, the marks in what comes, and how the connection ends.

use std::time::Duration;

use unfail_sim::{Act, Speaks};
use unfail_testkit::raw::Ending::{self, Closed, Open, Reset};

use crate::ask::{ask, provider, raw, raw_until, streamed_text};

/// Per wire: `openai-chat`, `anthropic`, `gemini`.
type Each<T> = [T; 3];

/// What an error act answers: status, and a mark in the body.
const ERRORS: &[(&str, Each<(u16, &str)>)] = &[
    (
        "limited-without-hint",
        [(429, "rate_limit_exceeded"), (429, "rate_limit_error"), (429, "RESOURCE_EXHAUSTED")],
    ),
    (
        "overloaded",
        [(503, "server_is_overloaded"), (529, "overloaded_error"), (503, "The model is overloaded")],
    ),
    ("server-error", [(500, "server_error"), (500, "api_error"), (500, "INTERNAL")]),
    ("unavailable", [(503, "currently overloaded"), (503, "api_error"), (503, "high demand")]),
    ("html-bad-gateway", [(502, "<html>"), (502, "<html>"), (502, "<html>")]),
    (
        "context-too-long",
        [(400, "context_length_exceeded"), (400, "prompt is too long"), (400, "input token count")],
    ),
    (
        "content-policy",
        [
            (400, "content_policy_violation"),
            (200, "\"refusal\""),
            (200, "\"blockReason\":\"PROHIBITED_CONTENT\""),
        ],
    ),
    ("unauthorized", [(401, "invalid_api_key"), (401, "authentication_error"), (400, "API_KEY_INVALID")]),
    ("payment-required", [(402, "Insufficient Balance"), (402, "billing_error"), (402, "prepayment")]),
    ("quota-exhausted", [(429, "insufficient_quota"), (400, "credit balance is too low"), (429, "PerDay")]),
    (
        "model-not-found",
        [(404, "model_not_found"), (404, "model: claude"), (404, "is not found for API version")],
    ),
    ("status:418", [(418, ""), (418, ""), (418, "")]),
];

#[tokio::test]
async fn errors_are_the_vendors_own() {
    for (act, expected) in ERRORS {
        for (wire, (status, mark)) in Speaks::ALL.into_iter().zip(expected) {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            for streamed in [false, true] {
                let (seen, ending) = raw(&provider, &ask(wire, "hello", streamed)).await;
                let case = format!("{act} on {wire}, streamed: {streamed}: {} {}", seen.head, seen.text());
                assert_eq!((seen.status, seen.complete, ending), (*status, true, Open), "{case}");
                assert!(seen.text().contains(mark), "{case}");
                assert!(!seen.text().contains("heard"), "{case}");
                let html = *act == "html-bad-gateway";
                assert!(seen.header("content-type").starts_with("text/html") == html, "{case}");
            }
        }
    }
}

/// How a 429 states its wait: header, its value, and a mark in the body of each wire.
#[tokio::test]
async fn waits_are_stated_where_told() {
    let no = "retry-after";
    for (act, header, value, marks) in [
        ("retry-after-seconds:2", "retry-after", "2", ["try again in 2s", "exceed", "\"retryDelay\":\"2s\""]),
        ("retry-after-ms:1500", "retry-after-ms", "1500", ["in 1.5s", "exceed", "\"retryDelay\":\"1.5s\""]),
        ("reset-headers:4", no, "", ["Requested 1.\"", "exceed", "\"retryDelay\":\"4s\""]),
        ("limited-without-hint", no, "", ["Requested 1.\"", "exceed", "QuotaFailure"]),
    ] {
        for (wire, mark) in Speaks::ALL.into_iter().zip(marks) {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let (seen, _) = raw(&provider, &ask(wire, "hello", false)).await;
            let case = format!("{act} on {wire}: {} {}", seen.head, seen.text());
            assert_eq!((seen.status, seen.header(header)), (429, value), "{case}");
            assert!(seen.text().contains(mark), "{case}");
            let resets = seen.head.contains("ratelimit") && seen.head.contains("reset");
            let has_headers = wire != Speaks::Gemini && act != "limited-without-hint";
            assert_eq!(resets, has_headers, "{case}");
            let in_body = wire == Speaks::Gemini && act != "limited-without-hint";
            assert_eq!(seen.text().contains("RetryInfo"), in_body, "{case}");
        }
    }
}

#[tokio::test]
async fn a_dated_wait_is_in_the_future() {
    let provider = provider(Speaks::OpenAiChat, "retry-after-date:90".parse::<Act>().unwrap());
    let (seen, _) = raw(&provider, &ask(Speaks::OpenAiChat, "hello", false)).await;
    let (date, wait) = (seen.header("date"), seen.header("retry-after"));
    assert!(wait.ends_with(" GMT") && date.ends_with(" GMT"), "{date:?} {wait:?}");
    let of_day = |date: &str| {
        let time = date.split(' ').nth(4).unwrap().split(':').map(|part| part.parse::<i64>().unwrap());
        time.fold(0, |total, part| total * 60 + part)
    };
    let ahead = (of_day(wait) - of_day(date)).rem_euclid(86_400);
    assert!((90..=91).contains(&ahead), "{date:?} {wait:?}");
}

/// What a fault leaves of a stream: text delivered (in tokens of four letters), whether the body ends properly, and how
/// the connection ends.
const STREAM_FAULTS: &[(&str, Option<usize>, bool, Ending)] = &[
    ("cut-before-first", Some(0), false, Closed),
    ("cut-after:1", Some(1), false, Closed),
    ("cut-after:40", Some(40), false, Closed),
    ("end-after:0", Some(0), true, Open),
    ("end-after:40", Some(40), true, Open),
    ("stall-after:0", Some(0), false, Open),
    ("stall-after:40", Some(40), false, Open),
    ("error-after:0", Some(0), true, Open),
    ("error-after:40", Some(40), true, Open),
    ("malformed-after:3", None, true, Open),
    ("no-done", None, true, Open),
    ("slow-drip:200:1", None, true, Open),
    ("every-byte", None, true, Open),
    ("wrong-content-type", None, true, Open),
    ("delay:20:answer", None, true, Open),
    ("answer:10:0", None, true, Open),
    ("hang-after-headers", Some(0), false, Open),
    ("error-under-200", Some(0), true, Open),
    ("empty-choices", Some(0), true, Open),
    ("invalid-json", Some(0), true, Open),
    ("declined", Some(0), true, Open),
];

/// The frame that ends a stream of the wire, and the mark of an answer that says how it ended.
fn marks(wire: Speaks) -> (&'static str, &'static str) {
    match wire {
        Speaks::OpenAiChat => ("[DONE]", "\"finish_reason\":\"stop\""),
        Speaks::Anthropic => ("message_stop", "\"stop_reason\":\"end_turn\""),
        Speaks::Gemini => ("\"finishReason\"", "\"finishReason\":\"STOP\""),
    }
}

#[tokio::test]
async fn streams_break_exactly_where_told() {
    for (act, tokens, complete, ending) in STREAM_FAULTS {
        for wire in Speaks::ALL {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let asked = ask(wire, "hello, how are you?", true);
            let (seen, ended) = raw_until(&provider, &asked, *ending).await;
            let body = seen.text();
            let case = format!("{act} on {wire}: {}\n{body}", seen.head);
            assert_eq!((seen.status, seen.complete, ended), (200, *complete, *ending), "{case}");
            let text = streamed_text(wire, &body);
            let (end, finish) = marks(wire);
            match tokens {
                Some(tokens) => {
                    assert_eq!(text.chars().count(), tokens * 4, "{case}");
                    assert!(
                        !body.contains(finish) || *act == "empty-choices" || *act == "declined",
                        "{case}"
                    );
                }
                None => {
                    assert!(text.starts_with("Simone heard: hello, how are you? (turn 1)"), "{case}");
                    assert!(body.contains(finish), "{case}");
                    let without_end = *act == "no-done" && wire != Speaks::Gemini;
                    assert_eq!(body.contains(end), !without_end, "{case}");
                }
            }
            let kind =
                if *act == "wrong-content-type" { "text/html" } else { "text/event-stream; charset=utf-8" };
            assert_eq!(seen.header("content-type"), kind, "{case}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_is_the_wires_own() {
    for (wire, mark) in Speaks::ALL.into_iter().zip([
        "data: {\"error\":{\"message\":",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"",
        "data: {\"error\":{\"code\":503,",
    ]) {
        for act in ["error-after:0", "error-after:5", "error-under-200"] {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let (seen, _) = raw(&provider, &ask(wire, "hello", true)).await;
            let body = seen.text();
            let last = body.trim_end().rsplit("\n\n").next().unwrap().rsplit("\r\n\r\n").next().unwrap();
            assert!(last.starts_with(mark), "{act} on {wire}: {body}");
        }
    }
}

#[tokio::test]
async fn one_malformed_frame_and_the_rest_as_usual() {
    for wire in Speaks::ALL {
        let provider = provider(wire, "malformed-after:3".parse::<Act>().unwrap());
        let (seen, _) = raw(&provider, &ask(wire, "hello", true)).await;
        let events = unfail_testkit::sse::events(&seen.text());
        let bad = |data: &str| data != "[DONE]" && serde_json::from_str::<serde_json::Value>(data).is_err();
        assert_eq!(events.iter().filter(|event| bad(&event.data)).count(), 1, "{wire}");
        let before = events
            .iter()
            .take_while(|event| !bad(&event.data))
            .map(|event| format!("data: {}\n\n", event.data));
        assert_eq!(streamed_text(wire, &before.collect::<String>()).chars().count(), 12, "{wire}");
    }
}

#[tokio::test]
async fn every_byte_is_a_chunk_of_its_own() {
    for wire in Speaks::ALL {
        let provider = provider(wire, "every-byte".parse::<Act>().unwrap());
        let (seen, _) = raw(&provider, &ask(wire, "hello", true)).await;
        assert!(seen.chunks.iter().all(|size| *size == 1), "{wire}");
        assert_eq!(seen.chunks.len(), seen.body.len());
        let text = streamed_text(wire, &seen.text());
        assert!(text.contains('🦀') && text.ends_with("👩‍👩‍👧‍👦"), "{wire}: {text}");
    }
}

/// What a fault leaves of a body that is no stream: whether it is as long as declared, whether it is JSON, and how the
/// connection ends.
const WHOLE_FAULTS: &[(&str, bool, bool, Ending)] = &[
    ("cut-before-first", false, false, Closed),
    ("cut-after:40", false, false, Closed),
    ("end-after:40", true, false, Open),
    ("stall-after:40", false, false, Open),
    ("malformed-after:40", true, false, Open),
    ("invalid-json", true, false, Open),
    ("error-after:40", true, true, Open),
    ("error-under-200", true, true, Open),
    ("empty-choices", true, true, Open),
    ("no-done", true, true, Open),
    ("every-byte", true, true, Open),
    ("slow-drip:64:1", true, true, Open),
    ("declined", true, true, Open),
    ("big-body:300000", true, true, Open),
    ("hang-after-headers", false, false, Open),
    ("close-when-idle:10", true, true, Closed),
];

#[tokio::test]
async fn whole_answers_break_exactly_as_told() {
    for (act, complete, json, ending) in WHOLE_FAULTS {
        for wire in Speaks::ALL {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let (seen, ended) = raw_until(&provider, &ask(wire, "hello", false), *ending).await;
            let case = format!("{act} on {wire}: {}\n{:.400}", seen.head, seen.text());
            assert_eq!((seen.status, seen.complete, ended), (200, *complete, *ending), "{case}");
            let read = serde_json::from_slice::<serde_json::Value>(&seen.body);
            assert_eq!(read.is_ok(), *json, "{case}");
            let errs = read.is_ok_and(|body| body.get("error").is_some());
            assert_eq!(errs, matches!(*act, "error-after:40" | "error-under-200"), "{case}");
            if let Some(size) = act.strip_prefix("big-body:") {
                assert!(seen.body.len() >= size.parse().unwrap(), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn answers_without_an_answer() {
    for (act, marks) in [
        ("empty-choices", ["\"choices\":[]", "\"content\":[]", "{\"usageMetadata\":"]),
        (
            "declined",
            ["\"refusal\":\"I'm sorry", "\"stop_reason\":\"refusal\"", "\"finishReason\":\"SAFETY\""],
        ),
    ] {
        for (wire, mark) in Speaks::ALL.into_iter().zip(marks) {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let (seen, _) = raw(&provider, &ask(wire, "hello", false)).await;
            assert!(seen.text().contains(mark), "{act} on {wire}: {}", seen.text());
        }
    }
}

#[tokio::test]
async fn connections_end_without_a_word() {
    for (act, ending) in [("reset-before-headers", Reset), ("hang-before-headers", Open)] {
        for wire in Speaks::ALL {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let (seen, ended) = raw_until(&provider, &ask(wire, "hello", true), ending).await;
            assert_eq!((seen.status, ended), (0, ending), "{act} on {wire}");
            assert_eq!(provider.calls()[0].status, None);
        }
    }
}

#[tokio::test]
async fn words_can_be_put_in_its_mouth() {
    for wire in Speaks::ALL {
        let provider = provider(wire, Act::Say("grüezi".to_owned(), Box::default()));
        let (whole, _) = raw(&provider, &ask(wire, "hello", false)).await;
        let whole = serde_json::from_slice(&whole.body).unwrap();
        assert_eq!(crate::ask::text_of(wire, &whole), "grüezi");
        let (stream, _) = raw(&provider, &ask(wire, "hello", true)).await;
        assert_eq!(streamed_text(wire, &stream.text()), "grüezi");
    }
}

#[tokio::test]
async fn answers_come_at_the_pace_told() {
    for wire in Speaks::ALL {
        let act: Act = "answer:60:5".parse().unwrap();
        let provider = provider(wire, Act::Say("x".repeat(40), Box::new(act)));
        let asked = ask(wire, "hello", true);
        let url = format!("{}{}", provider.base_url(), asked.path);
        let client = unfail_testkit::Client::new();
        let mut stream = client.stream(&url, &asked.headers, &asked.body).await.unwrap();
        let (events, fault) = stream.rest().await;
        assert!(fault.is_none());
        let (first, last) = (events[0].0, events[events.len() - 1].0);
        assert!(first >= Duration::from_millis(60), "{wire}: {first:?}");
        // Ten tokens, one of which may come with the first event.
        assert!(last - first >= Duration::from_millis(45), "{wire}: {first:?} {last:?}");
    }
}
