//! Random numbers that are the same in every run: a seed is an argument, and a failing test can name it.

/// A generator (SplitMix64, whose constants these are); equal seeds give equal numbers.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Starts at a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Chance { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero when `end` is zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64().checked_rem(end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [chance.next_u64(), chance.below(10), chance.below(0)]
        };
        assert_eq!(draw(0), [0xe220_a839_7b1d_cdaf, draw(0)[1], 0]);
        assert_ne!(draw(0), draw(1));
        let mut chance = Chance::new(7);
        assert!((0..1000).all(|_| chance.below(10) < 10));
    }
}
