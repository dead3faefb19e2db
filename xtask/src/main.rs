//! The project's own tools: `cargo xtask tidy`, `test`, `fuzz` and `bench`.
//!
//! Light to compile: it is built before anything else is checked. Nothing here ships.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to the person who runs it")]
#![expect(clippy::disallowed_methods, reason = "a tool measures time and passes the environment on")]

mod bench;
mod fuzz;
mod shell;
mod test;
mod tidy;

use clap::Parser;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "unfail's own tools")]
enum Command {
    /// Check the project's own limits: floors, sizes, cycles, names, copies.
    Tidy,
    /// Install what the tests need and run all of them.
    Test(test::Options),
    /// Fuzz the parsers.
    Fuzz(fuzz::Options),
    /// Measure unfail beside nginx and HAProxy.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Command::parse() {
        Command::Tidy => {
            tidy::run(&shell::root()).map(|clean| if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Test(options) => test::run(&options),
        Command::Fuzz(options) => fuzz::run(&options).map(done),
        Command::Bench(options) => bench::run(&options).map(done),
    };
    result.unwrap_or_else(|why| {
        eprintln!("error: {why}");
        ExitCode::FAILURE
    })
}
