//! What happened at a provider: every call, when it came and how it ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;

/// Calls remembered in full; older ones are only counted.
const KEPT: usize = 20_000;

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Counted from 1 over the provider's life.
    pub number: u64,
    /// The connection it came over, counted from 1.
    pub connection: u64,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// Header fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body; null when it was no JSON.
    pub body: Value,
    /// When it had arrived, since the provider started.
    pub at: Duration,
    /// What was done with it: the act in its text form, or why none was.
    pub act: String,
    /// Status answered; none when there was none.
    pub status: Option<u16>,
    /// How it ended.
    pub end: End,
    /// When it ended, since the provider started.
    pub ended: Option<Duration>,
}

impl Call {
    /// The value of a header field; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not.
    Open,
    /// All that was to be sent was sent.
    Sent,
    /// The script ended the connection.
    Broken,
    /// The client left before.
    CallerGone,
    /// The provider was dropped.
    Stopped,
}

#[derive(Debug, Default)]
struct Book {
    calls: VecDeque<Call>,
    /// Number of the next call.
    count: u64,
    reached: u64,
    open: usize,
    cancelled: u64,
    connections: usize,
    connected: u64,
}

/// The shared log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    book: Arc<Mutex<Book>>,
    clock: Clock,
}

impl Log {
    pub(crate) fn new(clock: Clock) -> Self {
        Log { book: Arc::default(), clock }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book().calls.iter().cloned().collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.book().count
    }

    pub(crate) fn reached(&self) -> u64 {
        self.book().reached
    }

    /// A call begins to arrive, or a connection was given up before one did.
    pub(crate) fn reach(&self) {
        self.book().reached += 1;
    }

    /// What began to arrive turned out to be no call.
    pub(crate) fn unreach(&self) {
        self.book().reached -= 1;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.book().open
    }

    pub(crate) fn cancelled(&self) -> u64 {
        self.book().cancelled
    }

    pub(crate) fn connections_open(&self) -> usize {
        self.book().connections
    }

    /// Enters a connection; it leaves when the guard is dropped.
    pub(crate) fn connect(&self) -> Connected {
        let mut book = self.book();
        book.connections += 1;
        book.connected += 1;
        Connected { log: self.clone(), number: book.connected }
    }

    /// Enters a call; number and times are filled in here.
    pub(crate) fn begin(&self, call: Call) -> Open {
        let mut book = self.book();
        book.count += 1;
        book.open += 1;
        let number = book.count;
        book.calls.push_back(Call { number, at: self.clock.now(), ..call });
        if book.calls.len() > KEPT {
            book.calls.pop_front();
        }
        Open { log: self.clone(), number, end: End::Stopped }
    }
}

/// A connection that is open.
pub(crate) struct Connected {
    log: Log,
    pub(crate) number: u64,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.log.book().connections -= 1;
    }
}

/// A call that is being answered; dropped without an end it was stopped with the provider.
pub(crate) struct Open {
    log: Log,
    pub(crate) number: u64,
    end: End,
}

impl Open {
    /// Notes what is done with it.
    pub(crate) fn answered(&self, act: String, status: Option<u16>) {
        let mut book = self.log.book();
        if let Some(call) = book.calls.iter_mut().rfind(|call| call.number == self.number) {
            (call.act, call.status) = (act, status);
        }
    }

    /// Notes how it ended.
    pub(crate) fn ended(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let now = self.log.clock.now();
        let mut book = self.log.book();
        book.open -= 1;
        book.cancelled += u64::from(self.end == End::CallerGone);
        if let Some(call) = book.calls.iter_mut().rfind(|call| call.number == self.number) {
            (call.end, call.ended) = (self.end, Some(now));
        }
    }
}
