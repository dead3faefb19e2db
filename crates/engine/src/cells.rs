//! What is remembered of a target between requests, behind short locks.
//!
//! A critical section is a few comparisons: no IO, no allocation, never across an await. A request takes the locks
//! in one order: credential, limit domain, breaker.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use unfail_config::TargetRef;
use unfail_policy::attempt::Why;
use unfail_policy::breaker::{self, Breaker, Position};
use unfail_policy::classify::{Class, Close, Fault};
use unfail_policy::gate::{self, Gate};
use unfail_policy::time::Time;

use crate::world::World;

/// Domains remembered at once; callers may name any model of a provider, so there must be an end.
const DOMAINS_MAX: usize = 10_000;
/// Forgetting goes on until there is room for so many more, so that it is not done for every new name.
const ROOM: usize = DOMAINS_MAX / 4;

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
    /// A call has been answered: the model exists, and nobody made its name up.
    confirmed: bool,
}

impl Domain {
    fn new(number: u32) -> Self {
        Self { number, limit: Gate::default(), missing: Gate::default(), confirmed: false }
    }

    /// Calls would be turned away at `now`.
    fn is_shut(&self, now: Time) -> bool {
        [&self.limit, &self.missing].into_iter().filter_map(Gate::closed_until).any(|until| now < until)
    }
}

/// All cells of the process. They outlive a configuration: a reload forgets nothing.
#[derive(Debug, Default)]
pub(crate) struct CellRegistry {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    credentials: HashMap<String, Arc<Mutex<Account>>>,
    domains: HashMap<String, Remembered>,
    breakers: HashMap<TargetRef, Arc<Mutex<Breaker>>>,
    /// Domains ever made.
    made: u32,
    /// Some are to be forgotten when there are so many; 0 before the first.
    full: usize,
}

/// A limit domain, and the breaker of its target, which is kept for as long.
#[derive(Debug)]
struct Remembered {
    domain: Arc<Mutex<Domain>>,
    breaker: Arc<Mutex<Breaker>>,
}

/// How much is lost by forgetting a domain; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    /// It, or its breaker, turns calls away: forgotten, it would be called before its time.
    shut: bool,
    confirmed: bool,
    /// Younger ones go first: a flood of made-up names forgets itself, not what was known before it.
    age: Reverse<u32>,
}

impl Remembered {
    /// A configuration or a request uses it: it would live on beside another of its name.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.domain) > 1
    }

    fn worth(&self, now: Time) -> Worth {
        let domain = lock(&self.domain);
        let resting = match lock(&self.breaker).position() {
            Position::Closed => false,
            Position::Open { until } => now < until,
            Position::HalfOpen | Position::Ramp => true,
        };
        let (shut, confirmed) = (domain.is_shut(now) || resting, domain.confirmed);
        Worth { shut, confirmed, age: Reverse(domain.number) }
    }
}

impl Known {
    /// Forgets what nobody holds, the least worth first, until there is room again. What cannot be forgotten moves
    /// the next time further away instead of being looked through for every name.
    fn forget(&mut self, now: Time) {
        let free = self.domains.values().filter(|known| !known.is_held());
        let mut free: Vec<Worth> = free.map(|known| known.worth(now)).collect();
        free.sort_unstable();
        free.truncate((self.domains.len() + ROOM).saturating_sub(DOMAINS_MAX));
        let forgotten: HashSet<u32> = free.into_iter().map(|worth| worth.age.0).collect();
        self.domains.retain(|_, known| known.is_held() || !forgotten.contains(&lock(&known.domain).number));
        self.breakers.retain(|_, breaker| Arc::strong_count(breaker) > 1);
        self.full = DOMAINS_MAX.max(self.domains.len() + ROOM);
    }
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
    /// Its answer comes all at once, so that nobody can say when it is slow.
    pub(crate) whole: bool,
    /// How long its limit domain rests after a rejection that states no wait.
    pub(crate) cooldown: Duration,
}

impl CellRegistry {
    /// The cells of a target, made when they are first asked for; `settings` are those of a new breaker.
    pub(crate) fn cells(&self, names: &DomainNames, settings: breaker::Settings, now: Time) -> Cells {
        let mut known = lock(&self.known);
        if known.domains.len() >= known.full.max(DOMAINS_MAX) {
            known.forget(now);
        }
        let credential = known
            .credentials
            .entry(names.credential.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Account::new())))
            .clone();
        let breaker = known
            .breakers
            .entry(names.breaker.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Breaker::new(settings))))
            .clone();
        if let Some(Remembered { domain, .. }) = known.domains.get(&names.limit) {
            return Cells { credential, domain: domain.clone(), breaker };
        }
        let domain = Arc::new(Mutex::new(Domain::new(known.made)));
        known.made = known.made.wrapping_add(1);
        let remembered = Remembered { domain: domain.clone(), breaker: breaker.clone() };
        known.domains.insert(names.limit.clone(), remembered);
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

    /// When all of them are open, as far as is known at `now`.
    pub(crate) fn opens(&self, now: Time) -> Time {
        let account = lock(&self.credential).gate.closed_until();
        let domain = {
            let domain = lock(&self.domain);
            domain.limit.closed_until().max(domain.missing.closed_until())
        };
        let breaker = match lock(&self.breaker).position() {
            Position::Open { until } => Some(until),
            Position::Closed | Position::HalfOpen | Position::Ramp => None,
        };
        [account, domain, breaker].into_iter().flatten().fold(now, Time::max)
    }

    /// Leave to send one call now, from every memory or from none.
    pub(crate) fn ask(&self, world: World, terms: CallTerms, now: Time) -> Result<Flight, Shut> {
        let permits = Some(Permits::default());
        let CallTerms { whole, cooldown, .. } = terms;
        let mut flight = Flight { cells: self.clone(), world, whole, cooldown, permits };
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
    whole: bool,
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

    /// The answer has content; the first of it came after `first_token`, if that can be told from the rest.
    pub(crate) fn succeeded(&mut self, first_token: Option<Duration>) {
        let Some(permits) = &mut self.permits else { return };
        permits.answering = true;
        if let Some(permit) = &mut permits.credential {
            lock(&self.cells.credential).gate.succeeded(permit);
        }
        {
            let mut domain = lock(&self.cells.domain);
            domain.confirmed = true;
            if let Some(permit) = &mut permits.missing {
                domain.missing.succeeded(permit);
            }
            if let Some(permit) = &mut permits.limit {
                domain.limit.succeeded(permit);
            }
        }
        if let Some(permit) = &mut permits.breaker {
            let (mut breaker, now) = (lock(&self.cells.breaker), self.world.now());
            match first_token {
                Some(first_token) => breaker.succeeded(permit, now, first_token),
                None => breaker.answered_whole(permit, now),
            }
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

    /// What came of the call says nothing about the target, however long it took.
    pub(crate) fn excused(mut self) {
        self.whole = true;
    }
}

impl Drop for Flight {
    /// Never sent, or the caller left: a probe goes to the next, and only a stream that was left when it was already
    /// slow says something about the target. An answer that is complete, or was left in the middle, has been reported.
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
            let mut breaker = lock(&self.cells.breaker);
            if self.whole { breaker.excused(permit) } else { breaker.dropped(permit, now) }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One provider and one key, and models of any name.
    struct Made {
        registry: CellRegistry,
        world: World,
    }

    const HOUR: Duration = Duration::from_secs(3600);

    impl Made {
        fn new() -> Self {
            Self { registry: CellRegistry::default(), world: World::start() }
        }

        fn cells(&self, model: &str) -> Cells {
            let target = TargetRef { provider: "p".into(), model: model.into() };
            let names = DomainNames { credential: "p".into(), limit: model.into(), breaker: target };
            self.registry.cells(&names, breaker::Settings::default(), self.world.now())
        }

        /// A call for the model, unless it is turned away.
        fn call(&self, model: &str) -> Option<Flight> {
            let terms = CallTerms { lasts: HOUR, whole: false, cooldown: HOUR };
            self.cells(model).ask(self.world, terms, self.world.now()).ok()
        }

        fn answered(&self, model: &str) {
            self.call(model).unwrap().succeeded(None);
        }

        /// The provider states a wait.
        fn limited(&self, model: &str) {
            let wait = Some(HOUR);
            let fault = Fault { class: Class::RateLimited, close: Close::Domain(wait), wait, ..failure() };
            self.call(model).unwrap().failed(&fault);
        }

        fn known(&self) -> usize {
            lock(&self.registry.known).domains.len()
        }
    }

    fn failure() -> Fault {
        use unfail_policy::classify::{Phase, Signal, Transport, classify};
        let signal = Signal::Transport(Transport::ResetBeforeHeaders);
        let wall = unfail_policy::time::Wall::from_millis(0);
        classify(&signal, unfail_wire::target::ErrorQuirk::None, Phase::Sent, wall)
    }

    /// Whatever callers make up, and whatever comes of it.
    #[tokio::test(start_paused = true)]
    async fn made_up_names_forget_no_wait() {
        for flood in ["unknown", "limited"] {
            let made = Made::new();
            made.limited("young");
            made.answered("proved");
            made.limited("proved");
            for _ in 0..5 {
                made.call("broken").unwrap().failed(&failure());
            }
            for number in 0..3 * DOMAINS_MAX {
                if number == DOMAINS_MAX - 10 {
                    made.answered("late");
                    made.limited("late");
                    // Its name may be made up as well: only what turns no call away goes before it.
                    made.limited("later");
                }
                let name = format!("made-up-{number}");
                match flood {
                    "limited" => made.limited(&name),
                    _ => drop(made.cells(&name)),
                }
                assert!(made.known() <= DOMAINS_MAX, "{flood}: {number}");
            }
            let later = (flood == "unknown").then_some("later");
            for name in ["young", "proved", "broken", "late"].into_iter().chain(later) {
                assert!(made.call(name).is_none(), "{flood}: {name} is called before its time");
            }
            tokio::time::advance(HOUR * 2).await;
            assert!(made.call("young").is_some(), "{flood}");
        }
    }

    /// A wait that is over is nothing to remember.
    #[tokio::test(start_paused = true)]
    async fn what_is_over_makes_room() {
        let made = Made::new();
        (0..DOMAINS_MAX).for_each(|number| made.limited(&number.to_string()));
        tokio::time::advance(HOUR * 2).await;
        made.limited("now");
        let now = made.world.now();
        let known = lock(&made.registry.known);
        let shut = known.domains.values().filter(|known| known.worth(now).shut).count();
        assert_eq!((shut, known.domains.len()), (1, DOMAINS_MAX - ROOM + 1));
    }

    /// What is held stays, and is not looked through again for every further name.
    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_is_not_forgotten() {
        let made = Made::new();
        let held: Vec<Cells> = (0..=DOMAINS_MAX).map(|number| made.cells(&number.to_string())).collect();
        assert_eq!(made.known(), held.len());
        assert_eq!(lock(&made.registry.known).full, DOMAINS_MAX + ROOM);
        for number in 0..3 * ROOM {
            drop(made.cells(&format!("made-up-{number}")));
            assert!(made.known() <= held.len() + ROOM);
        }
        for (number, cells) in held.iter().enumerate() {
            let again = made.cells(&number.to_string());
            assert!(Arc::ptr_eq(&again.domain, &cells.domain) && Arc::ptr_eq(&again.breaker, &cells.breaker));
        }
        let numbers: HashSet<u32> = held.iter().map(Cells::number).collect();
        assert_eq!(numbers.len(), held.len(), "a number is one domain's");
    }

    /// Only a stream that its caller left when it was slow already says something about the target.
    #[tokio::test(start_paused = true)]
    async fn who_had_no_time_and_who_left_a_whole_answer_blame_nobody() {
        for (whole, excused, rests) in
            [(false, false, true), (false, true, false), (true, false, false), (true, true, false)]
        {
            let made = Made::new();
            let terms = CallTerms { lasts: HOUR, whole, cooldown: HOUR };
            let flights = (0..12).map(|_| made.cells("m").ask(made.world, terms, made.world.now()).unwrap());
            let flights: Vec<Flight> = flights.collect();
            tokio::time::advance(Duration::from_secs(13)).await;
            for flight in flights {
                if excused {
                    flight.excused();
                }
            }
            assert_eq!(made.call("m").is_none(), rests, "whole: {whole}, excused: {excused}");
        }
    }
}
