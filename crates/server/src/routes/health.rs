//! Is the process alive, and can it serve.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::sync::Arc;

use crate::state::Server;

/// The process runs.
pub(crate) async fn alive() -> Response {
    json(StatusCode::OK, r#"{"status":"ok"}"#)
}

/// Requests can be served: at least one target is configured. A provider that is down does not make the endpoint
/// unready; the endpoint exists to outlive it.
pub(crate) async fn ready(State(server): State<Arc<Server>>) -> Response {
    if server.engine.has_targets() {
        json(StatusCode::OK, r#"{"status":"ready"}"#)
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"no targets configured"}"#)
    }
}

fn json(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
