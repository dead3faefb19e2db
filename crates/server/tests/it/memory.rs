//! What is remembered between requests: limits, and who may look whether one is over.

use std::time::Duration;

use tokio::task::JoinSet;
use unfail_sim::{Act, Hint, Provider, Script, Speaks};
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

/// Limits the first provider once, with a stated wait.
async fn limited(wire: Speaks, wait: Duration) -> Stage {
    let hint = Hint::RetryAfterMs(u32::try_from(wait.as_millis()).unwrap());
    let stage = Plot::pair((wire, wire), Script::first([hint])).open().await;
    let told = stage.ask(Way::OpenAi, false).await;
    assert_eq!(told.trail(), "alder:rate_limited,birch:ok", "{told:?}");
    stage
}

/// What the requests of a burst went through, sorted.
fn trails(told: &[Told]) -> Vec<&str> {
    assert!(told.iter().all(Told::is_complete), "{told:?}");
    let mut trails: Vec<&str> = told.iter().map(Told::trail).collect();
    trails.sort_unstable();
    trails
}

/// 300 requests over nine tenths of the wait, none of which reaches the limited provider, and one probe at its end.
/// A machine too busy to ask all of them in time is given a longer wait, not a weaker rule.
async fn is_remembered(wire: Speaks, wait: Duration) {
    let mut wait = wait;
    let stage = loop {
        match asked_within(wire, wait).await {
            Some(stage) => break stage,
            None => wait *= 2,
        }
    };
    one_looks(&stage).await;
    assert_eq!(trails(&burst(&stage, 10).await), ["alder:ok"; 10], "{wire}: the rest returns");
}

/// Asks until nine tenths of the wait are over, then waits for its end; `None` when that came before the last answer.
async fn asked_within(wire: Speaks, wait: Duration) -> Option<Stage> {
    let stage = limited(wire, wait).await;
    let first: &Provider = &stage.providers[0];
    // The limit was learned between these moments, and ends as long after it as was stated.
    let (closed, learned) = (first.calls()[0].at, first.now());
    let mut told = Vec::new();
    for round in 1..=6_u32 {
        told.extend(burst(&stage, BURST).await);
        tokio::time::sleep((closed + wait * 9 / 10 * round / 6).saturating_sub(first.now())).await;
    }
    let early = first.calls().iter().filter(|call| call.at < closed + wait).count();
    assert_eq!(early, 1, "{wire}: called before its wait was over");
    if first.now() >= closed + wait {
        return None;
    }
    assert_eq!(stage.calls(), [1, 301], "{wire}");
    assert_eq!(trails(&told), ["alder:resting,birch:ok"; 6 * BURST], "{wire}");
    tokio::time::sleep((learned + wait + Duration::from_millis(5)).saturating_sub(first.now())).await;
    Some(stage)
}

/// Of a burst one call looks; until its answer comes all others are answered elsewhere.
async fn one_looks(stage: &Stage) {
    let [first, second] = &stage.providers[..] else { panic!("two providers") };
    let others = second.count() + BURST as u64 - 1;
    first.hold();
    let all_but_one = async {
        eventually(PATIENCE, || second.count() == others && second.in_flight() == 0).await.unwrap();
        assert_eq!((first.count(), first.in_flight()), (2, 1), "the limited call and one probe");
        first.release();
    };
    let (told, ()) = tokio::join!(burst(stage, BURST), all_but_one);
    let trails = trails(&told);
    assert_eq!(trails[0], "alder:ok");
    assert_eq!(trails[1..], ["alder:resting,birch:ok"; BURST - 1]);
    assert_eq!(stage.calls(), [2, others]);
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
    assert_eq!(stage.ask(way, true).await.trail(), "alder:resting,birch:ok");
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
    assert_eq!(stage.ask(Way::Run, false).await.trail(), "alder:resting,birch:ok");
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
            assert_eq!(told.trail(), "alder:resting,birch:ok", "{wire}");
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
