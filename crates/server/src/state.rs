//! What every handler shares.

use std::sync::Arc;
use std::time::Duration;
use unfail_engine::Engine;
use unfail_engine::identify::Caller;
use unfail_engine::observe::Log;
use unfail_engine::route::Name;

/// Whether callers see which target answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Headers and errors tell the target, the route, the attempts and the cost; answers keep the provider's ids.
    Developer,
    /// Callers see only the request id: no provider, no model but the one they asked for, no quota.
    Product,
}

/// What every handler needs.
#[derive(Debug)]
pub struct Server {
    /// Answers requests.
    pub engine: Arc<Engine>,
    /// Told of requests for which no target is considered; the engine tells of all others.
    pub log: Log,
    /// What callers see.
    pub mode: Mode,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// Longest a caller may take to send its body.
    pub body_timeout: Duration,
}

impl Server {
    /// The same server for another runtime.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            engine: Arc::new(self.engine.sibling()),
            log: self.log.clone(),
            mode: self.mode,
            max_body: self.max_body,
            body_timeout: self.body_timeout,
        }
    }

    /// The names a caller is told of. In product mode these are routes only: the others name providers.
    pub(crate) fn offered(&self, caller: &Caller) -> Vec<Name> {
        let mut names = self.engine.names(caller);
        names.retain(|name| self.mode == Mode::Developer || name.is_route());
        names
    }
}
