//! When to stop: the signals that ask for it.

use std::future::Future;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves when SIGTERM or SIGINT came so many times after this call; from here on neither ends the process by
/// itself. Must be called inside a tokio runtime.
pub(crate) fn asked(times: usize) -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            // Without handlers the default action ends the process, which is a way to stop as well.
            return std::future::pending().await;
        };
        for _ in 0..times {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }
}
