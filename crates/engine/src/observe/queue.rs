//! Lines on their way to a thread that hands them to a sink: written into memory by whoever has something to say,
//! bounded in bytes, and never waited for.
//!
//! What finds no room is dropped and counted; how many were, is the next line that is written.

use std::cell::Cell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Places to write to at once. Threads share one only when there are more of them.
const PAGES: usize = 8;
/// Bytes that may wait on a page.
pub(crate) const PAGE_BYTES_MAX: usize = 4 << 20;
/// Room that a page keeps when its lines were taken.
const PAGE_ROOM: usize = 64 << 10;
/// The writer gathers for this long after the first line, so that a busy server wakes it 100 times a second at most
/// instead of once per line.
const GATHER: Duration = Duration::from_millis(10);
/// How long a stop waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often an idle writer looks whether it should stop.
const IDLE: Duration = Duration::from_millis(100);

/// The line that says how many are missing.
pub(crate) type Missing = fn(u64) -> String;

/// Where lines are written. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    book: Arc<Book>,
}

#[derive(Debug, Default)]
struct Book {
    pages: [Page; PAGES],
    /// Lines dropped, ever.
    dropped: AtomicU64,
    stop: AtomicBool,
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
    book: Arc<Book>,
}

impl Queue {
    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn to(
        name: &str,
        missing: Missing,
        sink: impl Write + Send + 'static,
    ) -> std::io::Result<(Self, LogGuard)> {
        let book = Arc::new(Book::default());
        let mut writer = Writer { book: book.clone(), sink, missing, told: 0, broken: false };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || writer.run())?;
        *lock(&book.writer) = Some(thread.thread().clone());
        Ok((Self { book: book.clone() }, LogGuard { writer: Some(thread), book }))
    }

    /// Lets `write` append one line with its end, or counts it as dropped where there is no room.
    pub(crate) fn tell(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(page) = self.book.pages.get(page_of_this_thread()) else { return };
        let mut lines = lock(&page.lines);
        let before = lines.len();
        write(&mut lines);
        if lines.len() > PAGE_BYTES_MAX {
            lines.truncate(before);
            self.book.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        drop(lines);
        if before == 0
            && let Some(writer) = &*lock(&self.book.writer)
        {
            writer.unpark();
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
        self.book.stop.store(true, Ordering::Release);
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

/// The thread's side.
struct Writer<W> {
    book: Arc<Book>,
    sink: W,
    missing: Missing,
    /// Dropped lines that have been told of.
    told: u64,
    /// The sink took a part of a line and not the rest.
    broken: bool,
}

impl<W: Write> Writer<W> {
    /// Runs until told to stop; what was written before is handed on.
    fn run(&mut self) {
        let mut lines = Vec::new();
        loop {
            let stopping = self.book.stop.load(Ordering::Acquire);
            self.take(&mut lines);
            let nothing = lines.is_empty();
            // Where there is nothing else to hand on, it can wait.
            let handed_on = (nothing && !stopping) || self.hand_on(&mut lines);
            if stopping && (nothing || !handed_on) {
                return;
            }
            if nothing || !handed_on {
                std::thread::park_timeout(IDLE);
            }
            if !self.book.stop.load(Ordering::Acquire) {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// Takes what was written, page by page, so that nobody waits for more than the exchange of one.
    fn take(&self, into: &mut Vec<u8>) {
        let mut spare = Vec::new();
        for page in &self.book.pages {
            if lock(&page.lines).is_empty() {
                continue;
            }
            spare.reserve(PAGE_ROOM);
            std::mem::swap(&mut *lock(&page.lines), &mut spare);
            into.append(&mut spare);
            spare.shrink_to(PAGE_ROOM);
        }
    }

    /// Hands the lines to the sink, behind the number of those that were dropped before them; `false` when it takes
    /// no more, and what it did not take is dropped as well.
    fn hand_on(&mut self, lines: &mut Vec<u8>) -> bool {
        let dropped = self.book.dropped.load(Ordering::Relaxed);
        let mut missing = String::new();
        if std::mem::take(&mut self.broken) {
            missing.push('\n');
        }
        if dropped > self.told {
            missing.push_str(&(self.missing)(dropped - self.told));
        }
        let told = self.write(missing.as_bytes()).is_ok();
        if told {
            self.told = dropped;
        }
        let taken = if told { self.write(lines) } else { Err(0) };
        if let Err(taken) = taken {
            let left = lines.get(taken..).unwrap_or_default();
            let lost = left.split_inclusive(|byte| *byte == b'\n').count();
            self.book.dropped.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        lines.clear();
        lines.shrink_to(PAGES * PAGE_ROOM);
        taken.is_ok()
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// How much was taken before the sink failed.
    fn write(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.sink.write(left) {
                Ok(taken) if taken > 0 => left = left.get(taken..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    let taken = bytes.len() - left.len();
                    let last = taken.checked_sub(1).and_then(|last| bytes.get(last));
                    self.broken |= last.is_some_and(|last| *last != b'\n');
                    return Err(taken);
                }
            }
        }
        self.sink.flush().map_err(|_| bytes.len())
    }
}

/// A poisoned page is used on: at worst one line on it is broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

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

    fn stuck() -> (impl Sized, Arc<Mutex<Vec<u8>>>, Queue, LogGuard) {
        let (go, taken) = channel::<()>();
        let written = Arc::new(Mutex::new(Vec::new()));
        let missing = |count| format!("dropped {count}\n");
        let (queue, guard) = Queue::to("test", missing, Stuck(taken, written.clone())).unwrap();
        (go, written, queue, guard)
    }

    fn line(queue: &Queue, text: &str) {
        queue.tell(|lines| lines.extend_from_slice(format!("{text}\n").as_bytes()));
    }

    fn text(written: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_sink_that_takes_nothing_does_not_hold_up_a_stop() {
        let (_never, _, queue, guard) = stuck();
        line(&queue, "a line");
        let stop = std::thread::spawn(move || drop(guard));
        std::thread::sleep(FAREWELL + Duration::from_secs(1));
        assert!(stop.is_finished());
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_what_was_dropped_is_told() {
        let (go, written, queue, guard) = stuck();
        line(&queue, "first");
        // Now it is in the hands of the stuck writer, and the page is empty.
        std::thread::sleep(20 * GATHER);
        let long = "x".repeat((1 << 20) - 1);
        let (room, sent) = (PAGE_BYTES_MAX >> 20, 20);
        (0..sent).for_each(|_| line(&queue, &long));
        assert_eq!(
            queue.book.dropped.load(Ordering::Relaxed),
            (sent - room) as u64,
            "as many as there is room for are kept"
        );
        drop(go);
        std::thread::sleep(20 * GATHER);
        drop(guard);
        let text = text(&written);
        assert_eq!(text.lines().filter(|line| *line == long).count(), room);
        let told: Vec<&str> = text.lines().filter(|line| line.starts_with("dropped")).collect();
        assert_eq!(told, [format!("dropped {}", sent - room)]);
    }

    #[test]
    fn what_was_told_before_the_end_is_written_whole() {
        let (go, written, queue, guard) = stuck();
        drop(go);
        let tellers: Vec<_> = (0..12)
            .map(|teller| {
                let queue = queue.clone();
                std::thread::spawn(move || (0..500).for_each(|n| line(&queue, &format!("{teller}-{n}"))))
            })
            .collect();
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        drop(guard);
        let text = text(&written);
        let whole: std::collections::BTreeSet<&str> = text.lines().collect();
        assert_eq!(
            (text.lines().count(), whole.len(), queue.book.dropped.load(Ordering::Relaxed)),
            (6_000, 6_000, 0)
        );
    }

    /// Takes nothing once it is closed, and counts how often it was asked.
    struct Closed(Arc<AtomicUsize>);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_is_closed_is_left_alone() {
        let asked = Arc::new(AtomicUsize::new(0));
        let missing = |count| format!("dropped {count}\n");
        let (queue, guard) = Queue::to("test", missing, Closed(asked.clone())).unwrap();
        (0..3).for_each(|_| line(&queue, "a line"));
        std::thread::sleep(100 * GATHER);
        assert!((1..=3).contains(&asked.load(Ordering::Relaxed)), "{asked:?} writes");
        assert_eq!(queue.book.dropped.load(Ordering::Relaxed), 3, "what it did not take, and nothing else");
        let clock = unfail_sim::clock::Clock::start();
        drop(guard);
        assert!(clock.now() < FAREWELL / 4, "{:?}", clock.now());
        assert!(asked.load(Ordering::Relaxed) <= 4);
    }

    /// Takes ten bytes and fails, then takes everything.
    struct Torn(Arc<Mutex<Vec<u8>>>, usize);

    impl Write for Torn {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1 += 1;
            match self.1 {
                1 => {
                    self.0.lock().unwrap().extend_from_slice(&bytes[..10]);
                    Ok(10)
                }
                2 => Err(std::io::ErrorKind::BrokenPipe.into()),
                _ => {
                    self.0.lock().unwrap().extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_torn_is_ended_and_counted() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let missing = |count| format!("dropped {count}\n");
        let (queue, guard) = Queue::to("test", missing, Torn(written.clone(), 0)).unwrap();
        line(&queue, "whole\ntorn in two\nlost");
        std::thread::sleep(50 * GATHER);
        line(&queue, "later");
        drop(guard);
        assert_eq!(text(&written), "whole\ntorn\ndropped 2\nlater\n");
    }
}
