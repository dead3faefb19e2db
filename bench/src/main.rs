//! What `cargo xtask bench` puts before and behind the proxies it measures: a mock upstream and a load generator.
//!
//! Both are as plain as can be, so that what is measured is the proxy between them. Knows nothing of unfail.
#![expect(clippy::disallowed_methods, reason = "measuring time is what a load generator is for")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool talks to the program that runs it")]

mod load;
mod mock;
mod response;

use clap::Parser;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Mock upstream and load generator")]
enum Command {
    /// Answer chat completions at once, or stream them at a model's pace.
    Mock {
        /// Port on the loopback address; 0 picks a free one and prints it.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Send chat completions and print what came back as JSON.
    Load(load::Options),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Mock { port } => mock::run(port).map_err(|error| error.to_string()),
        Command::Load(options) => load::run(&options).map(|report| println!("{report}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("unfail-bench: {why}");
            ExitCode::FAILURE
        }
    }
}
