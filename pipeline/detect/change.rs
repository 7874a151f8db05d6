//! Has the level moved: at once, or little by little.

use serde::{Deserialize, Serialize};

/// The mean of about this many readings moves fast…
const FAST: f64 = 16.0;
/// …and a sum of this allowance a reading moves slowly: half of the shift that is looked for, one spread (Page,
/// Continuous Inspection Schemes, 1954).
const ALLOWANCE: f64 = 0.35;
/// The sum is bounded, so that it has come down soon after the level has been followed.
const SUM_MAX: f64 = 40.0;
/// No reading adds more than this: a spike is no change.
const PLACE_MAX: f64 = 1.5;

/// A moving average of places (Roberts, Control Chart Tests Based on Geometric Moving Averages, 1959) for jumps, and a
/// cumulative sum in either direction for drifts. Both are statistics, not probabilities: how far out they are is
/// learned by a [`super::tail::Tail`], because a series' readings depend on each other and no table fits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    mean: f32,
    up: f32,
    down: f32,
    readings: f32,
}

impl Change {
    /// The two statistics, jump and drift.
    pub fn observe(&mut self, place: f64) -> (f64, f64) {
        self.readings = (self.readings + 1.0).min(1e6);
        self.mean += ((place - f64::from(self.mean)) / FAST.min(f64::from(self.readings))) as f32;
        let bounded = place.clamp(-PLACE_MAX, PLACE_MAX);
        let follow = |sum: f32, step: f64| (f64::from(sum) + step - ALLOWANCE).clamp(0.0, SUM_MAX) as f32;
        self.up = follow(self.up, bounded);
        self.down = follow(self.down, -bounded);
        (f64::from(self.mean.abs()), f64::from(self.up.max(self.down)))
    }
}
