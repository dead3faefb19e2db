//! What is told about requests after the fact. Never read back, never waited for.

mod log;
mod record;

pub use log::{Log, LogGuard};
pub use record::{About, Attempts, Outcome, Path, Record, Timing, Tokens};
