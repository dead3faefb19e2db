//! The whole resilience of one request as one machine: which target next, when to try the same again, when to
//! wait, when to stop.
//!
//! The shell asks [`Attempt::next`], performs the step, and reports with [`Attempt::saw`] what came of a call. The
//! machine sends nothing, reads no clock and remembers nothing beyond its request; what is remembered of targets
//! stands behind [`Gates`].
//!
//! The rules, in the order they are tried:
//! 1. After commit, after a fault of the caller's, or when time is up: finish.
//! 2. The same target again, if the provider never saw the request (at once, at most twice) or the route grants
//!    `retries` and the fault may pass (after a jittered backoff).
//! 3. The first target of the chain that was not called yet and is open. A closed one is passed over at once.
//! 4. When all were called or are closed: a called target whose fault may pass, after its backoff or stated wait.
//! 5. When none is ready: wait for the first to be, if that is before the deadline; else finish.
//!
//! Every send counts against `max_calls` and `max_per_target`, free ones too, but for one that a dead connection
//! swallowed: its free repeat takes its place.

use crate::backoff;
use crate::classify::{Class, Close, Fault, Limit, SameTarget};
use crate::plan::{Place, Plan, Skip};
use crate::time::{Random, Time};
use std::time::Duration;

pub use crate::verdict::{Entry, EntryResult, Failure, FailureKind, Verdict, Why};

/// Kept of the remaining time for telling the caller, and lost to the network.
const SLACK: Duration = Duration::from_millis(250);
/// With less time than this no call is worth its cost.
const LEAST: Duration = Duration::from_millis(50);
/// No wait is shorter, so that a gate that opens "now" cannot make the shell spin.
const LEAST_WAIT: Duration = Duration::from_millis(10);
/// First and longest backoff between calls to the same target.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(8);
/// Free repeats of a call its target never saw.
const FREE_REPEATS: u32 = 2;

/// A route's rules for attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The same target again before the next, for faults that may pass. Default 0: move on at once.
    pub retries: u32,
    /// Limit for opening a connection. Default 5 s.
    pub connect: Duration,
    /// Limit until the first content event. Default 60 s.
    pub first_token: Duration,
    /// Limit for an answer that is not streamed, while there are others to call: until its last byte nothing tells
    /// slow from hanging. Default 120 s.
    pub answer: Duration,
    /// Limit between two events. Default 30 s.
    pub stall: Duration,
    /// Limit for everything, waits and hops included. Default 600 s.
    pub deadline: Duration,
    /// Wait after a rate limit that states none. Default 5 s.
    pub cooldown: Duration,
    /// How long a preferred target's capacity is worth waiting for while others have some; pacing reads it. The
    /// attempt itself never waits while a target is ready, and when none is it waits up to the deadline.
    /// Default 1 s.
    pub patience: Duration,
    /// What follows a refusal. Default [`OnRefusal::Stop`].
    pub on_refusal: OnRefusal,
    /// Calls for one request over all targets. Default 4.
    pub max_calls: u32,
    /// Calls for one request to one target. Default 2.
    pub max_per_target: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            retries: 0,
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(60),
            answer: Duration::from_secs(120),
            stall: Duration::from_secs(30),
            deadline: Duration::from_secs(600),
            cooldown: Duration::from_secs(5),
            patience: Duration::from_secs(1),
            on_refusal: OnRefusal::Stop,
            max_calls: Self::CALLS,
            max_per_target: Self::PER_TARGET,
        }
    }
}

impl Rules {
    /// Calls a request may cost where its chain is short, and calls one target may get without any retry: a second
    /// credential after the first was turned down. Source: the attempt bound of the retry-budget specification.
    const CALLS: u32 = 4;
    const PER_TARGET: u32 = 2;

    /// The same rules with `retries`, and as many calls to one target as they take.
    #[must_use]
    pub fn retrying(self, retries: u32) -> Self {
        Self { retries, max_per_target: retries.saturating_add(1).max(Self::PER_TARGET), ..self }
    }

    /// The same rules with the calls a chain of so many targets takes when nobody says otherwise.
    #[must_use]
    pub fn for_chain(self, targets: usize) -> Self {
        Self { max_calls: Self::CALLS, ..self }.grown(0, targets)
    }

    /// The same rules for a chain that had `before` targets and has `after`. Where each could be called once, each
    /// still can; a limit tighter than that was meant.
    #[must_use]
    pub fn grown(self, before: usize, after: usize) -> Self {
        let count = |targets| u32::try_from(targets).unwrap_or(u32::MAX);
        let roomy = self.max_calls >= count(before);
        Self { max_calls: if roomy { self.max_calls.max(count(after)) } else { self.max_calls }, ..self }
    }

    /// The time there is for a call sent now, and the share of it that one target gets while others are left: a target
    /// that hangs must not use up the time of those that would answer.
    fn time(deadline: Time, now: Time) -> (Duration, Duration) {
        let remaining = deadline.since(now);
        let most = remaining - SLACK.min(remaining / 2);
        (most, most / 2)
    }

    /// The time that a call sent now has until `deadline`, when there are `others` to call if it fails.
    fn limits(&self, deadline: Time, now: Time, others: bool) -> Limits {
        let (most, half) = Self::time(deadline, now);
        let share = if others { half } else { most };
        Limits {
            connect: self.connect.min(most),
            first_token: self.first_token.min(share),
            stall: self.stall.min(most),
            whole: if others { self.answer.min(share) } else { share },
            deadline,
            hurry: Hurry::default(),
        }
    }
}

/// What follows when a provider declines a request by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    /// The caller is told.
    Stop,
    /// The next target is asked.
    Next,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call this target within these limits, then report with [`Attempt::saw`].
    Send {
        /// Index in the chain.
        target: usize,
        /// The time it has.
        limits: Limits,
    },
    /// Do nothing until then, or until the caller leaves.
    Wait {
        /// Always later than now and before the deadline.
        until: Time,
    },
    /// It is over; every later step is the same.
    Finish(Verdict),
}

/// The time one call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For opening a connection.
    pub connect: Duration,
    /// Until the first content event, connection included.
    pub first_token: Duration,
    /// Between two events.
    pub stall: Duration,
    /// For an answer that is not streamed, whose first token is also its last.
    pub whole: Duration,
    /// For everything: the request's own deadline.
    pub deadline: Time,
    /// Which of them the caller's own deadline made shorter than the route would have them.
    pub hurry: Hurry,
}

/// Limits that are shorter than the route's because the caller is in a hurry. Running into one says nothing about the
/// target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hurry {
    /// [`Limits::connect`].
    pub connect: bool,
    /// [`Limits::first_token`].
    pub first_token: bool,
    /// [`Limits::whole`].
    pub whole: bool,
    /// [`Limits::deadline`].
    pub deadline: bool,
}

impl Hurry {
    /// Whether a call, for a stream or for a whole answer, that ran into `late` had less time than the route gives.
    #[must_use]
    pub const fn explains(self, late: Limit, stream: bool) -> bool {
        match late {
            Limit::Connect => self.connect,
            Limit::FirstToken if stream => self.first_token,
            Limit::FirstToken => self.whole,
            Limit::Stall => false,
            Limit::Total => self.deadline,
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its first content was forwarded to the caller.
    Committed {
        /// From sending to that content.
        first_token: Duration,
    },
    /// It failed.
    Failed(Fault),
    /// The pooled connection it went by had ended before: its target has not seen it.
    Lost(Fault),
    /// Nothing was sent: the target's wire has no words for this part of the request.
    Unspeakable(&'static str),
}

/// What is remembered of targets beyond this request: limits, credentials, breakers.
pub trait Gates {
    /// May `target` be called now, within these limits? After [`Answer::Go`] the call follows at once.
    fn ask(&mut self, target: usize, now: Time, limits: &Limits) -> Answer;

    /// When `target` opens, as far as is known at `now`; not later than that for one that is open. Changes nothing.
    fn opens(&self, target: usize, now: Time) -> Time;
}

/// Whether a target may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may.
    Go,
    /// It is closed.
    Closed {
        /// When to ask again.
        until: Time,
        /// What keeps it closed.
        why: Why,
    },
}

/// The attempts of one request.
///
/// ```text
///                 Send                    Failed, Unspeakable
///   Choosing ─────────────▶ Calling ─────────────────────────▶ Choosing
///      │                       │
///      │ Finish                │ Committed, a fault that ends it
///      └─────────▶ Done ◀──────┘
/// ```
#[derive(Debug, Clone)]
pub struct Attempt {
    rules: Rules,
    deadline: Time,
    /// What it would be if the caller had not set one.
    calm: Time,
    seats: Vec<Seat>,
    state: State,
    /// The target to be asked again before any other.
    again: Option<usize>,
    too_long: bool,
    /// The most telling fault so far, and the last one.
    worst: Option<Fault>,
    last: Option<Fault>,
    counts: Counts,
    /// Calls that no target saw and that were repeated for free: they are sent, and count against no limit.
    lost: u32,
    trail: Vec<Entry>,
}

#[derive(Debug, Clone)]
enum State {
    Choosing,
    Calling { seat: usize, since: Time },
    Done(Verdict),
}

/// Calls by what they were: every call is exactly one of these.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    first: u32,
    hops: u32,
    retries: u32,
}

impl Counts {
    fn calls(self) -> u32 {
        self.first + self.hops + self.retries
    }

    /// The counter for a call to a target that was called `before` times, when `others` calls were made in all.
    fn of(&mut self, before: u32, others: u32) -> &mut u32 {
        match (before, others) {
            (0, 0) => &mut self.first,
            (0, _) => &mut self.hops,
            _ => &mut self.retries,
        }
    }
}

/// A target's part in one request.
#[derive(Debug, Clone)]
struct Seat {
    place: Place,
    /// It is not called any more.
    out: bool,
    calls: u32,
    retries: u32,
    free_repeats: u32,
    /// Of the calls, those in [`Attempt::lost`].
    lost: u32,
    /// Not called before.
    ready: Time,
    /// A backoff is owed and not drawn yet.
    owes_backoff: bool,
    /// When it is known to open, and what keeps it closed.
    opens: Option<(Time, Why)>,
}

impl Attempt {
    /// A request that begins at `started` and must end by `deadline`, or by the rules' own limit if that is
    /// sooner.
    #[must_use]
    pub fn new(rules: Rules, plan: &Plan, started: Time, deadline: Time) -> Self {
        let seat = |place: &Place| Seat {
            place: *place,
            out: place.skip.is_some(),
            calls: 0,
            retries: 0,
            free_repeats: 0,
            lost: 0,
            ready: started,
            owes_backoff: false,
            opens: None,
        };
        let mut attempt = Self {
            rules,
            deadline: deadline.min(started + rules.deadline),
            calm: started + rules.deadline,
            seats: plan.places().iter().map(seat).collect(),
            state: State::Choosing,
            again: None,
            too_long: plan.is_too_long(),
            worst: None,
            last: None,
            counts: Counts::default(),
            lost: 0,
            trail: Vec::new(),
        };
        for (target, place) in plan.places().iter().enumerate() {
            if let Some(skip) = place.skip {
                attempt.record(target, started, Duration::ZERO, EntryResult::Skipped(skip));
            }
        }
        attempt
    }

    /// What to do now. Asked again before a call was reported, the machine takes the call for abandoned and
    /// finishes.
    pub fn next(&mut self, now: Time, random: &mut dyn Random, gates: &mut dyn Gates) -> Step {
        match &self.state {
            State::Done(verdict) => return Step::Finish(verdict.clone()),
            State::Calling { .. } => return self.fail(now, FailureKind::Cancelled),
            State::Choosing => {}
        }
        if self.deadline.since(now) < LEAST {
            return self.fail(now, FailureKind::Deadline);
        }
        self.draw_backoffs(random);
        if let Some(step) = self.same_again(now, gates) {
            return step;
        }
        match self.first_ready(now, gates) {
            Ok((target, limits)) => self.send(target, now, limits),
            Err(Some(opening)) if self.in_time(opening) => Step::Wait { until: opening },
            Err(_) => {
                let kind = self.exhausted();
                self.fail(now, kind)
            }
        }
    }

    /// What came of the call that [`Step::Send`] asked for.
    pub fn saw(&mut self, now: Time, outcome: Outcome) {
        let (target, since) = match self.state {
            State::Calling { seat, since } => (seat, since),
            State::Choosing | State::Done(_) => return,
        };
        self.state = State::Choosing;
        match outcome {
            Outcome::Committed { first_token } => {
                self.record(target, since, first_token, EntryResult::Answered);
                self.state = State::Done(Verdict::Committed { target });
            }
            Outcome::Unspeakable(what) => {
                self.take_back(target);
                self.leave(target, since, Skip::Unspeakable(what));
            }
            Outcome::Failed(fault) => {
                self.record(target, since, now.since(since), failed_entry(&fault));
                self.failed(target, now, fault);
            }
            Outcome::Lost(fault) => {
                self.record(target, since, now.since(since), failed_entry(&fault));
                if let Some(seat) = self.seats.get_mut(target).filter(|seat| seat.free_repeats < FREE_REPEATS)
                {
                    seat.lost += 1;
                    self.lost += 1;
                }
                self.failed(target, now, fault);
            }
        }
    }

    /// A call is under way.
    #[must_use]
    pub const fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// Everything that happened, in order.
    #[must_use]
    pub fn trail(&self) -> &[Entry] {
        &self.trail
    }

    /// Calls sent. The first, hops and retries add up to this.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.counts.calls()
    }

    /// Calls to a target that had not been called, after the first call.
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.counts.hops
    }

    /// Calls to a target that had been called before.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.counts.retries
    }

    // === choosing ===

    fn draw_backoffs(&mut self, random: &mut dyn Random) {
        for seat in self.seats.iter_mut().filter(|seat| seat.owes_backoff) {
            let tries = seat.calls.saturating_sub(seat.lost + 1);
            seat.ready = seat.ready + backoff::full_jitter(BACKOFF, BACKOFF_MOST, tries, random);
            seat.owes_backoff = false;
        }
    }

    /// The retry that comes before any other target, while it is owed.
    fn same_again(&mut self, now: Time, gates: &mut dyn Gates) -> Option<Step> {
        let target = self.again?;
        let ready = self.seats.get(target).filter(|seat| self.callable(seat))?.ready;
        if now < ready && self.in_time(ready) {
            return Some(Step::Wait { until: ready });
        }
        self.again = None;
        let leave = (now >= ready).then(|| self.ask(target, now, gates));
        leave?.ok().map(|limits| self.send(target, now, limits))
    }

    /// The first open target, those not called yet before the others; else the soonest opening.
    fn first_ready(&mut self, now: Time, gates: &mut dyn Gates) -> Result<(usize, Limits), Option<Time>> {
        let mut soonest: Option<Time> = None;
        for called in [false, true] {
            for target in 0..self.seats.len() {
                let fits = |seat: &&Seat| self.callable(seat) && (seat.calls > 0) == called;
                let Some(ready) = self.seats.get(target).filter(fits).map(|seat| seat.ready) else {
                    continue;
                };
                let opening = if now < ready {
                    ready
                } else {
                    match self.ask(target, now, gates) {
                        Ok(limits) => return Ok((target, limits)),
                        Err(until) => until,
                    }
                };
                soonest = Some(soonest.map_or(opening, |soonest| soonest.min(opening)));
            }
        }
        Err(soonest)
    }

    fn callable(&self, seat: &Seat) -> bool {
        let calls = seat.calls.saturating_sub(seat.lost);
        !seat.out && calls < self.rules.max_per_target && self.spent() < self.rules.max_calls
    }

    /// Calls that count against the limit.
    fn spent(&self) -> u32 {
        self.counts.calls().saturating_sub(self.lost)
    }

    fn in_time(&self, moment: Time) -> bool {
        moment + SLACK <= self.deadline
    }

    fn ask(&mut self, target: usize, now: Time, gates: &mut dyn Gates) -> Result<Limits, Time> {
        let limits = self.limits(target, now, gates);
        match gates.ask(target, now, &limits) {
            Answer::Go => Ok(limits),
            Answer::Closed { until, why } => {
                self.record_closed(target, now, why, until);
                if let Some(seat) = self.seats.get_mut(target) {
                    seat.opens = Some((until, why));
                }
                Err(until.max(now + LEAST_WAIT))
            }
        }
    }

    fn send(&mut self, target: usize, now: Time, limits: Limits) -> Step {
        if let Some(seat) = self.seats.get_mut(target) {
            *self.counts.of(seat.calls, self.counts.calls()) += 1;
            seat.calls += 1;
            seat.opens = None;
        }
        self.again = None;
        self.state = State::Calling { seat: target, since: now };
        Step::Send { target, limits }
    }

    /// The time that a call to `target` has when it is sent now. Others count only if they can be called before its
    /// share of the time is over.
    fn limits(&self, target: usize, now: Time, gates: &dyn Gates) -> Limits {
        let one_more = self.spent().saturating_add(1) < self.rules.max_calls;
        let (_, share) = Rules::time(self.deadline, now);
        let in_time = |other: usize, seat: &Seat| seat.ready.max(gates.opens(other, now)) <= now + share;
        let mut seats = self.seats.iter().enumerate();
        let others = one_more
            && seats.any(|(other, seat)| other != target && self.callable(seat) && in_time(other, seat));
        let calm = self.rules.limits(self.calm, now, others);
        let limits = self.rules.limits(self.deadline, now, others);
        let hurry = Hurry {
            connect: limits.connect < calm.connect,
            first_token: limits.first_token < calm.first_token,
            whole: limits.whole < calm.whole,
            deadline: limits.deadline < calm.deadline,
        };
        Limits { hurry, ..limits }
    }

    /// A send that was none.
    fn take_back(&mut self, target: usize) {
        if let Some(seat) = self.seats.get_mut(target) {
            seat.calls = seat.calls.saturating_sub(1);
            let count = self.counts.of(seat.calls, self.counts.calls().saturating_sub(1));
            *count = count.saturating_sub(1);
        }
    }

    // === understanding a fault ===

    fn failed(&mut self, target: usize, now: Time, fault: Fault) {
        match fault.class {
            Class::ClientBug | Class::Cancelled | Class::MidStream => return self.stop(now, fault),
            Class::Refused if self.rules.on_refusal == OnRefusal::Stop => return self.stop(now, fault),
            Class::Refused | Class::Timeout | Class::Config => self.close(target, None),
            Class::TooLong => self.outgrow(target, now),
            Class::Auth => self.shut(target, now, &fault, None),
            Class::Quota => self.shut(target, now, &fault, fault.wait.map(|wait| (now + wait, Why::Quota))),
            // Larger than the whole limit: this request never fits, though others do.
            Class::RateLimited if fault.close == Close::Nothing => self.close(target, None),
            Class::RateLimited => {
                self.postpone(target, now + fault.wait.unwrap_or(self.rules.cooldown), Why::Limited);
            }
            Class::Overloaded => match fault.wait {
                Some(wait) => self.postpone(target, now + wait, Why::Breaker),
                None => self.close(target, None),
            },
            Class::Transient | Class::PreSend | Class::Malformed => self.may_pass(target, now, &fault),
        }
        let rank = |fault: &Fault| FailureKind::of(fault).rank();
        if self.worst.as_ref().is_none_or(|worst| rank(&fault) <= rank(worst)) {
            self.worst = Some(fault.clone());
        }
        self.last = Some(fault);
    }

    /// A fault that ends the request whatever else is left.
    fn stop(&mut self, now: Time, fault: Fault) {
        let kind = FailureKind::of(&fault);
        self.worst = Some(fault.clone());
        self.last = Some(fault);
        self.fail(now, kind);
    }

    fn may_pass(&mut self, target: usize, now: Time, fault: &Fault) {
        let granted = self.rules.retries;
        let Some(seat) = self.seats.get_mut(target) else { return };
        seat.ready = now;
        match (fault.same_target, fault.wait) {
            (SameTarget::Never, _) => seat.out = true,
            (_, Some(wait)) => self.postpone(target, now + wait, Why::Breaker),
            (SameTarget::Free, None) if seat.free_repeats < FREE_REPEATS => {
                seat.free_repeats += 1;
                self.again = Some(target);
            }
            (SameTarget::Free | SameTarget::Once, None) => {
                seat.owes_backoff = true;
                if seat.retries < granted {
                    seat.retries += 1;
                    self.again = Some(target);
                }
            }
        }
    }

    /// It may be called again, then.
    fn postpone(&mut self, target: usize, until: Time, why: Why) {
        if let Some(seat) = self.seats.get_mut(target) {
            seat.ready = until;
            seat.opens = Some((until, why));
        }
    }

    /// It is not called again for this request.
    fn close(&mut self, target: usize, opens: Option<(Time, Why)>) {
        if let Some(seat) = self.seats.get_mut(target) {
            seat.out = true;
            seat.opens = opens;
        }
    }

    /// Closes it and, when the credential is at fault, every target that shares it.
    fn shut(&mut self, target: usize, now: Time, fault: &Fault, opens: Option<(Time, Why)>) {
        self.close(target, opens);
        let Some(credential) = self.seats.get(target).map(|seat| seat.place.credential) else { return };
        if matches!(fault.close, Close::Credential(_)) {
            self.leave_where(now, |place| (place.credential == credential).then_some(Skip::SameCredential));
        }
    }

    /// The prompt did not fit: only strictly larger windows are left. One of unknown size counts as smallest.
    fn outgrow(&mut self, target: usize, now: Time) {
        self.close(target, None);
        let refused = self.seats.get(target).and_then(|seat| seat.place.window).unwrap_or(0);
        self.leave_where(now, |place| match place.window {
            None => Some(Skip::WindowUnknown),
            Some(window) => (window <= refused).then_some(Skip::PromptTooLong { window }),
        });
    }

    fn leave_where(&mut self, now: Time, skip: impl Fn(&Place) -> Option<Skip>) {
        for target in 0..self.seats.len() {
            let left = self.seats.get(target).filter(|seat| !seat.out).and_then(|seat| skip(&seat.place));
            if let Some(skip) = left {
                self.leave(target, now, skip);
            }
        }
    }

    fn leave(&mut self, target: usize, now: Time, skip: Skip) {
        self.close(target, None);
        self.record(target, now, Duration::ZERO, EntryResult::Skipped(skip));
    }

    // === the end ===

    /// The most telling reason among faults seen and targets closed.
    fn exhausted(&self) -> FailureKind {
        let closed = self.seats.iter().filter(|seat| !seat.out).filter_map(|seat| seat.opens);
        let seen = self.worst.as_ref().map(FailureKind::of);
        let kinds = closed.map(|(_, why)| why.kind()).chain(seen);
        let none = if self.too_long { FailureKind::TooLong } else { FailureKind::NoTarget };
        kinds.min_by_key(|kind| kind.rank()).unwrap_or(none)
    }

    fn fail(&mut self, now: Time, kind: FailureKind) -> Step {
        let openings = self.seats.iter().filter_map(|seat| seat.opens).map(|(until, _)| until.since(now));
        let soonest = openings.filter(|wait| !wait.is_zero()).min();
        let retry_after = soonest.filter(|_| kind.may_pass());
        let same_kind = |fault: &Fault| FailureKind::of(fault).rank() == kind.rank();
        let last = self.worst.take().filter(same_kind).or_else(|| self.last.take());
        let verdict = Verdict::Failed(Box::new(Failure { kind, retry_after, last }));
        self.state = State::Done(verdict.clone());
        Step::Finish(verdict)
    }

    fn record(&mut self, target: usize, at: Time, took: Duration, result: EntryResult) {
        self.trail.push(Entry { target, at, took, result });
    }

    /// A target that stays closed is recorded once, with its latest opening.
    fn record_closed(&mut self, target: usize, now: Time, why: Why, until: Time) {
        let last = self.trail.iter_mut().rev().find(|entry| entry.target == target);
        match last.map(|entry| &mut entry.result) {
            Some(EntryResult::Closed(known, known_until)) if *known == why => *known_until = until,
            _ => self.record(target, now, Duration::ZERO, EntryResult::Closed(why, until)),
        }
    }
}

fn failed_entry(fault: &Fault) -> EntryResult {
    EntryResult::Failed(Box::new(fault.clone()))
}
