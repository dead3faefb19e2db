//! A simulated provider as a program, so that tests in any language can drive it.
//!
//! `unfail-sim --wire openai-chat|anthropic|gemini [--port N] [--act ACT]` prints one line with its address and serves
//! until it is ended. `POST /_sim/script` and `GET /_sim/calls` control it.

use std::io::Write as _;
use std::process::ExitCode;

use unfail_sim::{Act, Provider, Script, Setup, Speaks};

const USAGE: &str = "usage: unfail-sim --wire openai-chat|anthropic|gemini [--port N] [--act ACT]";

const HELP: &str = "A simulated provider on loopback: speaks a real wire and does what it is told.

  --wire WIRE   openai-chat (default), anthropic or gemini
  --port N      where to listen on 127.0.0.1; a free port unless given
  --act ACT     what every call gets: answer (default), answer:40:5 (40 ms to the first token, 5 ms between tokens),
                overloaded, retry-after-seconds:2, hang-before-headers, cut-after:8, unauthorized, …

It prints one line with its address and serves until it is ended. POST /_sim/script changes what it does,
GET /_sim/calls tells what it heard.";

fn setup(mut arguments: impl Iterator<Item = String>) -> Result<Setup, String> {
    let mut wire = Speaks::OpenAiChat;
    let mut port = 0;
    let mut act = Act::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--wire" => {
                wire = value.parse().map_err(|fault: unfail_sim::speak::UnknownWire| fault.to_string())?
            }
            "--port" => port = value.parse().map_err(|_| format!("`{value}` is no port"))?,
            "--act" => act = value.parse().map_err(|fault: unfail_sim::act::UnknownAct| fault.to_string())?,
            _ => return Err(format!("unknown argument `{name}`")),
        }
    }
    Ok(Setup::new(wire, Script::always(act)).on(port))
}

async fn serve(setup: Setup) -> std::io::Result<()> {
    let provider = Provider::start_as(setup)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", provider.base_url())?;
    out.flush()?;
    std::future::pending().await
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().skip(1).any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        writeln!(std::io::stdout(), "{HELP}\n\n{USAGE}").ok();
        return ExitCode::SUCCESS;
    }
    let served = match setup(std::env::args().skip(1)) {
        Ok(setup) => serve(setup).await.map_err(|fault| fault.to_string()),
        Err(fault) => Err(format!("{fault}\n{USAGE}")),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            writeln!(std::io::stderr(), "unfail-sim: {fault}").ok();
            ExitCode::FAILURE
        }
    }
}
