//! After the first content: whatever happens to a stream then, the caller can tell it from a finished answer, and
//! nobody else is asked.

use serde_json::json;
use unfail_sim::Speaks;
use unfail_testkit::canned::{event_chunks, event_stream};
use unfail_testkit::{After, Canned, Client};

use crate::stage::{Plot, always, each};
use crate::way::Way;

/// What the simulated model adds to a text that it writes byte by byte.
const LANGUAGES: &str = " · naïve façade, 日本語のテキスト, Привет, 🦀 and 👩‍👩‍👧‍👦";

/// Faults after content.
const CUTS: [&str; 6] =
    ["cut-after:40", "cut-after:1", "end-after:40", "stall-after:5", "malformed-after:3", "error-after:40"];

async fn is_cut(wire: Speaks, way: Way, act: &str) {
    let case = format!("{act} at {wire} for {way:?}");
    let plot = Plot::pair((wire, wire), always(act)).patient_unless_needed(act);
    let stage = plot.route("breaker = { consecutive = 1 }").open().await;
    let told = stage.ask(way, true).await;
    assert!(told.is_cut(), "{case}: {told:?}");
    assert!(
        told.text.starts_with("alder heard: hello".get(..told.text.len().min(4)).unwrap()),
        "{case}: {told:?}"
    );
    assert!(!told.raw.contains("birch"), "{case}: {told:?}");
    let error = told.error.as_ref().unwrap();
    assert_eq!(error["code"], "stream_interrupted", "{case}: {told:?}");
    assert!(error.to_string().contains(told.header("x-unfail-request-id")), "{case}: {told:?}");
    assert_eq!(stage.calls(), [1, 0], "{case}");
    stage.settled().await;
    // The target is remembered as sick although its call had counted as a success.
    assert_eq!(stage.ask(way, true).await.trail(), "alder:resting,birch:ok", "{case}");
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_ends_in_an_error_event() {
    let pairs = Speaks::ALL.into_iter().flat_map(|wire| Way::ALL.map(|way| (wire, way)));
    let cases = pairs.flat_map(|(wire, way)| CUTS.map(|act| (wire, way, act)));
    each(cases, |(wire, way, act)| is_cut(wire, way, act)).await;
}

#[tokio::test]
async fn letters_survive_being_split_anywhere() {
    for wire in Speaks::ALL {
        for way in Way::ALL {
            let stage = Plot::pair((wire, wire), always("every-byte")).open().await;
            for stream in [true, false] {
                let told = stage.ask(way, stream).await;
                assert!(told.is_complete(), "{wire} for {way:?}: {told:?}");
                assert_eq!(
                    told.text,
                    format!("alder heard: hello (turn 1){LANGUAGES}"),
                    "{wire} for {way:?}"
                );
            }
        }
    }
}

/// A caller who speaks the provider's wire gets the very bytes it would have got without us.
#[tokio::test]
async fn bytes_pass_through_unchanged() {
    // The provider stamps its answers with the second; everything else must be equal.
    let undated = |text: String| {
        let mut parts = text.split("\"created\":");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + part.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    for act in ["every-byte", "answer", "big-body:200000"] {
        for stream in [true, false] {
            let through = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always(act)).open().await;
            let direct = Plot::pair((Speaks::OpenAiChat, Speaks::OpenAiChat), always(act)).open().await;
            let mut body = Way::OpenAi.body("main", "hello", stream);
            if stream {
                body["stream_options"] = json!({"include_usage": true});
            }
            let told = through.send(Way::OpenAi, &[], &body).await;
            body["model"] = json!("alder-large");
            let url = format!("{}/v1/chat/completions", direct.providers[0].base_url());
            let key = ("authorization", "Bearer secret-of-alder");
            let answer = Client::new().post(&url, &[key], &body).await.unwrap();
            assert_eq!(undated(told.raw), undated(answer.text()), "{act}, stream: {stream}");
        }
    }
}

/// unfail asks providers for the usage of a stream; a caller who did not ask does not see it.
#[tokio::test]
async fn usage_comes_only_when_it_was_asked_for() {
    for wire in Speaks::ALL {
        for asked in [false, true] {
            let stage = Plot::pair((wire, wire), always("answer")).open().await;
            let mut body = Way::OpenAi.body("main", "hello", true);
            if asked {
                body["stream_options"] = json!({"include_usage": true});
            }
            let told = stage.send(Way::OpenAi, &[], &body).await;
            assert!(told.is_complete(), "{wire}: {told:?}");
            assert_eq!(told.usage, asked, "{wire}: {told:?}");
            assert_eq!(told.raw.contains("\"choices\":[]"), asked, "{wire}: {told:?}");
        }
    }
}

/// Per wire: `openai-chat` and `gemini` are complete when every choice gave its reason, with or without an end
/// marker (`gemini` has none). `anthropic` gives its reason and then says `message_stop`; without it the stream was
/// cut.
#[tokio::test]
async fn a_missing_end_marker() {
    for way in Way::ALL {
        for wire in Speaks::ALL {
            let stage = Plot::pair((wire, wire), always("no-done")).open().await;
            let told = stage.ask(way, true).await;
            if wire == Speaks::Anthropic {
                let error = told.error.as_ref().expect("an error event");
                assert_eq!(error["code"], "stream_interrupted", "{way:?}: {told:?}");
                assert!(!told.done, "{way:?}: {told:?}");
            } else {
                assert!(told.is_complete(), "{wire} for {way:?}: {told:?}");
            }
            assert_eq!(stage.calls(), [1, 0]);
        }
    }
}

const OPENAI: &str = concat!(
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
    "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"alder heard: hello\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":",
    "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\",",
    "\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"alder heard: hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
    "\"usage\":{\"output_tokens\":4}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// What comes behind the end of an answer, and what then becomes of the connection.
const TAILS: [(&str, bool, After); 7] = [
    ("", true, After::Keep),
    ("", false, After::Hang),
    ("", false, After::Close),
    ("", false, After::Reset),
    ("no event at all", true, After::Close),
    ("data: {\"error\":{\"message\":\"too late\"}}\n\n", true, After::Keep),
    (
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"more\"},\"finish_reason\":null}]}\n\n",
        false,
        After::Hang,
    ),
];

/// An answer that has said that it is complete can neither go on nor be spoilt.
#[tokio::test]
async fn nothing_spoils_an_answer_after_its_end() {
    let wires = [(Speaks::OpenAiChat, OPENAI), (Speaks::Anthropic, ANTHROPIC)];
    each(wires.into_iter().flat_map(|wire| TAILS.map(|tail| (wire, tail))), async |(wire, tail)| {
        let ((wire, frames), (tail, ends, after)) = (wire, tail);
        for way in Way::ALL {
            let case = format!("{tail:?}, ends: {ends}, {after:?} at {wire} for {way:?}");
            let response = event_stream(&format!("{frames}{tail}"), ends);
            let canned = Canned::start(response, after).await.unwrap();
            let plot = Plot::default().guest(wire, canned.address()).route("stall = \"5s\"");
            let told = plot.open().await.ask(way, true).await;
            assert!(told.is_complete(), "{case}: {told:?}");
            assert_eq!(told.text, "alder heard: hello", "{case}: {told:?}");
            assert!(!told.raw.contains("too late"), "{case}: {told:?}");
            assert!(told.took.as_millis() < 3_000, "{case}: {:?}", told.took);
        }
    })
    .await;
}

/// A chunk of an answer.
fn chunk(choices: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choices}]{more}}}"
    )
}

/// How a stream may be divided on its way: as one, by the byte, by the frame, the last frame with the close.
fn groupings(stream: &str) -> Vec<Vec<&[u8]>> {
    let frames: Vec<&[u8]> = stream.split_inclusive("\n\n").map(str::as_bytes).collect();
    let last = stream.len() - frames.last().unwrap().len();
    let (first, last) = stream.as_bytes().split_at(last);
    vec![vec![stream.as_bytes()], stream.as_bytes().chunks(1).collect(), frames, vec![first, last]]
}

/// A provider that leaves the end out, or its blank line, has still answered, and a caller who gets its bytes as they
/// are gets the end of the dialect, once.
#[tokio::test]
async fn the_end_is_written_however_the_last_frame_comes() {
    let said = chunk(
        "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"{\\\"n\\\":1}\"},\"finish_reason\":null}",
        "",
    );
    let over = chunk("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
    let both = chunk("{\"index\":0,\"delta\":{\"content\":\" \"},\"finish_reason\":\"stop\"}", "");
    let usage = "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}";
    let counted = chunk("", &format!(",{usage}"));
    let streams = [
        (format!("{said}\n\n{over}\n\n"), false),
        (format!("{said}\n\n{over}\n"), false),
        (format!("{said}\n\n{over}"), false),
        (format!("{said}\n\n{both}"), false),
        (format!("{said}\n\n{over}\n\n{counted}\n\n"), true),
        (format!("{said}\n\n{over}\n\n{counted}"), true),
        (format!("{counted}\n\n{said}\n\n{over}"), true),
        (format!("{said}\n\n{over}\n\n{counted}\n\ndata: [DONE]"), true),
        (format!("{said}\n\n{over}\n\ndata: [DONE]\n\n"), false),
        (format!("{said}\n\n{over}\n\ndata: [DONE]\n"), false),
        (format!("{said}\n\n{over}\n\ndata:[DONE]"), false),
    ];
    let holds = [false, true].into_iter();
    let cases =
        streams.into_iter().flat_map(|stream| holds.clone().map(move |holds| (stream.clone(), holds)));
    each(cases, async |((stream, counts), holds)| {
        for grouping in groupings(&stream) {
            let canned =
                Canned::start(event_chunks(grouping.iter().copied(), true), After::Keep).await.unwrap();
            let mut plot = Plot::default().guest(Speaks::OpenAiChat, canned.address());
            if holds {
                plot = plot.route("schema = \"n.json\"").file("n.json", "{\"required\":[\"n\"]}");
            }
            let stage = plot.open().await;
            for asked in [false, true] {
                let mut body = Way::OpenAi.body("main", "hello", true);
                body["stream_options"] = json!({"include_usage": asked});
                let told = stage.send(Way::OpenAi, &[], &body).await;
                let case = format!("{stream:?} in {}, held: {holds}: {told:?}", grouping.len());
                assert!(told.is_complete() && told.text.trim() == "{\"n\":1}", "{case}");
                assert_eq!(told.raw.matches("[DONE]").count(), 1, "{case}");
                assert!(told.raw.trim_end().ends_with("[DONE]") && told.raw.ends_with("\n\n"), "{case}");
                assert_eq!(told.usage, asked && counts, "{case}");
            }
        }
    })
    .await;
}

/// The connection under a complete answer is used again.
#[tokio::test]
async fn connections_are_kept_after_streams() {
    for wire in Speaks::ALL {
        let stage = Plot::pair((wire, wire), always("answer")).open().await;
        for stream in [true, false, true, true] {
            assert!(stage.ask(Way::OpenAi, stream).await.is_complete());
        }
        let connections: Vec<u64> = stage.providers[0].calls().iter().map(|call| call.connection).collect();
        assert_eq!(connections, [1; 4], "{wire}");
    }
}
