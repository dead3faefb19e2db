//! Failures before the first content: the caller sees one normal answer, of the next provider.

use unfail_sim::{Act, Script, Speaks};

use crate::stage::{CAST, Plot, Stage, always, each, once, target};
use crate::way::{Told, Way};

/// What the first provider does, and the class it is given on each wire (in the order of [`Speaks::ALL`]), whole and
/// streamed. The second provider then answers.
type Row = (&'static str, [&'static str; 3], [&'static str; 3]);

const LIMITED: [&str; 3] = ["rate_limited"; 3];
const FULL: [&str; 3] = ["overloaded"; 3];
const SICK: [&str; 3] = ["transient"; 3];
const NONSENSE: [&str; 3] = ["malformed"; 3];
const LATE: [&str; 3] = ["timeout"; 3];

const FALLS: &[Row] = &[
    ("retry-after-seconds:30", LIMITED, LIMITED),
    ("retry-after-date:30", LIMITED, LIMITED),
    ("retry-after-ms:30000", LIMITED, LIMITED),
    ("reset-headers:30", LIMITED, LIMITED),
    ("limited-without-hint", LIMITED, LIMITED),
    ("overloaded", FULL, FULL),
    ("status:529", FULL, FULL),
    ("server-error", SICK, SICK),
    // Two vendors say in words that they are full, one says nothing more than its status.
    ("unavailable", ["overloaded", "transient", "overloaded"], ["overloaded", "transient", "overloaded"]),
    ("status:503", SICK, SICK),
    ("html-bad-gateway", SICK, SICK),
    ("reset-before-headers", SICK, SICK),
    ("cut-before-first", SICK, SICK),
    ("error-under-200", ["overloaded", "transient", "overloaded"], ["transient", "overloaded", "overloaded"]),
    ("error-after:0", ["overloaded", "transient", "overloaded"], ["transient", "overloaded", "overloaded"]),
    ("empty-choices", NONSENSE, NONSENSE),
    ("invalid-json", NONSENSE, NONSENSE),
    ("end-after:0", NONSENSE, NONSENSE),
    ("malformed-after:0", NONSENSE, NONSENSE),
    ("unauthorized", ["auth"; 3], ["auth"; 3]),
    ("payment-required", ["quota"; 3], ["quota"; 3]),
    ("quota-exhausted", ["quota"; 3], ["quota"; 3]),
    ("model-not-found", ["config"; 3], ["config"; 3]),
];

/// As above, where time must pass first.
const WAITS: &[Row] = &[
    ("hang-before-headers", LATE, LATE),
    ("hang-after-headers", LATE, LATE),
    ("stall-after:0", LATE, LATE),
    // The head just within the limit, and then nothing: both together have the one limit.
    ("delay:700:hang-after-headers", LATE, LATE),
];

/// A second to the first content of a stream, and for a whole answer half of what the deadline leaves.
fn hurried(plot: Plot) -> Plot {
    plot.route("first_token = \"1s\"").route("stall = \"1s\"").route("deadline = \"3250ms\"")
}

fn wires() -> impl Iterator<Item = (Speaks, Speaks)> {
    Speaks::ALL.into_iter().flat_map(|first| Speaks::ALL.into_iter().map(move |second| (first, second)))
}

fn at(wire: Speaks) -> usize {
    Speaks::ALL.iter().position(|known| *known == wire).unwrap()
}

/// The second answered, the first was asked once and failed as `class`, and nothing of it is left.
fn fell(stage: &Stage, told: &Told, class: &str, case: &str) {
    assert!(told.is_complete(), "{case}: {told:?}");
    assert!(told.text.contains("birch heard: hello"), "{case}: {told:?}");
    assert!(!told.raw.contains("alder"), "{case}: {told:?}");
    assert_eq!(told.trail(), format!("alder:{class},birch:ok"), "{case}");
    assert_eq!(told.header("x-unfail-target"), target("birch"), "{case}");
    assert_eq!(told.header("x-unfail-attempts"), "2", "{case}");
    assert_eq!(stage.calls(), [1, 1], "{case}");
}

async fn falls((act, whole, streamed): Row, wires: (Speaks, Speaks)) {
    for (stream, classes) in [(false, whole), (true, streamed)] {
        let case = format!("{act} at {} before {}, stream: {stream}", wires.0, wires.1);
        let stage = Plot::pair(wires, always(act)).open().await;
        let told = stage.ask(Way::OpenAi, stream).await;
        fell(&stage, &told, classes[at(wires.0)], &case);
    }
}

async fn all_fall(first: Speaks) {
    let wires = wires().filter(|wires| wires.0 == first);
    each(wires.flat_map(|wires| FALLS.iter().map(move |row| (*row, wires))), |(row, wires)| {
        falls(row, wires)
    })
    .await;
}

#[tokio::test]
async fn openai_chat_falls_through() {
    all_fall(Speaks::OpenAiChat).await;
}

#[tokio::test]
async fn anthropic_falls_through() {
    all_fall(Speaks::Anthropic).await;
}

#[tokio::test]
async fn gemini_falls_through() {
    all_fall(Speaks::Gemini).await;
}

async fn gives_up(stage: Stage, first: Speaks, (act, whole, streamed): Row, stream: bool) {
    let case = format!("{act} at {first}, stream: {stream}");
    let told = stage.ask(Way::OpenAi, stream).await;
    fell(&stage, &told, if stream { streamed } else { whole }[at(first)], &case);
    let (least, most) = if stream { (1_000, 1_600) } else { (1_500, 3_250) };
    let took = told.took.as_millis();
    assert!((least..most).contains(&took), "{case}: {took} ms");
    stage.settled().await;
    assert_eq!(stage.providers[0].cancelled(), 1, "{case}: the slow call was given up");
}

#[tokio::test]
async fn slow_providers_are_given_up_in_time() {
    let mut stages = Vec::new();
    for row in WAITS {
        for wire in Speaks::ALL {
            for stream in [false, true] {
                let stage = hurried(Plot::pair((wire, Speaks::OpenAiChat), always(row.0))).open().await;
                stages.push((stage, wire, *row, stream));
            }
        }
    }
    each(stages, |(stage, wire, row, stream)| gives_up(stage, wire, row, stream)).await;
}

/// The limit for the first content is one for streams: nothing tells a whole answer that takes long from none.
#[tokio::test]
async fn a_whole_answer_may_take_longer_than_a_first_token() {
    each(Speaks::ALL, async |wire| {
        let plot = Plot::pair((wire, wire), always("answer:2000:0"));
        let stage = plot.route("first_token = \"800ms\"").route("deadline = \"20s\"").open().await;
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!((told.trail(), told.is_complete()), ("alder:ok", true), "{wire}: {told:?}");
        let told = stage.ask(Way::OpenAi, true).await;
        assert_eq!((told.trail(), told.is_complete()), ("alder:timeout,birch:ok", true), "{wire}: {told:?}");
    })
    .await;
}

/// The route says how long, and the last target has all the time there is.
#[tokio::test]
async fn a_provider_that_hangs_holds_a_whole_answer_no_longer_than_the_route_allows() {
    each(Speaks::ALL, async |wire| {
        let plot =
            Plot::default().cast(wire, always("hang-before-headers")).cast(wire, always("answer:1500:0"));
        let stage = plot.route("answer = \"700ms\"").route("deadline = \"60s\"").open().await;
        let clock = unfail_sim::clock::Clock::start();
        let told = stage.ask(Way::OpenAi, false).await;
        assert_eq!((told.trail(), told.is_complete()), ("alder:timeout,birch:ok", true), "{wire}: {told:?}");
        assert!(clock.now().as_secs() < 10, "{wire}: {:?}", clock.now());
    })
    .await;
}

/// A target that rests until after the deadline is no other to leave time for.
#[tokio::test]
async fn who_is_alone_has_all_the_time_also_beside_targets_that_rest() {
    let plot = Plot::default().cast(Speaks::OpenAiChat, always("answer:1500:0"));
    let plot = plot.cast(Speaks::OpenAiChat, always("unauthorized")).route("answer = \"500ms\"");
    let stage = plot.route("deadline = \"20s\"").open().await;
    let refused = stage.send(Way::OpenAi, &[], &Way::OpenAi.body(&target("birch"), "hello", false)).await;
    assert_eq!(refused.trail(), "birch:auth", "{refused:?}");
    let told = stage.ask(Way::OpenAi, false).await;
    assert_eq!((told.trail(), told.is_complete()), ("alder:ok", true), "{told:?}");
}

#[tokio::test]
async fn slow_and_packed_answers_are_answers() {
    let acts = ["slow-drip:64:3", "gzip-forced", "gzip", "answer:50:2", "big-body:3000", "every-byte"];
    each(Speaks::ALL.into_iter().flat_map(|wire| acts.map(|act| (wire, act))), async |(wire, act)| {
        for stream in [false, true] {
            let stage = Plot::pair((wire, wire), always(act)).open().await;
            let told = stage.ask(Way::OpenAi, stream).await;
            let told_by = (told.trail(), told.is_complete(), told.text.contains("alder heard: hello"));
            assert_eq!(told_by, ("alder:ok", true, true), "{act} at {wire}, stream: {stream}: {told:?}");
            assert_eq!(told.header("content-encoding"), "", "{act} at {wire}");
        }
    })
    .await;
}

/// Windows of the models of a chain, in tokens.
fn windows(plot: Plot, windows: &[u64]) -> Plot {
    windows.iter().zip(CAST).fold(plot, |plot, (window, name)| {
        plot.more(&format!("[models.\"{}\"]\ncontext = {window}", target(name)))
    })
}

#[tokio::test]
async fn a_long_prompt_goes_to_larger_windows_only() {
    for wire in Speaks::ALL {
        for stream in [false, true] {
            let cast =
                |acts: [&str; 3]| acts.iter().fold(Plot::default(), |plot, act| plot.cast(wire, always(act)));
            let plot = cast(["context-too-long", "answer", "answer"]);
            let stage = windows(plot, &[8_000, 8_000, 200_000]).open().await;
            let told = stage.ask(Way::OpenAi, stream).await;
            assert!(told.is_complete() && told.text.contains("cedar heard"), "{wire}: {told:?}");
            assert_eq!(told.trail(), "alder:too_long,birch:skipped,cedar:ok", "{wire}");
            assert_eq!(stage.calls(), [1, 0, 1], "{wire}");

            let plot = cast(["context-too-long", "answer", "context-too-long"]);
            let stage = windows(plot, &[8_000, 8_000, 200_000]).open().await;
            for way in Way::ALL {
                let told = stage.ask(way, stream).await;
                assert!(told.is_error(400), "{wire}: {told:?}");
                let kind = if way == Way::OpenAi { "context_length_exceeded" } else { "context_length" };
                assert_eq!((told.kind(), told.header("x-should-retry")), (kind, "false"), "{wire}: {told:?}");
            }
        }
    }
}

/// A prompt that is known to be too long is not sent anywhere.
#[tokio::test]
async fn a_prompt_too_long_for_every_window_is_refused_unsent() {
    let plot = Plot::pair((Speaks::OpenAiChat, Speaks::Gemini), always("answer"));
    let stage = windows(plot, &[1_000, 2_000]).open().await;
    let told = stage.send(Way::OpenAi, &[], &Way::OpenAi.body("main", &"word ".repeat(10_000), false)).await;
    assert!(told.is_error(400), "{told:?}");
    assert_eq!(told.kind(), "context_length_exceeded");
    assert_eq!(stage.calls(), [0, 0]);
    let told = stage.send(Way::OpenAi, &[], &Way::OpenAi.body("main", &"word ".repeat(1_000), false)).await;
    assert_eq!((told.trail(), told.is_complete()), ("alder:skipped,birch:ok", true), "{told:?}");
}

#[tokio::test]
async fn a_refusal_stops_unless_the_route_says_next() {
    for wire in Speaks::ALL {
        for (act, stream) in
            [("content-policy", false), ("content-policy", true), ("declined", false), ("declined", true)]
        {
            let case = format!("{act} at {wire}, stream: {stream}");
            let stage = Plot::pair((wire, wire), always(act)).open().await;
            let told = stage.ask(Way::OpenAi, stream).await;
            assert_eq!(stage.calls(), [1, 0], "{case}: {told:?}");
            if told.status == 400 {
                assert!(told.is_error(400) && told.kind() == "content_policy_violation", "{case}: {told:?}");
            } else {
                // Some wires decline in an answer: the caller sees it as one, and why it ended.
                assert!(told.status == 200 && told.done && told.error.is_none(), "{case}: {told:?}");
            }
        }
        for stream in [false, true] {
            let plot = Plot::pair((wire, wire), always("content-policy")).route("on_refusal = \"next\"");
            let stage = plot.open().await;
            let told = stage.ask(Way::OpenAi, stream).await;
            fell(&stage, &told, "refused", &format!("{wire}, stream: {stream}"));
        }
    }
}

/// What only the operator can mend is remembered: the next request does not try it again.
#[tokio::test]
async fn a_bad_key_or_model_is_not_tried_twice() {
    let acts = ["unauthorized", "payment-required", "quota-exhausted", "model-not-found"];
    each(Speaks::ALL.into_iter().flat_map(|wire| acts.map(|act| (wire, act))), async |(wire, act)| {
        let stage = Plot::pair((wire, wire), always(act)).open().await;
        for (trail, calls) in [("", [1, 1]), ("alder:resting,birch:ok", [1, 2])] {
            let told = stage.ask(Way::Chat, false).await;
            assert!(told.is_complete(), "{act} at {wire}: {told:?}");
            assert!(told.trail().ends_with(trail), "{act} at {wire}: {told:?}");
            assert_eq!(stage.calls(), calls, "{act} at {wire}");
        }
    })
    .await;
}

/// A wrong request is wrong everywhere: nobody else is asked, and the caller gets the provider's reason.
#[tokio::test]
async fn a_fault_of_the_caller_stops() {
    for wire in Speaks::ALL {
        let reason = serde_json::json!({"error": {"message": "the seed is out of range", "code": 422}});
        let act = Act::Status { status: 422, headers: Vec::new(), body: reason.to_string() };
        let stage = Plot::pair((wire, wire), Script::always(act)).open().await;
        for (way, stream) in Way::ALL.into_iter().zip([false, true, false]) {
            let told = stage.ask(way, stream).await;
            assert!(told.is_error(400), "{wire}: {told:?}");
            assert!(told.raw.contains("the seed is out of range"), "{wire}: {told:?}");
            assert_eq!(told.header("x-should-retry"), "false", "{wire}");
        }
        assert_eq!(stage.calls(), [3, 0], "{wire}");
    }
}

/// With `retries`, a fault that may pass is given a second chance at the same provider first.
#[tokio::test]
async fn a_retry_comes_before_the_next_target_where_the_route_grants_it() {
    for (act, trail) in [
        ("server-error", "alder:transient,alder:ok"),
        ("reset-before-headers", "alder:transient,alder:ok"),
        ("empty-choices", "alder:malformed,alder:ok"),
        // A limit is not worth a retry while somebody else has room.
        ("retry-after-ms:1", "alder:rate_limited,birch:ok"),
        ("overloaded", "alder:overloaded,birch:ok"),
    ] {
        for wire in Speaks::ALL {
            let stage = Plot::pair((wire, wire), once(act)).route("retries = 1").open().await;
            let told = stage.ask(Way::OpenAi, true).await;
            assert!(told.is_complete(), "{act} at {wire}: {told:?}");
            assert_eq!(told.trail(), trail, "{act} at {wire}");
        }
    }
}

/// A chain of four in which only the last one works is walked to its end.
#[tokio::test]
async fn a_chain_is_walked_to_its_end() {
    let acts = ["retry-after-seconds:30", "html-bad-gateway", "error-under-200", "answer"];
    let wires = [Speaks::OpenAiChat, Speaks::Anthropic, Speaks::Gemini, Speaks::Anthropic];
    let cast = |plot: Plot, (wire, act): (Speaks, &str)| plot.cast(wire, always(act));
    let stage = wires.into_iter().zip(acts).fold(Plot::default(), cast).open().await;
    for (way, stream) in [(Way::Run, true), (Way::OpenAi, false)] {
        let told = stage.ask(way, stream).await;
        assert!(told.is_complete() && told.text.contains("daphne heard: hello"), "{told:?}");
        assert!(told.trail().ends_with("birch:transient,cedar:overloaded,daphne:ok"), "{told:?}");
    }
    assert_eq!(stage.calls(), [1, 2, 2, 2]);
}
