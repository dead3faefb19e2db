//! Whole answers and streams of the wire `openai-chat`, from any bytes: see `unfail_fuzz::answers` for what holds.
//!
//! Seeds: crates/wire/fixtures/openai_chat/streams crates/wire/fixtures/openai_chat/answers
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| unfail_fuzz::answers("openai-chat", data));
