//! Every provider's real failures, and the laws that hold for anything else.

use crate::{NOW, body, secs};
use proptest::prelude::*;
use serde_json::Value;
use std::time::Duration;
use unfail_policy::classify::{
    Blame, Class, Close, Fault, Flaw, Limit, Phase, SameTarget, Signal, Transport, classify,
};
use unfail_policy::time::Wall;
use unfail_policy::wait::Headers;
use unfail_wire::error_body::ErrorBody;
use unfail_wire::target::ErrorQuirk;

struct Pairs(Vec<(String, String)>);

impl Headers for Pairs {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn judge(case: &Value, phase: Phase) -> Fault {
    let quirk = match case["quirk"].as_str() {
        Some("forbidden") => ErrorQuirk::ForbiddenMeansTooLong,
        Some("bare_limit") => ErrorQuirk::BareLimitMeansOverload,
        Some(other) => panic!("unknown quirk {other}"),
        None => ErrorQuirk::None,
    };
    let headers = case["headers"].as_object().into_iter().flatten();
    let headers =
        Pairs(headers.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect());
    let body = body::read(&case["body"]);
    let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
    let signal = match case["signal"].as_str() {
        Some("filtered") => Signal::ContentFiltered,
        Some("malformed") => Signal::Flaw(Flaw::Malformed),
        _ if status == 200 => Signal::InStream(&body),
        _ => Signal::Status { status, headers: &headers, body: &body },
    };
    classify(&signal, quirk, phase, NOW)
}

fn written(close: Close) -> String {
    let (name, wait) = match close {
        Close::Nothing => return "nothing".to_owned(),
        Close::Domain(wait) => ("domain", wait),
        Close::Credential(wait) => ("credential", wait),
        Close::Target(wait) => ("target", wait),
    };
    wait.map_or(name.to_owned(), |wait| format!("{name} {}", wait.as_secs_f64()))
}

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../fixtures/errors.json")).unwrap()
}

#[test]
fn every_known_error_body_has_its_class_and_close() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let fault = judge(case, Phase::Headers);
        let found = format!("{} / {}", fault.class.name(), written(fault.close));
        let expected = format!("{} / {}", case["class"].as_str().unwrap(), case["close"].as_str().unwrap());
        if found != expected || fault.param.as_deref() != case["param"].as_str() {
            wrong.push(format!("{}: {found}, not {expected}; param {:?}", case["case"], fault.param));
        }
    }
    assert!(cases.len() >= 90, "only {} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn after_commit_everything_is_mid_stream_and_what_was_learned_stays() {
    for case in cases() {
        let before = judge(&case, Phase::FirstEvent);
        let after = judge(&case, Phase::Committed);
        assert_eq!(after.class, Class::MidStream, "{}", case["case"]);
        assert_eq!(after.same_target, SameTarget::Never);
        assert_eq!((after.close, after.wait, &after.message), (before.close, before.wait, &before.message));
    }
}

fn check(signal: &Signal<'_>, class: Class, same_target: SameTarget) {
    let fault = classify(signal, ErrorQuirk::None, Phase::Sent, NOW);
    assert_eq!((fault.class, fault.same_target, fault.close), (class, same_target, Close::Nothing));
    assert!(!fault.message.is_empty());
    let late = classify(signal, ErrorQuirk::None, Phase::Committed, NOW);
    let expected = if class == Class::Cancelled { Class::Cancelled } else { Class::MidStream };
    assert_eq!((late.class, late.same_target), (expected, SameTarget::Never));
}

/// A caller can make a sound model say nothing, or the wrong thing; garbage comes from the provider.
#[test]
fn what_a_caller_can_bring_about_is_not_the_targets_doing() {
    let blame = |signal: &Signal<'_>| classify(signal, ErrorQuirk::None, Phase::Headers, NOW).blame;
    for flaw in [Flaw::Empty, Flaw::Breach] {
        assert_eq!(blame(&Signal::Flaw(flaw)), Blame::Request, "{flaw:?}");
    }
    for flaw in [Flaw::Malformed, Flaw::Truncated, Flaw::WrongContentType, Flaw::TooLarge] {
        assert_eq!(blame(&Signal::Flaw(flaw)), Blame::Target, "{flaw:?}");
    }
    assert_eq!(blame(&Signal::Transport(Transport::NoDescriptor)), Blame::Gateway);
    assert_eq!(blame(&Signal::Transport(Transport::Connect)), Blame::Target);
    for (code, status, expected) in [
        ("tool_use_failed", 400, Blame::Request),
        ("json_validate_failed", 400, Blame::Request),
        ("ModelErrorException", 424, Blame::Target),
        ("tool_use_failed", 500, Blame::Target),
        ("server_error", 500, Blame::Target),
        ("loop_detected", 508, Blame::Request),
    ] {
        let body = ErrorBody { codes: vec![code.to_owned()], ..ErrorBody::default() };
        let signal = Signal::Status { status, headers: &[("", ""); 0], body: &body };
        assert_eq!(blame(&signal), expected, "{code} {status}");
    }
}

#[test]
fn faults_without_an_answer_have_a_class() {
    for transport in [Transport::Dns, Transport::Connect, Transport::Tls] {
        check(&Signal::Transport(transport), Class::PreSend, SameTarget::Once);
    }
    for transport in [Transport::RefusedStream, Transport::StaleConnection] {
        check(&Signal::Transport(transport), Class::PreSend, SameTarget::Free);
    }
    for transport in [Transport::ResetBeforeHeaders, Transport::ResetInBody] {
        check(&Signal::Transport(transport), Class::Transient, SameTarget::Once);
    }
    for limit in [Limit::Connect, Limit::FirstToken, Limit::Stall, Limit::Total] {
        check(&Signal::Timeout(limit), Class::Timeout, SameTarget::Never);
    }
    for flaw in [Flaw::Malformed, Flaw::Empty, Flaw::Truncated, Flaw::WrongContentType, Flaw::TooLarge] {
        check(&Signal::Flaw(flaw), Class::Malformed, SameTarget::Once);
    }
    check(&Signal::Flaw(Flaw::Breach), Class::Malformed, SameTarget::Once);
    check(&Signal::Transport(Transport::NoDescriptor), Class::PreSend, SameTarget::Once);
    check(&Signal::ContentFiltered, Class::Refused, SameTarget::Never);
    check(&Signal::CallerGone, Class::Cancelled, SameTarget::Never);
}

#[test]
fn names_are_unique() {
    let names: std::collections::HashSet<_> = Class::ALL.iter().map(|class| class.name()).collect();
    assert_eq!(names.len(), Class::ALL.len());
}

#[test]
fn a_provider_can_forbid_a_retry() {
    let body = ErrorBody::default();
    for (value, same_target) in [("false", SameTarget::Never), ("true", SameTarget::Once)] {
        let headers = [("X-Should-Retry", value)];
        let signal = Signal::Status { status: 500, headers: &headers, body: &body };
        assert_eq!(classify(&signal, ErrorQuirk::None, Phase::Headers, NOW).same_target, same_target);
    }
}

#[test]
fn words_are_bounded_and_show_no_key() {
    let say = |status, message: &str| {
        let body = ErrorBody { message: message.to_owned(), ..ErrorBody::default() };
        let headers: [(&str, &str); 0] = [];
        let signal = Signal::Status { status, headers: &headers, body: &body };
        classify(&signal, ErrorQuirk::None, Phase::Headers, NOW).message
    };
    assert_eq!(
        say(401, "Incorrect API key provided: sk-pr***x9. See\nhttps://example.com"),
        "Incorrect API key provided: … See https://example.com"
    );
    assert_eq!(say(401, "unknown key gsk_1234567890abcdef"), "unknown key …");
    assert_eq!(say(400, &"é".repeat(1000)).chars().count(), 300);
    assert_eq!(say(502, " \n "), "HTTP 502 without an explanation");
}

fn any_body() -> impl Strategy<Value = ErrorBody> {
    let word = prop_oneof![
        ".{0,30}",
        Just("rate_limit_exceeded".to_owned()),
        Just("concurrent requests per day, credit balance, prompt is too long".to_owned()),
        Just("overloaded".to_owned()),
        Just("model not exist: retry after 9999999999999999999 seconds".to_owned()),
    ];
    let words = || word.clone();
    (
        words(),
        prop::collection::vec(words(), 0..3),
        any::<Option<u16>>(),
        any::<bool>(),
        prop::option::of(words()),
    )
        .prop_map(|(message, codes, status, flagged, wait)| ErrorBody {
            message,
            codes,
            param: None,
            status,
            quotas: Vec::new(),
            wait,
            flagged,
        })
}

proptest! {
    #[test]
    fn any_answer_has_one_class_whenever_it_comes(
        body in any_body(),
        status in any::<u16>(),
        retry_after in "[0-9a-z.:-]{0,12}",
        later in any::<u64>(),
    ) {
        let headers = [("retry-after", retry_after.as_str())];
        for signal in [Signal::Status { status, headers: &headers, body: &body }, Signal::InStream(&body)] {
            for quirk in [ErrorQuirk::None, ErrorQuirk::ForbiddenMeansTooLong, ErrorQuirk::BareLimitMeansOverload] {
                let fault = classify(&signal, quirk, Phase::Headers, NOW);
                let again = classify(&signal, quirk, Phase::FirstEvent, Wall::from_millis(later));
                prop_assert_eq!((fault.class, fault.same_target), (again.class, again.same_target));
                prop_assert!(fault.message.chars().count() <= 300 && !fault.message.is_empty());
                let hopeless = [Class::ClientBug, Class::Auth, Class::Quota, Class::TooLong, Class::Refused];
                prop_assert!(!hopeless.contains(&fault.class) || fault.same_target == SameTarget::Never);
                let most = match fault.class {
                    Class::Transient | Class::Overloaded => secs(300.0),
                    Class::RateLimited => secs(6.0 * 3600.0),
                    Class::Quota => secs(31.0 * 86_400.0),
                    _ => Duration::ZERO,
                };
                prop_assert!(fault.wait.unwrap_or_default() <= most, "{:?}", fault);
                let committed = classify(&signal, quirk, Phase::Committed, NOW);
                prop_assert_eq!(committed.class, Class::MidStream);
            }
        }
    }
}
