//! Reads one HTTP/1.1 response from bytes that may be split anywhere.
//!
//! Pure: bytes in, progress out. Counts server-sent events on the way and keeps nothing of the body.

use bytes::{Buf as _, BytesMut};

/// Most headers an answer may have.
const HEADERS: usize = 64;

/// A response as far as it has come.
#[derive(Debug)]
pub(crate) struct Response {
    state: State,
    /// Status; 0 until the head is read.
    pub status: u16,
    /// Server-sent events seen.
    pub events: u64,
    last: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes of the body still to come.
    Fixed(usize),
    /// A chunk's size line comes next.
    Size,
    /// Bytes of the chunk still to come.
    Chunk(usize),
    /// The line break after a chunk comes next.
    Break,
    /// Trailer lines, up to an empty one.
    Trailer,
    Done,
}

impl Response {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self { state: State::Head, status: 0, events: 0, last: 0 }
    }

    /// Takes what it can use from `bytes`. Returns whether the response is complete.
    ///
    /// # Errors
    /// When the bytes are no HTTP response with a length or chunks.
    pub(crate) fn feed(&mut self, bytes: &mut BytesMut) -> Result<bool, String> {
        loop {
            let next = match self.state {
                State::Done => return Ok(true),
                State::Head => self.head(bytes)?,
                State::Fixed(left) => self.body(bytes, left).map(|left| match left {
                    0 => State::Done,
                    left => State::Fixed(left),
                }),
                State::Chunk(left) => self.body(bytes, left).map(|left| match left {
                    0 => State::Break,
                    left => State::Chunk(left),
                }),
                State::Size => match line(bytes) {
                    None => None,
                    Some(text) => Some(match chunk_size(&text)? {
                        0 => State::Trailer,
                        size => State::Chunk(size),
                    }),
                },
                State::Break => line(bytes).map(|_| State::Size),
                State::Trailer => line(bytes).map(|text| match text.as_str() {
                    "" => State::Done,
                    _ => State::Trailer,
                }),
            };
            match next {
                Some(next) => self.state = next,
                None => return Ok(false),
            }
        }
    }

    fn head(&mut self, bytes: &mut BytesMut) -> Result<Option<State>, String> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(bytes).map_err(|error| format!("response head: {error}"))? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(length) => length,
        };
        self.status = head.code.unwrap_or(0);
        let find = |name: &str| {
            let header = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let chunked = find("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let fixed = find("content-length").and_then(|length| length.parse().ok());
        bytes.advance(length);
        match (chunked, fixed) {
            (true, _) => Ok(Some(State::Size)),
            (false, Some(0)) => Ok(Some(State::Done)),
            (false, Some(length)) => Ok(Some(State::Fixed(length))),
            (false, None) => Err("a response without length or chunks".to_owned()),
        }
    }

    /// Takes up to `left` bytes of body; returns how many are still to come, `None` when there were none.
    fn body(&mut self, bytes: &mut BytesMut, left: usize) -> Option<usize> {
        let taken = bytes.split_to(left.min(bytes.len()));
        for byte in &taken {
            // An empty line ends an event; the line break counts once.
            let ends = *byte == b'\n' && self.last == b'\n';
            self.events += u64::from(ends);
            self.last = if ends { 0 } else { *byte };
        }
        (!taken.is_empty()).then_some(left - taken.len())
    }
}

/// The next complete line, without its end.
fn line(bytes: &mut BytesMut) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes.split_to(end + 1);
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn chunk_size(line: &str) -> Result<usize, String> {
    let digits = line.split(';').next().unwrap_or("").trim();
    usize::from_str_radix(digits, 16).map_err(|_| format!("no chunk size: `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::Response;
    use bytes::BytesMut;

    const FIXED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\na\n\nb\n\nc";
    const CHUNKED: &str = "HTTP/1.1 429 Slow\r\ntransfer-encoding: chunked\r\n\r\n\
                           3;x=y\r\na\n\n\r\n4\r\nb\n\nc\r\n0\r\nx-t: 1\r\n\r\n";

    #[test]
    fn any_split_reads_the_same() {
        for (text, status) in [(FIXED, 200), (CHUNKED, 429)] {
            for size in 1..=text.len() {
                let mut response = Response::new();
                let mut bytes = BytesMut::new();
                let mut done = false;
                for piece in text.as_bytes().chunks(size) {
                    assert!(!done, "complete before its last byte");
                    bytes.extend_from_slice(piece);
                    done = response.feed(&mut bytes).unwrap();
                }
                assert!(done && bytes.is_empty(), "pieces of {size}");
                assert_eq!((response.status, response.events), (status, 2), "pieces of {size}");
            }
        }
    }

    #[test]
    fn the_next_response_is_left_alone() {
        let mut bytes = BytesMut::from(format!("{FIXED}HTTP/1.1").as_bytes());
        assert_eq!(Response::new().feed(&mut bytes), Ok(true));
        assert_eq!(&bytes[..], b"HTTP/1.1");
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(Response::new().feed(&mut BytesMut::from(text.as_bytes())).is_err(), "{text}");
        }
    }
}
