//! `cargo xtask bench`: unfail beside nginx and HAProxy as plain reverse proxies, in one interleaved run.
//!
//! Everything runs on this machine over loopback. Each round measures every contender in another order, so that a
//! busy minute of the machine hits all of them alike.

mod contenders;
mod process;
mod report;

use crate::shell;
use contenders::{CONTENDERS, Contender, MODEL, OURS, Site};
use process::Server;
use report::{Metric, Report};
use std::net::SocketAddr;
use std::process::Command;

/// Connections kept busy.
const CONNECTIONS: &str = "64";
/// Requests per second of the fixed rate.
const RATE: &str = "500";

/// How long to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A short run, for seeing that it works: its numbers are rough.
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Rounds, each measuring every contender once.
    #[arg(long)]
    rounds: Option<usize>,
}

/// Times of one run.
struct Times {
    rounds: usize,
    starts: usize,
    seconds: f64,
}

/// A contender that answers, and where.
struct Entry {
    name: &'static str,
    server: Option<Server>,
    address: SocketAddr,
}

/// Measures and prints.
///
/// # Errors
/// When the tools cannot be built or the mock upstream fails; a contender that cannot be had is only reported.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut times = match options.quick {
        true => Times { rounds: 2, starts: 2, seconds: 1.0 },
        false => Times { rounds: 7, starts: 5, seconds: 4.0 },
    };
    times.rounds = options.rounds.unwrap_or(times.rounds).max(1);
    build()?;
    let mut report = Report::default();
    if let Err(why) = contenders::install() {
        eprintln!("{why}");
    }
    let upstream = contenders::mock().map_err(|why| format!("the mock upstream {why}"))?;
    let folder = std::env::temp_dir().join(format!("unfail-bench-{}", std::process::id()));
    let site = Site { folder: folder.clone(), upstream: upstream.address.port() };
    let mut entries: Vec<Entry> = Vec::new();
    for contender in CONTENDERS {
        match enter(contender, &site, &upstream, &times, &mut report) {
            Ok(entry) => entries.push(entry),
            Err(why) => {
                eprintln!("without {}: {why}", contender.name);
                report.absent.push((contender.name, why));
            }
        }
    }
    let result = rounds(&mut entries, &times, &mut report);
    drop(entries);
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("{}: {error}", folder.display());
    }
    result?;
    println!("{}", if options.json { format!("{:#}", report.json()) } else { report.table() });
    Ok(())
}

fn build() -> Result<(), String> {
    let mut command =
        shell::cargo(&["build", "--release", "--locked", "-p", "unfail-bench", "-p", OURS, "--bins"]);
    // Standard output is kept for the result.
    command.stdout(std::process::Stdio::inherit());
    eprintln!("building …");
    let status = command.status().map_err(|error| format!("cargo build: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo build: {status}")) }
}

/// Starts a contender several times, keeps the last, and warms it up.
fn enter(
    contender: &Contender,
    site: &Site,
    upstream: &Server,
    times: &Times,
    report: &mut Report,
) -> Result<Entry, String> {
    let mut server = None;
    for _ in 0..times.starts {
        drop(server.take());
        server = contender.start(site)?;
        if let Some(server) = &server {
            report.add(contender.name, Metric::Start, server.first_answer.as_secs_f64() * 1e3);
        }
    }
    let address = server.as_ref().map_or(upstream.address, |server| server.address);
    if let Some(server) = &server {
        report.add(contender.name, Metric::RssIdle, server.resident_kb() as f64 / 1024.0);
    }
    load(address, 0.5, &["--connections", CONNECTIONS])?;
    load(address, 0.5, &["--connections", CONNECTIONS, "--stream"])?;
    Ok(Entry { name: contender.name, server, address })
}

fn rounds(entries: &mut [Entry], times: &Times, report: &mut Report) -> Result<(), String> {
    for round in 0..times.rounds {
        eprintln!("round {} of {} …", round + 1, times.rounds);
        for entry in entries.iter() {
            measure(entry, times.seconds, report).map_err(|why| format!("{}: {why}", entry.name))?;
        }
        entries.rotate_left(1);
    }
    for entry in entries {
        if let Some(server) = &entry.server {
            report.add(entry.name, Metric::RssAfter, server.resident_kb() as f64 / 1024.0);
        }
    }
    Ok(())
}

fn measure(entry: &Entry, seconds: f64, report: &mut Report) -> Result<(), String> {
    let (full, cpu) = loaded(entry, seconds, &["--connections", CONNECTIONS])?;
    report.add(entry.name, Metric::Rate, full.answers / full.seconds);
    if let Some(cpu) = cpu {
        report.add(entry.name, Metric::Cpu, cpu * 1e6 / full.answers);
    }
    let (fixed, _) = loaded(entry, seconds, &["--rate", RATE])?;
    report.add(entry.name, Metric::P50, fixed.p50);
    report.add(entry.name, Metric::P99, fixed.p99);
    let (streams, cpu) = loaded(entry, seconds, &["--connections", CONNECTIONS, "--stream"])?;
    report.add(entry.name, Metric::Events, streams.events / streams.seconds);
    report.add(entry.name, Metric::First, streams.first);
    if let Some(cpu) = cpu {
        report.add(entry.name, Metric::EventCpu, cpu * 1e6 / streams.events);
    }
    Ok(())
}

/// What the load generator reports.
struct Load {
    seconds: f64,
    answers: f64,
    events: f64,
    p50: f64,
    p99: f64,
    first: f64,
}

/// Runs a load and tells the CPU seconds the contender spent on it.
fn loaded(entry: &Entry, seconds: f64, arguments: &[&str]) -> Result<(Load, Option<f64>), String> {
    let before = entry.server.as_ref().map(Server::cpu);
    let load = load(entry.address, seconds, arguments)?;
    let after = entry.server.as_ref().map(Server::cpu);
    let spent = before.zip(after).map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    Ok((load, spent))
}

fn load(address: SocketAddr, seconds: f64, arguments: &[&str]) -> Result<Load, String> {
    let mut command = Command::new(contenders::tool());
    command.args(["load", "--model", MODEL, "--address", &address.to_string()]);
    command.args(["--seconds", &seconds.to_string()]).args(arguments);
    let text = shell::quiet(command)?;
    let report: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("the load generator's report: {error}"))?;
    let number = |pointer: &str| {
        let number = report.pointer(pointer).and_then(serde_json::Value::as_f64);
        number.ok_or_else(|| format!("the load generator's report has no {pointer}"))
    };
    let errors = number("/errors")?;
    if errors > 0.0 {
        return Err(format!("{errors} of {} requests failed", number("/answers")? + errors));
    }
    Ok(Load {
        seconds: number("/seconds")?,
        answers: number("/answers")?,
        events: number("/events")?,
        p50: number("/latency_us/p50")?,
        p99: number("/latency_us/p99")?,
        first: number("/first_us/p50")?,
    })
}
