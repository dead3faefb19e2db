//! What is remembered of a target between requests, behind short locks.
//!
//! A critical section is a few comparisons: no IO, no allocation, never across an await. A request takes the locks
//! in one order: credential, limit domain, breaker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use unfail_config::TargetRef;
use unfail_policy::attempt::Why;
use unfail_policy::breaker::{self, Breaker};
use unfail_policy::classify::{Class, Close, Fault};
use unfail_policy::gate::{self, Gate};
use unfail_policy::time::Time;

use crate::world::World;

/// Domains remembered at once; callers may name any model of a provider, so there must be an end.
const DOMAINS_MAX: usize = 10_000;

/// The cells of one target.
#[derive(Debug, Clone)]
pub(crate) struct Cells {
    /// The key, for all models.
    credential: Arc<Mutex<Account>>,
    /// The limit domain (key × model) and whether the model exists for the key.
    domain: Arc<Mutex<Domain>>,
    /// Endpoint × model.
    breaker: Arc<Mutex<Breaker>>,
}

/// What is remembered of a key: whether it may be used, and why not.
#[derive(Debug)]
struct Account {
    gate: Gate,
    /// What closed it last: the bill, or the key itself.
    why: Why,
}

impl Account {
    fn new() -> Self {
        Self { gate: Gate::default(), why: Why::Credential }
    }

    /// Remembers what `fault` says about the key.
    fn blame(&mut self, fault: &Fault) {
        if matches!(fault.close, Close::Credential(_)) {
            self.why = if fault.class == Class::Quota { Why::Quota } else { Why::Credential };
        }
    }
}

#[derive(Debug)]
struct Domain {
    /// Its number among all domains.
    number: u32,
    limit: Gate,
    missing: Gate,
}

/// All cells of the process. They outlive a configuration: a reload forgets nothing.
#[derive(Debug, Default)]
pub(crate) struct CellRegistry {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    credentials: HashMap<String, Arc<Mutex<Account>>>,
    domains: HashMap<String, Arc<Mutex<Domain>>>,
    breakers: HashMap<TargetRef, Arc<Mutex<Breaker>>>,
}

/// Names of the three domains of a target. They are different keys and never merged.
#[derive(Debug, Clone)]
pub(crate) struct DomainNames {
    /// Provider and key.
    pub(crate) credential: String,
    /// Provider, key and model.
    pub(crate) limit: String,
    /// Provider and model.
    pub(crate) breaker: TargetRef,
}

/// What a call brings along to the cells it asks: it belongs to its request, not to the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTerms {
    /// The longest it may take until its answer has content.
    pub(crate) lasts: Duration,
    /// How long its limit domain rests after a rejection that states no wait.
    pub(crate) cooldown: Duration,
}

impl CellRegistry {
    /// The cells of a target, made when they are first asked for; `settings` are those of a new breaker.
    pub(crate) fn cells(&self, names: &DomainNames, settings: breaker::Settings) -> Cells {
        let mut known = lock(&self.known);
        if known.domains.len() >= DOMAINS_MAX {
            // Whatever holds a cell keeps it; only names nobody uses are forgotten.
            known.domains.retain(|_, cell| Arc::strong_count(cell) > 1);
            known.breakers.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        let credential = known
            .credentials
            .entry(names.credential.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Account::new())))
            .clone();
        let number = u32::try_from(known.domains.len()).unwrap_or(u32::MAX);
        let domain = known
            .domains
            .entry(names.limit.clone())
            .or_insert_with(|| {
                Arc::new(Mutex::new(Domain { number, limit: Gate::default(), missing: Gate::default() }))
            })
            .clone();
        let breaker = known
            .breakers
            .entry(names.breaker.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Breaker::new(settings))))
            .clone();
        Cells { credential, domain, breaker }
    }

    /// Gives every breaker the settings of its target; what it knows and where it stands remain.
    pub(crate) fn retune(&self, settings: impl Fn(&TargetRef) -> breaker::Settings) {
        for (target, breaker) in &lock(&self.known).breakers {
            lock(breaker).retune(settings(target));
        }
    }
}

/// Why a target may not be called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) until: Time,
    pub(crate) why: Why,
}

impl Cells {
    /// Number of the limit domain.
    pub(crate) fn number(&self) -> u32 {
        lock(&self.domain).number
    }

    /// Leave to send one call now, from every memory or from none.
    pub(crate) fn ask(&self, world: World, terms: CallTerms, now: Time) -> Result<Flight, Shut> {
        let permits = Some(Permits::default());
        let mut flight = Flight { cells: self.clone(), world, cooldown: terms.cooldown, permits };
        let shut = flight.board(now, terms.lasts);
        match shut {
            None => Ok(flight),
            Some(shut) => Err(shut),
        }
    }
}

/// A call under way, to the end of its answer: reports to every memory how it went, also when it is just dropped.
///
/// ```text
///             succeeded              broke off: failed
///   Flying ─────────────▶ Answering ───────────────────▶ Over
///     │                        └── complete, caller left ──▲
///     └── failed, never sent, caller left ─────────────────┘
/// ```
///
/// Nobody waits for the end of a stream to learn that the target answers, so content is reported when it comes. A
/// stream that breaks off takes that back: the breaker counts the call once, and a limit that rejected the rest of it
/// closes its gate.
#[derive(Debug)]
pub(crate) struct Flight {
    cells: Cells,
    world: World,
    cooldown: Duration,
    /// Taken when nothing more is to be reported.
    permits: Option<Permits>,
}

#[derive(Debug, Default)]
struct Permits {
    credential: Option<gate::Permit>,
    limit: Option<gate::Permit>,
    missing: Option<gate::Permit>,
    breaker: Option<breaker::Permit>,
    /// The answer has content.
    answering: bool,
}

impl Flight {
    /// Collects the permits; what was collected is given back by `drop` when one is refused.
    fn board(&mut self, now: Time, lasts: Duration) -> Option<Shut> {
        let permits = self.permits.as_mut()?;
        {
            let mut account = lock(&self.cells.credential);
            match account.gate.ask(now, lasts) {
                gate::Ask::Go(permit) => permits.credential = Some(permit),
                gate::Ask::No { until } => return Some(Shut { until, why: account.why }),
            }
        }
        {
            let mut domain = lock(&self.cells.domain);
            match domain.missing.ask(now, lasts) {
                gate::Ask::Go(permit) => permits.missing = Some(permit),
                gate::Ask::No { until } => return Some(Shut { until, why: Why::Missing }),
            }
            match domain.limit.ask(now, lasts) {
                gate::Ask::Go(permit) => permits.limit = Some(permit),
                gate::Ask::No { until } => return Some(Shut { until, why: Why::Limited }),
            }
        }
        match lock(&self.cells.breaker).ask(now, lasts, &mut self.world.random()) {
            breaker::Ask::Go(permit) => permits.breaker = Some(permit),
            breaker::Ask::No { until } => return Some(Shut { until, why: Why::Breaker }),
        }
        None
    }

    /// The answer has content.
    pub(crate) fn succeeded(&mut self, first_token: Duration) {
        let Some(permits) = &mut self.permits else { return };
        permits.answering = true;
        if let Some(permit) = &mut permits.credential {
            lock(&self.cells.credential).gate.succeeded(permit);
        }
        {
            let mut domain = lock(&self.cells.domain);
            if let Some(permit) = &mut permits.missing {
                domain.missing.succeeded(permit);
            }
            if let Some(permit) = &mut permits.limit {
                domain.limit.succeeded(permit);
            }
        }
        if let Some(permit) = &mut permits.breaker {
            lock(&self.cells.breaker).succeeded(permit, self.world.now(), first_token);
        }
    }

    /// The target failed, or its answer broke off.
    pub(crate) fn failed(&mut self, fault: &Fault) {
        let Some(permits) = self.permits.take() else { return };
        let now = self.world.now();
        let (mut credential, mut limit, mut missing) = (None, None, None);
        match fault.close {
            Close::Nothing => {}
            Close::Credential(wait) => credential = Some((wait, gate::Settings::CREDENTIAL)),
            Close::Domain(wait) => limit = Some((wait, gate::Settings::limit(self.cooldown))),
            Close::Target(wait) => missing = Some((wait, gate::Settings::TARGET)),
        }
        if let Some(permit) = permits.credential {
            let mut account = lock(&self.cells.credential);
            account.blame(fault);
            settle(&mut account.gate, permit, now, credential);
        }
        {
            let mut domain = lock(&self.cells.domain);
            if let Some(permit) = permits.missing {
                settle(&mut domain.missing, permit, now, missing);
            }
            if let Some(permit) = permits.limit {
                settle(&mut domain.limit, permit, now, limit);
            }
        }
        if let Some(permit) = permits.breaker {
            lock(&self.cells.breaker).settle(permit, now, fault);
        }
    }
}

impl Drop for Flight {
    /// Never sent, or the caller left: says nothing about the target, and a probe goes to the next. An answer that is
    /// complete, or was left in the middle, has been reported.
    fn drop(&mut self) {
        let Some(permits) = self.permits.take().filter(|permits| !permits.answering) else { return };
        let now = self.world.now();
        if let Some(permit) = permits.credential {
            lock(&self.cells.credential).gate.dropped(permit, now);
        }
        {
            let mut domain = lock(&self.cells.domain);
            if let Some(permit) = permits.missing {
                domain.missing.dropped(permit, now);
            }
            if let Some(permit) = permits.limit {
                domain.limit.dropped(permit, now);
            }
        }
        if let Some(permit) = permits.breaker {
            lock(&self.cells.breaker).dropped(permit, now);
        }
    }
}

/// How a fault closes a gate: the wait that was stated, and the pauses where none was.
type Closing = (Option<Duration>, gate::Settings);

/// `closing` when this gate is what the fault closes. Otherwise the fault says nothing about it.
fn settle(gate: &mut Gate, permit: gate::Permit, now: Time, closing: Option<Closing>) {
    match closing {
        Some((wait, pauses)) => gate.limited(permit, now, wait, pauses),
        None => gate.dropped(permit, now),
    }
}

/// A poisoned cell is used on: its state is a few numbers that are valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
