//! A body that is known as a whole, handed to its connection in pieces: heads and bodies are written together from one
//! buffer, and a large body must not make that buffer large.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::duty::Shift;

/// Bytes handed to the connection at once.
const PIECE: usize = 64 << 10;

/// The bytes that are left.
#[derive(Debug)]
pub struct Pieces {
    left: Bytes,
    /// Over when about all was taken.
    _shift: Option<Shift>,
}

impl Pieces {
    /// All of `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { left: bytes, _shift: None }
    }

    /// All of `bytes`; the request is under way until about all was taken.
    #[must_use]
    pub const fn during(shift: Shift, bytes: Bytes) -> Self {
        Self { left: bytes, _shift: Some(shift) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.left.len().min(PIECE);
        let piece = self.left.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.left.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn the_pieces_are_the_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let whole = Bytes::from_iter((0..=u8::MAX).cycle().take(length));
            let mut body = Pieces::new(whole.clone());
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            let mut seen = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                seen.extend_from_slice(&piece);
                assert_eq!(body.is_end_stream(), seen.len() == length);
            }
            assert_eq!(seen, whole, "{length}");
        }
    }

    #[tokio::test]
    async fn a_request_is_under_way_until_its_answer_was_taken() {
        let duty = std::sync::Arc::new(crate::duty::Duty::default());
        let mut body = Pieces::during(duty.begin(), Bytes::from(vec![0; 2 * PIECE]));
        body.frame().await.unwrap().unwrap();
        assert_eq!((duty.under_way(), body.is_end_stream()), (1, false));
        body.frame().await.unwrap().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(duty.under_way(), 0);
    }
}
