//! Bad input: every piece of it gets a 4xx in the caller's dialect or a closed connection, costs little, and disturbs
//! nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use unfail_sim::Speaks;
use unfail_sim::clock::Clock;
use unfail_testkit::process::resident;
use unfail_testkit::raw::Ending;
use unfail_testkit::{Raw, eventually};

use crate::stage::{PATIENCE, Plot, Stage, always, each};
use crate::way::{Told, Way};

/// Longest silence of the endpoint while it answers.
const SILENCE: Duration = Duration::from_secs(5);

async fn stage() -> Stage {
    Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer")).open().await
}

/// Sends raw bytes on a new connection; what came back up to the end of the first answer, and whether the connection
/// ended with it.
async fn sends(stage: &Stage, bytes: &[u8]) -> (String, Ending) {
    let mut caller = Raw::connect(stage.address).await.unwrap();
    // The endpoint may stop reading before everything is sent.
    caller.send(bytes).await.ok();
    let (mut response, clock) = (String::new(), Clock::start());
    loop {
        let (bytes, ending) = caller.read_all(Duration::from_millis(20)).await.unwrap();
        response.push_str(&String::from_utf8_lossy(&bytes));
        if ending != Ending::Open || is_whole(&response) || clock.now() > Duration::from_secs(2) {
            return (response, ending);
        }
    }
}

/// All of the body that its head announces is there.
fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A request with a body, as bytes.
fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The response is one error of the dialect, with this status.
fn is_refusal(way: Way, response: &str, expected: u16) -> bool {
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let error = serde_json::from_str::<Value>(body).unwrap_or(Value::Null)["error"].clone();
    let worded = error["message"].as_str().is_some_and(|words| !words.is_empty());
    let shaped = if way == Way::OpenAi { error["type"].is_string() } else { error["kind"].is_string() };
    status(response) == expected && worded && shaped && response.contains("x-should-retry: false")
}

// === bodies ===

/// Bodies that are no JSON object at all, or not the JSON they must be.
fn no_json() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(100_000), close.repeat(100_000));
        format!("{{\"model\":\"main\",\"messages\":{open}{close}}}").into_bytes()
    };
    let hidden = format!(
        "{{\"model\":\"main\",\"prompt\":\"x\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}],\"extra\":{}}}",
        "[".repeat(100_000)
    );
    vec![
        ("nothing", Vec::new()),
        ("blanks", b"   \n".to_vec()),
        ("half an object", b"{\"model\": \"main\"".to_vec()),
        ("a trailing comma", b"{\"model\": \"main\",}".to_vec()),
        ("two objects", b"{} {}".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a text", b"\"hello\"".to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"1e999".to_vec()),
        ("not quoted", b"{model: 'main'}".to_vec()),
        ("a form", b"model=main&prompt=hello".to_vec()),
        ("invalid UTF-8", b"{\"model\": \"main\", \"prompt\": \"\xff\xfe\"}".to_vec()),
        (
            "a lone surrogate",
            br#"{"model": "main", "prompt": "\ud800", "messages": [{"role":"user","content":"\ud800"}]}"#
                .to_vec(),
        ),
        ("zeros", vec![0; 1000]),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("deep arrays", deep("[", "]")),
        ("deep objects", deep("{\"a\":", "}")),
        ("deep and unclosed", "[".repeat(100_000).into_bytes()),
        ("deep where nobody looks", hidden.into_bytes()),
    ]
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let stage = stage().await;
    for way in Way::ALL {
        for (name, body) in no_json() {
            let (response, _) = sends(&stage, &request(way.path(), "", &body)).await;
            assert!(is_refusal(way, &response, 400), "{name} for {way:?}: {response}");
            assert!(response.len() < 2_000, "{name} for {way:?}: the body is echoed: {response}");
        }
    }
    assert_eq!(stage.calls(), [0, 0]);
    assert!(stage.still_answers().await);
}

/// Wrong types and values, and the place the error must name. Everything else of the body is right.
const WRONG: &[(&str, &str)] = &[
    (r#"{"model": 1}"#, "model"),
    (r#"{"model": null}"#, "model"),
    (r#"{"model": ["main"]}"#, "model"),
    (r#"{"messages": "hello"}"#, "messages"),
    (r#"{"messages": null}"#, "messages"),
    (r#"{"messages": {}}"#, "messages"),
    (r#"{"messages": []}"#, "messages"),
    (r#"{"messages": ["hello"]}"#, "messages[0]"),
    (r#"{"messages": [{}]}"#, "messages[0].role"),
    (r#"{"messages": [{"role": "emperor", "content": "x"}]}"#, "messages[0].role"),
    (r#"{"messages": [{"role": 7, "content": "x"}]}"#, "messages[0].role"),
    (r#"{"messages": [{"role": "user"}]}"#, "messages[0].content"),
    (r#"{"messages": [{"role": "user", "content": 5}]}"#, "messages[0].content"),
    (r#"{"messages": [{"role": "user", "content": {"text": "x"}}]}"#, "messages[0].content"),
    (r#"{"messages": [{"role": "user", "content": [5]}]}"#, "messages[0].content[0]"),
    (r#"{"messages": [{"role": "user", "content": [{"type": 5}]}]}"#, "messages[0].content[0].type"),
    (
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}"#,
        "messages[0].content[0].text",
    ),
    (r#"{"stream": "yes"}"#, "stream"),
    (r#"{"stream": 1}"#, "stream"),
    (r#"{"stream_options": true}"#, "stream_options"),
    (r#"{"max_tokens": "many"}"#, "max_tokens"),
    (r#"{"max_tokens": -1}"#, "max_tokens"),
    (r#"{"max_tokens": 1.5}"#, "max_tokens"),
    (r#"{"temperature": "hot"}"#, "temperature"),
    (r#"{"temperature": 9}"#, "temperature"),
    (r#"{"top_p": []}"#, "top_p"),
    (r#"{"n": 0}"#, "n"),
    (r#"{"n": "2"}"#, "n"),
    (r#"{"stop": 5}"#, "stop"),
    (r#"{"stop": [5]}"#, "stop[0]"),
    (r#"{"tools": {}}"#, "tools"),
    (r#"{"tools": [5]}"#, "tools[0]"),
    (r#"{"tool_choice": 5}"#, "tool_choice"),
    (r#"{"response_format": "json"}"#, "response_format"),
    (r#"{"response_format": {}}"#, "response_format.type"),
    (r#"{"user": 5}"#, "user"),
    (r#"{"seed": "x"}"#, "seed"),
    (r#"{"models": "main"}"#, "models"),
    (r#"{"fallbacks": [5]}"#, "fallbacks[0]"),
];

/// The right body of a dialect under the members of another.
fn under(way: Way, members: &str) -> Value {
    let mut body = way.body("main", "hello", false);
    let wrong: Value = serde_json::from_str(members).unwrap();
    body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn wrong_types_are_named() {
    let stage = stage().await;
    for (members, place) in WRONG {
        let told = stage.send(Way::OpenAi, &[], &under(Way::OpenAi, members)).await;
        assert!(told.is_error(400), "{members}: {told:?}");
        let param = told.error.as_ref().unwrap()["param"].as_str().unwrap_or_default();
        assert_eq!(param, *place, "{members}: {told:?}");
    }
    for (members, place) in [
        (r#"{"prompt": 5}"#, "prompt"),
        (r#"{"prompt": ""}"#, "prompt"),
        (r#"{"promt": "x"}"#, "promt"),
        (r#"{"messages": [{"role": "user", "content": "both"}]}"#, "prompt"),
        (r#"{"stream": "yes"}"#, "stream"),
        (r#"{"max_tokens": 0}"#, "max_tokens"),
        (r#"{"temperature": 3}"#, "temperature"),
        (r#"{"schema": 5}"#, "schema"),
        (r#"{"models": 5}"#, "models"),
        (r#"{"model": 5}"#, "model"),
    ] {
        let told = stage.send(Way::Chat, &[], &under(Way::Chat, members)).await;
        assert!(told.is_error(400), "{members}: {told:?}");
        assert_eq!(told.error.as_ref().unwrap()["param"], place, "{members}: {told:?}");
    }
    for (body, place) in [
        (json!({}), "service"),
        (json!({"service": 5, "input": {"prompt": "x"}}), "service"),
        (json!({"service": "llm"}), "input"),
        (json!({"service": "llm", "input": "x"}), "input"),
        (json!({"service": "llm", "input": {}}), "input.prompt"),
        (json!({"service": "llm", "input": {"prompt": ["x"]}}), "input.prompt"),
        (json!({"service": "gpt", "input": {"prompt": "x"}}), "service"),
        (json!({"service": "llm", "input": {"prompt": "x"}, "output": 1}), "output"),
    ] {
        let told = stage.send(Way::Run, &[], &body).await;
        assert!(told.is_error(400), "{body}: {told:?}");
        assert_eq!(told.error.as_ref().unwrap()["param"], place, "{body}: {told:?}");
    }
    assert_eq!(stage.calls(), [0, 0]);
    assert!(stage.still_answers().await);
}

#[tokio::test]
async fn ten_thousand_messages_are_served() {
    let turn = |number: usize| json!({"role": if number.is_multiple_of(2) { "user" } else { "assistant" }, "content": format!("turn {number}")});
    let turns: Vec<Value> = (0..9_999).map(turn).collect();
    let stage = stage().await;
    for (way, model) in
        [(Way::OpenAi, "alder/alder-large"), (Way::Chat, "main"), (Way::OpenAi, "birch/birch-large")]
    {
        let told = stage.send(way, &[], &json!({"model": model, "messages": turns})).await;
        assert!(told.is_complete(), "{way:?} {model}: {:?}", told.error);
        assert!(told.text.contains("turn 9998 (turn 5000)"), "{way:?} {model}: {}", told.text);
    }
    assert_eq!(stage.calls(), [2, 1]);
}

// === size ===

/// Eight bodies of 50 MB at once: all are refused, and memory stays where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large() {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer"));
    let stage = plot.server("max_body = \"1MB\"").open().await;
    // Everything that is done once is done before memory is looked at.
    assert!(stage.still_answers().await);
    assert!(is_too_large(stage.address, Way::OpenAi, true).await);
    let before = resident().unwrap();
    let address = stage.address;
    let runs = Way::ALL.into_iter().cycle().zip([true, false, true, false, true, false, true, false]);
    let highest = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let watched = std::sync::Arc::clone(&highest);
    let mut watch = tokio::task::JoinSet::new();
    watch.spawn(async move {
        loop {
            watched.fetch_max(resident().unwrap(), std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    each(runs, move |(way, declared)| async move {
        assert!(is_too_large(address, way, declared).await, "{way:?}, declared: {declared}");
    })
    .await;
    watch.shutdown().await;
    let grown = highest.load(std::sync::atomic::Ordering::Relaxed).saturating_sub(before);
    // Up to 1 MB each may be read before the limit is met, and buffers on both sides of the socket.
    assert!(grown < 24 << 20, "{} MB", grown >> 20);
    assert_eq!(stage.calls(), [1, 0]);
    assert!(stage.still_answers().await);
}

/// Sends 50 MB, declared or in chunks; whether the answer is 413 in the dialect and the connection ends.
async fn is_too_large(address: std::net::SocketAddr, way: Way, declared: bool) -> bool {
    const PIECE: usize = 64 << 10;
    let length = if declared { "content-length: 52428800" } else { "transfer-encoding: chunked" };
    let mut caller = Raw::connect(address).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n", way.path());
    caller.send(head.as_bytes()).await.unwrap();
    let mut piece = vec![b' '; PIECE];
    if !declared {
        piece = [format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
    }
    caller.flood(&piece, 52_428_800).await;
    if !declared {
        caller.send(b"0\r\n\r\n").await.ok();
    }
    let (bytes, ending) = caller.read_all(SILENCE).await.unwrap();
    let response = String::from_utf8_lossy(&bytes);
    is_refusal(way, &response, 413) && response.contains("connection: close") && ending == Ending::Closed
}

/// A caller who asks before it sends is told at once, and keeps its body.
#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_called_for() {
    let stage = stage().await;
    for (length, told) in [(52_428_800, "HTTP/1.1 413 "), (100, "HTTP/1.1 100 ")] {
        let mut caller = Raw::connect(stage.address).await.unwrap();
        let head = "POST /chat HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length:";
        caller.send(format!("{head} {length}\r\n\r\n").as_bytes()).await.unwrap();
        let response = caller.read_until("\r\n\r\n", SILENCE).await.unwrap();
        assert!(response.starts_with(told), "{length}: {response}");
    }
}

/// The limit itself: a body of exactly so many bytes is read, one more is not.
#[tokio::test]
async fn the_limit_is_exact() {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer"));
    let stage = plot.server("max_body = \"10kB\"").open().await;
    let body = Way::Chat.body("main", "hello", false).to_string();
    for (size, expected) in [(10_000, 200), (10_001, 413)] {
        let padded = format!("{body}{}", " ".repeat(size - body.len()));
        let (response, _) = sends(&stage, &request("/chat", "", padded.as_bytes())).await;
        assert_eq!(status(&response), expected, "{size}: {response}");
        let chunked = format!(
            "POST /chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{padded}\r\n0\r\n\r\n",
            padded.len()
        );
        let (response, _) = sends(&stage, chunked.as_bytes()).await;
        assert_eq!(status(&response), expected, "{size} in chunks: {response}");
    }
}

#[tokio::test]
async fn floods_of_headers() {
    let stage = stage().await;
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let large = |size: usize| format!("x-large: {}\r\n", "a".repeat(size));
    for way in Way::ALL {
        let body = way.body("main", "hello", false).to_string();
        for (name, headers, told) in [
            ("few", many(50), 200),
            ("large", large(40 << 10), 413),
            // Beyond reading: refused before anything but the path is known of the request.
            ("many", many(150), 431),
            ("a flood", many(5_000), 431),
            ("a large flood", large(1 << 20), 431),
        ] {
            let (response, ending) = sends(&stage, &request(way.path(), &headers, body.as_bytes())).await;
            // Who is still sending when the connection ends may lose the answer to a reset.
            let lost = told == 431 && ending == Ending::Reset;
            assert!(lost || status(&response) == told, "{name} for {way:?}: {response} {ending:?}");
            if told != 200 && !lost {
                assert!(is_refusal(way, &response, told), "{name} for {way:?}: {response}");
                assert!(response.contains("x-unfail-request-id: req_"), "{name} for {way:?}: {response}");
            }
        }
    }
    assert!(stage.still_answers().await);
}

// === HTTP ===

#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let stage = stage().await;
    for (line, expected, way) in [
        ("POST /nothing", 404, Way::OpenAi),
        ("POST /v1/chat", 404, Way::OpenAi),
        ("POST /v1/chat/completions/", 404, Way::OpenAi),
        ("GET /", 404, Way::OpenAi),
        ("GET /../../etc/passwd", 404, Way::OpenAi),
        ("GET /v1/chat/completions", 405, Way::OpenAi),
        ("DELETE /v1/chat/completions", 405, Way::OpenAi),
        ("PUT /chat", 405, Way::Chat),
        ("GET /run", 405, Way::Run),
        ("POST /v1/models", 405, Way::OpenAi),
        ("POST /v1/models/main", 405, Way::OpenAi),
        ("POST /healthz", 405, Way::OpenAi),
        ("DELETE /readyz", 405, Way::OpenAi),
    ] {
        let bytes = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}");
        let (response, _) = sends(&stage, bytes.as_bytes()).await;
        assert!(is_refusal(way, &response, expected), "{line}: {response}");
        assert!(response.contains("x-unfail-request-id: req_"), "{line}: {response}");
        let (_, path) = line.split_once(' ').unwrap();
        let takes =
            if ["/v1/chat/completions", "/chat", "/run"].contains(&path) { "POST" } else { "GET, HEAD" };
        let allow = response.lines().find_map(|line| line.strip_prefix("allow: "));
        assert_eq!(allow, (expected == 405).then_some(takes), "{line}: {response}");
        assert!(
            expected != 405 || response.contains(&format!("{path} takes {takes}, not ")),
            "{line}: {response}"
        );
    }
    assert!(stage.still_answers().await);
}

/// A method that only asks for the head is taken where the body may be read.
#[tokio::test]
async fn heads_are_told_without_bodies() {
    let stage = stage().await;
    for path in ["/healthz", "/readyz", "/v1/models", "/v1/models/main"] {
        let bytes = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut caller = Raw::connect(stage.address).await.unwrap();
        caller.send(bytes.as_bytes()).await.unwrap();
        let (response, _) = caller.read_all(SILENCE).await.unwrap();
        let response = String::from_utf8_lossy(&response);
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert_eq!((status(head), body), (200, ""), "{path}: {response}");
        assert!(head.contains("x-unfail-request-id: req_"), "{path}: {response}");
    }
}

#[tokio::test]
async fn what_is_no_http() {
    let stage = stage().await;
    let tls = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for (name, bytes) in [
        ("noise", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("TLS", tls.to_vec()),
        ("a bare line", b"hello\r\n\r\n".to_vec()),
        ("HTTP/2 by surprise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("no version", b"POST /chat\r\n\r\n".to_vec()),
        ("a strange version", b"POST /chat HTTP/9.9\r\nhost: x\r\n\r\n".to_vec()),
        (
            "two lengths",
            b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}".to_vec(),
        ),
        (
            "a length that is none",
            b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n{}".to_vec(),
        ),
        ("a negative length", b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{}".to_vec()),
        ("a line break in a header", b"POST /chat HTTP/1.1\r\nhost: x\r\nx: a\nb\r\n\r\n".to_vec()),
        ("a header without a name", b"POST /chat HTTP/1.1\r\n: x\r\n\r\n".to_vec()),
        (
            "chunks that are none",
            b"POST /chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
                .to_vec(),
        ),
        (
            "an unknown coding",
            b"POST /chat HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n{}".to_vec(),
        ),
    ] {
        let (response, ending) = sends(&stage, &bytes).await;
        let refused = response.is_empty() || (400..500).contains(&status(&response));
        let waits = name == "TLS" || name == "a bare line";
        assert!(refused, "{name}: {response}");
        assert!(waits || ending != Ending::Open || !response.is_empty(), "{name}: {response} {ending:?}");
        assert!(stage.still_answers().await, "{name}");
    }
    assert_eq!(stage.calls()[1], 0);
}

/// A length and chunks at once are the means of smuggling a second request past a proxy: only one answer may come.
#[tokio::test]
async fn nothing_is_smuggled() {
    let stage = stage().await;
    let bytes = "POST /chat HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
                 0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let (response, _) = sends(&stage, bytes.as_bytes()).await;
    assert!(
        !response.contains("\"status\":\"ok\"") || response.matches("HTTP/1.1 ").count() == 2,
        "{response}"
    );
    assert!(
        !response.contains("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-unfail-target"),
        "{response}"
    );
    assert!(stage.still_answers().await);
}

#[tokio::test]
async fn compressed_bodies_are_refused_by_name() {
    let stage = stage().await;
    let body = Way::Chat.body("main", "hello", false).to_string();
    for (coding, expected) in
        [("gzip", 400), ("br", 400), ("zstd", 400), ("deflate, gzip", 400), ("identity", 200)]
    {
        for way in Way::ALL {
            let body =
                if expected == 200 { way.body("main", "hello", false).to_string() } else { body.clone() };
            let bytes = request(way.path(), &format!("content-encoding: {coding}\r\n"), body.as_bytes());
            let (response, _) = sends(&stage, &bytes).await;
            assert_eq!(status(&response), expected, "{coding}: {response}");
            assert!(expected == 200 || is_refusal(way, &response, 400), "{coding}: {response}");
        }
    }
}

#[tokio::test]
async fn bodies_in_chunks_of_any_size_are_read() {
    let stage = stage().await;
    let body = Way::OpenAi.body("main", "naïve 🦀", false).to_string();
    for size in [1, 2, 3, 7, 4096] {
        let mut bytes =
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.as_bytes().chunks(size) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
        let (response, _) = sends(&stage, &bytes).await;
        assert!(status(&response) == 200 && response.contains("alder heard: naïve 🦀"), "{size}: {response}");
    }
}

#[tokio::test]
async fn bodies_shorter_than_announced() {
    let stage = stage().await;
    for way in Way::ALL {
        let body = way.body("main", "hello", false).to_string();
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n{body}", way.path());
        let mut caller = Raw::connect(stage.address).await.unwrap();
        caller.send(head.as_bytes()).await.unwrap();
        caller.half_close().await.unwrap();
        let (bytes, ending) = caller.read_all(SILENCE).await.unwrap();
        let response = String::from_utf8_lossy(&bytes);
        assert!(response.is_empty() || status(&response) == 400, "{way:?}: {response}");
        assert_ne!(ending, Ending::Open, "{way:?}");
    }
    assert_eq!(stage.calls(), [0, 0]);
    assert!(stage.still_answers().await);
}

// === slowness ===

/// Short times for slow callers.
async fn hurried() -> Stage {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Anthropic), always("answer"));
    plot.server("header_timeout = \"500ms\"").server("body_timeout = \"600ms\"").open().await
}

#[tokio::test]
async fn slow_heads_are_not_waited_for() {
    let stage = hurried().await;
    let mut callers = Vec::new();
    for _ in 0..50 {
        let mut caller = Raw::connect(stage.address).await.unwrap();
        caller.send(b"POST /chat HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        callers.push(caller);
    }
    assert!(stage.still_answers().await, "others are served meanwhile");
    // One byte every now and then does not buy more time.
    let mut slow = callers.pop().unwrap();
    slow.drip(b"x-slow: 0123456789", 1, Duration::from_millis(100)).await.ok();
    for mut caller in callers.into_iter().chain([slow]) {
        let (bytes, ending) = caller.read_all(SILENCE).await.unwrap();
        assert_ne!(ending, Ending::Open, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn slow_bodies_are_not_waited_for() {
    let stage = hurried().await;
    let address = stage.address;
    let cases = Way::ALL.into_iter().flat_map(|way| [true, false].map(|drips| (way, drips)));
    each(cases, move |(way, drips)| async move {
        let case = format!("{way:?}, drips: {drips}");
        let body = way.body("main", &"hello ".repeat(20), false).to_string();
        let mut caller = Raw::connect(address).await.unwrap();
        let length = body.len();
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n", way.path());
        caller.send(head.as_bytes()).await.unwrap();
        let clock = Clock::start();
        // The time is that of the whole body: a byte now and then does not buy more of it.
        if drips {
            caller.drip(&body.as_bytes()[..14], 1, Duration::from_millis(200)).await.ok();
        }
        let (bytes, ending) = caller.read_all(SILENCE).await.unwrap();
        let response = String::from_utf8_lossy(&bytes);
        let told = is_refusal(way, &response, 400) && response.contains("connection: close");
        assert!(told || (drips && ending == Ending::Reset), "{case}: {response} {ending:?}");
        assert_ne!(ending, Ending::Open, "{case}");
        let took = clock.now().as_millis();
        assert!(took < if drips { 3_100 } else { 1_500 }, "{case}: {took} ms");
    })
    .await;
    assert_eq!(stage.calls(), [0, 0]);
    assert!(stage.still_answers().await);
}

/// Requests one behind the other on one connection are answered in order; garbage behind them ends it.
#[tokio::test]
async fn pipelined_requests_and_garbage() {
    let stage = stage().await;
    let body = |prompt: &str| Way::Chat.body("main", prompt, false).to_string();
    let one = request("/chat", "", body("one").as_bytes());
    let two = request("/chat", "", body("two").as_bytes());
    let mut caller = Raw::connect(stage.address).await.unwrap();
    caller.send(&[one.clone(), two].concat()).await.unwrap();
    let response = caller.read_until("heard: two", PATIENCE).await.unwrap();
    assert_eq!(response.matches("HTTP/1.1 200").count(), 2, "{response}");
    assert!(response.find("heard: one") < response.find("heard: two"), "{response}");
    let mut caller = Raw::connect(stage.address).await.unwrap();
    caller.send(&[one, b"\x00garbage\r\n\r\n".to_vec()].concat()).await.unwrap();
    let (bytes, ending) = caller.read_all(SILENCE).await.unwrap();
    let response = String::from_utf8_lossy(&bytes);
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("heard: one"), "{response}");
    assert_ne!(ending, Ending::Open, "{response}");
    assert!(stage.still_answers().await);
}

/// Callers that open connections and say nothing take nothing from others.
#[tokio::test]
async fn silent_connections_cost_nothing() {
    let stage = hurried().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(Raw::connect(stage.address).await.unwrap());
    }
    assert!(stage.still_answers().await);
    for mut caller in silent {
        let (_, ending) = caller.read_all(SILENCE).await.unwrap();
        assert_ne!(ending, Ending::Open);
    }
}

/// An answer that is asked for and never finished being asked for leaves the providers alone.
#[tokio::test]
async fn half_requests_reach_nobody() {
    let stage = stage().await;
    let whole = request("/chat", "", Way::Chat.body("main", "hello", false).to_string().as_bytes());
    for at in (1..whole.len()).step_by(9) {
        let mut caller = Raw::connect(stage.address).await.unwrap();
        caller.send(&whole[..at]).await.unwrap();
        caller.reset().unwrap();
    }
    assert!(stage.still_answers().await);
    assert_eq!(stage.calls(), [1, 0]);
    let idle = || stage.providers.iter().all(|provider| provider.in_flight() == 0);
    eventually(PATIENCE, idle).await.unwrap();
}

/// A caller's own fault is told by us, whichever mode: nobody was asked.
#[tokio::test]
async fn faults_of_the_caller_are_told_in_product_mode_too() {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Gemini), always("answer"));
    let stage = plot.server("mode = \"product\"").open().await;
    for way in Way::ALL {
        let mut body = way.body("main", "hello", false);
        let inner = if way == Way::Run { &mut body["input"] } else { &mut body };
        inner["temperature"] = json!("hot");
        let told: Told = stage.send(way, &[], &body).await;
        assert!(told.is_error(400), "{told:?}");
        assert!(told.raw.contains("temperature"), "{told:?}");
    }
}
