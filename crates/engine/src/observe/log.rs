//! The request log: records go through a bounded queue to a thread that writes JSON lines.
//!
//! A full queue drops the record and counts it: a slow disk never slows a request. A line `{"dropped":N}` tells of it.

use std::io::Write;

use super::queue::{Line, LogGuard, Queue};
use super::record::Record;

/// Where records go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<Queue<Box<Record>>>,
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
        let (queue, guard) = Queue::to("unfail-log", sink)?;
        Ok((Self { queue: Some(queue) }, guard))
    }

    /// Records that could not be kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, Queue::dropped)
    }

    /// Hands a record over, or drops and counts it.
    pub(crate) fn tell(&self, record: Box<Record>) {
        if let Some(queue) = &self.queue {
            queue.tell(record);
        }
    }
}

impl Line for Box<Record> {
    fn weight(&self) -> usize {
        Record::weight(self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let known = out.len();
        match serde_json::to_writer(&mut *out, self) {
            Ok(()) => out.push(b'\n'),
            Err(_) => out.truncate(known),
        }
    }

    fn write_dropped(count: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"dropped\":{count}}}\n").as_bytes());
    }
}
