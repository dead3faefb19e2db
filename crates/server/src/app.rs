//! The endpoint as a router, made from the table of its paths.

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::any;
use std::sync::Arc;
use unfail_engine::Engine;

use crate::routes::{self, SURFACES};
use crate::state::Server;

/// The whole endpoint, for one runtime.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) router: Router,
    /// Knows of the requests under way.
    pub(crate) engine: Arc<Engine>,
}

/// The whole endpoint.
pub fn app(server: Arc<Server>) -> App {
    let router = SURFACES.iter().fold(Router::new(), |router, surface| {
        let answer = move |State(server): State<Arc<Server>>, request: Request| async move {
            routes::answer(surface, &server, request).await
        };
        router.route(surface.path, any(answer))
    });
    let engine = server.engine.clone();
    App { router: router.fallback(routes::unknown_path).with_state(server), engine }
}
