//! What the tests share: targets, frames, and reading fixtures.

use bytes::Bytes;
use std::path::PathBuf;
use unfail_wire::chat::{ChatResponse, Effort};
use unfail_wire::driver::Driver;
use unfail_wire::event::Event;
use unfail_wire::format::{EncoderSetup, Flaw, Inbound, Summary};
use unfail_wire::sse::{Frame, Framer};
use unfail_wire::target::{
    ErrorQuirk, JsonMode, MaxTokens, Quirks, ReasoningControl, ReasoningHistory, StreamUsage, Target,
    ToolIds, Traits,
};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

/// A host that differs in everything it can.
pub(crate) const CROOKED: Quirks = Quirks {
    max_tokens: MaxTokens::MaxTokens,
    max_tokens_always: true,
    stream_usage: StreamUsage::Always,
    reasoning_history: ReasoningHistory::ReasoningContentRequired,
    developer_role: false,
    json_schema: JsonMode::Object,
    flat_text: true,
    tool_ids: ToolIds::Nine,
    seed: Some("random_seed"),
    stop_list: true,
    no_strict_tools: true,
    no_names: true,
    refused: &["n", "user", "safety_identifier", "logit_bias", "parallel_tool_calls"],
    errors: ErrorQuirk::None,
};

/// A model that takes every option.
pub(crate) fn able() -> Traits {
    let reasoning = ReasoningControl::Effort { least: Effort::None, most: Effort::Max };
    Traits { sampling: Some(true), reasoning, ..Traits::default() }
}

/// A model that takes few.
pub(crate) fn picky() -> Traits {
    let reasoning = ReasoningControl::Effort { least: Effort::Low, most: Effort::High };
    Traits { sampling: Some(false), max_output: Some(150), reasoning, ..Traits::default() }
}

pub(crate) fn target<'a>(quirks: &'a Quirks, traits: &'a Traits) -> Target<'a> {
    Target { model: "host/model-1", quirks, traits, default_max_tokens: 4096 }
}

pub(crate) fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound { body, path_model: None, path_stream: false }
}

pub(crate) fn setup(usage: bool, open: bool) -> EncoderSetup {
    let (id, model) = ("chatcmpl-own".to_owned(), "route".to_owned());
    EncoderSetup { id, model, open, created: 1_763_700_000, usage }
}

/// The frames of a complete stream.
pub(crate) fn frames(stream: &str) -> Vec<Frame> {
    let mut framer = Framer::default();
    framer.push(Bytes::from(stream.to_owned()));
    framer.map(Result::unwrap).collect()
}

/// The frames of a sound stream, and what each says.
pub(crate) fn pieces(stream: &str) -> Vec<(String, Vec<Event>)> {
    let mut driver = Driver::new(Wire::decoder(&OpenAiChat));
    driver.push(Bytes::from(stream.to_owned()));
    let (mut pieces, mut said) = (Vec::new(), Vec::new());
    while let Some(piece) = driver.next(&mut said) {
        pieces.push((String::from_utf8(piece.unwrap().raw.to_vec()).unwrap(), std::mem::take(&mut said)));
    }
    pieces
}

/// What a stream says: its events, and how it went frame by frame.
pub(crate) struct Heard {
    pub(crate) events: Vec<Event>,
    pub(crate) remarks: Vec<String>,
    pub(crate) complete: bool,
}

pub(crate) fn hear(stream: &str) -> Heard {
    let mut driver = Driver::new(Wire::decoder(&OpenAiChat));
    driver.push(Bytes::from(stream.to_owned()));
    let mut heard = Heard { events: Vec::new(), remarks: Vec::new(), complete: false };
    for position in 0.. {
        match driver.next(&mut heard.events) {
            None => break,
            Some(Ok(piece)) if piece.unknown => heard.remarks.push(format!("frame {position}: unknown")),
            Some(Ok(_)) => {}
            Some(Err(fault)) => {
                heard.remarks.push(format!("frame {position}: {fault:#?}"));
                return heard;
            }
        }
    }
    match driver.finish(&mut heard.events) {
        Ok(_) => heard.complete = true,
        Err(fault) => heard.remarks.push(format!("end: {fault:#?}")),
    }
    heard
}

/// The stream a caller of this dialect gets for `events`.
pub(crate) fn written(events: &[Event], setup: EncoderSetup) -> String {
    let mut encoder = OpenAiChat.encoder(setup);
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

/// The fixtures of one folder by name, in order.
pub(crate) fn fixtures(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/openai_chat").join(folder);
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// JSON laid out for reading.
pub(crate) fn pretty(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// Reads an answer, and checks that its summary says the same.
pub(crate) fn summed_up(bytes: &[u8]) -> Result<ChatResponse, Flaw> {
    let parsed = Wire::parse(&OpenAiChat, bytes);
    let expected = parsed.as_ref().map(Summary::of);
    assert_eq!(format!("{:?}", OpenAiChat.summary(bytes).as_ref()), format!("{:?}", expected.as_ref()));
    parsed
}
