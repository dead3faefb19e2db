//! The HTTP client: pooled HTTP/1.1 and HTTP/2 connections to providers, with TLS.
//!
//! Knows nothing about formats or policy: a request goes out under two time limits, a response head comes back, or
//! a [`Trouble`] that says what the transport did. Redirects are never followed and proxies never used.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;
use unfail_policy::classify::{Limit, Transport};
use unfail_policy::time::Time;

use crate::world::World;

/// Idle connections are dropped before the usual server-side idle limit of one minute.
const IDLE: Duration = Duration::from_secs(50);
/// Idle connections kept per provider host.
const IDLE_PER_HOST: usize = 256;
/// HTTP/2 flow-control windows large enough that small token frames never wait for an update.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 8 << 20;
/// A pooled connection that was closed before it was used again says so within a round trip, a quarter of a second
/// around the world. One that breaks later has carried the request. Neither is certain: see ARCHITECTURE.md on what
/// may be sent twice.
const STALE: Duration = Duration::from_millis(250);

/// Which protocol a provider is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 with keep-alive: the cheapest, and one stuck connection harms one request.
    Http1,
    /// HTTP/2 where the server agrees to it.
    Http2,
}

/// What the transport did instead of delivering a response.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It failed.
    Fault(Transport, String),
    /// It took too long.
    Late(Limit),
}

/// When to give up on a response head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// A connection must stand by then.
    pub(crate) connected: Time,
    /// The response head must be there by then.
    pub(crate) head: Time,
}

/// Pools of connections, shared by all requests of the process.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    http1: Client<Marking, Full<Bytes>>,
    http2: Client<Marking, Full<Bytes>>,
    tls: rustls::ClientConfig,
}

impl HttpClient {
    /// A client with the system's root certificates (the bundled Mozilla ones where it has none).
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::with(tls()?))
    }

    /// Another client with pools of its own: a runtime must not use connections that another one drives.
    pub(crate) fn sibling(&self) -> Self {
        Self::with(self.tls.clone())
    }

    fn with(tls: rustls::ClientConfig) -> Self {
        let connector = |both: bool| {
            let mut tcp = HttpConnector::new();
            tcp.set_nodelay(true);
            tcp.enforce_http(false);
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
            let inner = if both {
                builder.enable_all_versions().wrap_connector(tcp)
            } else {
                builder.enable_http1().wrap_connector(tcp)
            };
            Marking { inner }
        };
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_initial_stream_window_size(H2_STREAM_WINDOW)
            .http2_initial_connection_window_size(H2_CONNECTION_WINDOW);
        Self { http1: builder.build(connector(false)), http2: builder.build(connector(true)), tls }
    }

    /// Sends one request and waits for the head of its response.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        protocol: Protocol,
        limits: HeadLimits,
        world: World,
    ) -> Result<Response<Incoming>, Trouble> {
        let connection = capture_connection(&mut request);
        let client = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let mut response = pin!(client.request(request));
        let stale = world.now() + STALE;
        // One timer for both limits: it first rings for the connection, then for the head.
        let mut bell = pin!(world.sleep_until(limits.connected.min(limits.head)));
        let mut connecting = true;
        let done = loop {
            tokio::select! {
                biased;
                done = &mut response => break done,
                () = &mut bell => {
                    if connecting && connection.connection_metadata().is_none() {
                        return Err(Trouble::Late(Limit::Connect));
                    }
                    if !connecting || limits.head <= limits.connected {
                        return Err(Trouble::Late(Limit::FirstToken));
                    }
                    connecting = false;
                    bell.set(world.sleep_until(limits.head));
                }
            }
        };
        match done {
            Ok(response) => {
                if let Some(used) = response.extensions().get::<Used>() {
                    used.0.store(true, Ordering::Relaxed);
                }
                Ok(response)
            }
            Err(error) => Err(trouble(&error, world.now() < stale)),
        }
    }
}

/// TLS as every connection uses it. Reading the system's certificates takes tens of milliseconds, so they are read
/// once per process.
fn tls() -> io::Result<rustls::ClientConfig> {
    static READY: OnceLock<rustls::ClientConfig> = OnceLock::new();
    if let Some(ready) = READY.get() {
        return Ok(ready.clone());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let made = match builder.clone().with_native_roots() {
        Ok(with_roots) => with_roots.with_no_client_auth(),
        Err(_) => builder.with_webpki_roots().with_no_client_auth(),
    };
    Ok(READY.get_or_init(|| made).clone())
}

/// Names what went wrong, from the innermost cause the client tells; `soon` after the request was sent.
fn trouble(error: &Error, soon: bool) -> Trouble {
    let text = deepest(error);
    if error.is_connect() {
        let fault = if text.contains("dns") || text.contains("lookup") {
            Transport::Dns
        } else if text.contains("certificate") || text.contains("tls") || text.contains("handshake") {
            Transport::Tls
        } else {
            Transport::Connect
        };
        return Trouble::Fault(fault, text);
    }
    let mut extensions = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let reused = extensions.get::<Used>().is_some_and(|used| used.0.load(Ordering::Relaxed));
    let goodbye = says(error, GOODBYE);
    let fault = match reused {
        _ if says(error, REFUSED) => Transport::RefusedStream,
        _ if says(error, RESET) => Transport::ResetBeforeHeaders,
        true if soon || goodbye || unsent(error) => Transport::StaleConnection,
        false if goodbye => Transport::RefusedStream,
        // Accepted and closed at once, before anything of the request was written: no connection worth the name.
        false if unsent(error) => Transport::Connect,
        _ => Transport::ResetBeforeHeaders,
    };
    Trouble::Fault(fault, text)
}

/// The innermost error text: the outer ones only say "client error".
pub(crate) fn deepest(error: &dyn std::error::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// How HTTP/2 says that a stream was reset by the other side, and that it was refused unprocessed. Known by its words
/// alone, since the client hides the library that says them.
const RESET: &str = "stream error received:";
const REFUSED: &str = "stream error received: refused stream";
/// How it says that a `GOAWAY` named an earlier stream as the last one processed.
const GOODBYE: &str = "connection error received:";

fn says(error: &Error, words: &str) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with(words))
}

/// The connection was closed before anything of the request was written to it.
fn unsent(error: &Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// An error and what caused it, outermost first.
fn causes<'a>(error: &'a Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let outermost: Option<&(dyn std::error::Error + 'static)> = Some(error);
    std::iter::successors(outermost, |cause| cause.source())
}

/// Set once a connection has delivered a response head: a failure on it afterwards may be a stale connection.
#[derive(Debug, Clone, Default)]
struct Used(Arc<AtomicBool>);

/// A connector whose connections remember whether they have been used.
#[derive(Debug, Clone)]
struct Marking {
    inner: HttpsConnector<HttpConnector>,
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Marking {
    type Response = Marked;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Marked, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        Box::pin(async move { Ok(Marked { stream: connecting.await?, used: Used::default() }) })
    }
}

/// A connection and whether it has been used.
#[derive(Debug)]
struct Marked {
    stream: Stream,
    used: Used,
}

impl Connection for Marked {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.used.clone())
    }
}

impl Read for Marked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Marked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A frame of HTTP/2 that ends what it is part of.
    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let (length, flags) = (u8::try_from(payload.len()).unwrap(), if kind == 1 { 5 } else { 0 });
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// What becomes of the last request on a connection. The server answers the first ones with these frames, and
    /// closes the connection after the last.
    async fn told(answers: &[Vec<u8>], soon: bool) -> Transport {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&frame(4, 0, &[])).await.unwrap();
            let mut seen = Vec::new();
            for (answer, id) in answers.iter().zip([1, 3]) {
                // The head of a HEADERS frame that ends the headers of this stream.
                while !seen.windows(6).any(|six| six == [1, 4, 0, 0, 0, id]) {
                    assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
                }
                stream.write_all(answer).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut seen).await.ok();
        };
        let mut builder = Client::builder(TokioExecutor::new());
        let inner = HttpsConnectorBuilder::new().with_tls_config(tls().unwrap()).https_or_http();
        let connector = Marking { inner: inner.enable_http2().wrap_connector(HttpConnector::new()) };
        let client: Client<Marking, Full<Bytes>> = builder.http2_only(true).build(connector);
        let asks = async {
            for _ in 1..answers.len() {
                let response = client.request(post(&uri)).await.unwrap();
                response.extensions().get::<Used>().unwrap().0.store(true, Ordering::Relaxed);
            }
            client.request(post(&uri)).await.unwrap_err()
        };
        let (error, ()) = tokio::join!(asks, serve);
        match trouble(&error, soon) {
            Trouble::Fault(transport, _) => transport,
            Trouble::Late(limit) => panic!("late: {limit:?}"),
        }
    }

    fn post(uri: &str) -> Request<Full<Bytes>> {
        Request::post(uri).body(Full::new(Bytes::from_static(b"{}"))).unwrap()
    }

    #[tokio::test]
    async fn what_http2_never_processed_is_known() {
        let goaway = |last: u8, code: u8| frame(7, 0, &[0, 0, 0, last, 0, 0, 0, code]);
        let reset = |stream: u8, code: u8| frame(3, stream, &[0, 0, 0, code]);
        let cases = [
            ("REFUSED_STREAM", reset(1, 7), Transport::RefusedStream),
            ("CANCEL", reset(1, 8), Transport::ResetBeforeHeaders),
            ("INTERNAL_ERROR", reset(1, 2), Transport::ResetBeforeHeaders),
            ("GOAWAY below", goaway(0, 0), Transport::RefusedStream),
            ("GOAWAY below, too much", goaway(0, 11), Transport::RefusedStream),
            ("GOAWAY not below", goaway(1, 0), Transport::ResetBeforeHeaders),
            ("an end", Vec::new(), Transport::ResetBeforeHeaders),
        ];
        for (name, answer, expected) in cases {
            assert_eq!(told(&[answer], true).await, expected, "{name}");
        }
        // On a connection that has been used: the same, but that a goodbye is part of its life.
        let used = [
            ("REFUSED_STREAM", reset(3, 7), Transport::RefusedStream),
            ("CANCEL", reset(3, 8), Transport::ResetBeforeHeaders),
            ("GOAWAY below", goaway(1, 0), Transport::StaleConnection),
            ("GOAWAY not below", goaway(3, 0), Transport::ResetBeforeHeaders),
        ];
        for (name, answer, expected) in used {
            let answers = [frame(1, 1, &[0x88]), answer];
            assert_eq!(told(&answers, false).await, expected, "{name}, used");
            // How soon it breaks tells a stale connection only where nothing else does.
            let soon = if name == "GOAWAY not below" { Transport::StaleConnection } else { expected };
            assert_eq!(told(&answers, true).await, soon, "{name}, used and soon");
        }
    }
}
