//! A bare TCP client for input no HTTP client would send, and for seeing the exact bytes that come back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Properly.
    Closed,
    /// By a reset.
    Reset,
    /// Not at all, within the time that was given.
    Open,
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Raw { stream })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends bytes a few at a time, so many with a pause after each.
    pub async fn drip(&mut self, bytes: &[u8], size: usize, pause: Duration) -> io::Result<()> {
        for part in bytes.chunks(size.max(1)) {
            self.send(part).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Sends the same bytes again and again until so many were sent or the peer takes no more; how many it took.
    pub async fn flood(&mut self, bytes: &[u8], total: usize) -> usize {
        let mut sent = 0;
        while sent < total && self.send(bytes).await.is_ok() {
            sent += bytes.len();
        }
        sent
    }

    /// Sends a request with a JSON body.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<()> {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.send(head.as_bytes()).await?;
        self.send(body.as_bytes()).await
    }

    /// Says that nothing more will be sent, and can still read.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Leaves with a reset.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Reads until the peer ends the connection or is silent this long: the bytes, and how it ended.
    pub async fn read_all(&mut self, silence: Duration) -> io::Result<(Vec<u8>, Ending)> {
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(silence, self.stream.read_buf(&mut bytes)).await {
                Err(_) => return Ok((bytes, Ending::Open)),
                Ok(Ok(0)) => return Ok((bytes, Ending::Closed)),
                Ok(Ok(_)) => {}
                Ok(Err(fault)) if fault.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok((bytes, Ending::Reset));
                }
                Ok(Err(fault)) => return Err(fault),
            }
        }
    }

    /// Reads until a text has come, at most this long.
    pub async fn read_until(&mut self, text: &str, patience: Duration) -> io::Result<String> {
        let mut bytes = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&bytes).contains(text) {
                if self.stream.read_buf(&mut bytes).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        tokio::time::timeout(patience, reading).await.map_err(io::Error::other)??;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads one response to its end, and leaves the connection open.
    pub async fn read_response(&mut self, silence: Duration) -> io::Result<Seen> {
        let mut bytes = Vec::new();
        loop {
            let seen = seen(&bytes);
            if seen.complete {
                return Ok(seen);
            }
            let read = tokio::time::timeout(silence, self.stream.read_buf(&mut bytes)).await;
            if read.map_err(io::Error::from)?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A response as far as its bytes came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Status; 0 when there was no head.
    pub status: u16,
    /// Status line and header fields, as they came.
    pub head: String,
    /// Body without its framing.
    pub body: Vec<u8>,
    /// It ended as it declared: by its length or its last chunk.
    pub complete: bool,
    /// Sizes of its chunks, when it came in chunks.
    pub chunks: Vec<usize>,
}

impl Seen {
    /// The value of a header field; empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }

    /// The body as text, lossily.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads what came over a connection as one response.
#[must_use]
pub fn seen(bytes: &[u8]) -> Seen {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Seen::default() };
    let (head, rest) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut seen = Seen { status, head, ..Seen::default() };
    match seen.header("content-length").parse::<usize>() {
        Ok(length) => {
            seen.body = rest.iter().take(length).copied().collect();
            seen.complete = rest.len() >= length;
        }
        Err(_) => dechunk(rest, &mut seen),
    }
    seen
}

fn dechunk(mut rest: &[u8], seen: &mut Seen) {
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let (size, after) = rest.split_at(at);
        let size = std::str::from_utf8(size).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let (Some(size), Some(after)) = (size, after.get(2..)) else { return };
        if size == 0 {
            seen.complete = true;
            return;
        }
        let (Some(data), Some(next)) = (after.get(..size), after.get(size + 2..)) else { return };
        seen.body.extend_from_slice(data);
        seen.chunks.push(size);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_as_far_as_they_came() {
        for (bytes, status, body, complete) in [
            ("", 0, "", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, "hello", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", 200, "hel", false),
            ("HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 503, "hi", true),
            ("HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\nhe", 503, "hi", false),
        ] {
            let seen = seen(bytes.as_bytes());
            assert_eq!(
                (seen.status, seen.text().as_str(), seen.complete),
                (status, body, complete),
                "{bytes:?}"
            );
        }
    }
}
