//! How long to wait before trying again when nobody said: only for failures of unknown duration. A stated wait
//! is never jittered (see [`crate::wait`]).

use crate::time::{self, Random};
use std::time::Duration;

/// A wait between zero and `base · 2^tries`, at most `most` (full jitter: it spreads a herd best).
/// `tries` counts from zero.
pub fn full_jitter(base: Duration, most: Duration, tries: u32, random: &mut dyn Random) -> Duration {
    scaled(doubled(base, most, tries), time::unit(random))
}

/// `base · 2^tries`, at most `most`.
#[must_use]
pub fn doubled(base: Duration, most: Duration, tries: u32) -> Duration {
    let factor = 1_u32.checked_shl(tries).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(most)
}

/// `length · factor`, as long as a duration can be when that is too long. `factor` is not negative.
pub(crate) fn scaled(length: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(length.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
