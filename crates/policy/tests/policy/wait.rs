//! Waits in every form a provider states them.

use crate::{NOW, secs};
use proptest::prelude::*;
use std::time::Duration;
use unfail_policy::wait::{Headers, LONGEST, parse_wait, stated_wait};
use unfail_wire::error_body::ErrorBody;

#[test]
fn one_parser_reads_every_form() {
    for (text, seconds) in [
        // Go durations.
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1m12.5s", 72.5),
        ("8.64s", 8.64),
        ("12h0m3.1s", 43_203.1),
        ("2m59.56s", 179.56),
        ("1h26m24s", 5184.0),
        ("250us", 0.000_25),
        ("250µs", 0.000_25),
        ("250μs", 0.000_25),
        ("2d", 172_800.0),
        // Google durations, words, plain seconds.
        ("38.214s", 38.214),
        ("65205s", 65_205.0),
        ("26 seconds", 26.0),
        ("1 minute 30 seconds", 90.0),
        ("33011.382867", 33_011.382_867),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("\"7\"", 7.0),
        ("0.25", 0.25),
        // Moments.
        ("2026-11-21T12:00:30Z", 30.0),
        ("2026-11-21T13:00:30+01:00", 30.0),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120.0),
        ("1795262460000", 60.0),
        ("1795262460", 60.0),
    ] {
        let wait = parse_wait(text, NOW).unwrap_or_else(|| panic!("{text:?} is not read")).as_secs_f64();
        assert!((wait - seconds).abs() < 1e-3, "{text:?}: {wait} s, not {seconds} s");
    }
}

#[test]
fn what_says_nothing_is_ignored_and_what_is_absurd_is_capped() {
    for text in [
        "",
        " ",
        "0",
        "0s",
        "-1",
        "-5s",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "infinity",
        "soon",
        "1x",
        "s",
        "1h2",
        "1.2.3s",
        "5,000",
        "0x10",
        "1..2",
        "2020-01-01T00:00:00Z",
        "Sat, 21 Nov 2020 12:02:00 GMT",
        "1500000000",
        "::",
        "T:",
        "Sat, 21 Nov 2026 8888888888888888:00 GMT",
        "2026-11-21T00:8888888888888888Z",
    ] {
        assert_eq!(parse_wait(text, NOW), None, "{text:?}");
    }
    for text in
        ["99999999", "1e400", "999999999999d", "9999-12-31T23:59:59Z", "1e300", "99999999999999999999999s"]
    {
        assert_eq!(parse_wait(text, NOW), Some(LONGEST), "{text:?}");
    }
}

struct Said {
    headers: &'static [(&'static str, &'static str)],
    body_wait: Option<&'static str>,
    message: &'static str,
}

fn check(headers: &'static [(&'static str, &'static str)], expected: Option<f64>) {
    check_said(&Said { headers, body_wait: None, message: "" }, expected);
}

fn check_said(said: &Said, expected: Option<f64>) {
    let body = ErrorBody {
        message: said.message.to_owned(),
        wait: said.body_wait.map(str::to_owned),
        ..ErrorBody::default()
    };
    let found = stated_wait(&said.headers, Some(&body), NOW);
    assert_eq!(found, expected.map(secs), "{:?} {:?} {}", said.headers, said.body_wait, said.message);
}

#[test]
fn the_most_exact_statement_wins() {
    let everything = Said {
        headers: &[
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6s"),
            ("x-ms-retry-after-ms", "3000"),
            ("Retry-After", "2"),
            ("Retry-After-Ms", "1000"),
        ],
        body_wait: Some("4s"),
        message: "Please try again in 5s.",
    };
    // Each time the strongest statement is taken away, the next one speaks.
    for (kept, seconds) in [(5, 1.0), (4, 2.0), (3, 3.0), (2, 4.0)] {
        check_said(&Said { headers: &everything.headers[..kept], ..everything }, Some(seconds));
    }
    let weaker = Said { headers: &everything.headers[..2], body_wait: None, ..everything };
    check_said(&weaker, Some(5.0));
    check_said(&Said { message: "", ..weaker }, Some(6.0));
    check_said(&Said { headers: &[], message: "", ..weaker }, None);
}

#[test]
fn an_unreadable_statement_does_not_hide_the_next() {
    check(&[("retry-after-ms", "soon"), ("retry-after", "3")], Some(3.0));
    check(&[("retry-after-ms", "-1"), ("retry-after", "0"), ("x-ms-retry-after-ms", "50")], Some(0.05));
    check(&[("retry-after", "never"), ("x-ratelimit-reset", "4")], Some(4.0));
}

#[test]
fn words_state_waits() {
    for (message, seconds) in [
        ("Please try again in 1m42.6s.", 102.6),
        ("Please retry after 26 seconds. To increase", 26.0),
        ("Rate limit is exceeded. Try again in 35 seconds.", 35.0),
        ("Please retry in 38.2s.", 38.2),
        ("Please try again in 20ms. Visit", 0.02),
        ("please try again in 2h13m0s", 7980.0),
        ("Please try again in 5 minutes", 300.0),
        ("You will regain access on 2026-11-22 at 00:00 UTC.", 43_200.0),
        ("You will regain access on 2026-11-22.", 43_200.0),
    ] {
        check_said(&Said { headers: &[], body_wait: None, message }, Some(seconds));
    }
    for message in ["Please try again later", "try again in a while", "regain access on 2020-01-01"] {
        check_said(&Said { headers: &[], body_wait: None, message }, None);
    }
}

#[test]
fn resets_count_only_where_nothing_remains() {
    check(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "60s")], None);
    check(
        &[
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "7.66s"),
        ],
        Some(7.66),
    );
    check(
        &[
            ("x-ratelimit-remaining-requests-day", "0"),
            ("x-ratelimit-reset-requests-day", "33011.5"),
            ("x-ratelimit-remaining-tokens-minute", "0"),
            ("x-ratelimit-reset-tokens-minute", "11.5"),
        ],
        Some(33_011.5),
    );
    check(
        &[
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-21T12:00:45Z"),
        ],
        Some(45.0),
    );
    check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795262460000")], Some(60.0));
    check(&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1795262460000")], None);
    check(&[("ratelimit", "\"minute\";r=0;t=30, \"day\";r=12;t=3600")], Some(30.0));
    check(&[("ratelimit", "\"minute\"; r=0; t=30, \"day\"; r=0; t=3600")], Some(3600.0));
    check(&[("ratelimit", "\"minute\";r=5;t=30")], None);
    check(&[("ratelimit-remaining", "-1"), ("ratelimit-reset", "9")], Some(9.0));
}

#[test]
fn the_providers_own_clock_is_believed() {
    // The provider's clock is one hour behind ours: the moment is 30 s away for it.
    check(
        &[("date", "Sat, 21 Nov 2026 11:00:00 GMT"), ("retry-after", "Sat, 21 Nov 2026 11:00:30 GMT")],
        Some(30.0),
    );
    check(&[("date", "yesterday"), ("retry-after", "Sat, 21 Nov 2026 12:00:30 GMT")], Some(30.0));
}

struct Any(Vec<(String, String)>);

impl Headers for Any {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

proptest! {
    #[test]
    fn any_text_has_a_bounded_wait_or_none(text in ".{0,40}", near in "[0-9.:TZhms µ+-]{0,24}") {
        for text in [&text, &near] {
            if let Some(wait) = parse_wait(text, NOW) {
                prop_assert!(wait > Duration::ZERO && wait <= LONGEST, "{text:?}: {wait:?}");
            }
        }
    }

    #[test]
    fn any_answer_has_a_bounded_wait_or_none(
        values in prop::collection::vec("[0-9a-zA-Z.,:; =\"-]{0,20}", 6),
        message in ".{0,60}",
    ) {
        let names = ["date", "retry-after", "retry-after-ms", "ratelimit", "x-ratelimit-reset", "ratelimit-reset"];
        let headers = Any(names.iter().map(|name| (*name).to_owned()).zip(values).collect());
        let body = ErrorBody { message, ..ErrorBody::default() };
        if let Some(wait) = stated_wait(&headers, Some(&body), NOW) {
            prop_assert!(wait > Duration::ZERO && wait <= LONGEST);
        }
    }

    #[test]
    fn a_duration_survives_being_written(millis in 1_u64..86_400_000) {
        let written = format!("{}m{}s", millis / 60_000, (millis % 60_000) as f64 / 1000.0);
        let read = parse_wait(&written, NOW).unwrap().as_secs_f64();
        prop_assert!((read * 1000.0 - millis as f64).abs() < 0.01, "{written}: {read}");
    }
}
