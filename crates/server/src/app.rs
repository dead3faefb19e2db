//! The endpoint: chat, and a router of everything else, made from the table of paths.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use hyper::body::Incoming;
use std::sync::Arc;
use tower_service::Service;

use crate::due::Due;
use crate::routes::{self, Surface};
use crate::state::Server;

/// The whole endpoint, for one runtime.
#[derive(Debug)]
pub struct App {
    pub(crate) server: Arc<Server>,
    pages: Router,
}

/// The whole endpoint.
pub fn app(server: Arc<Server>) -> App {
    let pages = Surface::pages().fold(Router::new(), |router, (surface, page)| {
        let answer = move |State(server): State<Arc<Server>>, request: Request| async move {
            routes::page((surface, page), &server, request).await
        };
        router.route(surface.path, any(answer))
    });
    App { pages: pages.fallback(routes::unknown_path).with_state(server.clone()), server }
}

impl App {
    /// Answers one request. Chat is found before the router, whose layers and boxes would cost it a microsecond.
    pub(crate) async fn answer(&self, request: http::Request<Incoming>, due: &Due) -> Response {
        let request = request.map(Body::new);
        match Surface::chat_at(request.uri().path()) {
            Some(surface) => routes::chat(surface, &self.server, request, due).await,
            None => Box::pin(self.page(request)).await,
        }
    }

    async fn page(&self, request: Request) -> Response {
        match self.pages.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
