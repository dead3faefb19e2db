//! The HTTP client: pooled HTTP/1.1 and HTTP/2 connections to providers, with TLS.
//!
//! Knows nothing about formats or policy: a request goes out under two time limits, a response head comes back, or
//! a [`Trouble`] that says what the transport did. Redirects are never followed and proxies never used.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;
use unfail_policy::classify::{Limit, Transport};
use unfail_policy::time::Time;

use crate::tls::{self, Trust};
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

/// How a provider is spoken to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protocol {
    /// HTTP/2 where the server agrees to it; else HTTP/1.1 with keep-alive, which is the cheapest, and one stuck
    /// connection harms one request.
    pub(crate) http2: bool,
    /// Whom to trust, where that is not the system's affair.
    pub(crate) trust: Option<Trust>,
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
#[derive(Debug)]
pub(crate) struct HttpClient {
    /// Under the system's certificate authorities.
    usual: Pools,
    usual_tls: rustls::ClientConfig,
    /// Under those of one provider: a connection they vouched for is not for any other.
    own: Mutex<Vec<(Weak<rustls::ClientConfig>, Pools)>>,
}

impl HttpClient {
    /// A client without connections.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::with(tls::system()?))
    }

    /// Another client with pools of its own: a runtime must not use connections that another one drives.
    pub(crate) fn sibling(&self) -> Self {
        Self::with(self.usual_tls.clone())
    }

    fn with(tls: rustls::ClientConfig) -> Self {
        Self { usual: Pools::new(&tls), usual_tls: tls, own: Mutex::default() }
    }

    /// The pools under `trust`, made when they are first asked for.
    fn under(&self, trust: &Trust) -> Pools {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let known = own.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(trust.config())));
        if let Some((_, pools)) = known {
            return pools.clone();
        }
        // A configuration that was replaced takes its trust with it.
        own.retain(|(known, _)| known.strong_count() > 0);
        let pools = Pools::new(trust.config());
        own.push((Arc::downgrade(trust.config()), pools.clone()));
        pools
    }

    /// Sends one request and waits for the head of its response.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        protocol: &Protocol,
        limits: HeadLimits,
        world: World,
    ) -> Result<Response<Incoming>, Trouble> {
        let connection = capture_connection(&mut request);
        let own = protocol.trust.as_ref().map(|trust| self.under(trust));
        let pools = own.as_ref().unwrap_or(&self.usual);
        let client = if protocol.http2 { &pools.http2 } else { &pools.http1 };
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
                        // It may be dead, and over HTTP/2 everybody else would go on waiting for it.
                        if let Some(connected) = connection.connection_metadata().as_ref() {
                            connected.poison();
                        }
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

/// Connections under the same certificate authorities, by host.
#[derive(Debug, Clone)]
struct Pools {
    http1: Client<Marking, Full<Bytes>>,
    http2: Client<Marking, Full<Bytes>>,
}

impl Pools {
    fn new(tls: &rustls::ClientConfig) -> Self {
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
        Self { http1: builder.build(connector(false)), http2: builder.build(connector(true)) }
    }
}

/// Names what went wrong, from the innermost cause the client tells; `soon` after the request was sent.
fn trouble(error: &Error, soon: bool) -> Trouble {
    let text = deepest(error);
    let fault = if error.is_connect() { unconnected(error, &text) } else { unanswered(error, soon) };
    Trouble::Fault(fault, text)
}

/// Why no connection stands.
fn unconnected(error: &Error, text: &str) -> Transport {
    if text.contains("dns") || text.contains("lookup") {
        Transport::Dns
    } else if cause::<rustls::Error>(error).is_some() || text.contains("tls") || text.contains("handshake") {
        Transport::Tls
    } else {
        Transport::Connect
    }
}

/// Why a connection that stood brought no answer.
fn unanswered(error: &Error, soon: bool) -> Transport {
    let used = used(error);
    if let Some(told) = cause::<h2::Error>(error).filter(|told| !told.is_io()) {
        // Requests that are refused, and those behind the last one that a connection names when it goes away, were
        // never processed (RFC 9113 §8.7). Whatever else is said of a stream is said of a request that was.
        return match (told.is_remote(), told.is_go_away(), told.reason()) {
            // To say goodbye is part of a connection's life.
            (true, true, _) if used => Transport::StaleConnection,
            (true, true, _) | (true, _, Some(h2::Reason::REFUSED_STREAM)) => Transport::RefusedStream,
            _ => Transport::ResetBeforeHeaders,
        };
    }
    let unwritten = cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled);
    match (used, unwritten) {
        (true, true) => Transport::StaleConnection,
        (true, false) if soon => Transport::StaleConnection,
        (_, false) => Transport::ResetBeforeHeaders,
        // A host that ends connections before they were used once is no better than one that takes none.
        (false, true) => Transport::Connect,
    }
}

/// The connection has delivered a response head before.
fn used(error: &Error) -> bool {
    let mut extensions = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<Used>().is_some_and(|used| used.0.load(Ordering::Relaxed))
}

/// The cause of this type, if there is one. An `io::Error` tells the source of what it holds for its own, so that is
/// looked at as well.
fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(this) = next {
        if let Some(found) = this.downcast_ref() {
            return Some(found);
        }
        let held = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => this.source(),
        };
    }
    None
}

/// The innermost error text: the outer ones only say "client error".
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
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
    type Error = Box<dyn StdError + Send + Sync>;
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
        let inner = HttpsConnectorBuilder::new().with_tls_config(tls::system().unwrap()).https_or_http();
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
