//! The driver's policy and the laws, shown with a decoder that does what the frames say.

#![cfg(test)]

use bytes::Bytes;
use proptest::prelude::*;
use unfail_wire::chat::{Finish, Usage};
use unfail_wire::driver::{Driver, Piece, StreamFault};
use unfail_wire::error_body::ErrorBody;
use unfail_wire::event::{Delta, Event};
use unfail_wire::format::{Decoded, Decoder};
use unfail_wire::laws::{self, CHOICES_MAX, Laws};
use unfail_wire::sse::Frame;

/// Reads scripts: each data line is a list of words, each word an event. `held` words are said at the end.
#[derive(Default)]
struct Scripted {
    held: Vec<Event>,
    needs_end: bool,
    saw_end: bool,
}

/// `start`, `+0` (text of choice 0), `call0.1`, `args0.1`, `fin0`, `use7` (output tokens), `end`.
fn event(word: &str) -> Event {
    let numbers = |rest: &str| {
        let mut parts = rest.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap_or(0))
    };
    let delta = |choice, delta| Event::Delta { choice, delta };
    if let Some(rest) = word.strip_prefix('+') {
        delta(numbers(rest).0, Delta::Text("x".into()))
    } else if let Some(rest) = word.strip_prefix("call") {
        let (choice, call) = numbers(rest);
        delta(choice, Delta::ToolCall { call, id: "c".into(), name: "f".into(), seal: None })
    } else if let Some(rest) = word.strip_prefix("args") {
        let (choice, call) = numbers(rest);
        delta(choice, Delta::Arguments { call, json: "{}".into() })
    } else if let Some(rest) = word.strip_prefix("fin") {
        Event::Finish { choice: numbers(rest).0, finish: Finish::Stop }
    } else if let Some(rest) = word.strip_prefix("use") {
        Event::Usage(Usage { output: rest.parse().unwrap(), ..Usage::default() })
    } else if word == "start" {
        Event::Start { id: String::new(), model: String::new() }
    } else {
        assert_eq!(word, "end");
        Event::End
    }
}

impl Decoder for Scripted {
    fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Decoded {
        let data = String::from_utf8_lossy(&frame.data);
        for word in data.split_whitespace() {
            match word {
                "unknown" => return Decoded::Unknown,
                "corrupt" => return Decoded::Corrupt("scripted"),
                "failed" => {
                    return Decoded::Failed(Box::new(ErrorBody::parse(b"scripted failure")));
                }
                "needs-end" => self.needs_end = true,
                "saw-end" => self.saw_end = true,
                word => match word.strip_prefix("hold:") {
                    Some(word) => self.held.push(event(word)),
                    None => out.push(event(word)),
                },
            }
        }
        Decoded::Known
    }

    fn end(&mut self, out: &mut Vec<Event>) -> bool {
        out.append(&mut self.held);
        self.saw_end || !self.needs_end
    }
}

/// One letter or word per event, so that tables stay readable.
fn word(event: &Event) -> String {
    match event {
        Event::Start { .. } => "start".into(),
        Event::Delta { choice, delta: Delta::Text(_) } => format!("+{choice}"),
        Event::Delta { choice, delta: Delta::ToolCall { call, .. } } => format!("call{choice}.{call}"),
        Event::Delta { choice, delta: Delta::Arguments { call, .. } } => format!("args{choice}.{call}"),
        Event::Delta { .. } => panic!("the script has no word for {event:?}"),
        Event::Finish { choice, .. } => format!("fin{choice}"),
        Event::Usage(usage) => format!("use{}", usage.output),
        Event::End => "end".into(),
    }
}

/// What happened, in order: events, `(raw)` for a piece, `(raw)?` for an unknown one, and the outcome.
fn drive<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut driver = Driver::new(Box::new(Scripted::default()));
    let mut told = Vec::new();
    let mut events = Vec::new();
    let piece_told = |piece: &Piece| {
        let raw = String::from_utf8_lossy(&piece.raw).trim_end().escape_debug().to_string();
        format!("({raw}){}", if piece.unknown { "?" } else { "" })
    };
    let mut unknown = 0;
    for chunk in chunks {
        driver.push(Bytes::copy_from_slice(chunk));
        while let Some(read) = driver.next(&mut events) {
            told.extend(events.drain(..).map(|event| word(&event)));
            told.push(match &read {
                Ok(piece) => piece_told(piece),
                Err(fault) => format!("{fault:?}"),
            });
            unknown += u64::from(read.is_ok_and(|piece| piece.unknown));
        }
        assert!(events.is_empty(), "events without a frame");
    }
    let outcome = driver.finish(&mut events);
    told.extend(events.drain(..).map(|event| word(&event)));
    told.push(match &outcome {
        Ok(None) => "complete".into(),
        Ok(Some(piece)) => {
            assert!(piece.raw.ends_with(b"\n\n"), "the last piece ends as an event");
            format!("{} complete", piece_told(piece))
        }
        Err(StreamFault::Failed(error)) => format!("Failed {}", error.message),
        Err(fault) => format!("{fault:?}"),
    });
    if let Ok(piece) = &outcome {
        unknown += u64::from(piece.as_ref().is_some_and(|piece| piece.unknown));
        assert_eq!(driver.unknown(), unknown);
    }
    assert_eq!(driver.finish(&mut events).is_ok(), outcome.is_ok(), "the second end says the same");
    assert!(events.is_empty());
    told.join(" ")
}

fn check(stream: &str, expect: &str) {
    assert_eq!(drive([stream.as_bytes()]), expect, "{stream:?}");
    assert_eq!(drive(stream.as_bytes().chunks(1)), expect, "byte by byte: {stream:?}");
}

#[test]
fn a_stream_that_ends_well() {
    check(
        "data: start\n\ndata: +0 +0\n\ndata: fin0 use3\n\ndata: end\n\n",
        "start (data: start) +0 +0 (data: +0 +0) fin0 use3 (data: fin0 use3) end (data: end) complete",
    );
    // Whatever comes after the end is passed on and cannot spoil the answer.
    check(
        "data: start end\n\ndata: corrupt\n\n: bye\n\n{\"error\":1}",
        "start end (data: start end) (data: corrupt) (: bye) complete",
    );
    // A wire without an end of its own.
    check("data: start +0 fin0\n\n", "start +0 fin0 (data: start +0 fin0) end complete");
    check(
        "data: start hold:fin0 hold:use9\n\n",
        "start (data: start hold:fin0 hold:use9) fin0 use9 end complete",
    );
    check("data: start hold:end\n\n", "start (data: start hold:end) end complete");
    check("data: start needs-end saw-end\n\n", "start (data: start needs-end saw-end) end complete");
}

#[test]
fn frames_that_say_nothing() {
    check(
        ": hi\n\ndata: start\n\nevent: ping\n\ndata:\n\ndata:  \n\ndata: end\n\n",
        "(: hi) start (data: start) (event: ping) (data:) (data:) end (data: end) complete",
    );
    check(
        "data: start\n\ndata: unknown\n\ndata: unknown\n\ndata: end\n\n",
        "start (data: start) (data: unknown)? (data: unknown)? end (data: end) complete",
    );
}

#[test]
fn faults_end_everything() {
    check(
        "data: start\n\ndata: +0 corrupt\n\ndata: +0\n\n",
        "start (data: start) Corrupt(\"scripted\") Truncated",
    );
    let failed = drive([b"data: start +0 failed\n\ndata: +0\n\n".as_slice()]);
    assert!(failed.starts_with("Failed(ErrorBody { message: \"scripted failure\""), "{failed}");
    assert!(failed.ends_with(" Truncated"), "{failed}");
    check("data: +0\n\ndata: start\n\n", "Corrupt(\"an event before the start\") Truncated");
    let large = format!("data: start\n\ndata: {}\n\ndata: end\n\n", "x ".repeat(1 << 19));
    for size in [16_384, large.len()] {
        assert_eq!(drive(large.as_bytes().chunks(size)), "start (data: start) TooLarge Truncated");
    }
}

#[test]
fn streams_that_are_cut() {
    check("", "Truncated");
    check("data: start needs-end +0\n\n", "start +0 (data: start needs-end +0) Truncated");
    check("data: start +0\n\n", "start +0 (data: start +0) Truncated");
    // Without its blank line the last event counts when it can be read, and is a cut when it cannot.
    check("data: start\n\ndata: end", "start (data: start) end (data: end) complete");
    check("data: start\n\ndata: end\n", "start (data: start) end (data: end) complete");
    check("data: start\n\ndata: end\r", "start (data: start) end (data: end) complete");
    check("data: start\n\ndata: +0 corrupt", "start (data: start) Truncated");
    check("data: start\n\ndata: +0 failed", "start (data: start) Failed scripted failure");
    check("data: start needs-end\n\ndata: +0", "start (data: start needs-end) Truncated");
    check("data: start hold:args0.0", "Corrupt(\"arguments of a call that did not begin\")");
    check("data: start +0 end\n\n", "Corrupt(\"an end before every choice is finished\") Truncated");
    check("data: start needs-end\n\ndata:", "start (data: start needs-end) Truncated");
}

/// Tokens that were counted were spent, however the stream ends; nothing else of what was held back is told.
#[test]
fn tokens_of_a_broken_stream_are_told() {
    check(
        "data: start needs-end hold:fin0 hold:use9 hold:end +0\n\n",
        "start +0 (data: start needs-end hold:fin0 hold:use9 hold:end +0) use9 Truncated",
    );
    // Not those of a frame that cannot be trusted.
    check(
        "data: start use3 hold:use9\n\ndata: use20 corrupt\n\n",
        "start use3 (data: start use3 hold:use9) use9 Corrupt(\"scripted\") Truncated",
    );
    check("data: start hold:use9\n\ndata: +0 use20 corrupt", "start (data: start hold:use9) use9 Truncated");
    check(
        "data: start hold:use9\n\ndata: +0 failed",
        "start (data: start hold:use9) use9 Failed scripted failure",
    );
    check(
        "data: start hold:use9\n\n{\n \"error\": \"x\"\n}\n",
        "start (data: start hold:use9) use9 Failed x",
    );
    // A last frame without its end counts like any other, its words are lost.
    check("data: start needs-end\n\ndata: +0 use7", "start (data: start needs-end) use7 Truncated");
    // The laws hold for them too.
    check(
        "data: start use5 needs-end hold:use4 hold:use6\n\n",
        "start use5 (data: start use5 needs-end hold:use4 hold:use6) use6 Truncated",
    );
    check("data: needs-end hold:use4\n\n", "(data: needs-end hold:use4) Truncated");
    check(
        "data: start +0 hold:use4 end\n\n",
        "Corrupt(\"an end before every choice is finished\") Truncated",
    );
}

#[test]
fn a_stream_may_be_given_up() {
    for (stream, told) in [
        ("data: start hold:use9 hold:fin0 +0\n\ndata: +0", "start +0 use9"),
        ("data: start use3\n\n", "start use3"),
        ("data: start hold:use9 end\n\n", "start end"),
        ("data: hold:use9\n\n", ""),
        ("data: start\n\ndata: hold:use9 corrupt\n\n", "start use9"),
        ("data: start hold:use9 corrupt\n\n", ""),
    ] {
        let mut driver = Driver::new(Box::new(Scripted::default()));
        let mut events = Vec::new();
        driver.push(Bytes::from(stream));
        while driver.next(&mut events).is_some() {}
        driver.cut(&mut events);
        driver.cut(&mut events);
        assert!(driver.next(&mut events).is_none(), "{stream:?}");
        let told_so = events.iter().map(word).collect::<Vec<_>>().join(" ");
        assert_eq!(told_so, told, "{stream:?}");
        let complete = stream.contains(" end");
        assert_eq!(driver.finish(&mut events).is_ok(), complete, "{stream:?}");
    }
}

#[test]
fn bytes_that_are_no_events() {
    check(r#"{"error":{"message":"overloaded"}}"#, "Failed overloaded");
    check("data: start\n\n{\n \"error\": \"x\"\n}\n", "start (data: start) Failed x");
    check(r#"{"choices":[]}"#, "Corrupt(\"bytes that are no server-sent events\")");
    check("<html>502</html>", "Corrupt(\"bytes that are no server-sent events\")");
    let flood = "<".repeat(70_000);
    assert_eq!(drive([flood.as_bytes()]), "Corrupt(\"bytes that are no server-sent events\") Truncated");
}

fn obey(words: &str) -> Result<(), &'static str> {
    let mut laws = Laws::default();
    words.split_whitespace().try_for_each(|word| laws.check(&event(word)))
}

#[test]
fn sequences_that_obey() {
    for words in [
        "",
        "start",
        "start end",
        "start use0 use0 use5",
        "start +0 +0 fin0 use1 end",
        "start fin0 end",
        "start +0 +1 fin1 +0 fin0 end",
        "start fin7 end",
        "start call0.0 args0.0 call0.1 args0.1 args0.0 +0 call0.2 fin0 end",
        "start call0.0 call1.0 args1.0 fin0 fin1 end",
    ] {
        assert_eq!(obey(words), Ok(()), "{words}");
    }
}

#[test]
fn sequences_that_do_not() {
    for (words, law) in [
        ("+0", "an event before the start"),
        ("end", "an event before the start"),
        ("use1", "an event before the start"),
        ("start start", "a second start"),
        ("start +0 start", "a second start"),
        ("start fin0 +0", "more of a choice that is finished"),
        ("start fin0 fin0", "more of a choice that is finished"),
        ("start fin0 call0.0", "more of a choice that is finished"),
        ("start args0.0", "arguments of a call that did not begin"),
        ("start call0.0 args0.1", "arguments of a call that did not begin"),
        ("start call0.0 args1.0", "arguments of a call that did not begin"),
        ("start call0.1", "a call out of order"),
        ("start call0.0 call0.0", "a call out of order"),
        ("start call0.0 call0.2", "a call out of order"),
        ("start use5 use4", "output tokens that shrink"),
        ("start +0 end", "an end before every choice is finished"),
        ("start fin0 +1 end", "an end before every choice is finished"),
        ("start end end", "an event after the end"),
        ("start end use1", "an event after the end"),
        ("start end start", "an event after the end"),
    ] {
        assert_eq!(obey(words), Err(law), "{words}");
    }
}

#[test]
fn choices_are_bounded() {
    let words: Vec<String> = (0..=CHOICES_MAX).map(|index| format!("+{index}")).collect();
    assert_eq!(obey(&format!("start {}", words[..CHOICES_MAX].join(" "))), Ok(()));
    assert_eq!(obey(&format!("start {}", words.join(" "))), Err("too many choices"));
}

#[test]
fn complete_answers_obey_too() {
    use unfail_wire::chat::{ChatResponse, Choice, Part, ToolResult};
    let answer = |parts| ChatResponse {
        choices: vec![Choice { parts, finish: Finish::Stop, logprobs: None }],
        ..ChatResponse::default()
    };
    let result = Part::ToolResult(ToolResult { id: "c".into(), content: vec![], is_error: false });
    assert_eq!(laws::check_response(&answer(vec![])), Ok(()));
    assert_eq!(laws::check_response(&answer(vec![Part::Text("x".into())])), Ok(()));
    assert_eq!(laws::check_response(&ChatResponse::default()), Err("an answer without a choice"));
    assert_eq!(laws::check_response(&answer(vec![result])), Err("a tool result said by the model"));
}

fn script() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "start",
        "+0",
        "+1",
        "call0.0",
        "args0.0",
        "fin0",
        "fin1",
        "use1",
        "use2",
        "end",
        "unknown",
        "corrupt",
        "failed",
        "needs-end",
        "saw-end",
        "hold:fin0",
        "hold:end",
        "\n\ndata:",
        "\n\n: hi\n\ndata:",
        "\n{\n",
    ]);
    prop::collection::vec(word, 0..16).prop_map(|words| format!("data: start {}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_comes_the_laws_hold_and_splits_do_not_matter(script in script(), size in 1_usize..20) {
        prop_assert_eq!(drive(script.as_bytes().chunks(size)), drive([script.as_bytes()]));
        let mut driver = Driver::new(Box::new(Scripted::default()));
        let mut events = Vec::new();
        driver.push(Bytes::from(script));
        let faulty = std::iter::from_fn(|| driver.next(&mut events)).filter(Result::is_err).count();
        let complete = driver.finish(&mut events).is_ok();
        prop_assert!(faulty == 0 || (faulty == 1 && !complete));
        let mut laws = Laws::default();
        for event in &events {
            prop_assert_eq!(laws.check(event), Ok(()));
        }
        prop_assert!(!complete || laws.is_over(), "complete, but no end was told");
    }

    #[test]
    fn any_bytes_are_driven(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        struct Deaf;
        impl Decoder for Deaf {
            fn frame(&mut self, _: &Frame, _: &mut Vec<Event>) -> Decoded {
                Decoded::Unknown
            }
            fn end(&mut self, _: &mut Vec<Event>) -> bool {
                false
            }
        }
        let mut driver = Driver::new(Box::new(Deaf));
        let mut events = Vec::new();
        let (left, right) = bytes.split_at(cut.min(bytes.len()));
        for chunk in [left, right] {
            driver.push(Bytes::copy_from_slice(chunk));
            while driver.next(&mut events).is_some() {}
        }
        prop_assert!(driver.finish(&mut events).is_err());
        prop_assert!(events.is_empty());
    }
}
