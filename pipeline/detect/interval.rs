//! Between what a reading is expected to lie.

/// The interval is to hold this share of the readings, as much on either side.
pub const COVERAGE: f64 = 0.98;
/// Readings remembered.
const READINGS_MAX: f32 = 2_000.0;

/// The two outer quantiles of how far readings lie from what was expected, followed by stochastic approximation (Robbins
/// & Monro, 1951): each is moved so that a share of `(1 - COVERAGE) / 2` lies beyond it.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    low: f32,
    high: f32,
    readings: f32,
}

impl Default for Interval {
    /// Before anything is known: three spreads to either side, in compressed places.
    fn default() -> Self {
        Self { low: -1.4, high: 1.4, readings: 0.0 }
    }
}

impl Interval {
    pub fn around(&self, expected: f64) -> (f64, f64) {
        (expected + f64::from(self.low), expected + f64::from(self.high))
    }

    pub fn learn(&mut self, off: f64) {
        self.readings = (self.readings + 1.0).min(READINGS_MAX);
        let beyond = ((1.0 - COVERAGE) / 2.0) as f32;
        let width = (self.high - self.low).max(0.02);
        let step = 2.0 * width / (self.readings + 20.0);
        let off = off as f32;
        // The square root keeps one reading beyond from moving a bound by a multiple of the width.
        let (out, within) = (step * (1.0 - beyond) / beyond.sqrt(), step * beyond / beyond.sqrt());
        self.high += if off > self.high { out } else { -within };
        self.low -= if off < self.low { out } else { -within };
        if self.low > self.high {
            (self.low, self.high) = (self.high, self.low);
        }
    }
}
