//! One file per surface.

pub(crate) mod chat;
pub(crate) mod health;
pub(crate) mod models;

use axum::extract::State;
use axum::response::Response;
use http::{Method, Request, Uri};
use std::sync::Arc;
use unfail_wire::Dialect;
use unfail_wire::problem::ProblemKind;

use crate::reply::{Reject, Replier};
use crate::state::Server;

/// Answers a known path asked with another method.
pub(crate) async fn wrong_method(State(server): State<Arc<Server>>, method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let takes = if matches!(path, "/v1/chat/completions" | "/chat" | "/run") { "POST" } else { "GET" };
    let message = format!("{path} takes {takes}, not {method}");
    let reject = Reject::new(ProblemKind::Invalid, message).method_not_allowed();
    Replier::new(&server, dialect_of(path)).reject(reject)
}

/// Answers a path that does not exist.
pub(crate) async fn unknown_path(
    State(server): State<Arc<Server>>,
    request: Request<axum::body::Body>,
) -> Response {
    let path = request.uri().path();
    let message = format!("there is nothing at {path}; chat is at /v1/chat/completions, /chat and /run");
    Replier::new(&server, dialect_of(path)).reject(Reject::new(ProblemKind::NotFound, message))
}

/// The dialect in which errors on a path are told.
fn dialect_of(path: &str) -> &'static dyn Dialect {
    match path {
        "/chat" => chat::PLAIN_CHAT,
        "/run" => chat::PLAIN_RUN,
        _ => chat::OPENAI_CHAT,
    }
}
