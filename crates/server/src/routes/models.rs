//! What a caller may name as `model`, in OpenAI's shape.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::sync::Arc;
use unfail_engine::route::Name;
use unfail_wire::problem::ProblemKind;

use crate::ask;
use crate::reply::{Reject, Replier};
use crate::routes::chat::OPENAI_CHAT;
use crate::state::Server;

/// Every name the caller may use: routes first, then, where callers may see providers, `provider/model`.
pub(crate) async fn list(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    match names(&server, &headers) {
        Ok(names) => {
            let data: Vec<Value> = names.iter().map(entry).collect();
            body(&json!({"object": "list", "data": data}))
        }
        Err(reject) => Replier::new(&server, OPENAI_CHAT).reject(reject),
    }
}

/// One of them.
pub(crate) async fn one(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = names(&server, &headers).and_then(|names| {
        let found = names.iter().find(|name| name.id == id).map(entry);
        found.ok_or_else(|| {
            Reject::new(ProblemKind::NotFound, format!("there is no model `{id}`")).code("model_not_found")
        })
    });
    match found {
        Ok(model) => body(&model),
        Err(reject) => Replier::new(&server, OPENAI_CHAT).reject(reject),
    }
}

fn names(server: &Server, headers: &HeaderMap) -> Result<Vec<Name>, Reject> {
    let caller = server
        .engine
        .identify(ask::key(headers))
        .ok_or_else(|| Reject::new(ProblemKind::Authentication, "the key is missing or unknown"))?;
    Ok(server.offered(&caller))
}

fn entry(name: &Name) -> Value {
    json!({"id": name.id, "object": "model", "created": 0, "owned_by": name.owner})
}

fn body(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
