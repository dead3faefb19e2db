//! Error bodies of any bytes: always read, always within bounds, and the same error wherever it hides.
//!
//! Seeds: fuzz/seeds/answers crates/wire/fixtures/openai_chat/answers crates/wire/fixtures/openai_chat/streams
#![no_main]

use libfuzzer_sys::fuzz_target;
use unfail_wire::error_body::{ErrorBody, MESSAGE_BYTES_MAX};

fuzz_target!(|data: &[u8]| {
    let error = ErrorBody::parse(data);
    assert!(error.message.len() <= MESSAGE_BYTES_MAX);
    assert!(!error.message.contains(char::is_control), "{error:?}");
    assert!(error.codes.len() <= 16 && error.quotas.len() <= 16);
    let words = error.codes.iter().chain(&error.quotas).chain(&error.param).chain(&error.wait);
    assert!(words.into_iter().all(|word| !word.is_empty() && word.len() <= 200), "{error:?}");
    if let Some(found) = ErrorBody::in_bytes(data) {
        assert_eq!(found, error);
    }
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) {
        let listed = serde_json::json!([value]);
        if !value.is_array() {
            assert_eq!(ErrorBody::from_value(&listed), ErrorBody::from_value(&value));
            assert_eq!(ErrorBody::in_success(&listed), ErrorBody::in_success(&value));
        }
    }
});
