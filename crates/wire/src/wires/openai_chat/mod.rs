//! OpenAI Chat Completions, the format most hosts imitate: as a caller's dialect and as a provider's wire.
//!
//! Here stand only the two trait implementations. Hosts differ in what they send; every variant known is read,
//! none is asked for by name.

mod adapt;
mod answer;
mod encode;
mod fit;
mod lenient;
mod outline;
mod prompt;
mod render;
mod request;
mod response;
mod scan;
mod stream;
mod words;

use crate::chat::{ChatRequest, ChatResponse};
use crate::format::{
    Decoder, Dialect, Encoder, EncoderSetup, Flaw, Inbound, Invalid, Refusal, Summary, Unspeakable, Wire,
};
use crate::outline::Outline;
use crate::problem::Problem;
use crate::target::Target;
use bytes::Bytes;

/// The format, both ways.
///
/// Where a caller's bytes are passed through ([`Wire::adapt`]) and the target must be asked for usage, the stream
/// carries one chunk more than the caller asked for: relays leave out frames whose only event is
/// [`Usage`](crate::event::Event::Usage) unless [`Outline::stream_usage`] is set.
///
/// A stream that ends without `[DONE]` counts as complete only when every choice gave its reason to end, once and
/// after all its content; otherwise it was cut. Callers get their `[DONE]` ([`Dialect::has_end`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        render::WIRE
    }

    fn same_wire(&self) -> Option<&'static str> {
        Some(render::WIRE)
    }

    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
        outline::outline(inbound)
    }

    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
        request::parse(inbound)
    }

    fn render(&self, response: &ChatResponse) -> Vec<u8> {
        response::render(response)
    }

    fn has_end(&self, last: &[u8]) -> bool {
        words::is_done(last)
    }

    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder> {
        Box::new(encode::ChatEncoder::new(setup))
    }

    fn render_problem(&self, problem: &Problem) -> Vec<u8> {
        encode::render_problem(problem)
    }
}

impl Wire for OpenAiChat {
    fn name(&self) -> &'static str {
        render::WIRE
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/chat/completions".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn render(&self, request: &ChatRequest, target: &Target<'_>) -> Result<Vec<u8>, Unspeakable> {
        render::render(request, target)
    }

    fn adapt(
        &self,
        inbound: Inbound<'_>,
        outline: &Outline<'_>,
        target: &Target<'_>,
    ) -> Result<Bytes, Unspeakable> {
        adapt::adapt(inbound, outline, target)
    }

    fn parse(&self, body: &[u8]) -> Result<ChatResponse, Flaw> {
        response::parse(body)
    }

    fn summary(&self, body: &[u8]) -> Result<Summary, Flaw> {
        response::summary(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(stream::ChatDecoder::default())
    }
}
