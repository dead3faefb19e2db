//! The demo's providers: simulated on loopback, under the ids of the automatic order, and the configuration that
//! leads there. Which vendors these are is the catalog's to say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use unfail_catalog::AUTO_ORDER;
use unfail_config::{Config, Secrets};
use unfail_sim::{Flavour, Provider, Script, Setup, Speaks};

use crate::Error;

/// Providers that play: enough for every wire and for a chain that is longer than its faults.
const SIZE: usize = 4;
/// What the hosts of one wire differ in, beyond its own vendor: the first two such hosts of the automatic order.
const HOSTS: [Flavour; 2] = [Flavour::GO_DURATIONS, Flavour::DECIMAL_FLAT];
/// How a provider answers when all is well: 40 ms to the first token, 200 tokens per second.
pub(super) const CALM: &str = "answer:40:5";

/// Limits fit for a storm of seconds. Every other rule has its default.
const ROUTE: &str = r#"connect = "1s"
first_token = "1s"
answer = "2s"
stall = "1s"
deadline = "10s"
cooldown = "1s"
max_calls = 6
breaker = { consecutive = 3, open = "1s", open_max = "4s", probes = 1, ramp = "0s" }
"#;

/// The providers, in the order they are tried.
pub(super) struct Cast {
    pub(super) actors: Vec<Actor>,
}

/// One provider.
pub(super) struct Actor {
    /// Its name in targets.
    pub(super) id: &'static str,
    pub(super) wire: &'static str,
    /// What its vendor's paths begin with.
    path: String,
    /// Where its key would be found.
    variable: &'static str,
    pub(super) provider: Provider,
}

impl Cast {
    /// Starts every provider on a free port of loopback. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a port.
    pub(super) fn start() -> Result<Self, Error> {
        let mut hosts = HOSTS.into_iter();
        let mut actors = Vec::new();
        for row in AUTO_ORDER.into_iter().filter_map(unfail_catalog::provider).take(SIZE) {
            let wire: Speaks = row.wire.parse()?;
            let flavour = match wire {
                Speaks::OpenAiChat => hosts.next().unwrap_or(wire.flavour()),
                Speaks::Anthropic | Speaks::Gemini => wire.flavour(),
            };
            let setup = Setup::new(wire, Script::default()).named(row.id).flavoured(flavour);
            let provider = Provider::start_as(setup)
                .map_err(|error| format!("cannot start a simulated provider: {error}"))?;
            let actor = Actor {
                id: row.id,
                wire: row.wire,
                path: path(row.base_url),
                variable: row.key_env.first().copied().unwrap_or_default(),
                provider,
            };
            actor.play(Script::always(CALM.parse::<unfail_sim::Act>()?));
            actors.push(actor);
        }
        Ok(Self { actors })
    }

    /// The configuration that serves these providers at `listen`.
    ///
    /// # Errors
    /// The report, when it is not accepted.
    pub(super) fn config(&self, listen: SocketAddr) -> Result<Config, Error> {
        let keys = self.actors.iter().map(|actor| (actor.variable, actor.key())).collect();
        let (config, report) = unfail_config::load("demo", self.text(listen).as_bytes(), &Keys(keys));
        config.ok_or_else(|| report.to_string().into())
    }

    /// Calls each provider has received.
    pub(super) fn counts(&self) -> Vec<u64> {
        self.actors.iter().map(|actor| actor.provider.count()).collect()
    }

    /// Counts with their providers: `a 1 · b 2`.
    pub(super) fn tally(&self, counts: &[u64]) -> String {
        let named = self.actors.iter().zip(counts).map(|(actor, count)| format!("{} {count}", actor.id));
        named.collect::<Vec<_>>().join(" · ")
    }

    /// The text with the providers' names for `{1}`, `{2}`, ….
    pub(super) fn named(&self, text: &str) -> String {
        let named = |text: String, (index, actor): (usize, &Actor)| {
            text.replace(&format!("{{{}}}", index + 1), actor.id)
        };
        self.actors.iter().enumerate().fold(text.to_owned(), named)
    }

    /// The same as it would stand in a file.
    fn text(&self, listen: SocketAddr) -> String {
        let mut text = format!("[server]\nlisten = \"{listen}\"\n");
        for actor in &self.actors {
            let base = actor.provider.base_url();
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[providers.{}]\nbase_url = \"{base}{}\"\n", actor.id, actor.path);
        }
        let chain: Vec<String> = self.actors.iter().map(|actor| format!("\"{}/*\"", actor.id)).collect();
        let _ = write!(text, "\n[routes.auto]\nchain = [{}]\n{ROUTE}", chain.join(", "));
        text
    }
}

impl Actor {
    /// From now on it does this, and knows only its own key.
    pub(super) fn play(&self, script: Script) {
        self.provider.set_script(script.accepting([self.key()]));
    }

    /// Time since its last call ended; since it was started, when none did.
    pub(super) fn idle(&self) -> Duration {
        let last = self.provider.calls().into_iter().filter_map(|call| call.ended).max();
        self.provider.now().saturating_sub(last.unwrap_or_default())
    }

    fn key(&self) -> String {
        format!("demo-key-of-{}", self.id)
    }
}

/// What stands behind the host of a URL.
fn path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or_else(String::new, |(_, path)| format!("/{path}"))
}

/// A world that holds the demo's keys and nothing else: real keys in the environment are not looked at.
struct Keys(BTreeMap<&'static str, String>);

impl Secrets for Keys {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_base_urls() {
        for (url, expected) in [
            ("https://host", ""),
            ("https://host/v1", "/v1"),
            ("https://host/openai/v1", "/openai/v1"),
            ("http://127.0.0.1:80/v1", "/v1"),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn the_cast_is_the_automatic_order_on_loopback() {
        let cast = Cast::start().unwrap();
        let config = cast.config("127.0.0.1:8080".parse().unwrap()).unwrap();
        let ids: Vec<&str> = config.providers.iter().map(|provider| provider.id.as_str()).collect();
        assert_eq!(ids, AUTO_ORDER[..SIZE]);
        let chain: Vec<&str> = config.routes["auto"].chain.iter().map(|t| t.provider.as_str()).collect();
        assert_eq!(chain, AUTO_ORDER[..SIZE]);
        for (provider, actor) in config.providers.iter().zip(&cast.actors) {
            assert!(provider.base_url.starts_with("http://127.0.0.1:"), "{}", provider.base_url);
            assert_eq!(provider.wire, actor.wire);
            assert_eq!(provider.keys.len(), 1);
        }
        let wires: std::collections::BTreeSet<_> = cast.actors.iter().map(|actor| actor.wire).collect();
        assert_eq!(wires.len(), Speaks::ALL.len(), "every wire is spoken");
    }
}
