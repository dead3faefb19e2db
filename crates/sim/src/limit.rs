//! A rate limiter as a provider has one: it really counts, and tells the truth about itself.
//!
//! Pure: the time is an argument.

use std::time::Duration;

/// A rate limit to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Calls allowed per window.
    pub allow: u32,
    /// The window.
    pub window: Duration,
    /// How it refills.
    pub refill: Refill,
    /// How a 429 states the wait.
    pub stated: Stated,
}

/// How a limit refills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refill {
    /// All at once, when a window ends. A window starts with the first call after the one before it.
    Window,
    /// Continuously: a bucket of `allow` that fills up within one window.
    Bucket,
}

/// How a 429 of a [`Limit`] states the wait it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    /// `retry-after` in seconds, rounded up.
    Seconds,
    /// `retry-after` as a date, rounded up.
    Date,
    /// `retry-after-ms`.
    Millis,
    /// Only in the reset headers of the wire.
    ResetHeaders,
    /// Not at all: no such header of any kind.
    Nothing,
}

/// What a limiter says about itself after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// Calls allowed per window.
    pub limit: u32,
    /// Calls left now.
    pub remaining: u32,
    /// Time until it is full again.
    pub reset: Duration,
}

/// Whether a call passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does, and was counted.
    Pass,
    /// It does not; the next one can after this time. Refused calls are not counted.
    Wait(Duration),
}

/// A limiter at work.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    limit: Limit,
    /// Window: its start. Bucket: when `used` was last brought up to date.
    since: Duration,
    /// Calls used, in units of one window's nanoseconds per call so that a bucket drains without rounding.
    used: u128,
}

impl Limiter {
    pub(crate) fn new(limit: Limit) -> Self {
        Limiter { limit, since: Duration::ZERO, used: 0 }
    }

    pub(crate) fn stated(&self) -> Stated {
        self.limit.stated
    }

    /// One call's worth of `used`.
    fn unit(&self) -> u128 {
        self.limit.window.as_nanos().max(1)
    }

    fn full(&self) -> u128 {
        self.unit() * u128::from(self.limit.allow)
    }

    /// Counts a call, if it passes.
    pub(crate) fn ask(&mut self, now: Duration) -> (Verdict, Gauge) {
        self.refill(now);
        let after = self.used + self.unit();
        let verdict = if after <= self.full() {
            if self.used == 0 {
                self.since = now;
            }
            self.used = after;
            Verdict::Pass
        } else {
            Verdict::Wait(self.wait(after - self.full(), now))
        };
        (verdict, self.gauge(now))
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        match self.limit.refill {
            Refill::Window if passed >= self.limit.window => {
                self.used = 0;
                self.since = now;
            }
            Refill::Window => {}
            Refill::Bucket => {
                self.used = self.used.saturating_sub(passed.as_nanos() * u128::from(self.limit.allow));
                self.since = now;
            }
        }
    }

    fn wait(&self, short: u128, now: Duration) -> Duration {
        match self.limit.refill {
            // A limit of nothing would never let a call pass; it says so by a whole window.
            _ if self.limit.allow == 0 => self.limit.window,
            Refill::Window => (self.since + self.limit.window).saturating_sub(now),
            Refill::Bucket => nanos(short.div_ceil(u128::from(self.limit.allow))),
        }
    }

    fn gauge(&self, now: Duration) -> Gauge {
        let remaining = (self.full() - self.used.min(self.full())) / self.unit();
        let reset = match self.limit.refill {
            Refill::Window => (self.since + self.limit.window).saturating_sub(now),
            Refill::Bucket => nanos(self.used.div_ceil(u128::from(self.limit.allow.max(1)))),
        };
        Gauge { limit: self.limit.allow, remaining: u32::try_from(remaining).unwrap_or(u32::MAX), reset }
    }
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(allow: u32, millis: u64, refill: Refill) -> Limit {
        Limit { allow, window: Duration::from_millis(millis), refill, stated: Stated::Seconds }
    }

    #[test]
    fn a_window_as_told() {
        let ms = Duration::from_millis;
        let mut limiter = Limiter::new(limit(2, 1000, Refill::Window));
        for (at, verdict, remaining, reset) in [
            (5000, Verdict::Pass, 1, 1000),
            (5400, Verdict::Pass, 0, 600),
            (5401, Verdict::Wait(ms(599)), 0, 599),
            (5999, Verdict::Wait(ms(1)), 0, 1),
            (6000, Verdict::Pass, 1, 1000),
        ] {
            assert_eq!(
                limiter.ask(ms(at)),
                (verdict, Gauge { limit: 2, remaining, reset: ms(reset) }),
                "{at}"
            );
        }
    }

    #[test]
    fn a_bucket_as_told() {
        let ms = Duration::from_millis;
        let mut limiter = Limiter::new(limit(2, 1000, Refill::Bucket));
        for (at, verdict, remaining, reset) in [
            (0, Verdict::Pass, 1, 500),
            (0, Verdict::Pass, 0, 1000),
            (100, Verdict::Wait(ms(400)), 0, 900),
            (500, Verdict::Pass, 0, 1000),
            (9000, Verdict::Pass, 1, 500),
        ] {
            assert_eq!(
                limiter.ask(ms(at)),
                (verdict, Gauge { limit: 2, remaining, reset: ms(reset) }),
                "{at}"
            );
        }
    }

    /// Times of the calls that passed, and a check of every wait that was told.
    fn passed(limit: &Limit, gaps_ms: &[u64]) -> Vec<Duration> {
        let mut limiter = Limiter::new(limit.clone());
        let mut now = Duration::ZERO;
        let mut passed = Vec::new();
        for gap in gaps_ms {
            now += Duration::from_millis(*gap);
            match limiter.ask(now).0 {
                Verdict::Pass => passed.push(now),
                Verdict::Wait(wait) => {
                    assert_eq!(limiter.clone().ask(now + wait).0, Verdict::Pass, "the stated wait is enough");
                    let early = now + wait.saturating_sub(Duration::from_nanos(1));
                    assert_ne!(limiter.clone().ask(early).0, Verdict::Pass, "and not too long");
                }
            }
        }
        passed
    }

    /// No window holds more calls than allowed, and a bucket never gives more than it held and took in.
    fn keeps(allow: u32, window: u64, gaps: &[u64]) {
        let fixed = limit(allow, window, Refill::Window);
        let mut current = (Duration::ZERO, 0);
        for at in passed(&fixed, gaps) {
            let fresh = current.1 == 0 || at >= current.0 + fixed.window;
            current = if fresh { (at, 1) } else { (current.0, current.1 + 1) };
            assert!(current.1 <= allow, "{} calls since {:?}", current.1, current.0);
        }
        let bucket = limit(allow, window, Refill::Bucket);
        let times = passed(&bucket, gaps);
        for (from, start) in times.iter().enumerate() {
            for (to, end) in times.iter().enumerate().skip(from) {
                let refilled = (*end - *start).as_nanos() * u128::from(allow) / bucket.window.as_nanos();
                assert!((to - from + 1) as u128 <= u128::from(allow) + refilled, "{start:?} to {end:?}");
            }
        }
    }

    /// Small enough to try everything, so that every way of meeting the end of a window exactly is among it.
    #[test]
    fn never_more_than_allowed_in_all_small_cases() {
        const CALLS: u32 = 6;
        const GAPS: u64 = 4;
        for (allow, window) in (1..=3).flat_map(|allow| (1..=4).map(move |window| (allow, window))) {
            for case in 0..GAPS.pow(CALLS) {
                let gaps: Vec<u64> = (0..CALLS).map(|call| case / GAPS.pow(call) % GAPS).collect();
                keeps(allow, window, &gaps);
            }
        }
    }

    proptest! {
        #[test]
        fn never_more_than_allowed(
            allow in 1_u32..8,
            window in prop_oneof![1_u64..8, 10_u64..2000],
            gaps in prop_oneof![
                prop::collection::vec(0_u64..4, 1..300),
                prop::collection::vec(0_u64..300, 1..300),
            ],
        ) {
            keeps(allow, window, &gaps);
        }
    }
}
