//! An upstream that answers with the very bytes a test wrote, for what no vendor's simulator would do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a connection after the bytes were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The next request is answered the same way.
    Keep,
    /// It is closed properly.
    Close,
    /// It is reset.
    Reset,
    /// Nothing, until the client leaves.
    Hang,
    /// The last part again and again, until the client leaves.
    Repeat,
}

/// Bytes to write, and the time to wait before.
pub type Part = (Duration, Vec<u8>);

/// A listener on loopback that gives every request the same bytes. Dropped, it and its connections are gone.
#[derive(Debug)]
pub struct Canned {
    address: SocketAddr,
    served: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Canned {
    /// Starts on a free port.
    pub async fn start(response: impl Into<Vec<u8>>, after: After) -> io::Result<Self> {
        Self::paced(vec![(Duration::ZERO, response.into())], after).await
    }

    /// Starts on a free port, and takes its time to answer.
    pub async fn paced(parts: Vec<Part>, after: After) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (served, parts) = (Arc::<AtomicU64>::default(), Arc::<[Part]>::from(parts));
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&served);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (parts, count) = (Arc::clone(&parts), Arc::clone(&count));
                // A client that leaves early is a client that is served no further.
                connections.spawn(async move { drop(serve(stream, &parts, after, &count).await) });
            }
        });
        Ok(Canned { address, served, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered so far.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, parts: &[Part], after: After, served: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        while !take_request(&mut buffer) {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        served.fetch_add(1, Ordering::Relaxed);
        for part in parts {
            write(&mut stream, part).await?;
        }
        match after {
            After::Keep => {}
            After::Close => return stream.shutdown().await,
            After::Reset => return stream.set_zero_linger(),
            After::Hang => while stream.read_buf(&mut buffer).await? > 0 {},
            After::Repeat => loop {
                write(&mut stream, parts.last().unwrap_or(&Part::default())).await?;
                tokio::task::yield_now().await;
            },
        }
    }
}

async fn write(stream: &mut TcpStream, (wait, bytes): &Part) -> io::Result<()> {
    tokio::time::sleep(*wait).await;
    stream.write_all(bytes).await
}

/// Takes a request of declared length off the buffer when all of it is there.
fn take_request(buffer: &mut Vec<u8>) -> bool {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let all = head + 4 + length.unwrap_or(0_usize);
    if buffer.len() < all {
        return false;
    }
    buffer.drain(..all);
    true
}

/// A response of status 200 whose body is an event stream of these bytes in one chunk. Unless it `ends`, the last
/// chunk is missing.
#[must_use]
pub fn event_stream(frames: &str, ends: bool) -> Vec<u8> {
    event_chunks([frames.as_bytes()], ends)
}

/// The same in these chunks, none of them empty.
#[must_use]
pub fn event_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, ends: bool) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut response = head.as_bytes().to_vec();
    for bytes in chunks {
        response.extend(chunk(bytes));
    }
    response.extend(if ends { b"0\r\n\r\n".as_slice() } else { b"" });
    response
}

/// One more chunk of a response.
#[must_use]
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A response with a JSON body.
#[must_use]
pub fn json(status: u16, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use serde_json::json;

    #[tokio::test]
    async fn the_same_bytes_for_every_request() {
        let canned = Canned::start(super::json(418, "{}"), After::Keep).await.unwrap();
        let client = Client::new();
        for count in 1..=2 {
            let url = format!("http://{}/any", canned.address());
            let answer = client.post(&url, &[], &json!({"long": "x".repeat(100_000)})).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text().as_str(), canned.served()), (418, "{}", count));
        }
    }

    #[tokio::test]
    async fn what_does_not_end_is_an_error_to_its_reader() {
        for after in [After::Close, After::Reset] {
            let canned = Canned::start(event_stream("data: 1\n\n", false), after).await.unwrap();
            let url = format!("http://{}/", canned.address());
            assert!(Client::new().post(&url, &[], &json!({})).await.is_err(), "{after:?}");
        }
    }
}
