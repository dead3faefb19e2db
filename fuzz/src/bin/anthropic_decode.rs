//! Whole answers and streams of the wire `anthropic`, from any bytes: see `unfail_fuzz::answers` for what holds.
//!
//! Seeds: crates/wire/fixtures/anthropic/streams crates/wire/fixtures/anthropic/responses
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| unfail_fuzz::answers("anthropic", data));
