//! The `gemini` wire as its vendor speaks it, written from the vendor's documents.

mod complaint;
mod contents;
mod level;
mod request;
mod response;
mod signature;

use serde_json::{Value, json};

use self::complaint::Complaint;
use crate::act::Refusal;
use crate::brain::Reply;
use crate::flavour::{Header, Told, header};
use crate::http1::Request;
use crate::speak::page::bad_gateway;
use crate::speak::voice::{Ask, Delivery, Frame, KeyFault, Plain, Route, Scene, Voice};

/// The wire.
pub(super) struct Gemini;

const MODELS: [&str; 3] = ["gemini-3.8-flash", "gemini-3.5-flash", "gemini-2.5-pro"];

/// Splits `/v1beta/models/{model}:{method}`.
fn target(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v1beta/models/").or_else(|| path.strip_prefix("/v1/models/"))?;
    Some(rest.split_once(':').unwrap_or((rest, "")))
}

fn delivery(request: &Request) -> Delivery {
    match target(&request.path) {
        Some((_, "streamGenerateContent")) if request.parameter("alt") == Some("sse") => Delivery::Events,
        Some((_, "streamGenerateContent")) => Delivery::Array,
        _ => Delivery::Whole,
    }
}

impl Voice for Gemini {
    fn route(&self, request: &Request) -> Route {
        match (request.method.as_str(), target(&request.path)) {
            ("POST", Some((_, "generateContent" | "streamGenerateContent"))) => Route::Generate,
            ("POST", Some((_, "countTokens"))) => Route::Count,
            ("GET", Some((id, ""))) => Route::Model(id.to_owned()),
            ("GET", None) if matches!(request.path.as_str(), "/v1beta/models" | "/v1/models") => {
                Route::Models
            }
            _ => Route::Unknown,
        }
    }

    fn key<'r>(&self, request: &'r Request) -> Option<&'r str> {
        request.header("x-goog-api-key").or_else(|| request.parameter("key")).filter(|key| !key.is_empty())
    }

    fn key_refused(&self, fault: KeyFault, _scene: &Scene<'_>) -> Plain {
        complaint::key(fault).plain(false)
    }

    fn lost(&self, _request: &Request, _scene: &Scene<'_>) -> Plain {
        Plain::html(
            404,
            "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n</html>\n",
        )
    }

    fn read(&self, request: &Request, _route: &Route, _scene: &Scene<'_>) -> Result<Ask, Plain> {
        let (model, _) = target(&request.path).unwrap_or_default();
        let delivery = delivery(request);
        let read = request::read(&request.body, model, delivery);
        read.map_err(|complaint| complaint.plain(delivery == Delivery::Array))
    }

    fn answer(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Value {
        response::answer(ask, reply, scene)
    }

    fn frames(&self, ask: &Ask, reply: &Reply, scene: &Scene<'_>) -> Vec<Frame> {
        response::frames(ask, reply, scene)
    }

    fn count(&self, ask: &Ask) -> Value {
        let tokens = ask.prompt.tokens();
        json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
    }

    fn models(&self, scene: &Scene<'_>) -> Value {
        json!({"models": MODELS.map(|id| self.model(id, scene))})
    }

    fn model(&self, id: &str, _scene: &Scene<'_>) -> Value {
        json!({
            "name": format!("models/{id}"),
            "version": "001",
            "displayName": id,
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        })
    }

    fn refuse(&self, refusal: Refusal, ask: &Ask, _scene: &Scene<'_>) -> Option<Plain> {
        if refusal == Refusal::HtmlBadGateway {
            return Some(bad_gateway());
        }
        let refused = complaint::refused(refusal, ask);
        refused.map(|complaint| complaint.plain(ask.delivery == Delivery::Array))
    }

    fn limited(&self, told: &Told, ask: &Ask, scene: &Scene<'_>) -> Plain {
        let plain = complaint::limited(told, ask).plain(ask.delivery == Delivery::Array);
        plain.with(told.headers(scene.flavour.limits, scene.wall))
    }

    fn error_frame(&self, ask: &Ask, _scene: &Scene<'_>, first: bool) -> Vec<u8> {
        let complaint =
            Complaint::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later.");
        response::framed(ask.delivery, first, &complaint.body().to_string())
    }

    fn malformed_frame(&self, ask: &Ask, first: bool) -> Vec<u8> {
        response::framed(ask.delivery, first, r#"{"candidates":[{"content":{"parts":[{"te"#)
    }

    fn headers(&self, scene: &Scene<'_>) -> Vec<Header> {
        vec![
            header("vary", "Origin, X-Origin, Referer"),
            header("server-timing", format!("gfet4t7; dur={}", scene.spent.as_millis())),
        ]
    }
}
