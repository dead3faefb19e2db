//! The program: its arguments, its one line, its control endpoints.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use unfail_sim::Speaks;
use unfail_testkit::Client;

use crate::ask::ask;

/// A running program, ended when dropped.
struct Program {
    child: Child,
    base: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn start(arguments: &[&str]) -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unfail-sim"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let base = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    Program { child, base }
}

#[tokio::test]
async fn a_program_can_be_driven() {
    let program = start(&["--wire", "anthropic", "--port", "0", "--act", "overloaded"]);
    let client = Client::new();
    let asked = ask(Speaks::Anthropic, "hello", false);
    let url = format!("{}{}", program.base, asked.path);
    let status = async || client.post(&url, &asked.headers, &asked.body).await.unwrap().status.as_u16();
    let script =
        async |body: Value| client.post(&format!("{}/_sim/script", program.base), &[], &body).await.unwrap();
    assert_eq!(status().await, 529);
    let told = json!({"acts": ["server-error", {"act": "delay:5:answer", "say": "hi"}, {"status": 418, "body": "x"}],
        "default": "unavailable"});
    assert_eq!(script(told).await.status, 200);
    assert_eq!([status().await, status().await, status().await, status().await], [500, 200, 418, 503]);
    let limited = json!({"limit": {"allow": 1, "window_ms": 60_000, "refill": "bucket", "stated": "ms"}});
    assert_eq!(script(limited).await.status, 200);
    assert_eq!([status().await, status().await], [200, 429]);
    assert_eq!(script(json!({"accept_keys": ["k"]})).await.status, 200);
    assert_eq!(status().await, 401);

    let calls = client.get(&format!("{}/_sim/calls", program.base), &[]).await.unwrap().json();
    let told: Vec<(&str, &Value)> =
        calls.as_array().unwrap().iter().map(|call| (call["act"].as_str().unwrap(), &call["end"])).collect();
    let sent = &json!("sent");
    let acts = [
        "overloaded",
        "server-error",
        "delay:5:answer",
        "status:418",
        "unavailable",
        "answer",
        "limited",
        "wrong key",
    ];
    assert_eq!(told, acts.map(|act| (act, sent)));
    assert_eq!(calls[0]["body"], asked.body);
    assert!(calls[0]["at_ms"].is_u64() && calls[0]["ended_ms"].is_u64() && calls[0]["headers"].is_array());
}

#[tokio::test]
async fn a_bad_script_is_refused_and_changes_nothing() {
    let provider = crate::ask::provider(Speaks::OpenAiChat, "overloaded".parse::<unfail_sim::Act>().unwrap());
    let client = Client::new();
    let url = format!("{}/_sim/script", provider.base_url());
    for (body, words) in [
        (json!([]), "not an object"),
        (json!({"act": "answer"}), "unknown field `act`"),
        (json!({"acts": ["sing"]}), "unknown act `sing`"),
        (json!({"default": 5}), "no act"),
        (json!({"limit": {"allow": 1}}), "limit.window_ms"),
        (json!({"limit": {"allow": 1, "window_ms": 1, "refill": "x"}}), "limit.refill"),
        (json!({"limit": {"allow": 1, "window_ms": 1, "stated": "x"}}), "limit.stated"),
    ] {
        let answer = client.post(&url, &[], &body).await.unwrap();
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    assert_eq!(client.get(&format!("{}/_sim/else", provider.base_url()), &[]).await.unwrap().status, 404);
    let answer = crate::ask::post(&provider, &ask(Speaks::OpenAiChat, "hello", false)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(provider.count(), 1, "control calls are no calls");
}

#[test]
fn help_is_no_error() {
    for argument in ["--help", "-h"] {
        let output = Command::new(env!("CARGO_BIN_EXE_unfail-sim")).arg(argument).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("usage:") && said.contains("--act"), "{said}");
        assert_eq!(output.stderr, b"");
    }
}

#[tokio::test]
async fn bad_arguments_are_named() {
    for (arguments, words) in [
        (vec!["--wire", "morse"], "unknown wire `morse`"),
        (vec!["--act", "sing"], "unknown act `sing`"),
        (vec!["--port", "x"], "`x` is no port"),
        (vec!["--port"], "needs a value"),
        (vec!["--colour", "red"], "unknown argument `--colour`"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_unfail-sim")).args(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words) && said.contains("usage:"), "{said}");
    }
    tokio::time::timeout(Duration::from_secs(5), async { start(&["--wire", "gemini"]) }).await.unwrap();
}
