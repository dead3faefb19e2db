//! `cargo xtask fuzz`: coverage-guided fuzzing with libFuzzer on a stable compiler.
//!
//! A target is one file in `fuzz/src/bin`; this module finds it there. A header line `//! Seeds: DIR …` names
//! folders whose files start its corpus.

use crate::shell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where targets live.
const TARGETS: &str = "fuzz/src/bin";
/// Largest input, in bytes: several times the largest recorded fixture.
const MAX_INPUT: usize = 65_536;
/// Longest time one input may take, in seconds.
const INPUT_SECONDS: u32 = 10;
/// Most memory a target may take, in MB.
const MEMORY_MB: u32 = 2_048;

/// What turns a plain build into one that libFuzzer can steer; the stable compiler knows all of it.
const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Clink-dead-code",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

/// What to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this target.
    target: Option<String>,
}

/// Runs the targets asked for.
///
/// # Errors
/// When a target does not build, crashes, or does not exist.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let Some(name) = &options.target else { return run_all(options.seconds).map(|_| ()) };
    let all = targets()?;
    if !all.contains(name) {
        return Err(format!("no target `{name}`; there are {}", all.join(", ")));
    }
    build()?;
    fuzz(name, options.seconds)
}

/// Runs every target, also after one has failed. Returns how many there were.
///
/// # Errors
/// When one does not build or crashes; all failures are named.
pub(crate) fn run_all(seconds: u64) -> Result<u64, String> {
    let all = targets()?;
    build()?;
    let failures: Vec<String> = all.iter().filter_map(|name| fuzz(name, seconds).err()).collect();
    if failures.is_empty() { Ok(all.len() as u64) } else { Err(failures.join("; ")) }
}

fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(shell::root().join(TARGETS)).map_err(|error| format!("{TARGETS}: {error}"))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    shell::root().join("fuzz")
}

/// Only the target machine's code is instrumented, not build scripts: hence the explicit `--target`.
fn build() -> Result<(), String> {
    let mut command = shell::cargo(&["build", "--release", "--bins", "--locked", "--target", &host()?]);
    command.current_dir(folder()).env("RUSTFLAGS", FLAGS.join(" "));
    shell::shown(command, |_| {})
}

fn host() -> Result<String, String> {
    let version = shell::quiet(shell::command("rustc", &["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn fuzz(name: &str, seconds: u64) -> Result<(), String> {
    let corpus = folder().join("corpus").join(name);
    let artifacts = folder().join("artifacts").join(name);
    for made in [&corpus, &artifacts] {
        fs::create_dir_all(made).map_err(|error| format!("{}: {error}", made.display()))?;
    }
    let program = folder().join("target").join(host()?).join("release").join(name);
    let mut command = Command::new(program);
    command
        .current_dir(folder())
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-verbosity=0", "-print_final_stats=1"])
        .arg(&corpus)
        .args(seeds(name));
    println!("fuzzing {name} for {seconds} s …");
    let mut last = Vec::new();
    let result = shell::shown(command, |line| {
        last.push(line.to_owned());
    });
    result.map_err(|why| {
        let crash = last.iter().find(|line| line.contains("Test unit written to")).cloned();
        format!("fuzz target {name}: {}", crash.unwrap_or(why))
    })
}

/// Folders named by the target's `Seeds:` line that exist.
fn seeds(name: &str) -> Vec<PathBuf> {
    let source =
        fs::read_to_string(shell::root().join(TARGETS).join(format!("{name}.rs"))).unwrap_or_default();
    seed_folders(&source)
        .map(|folder| shell::root().join(folder))
        .filter(|folder| Path::is_dir(folder))
        .collect()
}

fn seed_folders(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.strip_prefix("//! Seeds:")).flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::{seed_folders, targets};

    #[test]
    fn seeds_come_from_the_header() {
        let source = "//! Reads bytes.\n//!\n//! Seeds: crates/a/fixtures crates/b/fixtures\nfn main() {}\n// Seeds: no";
        assert_eq!(seed_folders(source).collect::<Vec<_>>(), ["crates/a/fixtures", "crates/b/fixtures"]);
    }

    #[test]
    fn targets_are_files() {
        assert!(targets().unwrap().contains(&"json".to_owned()));
    }
}
