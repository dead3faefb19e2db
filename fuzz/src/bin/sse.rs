//! Server-sent events: any split of the bytes gives the same frames as the whole, and nothing is lost or invented.
//!
//! Seeds: crates/wire/fixtures/openai_chat/streams crates/wire/fixtures/anthropic/streams crates/wire/fixtures/gemini/streams
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use unfail_wire::sse::{FRAME_BYTES_MAX, Frame, FrameError, Framer};

fuzz_target!(|data: &[u8]| {
    let (Some(size), Some(cap)) = (data.first(), data.last()) else { return };
    for cap in [FRAME_BYTES_MAX, usize::from(*cap) + 1] {
        let whole = frames(cap, &[data]);
        let pieces: Vec<&[u8]> = data.chunks(usize::from(*size) % 17 + 1).collect();
        assert_eq!(frames(cap, &pieces), whole);
        let (left, right) = data.split_at(usize::from(*size).min(data.len()));
        assert_eq!(frames(cap, &[left, right]), whole);
        let raw: Vec<u8> = whole.iter().flatten().flat_map(|frame| frame.raw.to_vec()).collect();
        assert!(data.starts_with(&raw), "frames are not the bytes they came as");
        assert!(whole.iter().flatten().all(|frame| frame.data.len() <= frame.raw.len()));
    }
});

fn frames(cap: usize, pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let mut framer = Framer::new(cap);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        frames.extend(&mut framer);
    }
    frames.extend(framer.finish().map(Ok));
    frames
}
