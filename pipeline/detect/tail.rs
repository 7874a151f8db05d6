//! How far out a statistic is, learned from its own past: peaks over a threshold.
//!
//! The threshold is the quantile that a share `TAIL_SHARE` of the past exceeds, followed by stochastic approximation
//! (Robbins & Monro, 1951). What exceeds it does so by amounts that are taken as exponential (Balkema & de Haan, 1974,
//! and Pickands, 1975, with shape 0: the statistics that come here are logarithms or bounded; the use for streams is that of
//! Siffer et al., Anomaly Detection in Streams with Extreme Value Theory, KDD 2017).

use serde::{Deserialize, Serialize};

use super::P_MIN;

/// Share of the past above the threshold. Of 140 readings that is four, of a day of 5-minute buckets nine.
const TAIL_SHARE: f64 = 0.03;
/// The threshold follows as if this many readings were remembered.
const READINGS_MAX: f32 = 1_000.0;
/// So many exceedances are remembered.
const EXCEEDANCES_MAX: f32 = 30.0;
/// Before any is seen, so many are believed in…
const EXCEEDANCES_PRIOR: f32 = 3.0;
/// …of this mean, in units of the statistic; all are logarithms or in spreads, where a half is little and not nothing.
const EXCESS_PRIOR: f32 = 0.5;
/// One exceedance counts for at most this many times the mean, so that one incident does not hide the next…
const EXCESS_MAX: f32 = 3.0;
/// …and it stays above this: a series of exceedances by next to nothing must not make everything an exceedance.
const EXCESS_MIN: f32 = 0.02;
/// The threshold is found among the first readings, which are judged by nothing.
const START: f32 = 64.0;
/// In the beginning the threshold moves by up to this many mean excesses.
const STEP: f32 = 3.0;

/// Statistics are never negative.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tail {
    threshold: f32,
    /// Mean excess, and how many exceedances it stands for. In the beginning, the largest statistic.
    excess: f32,
    exceedances: f32,
    readings: f32,
}

impl Tail {
    /// The probability that the past gives to a statistic as large as this one; 1 below the threshold. Then remembers
    /// it.
    pub fn observe(&mut self, statistic: f64) -> f64 {
        let p = self.p_value(statistic);
        self.learn(statistic as f32);
        p
    }

    fn p_value(&self, statistic: f64) -> f64 {
        let over = statistic - f64::from(self.threshold);
        if over <= 0.0 || self.readings < START {
            return 1.0;
        }
        (TAIL_SHARE * (-over / f64::from(self.excess)).exp()).max(P_MIN)
    }

    fn learn(&mut self, statistic: f32) {
        self.readings = (self.readings + 1.0).min(READINGS_MAX);
        if self.readings <= START {
            return self.start(statistic);
        }
        let over = statistic - self.threshold;
        // Steps whose expectation is zero where a share `TAIL_SHARE` lies above.
        let share = TAIL_SHARE as f32;
        let step = STEP * self.excess / (self.readings * share.sqrt());
        if over > 0.0 {
            self.exceedances = (self.exceedances + 1.0).min(EXCEEDANCES_MAX);
            let pull = (over - self.excess).min(EXCESS_MAX * self.excess);
            self.excess = (self.excess + pull / self.exceedances).max(EXCESS_MIN);
            self.threshold += step * (1.0 - share);
        } else {
            self.threshold = (self.threshold - step * share).max(0.0);
        }
    }

    /// Of the first readings the two largest are kept: the smaller of them is the quantile, about.
    fn start(&mut self, statistic: f32) {
        let largest = self.excess;
        self.threshold = self.threshold.max(statistic.min(largest));
        self.excess = largest.max(statistic);
        if self.readings >= START {
            self.exceedances = EXCEEDANCES_PRIOR + 2.0;
            let sum = self.excess - self.threshold + EXCEEDANCES_PRIOR * EXCESS_PRIOR;
            self.excess = sum / self.exceedances;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    #[test]
    fn exponential_statistics_get_the_probabilities_that_they_have() {
        let (mut dice, mut tail) = (Dice::new(1), Tail::default());
        let p_values: Vec<f64> = (0..200_000).map(|_| tail.observe(-(1.0 - dice.unit()).ln())).collect();
        for bound in [0.03, 0.01, 0.001] {
            let share = p_values.iter().filter(|p| **p <= bound).count() as f64 / p_values.len() as f64;
            assert!((0.6..1.7).contains(&(share / bound)), "{bound}: {share}");
        }
    }

    #[test]
    fn what_is_usual_has_no_probability_below_one() {
        let mut tail = Tail::default();
        assert!((0..1_000).all(|_| tail.observe(0.0) == 1.0));
        assert!(tail.observe(3.0) < 0.001);
    }

    #[test]
    fn larger_statistics_that_stay_become_usual() {
        let (mut dice, mut tail) = (Dice::new(2), Tail::default());
        for _ in 0..500 {
            tail.observe(dice.unit());
        }
        assert!(tail.observe(20.0) < 1e-6);
        for _ in 0..2_000 {
            tail.observe(20.0 + dice.unit());
        }
        assert!(tail.observe(20.5) > 0.01);
    }
}
