//! The paths of the endpoint: one table of them, and one file per surface.

pub(crate) mod chat;
pub(crate) mod health;
pub(crate) mod models;

use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use std::sync::Arc;
use unfail_wire::Dialect;
use unfail_wire::nearest::nearest;
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
    let reject = Reject::new(ProblemKind::NotFound, nothing_at(path)).code("unknown_url");
    Desk::new(&server, dialect_of(path), request.headers()).turned_away(reject)
}

/// Surfaces of other endpoints that callers try here: how their paths end, and what they are.
const ELSEWHERE: &[(&str, &str)] = &[
    ("/messages", "the Messages dialect"),
    ("/messages/count_tokens", "the Messages dialect"),
    (":generateContent", "the generateContent dialect"),
    (":streamGenerateContent", "the generateContent dialect"),
    ("/responses", "the Responses dialect"),
    ("/v1/completions", "the dialect of plain completions"),
    ("/embeddings", "the dialect of embeddings"),
];

/// Longest path that is repeated to the caller, in characters.
const PATH_SHOWN: usize = 200;

/// What is said of a path that does not exist: what was likely meant, and what there is.
fn nothing_at(path: &str) -> String {
    let shown: String = path.chars().take(PATH_SHOWN).collect();
    let shape = |surface: &Surface| surface.path.replace("{*id}", "{id}");
    let paths: Vec<String> = SURFACES.iter().map(shape).collect();
    let all = paths.join(", ");
    if let Some((_, what)) = ELSEWHERE.iter().find(|(end, _)| path.ends_with(end)) {
        return format!("there is nothing at {shown}: {what} is not served yet; there are {all}");
    }
    let near = nearest(path.trim_end_matches('/'), paths.iter().map(String::as_str), 1);
    match near.first() {
        Some(near) => format!("there is nothing at {shown}; did you mean {near}? There are {all}"),
        None => format!("there is nothing at {shown}; there are {all}"),
    }
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
    fn what_was_likely_meant_at_a_path_that_is_none() {
        for (path, part) in [
            ("/chat/completions", "did you mean /v1/chat/completions?"),
            ("/v1/v1/chat/completions", "did you mean /v1/chat/completions?"),
            ("/v1/chat/completion", "did you mean /v1/chat/completions?"),
            ("/v1/chat/completions/", "did you mean /v1/chat/completions?"),
            ("/v1/model", "did you mean /v1/models?"),
            ("/health", "did you mean /healthz?"),
            ("/v1/messages", "the Messages dialect is not served yet"),
            ("/v1beta/models/x:generateContent", "the generateContent dialect is not served yet"),
            ("/v1/responses", "the Responses dialect is not served yet"),
            ("/v1/embeddings", "the dialect of embeddings is not served yet"),
            ("/", "there is nothing at /; there are"),
        ] {
            let told = nothing_at(path);
            assert!(told.contains(part), "{path}: {told}");
            assert!(told.contains("/v1/chat/completions, /chat, /run, /v1/models, "), "{path}: {told}");
        }
        assert!(nothing_at(&"/x".repeat(10_000)).len() < 400);
    }

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
