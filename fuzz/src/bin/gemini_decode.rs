//! Whole answers and streams of the wire `gemini`, from any bytes: see `unfail_fuzz::answers` for what holds.
//!
//! Seeds: crates/wire/fixtures/gemini/streams crates/wire/fixtures/gemini/answers
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| unfail_fuzz::answers("gemini", data));
