//! Providers behind TLS: answers over both versions of HTTP, and whom nothing is told.

use std::time::Duration;

use http::Version;
use serde_json::Value;
use tokio::task::JoinSet;
use unfail_sim::provider::Setup;
use unfail_sim::{Provider, Script, Speaks};
use unfail_testkit::{After, Canned, eventually, free_port};

use crate::authority::{Authority, BOTH, HERE, HTTP1, HTTP2};
use crate::front::Front;
use crate::stage::{Kept, PATIENCE, Place, Plot, Stage, always, each};
use crate::way::{Told, Way};

/// Streams a connection may carry at once, where that is not what a test is about.
const STREAMS: u32 = 1_000;

fn simulated(name: &str, wire: Speaks, script: Script) -> Provider {
    Provider::start_as(Setup::new(wire, script).named(name)).unwrap()
}

/// A provider that the authority vouches for.
fn vouched(url: String, http2: bool) -> Place {
    Place { url, more: format!("ca = \"file:ca.pem\"\nhttp2 = {http2}\n") }
}

/// The endpoint before a provider behind TLS.
async fn open(front: &Front, wire: Speaks, authority: &Authority, http2: bool) -> Stage {
    let plot = Plot::default().file("ca.pem", authority.pem());
    plot.guest_at(wire, vouched(front.url(), http2)).open().await
}

/// What both sides want, and what they then speak.
const AGREED: [(bool, &[&str], Version); 5] = [
    (false, BOTH, Version::HTTP_11),
    (false, HTTP1, Version::HTTP_11),
    (true, BOTH, Version::HTTP_2),
    (true, HTTP2, Version::HTTP_2),
    (true, HTTP1, Version::HTTP_11),
];

#[tokio::test]
async fn answers_come_over_both_versions() {
    each(Speaks::ALL.into_iter().flat_map(|wire| AGREED.map(|row| (wire, row))), async |(wire, row)| {
        let (http2, offered, version) = row;
        let authority = Authority::new("own");
        let provider = simulated("alder", wire, Script::default());
        let front = Front::start(authority.good(offered), provider.address(), STREAMS).await;
        let stage = open(&front, wire, &authority, http2).await;
        for (way, stream) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]) {
            let told = stage.ask(way, stream).await;
            let case = format!("{wire} for {way:?}, stream: {stream}, {http2} {offered:?}: {told:?}");
            assert!(told.is_complete(), "{case}");
            assert_eq!(told.text, "alder heard: hello (turn 1)", "{case}");
            assert_eq!((told.trail(), told.header("x-unfail-attempts")), ("alder:ok", "1"), "{case}");
        }
        assert_eq!(front.versions(), [version; 6], "{wire}, {http2} {offered:?}");
        assert_eq!((front.connections(), front.refused()), (1, 0), "{wire}, {http2} {offered:?}");
    })
    .await;
}

/// Faults after the first content are faults under TLS as well, where a cut is more than the end of the bytes.
#[tokio::test]
async fn a_stream_that_breaks_ends_in_an_error_event() {
    let cases =
        [false, true].into_iter().flat_map(|http2| ["cut-after:40", "end-after:40"].map(|act| (http2, act)));
    each(cases, async |(http2, act)| {
        let authority = Authority::new("own");
        let provider = simulated("alder", Speaks::Anthropic, always(act));
        let front = Front::start(authority.good(BOTH), provider.address(), STREAMS).await;
        let told = open(&front, Speaks::Anthropic, &authority, http2).await.ask(Way::OpenAi, true).await;
        assert!(told.is_cut(), "{act}, {http2}: {told:?}");
        assert_eq!(provider.count(), 1, "{act}, {http2}");
    })
    .await;
}

/// Asks so many times at once.
fn burst(stage: &Stage, count: usize) -> JoinSet<Told> {
    let mut asks = JoinSet::new();
    for number in 0..count {
        let (way, stream) = (Way::ALL[number % 3], number % 2 == 0);
        let (client, url) = (stage.client.clone(), stage.url(way.path()));
        asks.spawn(async move {
            way.read(client.post(&url, &[], &way.body("main", "hello", stream)).await.unwrap())
        });
    }
    asks
}

async fn all_answered(asks: JoinSet<Told>) {
    for told in asks.join_all().await {
        assert!(told.is_complete() && told.trail() == "alder:ok", "{told:?}");
    }
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let authority = Authority::new("own");
    let provider = simulated("alder", Speaks::OpenAiChat, Script::default());
    let front = Front::start(authority.good(BOTH), provider.address(), STREAMS).await;
    let stage = open(&front, Speaks::OpenAiChat, &authority, true).await;
    assert!(stage.ask(Way::Chat, false).await.is_complete());
    provider.hold();
    let asks = burst(&stage, 100);
    eventually(PATIENCE, || provider.in_flight() == 100).await.expect("all of them at once");
    provider.release();
    all_answered(asks).await;
    assert_eq!((front.connections(), provider.count()), (1, 101));
}

/// What is more than the provider allows at once waits for its turn, and no other connection is opened for it.
#[tokio::test]
async fn a_connection_carries_no_more_than_it_may() {
    let authority = Authority::new("own");
    let provider = simulated("alder", Speaks::OpenAiChat, Script::default());
    let front = Front::start(authority.good(BOTH), provider.address(), 10).await;
    let stage = open(&front, Speaks::OpenAiChat, &authority, true).await;
    assert!(stage.ask(Way::Chat, true).await.is_complete());
    provider.hold();
    let asks = burst(&stage, 50);
    eventually(PATIENCE, || provider.in_flight() == 10).await.expect("as many as may");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((provider.in_flight(), provider.count()), (10, 11), "and no more");
    provider.release();
    all_answered(asks).await;
    assert_eq!((front.connections(), provider.count()), (1, 51));
}

/// Nobody has agreed on a version yet.
#[tokio::test]
async fn a_burst_without_a_connection_is_answered() {
    let authority = Authority::new("own");
    let provider = simulated("alder", Speaks::Gemini, Script::default());
    let front = Front::start(authority.good(BOTH), provider.address(), STREAMS).await;
    let stage = open(&front, Speaks::Gemini, &authority, true).await;
    all_answered(burst(&stage, 50)).await;
    assert_eq!((provider.count(), front.versions()), (50, vec![Version::HTTP_2; 50]));
}

// === whom nothing is told ===

/// Why a server is not trusted, in whose words, and what it does about TLS.
#[derive(Debug, Clone, Copy)]
enum Doubt {
    /// Signed by nobody we know.
    Unknown,
    /// Signed by nobody the system knows.
    UnknownToTheSystem,
    Expired,
    /// For another host.
    Foreign,
    /// It speaks plain HTTP where TLS should be.
    Plain,
}

const DOUBTS: [(Doubt, &str); 5] = [
    (Doubt::Unknown, "UnknownIssuer"),
    (Doubt::UnknownToTheSystem, "UnknownIssuer"),
    (Doubt::Expired, "expired"),
    (Doubt::Foreign, "not valid for name"),
    (Doubt::Plain, "corrupt message"),
];

async fn is_doubted(doubt: Doubt, words: &str, http2: bool) {
    let case = format!("{doubt:?}, http2: {http2}");
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let tls = match doubt {
        Doubt::Unknown => other.good(BOTH),
        Doubt::Expired => known.server(HERE, 2020, BOTH),
        Doubt::Foreign => known.server("elsewhere.example", 2999, BOTH),
        Doubt::UnknownToTheSystem | Doubt::Plain => known.good(BOTH),
    };
    let first = simulated("alder", Speaks::OpenAiChat, Script::default());
    let front = Front::start(tls, first.address(), STREAMS).await;
    let place = match doubt {
        Doubt::Plain => vouched(format!("https://{}", first.address()), http2),
        Doubt::UnknownToTheSystem => Place { more: format!("http2 = {http2}\n"), url: front.url() },
        _ => vouched(front.url(), http2),
    };
    let second = simulated("birch", Speaks::Anthropic, Script::default());
    let log = Kept::default();
    let plot = Plot::default().file("ca.pem", known.pem()).guest_at(Speaks::OpenAiChat, place);
    let stage = plot.guest(Speaks::Anthropic, second.address()).log(&log).open().await;
    let told = stage.ask(Way::OpenAi, true).await;
    assert!(told.is_complete(), "{case}: {told:?}");
    assert_eq!(told.trail(), "alder:pre_send,birch:ok", "{case}");
    assert_eq!((first.count(), front.versions().len(), second.count()), (0, 0, 1), "{case}");
    eventually(PATIENCE, || !log.records().is_empty()).await.unwrap();
    let reason = reason(&log.records()[0]);
    assert!(reason.contains("TLS") && reason.contains(words), "{case}: {reason}");
}

fn reason(line: &Value) -> String {
    line["path"]["attempts"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_told_nothing() {
    let cases = DOUBTS.into_iter().flat_map(|doubt| [false, true].map(|http2| (doubt, http2)));
    each(cases, async |((doubt, words), http2)| is_doubted(doubt, words, http2).await).await;
}

/// No connection at all is another matter than no TLS.
#[tokio::test]
async fn a_server_that_is_not_there_is_no_matter_of_tls() {
    let log = Kept::default();
    let place = vouched(format!("https://127.0.0.1:{}", free_port().unwrap()), true);
    let plot = Plot::default().file("ca.pem", Authority::new("own").pem()).guest_at(Speaks::Gemini, place);
    let told = plot.log(&log).open().await.ask(Way::Chat, false).await;
    assert!(told.is_error(502), "{told:?}");
    eventually(PATIENCE, || !log.records().is_empty()).await.unwrap();
    let reason = reason(&log.records()[0]);
    assert!(reason.contains("no connection") && !reason.contains("TLS"), "{reason}");
}

/// A server that takes the connection and never says a word of TLS is given up by the limit of connections.
#[tokio::test]
async fn a_server_that_is_silent_about_tls_is_left() {
    for http2 in [false, true] {
        let silent = Canned::start(Vec::new(), After::Hang).await.unwrap();
        let second = simulated("birch", Speaks::Gemini, Script::default());
        let plot = Plot::default().file("ca.pem", Authority::new("own").pem()).route("connect = \"1s\"");
        let place = vouched(format!("https://{}", silent.address()), http2);
        let plot = plot.guest_at(Speaks::OpenAiChat, place).guest(Speaks::Gemini, second.address());
        let told = plot.open().await.ask(Way::Chat, true).await;
        assert!(told.is_complete(), "{told:?}");
        assert_eq!(told.trail(), "alder:timeout,birch:ok");
        assert!((1_000..9_000).contains(&told.took.as_millis()), "{:?}", told.took);
    }
}

/// One provider's authority vouches for nobody else, also where both are at the same place.
#[tokio::test]
async fn an_authority_vouches_for_its_provider_alone() {
    for http2 in [false, true] {
        let authority = Authority::new("own");
        let provider = simulated("both", Speaks::OpenAiChat, Script::default());
        let front = Front::start(authority.good(BOTH), provider.address(), STREAMS).await;
        let trusting = vouched(front.url(), http2);
        let doubting = Place { more: format!("http2 = {http2}\n"), url: front.url() };
        for (places, trail) in [
            ([trusting.clone(), doubting.clone()], "alder:ok"),
            ([doubting, trusting], "alder:pre_send,birch:ok"),
        ] {
            let plot = Plot::default().file("ca.pem", authority.pem());
            let cast = |plot: Plot, place| plot.guest_at(Speaks::OpenAiChat, place);
            let stage = places.into_iter().fold(plot, cast).open().await;
            for _ in 0..3 {
                assert_eq!(stage.ask(Way::OpenAi, false).await.trail(), trail, "http2: {http2}");
            }
        }
    }
}

/// Small frames are what token streams are made of; this is the first version that does not take them for an attack.
#[test]
fn the_http2_library_takes_small_frames() {
    let lock = include_str!("../../../../Cargo.lock");
    let mut packages =
        lock.split("[[package]]\n").filter_map(|package| package.strip_prefix("name = \"h2\"\n"));
    let version = packages.next().unwrap().lines().next().unwrap();
    let numbers: Vec<u32> = version.split(['"', '.']).filter_map(|part| part.parse().ok()).collect();
    assert!(numbers >= vec![0, 4, 19], "{version}");
    assert_eq!(packages.next(), None, "one version of it");
}
