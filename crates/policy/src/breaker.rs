//! The circuit breaker of one target: stops calls to what fails, looks carefully whether it is back, and lets
//! traffic return gradually.
//!
//! Sees outcomes only. It neither sends nor waits; a permit is a value that the shell wraps in a guard, so that a
//! dropped probe is given back.
//!
//! Every call is counted once. An answer with content has succeeded, without waiting for the end of its stream; when
//! the stream breaks off later, the call's failure takes the place of its success.

use crate::backoff;
use crate::classify::{Blame, Class, Close, Fault};
use crate::time::{self, Random, Time};
use crate::window::{Baseline, Tally, Window};
use std::time::Duration;

/// While a probe is out, others look again this often.
const PROBE_POLL: Duration = Duration::from_millis(200);
/// Window in which unexpected rejections by a limit are counted, and how many of them open the breaker.
const LIMITED_WINDOW: Duration = Duration::from_secs(60);
const LIMITED_MOST: u32 = 3;
/// A target that works for this long is forgiven one of its past openings.
const FORGIVEN_AFTER: Duration = Duration::from_secs(300);
/// Openings are this much shorter or longer by chance, so that breakers tripped at one moment do not return at one moment.
const SPREAD: f64 = 0.2;
/// Slow means this many times the usual first-token p95.
const SLOW_FACTOR: u32 = 3;
/// Share of the earlier rate a ramp begins with, and calls per second below which no ramp holds back: fewer are
/// no storm.
const RAMP_START: f64 = 0.1;
const RAMP_FLOOR: f64 = 1.0;
/// Calls and share of failures that end a ramp.
const RAMP_CALLS: u32 = 5;
const RAMP_FAILS: f64 = 0.5;

/// When a breaker trips and how it recovers. The defaults are those of the literature (Envoy, Linkerd,
/// resilience4j), fitted to calls that take seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Failures in a row that trip it.
    pub consecutive: u32,
    /// Share of failed calls in the window that trips it.
    pub error_rate: f64,
    /// Share of slow calls in the window that trips it.
    pub slow_rate: f64,
    /// No rate is judged on fewer calls.
    pub min_calls: u32,
    /// How far back rates look.
    pub window: Duration,
    /// A first token is never slow before this.
    pub slow: Duration,
    /// The first opening.
    pub open: Duration,
    /// The longest opening.
    pub open_max: Duration,
    /// Successes in a row that end the probing.
    pub probes: u32,
    /// How long traffic takes to return.
    pub ramp: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive: 5,
            error_rate: 0.5,
            slow_rate: 0.8,
            min_calls: 10,
            window: Duration::from_secs(30),
            slow: Duration::from_secs(10),
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(120),
            probes: 2,
            ramp: Duration::from_secs(30),
        }
    }
}

/// A breaker.
///
/// ```text
///            trip                  until passed              probes succeeded
///   Closed ───────▶ Open{until} ─────────────────▶ HalfOpen ─────────────────▶ Ramp
///     ▲               ▲   ▲                           │                        │ │
///     │               │   └──── fail, limit, lost ────┘                        │ │
///     │               └───────────────── too many fail ───────────────────────┘ │
///     └───────────────────────────────── ramp over ─────────────────────────────┘
/// ```
///
/// Trips when failures come in a row, when the share of failed or slow calls is too large, or when a limit rejects
/// calls it should have let pass three times in a minute.
///
/// A probe has succeeded with its first content, and is lost when it was not heard of for as long as its call may
/// take. A stream that breaks off counts where the breaker stands by then:
///
/// ```text
///   the same stay   its failure replaces its success; a row of failures goes on if no other call succeeded since
///   HalfOpen        the probe has failed after all
///   Ramp, Closed    one failed call
///   opened since    nothing: permits from before an opening or its probing are void
/// ```
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    state: State,
    /// Counts every move, so that a permit knows in which stay it was given.
    stay: u64,
    /// Permits of an earlier stay are void: the breaker opened, or began to probe, since they were given.
    valid_from: u64,
    window: Window,
    limited: Window,
    baseline: Baseline,
    /// Failures in a row.
    streak: u32,
    /// Counts every success that broke a row of failures, or would have.
    successes: u64,
    /// Openings that are not yet forgiven.
    opens: u32,
    /// When it last closed.
    closed_at: Time,
    /// Calls per second before it tripped.
    rate: f64,
    /// Chance drawn at the last ask, `0.0..1.0`, for the next opening.
    draw: f64,
    forced: Option<Forced>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed,
    Open {
        until: Time,
    },
    /// `probe` is when the probe that is out will be lost.
    HalfOpen {
        probe: Option<Time>,
        passed: u32,
    },
    Ramp {
        since: Time,
        filled: Time,
        tokens: f64,
        seen: Tally,
    },
}

/// What an operator ordered; it holds until it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// Let nothing pass.
    Open,
    /// Let everything pass.
    Closed,
}

/// Where a breaker stands, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Everything passes.
    Closed,
    /// Nothing passes until then.
    Open {
        /// End of the opening.
        until: Time,
    },
    /// One probe at a time passes.
    HalfOpen,
    /// A growing share passes.
    Ramp,
}

/// Leave to send one call. Reported back once: as failed, limited or dropped, or, when all went well, as succeeded
/// and then let go.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not reported counts as a failed probe"]
pub struct Permit {
    stay: u64,
    at: Time,
    /// Its call has had content.
    success: Option<Success>,
}

/// A success that was counted and may have to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Success {
    stay: u64,
    at: Time,
    tally: Tally,
    /// Its number among all successes.
    number: u64,
    /// Failures in a row before it.
    streak: u32,
}

/// The answer of a breaker.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// Send.
    Go(Permit),
    /// Not now; ask again then.
    No {
        /// Always later than the moment of asking.
        until: Time,
    },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed,
            stay: 0,
            valid_from: 0,
            window: Window::new(settings.window),
            limited: Window::new(LIMITED_WINDOW),
            baseline: Baseline::default(),
            streak: 0,
            successes: 0,
            opens: 0,
            closed_at: Time::ZERO,
            rate: 0.0,
            draw: 0.5,
            forced: None,
        }
    }

    /// Other settings from now on; what is known and where it stands remain. An opening that has begun keeps its
    /// length.
    pub fn retune(&mut self, settings: Settings) {
        if settings.window != self.settings.window {
            self.window = self.window.resized(settings.window);
        }
        self.settings = settings;
    }

    /// May a call be sent now? `lasts` is the longest that it may take until its answer has content.
    pub fn ask(&mut self, now: Time, lasts: Duration, random: &mut dyn Random) -> Ask {
        self.draw = time::unit(random);
        match self.forced {
            Some(Forced::Open) => return Ask::No { until: Time::MAX },
            Some(Forced::Closed) => return self.go(now),
            None => {}
        }
        self.pass_time(now);
        match self.state {
            State::Closed => self.go(now),
            State::Open { until } => Ask::No { until },
            State::HalfOpen { probe: Some(lost), .. } => Ask::No { until: (now + PROBE_POLL).min(lost) },
            State::HalfOpen { probe: None, passed } => {
                self.state = State::HalfOpen { probe: Some(now + lasts), passed };
                self.go(now)
            }
            State::Ramp { since, filled, tokens, seen } => {
                let rate = self.ramp_rate(now.since(since));
                let filled_up = (tokens + rate * now.since(filled).as_secs_f64()).min(1.0);
                let goes = filled_up >= 1.0;
                let tokens = if goes { filled_up - 1.0 } else { filled_up };
                self.state = State::Ramp { since, filled: now, tokens, seen };
                if goes {
                    return self.go(now);
                }
                // A nanosecond more than exact, so that the next ask is never just too early.
                let wait = Duration::from_secs_f64((1.0 - tokens) / rate) + Duration::from_nanos(1);
                Ask::No { until: now + wait }
            }
        }
    }

    /// The call's answer has content, `first_token` after it was sent. Should the answer break off later, the permit
    /// is reported again, as failed.
    pub fn succeeded(&mut self, permit: &mut Permit, now: Time, first_token: Duration) {
        self.answers(permit, now, Some(first_token));
    }

    /// The call brought an answer all at once: that took as long as the answer is, and says nothing about first
    /// tokens.
    pub fn answered_whole(&mut self, permit: &mut Permit, now: Time) {
        self.answers(permit, now, None);
    }

    fn answers(&mut self, permit: &mut Permit, now: Time, first_token: Option<Duration>) {
        if permit.success.is_some() || self.is_void(permit) {
            return;
        }
        let slow = self.state == State::Closed && first_token.is_some_and(|taken| taken > self.slow_after());
        let tally = Tally { calls: 1, fails: 0, slow: u32::from(slow) };
        self.successes = self.successes.wrapping_add(1);
        let (stay, number, streak) = (self.stay, self.successes, self.streak);
        permit.success = Some(Success { stay, at: now, tally, number, streak });
        match self.state {
            State::Closed => {
                if let Some(first_token) = first_token {
                    self.baseline.add(first_token);
                }
                self.streak = 0;
                self.judge(now, tally, None);
            }
            State::HalfOpen { passed, .. } if passed + 1 >= self.settings.probes => {
                self.enter(State::Ramp { since: now, filled: now, tokens: 1.0, seen: Tally::default() });
            }
            State::HalfOpen { passed, .. } => {
                self.state = State::HalfOpen { probe: None, passed: passed + 1 };
            }
            State::Ramp { .. } => self.judge_ramp(now, tally, None),
            State::Open { .. } => {}
        }
    }

    /// The call failed in a way that counts against the target.
    pub fn failed(&mut self, permit: Permit, now: Time) {
        self.fail(&permit, now, false, None);
    }

    /// The call ran into a time limit: it failed and it was slow.
    pub fn slow(&mut self, permit: Permit, now: Time) {
        self.fail(&permit, now, true, None);
    }

    /// The call was rejected by a limit; `wait` is what the provider stated. In normal traffic only repeated
    /// rejections count; a probe that is rejected has failed.
    pub fn limited(&mut self, permit: Permit, now: Time, wait: Option<Duration>) {
        if self.is_void(&permit) {
            return;
        }
        if matches!(self.state, State::HalfOpen { .. }) {
            self.trip(now, wait);
            return;
        }
        self.limited.add(now, Tally { calls: 1, ..Tally::default() });
        if self.limited.total(now).calls >= LIMITED_MOST {
            // The limit is at fault, not the target: the count of openings stays.
            let wait = wait.unwrap_or(self.settings.open);
            self.open(now, now + wait);
        }
    }

    /// The call was never sent or its caller left: a probe or a ramp's token is given back. A call that was left
    /// when it was already slow counts as slow. One that had content is counted already.
    pub fn dropped(&mut self, permit: Permit, now: Time) {
        let slow = now.since(permit.at) > self.slow_after();
        let judged = permit.success.is_some() || self.is_void(&permit);
        if slow && !judged && self.state == State::Closed {
            self.judge(now, Tally { calls: 1, fails: 0, slow: 1 }, None);
        } else {
            self.give_back(&permit);
        }
    }

    /// What came of the call says nothing about the target: a probe or a ramp's token is given back.
    pub fn excused(&mut self, permit: Permit) {
        self.give_back(&permit);
    }

    /// Reports a fault as its class demands: the one place where classes meet the breaker.
    pub fn settle(&mut self, permit: Permit, now: Time, fault: &Fault) {
        if fault.blame != Blame::Target {
            return self.give_back(&permit);
        }
        match fault.class {
            Class::PreSend | Class::Transient | Class::Overloaded | Class::Malformed | Class::MidStream => {
                self.fail(&permit, now, false, fault.wait);
            }
            Class::Timeout => self.slow(permit, now),
            Class::RateLimited if fault.close != Close::Nothing => self.limited(permit, now, fault.wait),
            Class::Cancelled => self.dropped(permit, now),
            // The target answered, and what it said is about the request, the key or the bill.
            Class::RateLimited
            | Class::Quota
            | Class::Auth
            | Class::Config
            | Class::TooLong
            | Class::Refused
            | Class::ClientBug => self.give_back(&permit),
        }
    }

    /// Holds the breaker open or closed whatever happens, or (`None`) lets it decide again.
    pub fn force(&mut self, forced: Option<Forced>) {
        self.forced = forced;
    }

    /// What an operator ordered.
    #[must_use]
    pub const fn forced(&self) -> Option<Forced> {
        self.forced
    }

    /// Where it stands by its own judgement.
    #[must_use]
    pub const fn position(&self) -> Position {
        match self.state {
            State::Closed => Position::Closed,
            State::Open { until } => Position::Open { until },
            State::HalfOpen { .. } => Position::HalfOpen,
            State::Ramp { .. } => Position::Ramp,
        }
    }

    // === moves ===

    /// Moves that time alone makes.
    fn pass_time(&mut self, now: Time) {
        match self.state {
            State::Open { until } if now >= until => {
                self.enter(State::HalfOpen { probe: None, passed: 0 });
            }
            State::HalfOpen { probe: Some(lost), .. } if now >= lost => self.trip(now, None),
            State::Ramp { since, .. } if now.since(since) >= self.settings.ramp => {
                self.closed_at = now;
                self.enter(State::Closed);
            }
            _ => {}
        }
    }

    fn fail(&mut self, permit: &Permit, now: Time, slow: bool, wait: Option<Duration>) {
        if self.is_void(permit) {
            return;
        }
        let mut tally = Tally { calls: 1, fails: 1, slow: u32::from(slow) };
        let taken_back = permit.success.filter(|success| success.stay == self.stay);
        match &mut self.state {
            State::Closed => {
                if let Some(success) = taken_back {
                    self.window.take_back(success.at, success.tally);
                    tally.slow = tally.slow.max(success.tally.slow);
                    if success.number == self.successes {
                        // No other call succeeded since: the row it broke goes on.
                        self.successes = success.number.wrapping_sub(1);
                        self.streak = self.streak.saturating_add(success.streak);
                    }
                }
                self.streak = self.streak.saturating_add(1);
                self.judge(now, tally, wait);
            }
            State::HalfOpen { .. } => self.trip(now, wait),
            State::Ramp { seen, .. } => {
                seen.take_back(taken_back.map(|success| success.tally).unwrap_or_default());
                self.judge_ramp(now, tally, wait);
            }
            State::Open { .. } => {}
        }
    }

    fn judge(&mut self, now: Time, tally: Tally, wait: Option<Duration>) {
        self.window.add(now, tally);
        let Tally { calls, fails, slow } = self.window.total(now);
        let settings = &self.settings;
        let share = |part: u32| f64::from(part) / f64::from(calls.max(1));
        let rates = share(fails) >= settings.error_rate || share(slow) >= settings.slow_rate;
        if self.streak >= settings.consecutive || (calls >= settings.min_calls && rates) {
            self.trip(now, wait);
        }
    }

    fn judge_ramp(&mut self, now: Time, tally: Tally, wait: Option<Duration>) {
        if let State::Ramp { seen, .. } = &mut self.state {
            seen.add(tally);
            if seen.calls >= RAMP_CALLS && f64::from(seen.fails) >= RAMP_FAILS * f64::from(seen.calls) {
                self.trip(now, wait);
            }
        }
    }

    /// Opens, each time twice as long: `open · 2^(opens − 1)`, but never shorter than a stated wait.
    fn trip(&mut self, now: Time, wait: Option<Duration>) {
        if self.state == State::Closed {
            let forgiven = now.since(self.closed_at).as_secs() / FORGIVEN_AFTER.as_secs();
            self.opens = self.opens.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        }
        let guess = backoff::doubled(self.settings.open, self.settings.open_max, self.opens);
        self.opens = self.opens.saturating_add(1);
        let spread = 1.0 - SPREAD + 2.0 * SPREAD * self.draw;
        self.open(now, now + backoff::scaled(guess, spread).max(wait.unwrap_or_default()));
    }

    fn open(&mut self, now: Time, until: Time) {
        if self.state == State::Closed {
            let calls = f64::from(self.window.total(now).calls.max(self.limited.total(now).calls));
            self.rate = calls / self.settings.window.as_secs_f64().max(1.0);
        }
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.stay += 1;
        if matches!(state, State::Open { .. } | State::HalfOpen { .. }) {
            self.valid_from = self.stay;
        }
        self.state = state;
        self.streak = 0;
        self.window.clear();
        self.limited.clear();
    }

    // === leaves ===

    fn go(&self, now: Time) -> Ask {
        Ask::Go(Permit { stay: self.stay, at: now, success: None })
    }

    fn is_void(&self, permit: &Permit) -> bool {
        permit.stay < self.valid_from
    }

    fn give_back(&mut self, permit: &Permit) {
        if permit.success.is_some() || self.is_void(permit) {
            return;
        }
        match &mut self.state {
            State::HalfOpen { probe, .. } => *probe = None,
            State::Ramp { tokens, .. } => *tokens = 1.0,
            State::Closed | State::Open { .. } => {}
        }
    }

    fn slow_after(&self) -> Duration {
        let usual = self.baseline.p95().unwrap_or_default();
        self.settings.slow.max(usual.saturating_mul(SLOW_FACTOR))
    }

    /// Calls per second a ramp admits after it has run for `run`.
    fn ramp_rate(&self, run: Duration) -> f64 {
        let done = run.as_secs_f64() / self.settings.ramp.as_secs_f64().max(1e-9);
        (self.rate * done.max(RAMP_START)).max(RAMP_FLOOR)
    }
}
