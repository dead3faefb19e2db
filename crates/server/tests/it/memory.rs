//! What is remembered between requests: limits, and who may look whether one is over.

use std::time::Duration;

use tokio::task::JoinSet;
use unfail_sim::{Act, Hint, Pace, Provider, Script, Speaks};
use unfail_testkit::eventually;

use crate::stage::{PATIENCE, Plot, Stage, each};
use crate::way::{Told, Way};

/// So many requests in a burst.
const BURST: usize = 50;

/// Asks so many times at once; the dialects and both kinds of answer take turns.
async fn burst(stage: &Stage, count: usize) -> Vec<Told> {
    let mut asks = JoinSet::new();
    for number in 0..count {
        let (way, stream) = (Way::ALL[number % 3], number % 2 == 0);
        let (client, url) = (stage.client.clone(), stage.url(way.path()));
        asks.spawn(async move {
            way.read(client.post(&url, &[], &way.body("main", "hello", stream)).await.unwrap())
        });
    }
    asks.join_all().await
}

/// Limits the first provider once, with a stated wait; its own next answers take their time.
async fn limited(wire: Speaks, wait: Duration) -> Stage {
    let hint = Hint::RetryAfterMs(u32::try_from(wait.as_millis()).unwrap());
    let slow = Pace { first: Duration::from_millis(500), each: Duration::ZERO };
    let stage = Plot::pair((wire, wire), Script::first([hint]).then(slow)).open().await;
    let told = stage.ask(Way::OpenAi, false).await;
    assert_eq!(told.trail(), "alder:rate_limited,birch:ok", "{told:?}");
    stage
}

/// 300 requests over nine tenths of the wait, then one probe at its end.
async fn is_remembered(wire: Speaks, wait: Duration) {
    let stage = limited(wire, wait).await;
    let first: &Provider = &stage.providers[0];
    let closed = first.calls()[0].at;
    for round in 1..=6_u32 {
        assert!(burst(&stage, BURST).await.iter().all(Told::is_complete), "{wire}");
        tokio::time::sleep((closed + wait * 9 / 10 * round / 6).saturating_sub(first.now())).await;
    }
    let calls = stage.calls();
    // A machine too busy to ask all of them in time has to keep the rules as well, but proves less.
    let in_time = first.now() < closed + wait;
    assert!(calls == [1, 301] || !in_time, "{wire}: {calls:?}");

    tokio::time::sleep((closed + wait + Duration::from_millis(100)).saturating_sub(first.now())).await;
    let told = burst(&stage, BURST).await;
    assert!(told.iter().all(Told::is_complete), "{wire}");
    let probed = told.iter().filter(|told| told.text.contains("alder heard")).count();
    assert!((1..BURST).contains(&probed) || !in_time, "{wire}: {probed}");
    let calls = first.calls();
    assert!(calls[1].at >= closed + wait, "{wire}: the probe came too early");
    let answered = calls[1].ended.unwrap();
    let before = calls.iter().filter(|call| call.at < answered).count();
    assert_eq!(before, 2, "{wire}: the limited call and one probe came before the probe's answer");

    // The rest returns.
    for told in burst(&stage, 10).await {
        assert_eq!(told.trail(), "alder:ok", "{wire}");
    }
}

#[tokio::test]
async fn a_limited_provider_is_left_alone_and_probed_once() {
    each(Speaks::ALL, |wire| is_remembered(wire, Duration::from_secs(4))).await;
}

#[tokio::test]
async fn ten_seconds_are_ten_seconds() {
    is_remembered(Speaks::OpenAiChat, Duration::from_secs(10)).await;
}

/// A burst that meets the limit at once: some calls are lost to it, none after the first answer is read.
#[tokio::test]
async fn a_burst_into_a_limit_costs_no_answer() {
    for wire in Speaks::ALL {
        let stage = Plot::pair((wire, wire), Script::always(Hint::RetryAfterSeconds(60))).open().await;
        for told in burst(&stage, BURST).await {
            assert!(told.is_complete() && told.text.contains("birch heard"), "{wire}: {told:?}");
        }
        let spent = stage.calls()[0];
        assert!(spent <= BURST as u64, "{wire}: {spent}");
        assert!(burst(&stage, BURST).await.iter().all(Told::is_complete), "{wire}");
        assert_eq!(stage.calls()[0], spent, "{wire}: the limit was forgotten");
    }
}

/// A probe whose caller leaves is given back: the next request is the probe.
#[tokio::test]
async fn a_probe_that_is_abandoned_is_no_answer() {
    let stage = limited(Speaks::OpenAiChat, Duration::from_millis(300)).await;
    stage.providers[0].set_script(Script::first([unfail_sim::Break::HangBeforeHeaders]));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let (client, url, way) = (stage.client.clone(), stage.url(Way::OpenAi.path()), Way::OpenAi);
    let mut probe = JoinSet::new();
    probe.spawn(async move { client.post(&url, &[], &way.body("main", "hello", true)).await });
    eventually(PATIENCE, || stage.calls()[0] == 2).await.unwrap();
    assert_eq!(stage.ask(way, true).await.trail(), "alder:closed,birch:ok");
    probe.shutdown().await;
    stage.settled().await;
    assert_eq!(stage.providers[0].cancelled(), 1);
    assert_eq!(stage.ask(way, true).await.trail(), "alder:ok");
}

/// The wait ends in another limit: closed again, for as long as that says.
#[tokio::test]
async fn a_probe_that_meets_the_limit_closes_it_again() {
    let wait = |millis| Act::from(Hint::RetryAfterMs(millis));
    let script = Script::first([wait(300), wait(60_000)]);
    let stage = Plot::pair((Speaks::Anthropic, Speaks::Gemini), script).open().await;
    assert_eq!(stage.ask(Way::Run, false).await.trail(), "alder:rate_limited,birch:ok");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(stage.ask(Way::Run, false).await.trail(), "alder:rate_limited,birch:ok");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(stage.ask(Way::Run, false).await.trail(), "alder:closed,birch:ok");
    assert_eq!(stage.calls(), [2, 3]);
}

/// A provider that fails again and again is left alone, and comes back by probes.
#[tokio::test]
async fn a_sick_provider_rests_and_returns() {
    each(Speaks::ALL, async |wire| {
        let plot = Plot::pair((wire, wire), crate::stage::always("server-error"));
        let breaker = "breaker = { consecutive = 3, open = \"1500ms\", probes = 1, ramp = \"0s\" }";
        let stage = plot.route(breaker).open().await;
        for _ in 0..3 {
            assert_eq!(stage.ask(Way::Chat, false).await.trail(), "alder:transient,birch:ok", "{wire}");
        }
        for told in burst(&stage, 10).await {
            assert_eq!(told.trail(), "alder:closed,birch:ok", "{wire}");
        }
        stage.providers[0].set_script(Script::default());
        // An opening is up to a fifth longer than stated.
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        for _ in 0..3 {
            assert_eq!(stage.ask(Way::Chat, true).await.trail(), "alder:ok", "{wire}");
        }
    })
    .await;
}
