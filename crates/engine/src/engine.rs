//! The engine: from a routed request to an answer. The loop that performs what `policy::attempt` decides.

use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use unfail_config::Config;
use unfail_policy::attempt::{
    Answer as May, Attempt, Entry, EntryResult, Failure as Exhausted, FailureKind, Gates, Limits, OnRefusal,
    Outcome, Step, Verdict, Why,
};
use unfail_policy::classify::{Blame, Class, Fault, Phase, Signal, classify};
use unfail_policy::plan::{Skip, plan};
use unfail_policy::time::Time;
use unfail_wire::target::ErrorQuirk;

use crate::alarm::Alarm;
use crate::answer::{Answer, AnswerStream, Content, Head, StreamParts};
use crate::assemble::Workshop;
use crate::call::{Ask, Call, Translation};
use crate::cells::{CallTerms, CellRegistry, Flight, Shut};
use crate::duty::{Duty, Shift};
use crate::failure::{Failure, Trail, stopped};
use crate::http::HttpClient;
use crate::identify::Caller;
use crate::observe::Log;
use crate::reader::Silence;
use crate::recorder::{Recorder, Winner, millis};
use crate::route::{Name, Snapshot, Unroutable};
use crate::send::{Got, Missed, Sender};
use crate::target::{Chain, Target};
use crate::trail::AttemptNote;
use crate::world::World;

/// Answers requests. One per process; everything in it is shared.
#[derive(Debug)]
pub struct Engine {
    snapshot: Arc<ArcSwap<Snapshot>>,
    cells: Arc<CellRegistry>,
    client: HttpClient,
    world: World,
    log: Log,
    alarm: Arc<Alarm>,
    /// Requests of this runtime.
    duty: Arc<Duty>,
}

/// Why an engine cannot be built, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(String);

impl Engine {
    /// Builds an engine.
    ///
    /// # Errors
    /// A configuration that cannot be served (a URL, key or schema that is unusable), or no TLS.
    pub fn new(config: Config, log: Log) -> Result<Self, EngineError> {
        let world = World::start();
        let cells = Arc::new(CellRegistry::default());
        let snapshot = snapshot(config, &cells, world)?;
        let client =
            HttpClient::new(world).map_err(|error| EngineError(format!("cannot set up TLS: {error}")))?;
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        Ok(Self { snapshot, cells, client, world, log, alarm: Arc::default(), duty: Arc::default() })
    }

    /// The same engine for another runtime: configuration, memory and log are shared, connections are not.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            cells: self.cells.clone(),
            client: self.client.sibling(),
            world: self.world,
            log: self.log.clone(),
            alarm: self.alarm.clone(),
            duty: Arc::default(),
        }
    }

    /// Replaces the configuration: requests under way keep the old one, what is remembered of targets stays, and is
    /// judged by the new settings from now on.
    ///
    /// # Errors
    /// As [`Engine::new`]; the old configuration then stays.
    pub fn reload(&self, config: Config) -> Result<(), EngineError> {
        let snapshot = Arc::new(snapshot(config, &self.cells, self.world)?);
        self.snapshot.store(snapshot.clone());
        self.cells.retune(|target| snapshot.breaker(target));
        Ok(())
    }

    /// Requests of this runtime that have begun and not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.duty.under_way()
    }

    /// Ends every request of this runtime: what waits for an answer fails, streams break off with a failure, and the
    /// log says that unfail stopped. Providers are told by the end of their connections and blamed for nothing.
    pub fn leave_off(&self) {
        self.duty.end();
    }

    /// The clock and the randomness.
    #[must_use]
    pub fn world(&self) -> World {
        self.world
    }

    /// Whether any request could be served.
    #[must_use]
    pub fn has_targets(&self) -> bool {
        self.snapshot.load().has_targets()
    }

    /// The caller with this key.
    #[must_use]
    pub fn identify(&self, key: Option<&str>) -> Option<Arc<Caller>> {
        self.snapshot.load().callers.identify(key)
    }

    /// The chain a caller's `model` (empty: `auto`) and further models mean.
    ///
    /// # Errors
    /// A name that is unknown, or not for this caller.
    pub fn route<S: AsRef<str>>(
        &self,
        caller: &Caller,
        name: &str,
        fallbacks: &[S],
    ) -> Result<Arc<Chain>, Unroutable> {
        self.snapshot.load().route(caller, name, fallbacks)
    }

    /// Names a caller may use as `model`.
    #[must_use]
    pub fn names(&self, caller: &Caller) -> Vec<Name> {
        self.snapshot.load().names(caller)
    }

    /// Finds an answer: falls through the chain until a target gives content, the deadline comes or nothing is
    /// left. Dropping the future, or the answer, closes the connection to the provider.
    ///
    /// # Errors
    /// [`Failure`] says whose fault it is, what to do and when.
    pub async fn answer(&self, call: Call<'_>) -> Result<Answer, Box<Failure>> {
        let primary = call.chain.targets.first().map(|target| target.label.clone());
        let recorder =
            Recorder::new(self.log.clone(), self.world, &call.errand, call.chain.name.clone(), primary);
        let plan = plan(&call.ask.needs(), &call.chain.facts());
        let started = call.errand.started;
        let deadline = call.errand.deadline.map_or(Time::MAX, |length| started + length);
        let attempt = Attempt::new(call.chain.rules, &plan, started, deadline);
        let mut course = Course { engine: self, chain: &call.chain, attempt, recorder: Some(recorder) };
        let shift = self.duty.begin();
        let ran = tokio::select! {
            biased;
            ran = self.run(&call, &mut course.attempt) => Some(ran),
            () = shift.over() => None,
        };
        let ended = course.end("unfail stops");
        let Some((trail, mut recorder)) = ended else { return Err(Box::new(stopped(Arc::default()))) };
        match ran {
            Some(Ok((found, limits))) => Ok(commit(found, limits, trail, (self.world, recorder, shift))),
            None => {
                let failure = Box::new(stopped(trail));
                recorder.stopped(&failure);
                Err(failure)
            }
            Some(Err(exhausted)) => {
                let class = class_of(&exhausted, &course.attempt);
                let failure = Box::new(failure(*exhausted, trail, &call.chain));
                recorder.failed(&failure, Some(class));
                Err(failure)
            }
        }
    }

    /// Performs the machine's steps until it finishes.
    async fn run(&self, call: &Call<'_>, attempt: &mut Attempt) -> Result<(Found, Limits), Box<Exhausted>> {
        let demand = match &call.ask {
            Ask::Hub { demand: Some(demand), .. } => Some(demand),
            _ => call.chain.demand.as_ref(),
        };
        let sender = Sender {
            client: &self.client,
            world: self.world,
            ask: &call.ask,
            translation: Translation::new(&call.ask),
            demand,
            via: call.errand.via.as_ref(),
            refusal_fails: call.chain.rules.on_refusal == OnRefusal::Next,
        };
        let mut gates = Doors { chain: &call.chain, sender: &sender, world: self.world, flight: None };
        let mut found = None;
        // The target whose last call was lost with its connection.
        let mut lost_at = None;
        loop {
            match attempt.next(self.world.now(), &mut self.world.random(), &mut gates) {
                Step::Wait { until } => self.world.sleep_until(until).await,
                Step::Send { target: number, limits } => {
                    let Some(target) = call.chain.targets.get(number) else { return Err(Box::new(lost())) };
                    let sending = Sending { limits, fresh: lost_at.take() == Some(number) };
                    let outcome = match self.call(&sender, target, sending, gates.flight.take()).await {
                        Called::Answered { answer, first_token } => {
                            found = Some((answer, limits));
                            Outcome::Committed { first_token }
                        }
                        Called::Failed(fault) => Outcome::Failed(fault),
                        Called::Lost(fault) => {
                            lost_at = Some(number);
                            Outcome::Lost(fault)
                        }
                        Called::Unspeakable(what) => Outcome::Unspeakable(what),
                    };
                    attempt.saw(self.world.now(), outcome);
                }
                Step::Finish(Verdict::Failed(exhausted)) => return Err(exhausted),
                Step::Finish(Verdict::Committed { .. }) => match found.take() {
                    Some(found) => return Ok(found),
                    None => return Err(Box::new(lost())),
                },
            }
        }
    }

    /// One attempt, reported to every memory of its target.
    async fn call(
        &self,
        sender: &Sender<'_>,
        target: &Arc<Target>,
        sending: Sending,
        flight: Option<Flight>,
    ) -> Called {
        let Sending { limits, fresh } = sending;
        let sent = self.world.now();
        match sender.send(target, &limits, fresh).await {
            Ok(got) => {
                let first_token = self.world.now().since(sent);
                // Only a stream that still goes on tells its first token from its last; a long answer is no slow target.
                let streams = matches!(got, Got::Stream { reader: Some(_), .. });
                let flight = flight.map(|mut flight| {
                    flight.succeeded(streams.then_some(first_token));
                    flight
                });
                Called::Answered { answer: Found { target: target.clone(), got, flight }, first_token }
            }
            Err(Missed::Unspeakable(what)) => Called::Unspeakable(what),
            // The flight is given back when it is dropped.
            Err(Missed::Stale(fault)) => Called::Lost(fault),
            Err(Missed::Failed(fault)) => {
                if fault.blame == Blame::Gateway {
                    self.alarm.ring(self.world.now(), &fault.gist);
                }
                let stream = sender.ask.stream();
                let hurried = fault.late.is_some_and(|late| limits.hurry.explains(late, stream));
                match flight {
                    // What only the caller had no time for is no fault of the target's.
                    Some(flight) if hurried => flight.excused(),
                    Some(mut flight) => flight.failed(&fault),
                    None => {}
                }
                Called::Failed(fault)
            }
        }
    }

    fn trail(&self, chain: &Chain, attempt: &Attempt) -> Arc<Trail> {
        let note = |entry: &Entry| note(chain, entry, self.world);
        Arc::new(Trail {
            route: chain.name.clone(),
            attempts: attempt.trail().iter().map(note).collect(),
            calls: attempt.calls(),
            retries: attempt.retries(),
        })
    }
}

/// One request on its way to an answer; tells of what was tried for it also when its caller just leaves.
struct Course<'a> {
    engine: &'a Engine,
    chain: &'a Chain,
    attempt: Attempt,
    /// Taken at the end.
    recorder: Option<Recorder>,
}

impl Course<'_> {
    /// Whatever was tried, a call that is still under way included: that one ends for this reason.
    fn end(&mut self, why: &str) -> Option<(Arc<Trail>, Recorder)> {
        let recorder = self.recorder.take()?;
        if self.attempt.is_calling() {
            let world = self.engine.world;
            let gone = classify(&Signal::CallerGone, ErrorQuirk::None, Phase::Sent, world.wall());
            let gone = Fault { message: why.to_owned(), gist: why.into(), ..gone };
            self.attempt.saw(world.now(), Outcome::Failed(gone));
        }
        Some((self.engine.trail(self.chain, &self.attempt), recorder))
    }
}

impl Drop for Course<'_> {
    fn drop(&mut self) {
        if let Some((trail, recorder)) = self.end("the caller left") {
            recorder.left(trail);
        }
    }
}

/// What a target found is the caller's from here on.
fn commit(found: Found, limits: Limits, trail: Arc<Trail>, watch: (World, Recorder, Shift)) -> Answer {
    let (world, mut recorder, shift) = watch;
    let Found { target, got, flight } = found;
    let winner = Winner { target: target.label.clone(), price: target.price.clone() };
    let streams = matches!(got, Got::Stream { .. });
    recorder.committed(winner, trail.clone(), streams);
    let mut head = Head {
        target: target.label.clone(),
        trail: trail.clone(),
        cost_usd: None,
        deadline: limits.deadline,
    };
    let content = match got {
        Got::Passed { raw, usage } => {
            head.cost_usd = recorder.answered_whole(usage);
            Content::Passed { raw, shift }
        }
        Got::Whole(response) => {
            head.cost_usd = recorder.answered_whole(response.usage);
            Content::Whole { response, shift }
        }
        Got::Stream { held, reader, passes } => {
            let silence = Silence::new(limits.stall, limits.deadline);
            let hurry = limits.hurry;
            let parts = StreamParts { held, reader, passes, silence, hurry, world, target, flight, shift };
            Content::Stream(Box::new(AnswerStream::new(parts, recorder, trail)))
        }
    };
    Answer { head, content }
}

fn snapshot(config: Config, cells: &Arc<CellRegistry>, world: World) -> Result<Snapshot, EngineError> {
    Snapshot::new(config, |config| Workshop::new(config, cells.clone(), world)).map_err(EngineError)
}

/// A target that answered, and what it said.
struct Found {
    target: Arc<Target>,
    got: Got,
    /// The call, whose answer may still break off.
    flight: Option<Flight>,
}

/// What came of one call.
enum Called {
    Answered {
        answer: Found,
        first_token: Duration,
    },
    Failed(Fault),
    /// With the connection it went by, which was dead.
    Lost(Fault),
    Unspeakable(&'static str),
}

/// How one call is sent.
struct Sending {
    limits: Limits,
    /// By a connection nobody used before.
    fresh: bool,
}

/// What a call needs beyond its time to report that it is over.
const REPORTED: Duration = Duration::from_secs(1);

/// The memories of the chain's targets, as the machine asks them.
struct Doors<'a> {
    chain: &'a Chain,
    sender: &'a Sender<'a>,
    world: World,
    /// Leave for the call that follows.
    flight: Option<Flight>,
}

impl Gates for Doors<'_> {
    fn ask(&mut self, target: usize, now: Time, limits: &Limits) -> May {
        let Some(target) = self.chain.targets.get(target) else {
            return May::Closed { until: Time::MAX, why: Why::Missing };
        };
        let lasts = self.sender.longest(now, limits) + REPORTED;
        let whole = !self.sender.ask.stream();
        let terms = CallTerms { lasts, whole, cooldown: self.chain.rules.cooldown };
        match target.cells.ask(self.world, terms, now) {
            Ok(flight) => {
                self.flight = Some(flight);
                May::Go
            }
            Err(Shut { until, why }) => May::Closed { until, why },
        }
    }

    fn opens(&self, target: usize, now: Time) -> Time {
        self.chain.targets.get(target).map_or(Time::MAX, |target| target.cells.opens(now))
    }
}

/// The machine named a target that is none: cannot happen, and is told as a failure instead of a panic.
fn lost() -> Exhausted {
    Exhausted { kind: FailureKind::Broken, retry_after: None, last: None }
}

fn note(chain: &Chain, entry: &Entry, world: World) -> AttemptNote {
    let target = chain.targets.get(entry.target);
    let label = target.map_or_else(|| "unknown".into(), |target| target.label.clone());
    let mut note = AttemptNote { target: label, result: "ok", ..AttemptNote::default() };
    match &entry.result {
        EntryResult::Answered => {}
        EntryResult::Skipped(skip) => {
            note.result = "skipped";
            note.gist = gist(*skip);
            note.reason = reason(*skip);
        }
        EntryResult::Closed(why, until) => {
            let seconds = until.since(world.now()).as_secs_f64();
            note.result = "resting";
            note.rests = Some(why.name());
            note.gist = format!("{} for another {seconds:.1} s", why.name());
            note.reason = format!("{}, next try in {} s", resting(*why, target), seconds.ceil());
        }
        EntryResult::Failed(fault) => {
            note.result = fault.class.name();
            note.status = fault.status;
            note.reason.clone_from(&fault.message);
            note.gist = fault.gist.to_string();
        }
    }
    if note.gist.is_empty() {
        note.gist.clone_from(&note.reason);
    }
    let called = matches!(entry.result, EntryResult::Answered | EntryResult::Failed(..));
    note.took_ms = called.then(|| millis(entry.took));
    note
}

/// What a target rests from, for people. The key is named by where it came from, never by itself.
fn resting(why: Why, target: Option<&Arc<Target>>) -> String {
    let key = target.map_or("its key", |target| target.credential.source.as_str());
    match why {
        Why::Limited => "rate limited".to_owned(),
        Why::Breaker => "resting after failures".to_owned(),
        Why::Quota => format!("quota or credit of {key} is used up"),
        Why::Credential => format!("{key} was refused"),
        Why::Missing => format!("{key} does not reach this model"),
    }
}

/// Why a target was skipped, for programs.
fn gist(skip: Skip) -> String {
    match skip {
        Skip::Unspeakable(what) => format!("cannot be told {what}"),
        Skip::PromptTooLong { window } => format!("takes {window} tokens of prompt"),
        other => other.name().to_owned(),
    }
}

/// Why a target was skipped, for people.
fn reason(skip: Skip) -> String {
    let words = match skip {
        Skip::Unspeakable(what) => return format!("its wire has no words for {what}"),
        Skip::PromptTooLong { .. } => return gist(skip),
        Skip::WindowUnknown => "the prompt was too long elsewhere, and how much it takes is unknown",
        Skip::NoTools => "calls no functions",
        Skip::NoSchema => "answers in no schema",
        Skip::NoImages => "reads no pictures",
        Skip::NoAudio => "hears no sound",
        Skip::NoFiles => "reads no documents",
        Skip::NotAllowed => "not allowed for this caller",
        Skip::SameCredential => "its key was refused through another target",
    };
    words.to_owned()
}

/// The class of a failed request, for the log: of its last fault, or of what its targets rest from.
fn class_of(exhausted: &Exhausted, attempt: &Attempt) -> &'static str {
    if let Some(fault) = &exhausted.last {
        return fault.class.name();
    }
    let rests = attempt.trail().iter().filter_map(|entry| match entry.result {
        EntryResult::Closed(why, _) => Some(match why {
            Why::Limited => (FailureKind::Limited, Class::RateLimited),
            Why::Breaker => (FailureKind::Overloaded, Class::Overloaded),
            Why::Quota => (FailureKind::Quota, Class::Quota),
            Why::Credential => (FailureKind::Misconfigured, Class::Auth),
            Why::Missing => (FailureKind::Misconfigured, Class::Config),
        }),
        _ => None,
    });
    let mut told = rests.filter(|(kind, _)| *kind == exhausted.kind).map(|(_, class)| class.name());
    told.next().unwrap_or(exhausted.kind.name())
}

/// What the caller is told.
fn failure(exhausted: Exhausted, trail: Arc<Trail>, chain: &Chain) -> Failure {
    let Exhausted { kind, retry_after, last: fault } = exhausted;
    let name = &chain.name;
    let words = fault.as_ref().map(|fault| fault.message.as_str()).filter(|words| !words.is_empty());
    let message = match (kind, words) {
        (FailureKind::ClientFault, Some(words)) => words.to_owned(),
        (kind, words) => {
            let (what, uncalled) = (headline(kind, &trail), trail.uncalled());
            match words {
                Some(words) => format!("`{name}`: {what}; last: {words}"),
                None if uncalled.is_empty() => format!("`{name}`: {what}"),
                None => format!("`{name}`: {what}; {uncalled}"),
            }
        }
    };
    // A provider's code says something to the caller only where the caller is at fault.
    let own = fault.filter(|_| kind == FailureKind::ClientFault);
    let (code, param) = own.map_or((None, None), |fault| (fault.code, fault.param));
    let (code, param) = (code.map(String::from), param.map(String::from));
    Failure { kind, message, code, param, retry_after, trail }
}

fn headline(kind: FailureKind, trail: &Trail) -> &'static str {
    let unknown = Skip::WindowUnknown.name();
    match kind {
        FailureKind::TooLong if trail.attempts.iter().any(|attempt| attempt.gist == unknown) => {
            "the prompt was too long for one target, and how much the others take is unknown"
        }
        FailureKind::ClientFault => "the request was refused as wrong",
        FailureKind::TooLong => "the prompt is longer than any target of this route takes",
        FailureKind::Refused => "the request was declined by a content policy",
        FailureKind::Limited => "every target is rate limited",
        FailureKind::Overloaded => "every target is overloaded or resting after failures",
        FailureKind::Timeout => "no target answered in time",
        FailureKind::Broken => "every target failed",
        FailureKind::Exhausted => {
            "the gateway itself has no file descriptors left for connections to providers: its operator must allow it \
             more"
        }
        FailureKind::Quota => "every target's quota or credit is used up",
        FailureKind::Misconfigured => "no target could be used with its key and model: the operator must act",
        FailureKind::NoTarget => "no target of this route can serve this request",
        FailureKind::Deadline => "the deadline passed before any target answered",
        FailureKind::Cancelled => "the caller left",
    }
}
