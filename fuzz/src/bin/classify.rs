//! Classification is total: whatever a provider answers has a class, and what it says stays within bounds.
//!
//! Seeds: fuzz/seeds/answers
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use unfail_fuzz::Answer;
use unfail_policy::classify::{Class, Phase, SameTarget, Signal, classify};
use unfail_policy::time::Wall;
use unfail_policy::wait::LONGEST;
use unfail_wire::error_body::ErrorBody;
use unfail_wire::target::ErrorQuirk;

fuzz_target!(|data: &[u8]| {
    let Answer { status, headers, body } = Answer::read(data);
    let headers = headers.as_slice();
    let body = ErrorBody::parse(body);
    let quirks = [ErrorQuirk::None, ErrorQuirk::ForbiddenMeansTooLong, ErrorQuirk::BareLimitMeansOverload];
    let answer = Signal::Status { status, headers: &headers, body: &body };
    for (signal, quirk) in [answer, Signal::InStream(&body)].into_iter().zip(quirks.into_iter().cycle()) {
        for phase in [Phase::Headers, Phase::FirstEvent, Phase::Committed] {
            check(&signal, quirk, phase);
        }
    }
    for quirk in quirks {
        check(&answer, quirk, Phase::Headers);
    }
});

fn check(signal: &Signal<'_>, quirk: ErrorQuirk, phase: Phase) {
    let fault = classify(signal, quirk, phase, Wall::from_millis(1_795_262_400_000));
    assert!(fault.message.chars().count() <= 300, "{fault:?}");
    assert!(fault.wait.is_none_or(|wait| wait > Duration::ZERO && wait <= LONGEST), "{fault:?}");
    if phase == Phase::Committed {
        assert_eq!((fault.class, fault.same_target), (Class::MidStream, SameTarget::Never));
    }
    // The same words mean the same twice.
    assert_eq!(fault, classify(signal, quirk, phase, Wall::from_millis(1_795_262_400_000)));
}
