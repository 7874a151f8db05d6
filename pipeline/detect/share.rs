//! Shares: are so many hits of so many trials what the past lets expect?

use serde::{Deserialize, Serialize};

use super::P_MIN;
use super::special::ln_gamma;

/// Jeffreys's prior: half a hit and half a miss.
const PRIOR: f64 = 0.5;
/// A test on fewer readings than this says nothing.
const READINGS_MIN: f32 = 8.0;
/// One reading counts for at most so many standard deviations, and a trial, when the spread is learned.
const REACH: f64 = 6.0;
/// A reading of more trials is thinned to this many, in proportion: the tail is a sum over trials, and the spread of the
/// chance itself is larger by then.
const TRIALS_MAX: f64 = 2_048.0;
/// Standard deviations to either side that hold 98 of 100 of a normal distribution.
const DEVIATIONS: f64 = 2.326;

/// Hits among trials, with a chance that is Beta distributed: the next number of hits is Beta-binomial (Skellam, 1948).
/// The sums fade as those of [`super::count::CountModel`].
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ShareModel {
    hits: f32,
    misses: f32,
    readings: f32,
    /// Sums of `(x - nμ)² - nμ(1 - μ)` and of `n(n - 1)μ(1 - μ)`, whose ratio is how alike the trials of one reading are
    /// beyond those of others: by moments, the Beta's `1 / (a + b + 1)`.
    excess: f32,
    squares: f32,
}

impl ShareModel {
    /// The probability of a share as far out as this one or further, two-sided; 1 while too little is known and of no
    /// trials. Then remembers it.
    pub fn observe(&mut self, hits: u64, of: u64, memory: f32) -> f64 {
        let p = self.p_value(hits, of);
        if of > 0 {
            self.learn(hits as f64, of as f64, memory);
        }
        p
    }

    fn learn(&mut self, hits: f64, of: f64, memory: f32) {
        let (mean, deviation) = self.predict(of);
        let (a, b) = self.beta();
        let (chance, reach) = (a / (a + b), REACH * deviation + 1.0);
        let off = (hits - mean).clamp(-reach, reach);
        let hits = if self.readings < READINGS_MIN { hits } else { (mean + off).clamp(0.0, of) };
        let keep = 1.0 - 1.0 / memory.max(2.0);
        let fade = |sum: f32, new: f64| (f64::from(sum * keep) + new).clamp(-1e37, 1e37) as f32;
        self.readings = (self.readings * keep + 1.0).min(memory);
        self.hits = fade(self.hits, hits);
        self.misses = fade(self.misses, of - hits);
        self.excess = fade(self.excess, off * off - of * chance * (1.0 - chance));
        self.squares = fade(self.squares, of * (of - 1.0) * chance * (1.0 - chance));
    }

    /// How far the hits are from what is expected, in standard deviations and with one trial's worth of doubt, so that few
    /// trials are never far out.
    pub fn deviation(&self, hits: u64, of: u64) -> f64 {
        let (mean, deviation) = self.predict(of as f64);
        (hits as f64 - mean) / (deviation + 1.0)
    }

    /// Between which shares 98 of 100 readings of so many trials are expected, about.
    pub fn expected(&self, of: u64) -> (f64, f64) {
        let of = (of as f64).max(1.0);
        let (mean, deviation) = self.predict(of);
        let share = |hits: f64| (hits / of).clamp(0.0, 1.0);
        (share(mean - DEVIATIONS * deviation), share(mean + DEVIATIONS * deviation))
    }

    /// The share that is expected.
    pub fn mean(&self) -> f64 {
        self.predict(1.0).0
    }

    fn p_value(&self, hits: u64, of: u64) -> f64 {
        if self.readings < READINGS_MIN || of == 0 {
            return 1.0;
        }
        let (a, b) = self.beta();
        let (at_most, at_least) = tails(hits as f64, of as f64, a, b);
        (2.0 * at_most.min(at_least)).clamp(P_MIN, 1.0)
    }

    /// Mean and standard deviation of the hits of so many trials.
    fn predict(&self, of: f64) -> (f64, f64) {
        let (a, b) = self.beta();
        let chance = a / (a + b);
        let variance = of * chance * (1.0 - chance) * (a + b + of) / (a + b + 1.0);
        (of * chance, variance.sqrt())
    }

    /// The predictive Beta: the chance as seen, as sure as the number of trials and their spread allow.
    fn beta(&self) -> (f64, f64) {
        let (hits, misses) = (f64::from(self.hits) + PRIOR, f64::from(self.misses) + PRIOR);
        let seen = hits + misses;
        let alike = (f64::from(self.excess) / f64::from(self.squares).max(1e-9)).clamp(0.0, 0.5);
        let own = alike / (1.0 - alike);
        let sure = 1.0 / (own + 1.0 / seen);
        (hits / seen * sure, misses / seen * sure)
    }
}

/// P(X ≤ hits) and P(X ≥ hits) of trials whose chance is Beta(a, b).
pub fn tails(hits: f64, of: f64, a: f64, b: f64) -> (f64, f64) {
    let thin = (TRIALS_MAX / of).min(1.0);
    let trials = (of * thin).round();
    let hits = (hits * thin).round().min(trials);
    let at = beta_binomial(hits, trials, a, b);
    let at_most = at + sum_below(hits, at, trials, a, b);
    // More hits are fewer misses.
    let at_least = at + sum_below(trials - hits, at, trials, b, a);
    (at_most.min(1.0), at_least.min(1.0))
}

/// P(X = k) of n trials whose chance is Beta(a, b).
fn beta_binomial(k: f64, n: f64, a: f64, b: f64) -> f64 {
    let ln_beta = |a: f64, b: f64| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let ways = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
    (ways + ln_beta(k + a, n - k + b) - ln_beta(a, b)).exp()
}

/// P(X < k), from P(X = k) downwards by the ratio of neighbours; ends where nothing is added any more.
fn sum_below(k: f64, at: f64, n: f64, a: f64, b: f64) -> f64 {
    let (mut k, mut term, mut sum) = (k, at, 0.0);
    while k >= 1.0 {
        term *= k * (n - k + b) / ((n - k + 1.0) * (k - 1.0 + a));
        sum += term;
        k -= 1.0;
        if term < sum * 1e-16 {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    #[test]
    fn the_two_tails_and_the_middle_are_one() {
        for (k, n, a, b) in [(3.0, 10.0, 2.0, 5.0), (0.0, 40.0, 0.5, 9.0), (512.0, 2_048.0, 30.0, 90.0)] {
            let at = beta_binomial(k, n, a, b);
            let all = at + sum_below(k, at, n, a, b) + sum_below(n - k, at, n, b, a);
            assert!((all - 1.0).abs() < 1e-9, "{k} of {n}: {all}");
        }
    }

    #[test]
    fn p_values_of_steady_shares_are_no_smaller_than_they_should_be() {
        let mut dice = Dice::new(3);
        for (chance, of) in [(0.2, 1), (0.05, 20), (0.3, 500), (0.3, 50_000)] {
            let mut model = ShareModel::default();
            let mut low = 0;
            for reading in 0..20_000 {
                let hits = (0..of.min(500)).filter(|_| dice.unit() < chance).count() as u64 * (of / of.min(500));
                let p = model.observe(hits, of, 400.0);
                low += usize::from(reading > 500 && p <= 0.01);
            }
            assert!(low < 260, "{chance} of {of}: {low}");
        }
    }

    #[test]
    fn a_surge_shows_in_many_trials_and_not_in_three() {
        let mut model = ShareModel::default();
        for _ in 0..200 {
            model.observe(5, 50, 400.0);
        }
        assert!(model.p_value(25, 50) < 1e-6);
        assert!(model.p_value(2, 3) > 0.01);
        assert_eq!(model.p_value(0, 0), 1.0);
        let (low, high) = model.expected(50);
        assert!(low < 0.1 && 0.1 < high && high < 0.3, "{low}–{high}");
    }
}
