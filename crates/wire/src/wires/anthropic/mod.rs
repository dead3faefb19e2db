//! The Messages format (`POST /v1/messages`), as dialect and as wire.
//!
//! Only joins the parts: `outline` and `request` read what callers send, `response` and `encode` answer them;
//! `render` and `adapt` write what targets get, `response` and `stream` read their answers.

mod adapt;
mod encode;
mod history;
mod ids;
mod outline;
mod reasoning;
mod render;
mod request;
mod response;
mod schema;
mod stream;
mod words;

use crate::chat::{ChatRequest, ChatResponse};
use crate::format::{
    Decoder, Dialect, Encoder, EncoderSetup, Flaw, Inbound, Invalid, Refusal, Unspeakable, Wire,
};
use crate::outline::Outline;
use crate::problem::Problem;
use crate::target::Target;
use bytes::Bytes;

/// The Messages format.
///
/// Pins API version `2023-06-01`: the later one refuses sampling parameters for every model, and the traits of a
/// target already say which models do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        words::NAME
    }

    fn same_wire(&self) -> Option<&'static str> {
        Some(words::NAME)
    }

    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
        outline::scan(inbound.body)
    }

    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
        request::read(inbound.body)
    }

    fn render(&self, response: &ChatResponse) -> Vec<u8> {
        response::write(response)
    }

    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder> {
        Box::new(encode::Writer::new(setup))
    }

    fn render_problem(&self, problem: &Problem) -> Vec<u8> {
        encode::problem_body(problem).to_string().into_bytes()
    }
}

impl Wire for Anthropic {
    fn name(&self) -> &'static str {
        words::NAME
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/v1/messages".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn render(&self, request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable> {
        render::body(request, target)
    }

    fn adapt(
        &self,
        inbound: Inbound<'_>,
        outline: &Outline<'_>,
        target: &Target<'_>,
    ) -> Result<Bytes, Unspeakable> {
        adapt::adapt(inbound.body, outline, target)
    }

    fn parse(&self, body: &[u8]) -> Result<ChatResponse, Flaw> {
        response::read(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(stream::Stream::default())
    }
}
