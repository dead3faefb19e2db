//! The `anthropic` wire as its vendor speaks it, written from the vendor's documents.

mod complaint;
mod messages;
mod request;
mod response;
mod traits;

use serde_json::{Value, json};

use self::complaint::{Complaint, request_id};
use crate::act::Refusal;
use crate::brain::Reply;
use crate::flavour::{Header, Told, header};
use crate::http1::Request;
use crate::speak::page::bad_gateway;
use crate::speak::voice::{Ask, Frame, KeyFault, Plain, Route, Scene, Voice};

/// The wire.
pub(super) struct Anthropic;

const MODELS: [&str; 4] = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-4-5"];

impl Voice for Anthropic {
    fn route(&self, request: &Request) -> Route {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/messages") => Route::Generate,
            ("POST", "/v1/messages/count_tokens") => Route::Count,
            ("GET", "/v1/models") => Route::Models,
            ("GET", path) => match path.strip_prefix("/v1/models/") {
                Some(id) => Route::Model(id.to_owned()),
                None => Route::Unknown,
            },
            _ => Route::Unknown,
        }
    }

    fn key<'r>(&self, request: &'r Request) -> Option<&'r str> {
        let bearer = || request.header("authorization")?.strip_prefix("Bearer ");
        request.header("x-api-key").or_else(bearer).filter(|key| !key.is_empty())
    }

    fn key_refused(&self, fault: KeyFault, scene: &Scene<'_>) -> Plain {
        complaint::key(fault).plain(scene)
    }

    fn lost(&self, _request: &Request, scene: &Scene<'_>) -> Plain {
        Complaint::new(404, "not_found_error", "Not Found").plain(scene)
    }

    fn read(&self, request: &Request, route: &Route, scene: &Scene<'_>) -> Result<Ask, Plain> {
        request::read(request, *route == Route::Count).map_err(|complaint| complaint.plain(scene))
    }

    fn answer(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
        response::answer(ask, reply, scene)
    }

    fn frames(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
        response::frames(ask, reply, scene)
    }

    fn count(&self, ask: &Ask) -> Value {
        json!({"input_tokens": ask.prompt.tokens()})
    }

    fn models(&self, scene: &Scene<'_>) -> Value {
        let [first, .., last] = MODELS;
        json!({
            "data": MODELS.map(|id| self.model(id, scene)),
            "has_more": false,
            "first_id": first,
            "last_id": last,
        })
    }

    fn model(&self, id: &str, _scene: &Scene<'_>) -> Value {
        json!({
            "type": "model",
            "id": id,
            "display_name": id,
            "created_at": "2026-10-21T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": 200_000,
            "max_tokens": 128_000,
        })
    }

    fn refuse(&self, refusal: Refusal, ask: &Ask, scene: &Scene<'_>) -> Option<Plain> {
        if refusal == Refusal::HtmlBadGateway {
            return Some(bad_gateway());
        }
        complaint::refused(refusal, ask).map(|complaint| complaint.plain(scene))
    }

    fn limited(&self, told: &Told, _ask: &Ask, scene: &Scene<'_>) -> Plain {
        complaint::limited(told).plain(scene).with(told.headers(scene.flavour.limits, scene.wall))
    }

    fn error_frame(&self, _ask: &Ask, scene: &Scene<'_>, _first: bool) -> Vec<u8> {
        response::error_event(scene)
    }

    fn malformed_frame(&self, _ask: &Ask, _first: bool) -> Vec<u8> {
        response::named("content_block_delta", r#"{"type":"content_block_delta","index":0,"del"#)
    }

    fn headers(&self, scene: &Scene<'_>) -> Vec<Header> {
        vec![header("request-id", request_id(scene)), header("anthropic-organization-id", "org-sim")]
    }
}
