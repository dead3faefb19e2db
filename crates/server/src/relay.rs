//! An answer becomes a response: passed through as it came, or written in the caller's dialect.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::convert::Infallible;
use unfail_engine::answer::{Answer, AnswerStream, Content};
use unfail_engine::{Pieces, Shift};
use unfail_wire::ChatResponse;
use unfail_wire::event::Event;
use unfail_wire::format::{Encoder, EncoderSetup};

use crate::reply::{REQUEST_ID, Replier};
use crate::state::Mode;

/// What the caller asked for, as far as the form of the answer depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Model as the caller named it.
    pub(crate) model: String,
    /// A streaming caller asked for a usage event.
    pub(crate) stream_usage: bool,
    /// Unix seconds.
    pub(crate) created: u64,
}

/// Turns an answer into a response.
pub(crate) fn respond(replier: Replier, form: &Form, answer: Answer) -> Response {
    let open = replier.mode() == Mode::Developer;
    let Answer { head, content } = answer;
    let id = HeaderValue::from_str(replier.id());
    let mut response = match content {
        Content::Passed { raw, shift } => json(raw, shift),
        Content::Whole { response, shift } => {
            let response =
                if open { named(*response, &replier, form) } else { disguise(*response, &replier, form) };
            json(Bytes::from(replier.dialect().render(&response)), shift)
        }
        Content::Stream(stream) => event_stream(Relay::new(*stream, replier, form)),
    };
    let headers = response.headers_mut();
    if let Ok(id) = id {
        headers.insert(REQUEST_ID, id);
    }
    if open {
        head.write_headers(headers);
    }
    response
}

fn json(body: Bytes, shift: Shift) -> Response {
    let mut response = Response::new(Body::new(Pieces::during(shift, body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Fills in what the provider left out.
fn named(mut response: ChatResponse, replier: &Replier, form: &Form) -> ChatResponse {
    if response.id.is_empty() {
        replier.id().clone_into(&mut response.id);
    }
    response.created = response.created.or(Some(form.created));
    response
}

/// Nothing of the provider's own names remains.
fn disguise(mut response: ChatResponse, replier: &Replier, form: &Form) -> ChatResponse {
    replier.id().clone_into(&mut response.id);
    response.model.clone_from(&form.model);
    response.created = Some(form.created);
    response
}

fn event_stream(relay: Relay) -> Response {
    let frames = unfold(relay, |mut relay| async move {
        let bytes = relay.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), relay))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A stream on its way to the caller.
struct Relay {
    stream: AnswerStream,
    replier: Replier,
    encoder: Box<dyn Encoder>,
    /// Frames of the provider go out as they came.
    pass: bool,
    stream_usage: bool,
    events: Vec<Event>,
    ended: bool,
}

impl Relay {
    fn new(stream: AnswerStream, replier: Replier, form: &Form) -> Self {
        let open = replier.mode() == Mode::Developer;
        let setup = EncoderSetup {
            id: replier.id().to_owned(),
            model: form.model.clone(),
            open,
            created: form.created,
            usage: form.stream_usage,
        };
        let encoder = replier.dialect().encoder(setup);
        let pass = open && stream.passes();
        Self {
            stream,
            replier,
            encoder,
            pass,
            stream_usage: form.stream_usage,
            events: Vec::new(),
            ended: false,
        }
    }

    /// The next bytes for the caller: everything that has arrived, in one piece.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut gathered = Gathered::default();
        while gathered.is_empty() {
            self.events.clear();
            let piece = self.stream.next(&mut self.events).await;
            self.take(piece, &mut gathered);
            while !self.ended {
                self.events.clear();
                let Some(piece) = self.stream.ready(&mut self.events) else { break };
                self.take(Some(piece), &mut gathered);
            }
            if self.ended && gathered.is_empty() {
                return None;
            }
        }
        Some(gathered.into_bytes())
    }

    fn take(
        &mut self,
        piece: Option<Result<Bytes, Box<unfail_engine::failure::Failure>>>,
        gathered: &mut Gathered,
    ) {
        match piece {
            None => self.ended = true,
            Some(Ok(raw)) if self.pass => {
                let over = self.events.last() == Some(&Event::End);
                let has_end = over && self.replier.dialect().has_end(&raw);
                if has_end || !self.hidden_usage() {
                    gathered.push(raw);
                }
                if over && !has_end {
                    // Complete, although its provider left the dialect's own end out.
                    self.encoder.event(&Event::End, gathered.writer());
                }
            }
            Some(Ok(_)) => {
                let out = gathered.writer();
                for event in &self.events {
                    self.encoder.event(event, out);
                }
            }
            Some(Err(failure)) => {
                self.ended = true;
                let problem = self.replier.problem(&failure);
                self.encoder.problem(&problem, gathered.writer());
            }
        }
    }

    /// A frame of usage alone that only unfail asked the provider for, be it the first or the last of the stream.
    fn hidden_usage(&self) -> bool {
        let ([Event::Start { .. }, said @ ..] | said) = self.events.as_slice();
        let [Event::Usage(_), rest @ ..] = said else { return false };
        !self.stream_usage && rest.iter().all(|event| matches!(event, Event::Finish { .. } | Event::End))
    }
}

/// Bytes gathered for one write: a single frame is passed on without a copy.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    rest: Vec<u8>,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty()
    }

    fn push(&mut self, raw: Bytes) {
        if self.is_empty() {
            self.first = raw;
        } else {
            self.writer().extend_from_slice(&raw);
        }
    }

    fn writer(&mut self) -> &mut Vec<u8> {
        if !self.first.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        &mut self.rest
    }

    fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.into() }
    }
}
