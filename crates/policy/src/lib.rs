//! Pure machines that decide what happens to a request: what a failure means, what is remembered about a
//! provider, which target is called next and when to stop.
//!
//! Knows nothing about sockets, tasks, clocks, JSON or where randomness comes from: `now` and chance are
//! arguments, so the same code runs in production, in tests and in the simulator.
//!
//! Reading order: [`time`] (the arguments) → [`wait`] and [`classify`] (what a failure says) → [`backoff`],
//! [`gate`] and [`breaker`] (what is remembered) → [`plan`] and [`attempt`] (what is done about it).

pub mod time;

mod calendar;
pub mod wait;

pub mod classify;
mod condition;

pub mod backoff;
pub mod breaker;
pub mod gate;
mod window;

pub mod attempt;
pub mod plan;
mod verdict;
