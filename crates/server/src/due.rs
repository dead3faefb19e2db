//! When a caller must have taken its answer: known where the request is answered, kept where the socket is written.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use unfail_engine::answer::Head;
use unfail_engine::world::World;

/// One connection's: shared by its socket and the request on it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    bell: Arc<Mutex<Option<Pin<Box<Sleep>>>>>,
    /// How long what is left of an answer may take beyond its request's deadline.
    grace: Duration,
}

impl Due {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { bell: Arc::default(), grace }
    }

    /// Another request begins.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    /// The answer is on its way.
    pub(crate) fn set(&self, head: &Head, world: World) {
        *self.lock() = Some(Box::pin(world.sleep_until(head.deadline + self.grace)));
    }

    /// Ready when the time is over; asked while the caller takes nothing.
    pub(crate) fn poll_over(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.lock() {
            Some(bell) => bell.as_mut().poll(context),
            None => Poll::Pending,
        }
    }

    /// A poisoned bell rings all the same.
    fn lock(&self) -> MutexGuard<'_, Option<Pin<Box<Sleep>>>> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
