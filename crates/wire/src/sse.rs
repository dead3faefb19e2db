//! Server-sent events from bytes that may be split anywhere.
//!
//! Bytes only: whether the text is UTF-8 or JSON is for decoders to say. Every decision depends on the bytes before
//! it alone, never on where a chunk ended, so any split of a stream gives the same frames.

use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// One event, one comment, or stray bytes between events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they came, terminator included.
    pub raw: Bytes,
    /// The `event:` field; empty when absent.
    pub event: Bytes,
    /// The `data:` lines joined by `\n`; a slice of `raw` when there was one line.
    pub data: Bytes,
    /// What it is.
    pub kind: FrameKind,
}

/// What a [`Frame`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// An event with data.
    Event,
    /// Only comments, ids or retries: keeps the connection alive and says nothing.
    Silence,
    /// Lines that are no server-sent events at all (a bare JSON error, HTML); they stand in `data`.
    Stray,
}

/// Why framing stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// One frame is longer than the cap; nothing after it is read.
    #[error("an event is larger than the limit")]
    TooLarge,
}

/// Longest frame accepted by default, in bytes: 1 MiB. A delta is a few hundred bytes; a whole tool call or an
/// inline picture may be some hundred kilobytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Stray bytes kept, 64 KiB: enough for any error body, and a bound for a stream that is no event stream.
pub const STRAY_BYTES_MAX: usize = 64 << 10;

/// Cuts bytes into frames. Push chunks, take frames (it is an iterator that may go on after `None`), and call
/// [`Framer::finish`] when the stream has ended.
///
/// ```text
///            a line that is no field          64 KiB gathered
///   Lines ───────────────────────────▶ Stray ─────────────────▶ Done
///     │ a frame larger than the cap                              ▲
///     └──────────────────────────────────────────────────────────┘
/// ```
///
/// A carriage return as the very last byte waits for the next one, which may be its line feed.
#[derive(Debug)]
pub struct Framer {
    /// Bytes not yet given out; the first one begins the current frame.
    buffer: Buffer,
    /// What the lines of the current frame have said.
    partial: Partial,
    state: State,
    /// Longest frame accepted, in bytes.
    cap: usize,
    /// No byte of the stream was looked at yet: a byte order mark may stand here.
    fresh: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Lines,
    /// Stray bytes begin at this offset of the buffer.
    Stray(usize),
    Done,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl Framer {
    /// A framer that refuses frames longer than `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            buffer: Buffer::Whole(Bytes::new()),
            partial: Partial::default(),
            state: State::Lines,
            cap,
            fresh: true,
        }
    }

    /// Adds the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if self.state != State::Done {
            self.buffer.push(chunk);
        }
    }

    /// The stream has ended, and [`Iterator::next`] has returned `None`: what is left. An event that has data but
    /// no blank line after it is given out, so that the caller can judge whether it was cut; stray bytes too.
    /// A rest without data says nothing and is dropped.
    pub fn finish(&mut self) -> Option<Frame> {
        let frame = match self.state {
            State::Lines => match self.advance(true) {
                Progress::Frame(end) => Some(self.take(end)),
                Progress::Stray(from) => self.take_stray(from, self.buffer.len()),
                Progress::More => self.take_rest(),
                Progress::TooLarge => None,
            },
            State::Stray(from) => self.take_stray(from, self.buffer.len()),
            State::Done => None,
        };
        self.stop();
        frame
    }

    /// Reads lines until something is decided. `at_end`: no byte will follow.
    fn advance(&mut self, at_end: bool) -> Progress {
        let buffered = self.buffer.as_slice();
        // One byte past the cap tells a frame that is too large from one that just fits.
        let window = buffered.get(..=self.cap).unwrap_or(buffered);
        if self.fresh {
            if window.len() < BOM.len() && BOM.starts_with(window) && !at_end {
                return Progress::More;
            }
            self.fresh = false;
            if window.starts_with(BOM) {
                self.partial.skip(BOM.len());
            }
        }
        match self.partial.advance(window, at_end) {
            Progress::Frame(end) if end > self.cap => Progress::TooLarge,
            Progress::More if window.len() > self.cap => Progress::TooLarge,
            progress => progress,
        }
    }

    /// Takes the frame that ends before `end`.
    fn take(&mut self, end: usize) -> Frame {
        let raw = self.buffer.take(end);
        std::mem::take(&mut self.partial).frame(raw)
    }

    fn take_rest(&mut self) -> Option<Frame> {
        matches!(self.partial.data, Data::One(_) | Data::Many(_)).then(|| self.take(self.buffer.len()))
    }

    fn take_stray(&mut self, from: usize, end: usize) -> Option<Frame> {
        let raw = self.buffer.take(end.min(from + STRAY_BYTES_MAX));
        let data = raw.slice(from..);
        self.stop();
        Some(Frame { raw, event: Bytes::new(), data, kind: FrameKind::Stray })
    }

    fn stop(&mut self) {
        self.state = State::Done;
        self.buffer = Buffer::Whole(Bytes::new());
    }
}

impl Iterator for Framer {
    type Item = Result<Frame, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Lines {
            match self.advance(false) {
                Progress::More => return None,
                Progress::Frame(end) => return Some(Ok(self.take(end))),
                Progress::Stray(from) => self.state = State::Stray(from),
                Progress::TooLarge => {
                    self.stop();
                    return Some(Err(FrameError::TooLarge));
                }
            }
        }
        match self.state {
            State::Stray(from) if self.buffer.len() >= from + STRAY_BYTES_MAX => {
                self.take_stray(from, from + STRAY_BYTES_MAX).map(Ok)
            }
            State::Stray(_) | State::Lines | State::Done => None,
        }
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How far reading came.
enum Progress {
    /// More bytes are needed.
    More,
    /// A frame ends before this offset.
    Frame(usize),
    /// Stray bytes begin at this offset.
    Stray(usize),
    /// The current frame is longer than the cap.
    TooLarge,
}

/// The frame being read. Offsets count from the first byte of the frame.
#[derive(Debug, Default)]
struct Partial {
    /// Where the current line begins.
    line: usize,
    /// No line end stands before here.
    searched: usize,
    event: Range<usize>,
    data: Data,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// One line: given out without copying.
    One(Range<usize>),
    /// Several lines, joined.
    Many(Vec<u8>),
}

impl Partial {
    /// Leaves out `count` bytes before the first line.
    fn skip(&mut self, count: usize) {
        self.line = count;
        self.searched = count;
    }

    fn advance(&mut self, window: &[u8], at_end: bool) -> Progress {
        while let Some((end, next)) = self.line_end(window, at_end) {
            let line = self.line..end;
            if line.is_empty() {
                return Progress::Frame(next);
            }
            if !self.field(window, line) {
                return Progress::Stray(self.line);
            }
            self.skip(next);
        }
        let rest = self.line..if at_end { window.len() } else { self.searched };
        let text = part(window, rest.clone());
        // A stray line is known by its first bytes, so that a long one is told from a frame that is too large in
        // the same way whether its end has arrived or not.
        let fits = if at_end { text.is_empty() || self.field(window, rest) } else { !is_stray(text) };
        if fits { Progress::More } else { Progress::Stray(self.line) }
    }

    /// Where the current line ends and where the next one begins.
    fn line_end(&mut self, window: &[u8], at_end: bool) -> Option<(usize, usize)> {
        let unseen = window.get(self.searched..)?;
        let Some(found) = memchr::memchr2(b'\n', b'\r', unseen) else {
            self.searched = window.len();
            return None;
        };
        let end = self.searched + found;
        let next = match (window.get(end), window.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(b'\r'), None) if !at_end => {
                self.searched = end;
                return None;
            }
            _ => end + 1,
        };
        Some((end, next))
    }

    /// Notes what a line says; `false` when it is no field.
    fn field(&mut self, window: &[u8], line: Range<usize>) -> bool {
        let text = part(window, line.clone());
        let colon = memchr::memchr(b':', text);
        let name = part(text, 0..colon.unwrap_or(text.len()));
        let value = match colon {
            Some(colon) if text.get(colon + 1) == Some(&b' ') => line.start + colon + 2..line.end,
            Some(colon) => line.start + colon + 1..line.end,
            None => line.end..line.end,
        };
        match name {
            b"data" => self.add_data(window, value),
            b"event" => self.event = value,
            b"" | b"id" | b"retry" => {}
            _ => return !is_stray(text),
        }
        true
    }

    fn add_data(&mut self, window: &[u8], value: Range<usize>) {
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(value),
            Data::One(first) => {
                let mut joined = part(window, first).to_vec();
                joined.push(b'\n');
                joined.extend_from_slice(part(window, value));
                Data::Many(joined)
            }
            Data::Many(mut joined) => {
                joined.push(b'\n');
                joined.extend_from_slice(part(window, value));
                Data::Many(joined)
            }
        };
    }

    fn frame(self, raw: Bytes) -> Frame {
        // An empty slice of `raw` would still count a reference.
        let event = if self.event.is_empty() { Bytes::new() } else { raw.slice(self.event) };
        let (kind, data) = match self.data {
            Data::None => (FrameKind::Silence, Bytes::new()),
            Data::One(range) => (FrameKind::Event, raw.slice(range)),
            Data::Many(joined) => (FrameKind::Event, Bytes::from(joined)),
        };
        Frame { raw, event, data, kind }
    }
}

/// Whether a line, or the beginning of one, is no field. The standard ignores fields it does not know; here that is
/// granted only to lines that could be one: a short name of letters, digits, `-`, `_` or `.` before the first colon
/// (or the whole line), or a few blanks. Once true it stays true however the line goes on.
fn is_stray(line: &[u8]) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let head = line.get(..=NAME_BYTES_MAX).unwrap_or(line);
    match head.iter().find(|byte| !in_name(byte)) {
        Some(b':') => false,
        Some(_) if !head.trim_ascii().is_empty() => true,
        _ => head.len() > NAME_BYTES_MAX,
    }
}

/// Longest field name taken for one; the standard's longest has five letters.
const NAME_BYTES_MAX: usize = 64;

/// `bytes[range]`, empty when out of bounds.
fn part(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

/// Unread bytes: one chunk as it came, or a copy of several because a frame spans them. Each byte is copied
/// at most twice, however small the chunks are.
#[derive(Debug)]
enum Buffer {
    Whole(Bytes),
    Growing(BytesMut),
}

impl Buffer {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Growing(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Whole(rest) if rest.is_empty() => *rest = chunk,
            Self::Whole(rest) => {
                let mut grown = BytesMut::with_capacity(2 * (rest.len() + chunk.len()));
                grown.extend_from_slice(rest);
                grown.extend_from_slice(&chunk);
                *self = Self::Growing(grown);
            }
            Self::Growing(rest) => rest.extend_from_slice(&chunk),
        }
    }

    /// Splits off the first `end` bytes, or all of them when there are fewer.
    fn take(&mut self, end: usize) -> Bytes {
        let mut whole = match self {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Growing(bytes) => std::mem::take(bytes).freeze(),
        };
        let taken = whole.split_to(end.min(whole.len()));
        *self = Self::Whole(whole);
        taken
    }
}
