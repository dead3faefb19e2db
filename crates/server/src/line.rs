//! A caller's connection, watched while an answer is sought.
//!
//! The HTTP library notices that a caller left by reading, and stops reading while bytes it has no use for yet lie in
//! its buffer: a line break after the body, or another request sent ahead. Then this looks for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How often to look; a provider's connection closes within a second of its caller's.
const LOOK: Duration = Duration::from_millis(500);

/// A socket that two parties hold: the HTTP library, and who watches it.
#[derive(Debug, Clone)]
pub(crate) struct Line(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    socket: TcpStream,
    /// Somebody waits for bytes, and so will learn of the end.
    heard: bool,
}

impl Line {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Held { socket, heard: false })))
    }

    /// Serves the connection until it ends, or until its caller has gone without anybody noticing.
    pub(crate) fn attend<F: Future>(&self, serving: F) -> Attended<F> {
        Attended { serving: Box::pin(serving), line: self.clone(), look: None }
    }

    /// A poisoned socket is used on: it is whatever the system says it is.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller has gone; bytes still to be read hide that.
    fn is_gone(&self, context: &mut Context<'_>) -> bool {
        let (held, mut one) = (self.lock(), [0]);
        match held.socket.poll_peek(context, &mut ReadBuf::new(&mut one)) {
            Poll::Ready(Ok(waiting)) => waiting == 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

/// A connection being served.
#[derive(Debug)]
pub(crate) struct Attended<F> {
    serving: Pin<Box<F>>,
    line: Line,
    /// Runs while nobody would notice the caller's leaving.
    look: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Attended<F> {
    /// `None`: the caller left.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(served) = self.serving.as_mut().poll(context) {
            return Poll::Ready(Some(served));
        }
        if self.line.lock().heard {
            self.look = None;
            return Poll::Pending;
        }
        loop {
            let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            if look.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if self.line.is_gone(context) {
                return Poll::Ready(None);
            }
            self.look = None;
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut held = self.lock();
        let read = Pin::new(&mut held.socket).poll_read(context, buffer);
        held.heard = read.is_pending();
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().socket).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().socket.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().socket).poll_write_vectored(context, slices)
    }
}
