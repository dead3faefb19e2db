//! Words for whoever runs the process, such as warnings: written by a thread of their own, because nobody may have
//! to wait for whoever reads them.

use std::io::Write;

use super::queue::{LogGuard, Queue};

/// Where words go: every write is one message. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Words(Queue);

impl Words {
    /// Starts a writer to `sink`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(sink: impl Write + Send + 'static) -> std::io::Result<(Self, LogGuard)> {
        let missing = |count| format!("{count} messages could not be written and were dropped\n");
        let (queue, guard) = Queue::to("unfail-words", missing, sink)?;
        Ok((Self(queue), guard))
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.tell(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
