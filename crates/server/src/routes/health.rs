//! Is the process alive, and can it serve. Probes come often and say nothing about callers: they are not logged.

use axum::response::Response;
use http::StatusCode;

use crate::reply::Replier;
use crate::state::Server;

/// The process runs.
pub(crate) fn alive(replier: &Replier) -> Response {
    replier.json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// Requests can be served: at least one target is configured. A provider that is down does not make the endpoint
/// unready; the endpoint exists to outlive it.
pub(crate) fn ready(server: &Server, replier: &Replier) -> Response {
    if server.engine.has_targets() {
        replier.json(StatusCode::OK, r#"{"status":"ready"}"#)
    } else {
        replier.json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"no targets configured"}"#)
    }
}
