//! Connections that remember whether they were used, since only one that was can have gone stale, and how
//! often they brought something, since only one that brings nothing can be dead.

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tower_service::Service;

/// What is remembered of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used(Arc<Use>);

#[derive(Debug, Default)]
struct Use {
    /// It has delivered a response head: a failure on it afterwards may be a stale connection.
    marked: AtomicBool,
    /// Reads that brought bytes, or the end of them, of whichever response or of none.
    reads: AtomicU64,
}

/// How much a connection had brought at some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard(u64);

impl Used {
    pub(crate) fn mark(&self) {
        self.0.marked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.0.marked.load(Ordering::Relaxed)
    }

    pub(crate) fn heard(&self) -> Heard {
        Heard(self.0.reads.load(Ordering::Relaxed))
    }

    /// Reads since that brought something, or the end.
    pub(crate) fn reads_since(&self, before: Heard) -> u64 {
        self.heard().0 - before.0
    }
}

/// A connector whose connections remember whether they have been used.
#[derive(Debug, Clone)]
pub(crate) struct Marking {
    pub(crate) inner: HttpsConnector<HttpConnector>,
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
pub(crate) struct Marked {
    stream: Stream,
    used: Used,
}

impl Marked {
    /// What is remembered of it.
    pub(crate) fn used(&self) -> Used {
        self.used.clone()
    }
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
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.used.0.reads.fetch_add(1, Ordering::Relaxed);
        }
        read
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
