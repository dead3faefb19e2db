//! Simulated LLM providers that speak the real wires over loopback sockets, for tests and the demo.
//!
//! Written from the vendors' documents and from nothing of this project, so that a fault in `wire` cannot hide in both.
//! Never depends on another crate of the workspace.

pub mod act;
pub mod brain;
pub mod clock;
pub mod flavour;
pub mod limit;
pub mod log;
pub mod provider;
pub mod schema;
pub mod speak;

mod control;
mod http1;
mod perform;

pub use act::{Act, Break, Fault, Hint, Odd, Pace, Refusal, Script};
pub use flavour::{Envelope, Flavour, LimitHeaders, ReasoningField};
pub use limit::{Limit, Refill, Stated};
pub use log::{Call, End};
pub use provider::{Provider, Setup};
pub use speak::Speaks;
