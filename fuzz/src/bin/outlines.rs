//! The scan of every dialect, on any bytes: a body that passes can be adapted, and what was adapted passes again.
//!
//! Seeds: crates/wire/fixtures/openai_chat/requests crates/wire/fixtures/anthropic/requests crates/wire/fixtures/gemini/requests
#![no_main]

use libfuzzer_sys::fuzz_target;
use unfail_fuzz::{inbound, targets};
use unfail_wire::format::{Dialect, Inbound};
use unfail_wire::target::Target;
use unfail_wire::wires::{DIALECTS, wire};

fuzz_target!(|body: &[u8]| inbound(body, |inbound| {
    for dialect in DIALECTS {
        targets(|target| check(*dialect, inbound, target));
    }
}));

fn check(dialect: &dyn Dialect, inbound: Inbound<'_>, target: &Target<'_>) {
    let outline = match dialect.outline(inbound) {
        Ok(outline) => outline,
        Err(invalid) => return assert!(!invalid.message.is_empty()),
    };
    assert!(outline.needs.messages > 0 && outline.needs.input_tokens > 0, "{outline:?}");
    let Some(wire) = dialect.same_wire().and_then(wire) else { return };
    let Ok(adapted) = wire.adapt(inbound, &outline, target) else { return };
    let text = String::from_utf8_lossy(&adapted);
    let again = dialect.outline(Inbound { body: &adapted, ..inbound });
    let again = again.unwrap_or_else(|invalid| panic!("{invalid} after {}: {text}", dialect.name()));
    // Where the path names the model, the body does not.
    assert!(again.model == target.model || again.model == outline.model, "{text}");
    assert_eq!(again.fallbacks.len(), 0, "{text}");
    let twice = wire.adapt(Inbound { body: &adapted, ..inbound }, &again, target);
    assert_eq!(twice.as_deref(), Ok(&*adapted), "adapting what was adapted changes it: {text}");
}
