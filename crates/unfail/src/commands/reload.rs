//! SIGHUP: the configuration is read again, checked as a whole, and takes the place of the old one or changes nothing.

use std::future::Future;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use unfail_config::ServerConfig;
use unfail_engine::Engine;

use super::found::{Found, admits, find};
use crate::Error;
use crate::args::Serve;

/// What is needed to read the configuration again.
#[derive(Clone)]
pub(crate) struct Reload {
    pub(crate) engine: Arc<Engine>,
    pub(crate) args: Serve,
    /// Where the configuration came from at the start.
    pub(crate) source: String,
    /// What the server was started with, and keeps.
    pub(crate) running: ServerConfig,
}

impl Reload {
    /// Reloads at every SIGHUP after this call, which from here on does not end the process. Must be called inside a
    /// tokio runtime; never resolves.
    pub(crate) fn at_hangup(self) -> impl Future<Output = ()> {
        let hangups = signal(SignalKind::hangup());
        async move {
            let Ok(mut hangups) = hangups else { return std::future::pending().await };
            while hangups.recv().await.is_some() {
                let this = self.clone();
                // Files may be slow, and requests are answered on this thread.
                if tokio::task::spawn_blocking(move || this.told()).await.is_err() {
                    tracing::error!("reading the configuration failed; the old one stays in use");
                }
            }
            std::future::pending().await
        }
    }

    /// Reloads, and says what came of it.
    fn told(&self) {
        match self.reload() {
            Ok(source) => tracing::info!("configuration read again from {source}: in use for new requests"),
            Err(why) => tracing::error!("configuration not changed, the old one stays in use: {why}"),
        }
    }

    fn reload(&self) -> Result<String, Error> {
        let Found { config, source, report } = find(&self.args)?;
        if source != self.source {
            // What is gone may have been what kept strangers out.
            return Err(format!("it was read from {}, which is not there any more", self.source).into());
        }
        if !report.warnings.is_empty() {
            tracing::warn!("{report}");
        }
        // Where only this machine can come in stays as it is: the address is the one that is listened on.
        admits(&config, self.running.listen)?;
        let changed = changed(&self.running, &config.server);
        self.engine.reload(config)?;
        if !changed.is_empty() {
            tracing::warn!("changes of {} take effect at the next start", changed.join(", "));
        }
        Ok(source)
    }
}

/// Keys of `[server]` that differ.
fn changed(old: &ServerConfig, new: &ServerConfig) -> Vec<&'static str> {
    let keys = [
        ("server.listen", old.listen != new.listen),
        ("server.mode", old.mode != new.mode),
        ("server.max_body", old.max_body != new.max_body),
        ("server.header_timeout", old.header_timeout != new.header_timeout),
        ("server.body_timeout", old.body_timeout != new.body_timeout),
        ("server.drain", old.drain != new.drain),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
