//! Pooled connections that the provider has closed: no fault of the provider's, and the caller never notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use unfail_sim::{Act, Break, Provider, Script, Speaks};
use unfail_testkit::eventually;

use crate::stage::{PATIENCE, Plot, each};
use crate::way::Way;

/// With this, the first failure that counts closes the target.
const STRICT: &str = "breaker = { consecutive = 1 }";

#[tokio::test]
async fn a_connection_closed_under_a_request_costs_nothing() {
    for wire in Speaks::ALL {
        for stream in [false, true] {
            let script = Script::first([Break::CloseOnNextRequest, Break::CloseOnNextRequest]);
            let stage = Plot::pair((wire, wire), script).route(STRICT).open().await;
            for ask in 1..=4 {
                let told = stage.ask(Way::OpenAi, stream).await;
                assert!(told.is_complete() && told.text.contains("alder heard"), "{wire} {ask}: {told:?}");
            }
            assert_eq!(stage.calls(), [4, 0], "{wire}");
            let connections = stage.providers[0].calls().iter().map(|call| call.connection).max();
            assert_eq!(connections, Some(3), "{wire}: both times on a new connection");
        }
    }
}

/// A provider that restarts leaves a pool of dead connections behind; a request meets one of them, and no more, however
/// few calls it may cost.
#[tokio::test]
async fn a_pool_of_dead_connections_costs_one_repeat() {
    const POOL: usize = 6;
    for wire in Speaks::ALL {
        let dying = || Act::Delay(Duration::from_millis(300), Box::new(Break::CloseOnNextRequest.into()));
        let script = Script::first([(); POOL].map(|()| dying()));
        let stage = Plot::default().cast(wire, script).route(STRICT).route("max_calls = 1").open().await;
        let filled: Vec<_> = (0..POOL).map(|_| stage.ask(Way::OpenAi, false)).collect();
        for told in futures_util::future::join_all(filled).await {
            assert!(told.is_complete(), "{wire}: {told:?}");
        }
        let trails = [stage.ask(Way::OpenAi, false).await, stage.ask(Way::OpenAi, true).await];
        let trails = trails.each_ref().map(crate::way::Told::trail);
        assert_eq!(trails, ["alder:pre_send,alder:ok", "alder:ok"], "{wire}");
        assert_eq!(stage.calls(), [POOL as u64 + 2], "{wire}");
    }
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used() {
    for wire in Speaks::ALL {
        let script = Script::first([Break::CloseWhenIdle(Duration::from_millis(20))]);
        let stage = Plot::pair((wire, wire), script).route(STRICT).open().await;
        assert!(stage.ask(Way::OpenAi, false).await.is_complete());
        eventually(PATIENCE, || stage.providers[0].connections_open() == 0).await.unwrap();
        let told = stage.ask(Way::OpenAi, false).await;
        assert!(told.is_complete() && told.text.contains("alder heard"), "{wire}: {told:?}");
        assert_eq!(told.trail(), "alder:ok", "{wire}");
    }
}

/// A listener that ends every connection at once has not read a request, and is left alone like any other that fails.
#[tokio::test]
async fn a_provider_that_takes_no_request_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { while listener.accept().await.is_ok() {} });
    for stream in [false, true] {
        let second = Provider::start(Speaks::Gemini, Script::default()).unwrap();
        let plot = Plot::default().guest(Speaks::OpenAiChat, address).guest(Speaks::Gemini, second.address());
        let stage = plot.route(STRICT).open().await;
        let told = stage.ask(Way::Run, stream).await;
        assert!(told.is_complete(), "{told:?}");
        assert!(["alder:pre_send,birch:ok", "alder:transient,birch:ok"].contains(&told.trail()), "{told:?}");
        assert_eq!(stage.ask(Way::Run, stream).await.trail(), "alder:resting,birch:ok");
    }
}

/// A provider that took the request and then broke off has failed, whatever connection it came over.
#[tokio::test]
async fn a_late_reset_on_a_used_connection_is_a_failure() {
    each(Speaks::ALL, async |wire| {
        let late = Act::Delay(Duration::from_millis(1_500), Box::new(Break::ResetBeforeHeaders.into()));
        let script = Script::first([Act::default(), late]);
        let stage = Plot::pair((wire, wire), script).route(STRICT).open().await;
        assert!(stage.ask(Way::OpenAi, false).await.is_complete());
        let told = stage.ask(Way::OpenAi, false).await;
        assert!(told.is_complete(), "{told:?}");
        assert_eq!(told.trail(), "alder:transient,birch:ok", "{wire}");
        assert_eq!(stage.ask(Way::OpenAi, false).await.trail(), "alder:resting,birch:ok", "{wire}");
    })
    .await;
}

/// A quarter of a second is longer than any way to a provider and back: what breaks after it was not stale.
#[tokio::test]
async fn a_used_connection_is_stale_for_a_quarter_of_a_second() {
    each(Speaks::ALL, async |wire| {
        let late = Act::Delay(Duration::from_millis(400), Box::new(Break::ResetBeforeHeaders.into()));
        let script = Script::first([Act::default(), late]);
        let stage = Plot::pair((wire, wire), script).route(STRICT).open().await;
        assert!(stage.ask(Way::OpenAi, false).await.is_complete());
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!(told.trail(), "alder:transient,birch:ok", "{wire}");
        assert_eq!(stage.calls(), [2, 1], "{wire}: nothing was sent twice");
    })
    .await;
}

/// A first connection that breaks has carried the request, however soon it breaks.
#[tokio::test]
async fn a_reset_on_a_new_connection_is_a_failure() {
    for wire in Speaks::ALL {
        let script = Script::first([Break::ResetBeforeHeaders]);
        let stage = Plot::pair((wire, wire), script).route(STRICT).open().await;
        assert_eq!(stage.ask(Way::OpenAi, false).await.trail(), "alder:transient,birch:ok", "{wire}");
        assert_eq!(stage.calls(), [1, 1], "{wire}");
    }
}

/// What a provider has begun to answer it has read: nothing is sent twice, however soon the rest fails to come.
#[tokio::test]
async fn a_connection_that_brought_something_was_not_stale() {
    let answer =
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}"#;
    let whole = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    let begun =
        ["HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-", "HTTP/1.1 103 Early\r\n\r\n", "garbage\r\n\r\n"];
    for (begun, reset) in begun.into_iter().flat_map(|begun| [(begun, false), (begun, true)]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(AtomicUsize::new(0));
        let (counted, whole) = (posts.clone(), whole.clone());
        let mut provider = JoinSet::new();
        provider.spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                for reply in [whole.as_str(), begun] {
                    let mut seen = Vec::new();
                    // The end of the body that every test sends.
                    while !seen.ends_with(b"}]}") && !seen.ends_with(b"\"stream\":false}") {
                        if caller.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                            break;
                        }
                    }
                    counted.fetch_add(usize::from(seen.starts_with(b"POST")), Ordering::Relaxed);
                    caller.write_all(reply.as_bytes()).await.ok();
                }
                if reset {
                    // Once the beginning has been read, which a reset would take away.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    caller.set_zero_linger().ok();
                }
            }
        });
        let stage = Plot::default().guest(Speaks::OpenAiChat, address).route("max_calls = 1").open().await;
        assert!(stage.ask(Way::OpenAi, false).await.is_complete(), "{begun:?}, reset: {reset}");
        let told = stage.ask(Way::OpenAi, false).await;
        assert!(told.is_error(502), "{begun:?}, reset: {reset}: {told:?}");
        assert_eq!(posts.load(Ordering::Relaxed), 2, "{begun:?}, reset: {reset}: {told:?}");
    }
}
