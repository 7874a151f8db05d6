//! Many tests, one probability; one incident, one peak.

use serde::{Deserialize, Serialize};

/// The weighted harmonic mean of the tests' p-values (Wilson, The harmonic mean p-value for combining dependent tests,
/// PNAS 2019). It needs no independence, is led by the smallest, and is near the Cauchy combination of Liu & Xie (JASA
/// 2020) where that is small. For any dependence whatever, e · ln K times it is a valid p-value of K tests (Vovk & Wang,
/// Combining p-values via averaging, Biometrika 2020, section 5); [`guaranteed`] is that.
pub fn harmonic_mean<const K: usize>(p_values: &[f64; K], weights: &[f64; K]) -> f64 {
    let (mut total, mut sum) = (0.0, 0.0);
    for (p, weight) in p_values.iter().zip(weights) {
        total += weight;
        sum += weight / p;
    }
    if sum > 0.0 { (total / sum).min(1.0) } else { 1.0 }
}

/// A harmonic mean of `tests` p-values as a p-value that holds for any dependence between them.
pub fn guaranteed(harmonic_mean: f64, tests: usize) -> f64 {
    // Of one test, the mean is its own p-value; of two, the factor 2 of Bonferroni is the smaller.
    let k = tests as f64;
    let factor = (std::f64::consts::E * k.ln()).clamp(1.0, k.max(1.0));
    (harmonic_mean * factor).min(1.0)
}

/// After an alert, scores that are no higher are held back for a while: what goes on is the same incident, and a reader
/// is told once. A higher score is a new peak.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Peak {
    /// Of the last alert; fades to 0 when it has rested.
    height: f32,
    rest_left: u32,
}

impl Peak {
    /// The score as it is to be shown, and whether it is an alert.
    pub fn observe(&mut self, score: f64, threshold: f64, rest: u32) -> (f64, bool) {
        let resting = self.rest_left > 0;
        self.rest_left = self.rest_left.saturating_sub(1);
        if resting && score as f32 <= self.height {
            return (0.0, false);
        }
        let alert = score >= threshold;
        if alert {
            *self = Self { height: score as f32, rest_left: rest };
        }
        (score, alert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    #[test]
    fn the_mean_is_led_by_the_smallest() {
        let p = harmonic_mean(&[1e-6, 1.0, 0.5], &[1.0, 1.0, 1.0]);
        assert!((p / 3e-6 - 1.0).abs() < 1e-3, "{p}");
        assert_eq!(harmonic_mean(&[1e-6, 0.5], &[0.0, 1.0]), 0.5);
        assert_eq!(harmonic_mean(&[1e-6], &[0.0]), 1.0);
        assert!(harmonic_mean(&[1e-6, 1.0], &[3.0, 1.0]) < harmonic_mean(&[1e-6, 1.0], &[1.0, 1.0]));
    }

    #[test]
    fn the_guaranteed_mean_holds_whether_tests_agree_or_not() {
        for agree in [true, false] {
            let mut dice = Dice::new(4);
            let mut p_values = || {
                let one = dice.unit();
                [(); 7].map(|()| if agree { one } else { dice.unit() })
            };
            let low = (0..100_000).filter(|_| guaranteed(harmonic_mean(&p_values(), &[1.0; 7]), 7) <= 0.01);
            let low = low.count();
            assert!(low <= 1_000, "agree {agree}: {low} of 100,000 at 0.01");
        }
    }

    #[test]
    fn an_incident_is_told_once_unless_it_grows() {
        let mut peak = Peak::default();
        let scores = [0.0, 3.0, 2.9, 3.0, 4.0, 3.9, 0.1, 3.9, 3.0];
        let shown: Vec<(f64, bool)> = scores.iter().map(|score| peak.observe(*score, 2.5, 3)).collect();
        let alerts: Vec<usize> = (0..shown.len()).filter(|i| shown[*i].1).collect();
        assert_eq!(alerts, [1, 4, 8], "it rests for three readings");
        assert_eq!(shown[2], (0.0, false));
    }
}
