//! The steps of the test run, in order: what is quick to fail comes first.

use super::sdk;
use super::step::{Options, Outcome, Step};
use super::tally::Tally;
use crate::{fuzz, shell, tidy};

/// Seconds each fuzz target runs under `--long`.
const FUZZ_SECONDS: u64 = 60;

/// All steps.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the code is formatted", run: format, long_only: false },
    Step { name: "tidy", about: "the project's own limits hold", run: tidy, long_only: false },
    Step { name: "clippy", about: "no warning in any target", run: clippy, long_only: false },
    Step { name: "lock", about: "the fuzz targets' lock file is current", run: lock, long_only: false },
    Step { name: "deny", about: "licences, bans and sources of dependencies", run: deny, long_only: false },
    Step { name: "rust", about: "unit, property, golden and socket tests", run: rust, long_only: false },
    Step { name: "doc", about: "examples in the documentation", run: doc, long_only: false },
    Step {
        name: "sdk",
        about: "the official Python SDKs against the real binaries",
        run: sdk::run,
        long_only: false,
    },
    Step { name: "fuzz", about: "every fuzz target for a minute", run: fuzz_all, long_only: true },
];

fn format(_: &Options) -> Outcome {
    Outcome::of(shell::cargo(&["fmt", "--all", "--check"]))
}

fn tidy(_: &Options) -> Outcome {
    match tidy::run(&shell::root()) {
        Ok(true) => Outcome::Passed(Tally::default()),
        Ok(false) => Outcome::failed("see the breaches above".to_owned()),
        Err(why) => Outcome::failed(why),
    }
}

fn clippy(_: &Options) -> Outcome {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
    Outcome::of(shell::cargo(&arguments))
}

/// The fuzz targets are a workspace of their own, so nothing else here would see that they no longer build.
fn lock(_: &Options) -> Outcome {
    let arguments =
        ["metadata", "--locked", "--format-version", "1", "--quiet", "--manifest-path", "fuzz/Cargo.toml"];
    match shell::quiet(shell::cargo(&arguments)) {
        Ok(_) => Outcome::Passed(Tally::default()),
        Err(why) => Outcome::failed(why),
    }
}

fn deny(_: &Options) -> Outcome {
    if !shell::answers("cargo-deny", &[]) {
        println!("cargo-deny is not installed: building it, which takes some minutes once");
        if let Err(why) = shell::shown(shell::cargo(&["install", "cargo-deny", "--locked"]), |_| {}) {
            return Outcome::failed(why);
        }
    }
    // It looks at the crates of every platform, more than a build here downloads.
    if let Err(why) = shell::quiet(shell::cargo(&["fetch", "--locked", "--quiet"])) {
        return Outcome::failed(why);
    }
    // The advisory database is fetched from the network; its check is `cargo deny check advisories`.
    Outcome::of(shell::cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]))
}

fn rust(_: &Options) -> Outcome {
    if shell::answers("cargo-nextest", &["nextest", "--version"]) {
        let arguments = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast"];
        return Outcome::of(shell::cargo(&arguments));
    }
    println!("cargo-nextest is not installed: running `cargo test` instead");
    Outcome::of(shell::cargo(&["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]))
}

fn doc(_: &Options) -> Outcome {
    Outcome::of(shell::cargo(&["test", "--doc", "--workspace", "--locked", "--quiet", "--no-fail-fast"]))
}

fn fuzz_all(_: &Options) -> Outcome {
    match fuzz::run_all(FUZZ_SECONDS) {
        Ok(targets) => Outcome::Passed(Tally { passed: targets, ..Tally::default() }),
        Err(why) => Outcome::failed(why),
    }
}
