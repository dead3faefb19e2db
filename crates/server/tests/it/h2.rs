//! HTTP/2 faults to the frame: what a provider never looked at is repeated, what it broke off is a
//! failure, and a connection that is no good is not used again.

use std::time::Duration;

use unfail_sim::provider::Setup;
use unfail_sim::{Provider, Script, Speaks};
use unfail_testkit::{Raw, eventually};

use crate::authority::{Authority, HTTP2};
use crate::frames::{
    CANCEL, Deed, ENHANCE_YOUR_CALM, Frames, INTERNAL_ERROR, NO_ERROR, Point, REFUSED_STREAM, text,
};
use crate::front::Front;
use crate::stage::{PATIENCE, Place, Plot, Stage, always, each};
use crate::way::Way;

/// With this, the first failure that counts closes the target.
const STRICT: &str = "breaker = { consecutive = 1 }";
/// With this, none does.
const LENIENT: &str = "breaker = { consecutive = 50 }";

/// A provider that does these with its first requests, and one that always answers.
struct Pair {
    first: Frames,
    second: Provider,
    stage: Stage,
}

async fn pair(deeds: &[Deed], route: &str) -> Pair {
    let authority = Authority::new("own");
    let first = Frames::start(authority.good(HTTP2), deeds).await;
    let second = Provider::start_as(Setup::new(Speaks::Gemini, Script::default()).named("birch")).unwrap();
    let more = "ca = \"file:ca.pem\"\nhttp2 = true\n".to_owned();
    let plot = Plot::default().file("ca.pem", authority.pem()).route(route);
    let plot = plot.guest_at(Speaks::OpenAiChat, Place { url: first.url(), more });
    let stage = plot.guest(Speaks::Gemini, second.address()).open().await;
    Pair { first, second, stage }
}

impl Pair {
    /// Asks; the trail of a complete answer by the first provider.
    async fn answered(&self, way: Way, stream: bool, case: &str) -> String {
        let told = self.stage.ask(way, stream).await;
        assert!(told.is_complete(), "{case}: {told:?}");
        assert!(told.text == text(), "{case}: {told:?}");
        told.trail().to_owned()
    }
}

const ANSWER: Deed = Deed::Answer(1_000);

/// Ways of saying that a request was never looked at (RFC 9113 §8.7).
const UNSEEN: [Deed; 3] =
    [Deed::Reset(Point::Start, REFUSED_STREAM), Deed::Away(NO_ERROR), Deed::Away(ENHANCE_YOUR_CALM)];

#[tokio::test]
async fn what_was_never_looked_at_is_asked_again() {
    let cases = UNSEEN.into_iter().flat_map(|deed| [false, true].map(|used| (deed, used)));
    each(cases, async |(deed, used)| {
        for (way, stream) in Way::ALL.into_iter().zip([true, false, true]) {
            let case = format!("{deed:?} for {way:?}, used: {used}");
            let deeds = if used { vec![ANSWER, deed] } else { vec![deed] };
            let pair = pair(&deeds, LENIENT).await;
            if used {
                assert_eq!(pair.answered(way, stream, &case).await, "alder:ok");
            }
            assert_eq!(pair.answered(way, stream, &case).await, "alder:pre_send,alder:ok", "{case}");
            assert_eq!(pair.answered(way, stream, &case).await, "alder:ok", "{case}");
            let seen = pair.first.seen();
            assert_eq!(seen.requests.len(), deeds.len() + 2, "{case}");
            let away = usize::from(matches!(deed, Deed::Away(_)));
            assert_eq!((seen.connections, pair.second.count()), (1 + away, 0), "{case}");
        }
    })
    .await;
}

/// A connection that is over before anything was asked: what was to be asked over it was not.
#[tokio::test]
async fn a_connection_that_goes_away_at_once_has_seen_nothing() {
    for (way, stream) in Way::ALL.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let pair = pair(&[Deed::Unwelcome], LENIENT).await;
        let told = pair.stage.ask(way, stream).await;
        assert!(told.is_complete(), "{way:?}: {told:?}");
        let trail = told.trail();
        assert!(["alder:pre_send,alder:ok", "alder:pre_send,birch:ok"].contains(&trail), "{way:?}: {trail}");
        assert_eq!(pair.answered(way, stream, "the next connection").await, "alder:ok");
    }
}

/// A provider that refuses counts as one that cannot be reached, but for the goodbye of a connection that was used.
#[tokio::test]
async fn refusals_count_and_goodbyes_do_not() {
    for deed in UNSEEN {
        for used in [false, true] {
            let deeds = if used { vec![ANSWER, deed] } else { vec![deed] };
            let pair = pair(&deeds, STRICT).await;
            if used {
                assert_eq!(pair.stage.ask(Way::OpenAi, true).await.trail(), "alder:ok");
            }
            let goodbye = used && matches!(deed, Deed::Away(_));
            let trail =
                if goodbye { "alder:pre_send,alder:ok" } else { "alder:pre_send,alder:resting,birch:ok" };
            assert_eq!(pair.stage.ask(Way::OpenAi, true).await.trail(), trail, "{deed:?}, used: {used}");
        }
    }
}

/// A provider that refuses for ever is not asked for ever.
#[tokio::test]
async fn refusals_without_end_lead_on() {
    for deed in UNSEEN {
        let pair = pair(&[deed; 20], LENIENT).await;
        let told = pair.stage.ask(Way::OpenAi, true).await;
        assert!(told.is_complete() && told.text.contains("birch heard"), "{deed:?}: {told:?}");
        let asked = pair.first.seen().requests.len();
        assert_eq!((asked, told.header("x-unfail-attempts")), (2, "3"), "{deed:?}: {told:?}");
    }
}

/// What a provider has begun with is its failure, whatever connection it came over and however soon it breaks.
#[tokio::test]
async fn what_was_begun_and_broken_off_is_a_failure() {
    let deeds = [
        (Deed::Reset(Point::Start, INTERNAL_ERROR), "transient"),
        (Deed::Reset(Point::Start, CANCEL), "transient"),
        (Deed::Reset(Point::Head, INTERNAL_ERROR), "transient"),
        (Deed::Reset(Point::Head, REFUSED_STREAM), "transient"),
    ];
    let cases = deeds.into_iter().flat_map(|deed| [false, true].map(|used| (deed, used)));
    each(cases, async |((deed, class), used)| {
        for (way, stream) in Way::ALL.into_iter().zip([true, false, true]) {
            let case = format!("{deed:?} for {way:?}, used: {used}");
            let deeds = if used { vec![ANSWER, deed] } else { vec![deed] };
            let pair = pair(&deeds, STRICT).await;
            if used {
                assert_eq!(pair.answered(way, stream, &case).await, "alder:ok");
            }
            let told = pair.stage.ask(way, stream).await;
            assert!(told.is_complete(), "{case}: {told:?}");
            assert_eq!(told.trail(), format!("alder:{class},birch:ok"), "{case}");
            assert_eq!(pair.stage.ask(way, stream).await.trail(), "alder:resting,birch:ok", "{case}");
            assert_eq!(pair.first.seen().requests.len(), deeds.len(), "{case}");
        }
    })
    .await;
}

/// A connection whose last request was taken, and that ends without an answer to it.
#[tokio::test]
async fn a_request_taken_by_a_connection_that_ends_is_a_failure() {
    let pair = pair(&[Deed::LastWords], STRICT).await;
    let told = pair.stage.ask(Way::OpenAi, true).await;
    assert!(told.is_complete(), "{told:?}");
    assert_eq!(told.trail(), "alder:transient,birch:ok");
    assert_eq!(pair.first.seen().requests.len(), 1);
}

#[tokio::test]
async fn a_stream_reset_after_content_ends_in_an_error_event() {
    each([NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM], async |code| {
        for way in Way::ALL {
            let case = format!("{code} for {way:?}");
            let pair = pair(&[Deed::Reset(Point::Middle, code)], STRICT).await;
            let told = pair.stage.ask(way, true).await;
            assert!(told.is_cut(), "{case}: {told:?}");
            assert!(!told.text.is_empty() && text().starts_with(&told.text), "{case}: {told:?}");
            assert_eq!(told.error.as_ref().unwrap()["code"], "stream_interrupted", "{case}");
            assert_eq!((pair.first.seen().requests.len(), pair.second.count()), (1, 0), "{case}");
            assert_eq!(pair.stage.ask(way, true).await.trail(), "alder:resting,birch:ok", "{case}");
        }
    })
    .await;
}

/// Of a whole answer nothing was shown when it breaks.
#[tokio::test]
async fn a_whole_answer_reset_in_the_middle_comes_from_the_next() {
    each([NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL], async |code| {
        let pair = pair(&[Deed::Reset(Point::Middle, code)], STRICT).await;
        let told = pair.stage.ask(Way::OpenAi, false).await;
        assert!(told.is_complete() && told.text.contains("birch heard"), "{code}: {told:?}");
        assert_eq!((pair.first.seen().requests.len(), pair.second.count()), (1, 1), "{code}");
    })
    .await;
}

/// A server that goes away in an orderly way answers what it has taken; the next request goes over a new connection.
#[tokio::test]
async fn a_connection_that_goes_away_keeps_its_word() {
    for stream in [true, false] {
        let pair = pair(&[Deed::Last], STRICT).await;
        for _ in 0..2 {
            assert_eq!(pair.answered(Way::OpenAi, stream, "an orderly end").await, "alder:ok");
        }
        assert_eq!(pair.first.seen().requests, [1, 2]);
    }
}

/// Thousands of frames of twenty bytes, as token streams have them, written faster than anybody reads.
#[tokio::test]
async fn small_frames_are_no_attack() {
    let pair = pair(&[Deed::Answer(20); 6], STRICT).await;
    for (way, stream) in Way::ALL.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        assert_eq!(pair.answered(way, stream, "small frames").await, "alder:ok");
    }
    assert_eq!(pair.first.seen().requests, [1; 6]);
}

/// A connection over which nothing came in time may be dead: nobody else waits for it.
#[tokio::test]
async fn a_silent_connection_is_not_used_again() {
    for stream in [true, false] {
        let route = format!("first_token = \"2s\"\ndeadline = \"5s\"\n{LENIENT}");
        let pair = pair(&[ANSWER, Deed::Silence(Point::Start)], &route).await;
        assert_eq!(pair.answered(Way::OpenAi, stream, "before").await, "alder:ok");
        assert_eq!(pair.stage.ask(Way::OpenAi, stream).await.trail(), "alder:timeout,birch:ok");
        assert_eq!(pair.answered(Way::OpenAi, stream, "after").await, "alder:ok");
        assert_eq!(pair.first.seen().requests, [1, 1, 2]);
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_in_an_answer_is_not_used_again() {
    let cases =
        [true, false].into_iter().flat_map(|stream| [Point::Head, Point::Middle].map(|at| (stream, at)));
    each(cases, async |(stream, at)| {
        let case = format!("{at:?}, stream: {stream}");
        let route = format!("first_token = \"2s\"\nstall = \"1s\"\ndeadline = \"5s\"\n{LENIENT}");
        let pair = pair(&[ANSWER, Deed::Silence(at)], &route).await;
        assert_eq!(pair.answered(Way::OpenAi, stream, &case).await, "alder:ok");
        let told = pair.stage.ask(Way::OpenAi, stream).await;
        let cut = stream && at == Point::Middle;
        assert_eq!(told.trail(), if cut { "alder:ok" } else { "alder:timeout,birch:ok" }, "{case}");
        assert_eq!(told.is_complete(), !cut, "{case}: {told:?}");
        assert_eq!(pair.answered(Way::OpenAi, stream, &case).await, "alder:ok");
        assert_eq!(pair.first.seen().requests, [1, 1, 2], "{case}");
    })
    .await;
}

/// An answer that stalls while others on its connection go on says nothing about the connection.
#[tokio::test]
async fn a_connection_that_brings_other_answers_is_used_on() {
    let route = format!("stall = \"1s\"\n{LENIENT}");
    let pair = pair(&[ANSWER, Deed::Stall(Point::Middle)], &route).await;
    assert_eq!(pair.answered(Way::OpenAi, true, "before").await, "alder:ok");
    let (stalled, ()) = tokio::join!(pair.stage.ask(Way::OpenAi, true), async {
        eventually(PATIENCE, || pair.first.seen().requests.len() == 2).await.unwrap();
        // Until the other one has stalled, and longer.
        for _ in 0..30 {
            assert_eq!(pair.answered(Way::OpenAi, false, "meanwhile").await, "alder:ok");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(!stalled.is_complete(), "{stalled:?}");
    assert_eq!(pair.answered(Way::OpenAi, true, "after").await, "alder:ok");
    assert_eq!(pair.first.seen().connections, 1);
}

/// A caller that leaves takes its stream with it, and nobody else's.
#[tokio::test]
async fn a_caller_that_leaves_ends_its_stream_alone() {
    let authority = Authority::new("own");
    let provider = Provider::start_as(Setup::new(Speaks::OpenAiChat, Script::default())).unwrap();
    let front = Front::start(authority.good(HTTP2), provider.address(), 100).await;
    let more = "ca = \"file:ca.pem\"\nhttp2 = true\n".to_owned();
    let plot = Plot::default().file("ca.pem", authority.pem());
    let stage = plot.guest_at(Speaks::OpenAiChat, Place { url: front.url(), more }).open().await;
    assert!(stage.ask(Way::OpenAi, true).await.is_complete());
    provider.set_script(always("answer:0:100"));
    let mut callers = Vec::new();
    for _ in 0..2 {
        let mut caller = Raw::connect(stage.address).await.unwrap();
        let body = Way::OpenAi.body("main", "hello", true).to_string();
        caller.post(Way::OpenAi.path(), &[], &body).await.unwrap();
        caller.read_until("\"content\"", PATIENCE).await.unwrap();
        callers.push(caller);
    }
    drop(callers.remove(0));
    eventually(PATIENCE, || provider.cancelled() == 1).await.expect("its stream was reset");
    callers[0].read_until("[DONE]", PATIENCE).await.expect("the other one goes on");
    assert_eq!((front.connections(), provider.cancelled()), (1, 1));
}
