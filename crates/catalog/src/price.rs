//! What a call costs. Integers only: sums of costs are exact, whatever their order.
//!
//! The unit is the picodollar (10⁻¹² US dollars) per token. One US dollar per million tokens is 1 000 000
//! picodollars per token, so every price of up to six decimals is exact (0.075 USD per million tokens is 75 000).

use std::fmt;
use std::ops::{Add, AddAssign};
use unfail_wire::chat::Usage;

/// Picodollars per token that make one US dollar per million tokens.
const PER_USD_PER_MTOK: f64 = 1_000_000.0;

/// Dearest price that is believed, in US dollars per million tokens.
const DEAREST_USD_PER_MTOK: f64 = 1_000_000.0;

/// An amount of money in picodollars (10⁻¹² US dollars).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PicoUsd(pub u128);

impl PicoUsd {
    /// Picodollars in one US dollar.
    pub const PER_USD: u128 = 1_000_000_000_000;

    /// In US dollars, for display and metrics; not exact.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.0 as f64 / Self::PER_USD as f64
    }
}

/// US dollars with as many decimals as are needed, at most twelve: `0.0015`.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::PER_USD, self.0 % Self::PER_USD);
        let decimals = format!("{part:012}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}

impl Add for PicoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PicoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Reads US dollars per million tokens as picodollars per token.
///
/// `None` for what is no price: negative, not finite, above a million dollars, or with more than six decimals.
#[must_use]
pub fn pico_usd_per_token(usd_per_mtok: f64) -> Option<u64> {
    if !(0.0..=DEAREST_USD_PER_MTOK).contains(&usd_per_mtok) {
        return None;
    }
    let pico = usd_per_mtok * PER_USD_PER_MTOK;
    // A float of this size is off by less than 0.0003 when it stands for six decimals.
    let nearest = pico.round();
    ((pico - nearest).abs() < 0.001).then_some(nearest as u64)
}

/// Prices of one model, in picodollars per token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Price {
    /// A prompt token.
    pub input: u64,
    /// A generated token, reasoning included.
    pub output: u64,
    /// A prompt token read from a prompt cache; `None` is charged as any other prompt token.
    pub cached: Option<u64>,
    /// A prompt token written to a prompt cache; `None` is charged as any other prompt token.
    pub cache_write: Option<u64>,
    /// Prices for long prompts, by rising threshold.
    pub tiers: Vec<Tier>,
}

/// Prices of a whole request whose prompt is longer than a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Prompt tokens above which the tier holds.
    pub above: u64,
    /// As [`Price::input`].
    pub input: u64,
    /// As [`Price::output`].
    pub output: u64,
    /// As [`Price::cached`].
    pub cached: Option<u64>,
}

impl Price {
    /// What a call costs: the whole of it by the tier its prompt falls into.
    ///
    /// A tier says nothing about cache writes: they are charged at the dearer of its prompt price and the usual
    /// write price.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> PicoUsd {
        let tier = self.tiers.iter().rev().find(|tier| usage.input > tier.above);
        let (input, output, cached, cache_write) = match tier {
            Some(tier) => {
                let write = self.cache_write.map(|write| write.max(tier.input));
                (tier.input, tier.output, tier.cached, write)
            }
            None => (self.input, self.output, self.cached, self.cache_write),
        };
        let plain = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let parts = [
            (plain, input),
            (usage.cache_read, cached.unwrap_or(input)),
            (usage.cache_write, cache_write.unwrap_or(input)),
            (usage.output, output),
        ];
        // Two 64-bit numbers multiply within 128 bits.
        parts.into_iter().fold(PicoUsd(0), |sum, (tokens, price)| {
            sum + PicoUsd(u128::from(tokens).saturating_mul(u128::from(price)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Usage {
        Usage { input, cache_read, cache_write, output, reasoning: 0 }
    }

    /// 2 in, 10 out, 0.1 cached, 2.5 written; above 1 000 tokens 4, 15, 0.2.
    fn tiered() -> Price {
        let tier = Tier { above: 1_000, input: 4_000_000, output: 15_000_000, cached: Some(200_000) };
        Price {
            input: 2_000_000,
            output: 10_000_000,
            cached: Some(100_000),
            cache_write: Some(2_500_000),
            tiers: vec![tier],
        }
    }

    #[test]
    fn costs_by_hand() {
        let bare = Price { input: 150_000, output: 600_000, ..Price::default() };
        let table = [
            (&bare, usage(0, 0, 0, 0), "0"),
            (&bare, usage(1_000_000, 0, 0, 0), "0.15"),
            (&bare, usage(10, 0, 0, 3), "0.0000033"),
            (&bare, usage(10, 4, 4, 0), "0.0000015"),
            (&tiered(), usage(1_000, 0, 0, 0), "0.002"),
            (&tiered(), usage(1_000, 400, 100, 10), "0.00139"),
            (&tiered(), usage(1_001, 0, 0, 0), "0.004004"),
            (&tiered(), usage(2_000, 500, 500, 100), "0.0076"),
            (&tiered(), usage(5, 9, 9, 0), "0.0000234"),
        ];
        for (price, usage, expected) in table {
            assert_eq!(price.cost(&usage).to_string(), expected, "{usage:?}");
        }
    }

    #[test]
    fn prices_are_read_exactly() {
        let table = [
            (0.0, Some(0)),
            (0.0375, Some(37_500)),
            (0.1, Some(100_000)),
            (0.075, Some(75_000)),
            (180.0, Some(180_000_000)),
            (0.000_001, Some(1)),
            (1_000_000.0, Some(1_000_000_000_000)),
            (0.000_000_1, None),
            (1_000_000.1, None),
            (-0.1, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ];
        for (usd, expected) in table {
            assert_eq!(pico_usd_per_token(usd), expected, "{usd}");
        }
    }

    proptest! {
        #[test]
        fn every_price_of_six_decimals_is_exact(micros in 0_u64..=1_000_000_000_000) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(pico_usd_per_token(text.parse().unwrap()), Some(micros));
        }

        #[test]
        fn more_tokens_never_cost_less(
            input in 0_u64..5_000,
            read in 0_u64..2_000,
            write in 0_u64..2_000,
            output in any::<u64>(),
            more in 0_u64..5_000,
        ) {
            let price = tiered();
            let at = |input, read, write, output| {
                price.cost(&usage(input + read + write, read, write, output))
            };
            let cost = at(input, read, write, output);
            prop_assert!(at(input + more, read, write, output) >= cost);
            prop_assert!(at(input, read + more, write, output) >= cost);
            prop_assert!(at(input, read, write + more, output) >= cost);
            prop_assert!(at(input, read, write, output.saturating_add(more)) >= cost);
        }

        #[test]
        fn extreme_usage_is_counted(counts in any::<[u64; 4]>()) {
            let [input, read, write, output] = counts;
            let dear = Price { input: 1_000_000_000_000, output: 1_000_000_000_000, ..Price::default() };
            let parts = u128::from(input.saturating_sub(read).saturating_sub(write))
                + u128::from(read) + u128::from(write) + u128::from(output);
            prop_assert_eq!(dear.cost(&usage(input, read, write, output)).0, parts * PicoUsd::PER_USD);
        }
    }
}
