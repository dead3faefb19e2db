//! One file per command.

mod chat;
mod check;
mod demo;
mod found;
mod reload;
mod serve;
mod stop;

use std::process::ExitCode;

use crate::Error;
use crate::args::Command;

pub(crate) fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Chat(args) => chat::run(&args),
    }
}
