//! The HTTP endpoint: bytes from callers in, bytes in their dialect out.
//!
//! Knows HTTP and nothing about providers. Reading order: [`serve`] (sockets, drain) → [`app`] (chat, and a router for
//! the rest) → `routes` (the table of paths, one file per surface) → `relay` (an answer becomes a response) and `reply`
//! (an error becomes one: the only place that knows status codes).

mod accept;
mod app;
mod ask;
mod bare;
mod descriptors;
mod desk;
mod due;
mod lanes;
mod line;
mod patience;
mod relay;
mod reply;
mod routes;
mod share;
mod state;

pub use accept::{Limits, Stop, serve};
pub use app::{App, app};
pub use descriptors::raise_descriptors;
pub use lanes::serve_lanes;
pub use state::{Mode, Server};
