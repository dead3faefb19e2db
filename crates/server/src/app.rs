//! The paths of the endpoint.

use axum::Router;
use axum::routing::{any, get, post};
use std::sync::Arc;

use crate::routes;
use crate::state::Server;

/// The whole endpoint.
pub fn app(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(routes::chat::openai_chat).fallback(routes::wrong_method))
        .route("/chat", post(routes::chat::plain_chat).fallback(routes::wrong_method))
        .route("/run", post(routes::chat::plain_run).fallback(routes::wrong_method))
        .route("/v1/models", get(routes::models::list).fallback(routes::wrong_method))
        .route("/v1/models/{*id}", get(routes::models::one).fallback(routes::wrong_method))
        .route("/healthz", get(routes::health::alive).fallback(routes::wrong_method))
        .route("/readyz", get(routes::health::ready).fallback(routes::wrong_method))
        .fallback(any(routes::unknown_path))
        .with_state(server)
}
