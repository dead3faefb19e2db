//! Configuration files of any bytes: every problem has its place, and no secret is ever shown.
//!
//! Seeds: crates/config/tests/it
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io;
use std::path::Path;
use unfail_config::{Secrets, load};

/// What every variable and every file holds.
const SECRET: &str = "hunter2-is-a-secret";

struct World;

impl Secrets for World {
    fn env(&self, name: &str) -> Option<String> {
        (name.len() % 2 == 0).then(|| SECRET.to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let found = path.to_string_lossy().len() % 2 == 0;
        if found { Ok(SECRET.to_owned()) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (config, report) = load("f", bytes, &World);
    assert_eq!(config.is_some(), report.problems.is_empty(), "{report}");
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in report.problems.iter().chain(&report.warnings) {
        assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem}");
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem:?}");
    }
    let shown = format!("{report} {report:?} {config:?}");
    assert!(!shown.contains(SECRET), "{shown}");
});
