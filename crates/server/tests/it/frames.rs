//! HTTP/2 by hand (RFC 9113), over TLS, so that every fault of a stream can be committed to the frame. Knows as much of
//! it as an answer needs, and answers as an `openai-chat` provider.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

// Error codes (§7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

// Frame types and flags (§6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Bytes a client begins with (§3.4).
const PREFACE: usize = 24;
/// Bytes of content that count as the beginning of an answer: some words, and no end.
const BEGINNING: usize = 500;
/// Words of an answer; so many make more than a thousand frames of twenty bytes, streamed or not.
const WORDS: usize = 2_000;
/// Words of one event.
const AT_ONCE: usize = 8;

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is answered, in frames of so many bytes.
    Answer(usize),
    /// It is reset with this code.
    Reset(Point, u32),
    /// The connection goes away with this code, before anything was done about the request, and ends.
    Away(u32),
    /// The connection goes away and this is its last request: it is answered before the end.
    Last,
    /// The connection goes away and this is its last request, but the end comes first.
    LastWords,
    /// The answer goes as far as this and no further; other streams go on.
    Stall(Point),
    /// The same, and nothing is heard of this connection any more.
    Silence(Point),
    /// Not with a request, but with the next connection: it goes away and ends before anything was asked.
    Unwelcome,
}

/// A point in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Nothing was sent.
    Start,
    /// The head was sent.
    Head,
    /// Some content was sent.
    Middle,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Connections whose TLS stood.
    pub(crate) connections: usize,
    /// The connection each complete request came over, counted from 1.
    pub(crate) requests: Vec<usize>,
    /// Codes of the streams the client reset.
    pub(crate) resets: Vec<u32>,
}

/// A server. Dropped, it and its connections are gone.
pub(crate) struct Frames {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    deeds: Mutex<VecDeque<Deed>>,
    seen: Mutex<Seen>,
}

impl Frames {
    /// Starts a server that does these with its first requests and answers the others.
    pub(crate) async fn start(tls: Arc<ServerConfig>, deeds: &[Deed]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deeds = Mutex::new(deeds.iter().copied().collect());
        let shared = Arc::new(Shared { deeds, seen: Mutex::default() });
        let mut tasks = JoinSet::new();
        let link = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (link, tls) = (Arc::clone(&link), TlsAcceptor::from(Arc::clone(&tls)));
                // A client that breaks off is a client that is served no further.
                connections.spawn(async move { drop(serve(stream, &tls, &link).await) });
            }
        });
        Self { address, shared, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }
}

fn words(from: usize, to: usize) -> String {
    (from..to).map(|word| format!("alder {word} ")).collect()
}

/// The text of every answer.
pub(crate) fn text() -> String {
    words(0, WORDS)
}

fn answer(stream: bool) -> Vec<u8> {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":250,"total_tokens":253}"#;
    if !stream {
        let message = format!(r#"{{"role":"assistant","content":"{}"}}"#, text());
        let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":"stop"}}"#);
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{choice}],{usage}}}"#
        );
        return body.into_bytes();
    }
    let chunk = |delta: &str, finish: &str| {
        let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":{finish}}}"#);
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choice}]}}\n\n"
        )
    };
    let content = |from| format!(r#"{{"content":"{}"}}"#, words(from, from + AT_ONCE));
    let mut body: String = (0..WORDS).step_by(AT_ONCE).map(|from| chunk(&content(from), "null")).collect();
    body.push_str(&chunk("{}", "\"stop\""));
    body.push_str("data: [DONE]\n\n");
    body.into_bytes()
}

/// One client's connection.
struct Conn {
    stream: TlsStream<TcpStream>,
    number: usize,
}

async fn serve(stream: TcpStream, tls: &TlsAcceptor, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = tls.accept(stream).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    let number = {
        let mut seen = shared.seen.lock().unwrap();
        seen.connections += 1;
        seen.connections
    };
    let mut conn = Conn { stream, number };
    conn.send(SETTINGS, 0, 0, &[]).await?;
    if shared.deeds.lock().unwrap().pop_front_if(|deed| *deed == Deed::Unwelcome).is_some() {
        conn.go_away(0, NO_ERROR).await?;
        return conn.end().await.map(drop);
    }
    let mut bodies: Vec<(u32, Vec<u8>)> = Vec::new();
    loop {
        let (kind, flags, id, payload) = conn.next().await?;
        match kind {
            SETTINGS if flags & ACK == 0 => conn.send(SETTINGS, ACK, 0, &[]).await?,
            PING if flags & ACK == 0 => conn.send(PING, ACK, 0, &payload).await?,
            HEADERS => bodies.push((id, Vec::new())),
            RST_STREAM => shared.seen.lock().unwrap().resets.push(number_of(&payload)),
            GOAWAY => return Ok(()),
            DATA => {
                let at = bodies.iter().position(|(known, _)| *known == id);
                let Some(at) = at else { continue };
                bodies[at].1.extend_from_slice(&payload);
                if flags & END_STREAM == 0 {
                    continue;
                }
                let (_, body) = bodies.swap_remove(at);
                shared.seen.lock().unwrap().requests.push(conn.number);
                let deed = shared.deeds.lock().unwrap().pop_front().unwrap_or(Deed::Answer(4_000));
                let stream = String::from_utf8_lossy(&body).contains("\"stream\":true");
                if !conn.act(deed, id, stream).await? {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}

fn number_of(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

impl Conn {
    /// The next frame: type, flags, stream, payload.
    async fn next(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        self.stream.read_exact(&mut payload).await?;
        Ok((kind, flags, number_of(&head[5..]) & 0x7fff_ffff, payload))
    }

    async fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(kind, flags, id, payload)).await?;
        self.stream.flush().await
    }

    /// Does it; whether the connection goes on.
    async fn act(&mut self, deed: Deed, id: u32, stream: bool) -> io::Result<bool> {
        match deed {
            Deed::Answer(size) => self.answer(id, stream, size).await?,
            Deed::Reset(point, code) => {
                self.begin(point, id, stream).await?;
                self.send(RST_STREAM, 0, id, &code.to_be_bytes()).await?;
            }
            Deed::Away(code) => {
                self.go_away(id.saturating_sub(2), code).await?;
                return self.end().await;
            }
            Deed::Last => {
                self.begin(Point::Middle, id, stream).await?;
                self.go_away(id, NO_ERROR).await?;
                let body = answer(stream);
                self.data(id, &body[BEGINNING..], 100).await?;
                return self.end().await;
            }
            Deed::LastWords | Deed::Unwelcome => {
                self.go_away(id, NO_ERROR).await?;
                return self.end().await;
            }
            // Whatever comes is neither read nor acknowledged.
            Deed::Silence(point) => {
                self.begin(point, id, stream).await?;
                std::future::pending().await
            }
            Deed::Stall(point) => self.begin(point, id, stream).await?,
        }
        Ok(true)
    }

    async fn go_away(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await
    }

    async fn end(&mut self) -> io::Result<bool> {
        self.stream.shutdown().await?;
        Ok(false)
    }

    /// An answer up to this point.
    async fn begin(&mut self, point: Point, id: u32, stream: bool) -> io::Result<()> {
        if point == Point::Start {
            return Ok(());
        }
        // `:status: 200` and `content-type` of the static table (RFC 7541, appendix A).
        let kind = if stream { "text/event-stream" } else { "application/json" };
        let length = u8::try_from(kind.len()).unwrap();
        let head = [&[0x88, 0x0f, 0x10, length], kind.as_bytes()].concat();
        self.send(HEADERS, END_HEADERS, id, &head).await?;
        if point == Point::Middle {
            let body = answer(stream);
            self.send(DATA, 0, id, &body[..BEGINNING]).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, id: u32, stream: bool, size: usize) -> io::Result<()> {
        self.begin(Point::Head, id, stream).await?;
        self.data(id, &answer(stream), size).await
    }

    /// The rest of a body in frames of this size, all written at once.
    async fn data(&mut self, id: u32, body: &[u8], size: usize) -> io::Result<()> {
        let frames = body.chunks(size).map(|part| frame(DATA, 0, id, part));
        let all = frames.chain([frame(DATA, END_STREAM, id, &[])]).collect::<Vec<_>>().concat();
        self.stream.write_all(&all).await?;
        self.stream.flush().await
    }
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags], &id.to_be_bytes()[..], payload].concat()
}
