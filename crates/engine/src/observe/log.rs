//! The request log: every line is written into memory where its request ran, and gathered by a thread that hands the
//! lines to a sink.
//!
//! What nobody takes is bounded in bytes: beyond that a line is dropped and counted, because a slow disk must never
//! slow a request.

use std::cell::Cell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use super::record::Record;

/// Places to write to at once. Threads share one only when there are more of them.
const PAGES: usize = 16;
/// Bytes that may wait on a page.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Room that a page keeps when its lines were taken.
const PAGE_ROOM: usize = 64 << 10;
/// The writer gathers for this long after the first line, so that a busy server wakes it 100 times a second at most
/// instead of once per request.
const GATHER: Duration = Duration::from_millis(10);
/// How long a stop waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often an idle writer looks whether it should stop.
const IDLE: Duration = Duration::from_millis(100);

/// Where lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    book: Option<Arc<Book>>,
}

/// Lines that wait to be taken.
#[derive(Debug, Default)]
struct Book {
    pages: [Page; PAGES],
    /// Lines that could not be kept.
    dropped: AtomicU64,
    /// To be woken when there is something to take.
    writer: Mutex<Option<Thread>>,
}

/// Apart from its neighbours in memory, so that threads which write side by side do not take turns.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Page {
    lines: Mutex<Vec<u8>>,
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
        Self { book: None }
    }

    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let book = Arc::new(Book::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (taken, stopped) = (book.clone(), stop.clone());
        let writer = std::thread::Builder::new()
            .name("unfail-log".to_owned())
            .spawn(move || write_all(&taken, sink, &stopped))?;
        *lock(&book.writer) = Some(writer.thread().clone());
        Ok((Self { book: Some(book) }, LogGuard { writer: Some(writer), stop }))
    }

    /// Lines that could not be kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.book.as_ref().map_or(0, |book| book.dropped.load(Ordering::Relaxed))
    }

    /// Writes a record's line, or drops and counts it.
    pub(crate) fn tell(&self, record: &Record) {
        if let Some(book) = &self.book {
            book.write(record);
        }
    }
}

impl Book {
    fn write(&self, record: &Record) {
        let Some(page) = self.pages.get(page_of_this_thread()) else { return };
        let mut lines = lock(&page.lines);
        let (first, before) = (lines.is_empty(), lines.len());
        let kept = before < PAGE_BYTES_MAX && serde_json::to_writer(&mut *lines, record).is_ok();
        if !kept {
            lines.truncate(before);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        lines.push(b'\n');
        drop(lines);
        if first && let Some(writer) = &*lock(&self.writer) {
            writer.unpark();
        }
    }

    /// Takes what was written, page by page, so that nobody waits for more than the exchange of one.
    fn take(&self, into: &mut Vec<u8>) {
        let mut spare = Vec::new();
        for page in &self.pages {
            if lock(&page.lines).is_empty() {
                continue;
            }
            spare.reserve(PAGE_ROOM);
            std::mem::swap(&mut *lock(&page.lines), &mut spare);
            into.append(&mut spare);
            spare.shrink_to(PAGE_ROOM);
        }
    }
}

/// Threads get their pages in turn.
fn page_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        let page = mine.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed) % PAGES);
        mine.set(Some(page));
        page
    })
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(writer) = self.writer.take() else { return };
        writer.thread().unpark();
        for _ in 0..FAREWELL.as_millis() / GATHER.as_millis() {
            if writer.is_finished() {
                return drop(writer.join());
            }
            std::thread::sleep(GATHER);
        }
        // A writer that a full pipe holds up is left behind.
    }
}

/// Runs until told to stop; what was written before is handed on.
fn write_all(book: &Book, mut sink: impl Write, stop: &AtomicBool) {
    let mut lines = Vec::new();
    loop {
        let stopping = stop.load(Ordering::Acquire);
        book.take(&mut lines);
        if lines.is_empty() && stopping {
            return;
        }
        if lines.is_empty() {
            std::thread::park_timeout(IDLE);
            if !stop.load(Ordering::Acquire) {
                std::thread::sleep(GATHER);
            }
            continue;
        }
        if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
            let count = lines.split_inclusive(|byte| *byte == b'\n').count();
            book.dropped.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        lines.clear();
        lines.shrink_to(PAGES * PAGE_ROOM);
        if !stopping {
            std::thread::sleep(GATHER);
        }
    }
}

/// A poisoned page is used on: at worst one line on it is broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{About, Outcome, Path, Timing};
    use std::sync::mpsc::{Receiver, channel};

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

    fn record(id: &str) -> Record {
        Record {
            at_ms: 0,
            about: About { id: id.into(), ..About::default() },
            path: Path::default(),
            outcome: Outcome::Answered,
            error_class: None,
            timing: Timing { latency_ms: 0.0, first_token_ms: None },
            tokens: None,
            cost_usd: None,
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_does_not_hold_up_a_stop() {
        let (never, taken) = channel();
        let (log, guard) = Log::to(Full(taken)).unwrap();
        log.tell(&record("one"));
        let stop = std::thread::spawn(move || drop(guard));
        std::thread::sleep(FAREWELL + Duration::from_secs(1));
        assert!(stop.is_finished());
        drop(never);
    }

    #[test]
    fn what_a_sink_does_not_take_is_bounded_in_bytes_and_counted() {
        let (never, taken) = channel();
        let (log, _guard) = Log::to(Full(taken)).unwrap();
        let long = "x".repeat(10_000);
        let told = 1_000;
        for _ in 0..told {
            log.tell(&record(&long));
        }
        // At most a page that the writer has taken, and the one that fills up behind it.
        let kept = usize::try_from(told - log.dropped()).unwrap();
        assert!(kept * long.len() < 2 * PAGE_BYTES_MAX + 2 * long.len(), "{kept} lines are kept");
        assert!(kept > 0);
        drop(never);
    }

    #[test]
    fn what_was_told_before_the_end_is_written_whole() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (log, guard) = Log::to(Kept(kept.clone())).unwrap();
        let tellers: Vec<_> = (0..4)
            .map(|teller| {
                let log = log.clone();
                std::thread::spawn(move || (0..500).for_each(|n| log.tell(&record(&format!("{teller}-{n}")))))
            })
            .collect();
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        drop(guard);
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        let id = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["request"]["id"].as_str().unwrap().to_owned()
        };
        let ids: std::collections::BTreeSet<String> = text.lines().map(id).collect();
        assert_eq!((text.lines().count(), ids.len(), log.dropped()), (2_000, 2_000, 0));
    }

    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
