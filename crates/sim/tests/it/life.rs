//! The life of calls and connections: who left when, what is open, what a dropped provider takes with it.

use std::time::Duration;

use unfail_sim::{Act, End, Provider, Script, Speaks};
use unfail_testkit::raw::{Ending, Raw, seen};
use unfail_testkit::{Client, eventually};

use crate::ask::{ask, post, provider, raw};

const SOON: Duration = Duration::from_secs(5);

/// A caller that leaves in the middle is noticed at once, whatever the provider was doing.
#[tokio::test]
async fn a_caller_that_leaves_is_noticed() {
    for act in [
        "hang-before-headers",
        "hang-after-headers",
        "stall-after:3",
        "delay:60000:answer",
        "answer:0:1000",
        "slow-drip:8:500",
    ] {
        for (wire, resets) in Speaks::ALL.into_iter().zip([false, true, false]) {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let asked = ask(wire, "hello", true);
            let mut raw = Raw::connect(provider.address()).await.unwrap();
            raw.post(asked.path, &asked.headers, &asked.body.to_string()).await.unwrap();
            eventually(SOON, || provider.in_flight() == 1).await.unwrap();
            assert_eq!((provider.cancelled(), provider.connections_open()), (0, 1));
            let left = provider.now();
            if resets {
                raw.reset().unwrap();
            } else {
                drop(raw);
            }
            eventually(SOON, || provider.in_flight() == 0).await.unwrap();
            eventually(SOON, || provider.connections_open() == 0).await.unwrap();
            let call = provider.calls().remove(0);
            assert_eq!((provider.cancelled(), call.end), (1, End::CallerGone), "{act} on {wire}");
            let noticed = call.ended.unwrap();
            assert!(
                noticed >= left && noticed - left < Duration::from_secs(1),
                "{act}: {left:?} {noticed:?}"
            );
        }
    }
}

#[tokio::test]
async fn calls_are_remembered() {
    let provider = provider(Speaks::Anthropic, Act::default());
    provider.set_script(Script::first(["overloaded", "cut-after:2"].map(|act| act.parse::<Act>().unwrap())));
    for streamed in [false, true, false] {
        raw(&provider, &ask(Speaks::Anthropic, "hello", streamed)).await;
    }
    eventually(SOON, || provider.in_flight() == 0).await.unwrap();
    let calls = provider.calls();
    let told: Vec<_> =
        calls.iter().map(|call| (call.number, call.act.as_str(), call.status, call.end)).collect();
    assert_eq!(
        told,
        [
            (1, "overloaded", Some(529), End::Sent),
            (2, "cut-after:2", Some(200), End::Broken),
            (3, "answer", Some(200), End::Sent),
        ]
    );
    let call = &calls[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/v1/messages"));
    assert_eq!(call.header("x-api-key"), Some("sk-ant-test"));
    assert_eq!(call.body["messages"][0]["content"], "hello");
    assert!(calls.windows(2).all(|two| two[0].at <= two[1].at && two[0].ended.unwrap() >= two[0].at));
    assert_eq!((provider.count(), provider.name(), provider.wire()), (3, "Simone", Speaks::Anthropic));
}

/// What reached it is known from the first byte on, and when there never was one.
#[tokio::test]
async fn calls_that_never_come_to_their_end_have_reached_it() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let asked = ask(Speaks::OpenAiChat, "hello", false);
    let told = || (provider.reached(), provider.count());
    let mut whole = Raw::connect(provider.address()).await.unwrap();
    for count in 1..=2 {
        whole.post(asked.path, &asked.headers, &asked.body.to_string()).await.unwrap();
        whole.read_response(SOON).await.unwrap();
        assert_eq!(told(), (count, count));
    }
    drop(whole);
    let mut partial = Raw::connect(provider.address()).await.unwrap();
    partial.send(b"P").await.unwrap();
    eventually(SOON, || told() == (3, 2)).await.unwrap();
    drop(partial);
    let silent = Raw::connect(provider.address()).await.unwrap();
    eventually(SOON, || provider.connections_open() == 1).await.unwrap();
    assert_eq!(told(), (3, 2), "it may still ask");
    drop(silent);
    eventually(SOON, || told() == (4, 2)).await.unwrap();
    Client::new().get(&format!("{}/_sim/calls", provider.base_url()), &[]).await.unwrap();
    assert_eq!(told(), (4, 2), "control calls are no calls");
}

#[tokio::test]
async fn answers_can_be_held_back() {
    let provider = provider(Speaks::Anthropic, Act::default());
    provider.hold();
    let asked = ask(Speaks::Anthropic, "hello", true);
    let mut callers = Vec::new();
    for _ in 0..3 {
        let mut caller = Raw::connect(provider.address()).await.unwrap();
        caller.post(asked.path, &asked.headers, &asked.body.to_string()).await.unwrap();
        callers.push(caller);
    }
    eventually(SOON, || provider.in_flight() == 3).await.unwrap();
    drop(callers.pop());
    eventually(SOON, || provider.cancelled() == 1).await.unwrap();
    for caller in &mut callers {
        assert_eq!(caller.read_all(Duration::from_millis(30)).await.unwrap(), (Vec::new(), Ending::Open));
    }
    provider.release();
    for caller in &mut callers {
        assert_eq!(caller.read_response(SOON).await.unwrap().status, 200);
    }
    raw(&provider, &asked).await;
    assert_eq!(provider.calls()[3].end, End::Sent, "nothing is held back any more");
}

#[tokio::test]
async fn connections_are_kept() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let asked = ask(Speaks::OpenAiChat, "hello", true);
    let url = format!("{}{}", provider.base_url(), asked.path);
    let client = Client::new();
    for _ in 0..3 {
        client.post(&url, &asked.headers, &asked.body).await.unwrap();
    }
    assert!(provider.calls().iter().all(|call| call.connection == 1));
    drop(client);
    let closing = [asked.headers.clone(), vec![("connection", "close")]].concat();
    let mut raw = Raw::connect(provider.address()).await.unwrap();
    raw.post(asked.path, &closing, &asked.body.to_string()).await.unwrap();
    assert_eq!(raw.read_all(SOON).await.unwrap().1, Ending::Closed);
}

/// The connection a client keeps is dead when it is used again.
#[tokio::test]
async fn kept_connections_go_stale() {
    for (act, pause, ending) in [
        ("close-when-idle:30", Duration::from_millis(100), Ending::Closed),
        ("close-on-next-request", Duration::ZERO, Ending::Reset),
    ] {
        let provider = provider(Speaks::OpenAiChat, act.parse::<Act>().unwrap());
        let asked = ask(Speaks::OpenAiChat, "hello", false);
        let mut raw = Raw::connect(provider.address()).await.unwrap();
        raw.post(asked.path, &asked.headers, &asked.body.to_string()).await.unwrap();
        assert_eq!(raw.read_response(SOON).await.unwrap().status, 200);
        tokio::time::sleep(pause).await;
        // Writing to a closed connection may fail or not; reading tells.
        raw.post(asked.path, &asked.headers, &asked.body.to_string()).await.ok();
        let (bytes, ended) = raw.read_all(SOON).await.unwrap();
        assert!(bytes.is_empty(), "{act}");
        assert!(ended == ending || ended == Ending::Reset, "{act}: {ended:?}");
        assert_eq!(provider.count(), 1, "{act}: the second call was never taken");
        assert_eq!(provider.calls()[0].end, End::Sent);
    }
}

#[tokio::test]
async fn gzip_when_accepted_or_forced() {
    for (act, accepts, zipped) in [
        ("gzip", "gzip, br", true),
        ("gzip", "br;q=1, gzip;q=0.5", true),
        ("gzip", "identity", false),
        ("gzip-forced", "identity", true),
    ] {
        for (wire, streamed) in Speaks::ALL.into_iter().zip([false, true, true]) {
            let provider = provider(wire, act.parse::<Act>().unwrap());
            let mut asked = ask(wire, "hello", streamed);
            let plain = raw(&provider_plain(wire), &asked).await.0.text();
            asked.headers.push(("accept-encoding", accepts));
            let (seen, _) = raw(&provider, &asked).await;
            assert_eq!(seen.header("content-encoding") == "gzip", zipped, "{act} {accepts}");
            assert!(seen.complete);
            let text = if zipped { gunzip(&seen.body) } else { seen.text() };
            let without_time = |text: &str| {
                text.split("\"created\":")
                    .map(|part| part.trim_start_matches(char::is_numeric).to_owned())
                    .collect::<String>()
            };
            assert_eq!(without_time(&text), without_time(&plain), "{act} on {wire}");
        }
    }
}

fn provider_plain(wire: Speaks) -> Provider {
    provider(wire, Act::default())
}

fn gunzip(bytes: &[u8]) -> String {
    std::io::read_to_string(flate2::read::GzDecoder::new(bytes)).unwrap()
}

#[tokio::test]
async fn a_dropped_provider_stops_everything() {
    let provider = provider(Speaks::Gemini, "hang-before-headers".parse::<Act>().unwrap());
    let (address, asked) = (provider.address(), ask(Speaks::Gemini, "hello", false));
    let mut raw = Raw::connect(address).await.unwrap();
    raw.post(asked.path, &asked.headers, &asked.body.to_string()).await.unwrap();
    eventually(SOON, || provider.in_flight() == 1).await.unwrap();
    drop(provider);
    let (bytes, ending) = raw.read_all(SOON).await.unwrap();
    assert!(bytes.is_empty() && ending != Ending::Open, "{ending:?}");
    assert!(Raw::connect(address).await.is_err(), "nobody listens any more");
}

/// What is no HTTP is refused and closed, and disturbs nobody else.
#[tokio::test]
async fn what_is_no_request_is_refused() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let many: String = (0..300).map(|at| format!("x-{at}: y\r\n")).collect();
    for (bytes, status) in [
        ("hello\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(70_000)), 431),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400),
    ] {
        let mut raw = Raw::connect(provider.address()).await.unwrap();
        raw.send(bytes.as_bytes()).await.ok();
        let (got, ending) = raw.read_all(SOON).await.unwrap();
        assert_eq!(seen(&got).status, status, "{:.60}", bytes);
        assert_ne!(ending, Ending::Open);
    }
    assert_eq!(provider.count(), 0);
    assert_eq!(post(&provider, &ask(Speaks::OpenAiChat, "hello", false)).await.status, 200);
}

/// Bodies may come in chunks, slowly, and after asking for leave.
#[tokio::test]
async fn bodies_are_read_however_they_come() {
    let provider = provider(Speaks::OpenAiChat, Act::default());
    let body = ask(Speaks::OpenAiChat, "hello", false).body.to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer k\r\n";
    let (a, b) = body.split_at(10);
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\ntrailer: z\r\n\r\n",
        a.len(),
        b.len()
    );
    let plain = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    for (bytes, size) in [(&chunked, 1000), (&chunked, 7), (&plain, 1000), (&plain, 7)] {
        let mut raw = Raw::connect(provider.address()).await.unwrap();
        raw.drip(bytes.as_bytes(), size, Duration::from_micros(100)).await.unwrap();
        assert_eq!(raw.read_response(SOON).await.unwrap().status, 200, "{size}");
    }
    let mut raw = Raw::connect(provider.address()).await.unwrap();
    raw.send(format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes())
        .await
        .unwrap();
    let (leave, _) = raw.read_all(Duration::from_millis(100)).await.unwrap();
    assert_eq!(leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(body.as_bytes()).await.unwrap();
    assert_eq!(raw.read_response(SOON).await.unwrap().status, 200);
}
