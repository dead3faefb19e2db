//! The IO shell around `policy`, and the cascade as a library.
//!
//! Knows sockets, clocks and providers' bytes; knows nothing about callers' HTTP. Decisions stand in `policy`,
//! translations in `wire`; here is only what waits.
//!
//! Reading order: [`world`] (clock, chance) → [`call`] (a request) → [`route`] and `assemble` (its targets) →
//! [`engine`] (the loop) → `send` (one attempt) → [`answer`] (what the caller gets) → [`cascade`] (all of it
//! without a server).

mod alarm;
pub mod answer;
mod assemble;
mod body;
pub mod call;
pub mod cascade;
mod cells;
mod duty;
mod embed;
pub mod engine;
pub mod failure;
mod fault;
mod http;
pub mod identify;
mod marking;
pub mod observe;
mod pieces;
mod pool;
mod reader;
mod recorder;
mod redact;
pub mod route;
mod send;
mod target;
mod tls;
pub mod trail;
mod trouble;
pub mod validate;
pub mod via;
pub mod world;

pub use answer::{Answer, AnswerStream, Content};
pub use call::Call;
pub use cascade::{Cascade, CascadeBuilder, CascadeError, Reply};
pub use duty::Shift;
pub use engine::{Engine, EngineError};
pub use failure::Failure;
pub use pieces::Pieces;
pub use target::Chain;
