//! `unfail.toml`: what was written (`raw`), what it means (`check`), and every problem in it at once.
//!
//! Touches neither files nor the environment: the text is an argument and [`Secrets`] answers what it refers to.
//! A [`Config`] holds only valid values. No secret is ever part of a report, of `Debug` or of a message.
//!
//! Reading order: `keys` (the one list of keys) → `raw` → `check` → `config` → `resolve`.

mod check;
mod config;
mod keys;
mod raw;
mod report;
mod resolve;
mod secrets;
mod template;
mod units;

pub use check::load;
pub use config::{
    Authority, CallerKey, Config, Credential, Mode, ProviderConfig, Route, ServerConfig, TargetRef,
};
pub use report::{Problem, Report};
pub use resolve::Resolution;
pub use secrets::Secrets;
pub use template::{reference, template};
