//! Counts: is this many, or this few, what the past lets expect?

use serde::{Deserialize, Serialize};

use super::P_MIN;
use super::special::incomplete_beta;

/// Believed before anything was seen: half an event more, of half an event expected.
const PRIOR: f64 = 0.5;
/// A test on fewer readings than this says nothing.
const READINGS_MIN: f32 = 8.0;
/// No fewer events are expected of a bucket: a rate of one in ten thousand buckets.
const EXPECTED_MIN: f64 = 1e-4;
/// One reading counts for at most so many standard deviations, and a few events, when the spread is learned: a surge is no
/// sign that surges are usual.
const REACH: f64 = 6.0;
const REACH_EVENTS: f64 = 3.0;

/// Counts as Poisson with a rate that is Gamma distributed around what is expected: the next one is negative binomial,
/// and all but Poisson where the past shows no more spread than Poisson's.
///
/// Expected is what level and season say; the model learns by which factor that is off. All sums fade, so that they hold
/// the past at the weight of `memory` readings (a conjugate model with a discount factor: West & Harrison, Bayesian
/// Forecasting and Dynamic Models, 2nd edition 1997, section 10.8).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct CountModel {
    readings: f32,
    events: f32,
    expected: f32,
    /// Sums of `(x - μ)² - μ` and of `μ²`, whose ratio is one by the size of the negative binomial, by moments (Anscombe,
    /// 1950).
    excess: f32,
    squares: f32,
}

impl CountModel {
    /// The probability of a count as far out as this one or further, two-sided; 1 while too little is known. Then
    /// remembers the count.
    pub fn observe(&mut self, count: u64, expected: f64, memory: f32) -> f64 {
        let expected = if expected.is_finite() { expected.clamp(EXPECTED_MIN, 1e18) } else { EXPECTED_MIN };
        let p = self.p_value(count, expected);
        self.learn(count as f64, expected, memory);
        p
    }

    fn p_value(&self, count: u64, expected: f64) -> f64 {
        if self.readings < READINGS_MIN {
            return 1.0;
        }
        let (mean, size) = self.negative_binomial(expected);
        let (at_most, at_least) = tails(count as f64, mean, size);
        (2.0 * at_most.min(at_least)).clamp(P_MIN, 1.0)
    }

    /// Mean and size of the predictive distribution. Its spread beyond Poisson's has two sources: what the counts have
    /// shown, and that the factor is known from so many events only.
    fn negative_binomial(&self, expected: f64) -> (f64, f64) {
        let events = f64::from(self.events) + PRIOR;
        let mean = expected * events / (f64::from(self.expected) + PRIOR);
        let own = f64::from(self.excess.max(0.0)) / f64::from(self.squares).max(1e-12);
        (mean.max(EXPECTED_MIN), 1.0 / (own + 1.0 / events))
    }

    fn learn(&mut self, count: f64, expected: f64, memory: f32) {
        let (mean, size) = self.negative_binomial(expected);
        let keep = 1.0 - 1.0 / memory.max(2.0);
        let reach = REACH * (mean + mean * mean / size).sqrt() + REACH_EVENTS;
        let off = if self.readings < READINGS_MIN { count - mean } else { (count - mean).clamp(-reach, reach) };
        let fade = |sum: f32, new: f64| (f64::from(sum * keep) + new).clamp(-1e30, 1e30) as f32;
        self.readings = (self.readings * keep + 1.0).min(memory);
        self.events = fade(self.events, (mean + off).max(0.0));
        self.expected = fade(self.expected, expected);
        self.excess = fade(self.excess, off * off - mean);
        self.squares = fade(self.squares, mean * mean);
    }
}

/// P(X ≤ k) and P(X ≥ k) of the negative binomial of this mean and size: I_success(size, k + 1) and I_fail(k, size), DLMF
/// 8.17.5 and 8.17.24.
pub fn tails(k: f64, mean: f64, size: f64) -> (f64, f64) {
    let (fail, success) = (mean / (size + mean), size / (size + mean));
    let at_most = incomplete_beta(size, k + 1.0, success);
    let at_least = if k <= 0.0 { 1.0 } else { incomplete_beta(k, size, fail) };
    (at_most, at_least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    /// Share of p-values at or below a bound, of readings after the first 500.
    fn share_below(bound: f64, counts: impl Iterator<Item = u64>) -> f64 {
        let mut model = CountModel::default();
        let p_values: Vec<f64> = counts.map(|count| model.observe(count, 1.0, 400.0)).skip(500).collect();
        p_values.iter().filter(|p| **p <= bound).count() as f64 / p_values.len() as f64
    }

    #[test]
    fn p_values_of_poisson_counts_are_no_smaller_than_they_should_be() {
        let mut dice = Dice::new(7);
        for mean in [0.05, 0.7, 5.0, 60.0] {
            let share = share_below(0.01, (0..40_000).map(|_| dice.poisson(mean)));
            assert!(share <= 0.013, "mean {mean}: {share}");
        }
    }

    #[test]
    fn more_spread_than_poisson_is_learned() {
        let mut dice = Dice::new(8);
        let mut bursty = || {
            let rate = dice.gamma_like();
            dice.poisson(20.0 * rate)
        };
        let counts: Vec<u64> = (0..40_000).map(|_| bursty()).collect();
        assert!(share_below(0.01, counts.into_iter()) <= 0.02);
    }

    #[test]
    fn a_surge_is_improbable_and_does_not_make_itself_usual() {
        let mut dice = Dice::new(9);
        let mut model = CountModel::default();
        for _ in 0..500 {
            model.observe(dice.poisson(4.0), 4.0, 400.0);
        }
        for _ in 0..5 {
            let p = model.observe(25, 4.0, 400.0);
            assert!(p < 1e-4, "{p}");
        }
        assert!(model.observe(4, 4.0, 400.0) > 0.2);
    }

    #[test]
    fn what_the_season_expects_is_no_surprise() {
        let mut model = CountModel::default();
        for hour in 0..500 {
            let expected = if hour % 24 < 12 { 100.0 } else { 2.0 };
            assert!(model.observe(expected as u64, expected, 400.0) > 0.5, "hour {hour}");
        }
        assert!(model.observe(100, 2.0, 400.0) < 1e-9);
    }
}
