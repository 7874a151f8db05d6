//! How the segments of those who come now stand to those of the users that the centres were fitted to.

use super::Segments;

/// Profiles before a drift is told: fewer say more of chance than of users.
const PROFILES_MIN: f64 = 500.0;
/// Once so many are counted, all counts are halved: the mix is that of the last some thousands.
const PROFILES_MAX: f64 = 20_000.0;
/// A share that is nothing counts as this, or its logarithm would be infinite.
const SHARE_MIN: f64 = 1e-4;

/// Profiles by segment, the older ones weighing less.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mix {
    counts: Vec<f64>,
}

impl Mix {
    /// `segment`: its place among the model's.
    pub fn count(&mut self, segment: usize) {
        if self.counts.len() <= segment {
            self.counts.resize(segment + 1, 0.0);
        }
        self.counts[segment] += 1.0;
        if self.counts.iter().sum::<f64>() >= PROFILES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2.0);
        }
    }

    /// The population stability index, as credit scoring uses it (Siddiqi, *Credit Risk Scorecards*, 2006): the sum over
    /// segments of (now − then) · ln(now ÷ then), of shares. Below 0.1 the mix is as it was, above 0.25 it is another.
    pub fn drift(&self, segments: &Segments) -> Option<f64> {
        let sum: f64 = self.counts.iter().sum();
        if sum < PROFILES_MIN {
            return None;
        }
        let terms = segments.segments.iter().enumerate().map(|(place, segment)| {
            let now = (self.counts.get(place).copied().unwrap_or(0.0) / sum).max(SHARE_MIN);
            let then = segment.share.max(SHARE_MIN);
            (now - then) * (now / then).ln()
        });
        Some(terms.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::segments::{FEATURES, Scale, Segment};
    use super::*;

    #[test]
    fn the_same_mix_has_not_drifted_and_another_has() {
        let segment = |name: &str, share| Segment { name: name.into(), share, centre: vec![0.0; FEATURES.len()] };
        let names: Vec<String> = FEATURES.iter().map(|feature| feature.name.to_owned()).collect();
        let scales = vec![Scale { mean: 0.0, deviation: 1.0 }; FEATURES.len()];
        let segments = Segments::new("s", "1", &names, scales, vec![segment("a", 0.8), segment("b", 0.2)]).unwrap();
        let drift = |a: usize, b: usize| {
            let mut mix = Mix::default();
            (0..a).for_each(|_| mix.count(0));
            (0..b).for_each(|_| mix.count(1));
            mix.drift(&segments)
        };
        assert_eq!(drift(80, 20), None, "too few to tell");
        assert!(drift(800, 200).is_some_and(|psi| psi.abs() < 1e-12));
        // (0.2 − 0.8) ln(0.2 ÷ 0.8) + (0.8 − 0.2) ln(0.8 ÷ 0.2)
        assert!(drift(200, 800).is_some_and(|psi| (psi - 1.2 * 4f64.ln()).abs() < 1e-12));
        assert!(drift(1000, 0).is_some_and(|psi| psi.is_finite() && psi > 0.25));
    }
}
