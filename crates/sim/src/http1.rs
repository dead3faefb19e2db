//! HTTP/1.1 by hand over one TCP connection, so that every fault of a socket can be committed exactly.
//!
//! Knows requests, bytes and disconnects. Knows nothing about providers, and never corrects what it is told to send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

/// Longest request head read, bytes.
const HEAD_MAX: usize = 64 * 1024;
/// Most header fields read.
const FIELDS_MAX: usize = 256;
/// Longest request body read, bytes: above any limit a gateway would let through.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// Bytes taken from a client that talks while it is being answered; then the kernel may hold the rest.
const EARLY_MAX: usize = 64 * 1024;

/// One request, complete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// In order; names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter, undecoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").map_or(Some(0), |text| text.parse().ok())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|text| text.to_ascii_lowercase().ends_with("chunked"))
    }

    pub(crate) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|text| text.eq_ignore_ascii_case("close"))
    }
}

/// What came over the connection.
pub(crate) enum Incoming {
    Request(Box<Request>),
    /// The client left.
    Closed,
    /// No HTTP, or more of it than is read: to be refused with this status and closed.
    Bad(u16),
}

/// The client left while it was being answered.
#[derive(Debug)]
pub(crate) struct Gone;

/// One connection of a client.
pub(crate) struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it small writes wait for acknowledgements and a byte-wise stream would arrive in lumps.
        stream.set_nodelay(true).ok();
        Conn { stream, buffer: Vec::new() }
    }

    /// Reads the next request.
    pub(crate) async fn next(&mut self) -> Incoming {
        let mut request = loop {
            match self.head() {
                Err(status) => return Incoming::Bad(status),
                Ok(Some(request)) => break request,
                Ok(None) if self.buffer.len() >= HEAD_MAX => return Incoming::Bad(431),
                Ok(None) => {}
            }
            if !self.fill().await {
                return Incoming::Closed;
            }
        };
        if request.header("expect").is_some() && self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return Incoming::Closed;
        }
        let body = if request.is_chunked() {
            self.chunked().await
        } else {
            match request.length() {
                None => return Incoming::Bad(400),
                Some(length) if length > BODY_MAX => return Incoming::Bad(413),
                Some(length) => self.exactly(length).await,
            }
        };
        match body {
            Ok(body) => request.body = body,
            Err(incoming) => return incoming,
        }
        Incoming::Request(Box::new(request))
    }

    /// Resolves when the first byte of another request stands in the buffer; false when the client left instead.
    pub(crate) async fn next_byte(&mut self) -> bool {
        !self.buffer.is_empty() || self.fill().await
    }

    /// Takes a request head off the buffer when it is complete.
    fn head(&mut self) -> Result<Option<Request>, u16> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        let used = match parsed.parse(&self.buffer) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(_) => return Err(400),
        };
        let target = parsed.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: parsed
                .headers
                .iter()
                .map(|field| {
                    (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned())
                })
                .collect(),
            body: Vec::new(),
        };
        self.buffer.drain(..used);
        Ok(Some(request))
    }

    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(count) if count > 0)
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Incoming> {
        while self.buffer.len() < length {
            if !self.fill().await {
                return Err(Incoming::Closed);
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn chunked(&mut self) -> Result<Vec<u8>, Incoming> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                break;
            }
            if body.len() + size > BODY_MAX {
                return Err(Incoming::Bad(413));
            }
            body.append(&mut self.exactly(size).await?);
            self.exactly(2).await?;
        }
        // Trailer fields are read over, up to the empty line.
        while !self.line().await?.is_empty() {}
        Ok(body)
    }

    async fn chunk_size(&mut self) -> Result<usize, Incoming> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((used, size))) => {
                    self.buffer.drain(..used);
                    return usize::try_from(size).map_err(|_| Incoming::Bad(413));
                }
                Ok(httparse::Status::Partial) if self.fill().await => {}
                Ok(httparse::Status::Partial) => return Err(Incoming::Closed),
                Err(_) => return Err(Incoming::Bad(400)),
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, Incoming> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.exactly(at).await?;
                self.exactly(2).await?;
                return Ok(line);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(Incoming::Bad(431));
            }
            if !self.fill().await {
                return Err(Incoming::Closed);
            }
        }
    }

    /// Writes all of it, unless the client leaves first.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let (mut reader, mut writer) = self.stream.split();
        tokio::select! {
            biased;
            () = left(&mut reader, &mut self.buffer) => Err(Gone),
            written = writer.write_all(bytes) => written.map_err(|_| Gone),
        }
    }

    /// Waits, unless the client leaves first.
    pub(crate) async fn pause(&mut self, span: Duration) -> Result<(), Gone> {
        if span.is_zero() { Ok(()) } else { self.until(tokio::time::sleep(span)).await }
    }

    /// Waits until then, unless the client leaves first.
    pub(crate) async fn until(&mut self, then: impl Future<Output = ()>) -> Result<(), Gone> {
        let (mut reader, _writer) = self.stream.split();
        tokio::select! {
            biased;
            () = left(&mut reader, &mut self.buffer) => Err(Gone),
            () = then => Ok(()),
        }
    }

    /// Says nothing more until the client leaves.
    pub(crate) async fn hang(&mut self) -> Gone {
        let (mut reader, _writer) = self.stream.split();
        left(&mut reader, &mut self.buffer).await;
        Gone
    }

    /// Closes with a reset: the client sees `connection reset by peer` and loses what it had not read.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().ok();
    }

    /// Says goodbye properly: all that was written is delivered, then the end of the stream.
    pub(crate) async fn close(mut self) {
        self.stream.shutdown().await.ok();
    }
}

/// Resolves when the client has closed its side or reset the connection. Bytes it sends early are kept.
async fn left(reader: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) {
    while buffer.len() < EARLY_MAX {
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending().await
}
