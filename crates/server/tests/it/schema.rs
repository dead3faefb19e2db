//! Routes that demand an answer of a shape: what breaks it falls through, what can be repaired is repaired.

use serde_json::json;
use unfail_sim::{Act, Script, Speaks};
use unfail_testkit::canned::json as canned_json;
use unfail_testkit::{After, Canned};

use crate::stage::{Plot, Stage, always};
use crate::way::{Told, Way};

const SCHEMA: &str = r#"{
    "type": "object", "required": ["name", "age"], "additionalProperties": false,
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}
}"#;

/// An answer that is what it should be, and as many bytes as were said.
const GOOD: &str = r#"{"name": "Ada", "age": 36}"#;

fn says(words: &str) -> Script {
    Script::always(Act::Say(words.to_owned(), Box::default()))
}

async fn stage(wire: Speaks, first: Script, second: Script) -> Stage {
    let plot = Plot::default().cast(wire, first).cast(wire, second);
    plot.route("schema = \"reply.json\"").file("reply.json", SCHEMA).open().await
}

fn is_good(told: &Told) -> bool {
    let value = serde_json::from_str::<serde_json::Value>(&told.text);
    told.is_complete() && value.is_ok_and(|value| value["name"] == "Ada" && value["age"] == 36)
}

#[tokio::test]
async fn an_answer_that_breaks_the_schema_falls_through() {
    let broken = [
        "I am a poet, not a database.",
        r#"{"name": "Ada"}"#,
        r#"{"name": "Ada", "age": -1}"#,
        r#"{"name": "Ada", "age": 36, "title": "Countess"}"#,
        r#"{"name": "Ada", "age": 36"#,
        r#"["Ada", 36]"#,
        r#"Either {"name": "Ada", "age": 36} or {"name": "Bob", "age": 3}"#,
        "null",
    ];
    for wire in Speaks::ALL {
        for (words, way) in broken.into_iter().zip(Way::ALL.into_iter().cycle()) {
            for stream in [false, true] {
                let stage = stage(wire, says(words), says(GOOD)).await;
                let told = stage.ask(way, stream).await;
                assert!(is_good(&told), "{words} at {wire} for {way:?}, stream: {stream}: {told:?}");
                assert_eq!(told.trail(), "alder:malformed,birch:ok", "{words} at {wire}");
                assert!(!told.raw.contains("poet") && !told.raw.contains("Countess"), "{told:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_change_the_meaning_is_repaired() {
    let fenced = [
        format!("```json\n{GOOD}\n```"),
        format!("Here you are:\n```\n{GOOD}\n```\nAnything else?"),
        format!("The answer is {GOOD}."),
        format!("  {GOOD}\n\n"),
        GOOD.to_owned(),
    ];
    for wire in Speaks::ALL {
        for words in &fenced {
            for way in Way::ALL {
                for stream in [false, true] {
                    let stage = stage(wire, says(words), says("never asked")).await;
                    let told = stage.ask(way, stream).await;
                    assert!(is_good(&told), "{words:?} at {wire} for {way:?}, stream: {stream}: {told:?}");
                    assert_eq!(told.trail(), "alder:ok", "{words:?} at {wire}");
                    assert!(!told.text.contains('`'), "{told:?}");
                }
            }
        }
    }
}

/// The caller sees the first byte only when all of it has been checked, so even a late fault falls through unseen.
#[tokio::test]
async fn a_stream_with_a_schema_is_held_to_its_end() {
    for wire in Speaks::ALL {
        for act in ["cut-after:4", "end-after:4", "stall-after:4", "malformed-after:2", "error-after:4"] {
            let first = Act::Say(GOOD.to_owned(), Box::new(act.parse().unwrap()));
            let plot = Plot::default().cast(wire, Script::always(first)).cast(wire, says(GOOD));
            let plot = plot.route("schema = \"reply.json\"").patient_unless_needed(act);
            let stage = plot.file("reply.json", SCHEMA).open().await;
            let told = stage.ask(Way::Chat, true).await;
            assert!(is_good(&told), "{act} at {wire}: {told:?}");
            assert!(told.trail().ends_with(",birch:ok"), "{act} at {wire}: {told:?}");
        }
    }
}

/// What a caller makes a sound model say is no failure of the target: others go on using it. Garbage is one.
#[tokio::test]
async fn only_garbage_closes_a_target() {
    let mute = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices":
        [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]});
    let poem = mute.to_string().replace("\"content\":\"\"", "\"content\":\"I am a poet.\"");
    let empty = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []});
    for (body, expected) in [
        (mute.to_string(), "alder:malformed,birch:ok"),
        (poem, "alder:malformed,birch:ok"),
        (empty.to_string(), "alder:malformed,birch:ok"),
        ("{\"id\":".to_owned(), "alder:resting,birch:ok"),
    ] {
        for stream in [false, true] {
            let first = Canned::start(canned_json(200, &body), After::Keep).await.unwrap();
            let good = mute.to_string().replace("\"content\":\"\"", &format!("\"content\":{}", json!(GOOD)));
            let second = Canned::start(canned_json(200, &good), After::Keep).await.unwrap();
            let plot = Plot::default().guest(Speaks::OpenAiChat, first.address());
            let plot = plot.guest(Speaks::OpenAiChat, second.address()).file("reply.json", SCHEMA);
            let plot = plot.route("schema = \"reply.json\"\nbreaker = { consecutive = 1 }");
            let stage = plot.open().await;
            let told = stage.ask(Way::OpenAi, stream).await;
            assert_eq!(told.trail(), "alder:malformed,birch:ok", "{body}: {told:?}");
            let told = stage.ask(Way::OpenAi, stream).await;
            assert!(is_good(&told), "{body}: {told:?}");
            assert_eq!(told.trail(), expected, "{body}");
        }
    }
}

#[tokio::test]
async fn when_nobody_keeps_the_schema_the_error_says_so() {
    for stream in [false, true] {
        let stage = stage(Speaks::Anthropic, says("no"), always("answer")).await;
        let told = stage.ask(Way::OpenAi, stream).await;
        assert!(told.is_error(502), "{told:?}");
        assert!(told.trail().starts_with("alder:malformed,birch:malformed"), "{told:?}");
        assert!(told.raw.contains("not JSON"), "{told:?}");
    }
}
