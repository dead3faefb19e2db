//! The HTTP client: pooled HTTP/1.1 and HTTP/2 connections to providers, with TLS.
//!
//! Knows nothing about formats or policy: a request goes out under two time limits, a response head comes back, or
//! a [`Trouble`] that says what the transport did. Redirects are never followed and proxies never used.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;
use unfail_policy::classify::{Limit, Transport};

use crate::marking::{Heard, Marking, Used};
use crate::pieces::Pieces;
use crate::pool::{IDLE, Lease, Pool};
use crate::target::Endpoint;
use crate::tls::{self, Trust};
use crate::trouble::{HeadLimits, STALE, Trouble, cause, deepest, unconnected};
use crate::world::World;

/// HTTP/2 flow-control windows large enough that small token frames never wait for an update.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 8 << 20;
/// Pools of connections of one runtime.
#[derive(Debug)]
pub(crate) struct HttpClient {
    /// Under the system's certificate authorities.
    usual: Pools,
    usual_tls: rustls::ClientConfig,
    /// Under those of one provider: a connection they vouched for is not for any other.
    own: Mutex<Vec<(Weak<rustls::ClientConfig>, Pools)>>,
    world: World,
}

impl HttpClient {
    /// A client without connections.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub(crate) fn new(world: World) -> io::Result<Self> {
        Ok(Self::with(tls::system()?, world))
    }

    /// Another client with pools of its own: a runtime must not use connections that another one drives.
    pub(crate) fn sibling(&self) -> Self {
        Self::with(self.usual_tls.clone(), self.world)
    }

    fn with(tls: rustls::ClientConfig, world: World) -> Self {
        Self { usual: Pools::new(&tls, world), usual_tls: tls, own: Mutex::default(), world }
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
        let pools = Pools::new(trust.config(), self.world);
        own.push((Arc::downgrade(trust.config()), pools.clone()));
        pools
    }

    /// Sends one request and waits for the head of its response; by a connection that nobody used before, where it is
    /// to be `fresh` and the endpoint's connections are not shared.
    pub(crate) async fn send(
        &self,
        request: Request<Pieces>,
        endpoint: &Endpoint,
        limits: HeadLimits,
        fresh: bool,
    ) -> Result<(Response<Incoming>, Carrier), Trouble> {
        let mut request = request;
        let own = endpoint.protocol.trust.as_ref().map(|trust| self.under(trust));
        let pools = own.as_ref().unwrap_or(&self.usual);
        if endpoint.protocol.http2 {
            let (response, shared) = Box::pin(share(&pools.http2, request, limits, self.world)).await?;
            return Ok((response, Carrier::Shared(shared)));
        }
        let flood = Flood::watch(&mut request);
        let (response, lease) = tokio::select! {
            biased;
            sent = pools.http1.send(request, &endpoint.origin, limits, fresh) => sent?,
            () = flood.bell.notified() => {
                let text = format!("more than {INTERIM_MAX} interim responses");
                return Err(Trouble::Fault(Transport::ResetBeforeHeaders, text));
            }
        };
        Ok((response, Carrier::Leased(lease)))
    }
}

/// The connection that a response comes by.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// For this exchange alone.
    Leased(Lease),
    /// For many at the same time.
    Shared(Shared),
}

impl Carrier {
    /// The body was read to its end.
    pub(crate) fn finish(self) {
        match self {
            Self::Leased(lease) => lease.finish(),
            Self::Shared(_) => {}
        }
    }

    /// Begins to wait for the body.
    pub(crate) fn waits(&self) -> Heard {
        match self {
            Self::Leased(_) => Heard::default(),
            Self::Shared(shared) => shared.used.heard(),
        }
    }

    /// The wait was in vain. A connection that brought no byte of anything in all that time may be dead, and the next
    /// request would go by it as well; one that brought other answers is not.
    pub(crate) fn stalled(&self, since: Heard) {
        if let Self::Shared(shared) = self
            && shared.used.heard() == since
        {
            shared.poison();
        }
    }
}

/// A handle on a shared connection.
#[derive(Debug)]
pub(crate) struct Shared {
    connection: CaptureConnection,
    used: Used,
}

impl Shared {
    fn poison(&self) {
        if let Some(connected) = self.connection.connection_metadata().as_ref() {
            connected.poison();
        }
    }
}

/// Interim responses (1xx) a provider may send before its answer: they mean nothing here, and reading them without end
/// would keep a whole runtime busy.
const INTERIM_MAX: usize = 16;

/// Counts the interim responses to one request.
#[derive(Debug, Default)]
struct Flood {
    count: AtomicUsize,
    /// Rings when there were too many.
    bell: Notify,
}

impl Flood {
    fn watch<B>(request: &mut Request<B>) -> Arc<Self> {
        let flood = Arc::new(Self::default());
        let told = flood.clone();
        hyper::ext::on_informational(request, move |_| {
            if told.count.fetch_add(1, Ordering::Relaxed) == INTERIM_MAX {
                told.bell.notify_one();
            }
        });
        flood
    }
}

/// A request on a connection that others may use at the same time.
async fn share(
    client: &Client<Marking, Pieces>,
    mut request: Request<Pieces>,
    limits: HeadLimits,
    world: World,
) -> Result<(Response<Incoming>, Shared), Trouble> {
    let connection = capture_connection(&mut request);
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
                    // It may be dead, and everybody else would go on waiting for it.
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
            let used = response.extensions().get::<Used>().cloned().unwrap_or_default();
            used.mark();
            Ok((response, Shared { connection, used }))
        }
        Err(error) => Err(trouble(&error, world.now() < stale)),
    }
}

/// Connections under the same certificate authorities, by host.
#[derive(Debug, Clone)]
struct Pools {
    http1: Pool,
    http2: Client<Marking, Pieces>,
}

impl Pools {
    fn new(tls: &rustls::ClientConfig, world: World) -> Self {
        let tcp = || {
            let mut tcp = HttpConnector::new();
            tcp.set_nodelay(true);
            tcp.enforce_http(false);
            tcp
        };
        let connector = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_initial_stream_window_size(H2_STREAM_WINDOW)
            .http2_initial_connection_window_size(H2_CONNECTION_WINDOW);
        let http2 = builder.build(Marking { inner: connector().enable_all_versions().wrap_connector(tcp()) });
        let marking = Marking { inner: connector().enable_http1().wrap_connector(tcp()) };
        Self { http1: Pool::new(marking, world), http2 }
    }
}

/// Names what went wrong, from the innermost cause the client tells; `soon` after the request was sent.
fn trouble(error: &Error, soon: bool) -> Trouble {
    if error.is_connect() {
        unconnected(error)
    } else {
        Trouble::Fault(unanswered(error, soon), deepest(error))
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
    extensions.get::<Used>().is_some_and(Used::is_marked)
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
        let client: Client<Marking, Pieces> = builder.http2_only(true).build(connector);
        let asks = async {
            for _ in 1..answers.len() {
                let response = client.request(post(&uri)).await.unwrap();
                response.extensions().get::<Used>().unwrap().mark();
            }
            client.request(post(&uri)).await.unwrap_err()
        };
        let (error, ()) = tokio::join!(asks, serve);
        match trouble(&error, soon) {
            Trouble::Fault(transport, _) => transport,
            Trouble::Late(limit) => panic!("late: {limit:?}"),
        }
    }

    fn post(uri: &str) -> Request<Pieces> {
        Request::post(uri).body(Pieces::new(bytes::Bytes::from_static(b"{}"))).unwrap()
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
