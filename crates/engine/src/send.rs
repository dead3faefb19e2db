//! One attempt: a request out, an answer in, held until its first content.
//!
//! Nothing of an answer leaves this module before it is certain that the caller will see it: an error under a
//! success status, an empty answer or a cut before the first token is a failed attempt, not an answer.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, VIA};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request};
use std::collections::VecDeque;
use std::time::Duration;
use unfail_policy::attempt::Limits;
use unfail_policy::classify::{Fault, Flaw as Flawed, Limit, Phase, Transport};
use unfail_policy::time::Time;
use unfail_wire::chat::{ChatResponse, Choice, Finish, Usage};
use unfail_wire::error_body::ErrorBody;
use unfail_wire::event::Event;
use unfail_wire::fold;
use unfail_wire::format::{Flaw, Refusal, Summary};

use crate::body::{ANSWER_BYTES_MAX, Body};
use crate::call::{Ask, Translation};
use crate::fault::{self, Judge};
use crate::http::HttpClient;
use crate::pieces::Pieces;
use crate::reader::{Reader, Silence};
use crate::target::Target;
use crate::trouble::{HeadLimits, Trouble};
use crate::validate::Demand;
use crate::world::World;

/// Bytes of an answer held back while waiting for its first content.
const HELD_BYTES_MAX: usize = 64 << 10;
/// What a held frame takes besides its own bytes, about: a provider may send millions of frames of one byte.
const FRAME_BYTES: usize = 128;
/// How long the body of an error is worth waiting for; its status alone says enough to go on.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

/// What one attempt needs besides its target.
pub(crate) struct Sender<'a> {
    pub(crate) client: &'a HttpClient,
    pub(crate) world: World,
    pub(crate) ask: &'a Ask<'a>,
    pub(crate) translation: Translation<'a>,
    /// What the answer must be; a streamed answer is then held to its end.
    pub(crate) demand: Option<&'a Demand>,
    /// What the calls carry in place of what is usual, as [`crate::via`] says.
    pub(crate) via: Option<&'a HeaderValue>,
    /// A refused answer is a failed attempt (else it is the answer).
    pub(crate) refusal_fails: bool,
}

/// An answer with content.
pub(crate) enum Got {
    /// Complete, in the provider's own bytes, which go to the caller as they are.
    Passed { raw: Bytes, usage: Option<Usage> },
    /// Complete.
    Whole(Box<ChatResponse>),
    /// Arriving; what has arrived is in `held`.
    Stream { held: VecDeque<(Bytes, Vec<Event>)>, reader: Option<Box<Reader>>, passes: bool },
}

/// Why there is no answer.
pub(crate) enum Missed {
    /// The target cannot be told this; nothing was sent.
    Unspeakable(&'static str),
    /// The connection had been closed before: this says nothing about the target.
    Stale(Fault),
    /// The attempt failed.
    Failed(Fault),
}

/// When the parts of one attempt must be there.
struct Due {
    connected: Time,
    /// The first content of a stream, or all of an answer that is not streamed: its first token is its last. The
    /// head and what comes before the content have no time of their own.
    first: Time,
    /// Between two events.
    stall: Duration,
    deadline: Time,
}

impl Due {
    fn new(now: Time, limits: &Limits, stream: bool) -> Self {
        let first = if stream { limits.first_token } else { limits.whole };
        let first = limits.deadline.min(now + first);
        let connected = first.min(now + limits.connect);
        Self { connected, first, stall: limits.stall, deadline: limits.deadline }
    }
}

/// The body of a request and whether it went through untranslated.
struct Written {
    body: Bytes,
    passes: bool,
}

impl Sender<'_> {
    /// Sends the request to `target`, by a `fresh` connection where the last one was dead, and waits for content.
    pub(crate) async fn send(&self, target: &Target, limits: &Limits, fresh: bool) -> Result<Got, Missed> {
        let Written { body, passes } = self.write(target)?;
        let due = Due::new(self.world.now(), limits, self.ask.stream());
        let (parts, body) = self.head(target, body, &due, fresh).await?;
        self.read(target, (&parts.headers, body), &due, passes).await.map_err(Missed::Failed)
    }

    /// The longest that a call sent now may take until its answer has content, as far as that is held back.
    pub(crate) fn longest(&self, now: Time, limits: &Limits) -> Duration {
        match (self.ask.stream(), self.demand) {
            (true, Some(_)) => limits.deadline.since(now),
            (true, None) => limits.first_token,
            (false, _) => limits.whole,
        }
    }

    fn write(&self, target: &Target) -> Result<Written, Missed> {
        let facts = target.facts();
        if let Ask::Spoken { dialect, inbound, outline, open } = self.ask
            && dialect.same_wire() == Some(target.wire().name())
        {
            let body = target.wire().adapt(*inbound, outline, &facts);
            let body = body.map_err(|error| Missed::Unspeakable(error.what))?;
            return Ok(Written { body, passes: *open });
        }
        let request = self.translation.request().map_err(|refusal| match refusal {
            Refusal::Unspeakable(error) => Missed::Unspeakable(error.what),
            Refusal::Invalid(invalid) => Missed::Failed(fault::invalid(invalid)),
        })?;
        let body = target.wire().render(request, &facts);
        let body = body.map_err(|error| Missed::Unspeakable(error.what))?;
        Ok(Written { body: body.into(), passes: false })
    }

    /// Out with the request, in with a success head; anything else is a fault.
    async fn head(
        &self,
        target: &Target,
        body: Bytes,
        due: &Due,
        fresh: bool,
    ) -> Result<(Parts, Body), Missed> {
        let head = HeadLimits { connected: due.connected, head: due.first };
        let request = self.request(target, body);
        let sent = self.client.send(request, &target.endpoint, head, fresh).await;
        let (response, carrier) = sent.map_err(|trouble| {
            let fault = self.judge(target, Phase::Sent).trouble(&trouble);
            match trouble {
                Trouble::Fault(Transport::StaleConnection, _) => Missed::Stale(fault),
                _ => Missed::Failed(fault),
            }
        })?;
        let (parts, incoming) = response.into_parts();
        let body = Body::new(&parts.headers, incoming, carrier);
        if parts.status.is_success() {
            let wrong = |fault| Missed::Failed(self.judge(target, Phase::Headers).body(&fault));
            return Ok((parts, body.map_err(wrong)?));
        }
        let read = match body {
            Ok(body) => {
                let until = due.first.min(self.world.now() + ERROR_BODY_TIME);
                body.collect(until, Limit::FirstToken, self.world).await
            }
            Err(fault) => Err(fault),
        };
        let error = ErrorBody::parse(&read.unwrap_or_default());
        let judge = self.judge(target, Phase::Headers);
        Err(Missed::Failed(judge.status(parts.status.as_u16(), &parts.headers, &error)))
    }

    fn request(&self, target: &Target, body: Bytes) -> Request<Pieces> {
        let mut request = Request::new(Pieces::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.uri(self.ask.stream()).clone();
        *request.headers_mut() = target.headers().clone();
        if let Some(via) = self.via {
            request.headers_mut().insert(VIA, via.clone());
        }
        request
    }

    async fn read(
        &self,
        target: &Target,
        (headers, body): (&HeaderMap, Body),
        due: &Due,
        passes: bool,
    ) -> Result<Got, Fault> {
        let judge = self.judge(target, Phase::Headers);
        let streams = is_event_stream(headers);
        if streams && !self.ask.stream() {
            return Err(judge.flaw(Flawed::WrongContentType, None));
        }
        if streams {
            let mut reader = Reader::new(target.wire(), body);
            let held = self.hold(target, &mut reader, due).await?;
            return self.streamed(target, reader, held, passes);
        }
        let raw = body.collect(due.first, Limit::FirstToken, self.world).await;
        let raw = raw.map_err(|fault| judge.body(&fault))?;
        let untranslated = passes && !self.ask.stream();
        if untranslated && self.demand.is_none() {
            let summary = target.wire().summary(&raw);
            let summary =
                summary.or_else(|flaw| self.flawed(target, flaw).map(|refused| Summary::of(&refused)))?;
            self.fits(target, &summary)?;
            return Ok(Got::Passed { raw, usage: summary.usage });
        }
        let mut parsed = target.wire().parse(&raw).or_else(|flaw| self.flawed(target, flaw))?;
        let untouched = self.accept(target, &mut parsed)?;
        if self.ask.stream() {
            let held = VecDeque::from([(Bytes::new(), fold::replay(parsed))]);
            return Ok(Got::Stream { held, reader: None, passes: false });
        }
        Ok(if untranslated && untouched {
            Got::Passed { raw, usage: parsed.usage }
        } else {
            Got::Whole(Box::new(parsed))
        })
    }

    /// What becomes of an answer that is none: a fault, or the answer that the prompt was declined.
    fn flawed(&self, target: &Target, flaw: Flaw) -> Result<ChatResponse, Fault> {
        let judge = self.judge(target, Phase::Headers);
        match flaw {
            Flaw::Refused(_) if !self.refusal_fails => Ok(refused()),
            Flaw::Refused(why) => Err(judge.declined(Some(&why))),
            Flaw::Failed(error) => Err(judge.in_success(&error)),
            Flaw::Empty => Err(judge.flaw(Flawed::Empty, None)),
            Flaw::Malformed(why) => Err(judge.flaw(Flawed::Malformed, Some(why))),
        }
    }

    /// Is this an answer the caller may have, as far as its form goes?
    fn fits(&self, target: &Target, summary: &Summary) -> Result<(), Fault> {
        let judge = self.judge(target, Phase::Headers);
        if summary.declined && self.refusal_fails {
            return Err(judge.declined(None));
        }
        if summary.silent { Err(judge.flaw(Flawed::Empty, None)) } else { Ok(()) }
    }

    /// The same, and what it says? `Ok(false)` means its text was repaired.
    fn accept(&self, target: &Target, response: &mut ChatResponse) -> Result<bool, Fault> {
        self.fits(target, &Summary::of(response))?;
        let Some(demand) = self.demand else { return Ok(true) };
        let judge = self.judge(target, Phase::Headers);
        demand.check(response).map_err(|breach| judge.flaw(Flawed::Breach, Some(&breach.0)))
    }

    /// Reads until the first content or the end. With a demand, until the end.
    async fn hold(&self, target: &Target, reader: &mut Reader, due: &Due) -> Result<Held, Fault> {
        let mut held = Held::default();
        let mut silence = Silence::new(due.stall, due.deadline);
        loop {
            let (until, late) = match held.content {
                true => silence.until(self.world.now()),
                false => (due.first, Limit::FirstToken),
            };
            let mut events = Vec::new();
            match reader.next(&mut events, until, late, self.world).await {
                None => {
                    held.complete = true;
                    return Ok(held);
                }
                Some(Err(fault)) => return Err(self.judge(target, Phase::FirstEvent).read(&fault)),
                Some(Ok(raw)) => {
                    silence.heard(&events);
                    held.take(raw, events);
                }
            }
            if held.content && self.demand.is_none() {
                return Ok(held);
            }
            let most = if held.content { ANSWER_BYTES_MAX } else { HELD_BYTES_MAX };
            if held.bytes > most {
                return Err(self.judge(target, Phase::FirstEvent).flaw(Flawed::TooLarge, None));
            }
        }
    }

    /// What was held is an answer, or the attempt failed.
    fn streamed(&self, target: &Target, reader: Reader, held: Held, passes: bool) -> Result<Got, Fault> {
        if !held.complete {
            let reader = Some(Box::new(reader));
            return Ok(Got::Stream { held: held.pieces, reader, passes });
        }
        let events: Vec<Event> = held.pieces.iter().flat_map(|(_, events)| events.iter().cloned()).collect();
        let Some(mut response) = fold::collect(events) else {
            return Err(self.judge(target, Phase::FirstEvent).flaw(Flawed::Truncated, None));
        };
        if self.accept(target, &mut response)? {
            return Ok(Got::Stream { held: held.pieces, reader: None, passes });
        }
        let repaired = VecDeque::from([(Bytes::new(), fold::replay(response))]);
        Ok(Got::Stream { held: repaired, reader: None, passes: false })
    }

    fn judge<'t>(&self, target: &'t Target, phase: Phase) -> Judge<'t> {
        Judge { target, phase, world: self.world }
    }
}

/// What has arrived before the first content.
#[derive(Default)]
struct Held {
    pieces: VecDeque<(Bytes, Vec<Event>)>,
    bytes: usize,
    content: bool,
    complete: bool,
}

impl Held {
    fn take(&mut self, raw: Bytes, events: Vec<Event>) {
        self.bytes += raw.len() + FRAME_BYTES;
        self.content |= events.iter().any(Event::is_content);
        self.pieces.push_back((raw, events));
    }
}

/// A prompt that was declined before any content, as an answer.
fn refused() -> ChatResponse {
    let choice = Choice { parts: Vec::new(), finish: Finish::ContentFilter, logprobs: None };
    ChatResponse { choices: vec![choice], ..ChatResponse::default() }
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().trim_ascii_start().get(..EVENT_STREAM.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
}
