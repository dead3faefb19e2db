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
use crate::due::Due;
use crate::reply::{Reject, Replier};
use crate::state::Server;

/// A path of the endpoint.
#[derive(Debug)]
pub(crate) struct Surface {
    /// The path, as the router spells it.
    pub(crate) path: &'static str,
    /// What its callers speak, errors included.
    dialect: &'static dyn Dialect,
    serves: Serves,
}

/// Every path there is.
static SURFACES: &[Surface] = &[
    Surface { path: "/v1/chat/completions", dialect: &OpenAiChat, serves: Serves::Chat },
    Surface { path: "/chat", dialect: &PlainChat, serves: Serves::Chat },
    Surface { path: "/run", dialect: &PlainRun, serves: Serves::Chat },
    Surface::page("/v1/models", Page::Models),
    Surface::page("/v1/models/{*id}", Page::Model),
    Surface::page("/healthz", Page::Alive),
    Surface::page("/readyz", Page::Ready),
];

/// What is behind a path.
#[derive(Debug, Clone, Copy)]
enum Serves {
    Chat,
    Page(Page),
}

/// Something to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    Models,
    Model,
    Alive,
    Ready,
}

impl Surface {
    const fn page(path: &'static str, page: Page) -> Self {
        Self { path, dialect: &OpenAiChat, serves: Serves::Page(page) }
    }

    /// The one of chat at a path.
    pub(crate) fn chat_at(path: &str) -> Option<&'static Self> {
        SURFACES.iter().find(|surface| matches!(surface.serves, Serves::Chat) && surface.path == path)
    }

    /// Those with something to read.
    pub(crate) fn pages() -> impl Iterator<Item = (&'static Self, Page)> {
        SURFACES.iter().filter_map(|surface| match surface.serves {
            Serves::Page(page) => Some((surface, page)),
            Serves::Chat => None,
        })
    }

    /// What is said where the path does not take the request's method.
    fn misused(&self, server: &Server, request: &Request) -> Option<Response> {
        let (takes, list): (&[Method], _) = match self.serves {
            Serves::Chat => (&[Method::POST], "POST"),
            Serves::Page(_) => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        };
        if takes.contains(request.method()) {
            return None;
        }
        let message = format!("{} takes {list}, not {}", request.uri().path(), request.method());
        let reject = Reject::new(ProblemKind::Invalid, message).method_not_allowed(list);
        Some(Desk::new(server, self.dialect, request.headers()).turned_away(reject))
    }
}

/// Answers a request to a surface of chat; `due` is told until when the caller must have taken the answer.
pub(crate) async fn chat(
    surface: &'static Surface,
    server: &Server,
    request: Request,
    due: &Due,
) -> Response {
    match surface.misused(server, &request) {
        Some(refused) => refused,
        None => chat::answer(server, surface.dialect, request, due).await,
    }
}

/// Answers a request for something to read.
pub(crate) async fn page(
    (surface, page): (&'static Surface, Page),
    server: &Server,
    request: Request,
) -> Response {
    if let Some(refused) = surface.misused(server, &request) {
        return refused;
    }
    match page {
        Page::Models => models::list(server, surface.dialect, request),
        Page::Model => models::one(server, surface.dialect, request).await,
        Page::Alive => health::alive(&Replier::new(server, surface.dialect)),
        Page::Ready => health::ready(server, &Replier::new(server, surface.dialect)),
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
