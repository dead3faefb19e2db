//! What tests of several crates share: HTTP clients that time what they read, a raw socket, an upstream of
//! given bytes, patience, chance.
//!
//! For tests only. Every failure is an `io::Error`, so that a test can `unwrap` it and say where.

pub mod canned;
pub mod chance;
pub mod http;
pub mod process;
pub mod raw;
pub mod sse;
pub mod wait;

pub use canned::{After, Canned};
pub use chance::Chance;
pub use http::{Answer, Client, Streaming};
pub use raw::{Ending, Raw, Seen};
pub use sse::Event;
pub use wait::{eventually, free_port};
