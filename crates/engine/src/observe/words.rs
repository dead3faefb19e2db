//! Words for whoever runs the process, such as warnings: written by a thread of their own, because nobody may have
//! to wait for whoever reads them.

use std::io::Write;

use super::queue::{Line, LogGuard, Queue};

/// Where words go: every write is one message. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Words(Queue<Vec<u8>>);

impl Words {
    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let (queue, guard) = Queue::to("unfail-words", sink)?;
        Ok((Self(queue), guard))
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.tell(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Line for Vec<u8> {
    fn weight(&self) -> usize {
        self.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn write_dropped(count: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{count} messages could not be written and were dropped\n").as_bytes());
    }
}
