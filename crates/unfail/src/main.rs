//! The `unfail` command: arguments in, exit code out. No logic of its own.

mod args;
mod commands;
mod keys;
mod output;
mod settings;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a command may fail with: words for the person who typed it.
type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args.command) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
