//! What a caller may name as `model`, in OpenAI's shape.

use axum::RequestExt;
use axum::extract::{Path, Request};
use axum::response::Response;
use serde_json::{Value, json};
use unfail_engine::route::Name;
use unfail_wire::Dialect;
use unfail_wire::problem::ProblemKind;

use crate::ask;
use crate::desk::Desk;
use crate::reply::Reject;
use crate::state::Server;

/// Every name the caller may use: routes first, then, where callers may see providers, `provider/model`.
pub(crate) fn list(server: &Server, dialect: &'static dyn Dialect, request: Request) -> Response {
    let desk = Desk::new(server, dialect, request.headers());
    match names(server, &request) {
        Ok(names) => {
            let data: Vec<Value> = names.iter().map(entry).collect();
            desk.served(json!({"object": "list", "data": data}).to_string())
        }
        Err(reject) => desk.turned_away(reject),
    }
}

/// One of them.
pub(crate) async fn one(server: &Server, dialect: &'static dyn Dialect, mut request: Request) -> Response {
    let desk = Desk::new(server, dialect, request.headers());
    // A name that is no text in any encoding is a name nothing has.
    let id = request.extract_parts::<Path<String>>().await.map(|Path(id)| id).unwrap_or_default();
    let found = names(server, &request).and_then(|names| {
        let found = names.iter().find(|name| name.id == id).map(entry);
        found.ok_or_else(|| {
            Reject::new(ProblemKind::NotFound, format!("there is no model `{id}`")).code("model_not_found")
        })
    });
    match found {
        Ok(model) => desk.served(model.to_string()),
        Err(reject) => desk.turned_away(reject),
    }
}

fn names(server: &Server, request: &Request) -> Result<Vec<Name>, Reject> {
    let caller = server
        .engine
        .identify(ask::key(request.headers()))
        .ok_or_else(|| Reject::new(ProblemKind::Authentication, "the key is missing or unknown"))?;
    Ok(server.offered(&caller))
}

fn entry(name: &Name) -> Value {
    json!({"id": name.id, "object": "model", "created": 0, "owned_by": name.owner})
}
