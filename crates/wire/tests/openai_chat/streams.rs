//! Streams as a relay must know them: a chunk of usage alone can be left out, an end that is missing must be written.

use crate::support::pieces;
use bytes::Bytes;
use unfail_wire::chat::Usage;
use unfail_wire::driver::{Driver, StreamFault};
use unfail_wire::event::Event;
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::{Dialect, Wire};

const FIRST: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const LAST: &str = r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const BOTH: &str =
    r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":7}}"#;
const ALONE: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}"#;
const BARE: &str = r#"{"id":"c","usage":{"prompt_tokens":3,"completion_tokens":7}}"#;
const NULL: &str = r#"{"id":"c","choices":null,"usage":{"prompt_tokens":3,"completion_tokens":7}}"#;
const LESS: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;
const SILENT: &str = r#"{"id":"c","choices":[],"usage":null}"#;

/// Output tokens said by each frame that says its usage and nothing else, and by the stream in the end.
fn check(chunks: &[&str], alone: &[(usize, u64)], last: Option<u64>) {
    let stream: String = chunks.iter().chain(&["[DONE]"]).map(|chunk| format!("data: {chunk}\n\n")).collect();
    let pieces = pieces(&stream);
    let found = pieces.iter().enumerate().filter_map(|(frame, (_, said))| match said[..] {
        [Event::Usage(Usage { output, .. })] => Some((frame, output)),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), alone, "{stream}");
    let mut said = pieces.iter().flat_map(|(_, said)| said).filter_map(|event| match event {
        Event::Usage(usage) => Some(usage.output),
        _ => None,
    });
    assert_eq!(said.next_back(), last, "{stream}");
    assert_eq!(pieces.last().unwrap().1.last(), Some(&Event::End), "{stream}");
}

#[test]
fn usage_without_a_choice_is_said_at_once() {
    check(&[FIRST, LAST, ALONE], &[(2, 7)], Some(7));
    check(&[FIRST, LAST, BARE], &[(2, 7)], Some(7));
    check(&[FIRST, LAST, NULL], &[(2, 7)], Some(7));
    check(&[FIRST, ALONE, LAST, ALONE], &[(1, 7), (3, 7)], Some(7));
    check(&[FIRST, ALONE, LAST, LESS], &[(1, 7), (3, 7)], Some(7));
    check(&[FIRST, LAST, SILENT, ALONE], &[(3, 7)], Some(7));
}

#[test]
fn usage_beside_a_choice_waits_for_the_end() {
    check(&[FIRST, BOTH], &[], Some(7));
    check(&[FIRST, BOTH, LESS], &[(2, 5)], Some(5));
    check(&[FIRST, LAST], &[], None);
}

#[test]
fn a_stream_that_begins_with_its_usage_begins() {
    check(&[ALONE, FIRST, LAST], &[], Some(7));
    check(&[r#"{"usage":{"completion_tokens":7}}"#, FIRST, LAST], &[], Some(7));
}

/// What became of a stream in the end.
fn ending(stream: &str) -> Result<(), StreamFault> {
    let mut driver = Driver::new(OpenAiChat.decoder());
    driver.push(Bytes::copy_from_slice(stream.as_bytes()));
    let mut events = Vec::new();
    while let Some(piece) = driver.next(&mut events) {
        piece?;
    }
    driver.finish(&mut events).map(drop)
}

#[test]
fn an_end_without_a_reason_is_no_end() {
    let role = r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let blank = r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":""}]}"#;
    let other = r#"{"id":"c","choices":[{"index":1,"delta":{"content":"Ho"}}]}"#;
    let call = r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"i","function":
        {"name":"f","arguments":"{}"}}]}}]}"#
        .replace(char::is_control, " ");
    for (chunks, whole) in [
        (vec![FIRST, LAST], true),
        (vec![FIRST, BOTH, ALONE], true),
        (vec![LAST, FIRST], true),
        (vec![FIRST, blank], true),
        // Nothing was said, so nothing can be missing.
        (vec![role], true),
        (vec![FIRST], false),
        (vec![FIRST, ALONE], false),
        (vec![FIRST, LAST, other], false),
        (vec![&call], false),
    ] {
        let stream: String = chunks.iter().chain(&["[DONE]"]).map(|c| format!("data: {c}\n\n")).collect();
        assert_eq!(ending(&stream).is_ok(), whole, "{stream}");
    }
    // Providers that leave the wire's own end out have said their reason.
    assert_eq!(ending(&format!("data: {FIRST}\n\ndata: {LAST}\n\n")), Ok(()));
}

#[test]
fn an_error_is_one_whatever_it_says() {
    for words in ["[DONE]", r#"{"message":"out of memory"}"#, "overloaded"] {
        let stream = format!("data: {FIRST}\n\ndata: {LAST}\n\nevent: error\ndata: {words}\n\n");
        assert!(ending(&stream).is_err(), "{words}");
    }
}

#[test]
fn the_frame_that_ends_a_stream_is_known() {
    for (frame, ends) in [
        ("data: [DONE]\n\n", true),
        ("data:[DONE]\r\n\r\n", true),
        ("data: [DONE]", true),
        ("data: [DONE] \r\r", true),
        (": hi\nevent: done\ndata: [DONE]\n\n", true),
        ("", false),
        ("data: {\"content\":\"data: [DONE]\"}\n\n", false),
        ("data: [DONE\n\n", false),
        (": data: [DONE]\n\n", false),
    ] {
        assert_eq!(OpenAiChat.has_end(frame.as_bytes()), ends, "{frame:?}");
    }
}
