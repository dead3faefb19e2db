//! What is told about requests after the fact. Never read back, never waited for.

mod aside;
mod line;
mod log;
mod queue;
mod record;
mod words;

pub use aside::Aside;
pub use log::Log;
pub use queue::LogGuard;
pub(crate) use record::millis;
pub use record::{About, Attempts, Outcome, Path, Record, Timing, Tokens};
pub use words::Words;
