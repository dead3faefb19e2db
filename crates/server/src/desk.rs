//! Requests that are dealt with here, without any target: each gets its reply and its line in the log.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use unfail_engine::call::Errand;
use unfail_engine::identify::Caller;
use unfail_engine::observe::Aside;
use unfail_wire::Dialect;

use crate::ask;
use crate::reply::{Reject, Replier};
use crate::state::Server;

/// One such request.
pub(crate) struct Desk<'a> {
    server: &'a Server,
    replier: Replier,
    errand: Errand,
}

impl<'a> Desk<'a> {
    /// For a request with these headers.
    pub(crate) fn new(server: &'a Server, dialect: &'static dyn Dialect, headers: &HeaderMap) -> Self {
        let replier = Replier::new(server, dialect);
        let mut errand = errand(server, &replier);
        if let Some(caller) = server.engine.identify(ask::key(headers)) {
            errand.caller = caller;
        }
        Self { server, replier, errand }
    }

    /// Answers with JSON.
    pub(crate) fn served(self, body: String) -> Response {
        self.server.log.aside(self.server.engine.world(), &self.errand, Aside::Served);
        self.replier.json(StatusCode::OK, body)
    }

    /// Turns the request away.
    pub(crate) fn turned_away(self, reject: Reject) -> Response {
        self.server.log.aside(self.server.engine.world(), &self.errand, Aside::Rejected(reject.why()));
        self.replier.reject(reject)
    }
}

/// What is known of a request before it is read.
pub(crate) fn errand(server: &Server, replier: &Replier) -> Errand {
    Errand {
        id: replier.id().into(),
        caller: Caller::unknown(),
        user: None,
        agent: None,
        priority: None,
        dialect: replier.dialect().name(),
        started: server.engine.world().now(),
        deadline: None,
        via: None,
    }
}
