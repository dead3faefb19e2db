//! `unfail serve`: the endpoint.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use unfail_config::{Config, Report};
use unfail_engine::Engine;
use unfail_engine::observe::{Log, Words};
use unfail_server::{Limits, Mode, Server, Stop, app, raise_descriptors, serve_lanes};

use super::found::{Found, admits, find};
use super::reload::Reload;
use super::stop;
use crate::args::Serve;
use crate::{Error, output};

pub(crate) fn run(args: &Serve) -> Result<ExitCode, Error> {
    // Whoever reads standard error, or does not: no request waits for it.
    let (words, last_words) = Words::to(std::io::stderr())?;
    let writer = words.clone();
    tracing_subscriber::fmt()
        .with_env_filter("warn,unfail=info")
        .with_writer(move || writer.clone())
        .with_target(false)
        .init();
    let Found { config, source, report } = match find(args) {
        Ok(found) => found,
        Err(error) => match error.downcast_ref::<Report>() {
            Some(report) => {
                output::note(&report.to_string());
                return Ok(ExitCode::FAILURE);
            }
            None => return Err(error),
        },
    };
    if !report.warnings.is_empty() {
        output::note(&report.to_string());
    }
    admits(&config, config.server.listen)?;
    let (log, guard) = if args.no_log { (Log::none(), None) } else { logged()? };
    let served = serve_until_stopped(config, log, Start { args, source, words });
    drop((guard, last_words));
    served?;
    Ok(ExitCode::SUCCESS)
}

fn logged() -> std::io::Result<(Log, Option<unfail_engine::observe::LogGuard>)> {
    let (log, guard) = Log::to(std::io::stdout())?;
    Ok((log, Some(guard)))
}

/// How the server was started.
struct Start<'a> {
    args: &'a Serve,
    source: String,
    words: Words,
}

fn serve_until_stopped(config: Config, log: Log, start: Start<'_>) -> Result<(), Error> {
    let Start { args, source, mut words } = start;
    let settings = config.server.clone();
    let listener = TcpListener::bind(settings.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    let greeting = greeting(&config, &source, listener.local_addr()?);
    let first = server(config, log)?;
    let (engine, args, running) = (first.engine.clone(), args.clone(), settings.clone());
    let reload = Reload { engine, args, source, running };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut lanes: Vec<Server> = (1..cores).map(|_| first.sibling()).collect();
    lanes.push(first);
    let lanes: Vec<_> = lanes.into_iter().map(|lane| app(Arc::new(lane))).collect();
    let limits =
        Limits { header_timeout: settings.header_timeout, drain: settings.drain, ..Limits::default() }
            .within(raise_descriptors(), lanes.len());
    let stop = || {
        // Before the greeting: whoever has read it may stop the server.
        let (first, second, reloading) = (stop::asked(1), stop::asked(2), reload.at_hangup());
        // Nobody else could be told.
        drop(words.write_all(format!("{greeting}\n").as_bytes()));
        let drain = async move {
            tokio::select! {
                () = first => {}
                () = reloading => {}
            }
        };
        Stop { drain, end: second }
    };
    serve_lanes(listener, lanes, limits, stop)?;
    Ok(())
}

/// The server for a configuration.
///
/// # Errors
/// A configuration that cannot be served.
pub(crate) fn server(config: Config, log: Log) -> Result<Server, Error> {
    let settings = config.server.clone();
    let engine = Engine::new(config, log.clone())?;
    Ok(Server {
        engine: Arc::new(engine),
        log,
        mode: match settings.mode {
            unfail_config::Mode::Developer => Mode::Developer,
            unfail_config::Mode::Product => Mode::Product,
        },
        max_body: usize::try_from(settings.max_body).unwrap_or(usize::MAX),
        body_timeout: settings.body_timeout,
    })
}

/// What was found, where it listens, and a line to try.
fn greeting(config: &Config, source: &str, address: SocketAddr) -> String {
    let mut text = format!("configuration: {source}\n");
    for (name, route) in &config.routes {
        let chain: Vec<String> = route.chain.iter().map(ToString::to_string).collect();
        text.push_str(&format!("route {name}: {}\n", chain.join(" → ")));
    }
    let model = worth_trying(config);
    let key = if config.callers.is_empty() { "" } else { " -H 'authorization: Bearer KEY'" };
    text.push_str(&format!("listening on http://{address}\n"));
    text.push_str(&curl(address, model, key));
    text
}

/// The route that shows most: one that the first caller may use, with the longest chain; `auto` among equals.
fn worth_trying(config: &Config) -> &str {
    let allowed = config.callers.first().map(|caller| caller.routes.as_slice()).unwrap_or_default();
    let routes = config.routes.iter().filter(|(name, _)| allowed.is_empty() || allowed.contains(name));
    let best = routes.rev().max_by_key(|(name, route)| (route.chain.len(), *name == "auto"));
    best.map_or("auto", |(name, _)| name.as_str())
}

/// A request to copy.
pub(crate) fn curl(address: SocketAddr, model: &str, key: &str) -> String {
    format!(
        "try: curl http://{address}/v1/chat/completions -H 'content-type: application/json'{key} \\\n       -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl unfail_config::Secrets for Nothing {
        fn env(&self, name: &str) -> Option<String> {
            (name == "WEB").then(|| "web-key".to_owned())
        }

        fn file(&self, _: &std::path::Path) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn the_route_to_try_is_the_one_that_shows_most() {
        let one = "a-short = { chain = [\"own/a\"] }";
        let long = "long = { chain = [\"own/a\", \"own/b\"] }";
        let auto = "auto = { chain = [\"own/b\", \"own/a\"] }";
        for (routes, keys, expected) in [
            (vec![one, long], "", "long"),
            (vec![one, long, auto], "", "auto"),
            (vec![one], "", "a-short"),
            (vec![one, long, auto], "[keys.web]\nsecret = \"env:WEB\"\nroutes = [\"a-short\"]", "a-short"),
        ] {
            let text = format!(
                "[providers.own]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:9\"\n[routes]\n{}\n{keys}\n",
                routes.join("\n")
            );
            let (config, report) = unfail_config::load("f", text.as_bytes(), &Nothing);
            let config = config.unwrap_or_else(|| panic!("{report}"));
            assert_eq!(worth_trying(&config), expected, "{text}");
        }
    }
}
