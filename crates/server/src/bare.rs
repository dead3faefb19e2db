//! Words for the answers that the HTTP library gives by itself, to requests it cannot read: it knows a status and
//! nothing else.
//!
//! Such an answer is recognised on its way out, as a head of an error without any body; an application's own errors
//! always have one.

use memchr::memmem;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reply::unreadable;
use crate::routes::dialect_of;

/// Enough of a request to tell its path, as far as it matters for the dialect.
const OPENING: usize = 64;

/// A socket that says why a request could not be read.
#[derive(Debug)]
pub(crate) struct Wordy<S> {
    inner: S,
    /// How the last request began.
    opening: [u8; OPENING],
    /// Still to be written in place of a bare answer.
    words: Vec<u8>,
}

impl<S> Wordy<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, opening: [0; OPENING], words: Vec::new() }
    }

    /// Keeps what a request begins with.
    fn note(&mut self, bytes: &[u8]) {
        if bytes.starts_with(b"POST /") {
            for (kept, byte) in self.opening.iter_mut().zip(bytes) {
                *kept = *byte;
            }
        }
    }

    /// Puts words in the place of a bare answer.
    fn explain(&mut self, bytes: &[u8]) -> Option<usize> {
        let status = bare(bytes)?;
        let path = self.opening.split(|byte| matches!(byte, b' ' | b'?')).nth(1).unwrap_or_default();
        let dialect = dialect_of(std::str::from_utf8(path).unwrap_or_default());
        self.words = unreadable(status, dialect);
        Some(bytes.len())
    }
}

impl<S: AsyncWrite + Unpin> Wordy<S> {
    fn poll_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.words.is_empty() {
            match Pin::new(&mut self.inner).poll_write(context, &self.words) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(self.words.drain(..written.min(self.words.len()))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of a head that is an error and all there is of its answer.
fn bare(bytes: &[u8]) -> Option<u16> {
    let status = bytes.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let whole = bytes.ends_with(b"\r\n\r\n") && memmem::find(bytes, b"\r\ncontent-length: 0\r\n").is_some();
    let digits = std::str::from_utf8(status).ok()?;
    digits.parse::<u16>().ok().filter(|_| whole).map(|rest| 400 + rest)
}

impl<S: AsyncRead + Unpin> AsyncRead for Wordy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let known = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.note(buffer.filled().get(known..).unwrap_or_default());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wordy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.explain(bytes) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.inner).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_words(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.inner).poll_flush(context),
            other => other,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_words(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.inner).poll_shutdown(context),
            other => other,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && let Some(taken) = self.explain(only)
        {
            return Poll::Ready(Ok(taken));
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_body_is_bare() {
        let head = |line: &str, rest: &str| format!("HTTP/1.1 {line}\r\n{rest}\r\n").into_bytes();
        let none = "content-length: 0\r\ndate: Sat, 21 Nov 2026 00:00:00 GMT\r\n";
        assert_eq!(bare(&head("431 Request Header Fields Too Large", none)), Some(431));
        assert_eq!(bare(&head("400 Bad Request", none)), Some(400));
        for other in [
            head("200 OK", none),
            head("400 Bad Request", "content-length: 12\r\n"),
            [head("400 Bad Request", none), b"more".to_vec()].concat(),
            b"HTTP/1.1 4".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(bare(&other), None, "{}", String::from_utf8_lossy(&other));
        }
    }
}
