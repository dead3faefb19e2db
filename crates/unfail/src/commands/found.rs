//! A configuration that may be served: what was found, or why it may not. The same at the start and at every reload.

use std::net::SocketAddr;
use unfail_config::{Config, Report};

use crate::args::Serve;
use crate::{Error, keys, settings};

/// A configuration that can be used, and what is to be said about it.
pub(crate) struct Found {
    pub(crate) config: Config,
    /// Where it came from.
    pub(crate) source: String,
    /// Warnings only.
    pub(crate) report: Report,
}

/// Reads the configuration for these arguments.
///
/// # Errors
/// A file that cannot be read, or everything that is wrong with what it says.
pub(crate) fn find(args: &Serve) -> Result<Found, Error> {
    let settings::Settings { file, config, report } = settings::read(args.source.config.as_deref())?;
    let Some(mut config) = config else { return Err(Box::new(report)) };
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    let source = file.map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    Ok(Found { config, source, report })
}

/// Whether this configuration may be served at this address.
///
/// # Errors
/// Why not, and what to do.
pub(crate) fn admits(config: &Config, listen: SocketAddr) -> Result<(), Error> {
    if config.callers.is_empty() && !listen.ip().is_loopback() {
        let message = format!(
            "{listen} is not loopback and no caller key is configured; add a [keys.NAME] table or listen on 127.0.0.1"
        );
        return Err(message.into());
    }
    if config.providers.is_empty() {
        return Err(keys::none_found().into());
    }
    Ok(())
}
