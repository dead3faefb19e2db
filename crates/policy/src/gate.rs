//! What is remembered of one limit after a provider closed it: until when, and who may look first.
//!
//! One gate guards one limit domain (or one credential, or one target). It never sends, waits or counts quota; it
//! only says who may go. A permit is a value: the shell wraps it in a guard that reports `dropped` when nothing
//! else was, so that a cancelled probe never blocks the gate.

use crate::backoff;
use crate::time::Time;
use std::time::Duration;

/// While a probe is out, others look again this often: short beside the second a probe usually takes, long beside
/// the microsecond it costs to look.
const PROBE_POLL: Duration = Duration::from_millis(200);

/// How long a gate closes when the provider does not say: `first · 2^n`, at most `most`, where `n` counts closes
/// without a success between them. They belong to the call that was rejected: routes that share a gate may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The first close.
    pub first: Duration,
    /// The longest close.
    pub most: Duration,
}

impl Settings {
    /// For a limit domain: a route's `cooldown`, growing to 15 min.
    #[must_use]
    pub const fn limit(cooldown: Duration) -> Self {
        Self { first: cooldown, most: Duration::from_secs(15 * 60) }
    }

    /// For a credential without credit or rights: 15 min growing to 6 h. Somebody must act, which may be soon.
    pub const CREDENTIAL: Self =
        Self { first: Duration::from_secs(15 * 60), most: Duration::from_secs(6 * 3600) };

    /// For a model that is not there: 5 min growing to 6 h. New models and deployments take minutes to appear.
    pub const TARGET: Self = Self { first: Duration::from_secs(5 * 60), most: Duration::from_secs(6 * 3600) };
}

/// The memory of one limit.
///
/// ```text
///            limited                    until passed, one ask
///   Open ───────────────▶ Closed{until} ─────────────────────▶ Probing{lost}
///    ▲                      ▲   ▲                                │  │  │
///    │                      │   └──────── limited ───────────────┘  │  │
///    │                      └──────────── dropped ──────────────────┘  │
///    └────────────────────────────────── succeeded ────────────────────┘
/// ```
///
/// A call has succeeded when its answer has content, and keeps its permit: others need not wait for the end of a
/// long stream, and a limit that rejects the rest of that stream still closes the gate. A probe that was not heard
/// of for as long as its call may take is lost, and another may go.
///
/// Permits of an earlier epoch (calls sent before the gate last moved) cannot reopen it; a wait one of them states
/// is still honoured, because the provider measured it just now. `until` only ever grows.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    state: State,
    /// Counts every move of the gate, so that a permit knows whether it was given by the present state.
    epoch: u64,
    /// Closes since the last success.
    closes: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Closed {
        until: Time,
    },
    Probing {
        lost: Time,
    },
}

/// Leave to send one call. Reported back once: as limited or dropped, or, when all went well, as succeeded and then
/// let go.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not reported keeps a probe out until it is taken as lost"]
pub struct Permit {
    epoch: u64,
}

/// The answer of a gate.
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

impl Gate {
    /// May a call be sent now? `lasts` is the longest that it may take.
    pub fn ask(&mut self, now: Time, lasts: Duration) -> Ask {
        match self.state {
            State::Open => Ask::Go(Permit { epoch: self.epoch }),
            State::Closed { until } if now < until => Ask::No { until },
            State::Probing { lost } if now < lost => Ask::No { until: (now + PROBE_POLL).min(lost) },
            State::Closed { .. } | State::Probing { .. } => {
                self.enter(State::Probing { lost: now + lasts });
                Ask::Go(Permit { epoch: self.epoch })
            }
        }
    }

    /// The call was accepted: its answer has content. Only the probe that is out reopens the gate.
    pub fn succeeded(&mut self, permit: &mut Permit) {
        if self.is_probe(permit) {
            self.closes = 0;
            self.enter(State::Open);
            permit.epoch = self.epoch;
        }
    }

    /// The call was rejected by the limit; `wait` is what the provider stated, `pauses` holds where it stated
    /// nothing.
    pub fn limited(&mut self, permit: Permit, now: Time, wait: Option<Duration>, pauses: Settings) {
        let fresh = permit.epoch == self.epoch;
        let until = match (wait, fresh) {
            (Some(wait), _) => now + wait,
            (None, true) => now + backoff::doubled(pauses.first, pauses.most, self.closes),
            // One flight of calls meets one limit once: without a stated wait its stragglers say nothing new.
            (None, false) => return,
        };
        if fresh {
            self.closes = self.closes.saturating_add(1);
        }
        match self.state {
            State::Closed { until: known } => self.state = State::Closed { until: known.max(until) },
            State::Open | State::Probing { .. } => self.enter(State::Closed { until }),
        }
    }

    /// The call was never sent, was cancelled, or failed in a way that says nothing about the limit: a probe is
    /// given back and the next to ask becomes the probe.
    pub fn dropped(&mut self, permit: Permit, now: Time) {
        if self.is_probe(&permit) {
            self.enter(State::Closed { until: now });
        }
    }

    /// Until when the gate is closed, for display; `None` when it is open or a probe is out.
    #[must_use]
    pub const fn closed_until(&self) -> Option<Time> {
        match self.state {
            State::Closed { until } => Some(until),
            State::Open | State::Probing { .. } => None,
        }
    }

    fn is_probe(&self, permit: &Permit) -> bool {
        permit.epoch == self.epoch && matches!(self.state, State::Probing { .. })
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }
}
