//! When a caller must have taken its answer: known where the request is answered, kept where the socket is written.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use unfail_engine::answer::Head;
use unfail_engine::world::{Time, World};

/// One connection's: shared by its socket and the request on it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    bell: Arc<Mutex<Bell>>,
    /// How long what is left of an answer may take beyond its request's deadline.
    grace: Duration,
}

#[derive(Debug, Default)]
enum Bell {
    /// No answer is on its way.
    #[default]
    None,
    /// One is, and nobody had to wait for its caller yet.
    At(Time, World),
    Set(Pin<Box<Sleep>>),
}

impl Due {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { bell: Arc::default(), grace }
    }

    /// Another request begins.
    pub(crate) fn clear(&self) {
        *self.lock() = Bell::None;
    }

    /// The answer is on its way.
    pub(crate) fn set(&self, head: &Head, world: World) {
        *self.lock() = Bell::At(head.deadline + self.grace, world);
    }

    /// Ready when the time is over; asked while the caller takes nothing.
    pub(crate) fn poll_over(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut bell = self.lock();
        if let Bell::At(at, world) = &*bell {
            *bell = Bell::Set(Box::pin(world.sleep_until(*at)));
        }
        match &mut *bell {
            Bell::Set(sleep) => sleep.as_mut().poll(context),
            Bell::None | Bell::At(..) => Poll::Pending,
        }
    }

    /// A poisoned bell rings all the same.
    fn lock(&self) -> MutexGuard<'_, Bell> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
