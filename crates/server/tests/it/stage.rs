//! A stage: simulated providers, the real endpoint in front of them, and a caller.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use unfail_config::{Config, Secrets, load};
use unfail_engine::Engine;
use unfail_engine::observe::{Log, LogGuard};
use unfail_server::{Limits, Mode, Server, app, serve};
use unfail_sim::{Act, Provider, Script, Speaks};
use unfail_testkit::{Client, eventually};

use crate::way::{Told, Way};

/// Providers in the order of the chain. The names are words no answer and no error of ours holds by chance.
pub(crate) const CAST: [&str; 4] = ["alder", "birch", "cedar", "daphne"];

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plot {
    cast: Vec<(Speaks, Script)>,
    /// Providers that are not simulated, behind the simulated ones in the chain.
    guests: Vec<(Speaks, Place)>,
    server: String,
    route: String,
    more: String,
    secrets: Vec<(String, String)>,
    files: Vec<(String, String)>,
    /// Keys every provider has besides its own.
    spare_keys: Vec<String>,
    log: Option<Kept>,
}

/// Where a provider is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Its base URL, without a path.
    pub(crate) url: String,
    /// More lines of its table.
    pub(crate) more: String,
}

/// What was written, for a test to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A provider's script: an act in its text form for every call.
pub(crate) fn always(act: &str) -> Script {
    Script::always(act.parse::<Act>().unwrap())
}

/// An act in its text form for the first call, normal answers after it.
pub(crate) fn once(act: &str) -> Script {
    Script::first([act.parse::<Act>().unwrap()])
}

impl Plot {
    /// The next provider of route `main`.
    pub(crate) fn cast(mut self, wire: Speaks, script: Script) -> Self {
        self.cast.push((wire, script));
        self
    }

    /// Two providers of these wires; the second always answers.
    pub(crate) fn pair(wires: (Speaks, Speaks), script: Script) -> Self {
        Plot::default().cast(wires.0, script).cast(wires.1, Script::default())
    }

    /// A provider of the test's own making, at the end of the chain.
    pub(crate) fn guest(self, wire: Speaks, address: SocketAddr) -> Self {
        self.guest_at(wire, Place { url: format!("http://{address}"), ..Place::default() })
    }

    /// The same, somewhere.
    pub(crate) fn guest_at(mut self, wire: Speaks, place: Place) -> Self {
        self.guests.push((wire, place));
        self
    }

    /// Short limits for what hangs or stalls, and long ones for everything else: a busy machine is no failure.
    pub(crate) fn patient_unless_needed(self, act: &str) -> Self {
        let limit =
            |name: &str, needed: bool| format!("{name} = \"{}\"", if needed { "400ms" } else { "10s" });
        let plot = self.route(&limit("first_token", act.contains("hang")));
        plot.route(&limit("stall", act.contains("stall")))
    }

    /// A line of `[server]`.
    pub(crate) fn server(mut self, line: &str) -> Self {
        self.server.push_str(&format!("{line}\n"));
        self
    }

    /// A line of `[routes.main]`.
    pub(crate) fn route(mut self, line: &str) -> Self {
        self.route.push_str(&format!("{line}\n"));
        self
    }

    /// More tables.
    pub(crate) fn more(mut self, text: &str) -> Self {
        self.more.push_str(&format!("{text}\n"));
        self
    }

    /// An environment variable the configuration may name.
    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file the configuration may name.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// One more key for every provider.
    pub(crate) fn spare_key(mut self, key: &str) -> Self {
        self.spare_keys.push(key.to_owned());
        self
    }

    /// Keeps the request log.
    pub(crate) fn log(mut self, kept: &Kept) -> Self {
        self.log = Some(kept.clone());
        self
    }

    fn config(&mut self, providers: &[Provider]) -> Config {
        let mut text = format!("[server]\n{}", self.server);
        let mut spare = String::new();
        for (number, key) in self.spare_keys.iter().enumerate() {
            spare.push_str(&format!(", \"env:SPARE_{number}\""));
            self.secrets.push((format!("SPARE_{number}"), key.clone()));
        }
        let place = |provider: &Provider| Place { url: provider.base_url(), ..Place::default() };
        let simulated = providers.iter().map(|provider| (provider.wire(), place(provider)));
        let all: Vec<_> = simulated.chain(self.guests.iter().cloned()).collect();
        let names = CAST.iter().take(all.len());
        for ((wire, Place { url, more }), name) in all.iter().zip(names.clone()) {
            let path = if *wire == Speaks::OpenAiChat { "/v1" } else { "" };
            text.push_str(&format!(
                "[providers.{name}]\nwire = \"{wire}\"\nbase_url = \"{url}{path}\"\n\
                 keys = [\"env:KEY_OF_{name}\"{spare}]\n{more}"
            ));
            self.secrets.push((format!("KEY_OF_{name}"), key_of(name)));
        }
        let chain: Vec<String> = names.map(|name| format!("\"{}\"", target(name))).collect();
        text.push_str(&format!("[routes.main]\nchain = [{}]\n{}{}", chain.join(","), self.route, self.more));
        let (config, report) = load("unfail.toml", text.as_bytes(), &*self);
        config.unwrap_or_else(|| panic!("{report}\n{text}"))
    }

    /// Raises the curtain.
    pub(crate) async fn open(mut self) -> Stage {
        let cast = std::mem::take(&mut self.cast);
        let start = |((wire, script), name): ((Speaks, Script), &&str)| {
            Provider::start_as(unfail_sim::provider::Setup::new(wire, script).named(*name)).unwrap()
        };
        let providers: Vec<Provider> = cast.into_iter().zip(&CAST).map(start).collect();
        let config = self.config(&providers);
        let settings = config.server.clone();
        let (log, writer) = match self.log {
            None => (Log::none(), None),
            Some(kept) => Log::to(kept).map(|(log, writer)| (log, Some(writer))).unwrap(),
        };
        let engine = Arc::new(Engine::new(config, log.clone()).unwrap());
        let server = Server {
            engine,
            log,
            mode: match settings.mode {
                unfail_config::Mode::Developer => Mode::Developer,
                unfail_config::Mode::Product => Mode::Product,
            },
            max_body: usize::try_from(settings.max_body).unwrap(),
            body_timeout: settings.body_timeout,
        };
        let limits = Limits {
            header_timeout: settings.header_timeout,
            drain: settings.drain,
            // Short beside the default, long beside any pause of a caller that reads.
            write_timeout: Duration::from_secs(3),
            ..Limits::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(listener, app(Arc::new(server)), limits, stopped).await
        });
        Stage { providers, address, client: Client::new(), stop: Some(stop), tasks, _writer: writer }
    }
}

impl Secrets for Plot {
    fn env(&self, name: &str) -> Option<String> {
        self.secrets.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let found = self.files.iter().find(|(known, _)| Path::new(known) == path);
        found.map(|(_, text)| text.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The target of a provider in route `main`.
pub(crate) fn target(name: &str) -> String {
    format!("{name}/{name}-large")
}

/// The key a provider is called with.
pub(crate) fn key_of(name: &str) -> String {
    format!("secret-of-{name}")
}

/// A running endpoint and its providers. Dropped, everything stops.
pub(crate) struct Stage {
    pub(crate) providers: Vec<Provider>,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<io::Result<()>>,
    _writer: Option<LogGuard>,
}

impl Stage {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks route `main`.
    pub(crate) async fn ask(&self, way: Way, stream: bool) -> Told {
        self.send(way, &[], &way.body("main", "hello", stream)).await
    }

    /// Sends any body.
    pub(crate) async fn send(&self, way: Way, headers: &[(&str, &str)], body: &serde_json::Value) -> Told {
        let url = self.url(way.path());
        let sent = self.client.post(&url, headers, body);
        let answer = tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time");
        way.read(answer.unwrap())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> unfail_testkit::Answer {
        self.client.get(&self.url(path), headers).await.unwrap()
    }

    /// Calls each provider has seen.
    pub(crate) fn calls(&self) -> Vec<u64> {
        self.providers.iter().map(Provider::count).collect()
    }

    /// Nothing is under way at any provider; the time that took.
    pub(crate) async fn settled(&self) -> Duration {
        let idle = || self.providers.iter().all(|provider| provider.in_flight() == 0);
        eventually(PATIENCE, idle).await.expect("calls end")
    }

    /// Tells the endpoint to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// What the endpoint's own loop returned.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.expect("the endpoint ends").unwrap().unwrap()
    }

    /// A normal question on a new connection is answered.
    pub(crate) async fn still_answers(&self) -> bool {
        let way = Way::OpenAi;
        let sent = Client::new().post(&self.url(way.path()), &[], &way.body("main", "well?", false)).await;
        sent.is_ok_and(|answer| way.read(answer).is_complete())
    }
}

/// Cases that run at once: enough to hide their waits, few enough that a busy machine does not make a provider look
/// slow.
const AT_ONCE: usize = 6;

/// Checks all of them, several at a time, so that every failure is shown.
pub(crate) async fn each<T, F>(items: impl IntoIterator<Item = T>, check: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut runs = JoinSet::new();
    let mut failed = 0;
    for item in items {
        if runs.len() >= AT_ONCE
            && let Some(run) = runs.join_next().await
        {
            failed += u32::from(run.is_err());
        }
        runs.spawn(check(item));
    }
    while let Some(run) = runs.join_next().await {
        failed += u32::from(run.is_err());
    }
    assert_eq!(failed, 0, "cases failed");
}
