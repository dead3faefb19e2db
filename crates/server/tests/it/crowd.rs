//! Many callers at once, and every provider failing at random: each gets exactly one well-formed outcome, and
//! nothing is left over.

use std::time::Duration;

use tokio::task::JoinSet;
use unfail_sim::{Act, Provider, Script, Speaks};
use unfail_testkit::{Chance, Client, eventually};

use crate::stage::{PATIENCE, Plot, each};
use crate::way::{Told, Way};

/// What may happen to a call; half of all calls are answered.
const ACTS: [&str; 30] = [
    "retry-after-ms:50",
    "limited-without-hint",
    "reset-headers:1",
    "overloaded",
    "server-error",
    "unavailable",
    "html-bad-gateway",
    "content-policy",
    "declined",
    "reset-before-headers",
    "hang-before-headers",
    "hang-after-headers",
    "close-when-idle:5",
    "close-on-next-request",
    "error-under-200",
    "empty-choices",
    "invalid-json",
    "wrong-content-type",
    "big-body:40000",
    "gzip-forced",
    "cut-before-first",
    "cut-after:10",
    "end-after:3",
    "stall-after:3",
    "malformed-after:2",
    "error-after:1",
    "no-done",
    "every-byte",
    "slow-drip:100:1",
    "delay:60:answer",
];

fn storm(chance: &mut Chance) -> Script {
    let act = |chance: &mut Chance| match chance.below(2) {
        0 => Act::default(),
        _ => ACTS[usize::try_from(chance.below(ACTS.len() as u64)).unwrap()].parse().unwrap(),
    };
    Script::first((0..150).map(|_| act(chance)).collect::<Vec<_>>())
}

/// One well-formed outcome: an answer, an answer that ended otherwise, a stream that says it broke, or one error.
fn is_outcome(told: &Told) -> bool {
    let otherwise = told.status == 200 && told.done && told.error.is_none() && told.finish.is_some();
    let broke = told.status == 200 && told.error.is_some() && !told.done;
    let failed = matches!(told.status, 400 | 429 | 502 | 503 | 504) && told.is_error(told.status);
    told.nonsense.is_empty() && (otherwise || broke || failed)
}

async fn ask(client: Client, url: String, way: Way, stream: bool) -> Told {
    let body = way.body("main", "hello", stream);
    let sent = client.post(&url, &[], &body);
    way.read(tokio::time::timeout(PATIENCE, sent).await.expect("an outcome in time").unwrap())
}

async fn weathers(seed: u64) {
    let mut chance = Chance::new(seed);
    let cast = |plot: Plot, wire| plot.cast(wire, storm(&mut chance));
    let plot = Speaks::ALL.into_iter().fold(Plot::default(), cast);
    let plot = plot.route("first_token = \"2s\"").route("stall = \"2s\"").route("deadline = \"6s\"");
    let mut stage = plot.open().await;
    let mut asks = JoinSet::new();
    for _ in 0..200 {
        let way = Way::ALL[usize::try_from(chance.below(3)).unwrap()];
        let client = if chance.below(4) == 0 { Client::new() } else { stage.client.clone() };
        asks.spawn(ask(client, stage.url(way.path()), way, chance.below(2) == 0));
    }
    let told = asks.join_all().await;
    assert_eq!(told.len(), 200);
    for told in &told {
        assert!(is_outcome(told), "seed {seed}: {told:?}");
    }
    let answered = told.iter().filter(|told| told.is_complete()).count();
    // A quiet machine answers nine of ten.
    assert!(answered > 40, "seed {seed}: {answered}");
    let idle = |provider: &Provider| provider.in_flight() == 0;
    eventually(PATIENCE, || stage.providers.iter().all(idle)).await.expect("every call ends");
    for provider in &stage.providers {
        provider.set_script(Script::default());
    }
    assert!(stage.still_answers().await, "seed {seed}");
    stage.stop();
    stage.ended().await.unwrap();
    let closed = || stage.providers.iter().all(|provider| provider.connections_open() == 0);
    eventually(Duration::from_secs(5), closed).await.expect("no connection outlives the endpoint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_leaves_one_outcome_each() {
    each([1, 20_261_121], weathers).await;
}
