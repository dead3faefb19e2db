//! The `openai-chat` wire as its vendor and its imitators speak it, written from their documents.

mod complaint;
mod messages;
mod request;
mod response;

use serde_json::{Value, json};

use self::complaint::Complaint;
use crate::act::Refusal;
use crate::brain::Reply;
use crate::flavour::{Envelope, Header, Told, header};
use crate::http1::Request;
use crate::speak::page::bad_gateway;
use crate::speak::voice::{Ask, Frame, KeyFault, Plain, Route, Scene, Voice};

/// The wire.
pub(super) struct OpenAiChat;

const MODELS: [&str; 4] = ["gpt-4.1", "gpt-4.1-mini", "gpt-5.4", "gpt-5.4-mini"];

impl Voice for OpenAiChat {
    fn route(&self, request: &Request) -> Route {
        match request.method.as_str() {
            "POST" if request.path.ends_with("/chat/completions") => Route::Generate,
            "GET" if request.path.ends_with("/models") => Route::Models,
            "GET" => match request.path.split_once("/models/") {
                Some((_, id)) => Route::Model(id.to_owned()),
                None => Route::Unknown,
            },
            _ => Route::Unknown,
        }
    }

    fn key<'r>(&self, request: &'r Request) -> Option<&'r str> {
        request.header("authorization")?.strip_prefix("Bearer ").filter(|key| !key.is_empty())
    }

    fn key_refused(&self, fault: KeyFault, scene: &Scene<'_>) -> Plain {
        complaint::key(fault).plain(scene)
    }

    fn lost(&self, request: &Request, scene: &Scene<'_>) -> Plain {
        let message = format!("Invalid URL ({} {})", request.method, request.path);
        Complaint::new(404, "invalid_request_error", message).plain(scene)
    }

    fn read(&self, request: &Request, _route: &Route, scene: &Scene<'_>) -> Result<Ask, Plain> {
        request::read(&request.body, scene.flavour).map_err(|complaint| complaint.plain(scene))
    }

    fn answer(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
        response::answer(ask, reply, scene)
    }

    fn frames(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
        response::frames(ask, reply, scene)
    }

    fn count(&self, ask: &Ask) -> Value {
        json!({"object": "response.input_tokens", "input_tokens": ask.prompt.tokens()})
    }

    fn models(&self, scene: &Scene<'_>) -> Value {
        json!({"object": "list", "data": MODELS.map(|id| self.model(id, scene))})
    }

    fn model(&self, id: &str, scene: &Scene<'_>) -> Value {
        json!({"id": id, "object": "model", "created": scene.wall.as_secs(), "owned_by": "sim"})
    }

    fn refuse(&self, refusal: Refusal, ask: &Ask, scene: &Scene<'_>) -> Option<Plain> {
        let refused = complaint::refused(refusal, ask);
        Some(refused.map_or_else(bad_gateway, |complaint| complaint.plain(scene)))
    }

    fn limited(&self, told: &Told, ask: &Ask, scene: &Scene<'_>) -> Plain {
        complaint::limited(told, ask).plain(scene).with(told.headers(scene.flavour.limits, scene.wall))
    }

    fn error_frame(&self, _ask: &Ask, scene: &Scene<'_>, _first: bool) -> Vec<u8> {
        let complaint =
            Complaint::new(500, "server_error", "The server had an error while processing your request.");
        // In a stream it is wrapped even where bodies are flat; imitators put the status beside it.
        let mut body = complaint.body(Envelope::Wrapped);
        if let Some(fields) = body.as_object_mut().filter(|_| !scene.flavour.strict) {
            fields.insert("status_code".to_owned(), json!(500));
        }
        response::event(&body.to_string())
    }

    fn malformed_frame(&self, _ask: &Ask, _first: bool) -> Vec<u8> {
        response::event(r#"{"id":"chatcmpl-sim","object":"chat.completion.chunk","choices":[{"index":0,"del"#)
    }

    fn headers(&self, scene: &Scene<'_>) -> Vec<Header> {
        let mut headers = vec![header("x-request-id", format!("req_sim{:08}", scene.serial))];
        if scene.flavour.strict {
            headers.push(header("openai-organization", "org-sim"));
            headers.push(header("openai-processing-ms", scene.spent.as_millis()));
            headers.push(header("openai-version", "2020-10-01"));
        }
        headers
    }
}
