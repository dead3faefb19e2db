//! The paths of the endpoint: one table of them, and one file per surface.

pub(crate) mod chat;
pub(crate) mod health;
pub(crate) mod models;

use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use std::sync::Arc;
use unfail_wire::Dialect;
use unfail_wire::problem::ProblemKind;
use unfail_wire::wires::openai_chat::OpenAiChat;
use unfail_wire::wires::plain::{PlainChat, PlainRun};

use crate::desk::Desk;
use crate::reply::{Reject, Replier};
use crate::state::Server;

/// A path of the endpoint.
#[derive(Debug)]
pub(crate) struct Surface {
    /// The path, as the router spells it.
    pub(crate) path: &'static str,
    takes: Takes,
    /// What its callers speak, errors included.
    dialect: &'static dyn Dialect,
    serves: Serves,
}

/// Every path there is.
pub(crate) static SURFACES: &[Surface] = &[
    Surface::chat("/v1/chat/completions", &OpenAiChat),
    Surface::chat("/chat", &PlainChat),
    Surface::chat("/run", &PlainRun),
    Surface::page("/v1/models", Serves::Models),
    Surface::page("/v1/models/{*id}", Serves::Model),
    Surface::page("/healthz", Serves::Alive),
    Surface::page("/readyz", Serves::Ready),
];

/// Methods of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Post,
    Get,
}

/// What is behind a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    Chat,
    Models,
    Model,
    Alive,
    Ready,
}

impl Surface {
    /// Chat in a dialect.
    const fn chat(path: &'static str, dialect: &'static dyn Dialect) -> Self {
        Self { path, takes: Takes::Post, dialect, serves: Serves::Chat }
    }

    /// Something to read.
    const fn page(path: &'static str, serves: Serves) -> Self {
        Self { path, takes: Takes::Get, dialect: &OpenAiChat, serves }
    }
}

impl Takes {
    fn allows(self, method: &Method) -> bool {
        match self {
            Self::Post => method == Method::POST,
            Self::Get => method == Method::GET || method == Method::HEAD,
        }
    }

    /// As the header `allow` lists them.
    const fn list(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET, HEAD",
        }
    }
}

/// Answers a request to a path of the table.
pub(crate) async fn answer(surface: &'static Surface, server: &Server, request: Request) -> Response {
    if !surface.takes.allows(request.method()) {
        let takes = surface.takes.list();
        let message = format!("{} takes {takes}, not {}", request.uri().path(), request.method());
        let reject = Reject::new(ProblemKind::Invalid, message).method_not_allowed(takes);
        return Desk::new(server, surface.dialect, request.headers()).turned_away(reject);
    }
    match surface.serves {
        Serves::Chat => chat::answer(server, surface.dialect, request).await,
        Serves::Models => models::list(server, surface.dialect, request),
        Serves::Model => models::one(server, surface.dialect, request).await,
        Serves::Alive => health::alive(&Replier::new(server, surface.dialect)),
        Serves::Ready => health::ready(server, &Replier::new(server, surface.dialect)),
    }
}

/// Answers a path that does not exist.
pub(crate) async fn unknown_path(State(server): State<Arc<Server>>, request: Request) -> Response {
    let path = request.uri().path();
    let chat = SURFACES.iter().filter(|surface| surface.serves == Serves::Chat);
    let chat: Vec<&str> = chat.map(|surface| surface.path).collect();
    let message = format!("there is nothing at {path}; chat is at {}", chat.join(", "));
    let reject = Reject::new(ProblemKind::NotFound, message);
    Desk::new(&server, dialect_of(path), request.headers()).turned_away(reject)
}

/// The dialect in which errors on a path are told: its own, or that of the path it lies below.
pub(crate) fn dialect_of(path: &str) -> &'static dyn Dialect {
    let below = |surface: &&Surface| {
        path.strip_prefix(surface.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    SURFACES.iter().find(below).map_or(&OpenAiChat, |surface| surface.dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_the_dialect_of_the_place() {
        for (path, expected) in [
            ("/", "openai-chat"),
            ("/nothing", "openai-chat"),
            ("/v1/chat/completions/", "openai-chat"),
            ("/chat", "plain-chat"),
            ("/chat/", "plain-chat"),
            ("/chat/more", "plain-chat"),
            ("/chatter", "openai-chat"),
            ("/run/x", "plain-run"),
        ] {
            assert_eq!(dialect_of(path).name(), expected, "{path}");
        }
    }
}
