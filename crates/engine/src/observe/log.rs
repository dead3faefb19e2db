//! The request log: one JSON line per request, written where the request ran and handed to a sink by a thread.
//!
//! A sink that takes nothing costs lines and never a request's time. A line `{"dropped":N}` tells of it.

use std::io::Write;

use super::queue::{LogGuard, Queue};
use super::record::Record;

/// Where records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<Queue>,
}

impl Log {
    /// A log that keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { queue: None }
    }

    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let missing = |count| format!("{{\"dropped\":{count}}}\n");
        let (queue, guard) = Queue::to("unfail-log", missing, sink)?;
        Ok((Self { queue: Some(queue) }, guard))
    }

    /// Writes a record's line, or drops and counts it where there is no room.
    pub(crate) fn tell(&self, record: &Record) {
        let Some(queue) = &self.queue else { return };
        queue.tell(|lines| {
            record.write(lines);
            lines.push(b'\n');
        });
    }
}
