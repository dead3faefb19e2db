//! What a stream under way says about its target, and when it is over.

use unfail_sim::{Act, Hint, Script, Speaks};
use unfail_testkit::{Raw, eventually};

use crate::stage::{PATIENCE, Plot, always, each};
use crate::way::Way;

/// Streams that break off are failed calls, each counted once: half of ten calls is what closes the target here.
#[tokio::test]
async fn a_cut_stream_is_one_failed_call() {
    each(Speaks::ALL, async |wire| {
        let plot = Plot::pair((wire, wire), always("cut-after:2"));
        let stage = plot.route("breaker = { consecutive = 100 }").open().await;
        for _ in 0..5 {
            assert!(stage.ask(Way::Chat, true).await.is_cut(), "{wire}");
        }
        stage.providers[0].set_script(Script::default());
        for call in 6..=10 {
            let told = stage.ask(Way::Chat, true).await;
            assert_eq!(told.trail(), "alder:ok", "{wire}, call {call}");
        }
        assert_eq!(stage.ask(Way::Chat, true).await.trail(), "alder:closed,birch:ok", "{wire}");
    })
    .await;
}

/// A target whose every stream breaks off is left alone as soon as one whose every call fails.
#[tokio::test]
async fn cut_streams_in_a_row_close_the_target() {
    each(Speaks::ALL, async |wire| {
        let stage = Plot::pair((wire, wire), always("cut-after:2")).open().await;
        for _ in 0..5 {
            assert!(stage.ask(Way::Run, true).await.is_cut(), "{wire}");
        }
        assert_eq!(stage.ask(Way::Run, true).await.trail(), "alder:closed,birch:ok", "{wire}");
    })
    .await;
}

/// Once a probe has content its target is open to everybody, however long the probe's own stream goes on; and when
/// that stream breaks off, this counts.
#[tokio::test]
async fn a_probe_opens_its_target_with_its_first_content() {
    let limited = Act::from(Hint::RetryAfterMs(300));
    let slow: Act = "answer:0:500".parse().unwrap();
    for act in [limited, "server-error".parse().unwrap()] {
        let script = Script::first([act.clone(), slow.clone()]);
        let plot = Plot::default().cast(Speaks::OpenAiChat, script);
        let breaker = "breaker = { consecutive = 1, open = \"300ms\", probes = 1, ramp = \"0s\" }";
        let stage = plot.route(breaker).route("max_calls = 1").open().await;
        assert!(stage.ask(Way::OpenAi, false).await.error.is_some(), "{act}");
        let mut probe = Raw::connect(stage.address).await.unwrap();
        let body = Way::OpenAi.body("main", "hello", true).to_string();
        probe.post(Way::OpenAi.path(), &[], &body).await.unwrap();
        probe.read_until("alde", PATIENCE).await.expect("the probe has content");
        for stream in [false, true] {
            let told = stage.ask(Way::OpenAi, stream).await;
            assert_eq!(told.trail(), "alder:ok", "{act}: {told:?}");
        }
        assert_eq!(stage.providers[0].in_flight(), 1, "{act}: the probe still streams");
        drop(probe);
        eventually(PATIENCE, || stage.providers[0].in_flight() == 0).await.unwrap();
        assert_eq!(stage.ask(Way::OpenAi, true).await.trail(), "alder:ok", "{act}: nobody is blamed");
    }
}
