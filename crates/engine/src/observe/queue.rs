//! Lines on their way to a thread that writes them: bounded in number and in bytes, and never waited for.
//!
//! What finds no room is dropped and counted; how many were, is the next line that is written.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines that may wait to be written.
const QUEUE: usize = 16_384;
/// Bytes that may wait to be written, about.
pub(crate) const QUEUE_BYTES: usize = 32 << 20;
/// The writer gathers for this long after the first line, so that a busy server wakes it 100 times a second at
/// most instead of once per line.
const GATHER: Duration = Duration::from_millis(10);
/// How long a stop waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often an idle writer looks whether it should stop.
const IDLE: Duration = Duration::from_millis(100);

/// What can wait to become a line.
pub(crate) trait Line: Send + 'static {
    /// Bytes it takes while it waits, about.
    fn weight(&self) -> usize;

    /// Writes it, with the end of the line.
    fn write(&self, out: &mut Vec<u8>);

    /// Writes that so many were dropped.
    fn write_dropped(count: u64, out: &mut Vec<u8>);
}

/// Where lines are handed over. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Queue<L> {
    sender: SyncSender<L>,
    state: Arc<State>,
}

impl<L> Clone for Queue<L> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), state: self.state.clone() }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Weight of what was handed over and not written yet.
    waiting: AtomicUsize,
    /// Lines dropped, ever.
    dropped: AtomicU64,
    stop: AtomicBool,
}

/// Keeps the writer alive; dropping it writes what is left and waits for the writer, but not for a sink that takes
/// nothing.
#[derive(Debug)]
pub struct LogGuard {
    writer: Option<JoinHandle<()>>,
    state: Arc<State>,
}

impl<L: Line> Queue<L> {
    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn to(name: &str, sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let mut writer = Writer { receiver, sink, state: state.clone(), told: 0 };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        Ok((Self { sender, state: state.clone() }, LogGuard { writer: Some(thread), state }))
    }

    /// Lines that could not be kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    /// Hands a line over, or drops and counts it.
    pub(crate) fn tell(&self, line: L) {
        let weight = line.weight();
        let before = self.state.waiting.fetch_add(weight, Ordering::Relaxed);
        if before.saturating_add(weight) > QUEUE_BYTES || self.sender.try_send(line).is_err() {
            self.state.waiting.fetch_sub(weight, Ordering::Relaxed);
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
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

/// The thread's side.
struct Writer<L, W> {
    receiver: Receiver<L>,
    sink: W,
    state: Arc<State>,
    /// Dropped lines that have been told of.
    told: u64,
}

impl<L: Line, W: Write> Writer<L, W> {
    /// Runs until told to stop or every sender is gone; what was handed over before is written.
    fn run(&mut self) {
        let mut lines = Vec::with_capacity(64 << 10);
        loop {
            let stopping = self.state.stop.load(Ordering::Acquire);
            let first = match self.receiver.recv_timeout(if stopping { Duration::ZERO } else { IDLE }) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) if !stopping => None,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.write(&mut lines, None);
                    return;
                }
            };
            if !stopping && first.is_some() {
                std::thread::sleep(GATHER);
            }
            self.write(&mut lines, first);
        }
    }

    /// Writes `first` and what came behind it, after the number of those that could not be kept.
    fn write(&mut self, lines: &mut Vec<u8>, first: Option<L>) {
        lines.clear();
        let dropped = self.state.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            L::write_dropped(dropped - self.told, lines);
        }
        let (mut count, mut weight) = (0_u64, 0);
        for line in first.into_iter().chain(self.receiver.try_iter().take(QUEUE)) {
            count += 1;
            weight += line.weight();
            line.write(lines);
        }
        if lines.is_empty() {
            return;
        }
        match self.sink.write_all(lines).and_then(|()| self.sink.flush()) {
            Ok(()) => self.told = dropped,
            Err(_) => drop(self.state.dropped.fetch_add(count, Ordering::Relaxed)),
        }
        // Only now: what a slow sink still holds up takes room as well.
        self.state.waiting.fetch_sub(weight, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    impl Line for String {
        fn weight(&self) -> usize {
            self.len()
        }

        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(self.as_bytes());
            out.push(b'\n');
        }

        fn write_dropped(count: u64, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("dropped {count}\n").as_bytes());
        }
    }

    /// Takes nothing until it is let go.
    struct Stuck(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.recv().ok();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_does_not_hold_up_a_stop() {
        let (never, taken) = channel();
        let (queue, guard) = Queue::to("test", Stuck(taken, Arc::default())).unwrap();
        queue.tell("a line".to_owned());
        let stop = std::thread::spawn(move || drop(guard));
        std::thread::sleep(FAREWELL + Duration::from_secs(1));
        assert!(stop.is_finished());
        drop(never);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_what_was_dropped_is_told() {
        let (go, taken) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (queue, guard) = Queue::to("test", Stuck(taken, written.clone())).unwrap();
        let megabyte = "x".repeat(1 << 20);
        let sent = 2 * (QUEUE_BYTES >> 20);
        for _ in 0..sent {
            queue.tell(megabyte.clone());
            // Some of them in the hands of the stuck writer, the rest in the queue.
            std::thread::sleep(Duration::from_millis(1));
        }
        let dropped = queue.dropped();
        assert_eq!(dropped, sent as u64 / 2, "as many as there is room for are kept");
        drop(go);
        drop(guard);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().filter(|line| line.len() == 1 << 20).count(), sent / 2);
        let told: Vec<&str> = text.lines().filter(|line| line.starts_with("dropped")).collect();
        assert_eq!(told, [format!("dropped {dropped}")]);
    }
}
