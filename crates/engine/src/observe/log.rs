//! The request log: records go through a bounded channel to a thread that writes JSON lines.
//!
//! A full channel drops the record and counts it: a slow disk never slows a request.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::record::Record;

/// Records that may wait to be written.
const QUEUE: usize = 16_384;
/// The writer gathers for this long after the first record, so that a busy server wakes it 100 times a second at
/// most instead of once per request.
const GATHER: Duration = Duration::from_millis(10);
/// How long a stop waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often an idle writer looks whether it should stop.
const IDLE: Duration = Duration::from_millis(100);

/// Where records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    sender: Option<SyncSender<Box<Record>>>,
    dropped: Arc<AtomicU64>,
}

/// Keeps the writer alive; dropping it writes what is left and waits for the writer, but not for a sink that takes
/// nothing.
#[derive(Debug)]
pub struct LogGuard {
    writer: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Log {
    /// A log that keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { sender: None, dropped: Arc::default() }
    }

    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let log = Self { sender: Some(sender), dropped: Arc::default() };
        let stop = Arc::new(AtomicBool::new(false));
        let state = (log.dropped.clone(), stop.clone());
        let writer = std::thread::Builder::new()
            .name("unfail-log".to_owned())
            .spawn(move || write_all(&receiver, sink, &state.0, &state.1))?;
        Ok((log, LogGuard { writer: Some(writer), stop }))
    }

    /// Records that could not be kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Hands a record over, or drops and counts it.
    pub(crate) fn tell(&self, record: Box<Record>) {
        if let Some(sender) = &self.sender
            && sender.try_send(record).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(writer) = self.writer.take() else { return };
        for _ in 0..FAREWELL.as_millis() / GATHER.as_millis() {
            if writer.is_finished() {
                return drop(writer.join());
            }
            std::thread::sleep(GATHER);
        }
        // A writer that a full pipe holds up is left behind.
    }
}

/// Runs until told to stop or every sender is gone; what was handed over before is written.
fn write_all(receiver: &Receiver<Box<Record>>, mut sink: impl Write, dropped: &AtomicU64, stop: &AtomicBool) {
    let mut lines = Vec::with_capacity(64 << 10);
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let first = match receiver.recv_timeout(if stopping { Duration::ZERO } else { IDLE }) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) if !stopping => continue,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        if !stopping {
            std::thread::sleep(GATHER);
        }
        lines.clear();
        let mut count = 0_u64;
        for record in std::iter::once(first).chain(receiver.try_iter().take(QUEUE)) {
            count += 1;
            if serde_json::to_writer(&mut lines, &record).is_ok() {
                lines.push(b'\n');
            }
        }
        if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
            dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{About, Outcome, Path, Timing};
    use std::sync::mpsc::channel;

    /// Takes nothing, ever.
    struct Full(Receiver<()>);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            self.0.recv().ok();
            Ok(0)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_does_not_hold_up_a_stop() {
        let (never, taken) = channel();
        let (log, guard) = Log::to(Full(taken)).unwrap();
        log.tell(Box::new(Record {
            at_ms: 0,
            about: About::default(),
            path: Path::default(),
            outcome: Outcome::Answered,
            error_class: None,
            timing: Timing { latency_ms: 0.0, first_token_ms: None },
            tokens: None,
            cost_usd: None,
        }));
        let stop = std::thread::spawn(move || drop(guard));
        std::thread::sleep(FAREWELL + Duration::from_secs(1));
        assert!(stop.is_finished());
        drop(never);
    }
}
