//! An answer on its way to the caller.

use bytes::Bytes;
use http::HeaderMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use unfail_policy::classify::{Fault, Limit, Phase};
use unfail_policy::time::Time;
use unfail_wire::ChatResponse;
use unfail_wire::event::Event;
use unfail_wire::fold;

use crate::cells::Flight;
use crate::failure::{Failure, FailureKind};
use crate::fault::Judge;
use crate::reader::{ReadFault, Reader};
use crate::recorder::Recorder;
use crate::target::Target;
use crate::trail::{Trail, put};
use crate::world::World;

/// An answer with content: from here on the caller sees it.
#[derive(Debug)]
pub struct Answer {
    /// How it was found.
    pub head: Head,
    /// What it says.
    pub content: Content,
}

/// How an answer was found.
#[derive(Debug, Clone)]
pub struct Head {
    /// Target that answers, `provider/model`.
    pub target: Arc<str>,
    /// Everything that was considered.
    pub trail: Arc<Trail>,
    /// Cost in USD, when the answer is complete and its price known.
    pub cost_usd: Option<f64>,
}

/// What an answer says.
#[derive(Debug)]
pub enum Content {
    /// Complete.
    Whole {
        /// The provider's own bytes, when they are in the caller's dialect and need no repair.
        raw: Option<Bytes>,
        /// The same in the hub.
        response: Box<ChatResponse>,
    },
    /// Arriving.
    Stream(Box<AnswerStream>),
}

impl Head {
    /// The headers of developer mode.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        put(headers, "x-unfail-target", &self.target);
        self.trail.write_headers(headers);
        if let Some(cost) = self.cost_usd {
            put(headers, "x-unfail-cost-usd", &format!("{cost:.8}"));
        }
    }
}

/// An answer arriving. Dropping it closes the connection to the provider.
#[derive(Debug)]
pub struct AnswerStream {
    held: VecDeque<(Bytes, Vec<Event>)>,
    reader: Option<Box<Reader>>,
    passes: bool,
    terms: StreamTerms,
    target: Arc<Target>,
    /// The call, until the answer is complete or broke off.
    flight: Option<Flight>,
    recorder: Recorder,
    trail: Arc<Trail>,
    finished: bool,
}

/// Limits on a committed stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamTerms {
    pub(crate) stall: Duration,
    pub(crate) deadline: Time,
    pub(crate) world: World,
}

/// What a stream is made of.
pub(crate) struct StreamParts {
    pub(crate) held: VecDeque<(Bytes, Vec<Event>)>,
    pub(crate) reader: Option<Box<Reader>>,
    pub(crate) passes: bool,
    pub(crate) terms: StreamTerms,
    pub(crate) target: Arc<Target>,
    pub(crate) flight: Option<Flight>,
}

impl AnswerStream {
    pub(crate) fn new(parts: StreamParts, recorder: Recorder, trail: Arc<Trail>) -> Self {
        let StreamParts { held, reader, passes, terms, target, flight } = parts;
        Self { held, reader, passes, terms, target, flight, recorder, trail, finished: false }
    }

    /// Frames are in the caller's dialect and may be passed on as they are.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passes
    }

    /// The next frame and, in `events`, what it says; `None` when the answer is complete. A failure ends the
    /// stream: the answer must then not look complete.
    pub async fn next(&mut self, events: &mut Vec<Event>) -> Option<Result<Bytes, Box<Failure>>> {
        if let Some(ready) = self.ready(events) {
            return Some(ready);
        }
        if self.finished {
            return None;
        }
        let StreamTerms { stall, deadline, world } = self.terms;
        let stall_at = world.now() + stall;
        let (until, late) =
            if stall_at < deadline { (stall_at, Limit::Stall) } else { (deadline, Limit::Total) };
        let next = match &mut self.reader {
            Some(reader) => reader.next(events, until, late, world).await,
            None => None,
        };
        match next {
            None => {
                self.complete();
                None
            }
            Some(read) => Some(self.took(read, events)),
        }
    }

    /// What has arrived already, without waiting.
    pub fn ready(&mut self, events: &mut Vec<Event>) -> Option<Result<Bytes, Box<Failure>>> {
        if self.finished {
            return None;
        }
        if let Some((raw, held)) = self.held.pop_front() {
            self.recorder.saw(&held);
            events.extend(held);
            return Some(Ok(raw));
        }
        let read = self.reader.as_mut()?.ready(events)?;
        Some(self.took(read, events))
    }

    /// Reads to the end and gives the whole answer.
    ///
    /// # Errors
    /// The failure that cut it.
    pub async fn collect(mut self) -> Result<ChatResponse, Box<Failure>> {
        let trail = self.trail.clone();
        let mut all = Vec::new();
        while let Some(read) = self.next(&mut all).await {
            read?;
        }
        fold::collect(all).ok_or_else(|| Box::new(unfinished(trail)))
    }

    fn took(&mut self, read: Result<Bytes, ReadFault>, events: &[Event]) -> Result<Bytes, Box<Failure>> {
        match read {
            Ok(raw) => {
                self.recorder.saw(events);
                Ok(raw)
            }
            Err(fault) => Err(self.cut(fault)),
        }
    }

    fn complete(&mut self) {
        self.finished = true;
        self.reader = None;
        self.recorder.answered();
    }

    /// The stream broke after content: it ends here, for good.
    fn cut(&mut self, read: ReadFault) -> Box<Failure> {
        self.finished = true;
        self.reader = None;
        let world = self.terms.world;
        let judge = Judge { target: &self.target, phase: Phase::Committed, world };
        let fault = judge.read(&read);
        if let Some(mut flight) = self.flight.take() {
            flight.failed(&fault);
        }
        self.recorder.cut(&fault);
        Box::new(broken_off(&fault, self.trail.clone()))
    }
}

/// A stream that ended properly without finishing what it began.
fn unfinished(trail: Arc<Trail>) -> Failure {
    Failure {
        kind: FailureKind::Broken,
        message: "the answer ended before it was finished".to_owned(),
        code: Some("stream_interrupted".to_owned()),
        param: None,
        retry_after: None,
        trail,
    }
}

/// The failure of a stream after commit.
fn broken_off(fault: &Fault, trail: Arc<Trail>) -> Failure {
    Failure {
        kind: FailureKind::Broken,
        message: format!("the answer broke off after it had begun: {}", fault.message),
        code: Some("stream_interrupted".to_owned()),
        param: None,
        retry_after: None,
        trail,
    }
}
