//! Prints what the hot path costs: nanoseconds per call, the fastest of many rounds.
//!
//! `cargo bench -p unfail-wire` for all, `cargo bench -p unfail-wire -- WORDS` for those whose name holds the words.
//! It measures the machine as much as the code, so it asserts nothing.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark reads the clock, prints, and has nothing to go on with after a fault"
)]

use bytes::Bytes;
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};
use unfail_wire::driver::Driver;
use unfail_wire::event::Event;
use unfail_wire::format::Inbound;
use unfail_wire::outline::Outline;
use unfail_wire::target::{Quirks, Target, Traits};
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

/// Prose as people and models write it: some quotes, a line break now and then.
const LINE: &str = "The quick brown fox says that the dog is \"lazy\", and the dog, who is not, says nothing at \
                    all about foxes; it waits until the evening and then goes for a walk on its own.\n";

/// Chunks of the measured stream.
const CHUNKS: u32 = 1_000;

fn main() {
    for bytes in [1_700, 64_000] {
        let body = body(bytes);
        let inbound = inbound(&body);
        let (quirks, traits) = (Quirks::NONE, Traits::default());
        let target = Target { model: "model-1", quirks: &quirks, traits: &traits, default_max_tokens: 4_096 };
        let outline = outline(inbound);
        report(&format!("outline of a request, {} bytes", body.len()), 1, || {
            black_box(self::outline(black_box(inbound)));
        });
        report(&format!("adapt a request, {} bytes", body.len()), 1, || {
            black_box(OpenAiChat.adapt(black_box(inbound), &outline, &target).expect("speakable"));
        });
        report(&format!("both, {} bytes", body.len()), 1, || {
            let outline = self::outline(black_box(inbound));
            black_box(OpenAiChat.adapt(black_box(inbound), &outline, &target).expect("speakable"));
        });
        report(&format!("read a request into the hub, {} bytes", body.len()), 1, || {
            black_box(Dialect::parse(&OpenAiChat, black_box(inbound)).expect("valid"));
        });
    }
    let stream = stream();
    let each = stream.iter().map(Bytes::len).sum::<usize>() / stream.len();
    let mut events = Vec::new();
    report(&format!("read a chunk of a stream, {each} bytes"), CHUNKS, || decode(&stream, &mut events));
    let all: Bytes = stream.concat().into();
    report(&format!("the same, {CHUNKS} chunks in one piece"), CHUNKS, || {
        decode(std::slice::from_ref(&all), &mut events);
    });
    let answer = answer();
    report(&format!("read a whole answer, {} bytes", answer.len()), 1, || {
        black_box(Wire::parse(&OpenAiChat, black_box(&answer)).expect("an answer"));
    });
}

/// Prints the time of one piece of `work`, which does `pieces` of them. Measured for [`MEASURED`] in rounds short
/// enough that some are not disturbed.
fn report(name: &str, pieces: u32, mut work: impl FnMut()) {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    if wanted.is_some_and(|words| !name.contains(&words)) {
        return;
    }
    let mut time = |calls: u32| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed()
    };
    let calls = u32::try_from(ROUND.as_nanos() / time(1).as_nanos().max(1)).unwrap_or(1).max(1);
    let rounds = (0..MEASURED.as_micros() / ROUND.as_micros()).map(|_| time(calls));
    let fastest = rounds.min().unwrap_or(Duration::ZERO);
    println!("{:>8} ns  {name}", fastest.as_nanos() / u128::from(calls) / u128::from(pieces));
}

/// How long each piece of work is measured.
const MEASURED: Duration = Duration::from_millis(1_000);
/// How long one round of it takes.
const ROUND: Duration = Duration::from_micros(500);

fn inbound(body: &[u8]) -> Inbound<'_> {
    Inbound { body, path_model: None, path_stream: false }
}

fn outline(inbound: Inbound<'_>) -> Outline<'_> {
    OpenAiChat.outline(inbound).expect("valid")
}

/// A conversation of about `bytes` bytes with one offered tool.
fn body(bytes: usize) -> Vec<u8> {
    let turn = |role: &str| json!({"role": role, "content": LINE});
    let mut messages = vec![turn("system")];
    for role in ["user", "assistant"].into_iter().cycle() {
        if json!(messages).to_string().len() > bytes.saturating_sub(450) {
            break;
        }
        messages.push(turn(role));
    }
    let city = json!({"type": "string", "description": "A city"});
    let schema = json!({"type": "object", "properties": {"city": city}, "required": ["city"]});
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": schema}});
    let body = json!({"model": "route", "messages": messages, "tools": [tool], "temperature": 0.7,
                      "max_completion_tokens": 500});
    body.to_string().into_bytes()
}

/// A stream of text as it arrives: one chunk per read.
fn stream() -> Vec<Bytes> {
    let chunk = |delta: serde_json::Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        let chunk = json!({"id": "c-0123456789", "object": "chat.completion.chunk",
                           "created": 1_763_700_000, "model": "m-1", "choices": [choice]});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let words = LINE.split_inclusive(' ').cycle().map(|word| chunk(json!({"content": word}), None));
    let mut stream: Vec<Bytes> = words.take(CHUNKS as usize - 2).collect();
    stream.push(chunk(json!({}), Some("stop")));
    stream.push(Bytes::from_static(b"data: [DONE]\n\n"));
    stream
}

fn decode(stream: &[Bytes], events: &mut Vec<Event>) {
    let mut driver = Driver::new(Wire::decoder(&OpenAiChat));
    for chunk in stream {
        driver.push(chunk.clone());
        while let Some(piece) = driver.next(events) {
            black_box(piece.expect("a sound stream"));
        }
        black_box(&*events);
        events.clear();
    }
    driver.finish(events).expect("a whole stream");
    events.clear();
}

/// A whole answer of about 1.2 KB.
fn answer() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": LINE.repeat(4), "refusal": null, "annotations": []});
    let details = json!({"cached_tokens": 4, "audio_tokens": 0});
    let usage = json!({"prompt_tokens": 19, "completion_tokens": 190, "total_tokens": 209,
                       "prompt_tokens_details": details, "completion_tokens_details": {"reasoning_tokens": 0}});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    json!({"id": "chatcmpl-0123456789", "object": "chat.completion", "created": 1_763_700_000,
           "model": "model-1", "choices": [choice], "usage": usage, "system_fingerprint": "fp_1"})
    .to_string()
    .into_bytes()
}
