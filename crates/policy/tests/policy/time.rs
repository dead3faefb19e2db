//! Time saturates, chance is fair and repeatable, and a backoff stays within its bounds.

use crate::secs;
use proptest::prelude::*;
use std::time::Duration;
use unfail_policy::backoff::{doubled, full_jitter};
use unfail_policy::time::{Random, SplitMix64, Time, Wall, unit};

#[test]
fn moments_saturate() {
    let (early, late) = (Time::from_nanos(5), Time::from_nanos(9));
    assert_eq!((late.since(early), early.since(late)), (Duration::from_nanos(4), Duration::ZERO));
    assert_eq!(Time::MAX + Duration::MAX, Time::MAX);
    assert_eq!((Time::ZERO + secs(2.0)).nanos(), 2_000_000_000);
    let (early, late) = (Wall::from_millis(5), Wall::from_millis(9));
    assert_eq!((early.until(late), late.until(early)), (Duration::from_millis(4), Duration::ZERO));
}

#[test]
fn chance_is_repeatable_and_fair() {
    // The first outputs for seed 1234567 in the reference implementation.
    let mut random = SplitMix64::new(1_234_567);
    assert_eq!(
        [random.next_u64(), random.next_u64()],
        [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
    );
    let mean = (0..10_000).map(|_| unit(&mut random)).sum::<f64>() / 10_000.0;
    assert!((0.48..0.52).contains(&mean), "{mean}");
}

#[test]
fn a_backoff_doubles_to_its_limit() {
    for (tries, expected) in
        [(0, 0.25), (1, 0.5), (2, 1.0), (5, 8.0), (6, 8.0), (31, 8.0), (32, 8.0), (u32::MAX, 8.0)]
    {
        assert_eq!(doubled(secs(0.25), secs(8.0), tries), secs(expected), "{tries}");
    }
}

proptest! {
    #[test]
    fn a_jittered_backoff_is_never_above_its_limit(
        base in 0_u64..100_000,
        most in prop_oneof![0_u64..1_000_000, Just(u64::MAX)],
        tries in any::<u32>(),
        seed in any::<u64>(),
    ) {
        let (base, most) = (Duration::from_millis(base), Duration::from_millis(most));
        let wait = full_jitter(base, most, tries, &mut SplitMix64::new(seed));
        prop_assert!(wait <= doubled(base, most, tries));
    }
}
