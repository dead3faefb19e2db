//! Gemini `generateContent`, both directions. The model and the wish to stream are in the path; a stream is
//! server-sent events without a closing frame.
//!
//! This file only puts the pieces together: `scan`, `request` and `history` read what a caller says, `render` and
//! `turns` say it to a provider, `response` and `stream` read the answer, `encode` says it to a caller.

mod adapt;
mod candidate;
mod encode;
mod history;
mod logprobs;
mod part;
mod render;
mod request;
mod response;
mod scan;
mod schema;
mod stream;
mod turns;
mod words;

use crate::chat::{ChatRequest, ChatResponse};
use crate::format::{
    Decoder, Dialect, Encoder, EncoderSetup, Flaw, Inbound, Invalid, Refusal, Unspeakable, Wire,
};
use crate::outline::Outline;
use crate::problem::Problem;
use crate::target::Target;
use bytes::Bytes;

/// The format: a [`Dialect`] and a [`Wire`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini;

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        words::NAME
    }

    fn same_wire(&self) -> Option<&'static str> {
        Some(words::NAME)
    }

    fn outline<'a>(&self, inbound: Inbound<'a>) -> Result<Outline<'a>, Invalid> {
        scan::outline(inbound)
    }

    fn parse(&self, inbound: Inbound<'_>) -> Result<ChatRequest, Refusal> {
        request::parse(inbound)
    }

    fn render(&self, response: &ChatResponse) -> Vec<u8> {
        encode::answer(response)
    }

    fn encoder(&self, setup: EncoderSetup) -> Box<dyn Encoder> {
        Box::new(encode::StreamEncoder::new(setup))
    }

    fn render_problem(&self, problem: &Problem) -> Vec<u8> {
        encode::error(problem).to_string().into_bytes()
    }
}

impl Wire for Gemini {
    fn name(&self) -> &'static str {
        words::NAME
    }

    fn path(&self, model: &str, stream: bool) -> String {
        let model = segment(request::model(Some(model)));
        let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("/v1beta/models/{model}:{verb}")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
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
        Ok(adapt::adapt(inbound, outline, target))
    }

    fn parse(&self, body: &[u8]) -> Result<ChatResponse, Flaw> {
        response::parse(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(stream::StreamDecoder::default())
    }
}

/// A model name as one segment of a path: everything but letters, digits and `-._~` percent-encoded (RFC 3986).
fn segment(model: &str) -> String {
    model.bytes().fold(String::with_capacity(model.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
