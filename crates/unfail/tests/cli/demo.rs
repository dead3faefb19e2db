//! `unfail demo`: the storm, its summary, and the endpoint that stays up.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;
use unfail_testkit::Client;

use crate::program::{Running, alone, unfail};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// The sum of a field over a list.
fn sum(list: &Value, field: &str) -> u64 {
    list.as_array().unwrap().iter().map(|entry| number(&entry[field])).sum()
}

/// The summary of one storm that every test may look at.
fn summary() -> &'static Value {
    static SUMMARY: OnceLock<Value> = OnceLock::new();
    SUMMARY.get_or_init(|| {
        let output = alone(&["demo", "--once", "--json", "--listen", "127.0.0.1:0"]);
        assert_eq!(output.code, Some(0), "{}", output.err);
        assert_eq!(output.out.lines().count(), 1, "one object on one line: {}", output.out);
        serde_json::from_str(&output.out).unwrap()
    })
}

#[test]
fn the_summary_adds_up() {
    let summary = summary();
    let of = |field: &str| number(&summary[field]);
    assert_eq!(of("requests"), of("answers") + of("failed") + of("cut"), "{summary}");
    assert_eq!(of("lost"), 0);
    assert!(of("requests") > 100 && of("cut") >= 1, "{summary}");
    assert_eq!(of("failed"), 1, "{summary}");
    let upstream = &summary["upstream"];
    let calls = number(&upstream["calls"]);
    assert_eq!(calls, number(&upstream["calls_told"]), "callers are told what providers counted");
    assert_eq!(calls, of("answers") + number(&upstream["wasted_calls"]));
    let per_answer = upstream["calls_per_answer"].as_f64().unwrap();
    assert!((1.0..1.25).contains(&per_answer), "{per_answer}");
    assert!(number(&upstream["hops"]) > 0, "{summary}");

    let providers = &summary["providers"];
    assert_eq!(sum(providers, "calls"), calls);
    assert_eq!(sum(providers, "answers"), of("answers"), "no answer without a provider's, and none twice");
    assert_eq!(sum(providers, "calls"), sum(providers, "answers") + sum(providers, "faults"));
    let wires: Vec<&str> =
        providers.as_array().unwrap().iter().map(|p| p["wire"].as_str().unwrap()).collect();
    for wire in ["anthropic", "openai-chat", "gemini"] {
        assert!(wires.contains(&wire), "{wires:?}");
    }
    let phases = &summary["phases"];
    for field in ["requests", "answers", "cut", "failed"] {
        assert_eq!(sum(phases, field), of(field), "{field}");
    }
    let added = &summary["added_latency"];
    assert!(added["p50_ms"].as_f64().unwrap() <= added["p95_ms"].as_f64().unwrap(), "{added}");
}

#[test]
fn phases_show_what_they_say() {
    let phases = summary()["phases"].as_array().unwrap();
    let phase = |name: &str| phases.iter().find(|phase| phase["name"] == name).unwrap();
    let first = |name: &str| number(&phase(name)["calls"]["anthropic"]);

    let calm = phase("calm");
    assert_eq!(first("calm"), number(&calm["requests"]), "the first of the chain gets everything");
    assert!(number(&phase("limited")["requests"]) > 20);
    // One that learns, one that finds it open again.
    assert!(first("limited") <= 3, "{}", phase("limited"));
    assert!(first("overload") <= 6, "three open the breaker: {}", phase("overload"));
    assert_eq!(phase("late cut")["cut"], 1);
    // The one that could not wait was told so.
    let out = phase("all out");
    assert_eq!(number(&out["failed"]), 1, "{out}");
    assert_eq!(number(&out["answers"]) + 1, number(&out["requests"]), "{out}");
    assert_eq!(first("probe"), 1, "exactly one call looks: {}", phase("probe"));
    assert_eq!(first("recovery"), number(&phase("recovery")["requests"]));
    let quiet = ["calm", "limited", "no hint", "overload", "hang", "early cut", "probe", "recovery"];
    for name in quiet {
        assert_eq!(phase(name)["answers"], phase(name)["requests"], "{name}: nobody notices");
    }
}

/// Asserts that standard output is a table with a row for every request, and a summary below it.
fn check_table(out: &str) {
    assert!(!out.contains('\x1b'), "no control sequences where no terminal is");
    let (rows, summary) = out.split_once("\nsummary of ").unwrap();
    let first_word = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
    let mut numbers: Vec<u32> = rows.lines().filter_map(first_word).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let requests = summary.lines().find(|line| line.trim_start().starts_with("requests")).unwrap();
    assert_eq!(requests.split_whitespace().last().unwrap(), numbers.len().to_string());
    let trails = ["anthropic:rate_limited,groq:ok", "anthropic:overloaded,", "anthropic:timeout,"];
    for part in
        trails.into_iter().chain(["error 429", " cut ", "come back in ", "then: the answer broke off"])
    {
        assert!(rows.contains(part), "{part}");
    }
    for part in ["wants", " stream ", " whole ", "2 s that its route allows"] {
        assert!(rows.contains(part), "{part}");
    }
    for part in ["calls per answer", "wasted calls", "added latency p95", "provider ", "cerebras"] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_shown_and_it_serves_until_told_to_stop() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Running::start(&mut unfail(folder.path(), &["demo", "--listen", &wanted]));
    let line = demo.line("still serving on http://");
    let address = line.split(&[' ', ',']).find(|word| word.starts_with("http://")).unwrap();
    assert!(!address.contains(&wanted), "{address} is in use");
    let curl = demo.line("try: curl");
    assert!(curl.contains(address), "{curl}");

    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello there"}]});
    let answer = Client::new().post(&format!("{address}/v1/chat/completions"), &[], &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains("Hello there"),
        "the simulated model says what it heard: {}",
        answer.text()
    );
    assert_eq!(answer.header("x-unfail-trail"), "anthropic:ok");

    demo.signal("TERM");
    let output = demo.end();
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.out.contains(&format!("{wanted} is in use; another port is taken")), "{}", output.out);
    assert!(!output.out.contains("{\""), "no request log: {}", output.out);
    check_table(&output.out);
}

#[test]
fn an_interrupt_ends_the_storm() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Running::start(&mut unfail(folder.path(), &["demo", "--json", "--listen", "127.0.0.1:0"]));
    demo.line("1/10 calm");
    demo.signal("INT");
    let output = demo.end();
    assert_eq!(output.code, Some(130), "{}", output.err);
    assert_eq!(output.out, "");
    assert!(output.err.contains("stopped before the end"), "{}", output.err);
}

#[test]
fn an_address_it_cannot_have_is_said() {
    let output = alone(&["demo", "--once", "--listen", "0.0.0.0:8080"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(output.err.contains("0.0.0.0:8080 is not loopback"), "{}", output.err);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = unfail(folder.path(), &["demo", "--once", "--listen", "0"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("unfail demo"), "{first}");
    // The pipe is closed now. The storm takes many seconds more; what is left ends long before.
    let clock = unfail_sim::clock::Clock::start();
    let ended = child.wait_with_output().unwrap();
    assert!(clock.now() < Duration::from_secs(8), "{:?}", clock.now());
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));
}
