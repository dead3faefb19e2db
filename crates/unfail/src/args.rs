//! What can be typed.

use clap::{Parser, Subcommand};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// One endpoint in front of many LLM providers: falls through instead of retrying.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the endpoint
    #[command(after_help = "Examples:
  ANTHROPIC_API_KEY=… GEMINI_API_KEY=… unfail serve     # no configuration: route `auto` over what has a key
  unfail serve --config unfail.toml
  unfail serve --listen 127.0.0.1:9000

Signals:
  TERM, INT  finish the requests under way, then end; a second one ends at once
  HUP        read the configuration again; requests under way keep the old one")]
    Serve(Serve),

    /// See it work without any key: simulated providers, a storm, and which of them answers
    #[command(after_help = "Examples:
  unfail demo               # the storm, then the endpoint stays up to be tried
  unfail demo --once        # the storm and its summary only
  unfail demo --once --json # the summary as one JSON object, progress on standard error")]
    Demo(Demo),

    /// Check the configuration and show what it means
    #[command(after_help = "Examples:
  unfail check                         # ./unfail.toml, or the environment alone
  unfail check --config other.toml --json
  unfail check --template > unfail.toml")]
    Check(Check),

    /// Ask one question from the command line
    #[command(after_help = "Examples:
  unfail chat \"Why is the sky blue?\"
  unfail chat --model gemini/gemini-3.5-flash \"Name three rivers\"
  git diff | unfail chat --system \"Write a commit message\" -")]
    Chat(Chat),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Source {
    /// Configuration file [default: ./unfail.toml if it exists, else the environment alone]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Address (or port of 127.0.0.1) to listen on instead of the configured one
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Do not write one line per request to standard output
    #[arg(long)]
    pub(crate) no_log: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// End after the summary instead of serving on
    #[arg(long)]
    pub(crate) once: bool,
    /// Address (or port of 127.0.0.1) to serve on; another port is taken if this one is in use
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a commented configuration file with every key instead
    #[arg(long)]
    pub(crate) template: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) source: Source,
    /// What to ask; `-` reads it from standard input
    pub(crate) prompt: String,
    /// Route, `provider/model` or model
    #[arg(long, short, default_value = "auto")]
    pub(crate) model: String,
    /// Instructions that stand before the prompt
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// Show which targets were tried
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// An address and a port; a port alone is one of 127.0.0.1.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| "write a port, or an IP address and a port such as 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        for (text, expected) in [
            ("8080", Some("127.0.0.1:8080")),
            ("localhost:9000", Some("127.0.0.1:9000")),
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("here", None),
            ("127.0.0.1", None),
            ("70000", None),
        ] {
            assert_eq!(address(text).ok().map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
