//! Framing: a table of streams, an independent reader of the standard, and the law that splits do not matter.

#![cfg(test)]

use bytes::Bytes;
use proptest::prelude::*;
use unfail_wire::sse::{Frame, FrameError, FrameKind, Framer, STRAY_BYTES_MAX};

/// Pushes `chunks` one by one and gathers everything, `finish` included.
fn frames<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, cap: usize) -> Vec<Result<Frame, FrameError>> {
    let mut framer = Framer::new(cap);
    let mut found = Vec::new();
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        found.extend(framer.by_ref());
    }
    found.extend(framer.finish().map(Ok));
    assert_eq!(framer.next(), None, "nothing follows the end");
    found
}

const CAP: usize = 1 << 20;

/// One line per frame: kind, event, data.
fn told(frames: &[Result<Frame, FrameError>]) -> String {
    let line = |frame: &Result<Frame, FrameError>| match frame {
        Ok(frame) => {
            let data = String::from_utf8_lossy(&frame.data).escape_debug().to_string();
            format!("{:?} {:?} {data}", frame.kind, frame.event)
        }
        Err(error) => format!("{error:?}"),
    };
    frames.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check(stream: &[u8], expect: &[&str]) {
    let whole = frames([stream], CAP);
    assert_eq!(told(&whole), expect.join("\n"), "{:?}", String::from_utf8_lossy(stream));
    let bytes = frames(stream.chunks(1), CAP);
    assert_eq!(bytes, whole, "byte by byte: {:?}", String::from_utf8_lossy(stream));
    for at in 0..=stream.len() {
        let (left, right) = stream.split_at(at);
        assert_eq!(frames([left, right], CAP), whole, "split at {at}: {:?}", String::from_utf8_lossy(stream));
    }
}

#[test]
fn frames_of_the_standard() {
    check(b"", &[]);
    check(b"data: a\n\n", &[r#"Event b"" a"#]);
    check(b"data:a\n\ndata:  b\n\n", &[r#"Event b"" a"#, r#"Event b""  b"#]);
    check(b"data\n\n", &[r#"Event b"" "#]);
    check(b"data:\n\n", &[r#"Event b"" "#]);
    check(b"data: a\ndata: b\ndata\ndata: c\n\n", &[r#"Event b"" a\nb\n\nc"#]);
    check(b"event: ping\ndata: {}\n\n", &[r#"Event b"ping" {}"#]);
    check(b"event: a\nevent:b\ndata: 1\n\n", &[r#"Event b"b" 1"#]);
    check(b"event: alone\n\n", &[r#"Silence b"alone" "#]);
    check(b": keep-alive\n\ndata: 1\n\n", &[r#"Silence b"" "#, r#"Event b"" 1"#]);
    check(b":\ndata: 1\n\n", &[r#"Event b"" 1"#]);
    check(b"id: 7\nretry: 100\n\n", &[r#"Silence b"" "#]);
    check(b"id: 7\nx-new_field.1: what\ndata: 1\nlonely\n\n", &[r#"Event b"" 1"#]);
    check(b"\n\ndata: 1\n\n\n", &[r#"Silence b"" "#, r#"Silence b"" "#, r#"Event b"" 1"#, r#"Silence b"" "#]);
}

#[test]
fn line_ends_and_marks() {
    check(b"data: a\r\n\r\ndata: b\r\n\r\n", &[r#"Event b"" a"#, r#"Event b"" b"#]);
    check(b"data: a\r\rdata: b\r\r", &[r#"Event b"" a"#, r#"Event b"" b"#]);
    check(b"data: a\rdata: b\n\r\n", &[r#"Event b"" a\nb"#]);
    check(b"data: a\n\r\ndata: b\r\n\n", &[r#"Event b"" a"#, r#"Event b"" b"#]);
    check(b"\xEF\xBB\xBFdata: a\n\n", &[r#"Event b"" a"#]);
    check(b"\xEF\xBB\xBF", &[]);
    check(b"\xEF\xBB", &[r#"Stray b"" �"#]);
    check(
        "data: 👩‍🚀🇸🇯 ö\n\nevent: 🙂\ndata: x\n\n".as_bytes(),
        &[r#"Event b"" 👩\u{200d}🚀🇸🇯 ö"#, r#"Event b"\xf0\x9f\x99\x82" x"#],
    );
}

#[test]
fn what_is_left_at_the_end() {
    check(b"data: [DONE]", &[r#"Event b"" [DONE]"#]);
    check(b"data: [DONE]\n", &[r#"Event b"" [DONE]"#]);
    check(b"data: [DONE]\r\n", &[r#"Event b"" [DONE]"#]);
    check(b"data: 1\n\ndata: {\"a", &[r#"Event b"" 1"#, r#"Event b"" {\"a"#]);
    check(b"data: 1\n\nevent: mess", &[r#"Event b"" 1"#]);
    check(b"data: 1\n\nda", &[r#"Event b"" 1"#]);
    check(b"data: 1\n\n: comment", &[r#"Event b"" 1"#]);
    check(b"data: 1\ndata: 2", &[r#"Event b"" 1\n2"#]);
}

#[test]
fn bytes_that_are_no_events() {
    check(br#"{"error":1}"#, &[r#"Stray b"" {\"error\":1}"#]);
    check(b"{\n  \"error\": 1\n}\n", &[r#"Stray b"" {\n  \"error\": 1\n}\n"#]);
    check(b"data: 1\n\n[{\"error\": 1}]", &[r#"Event b"" 1"#, r#"Stray b"" [{\"error\": 1}]"#]);
    check(b"data: 1\n{\"error\": 1}\n\ndata: 2\n\n", &[r#"Stray b"" {\"error\": 1}\n\ndata: 2\n\n"#]);
    check(b"<html>", &[r#"Stray b"" <html>"#]);
    check(b"Internal Server Error", &[r#"Stray b"" Internal Server Error"#]);
    check(b" data: indented\n\n", &[r#"Stray b""  data: indented\n\n"#]);
    check(b"   \n\ndata: 1\n\n", &[r#"Silence b"" "#, r#"Event b"" 1"#]);
    check(b"upstream\n", &[]);
    check(&[b'x'; 65], &[&format!(r#"Stray b"" {}"#, "x".repeat(65))]);
    check(&[b' '; 65], &[&format!(r#"Stray b"" {}"#, " ".repeat(65))]);
    check(&[b'x'; 64], &[]);
}

#[test]
fn stray_bytes_are_bounded() {
    let page = [b"data: 1\n\n<".as_slice(), &vec![b'x'; 3 * STRAY_BYTES_MAX]].concat();
    for size in [1_000, 65_536, page.len()] {
        let found = frames(page.chunks(size), CAP);
        let sizes: Vec<_> = found.iter().flatten().map(|frame| (frame.kind, frame.data.len())).collect();
        assert_eq!(sizes, [(FrameKind::Event, 1), (FrameKind::Stray, STRAY_BYTES_MAX)], "{size}");
    }
}

#[test]
fn large_frames_are_refused() {
    // `data: ` and `\n\n` are 8 bytes of the frame.
    for (data, cap, fits) in
        [(92, 100, true), (93, 100, false), (500, 100, false), (0, 8, true), (0, 7, false)]
    {
        let stream = [b"data: 1\n\ndata: ".as_slice(), &vec![b'x'; data], b"\n\ndata: 2\n\n"].concat();
        let expect: Vec<Result<usize, FrameError>> = match (fits, cap) {
            (true, _) if cap < 9 => vec![Err(FrameError::TooLarge)],
            (true, _) => vec![Ok(1), Ok(data), Ok(1)],
            (false, 7) => vec![Err(FrameError::TooLarge)],
            (false, _) => vec![Ok(1), Err(FrameError::TooLarge)],
        };
        for size in [1, 7, 64, stream.len()] {
            let found = frames(stream.chunks(size), cap);
            let found: Vec<_> = found.into_iter().map(|frame| frame.map(|frame| frame.data.len())).collect();
            assert_eq!(found, expect, "data {data}, cap {cap}, chunks of {size}");
        }
    }
}

#[test]
fn a_frame_inside_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b": hi\n\nevent: a\ndata: hello\n\ndata: x\ndata: y\n\n");
    let mut framer = Framer::default();
    framer.push(chunk.clone());
    let inside = |bytes: &Bytes| chunk.as_ptr_range().contains(&bytes.as_ptr());
    let found: Vec<_> = framer.by_ref().flatten().collect();
    assert_eq!(found.iter().map(|frame| inside(&frame.raw)).collect::<Vec<_>>(), [true, true, true]);
    assert_eq!(found.iter().map(|frame| inside(&frame.data)).collect::<Vec<_>>(), [false, true, false]);
    assert!(inside(&found[1].event));
}

/// The standard, read naively from the whole stream: lines, then fields, then blank lines. No stray lines here.
fn by_the_standard(stream: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            byte => lines.last_mut().unwrap().push(*byte),
        }
    }
    let rest = lines.pop().unwrap();
    let (mut found, mut event, mut data) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
    // The end of the stream stands for the end of the line and of the event.
    for line in lines.into_iter().chain([rest, Vec::new()]) {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                (&line[..colon], line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]))
            }
            None => (&line[..], &[][..]),
        };
        match name {
            b"data" => match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            },
            b"event" => event = value.to_vec(),
            _ if line.is_empty() => {
                let event = std::mem::take(&mut event);
                found.extend(data.take().map(|data| (event, data)));
            }
            _ => {}
        }
    }
    found
}

/// Lines that are fields or comments, with every kind of line end.
fn event_stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "data: ?[ -~é🙂]{0,12}",
        2 => "event: ?[a-z🙂]{0,6}",
        1 => ":[ -~]{0,9}",
        1 => "(id|retry|data|event|other)(: ?[0-9]{0,3})?",
        4 => Just(String::new()),
    ];
    let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
    (any::<bool>(), prop::collection::vec((line, end), 0..24), "(data: [a-z]{0,5})?").prop_map(
        |(mark, lines, rest)| {
            let mut stream = if mark { "\u{FEFF}".to_owned() } else { String::new() };
            for (line, end) in lines {
                stream.push_str(&line);
                stream.push_str(end);
            }
            stream.push_str(&rest);
            stream.into_bytes()
        },
    )
}

/// Anything: fields, stray lines, line ends and random bytes.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "data: 1",
            "data:",
            "event: e",
            ": c",
            "\n",
            "\n\n",
            "\r",
            "\r\n",
            "\r\n\r\n",
            "{\"error\":",
            "<p>",
            " ",
            "\u{FEFF}",
            "x",
            "🙂",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..9, 1..12)
}

/// Chunks of the given sizes, over and over.
fn chunks<'a>(mut stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for size in sizes.iter().cycle() {
        let (chunk, rest) = stream.split_at(*size.min(&stream.len()));
        found.push(chunk);
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn events_are_those_of_the_standard(stream in event_stream()) {
        let found = frames([&stream[..]], CAP);
        prop_assert!(found.iter().flatten().all(|frame| frame.kind != FrameKind::Stray));
        let events: Vec<_> = found
            .iter()
            .flatten()
            .filter(|frame| frame.kind == FrameKind::Event)
            .map(|frame| (frame.event.to_vec(), frame.data.to_vec()))
            .collect();
        prop_assert_eq!(events, by_the_standard(&stream));
    }

    #[test]
    fn splits_do_not_matter(stream in any_stream(), sizes in cuts(), cap in prop_oneof![Just(CAP), 0_usize..64]) {
        let whole = frames([&stream[..]], cap);
        prop_assert_eq!(frames(chunks(&stream, &sizes), cap), whole);
    }

    #[test]
    fn draining_late_changes_nothing(stream in any_stream(), sizes in cuts()) {
        let mut framer = Framer::default();
        for chunk in chunks(&stream, &sizes) {
            framer.push(Bytes::copy_from_slice(chunk));
        }
        let mut found: Vec<_> = framer.by_ref().collect();
        found.extend(framer.finish().map(Ok));
        prop_assert_eq!(found, frames([&stream[..]], CAP));
    }

    #[test]
    fn every_byte_is_passed_on_in_order(stream in event_stream()) {
        let raw: Vec<u8> = frames([&stream[..]], CAP).into_iter().flatten().flat_map(|frame| frame.raw).collect();
        prop_assert!(stream.starts_with(&raw));
        // Only a rest without data is left out.
        let rest = by_the_standard(&stream[raw.len()..]);
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }
}
