//! Tests of the policy machines at their public boundary: tables, models and laws.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly"
)]

mod attempt;
mod body;
mod breaker;
mod classify;
mod gate;
mod plan;
mod scenarios;
mod time;
mod wait;

use proptest::test_runner::Config;
use std::time::Duration;
use unfail_policy::time::{Random, Time, Wall};

/// 2026-11-21T12:00:00Z.
const NOW: Wall = Wall::from_millis(1_795_262_400_000);

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn at(seconds: f64) -> Time {
    Time::ZERO + secs(seconds)
}

/// Chance that always lands in the middle.
struct Middle;

impl Random for Middle {
    fn next_u64(&mut self) -> u64 {
        1 << 63
    }
}

/// So many times the usual number of cases, which the environment of a long run can raise.
fn cases(times: u32) -> Config {
    let usual = Config::default();
    Config { cases: usual.cases * times, ..usual }
}
