//! What a stream under way says about its target, and when it is over.

use std::time::Duration;

use unfail_sim::{Act, Hint, Script, Speaks};
use unfail_testkit::canned::{Part, chunk, event_stream};
use unfail_testkit::{After, Canned, Raw, eventually};

use crate::stage::{Kept, PATIENCE, Plot, always, each};
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
        assert_eq!(stage.ask(Way::Chat, true).await.trail(), "alder:resting,birch:ok", "{wire}");
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
        assert_eq!(stage.ask(Way::Run, true).await.trail(), "alder:resting,birch:ok", "{wire}");
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

/// The stall limit of the tests about keep-alives, and how often those come.
const STALL: Duration = Duration::from_millis(500);
const OFTEN: Duration = Duration::from_millis(100);

/// A stream that has had content, and what its provider keeps the connection alive with.
const HALVES: [(Speaks, &str, &str, &str); 2] = [
    (
        Speaks::OpenAiChat,
        concat!(
            "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
            "[{\"index\":0,\"delta\":{\"content\":\"half of it\"},\"finish_reason\":null}]}\n\n",
        ),
        ": PROCESSING\n\n",
        concat!(
            "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
            "[{\"index\":0,\"delta\":{\"content\":\", all of it\"},\"finish_reason\":\"stop\"}]}\n\n",
            "data: [DONE]\n\n",
        ),
    ),
    (
        Speaks::Anthropic,
        concat!(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\",",
            "\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
            "\"delta\":{\"type\":\"text_delta\",\"text\":\"half of it\"}}\n\n",
        ),
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        concat!(
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
            "\"delta\":{\"type\":\"text_delta\",\"text\":\", all of it\"}}\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
            "\"usage\":{\"output_tokens\":4}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
    ),
];

/// So many keep-alives, then `last`.
fn alive(first: &str, ping: &str, count: usize, last: &str) -> Vec<Part> {
    let mut parts = vec![(Duration::ZERO, event_stream(first, false))];
    parts.extend((0..count).map(|_| (OFTEN, chunk(ping))));
    parts.push((OFTEN, [chunk(last), b"0\r\n\r\n".to_vec()].concat()));
    parts
}

/// A provider that thinks for long says so, and is not cut off for it.
#[tokio::test]
async fn keep_alives_hold_a_stream_up() {
    each(HALVES.into_iter().flat_map(|half| Way::ALL.map(|way| (half, way))), async |(half, way)| {
        let (wire, first, ping, last) = half;
        // Twice the stall limit, half of what is allowed.
        let canned = Canned::paced(alive(first, ping, 10, last), After::Keep).await.unwrap();
        let plot = Plot::default().guest(wire, canned.address()).route(&format!("stall = \"{STALL:?}\""));
        let told = plot.open().await.ask(way, true).await;
        assert!(told.is_complete() && told.text == "half of it, all of it", "{wire} for {way:?}: {told:?}");
        assert!(told.took > STALL * 2, "{wire} for {way:?}: {told:?}");
    })
    .await;
}

/// A provider that says nothing but that it is alive is stalled after four times the limit.
#[tokio::test]
async fn keep_alives_alone_are_a_stall() {
    each(HALVES.into_iter().flat_map(|half| Way::ALL.map(|way| (half, way))), async |(half, way)| {
        let (wire, first, ping, _) = half;
        let parts = vec![(Duration::ZERO, event_stream(first, false)), (OFTEN, chunk(ping))];
        let canned = Canned::paced(parts, After::Repeat).await.unwrap();
        let plot = Plot::default().guest(wire, canned.address()).route(&format!("stall = \"{STALL:?}\""));
        let told = plot.open().await.ask(way, true).await;
        assert!(told.is_cut() && told.text == "half of it", "{wire} for {way:?}: {told:?}");
        assert!(told.raw.contains("stalled"), "{wire} for {way:?}: {told:?}");
        assert!((STALL * 4..STALL * 12).contains(&told.took), "{wire} for {way:?}: {:?}", told.took);
    })
    .await;
}

/// Before the first content they win no time at all, and neither does a schema win them more.
#[tokio::test]
async fn keep_alives_are_no_first_token() {
    for (wire, first, ping, _) in HALVES {
        let opening = if wire == Speaks::Anthropic { ping } else { ": OPENING\n\n" };
        for (first, route, most) in [
            (opening, "first_token = \"400ms\"".to_owned(), Duration::from_secs(2)),
            (first, format!("stall = \"{STALL:?}\"\nschema = \"any.json\""), STALL * 12),
        ] {
            let parts = vec![(Duration::ZERO, event_stream(first, false)), (OFTEN, chunk(ping))];
            let canned = Canned::paced(parts, After::Repeat).await.unwrap();
            let plot = Plot::default().guest(wire, canned.address()).file("any.json", "{}").route(&route);
            let told = plot.route("max_calls = 1").open().await.ask(Way::Chat, true).await;
            assert!(told.is_error(504), "{wire}, {route}: {told:?}");
            assert!(told.took < most, "{wire}, {route}: {:?}", told.took);
        }
    }
}

/// A caller who has the last frame of an answer has all of it, whenever it closes and whatever its provider does
/// then.
#[tokio::test]
async fn who_leaves_with_the_last_frame_was_answered() {
    const FRAMES: &str = concat!(
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
        "[{\"index\":0,\"delta\":{\"content\":\"all of it\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
        "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    );
    for (way, last) in [(Way::OpenAi, "[DONE]"), (Way::Chat, "\"done\":true"), (Way::Run, "\"done\":true")] {
        let canned = Canned::start(event_stream(FRAMES, false), After::Hang).await.unwrap();
        let kept = Kept::default();
        let stage = Plot::default().guest(Speaks::OpenAiChat, canned.address()).log(&kept).open().await;
        let mut caller = Raw::connect(stage.address).await.unwrap();
        let body = way.body("main", "hello", true).to_string();
        caller.post(way.path(), &[], &body).await.unwrap();
        caller.read_until(last, PATIENCE).await.expect("the last frame");
        drop(caller);
        eventually(PATIENCE, || !kept.records().is_empty()).await.unwrap();
        let line = kept.records().remove(0);
        assert_eq!(line["outcome"], "answered", "{way:?}: {line}");
    }
}
