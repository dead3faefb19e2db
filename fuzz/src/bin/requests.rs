//! Requests of every dialect, from any bytes: reading never panics, and whatever any wire makes of them is a request of
//! that format.
//!
//! Seeds: crates/wire/fixtures/openai_chat/requests crates/wire/fixtures/anthropic/requests crates/wire/fixtures/gemini/requests
#![no_main]

use libfuzzer_sys::fuzz_target;
use unfail_fuzz::{inbound, targets};
use unfail_wire::ChatRequest;
use unfail_wire::format::{Inbound, Refusal};
use unfail_wire::target::Target;
use unfail_wire::wires::{DIALECTS, WIRES};

fuzz_target!(|body: &[u8]| inbound(body, |inbound| {
    for dialect in DIALECTS {
        // What the scan refuses is never read into the hub.
        if dialect.outline(inbound).is_err() {
            continue;
        }
        match dialect.parse(inbound) {
            Ok(request) => targets(|target| render(&request, target)),
            Err(Refusal::Invalid(invalid)) => assert!(!invalid.message.is_empty()),
            Err(Refusal::Unspeakable(unspeakable)) => assert!(!unspeakable.what.is_empty()),
        }
    }
}));

fn render(request: &ChatRequest, target: &Target<'_>) {
    for wire in WIRES {
        let Ok(body) = wire.render(request, target) else { continue };
        let text = String::from_utf8_lossy(&body);
        let dialect = DIALECTS.iter().find(|dialect| dialect.same_wire() == Some(wire.name()));
        let dialect = dialect.expect("every wire is a dialect");
        let inbound = Inbound { body: &body, path_model: Some("m"), path_stream: request.stream };
        if let Err(invalid) = dialect.outline(inbound) {
            panic!("{} writes what it does not read: {invalid} in {text}", wire.name());
        }
        if let Err(Refusal::Invalid(invalid)) = dialect.parse(inbound) {
            panic!("{} writes what it does not read: {invalid} in {text}", wire.name());
        }
    }
}
