//! Bodies of any bytes: parsing never panics, and what is wrong is named.
//!
//! Seeds: crates/wire/fixtures
#![no_main]

use libfuzzer_sys::fuzz_target;
use unfail_wire::json::{Cursor, parse};

fuzz_target!(|body: &[u8]| match parse(body) {
    Ok(value) => walk(&Cursor::root(&value)),
    Err(invalid) => assert!(!invalid.message.is_empty()),
});

/// Reads every place as every type: each answers or explains itself.
fn walk(cursor: &Cursor<'_>) {
    if let Err(invalid) = cursor.str() {
        assert!(invalid.message.contains("must be a string"), "{}", invalid.message);
    }
    for read in [cursor.f64().is_err(), cursor.u64().is_err(), cursor.bool().is_err()] {
        assert!(read || cursor.value().is_number() || cursor.value().is_boolean());
    }
    if let Ok(object) = cursor.object() {
        for key in object.keys() {
            if let Ok(Some(member)) = cursor.get(key) {
                walk(&member);
            }
        }
    }
    if let Ok(items) = cursor.items() {
        for item in items {
            walk(&item);
        }
    }
}
