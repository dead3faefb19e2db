//! An answer on its way to the caller.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use std::collections::VecDeque;
use std::sync::Arc;
use unfail_policy::attempt::Hurry;
use unfail_policy::classify::{Fault, Phase};
use unfail_policy::time::Time;
use unfail_wire::ChatResponse;
use unfail_wire::event::Event;
use unfail_wire::fold;

use crate::cells::Flight;
use crate::duty::Shift;
use crate::failure::{Failure, FailureKind, stopped};
use crate::fault::Judge;
use crate::reader::{ReadFault, Reader, Silence};
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
    /// When the request's time is over.
    pub deadline: Time,
}

/// What an answer says.
#[derive(Debug)]
pub enum Content {
    /// Complete, in the provider's own bytes: they are in the caller's dialect and need no repair.
    Passed {
        /// The bytes.
        raw: Bytes,
        /// The request is under way until this is dropped.
        shift: Shift,
    },
    /// Complete.
    Whole {
        /// What it says.
        response: Box<ChatResponse>,
        /// The request is under way until this is dropped.
        shift: Shift,
    },
    /// Arriving.
    Stream(Box<AnswerStream>),
}

const TARGET: HeaderName = HeaderName::from_static("x-unfail-target");
const COST: HeaderName = HeaderName::from_static("x-unfail-cost-usd");

impl Head {
    /// The headers of developer mode.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        put(headers, TARGET, &self.target);
        self.trail.write_headers(headers);
        if let Some(cost) = self.cost_usd {
            put(headers, COST, &format!("{cost:.8}"));
        }
    }
}

/// An answer arriving. Dropping it closes the connection to the provider.
#[derive(Debug)]
pub struct AnswerStream {
    held: VecDeque<(Bytes, Vec<Event>)>,
    reader: Option<Box<Reader>>,
    passes: bool,
    silence: Silence,
    hurry: Hurry,
    world: World,
    target: Arc<Target>,
    /// The call, until the answer is complete or broke off.
    flight: Option<Flight>,
    shift: Shift,
    recorder: Recorder,
    trail: Arc<Trail>,
    finished: bool,
}

/// What a stream is made of.
pub(crate) struct StreamParts {
    pub(crate) held: VecDeque<(Bytes, Vec<Event>)>,
    pub(crate) reader: Option<Box<Reader>>,
    pub(crate) passes: bool,
    pub(crate) silence: Silence,
    pub(crate) hurry: Hurry,
    pub(crate) world: World,
    pub(crate) target: Arc<Target>,
    pub(crate) flight: Option<Flight>,
    pub(crate) shift: Shift,
}

impl AnswerStream {
    pub(crate) fn new(parts: StreamParts, recorder: Recorder, trail: Arc<Trail>) -> Self {
        let StreamParts { held, reader, passes, silence, hurry, world, target, flight, shift } = parts;
        Self {
            held,
            reader,
            passes,
            silence,
            hurry,
            world,
            target,
            flight,
            shift,
            recorder,
            trail,
            finished: false,
        }
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
        let known = events.len();
        let next = match &mut self.reader {
            Some(reader) => {
                let (until, late) = self.silence.until(self.world.now());
                let over = reader.is_over();
                let next = tokio::select! {
                    biased;
                    next = reader.next(events, until, late, self.world) => Some(next),
                    () = self.shift.over() => None,
                };
                match next {
                    Some(next) => next,
                    // The caller has all of it.
                    None if over => None,
                    None => return Some(Err(self.leave_off())),
                }
            }
            None => None,
        };
        match next {
            None => {
                self.finished = true;
                self.reader = None;
                self.complete();
                None
            }
            Some(read) => Some(self.took(read, events.get(known..).unwrap_or_default())),
        }
    }

    /// What has arrived already, without waiting.
    pub fn ready(&mut self, events: &mut Vec<Event>) -> Option<Result<Bytes, Box<Failure>>> {
        if self.finished {
            return None;
        }
        if let Some((raw, held)) = self.held.pop_front() {
            let taken = self.took(Ok(raw), &held);
            events.extend(held);
            return Some(taken);
        }
        let known = events.len();
        let read = self.reader.as_mut()?.ready(events)?;
        Some(self.took(read, events.get(known..).unwrap_or_default()))
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

    /// A frame that says `events` goes to the caller, or nothing more does.
    fn took(&mut self, read: Result<Bytes, ReadFault>, events: &[Event]) -> Result<Bytes, Box<Failure>> {
        match read {
            Ok(raw) => {
                self.silence.heard(events);
                self.recorder.saw(events);
                if events.last() == Some(&Event::End) {
                    self.complete();
                }
                Ok(raw)
            }
            Err(fault) => {
                // What it cost is told also where it broke.
                self.recorder.saw(events);
                Err(self.cut(fault))
            }
        }
    }

    /// The caller has all of it. What may still be read is for the connection's sake, and a caller that leaves now
    /// was answered.
    fn complete(&mut self) {
        self.flight = None;
        self.recorder.answered();
    }

    /// unfail stops: the stream ends here, through no fault of its provider.
    fn leave_off(&mut self) -> Box<Failure> {
        self.finished = true;
        self.reader = None;
        self.flight = None;
        let failure = Box::new(stopped(self.trail.clone()));
        self.recorder.stopped(&failure);
        failure
    }

    /// The stream broke after content: it ends here, for good.
    fn cut(&mut self, read: ReadFault) -> Box<Failure> {
        self.finished = true;
        self.reader = None;
        let judge = Judge { target: &self.target, phase: Phase::Committed, world: self.world };
        let fault = judge.read(&read);
        let hurried = fault.late.is_some_and(|late| self.hurry.explains(late, true));
        match self.flight.take() {
            Some(flight) if hurried => flight.excused(),
            Some(mut flight) => flight.failed(&fault),
            None => {}
        }
        let (class, reason, gist) = (fault.class.name(), fault.message.clone(), fault.gist.to_string());
        self.trail = Arc::new(self.trail.cut(class, reason, gist));
        self.recorder.cut(&fault, self.trail.clone());
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

impl Drop for AnswerStream {
    /// Whoever takes the answer was ended with unfail, and did not leave.
    fn drop(&mut self) {
        if !self.finished && self.shift.is_over() {
            drop(self.leave_off());
        }
    }
}
