//! The impure world: clock and randomness. The only file of the project that reads either.
//!
//! Everything above gets a [`World`] and passes times and random numbers down as arguments. The clock is tokio's,
//! so a paused runtime pauses everything.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, Sleep};
pub use unfail_policy::time::Time;
use unfail_policy::time::{Random, Wall};

/// Clock of one process: monotonic time counts from its creation.
#[derive(Debug, Clone, Copy)]
pub struct World {
    origin: Instant,
    mark: u64,
}

impl World {
    /// Starts the clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self { origin: Instant::now(), mark: Entropy.next_u64() }
    }

    /// A number of its own, drawn at the start.
    #[must_use]
    pub const fn mark(&self) -> u64 {
        self.mark
    }

    /// Monotonic time since the start.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn now(&self) -> Time {
        Time::ZERO + Instant::now().saturating_duration_since(self.origin)
    }

    /// Calendar time; only for dates in headers and for records.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar clock")]
    pub fn wall(&self) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// A future that ends at `at`; at once when that is past.
    pub fn sleep_until(&self, at: Time) -> Sleep {
        tokio::time::sleep_until(self.origin + at.since(Time::ZERO))
    }

    /// Random numbers for jitter and ids: fast, different in every process, not for secrets.
    #[must_use]
    pub fn random(&self) -> Entropy {
        Entropy
    }
}

/// A per-thread SplitMix64 generator (Steele, Lea and Flood 2014) seeded by the operating system.
#[derive(Debug, Clone, Copy)]
pub struct Entropy;

thread_local! {
    static STATE: Cell<u64> = Cell::new(std::collections::hash_map::RandomState::new().build_hasher().finish());
}

impl Random for Entropy {
    fn next_u64(&mut self) -> u64 {
        STATE.with(|state| {
            let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
            state.set(next);
            let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        })
    }
}

/// A request id: `req_` and 22 letters and digits, 128 random bits.
#[must_use]
pub fn request_id(random: &mut dyn Random) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bits = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
    let mut id = String::with_capacity(26);
    id.push_str("req_");
    for _ in 0..22 {
        let digit = usize::try_from(bits % 62).unwrap_or(0);
        id.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
        bits /= 62;
    }
    id
}

/// An environment variable. The library takes keys from there when none were given; the server is given its
/// environment by the binary.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place of the library that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_runtime_pauses_the_clock() {
        let world = World::start();
        let before = world.now();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(world.now().since(before), Duration::from_secs(7));
        world.sleep_until(before + Duration::from_secs(60)).await;
        assert_eq!(world.now().since(before), Duration::from_secs(60));
    }

    #[test]
    fn request_ids_differ_and_have_one_shape() {
        let mut random = Entropy;
        let ids: std::collections::HashSet<String> = (0..1_000).map(|_| request_id(&mut random)).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 26 && id.starts_with("req_")));
    }
}
