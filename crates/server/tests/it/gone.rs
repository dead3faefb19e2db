//! Callers who leave: the provider is told within a second, nothing is left over, and nobody is blamed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use unfail_sim::{Script, Speaks};
use unfail_testkit::{Client, Raw, eventually};

use crate::stage::{PATIENCE, Plot, Stage, always, each};
use crate::way::Way;

/// The provider's side of a call must end this soon after its caller left.
const SOON: Duration = Duration::from_secs(1);

/// How a caller leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// Closes the connection.
    Close,
    /// Resets it.
    Reset,
}

/// Everything of the abandoned call is gone, and the provider answers the next request as if nothing had been.
async fn nothing_is_left(stage: &Stage, case: &str) {
    let gone = || stage.providers[0].cancelled() == 1 && stage.providers[0].in_flight() == 0;
    eventually(SOON, gone).await.unwrap_or_else(|late| panic!("{case}: {late}"));
    eventually(SOON, || stage.providers[0].connections_open() == 0).await.expect(case);
    stage.providers[0].set_script(Script::default());
    for stream in [true, false] {
        let told = stage.send(Way::OpenAi, &[], &Way::OpenAi.body("main", "hello", stream)).await;
        assert!(told.is_complete(), "{case}: {told:?}");
        assert_eq!(told.trail(), "alder:ok", "{case}: the target was blamed");
    }
    assert_eq!(stage.calls(), [3, 0], "{case}");
}

async fn leaves(wire: Speaks, act: &str, stream: bool, leave: Leave) {
    leaves_after((wire, act, stream), leave, "").await;
}

/// Leaves after sending `more` behind the request.
async fn leaves_after((wire, act, stream): (Speaks, &str, bool), leave: Leave, more: &str) {
    let case = format!("{act} at {wire}, stream: {stream}, {leave:?}, more: {more:?}");
    // One failure that counts, or one slow call, would close the target.
    let strict = "breaker = { consecutive = 1, error_rate = 0.1 }";
    let stage = Plot::pair((wire, wire), always(act)).route(strict).open().await;
    let mut caller = Raw::connect(stage.address).await.unwrap();
    let body = Way::OpenAi.body("main", "hello", stream).to_string();
    caller.post(Way::OpenAi.path(), &[], &body).await.unwrap();
    caller.send(more.as_bytes()).await.unwrap();
    eventually(PATIENCE, || stage.calls() == [1, 0]).await.unwrap();
    if stream && act != "hang-before-headers" && act != "hang-after-headers" {
        caller.read_until("alde", PATIENCE).await.expect("the stream begins");
    }
    assert_eq!(stage.providers[0].in_flight(), 1, "{case}");
    match leave {
        Leave::Close => drop(caller),
        Leave::Reset => caller.reset().unwrap(),
    }
    nothing_is_left(&stage, &case).await;
}

/// What was sent ahead hides from the HTTP library that its sender has left.
#[tokio::test]
async fn a_caller_who_sent_more_and_leaves_takes_the_call_along() {
    let more = ["\r\n", "\n", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"];
    let calls = [("hang-before-headers", false), ("hang-before-headers", true), ("stall-after:3", true)];
    let cases = calls.into_iter().flat_map(|call| more.map(|more| (call, more)));
    let cases = cases.flat_map(|case| [Leave::Close, Leave::Reset].map(|leave| (case, leave)));
    each(cases, |(((act, stream), more), leave)| {
        leaves_after((Speaks::OpenAiChat, act, stream), leave, more)
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_call_along() {
    let calls = [
        ("hang-before-headers", false),
        ("hang-before-headers", true),
        ("hang-after-headers", false),
        ("hang-after-headers", true),
        // Content has come and no more does, or it keeps coming slowly.
        ("stall-after:3", true),
        ("slow-drip:40:20", true),
    ];
    let calls = Speaks::ALL.into_iter().flat_map(|wire| calls.map(|(act, stream)| (wire, act, stream)));
    let cases = calls.flat_map(|call| [Leave::Close, Leave::Reset].map(|leave| (call, leave)));
    each(cases, |((wire, act, stream), leave)| leaves(wire, act, stream, leave)).await;
}

/// A caller who stops reading does not make the endpoint gather the answer: the provider is slowed down with it.
#[tokio::test]
async fn a_caller_who_does_not_read_holds_the_provider_up() {
    let stage =
        Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("big-body:16777216")).open().await;
    let before = unfail_testkit::process::resident().unwrap();
    let mut caller = Raw::connect(stage.address).await.unwrap();
    let body = Way::OpenAi.body("main", "hello", true).to_string();
    caller.post(Way::OpenAi.path(), &[], &body).await.unwrap();
    eventually(PATIENCE, || stage.calls() == [1, 0]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.providers[0].in_flight(), 1, "the provider is still writing");
    // The provider itself holds its answer in memory several times over.
    let grown = unfail_testkit::process::resident().unwrap().saturating_sub(before);
    assert!(grown < 200 << 20, "{} MB", grown >> 20);
    drop(caller);
    eventually(SOON * 5, || stage.providers[0].in_flight() == 0).await.unwrap();
    assert!(stage.still_answers().await);
}

/// Many callers leave at once, in the middle of everything.
#[tokio::test]
async fn a_crowd_that_leaves_leaves_nothing() {
    let stage = Plot::pair((Speaks::Anthropic, Speaks::Gemini), always("answer:100:30")).open().await;
    let mut callers = JoinSet::new();
    for number in 0..60_u64 {
        let (client, url, way) = (Client::new(), stage.url(Way::Chat.path()), Way::Chat);
        callers.spawn(async move {
            let mut stream = client.stream(&url, &[], &way.body("main", "hello", true)).await.unwrap();
            for _ in 0..number % 4 {
                stream.next().await.unwrap();
            }
        });
    }
    let (started, mut done) = (stage.providers[0].now(), 0);
    while done < 30 && stage.providers[0].now() - started < PATIENCE {
        done += usize::from(callers.join_next().await.is_some());
    }
    callers.shutdown().await;
    let idle = || stage.providers.iter().all(|provider| provider.in_flight() == 0);
    eventually(SOON, idle).await.expect("every call ends with its caller");
    assert!(stage.still_answers().await);
}

/// A caller that takes nothing of its answer is gone after a while, and the provider is let go.
#[tokio::test]
async fn a_caller_who_never_reads_is_gone() {
    let stage =
        Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("big-body:16777216")).open().await;
    let mut caller = Raw::connect(stage.address).await.unwrap();
    let body = Way::OpenAi.body("main", "hello", true).to_string();
    caller.post(Way::OpenAi.path(), &[], &body).await.unwrap();
    eventually(PATIENCE, || stage.calls() == [1, 0]).await.unwrap();
    eventually(Duration::from_secs(8), || stage.providers[0].in_flight() == 0).await.unwrap();
    assert_eq!(stage.providers[0].cancelled(), 1);
    drop(caller);
    assert!(stage.still_answers().await);
}

/// A caller who gives a target less time than its route does learns nothing about it, and nor does anybody else.
#[tokio::test]
async fn callers_in_a_hurry_blame_nobody() {
    for (wire, stream) in Speaks::ALL.into_iter().flat_map(|wire| [(wire, true), (wire, false)]) {
        let plot = Plot::default().cast(wire, always("hang-before-headers"));
        let stage = plot.route("breaker = { consecutive = 1 }").open().await;
        let body = Way::OpenAi.body("main", "hello", stream);
        for _ in 0..3 {
            let told = stage.send(Way::OpenAi, &[("x-unfail-deadline-ms", "300")], &body).await;
            assert!(told.is_error(504), "{wire}: {told:?}");
        }
        stage.providers[0].set_script(Script::default());
        let told = stage.ask(Way::OpenAi, stream).await;
        assert_eq!(told.trail(), "alder:ok", "{wire}, stream: {stream}: {told:?}");
    }
}

/// A caller that takes a little now and then does not outlast the request's deadline for long: what has arrived by
/// then may still be taken for a while, which is three seconds here, and no longer.
#[tokio::test]
async fn a_caller_who_reads_slowly_is_let_go_after_the_deadline() {
    for stream in [true, false] {
        let plot = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always("big-body:16777216"));
        let stage = plot.route("deadline = \"2s\"").open().await;
        let mut caller = tokio::net::TcpStream::connect(stage.address).await.unwrap();
        let body = Way::OpenAi.body("main", "hello", stream).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            Way::OpenAi.path(),
            body.len()
        );
        caller.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 16 << 10];
        let clock = unfail_sim::clock::Clock::start();
        let mut taken = 0;
        // It would take 100 s for all of it.
        loop {
            match caller.read(&mut some).await {
                Ok(0) | Err(_) => break,
                Ok(read) => taken += read,
            }
            assert!(clock.now() < Duration::from_secs(60), "{taken} bytes, and still more to come");
            assert!(
                clock.now() < Duration::from_secs(8) || stage.providers[0].in_flight() == 0,
                "the provider is still held"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(taken < 16 << 20, "{taken} bytes of a cut answer");
        eventually(SOON, || stage.providers[0].in_flight() == 0).await.unwrap();
    }
}
