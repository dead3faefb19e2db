//! TLS before a simulated provider: HTTP/1.1 or HTTP/2 as agreed, every call handed on to the simulator as it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The front of one provider. Dropped, it and its connections are gone.
pub(crate) struct Front {
    address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// Connections whose TLS stood.
    connections: AtomicU64,
    /// Those whose TLS failed.
    refused: AtomicU64,
    /// Of each call.
    versions: Mutex<Vec<Version>>,
}

impl Front {
    /// Starts before the provider at `inner`, with at most so many streams at once on a connection.
    pub(crate) async fn start(tls: Arc<ServerConfig>, inner: SocketAddr, streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let mut tasks = JoinSet::new();
        let link = Link {
            inner,
            seen: Arc::clone(&seen),
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(link.clone().serve(stream, Arc::clone(&tls), streams));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.seen.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        self.seen.versions.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct Link {
    inner: SocketAddr,
    seen: Arc<Seen>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Link {
    async fn serve(self, stream: TcpStream, tls: Arc<ServerConfig>, streams: u32) {
        let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
            self.seen.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.seen.connections.fetch_add(1, Ordering::Relaxed);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().max_concurrent_streams(streams);
        let service = service_fn(|request| self.clone().hand_on(request));
        // A client that breaks off is a client that is served no further.
        drop(builder.serve_connection(TokioIo::new(stream), service).await);
    }

    async fn hand_on(self, request: Request<Incoming>) -> Result<Response<Incoming>, Fault> {
        let (mut parts, body) = request.into_parts();
        self.seen.versions.lock().unwrap().push(parts.version);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("http://{}{path}", self.inner).parse::<Uri>()?;
        parts.version = Version::HTTP_11;
        let body = Full::new(body.collect().await?.to_bytes());
        Ok(self.client.request(Request::from_parts(parts, body)).await?)
    }
}
