//! Stated waits, from any headers and any body: never zero, never longer than the longest, and no panic.
//!
//! Seeds: fuzz/seeds/answers
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use unfail_fuzz::Answer;
use unfail_policy::time::Wall;
use unfail_policy::wait::{LONGEST, parse_wait, stated_wait};
use unfail_wire::error_body::ErrorBody;

fuzz_target!(|data: &[u8]| {
    let answer = Answer::read(data);
    let headers = answer.headers.as_slice();
    let body = ErrorBody::parse(answer.body);
    for now in [Wall::from_millis(0), Wall::from_millis(1_795_262_400_000), Wall::from_millis(u64::MAX)] {
        check(stated_wait(&headers, Some(&body), now));
        let texts = answer.headers.iter().map(|(_, value)| *value);
        for text in texts.chain(std::str::from_utf8(data)) {
            check(parse_wait(text, now));
        }
    }
});

fn check(wait: Option<Duration>) {
    assert!(wait.is_none_or(|wait| wait > Duration::ZERO && wait <= LONGEST), "{wait:?}");
}
