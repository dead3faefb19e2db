//! Counting over the recent past in constant space: a ring of slots for outcomes, a fading histogram for first-token
//! times. Used by the breaker; judges nothing.

use crate::time::{self, Time};
use std::time::Duration;

/// Slots in a ring: fine enough that an old burst leaves in tenths.
const SLOTS: usize = 10;

/// Outcomes of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All judged calls.
    pub(crate) calls: u32,
    /// Of these, failed.
    pub(crate) fails: u32,
    /// Of these, slow (a call can be both).
    pub(crate) slow: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.fails = self.fails.saturating_add(other.fails);
        self.slow = self.slow.saturating_add(other.slow);
    }

    /// Takes back what was added before.
    pub(crate) fn take_back(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.fails = self.fails.saturating_sub(other.fails);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

/// Outcomes of the last `length`, forgotten slot by slot.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    slot_nanos: u64,
    /// Number of the newest slot since the clock's origin.
    newest: u64,
    slots: [Tally; SLOTS],
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        let slot_nanos = (time::nanos(length) / SLOTS as u64).max(1);
        Self { slot_nanos, newest: 0, slots: [Tally::default(); SLOTS] }
    }

    pub(crate) fn add(&mut self, now: Time, tally: Tally) {
        self.advance(now);
        let newest = self.newest;
        if let Some(slot) = self.slots.get_mut(place(newest)) {
            slot.add(tally);
        }
    }

    /// Takes back what was added at `at`, unless it is forgotten already.
    pub(crate) fn take_back(&mut self, at: Time, tally: Tally) {
        let slot = at.nanos() / self.slot_nanos;
        let remembered = slot <= self.newest && self.newest - slot < SLOTS as u64;
        if let Some(slot) = self.slots.get_mut(place(slot)).filter(|_| remembered) {
            slot.take_back(tally);
        }
    }

    /// What is remembered, in a window of another length.
    pub(crate) fn resized(&self, length: Duration) -> Self {
        let mut resized = Self::new(length);
        for back in (0..SLOTS as u64).rev() {
            let Some(number) = self.newest.checked_sub(back) else { continue };
            let began = Time::from_nanos(number.saturating_mul(self.slot_nanos));
            resized.add(began, self.slots.get(place(number)).copied().unwrap_or_default());
        }
        resized
    }

    pub(crate) fn total(&mut self, now: Time) -> Tally {
        self.advance(now);
        let mut total = Tally::default();
        self.slots.iter().for_each(|slot| total.add(*slot));
        total
    }

    pub(crate) fn clear(&mut self) {
        self.slots = [Tally::default(); SLOTS];
    }

    fn advance(&mut self, now: Time) {
        let slot = now.nanos() / self.slot_nanos;
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        for back in 0..passed {
            if let Some(slot) = self.slots.get_mut(place(slot - back)) {
                *slot = Tally::default();
            }
        }
        self.newest = self.newest.max(slot);
    }
}

fn place(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

/// Steps of the histogram, each √2 wider than the one before: 100 ms to 5 min.
const STEPS: usize = 24;
const FIRST_STEP_SECS: f64 = 0.1;
/// Fewer first tokens than this say nothing about a p95.
const ENOUGH: u32 = 20;
/// At so many, all counts are halved: the past fades.
const MANY: u32 = 500;

/// How long first tokens usually take.
#[derive(Debug, Clone, Default)]
pub(crate) struct Baseline {
    counts: [u32; STEPS],
}

impl Baseline {
    pub(crate) fn add(&mut self, first_token: Duration) {
        let taken = first_token.as_secs_f64();
        let step = edges().take_while(|edge| *edge < taken).count().min(STEPS - 1);
        if let Some(count) = self.counts.get_mut(step) {
            *count += 1;
        }
        if self.total() >= MANY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// 95 of 100 first tokens came within this, to the precision of a step; `None` while too few are known.
    pub(crate) fn p95(&self) -> Option<Duration> {
        let total = self.total();
        if total < ENOUGH {
            return None;
        }
        let mut below = 0;
        let (_, edge) = self.counts.iter().zip(edges()).find(|(count, _)| {
            below += **count;
            below * 100 >= total * 95
        })?;
        Some(Duration::from_secs_f64(edge))
    }

    fn total(&self) -> u32 {
        self.counts.iter().sum()
    }
}

/// Upper edges of the steps, in seconds.
fn edges() -> impl Iterator<Item = f64> {
    (0..STEPS as i32).map(|step| FIRST_STEP_SECS * 2_f64.powf(f64::from(step) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_slot_by_slot() {
        let mut window = Window::new(Duration::from_secs(30));
        let call = Tally { calls: 1, ..Tally::default() };
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        for second in 0..30 {
            window.add(at(second), call);
        }
        for (second, calls) in [(29, 30), (30, 27), (32, 27), (33, 24), (57, 0), (500, 0)] {
            assert_eq!(window.total(at(second)).calls, calls, "at {second} s");
        }
        // A clock that seems to run backwards is taken as standing still.
        window.add(at(2), call);
        assert_eq!(window.total(at(3)).calls, 1);
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        let call = Tally { calls: 1, fails: 0, slow: 1 };
        let mut window = Window::new(Duration::from_secs(30));
        (0..20).for_each(|second| window.add(at(second), call));
        window.take_back(at(4), call);
        let total = window.total(at(20));
        assert_eq!((total.calls, total.slow), (19, 19));
        window.take_back(at(4), Tally { calls: 9, fails: 9, slow: 9 });
        assert_eq!(window.total(at(20)).calls, 17, "no other slot, and none below nothing");
        assert_eq!(window.total(at(45)).calls, 2);
        window.take_back(at(4), call);
        window.take_back(at(900), call);
        assert_eq!(window.total(at(45)).calls, 2, "forgotten already, or never there");
    }

    #[test]
    fn a_window_of_another_length_remembers_what_fits() {
        let at = |seconds: u64| Time::ZERO + Duration::from_secs(seconds);
        let call = Tally { calls: 1, ..Tally::default() };
        let mut window = Window::new(Duration::from_secs(30));
        (0..30).for_each(|second| window.add(at(second), call));
        for (length, now, calls) in [(300, 29, 30), (300, 299, 30), (60, 29, 30), (60, 60, 24), (10, 29, 9)] {
            let mut resized = window.resized(Duration::from_secs(length));
            assert_eq!(resized.total(at(now)).calls, calls, "{length} s at {now} s");
        }
        assert_eq!(Window::new(Duration::from_secs(30)).resized(Duration::ZERO).total(at(9)).calls, 0);
    }

    #[test]
    fn a_baseline_knows_what_is_usual() {
        let mut baseline = Baseline::default();
        for _ in 0..19 {
            baseline.add(Duration::from_millis(700));
        }
        assert_eq!(baseline.p95(), None);
        baseline.add(Duration::from_secs(9_000));
        assert_eq!(baseline.p95().map(|p95| p95.as_millis()), Some(800));
        for _ in 0..3000 {
            baseline.add(Duration::from_secs(5));
        }
        let p95 = baseline.p95().unwrap().as_secs_f64();
        assert!((5.0..7.5).contains(&p95), "{p95}");
    }
}
