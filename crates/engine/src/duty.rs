//! Requests under way, and the order to leave off: how the end of a process reaches what is still going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The requests of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Duty {
    under_way: AtomicUsize,
    over: AtomicBool,
    bell: Notify,
}

impl Duty {
    /// One more request.
    pub(crate) fn begin(self: &Arc<Self>) -> Shift {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Shift(self.clone())
    }

    /// Requests that have begun and not ended.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Everything that goes on is to end now.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub struct Shift(Arc<Duty>);

impl Shift {
    /// Resolves when the request is to end.
    pub(crate) async fn over(&self) {
        let rung = self.0.bell.notified();
        if !self.0.over.load(Ordering::Acquire) {
            rung.await;
        }
    }
}

impl Shift {
    /// The request is to end, or should have.
    pub(crate) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_order_reaches_who_waits_and_who_asks_later() {
        let duty = Arc::new(Duty::default());
        let (first, second) = (duty.begin(), duty.begin());
        assert_eq!(duty.under_way(), 2);
        assert!(tokio::time::timeout(Duration::from_secs(1), first.over()).await.is_err());
        let (waits, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), first.over()), async {
            tokio::task::yield_now().await;
            duty.end();
        });
        assert!(waits.is_ok());
        second.over().await;
        drop((first, second));
        assert_eq!(duty.under_way(), 0);
    }
}
