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
/// A connection that was closed before it was used again says so within a round trip. One that breaks later has
/// carried the request.
const STALE: Duration = Duration::from_secs(1);

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
    if refused_stream(error) {
        return Trouble::Fault(Transport::RefusedStream, text);
    }
    let mut extensions = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let reused = extensions.get::<Used>().is_some_and(|used| used.0.load(Ordering::Relaxed));
    let fault = if reused && soon { Transport::StaleConnection } else { Transport::ResetBeforeHeaders };
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

/// HTTP/2 told us it never looked at the request.
fn refused_stream(error: &Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(this) = source {
        if this.to_string().contains("REFUSED_STREAM") {
            return true;
        }
        source = this.source();
    }
    false
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
