//! How new a value is: a histogram between the smallest and the largest value seen, which widens when one is exceeded.

use serde::{Deserialize, Serialize};

/// Bins between the extremes.
pub const BINS: usize = 24;
/// What a bin's neighbours count for: values near one that is known are not new.
const NEIGHBOUR: f32 = 0.5;
/// All is halved beyond this weight, so that the past fades; in readings.
const WEIGHT_MAX: f32 = 4_000.0;
/// What lies beyond the extremes is measured in this part of the distance between them.
const SPAN_PARTS: f64 = 10.0;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Novelty {
    low: f64,
    high: f64,
    weight: f32,
    bins: [f32; BINS],
}

impl Default for Novelty {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY, weight: 0.0, bins: [0.0; BINS] }
    }
}

impl Novelty {
    /// How unexpected the value is, in nats: minus the logarithm of the share of the past near it; beyond the extremes,
    /// that of one in all the past, and more with the distance. Then remembers it.
    pub fn observe(&mut self, value: f64) -> f64 {
        let surprise = self.surprise(value);
        self.learn(value);
        surprise
    }

    fn surprise(&self, value: f64) -> f64 {
        let all = f64::from(self.weight) + 1.0;
        if self.weight < 1.0 || self.high <= self.low && value == self.low {
            return 0.0;
        }
        if value < self.low || value > self.high {
            return all.ln() + self.beyond(value);
        }
        let at = self.bin(value);
        let side = |at: Option<usize>| at.and_then(|at| self.bins.get(at)).map_or(0.0, |c| NEIGHBOUR * c);
        let near = self.bins[at] + side(at.checked_sub(1)) + side(Some(at + 1));
        (all / (f64::from(near) + 0.5)).ln().max(0.0)
    }

    fn beyond(&self, value: f64) -> f64 {
        let span = self.high - self.low;
        // Where all values were equal, any other is as far out as a span.
        let spans = if span > 0.0 { (value - self.high).max(self.low - value) / span } else { 1.0 };
        (SPAN_PARTS * spans).ln_1p()
    }

    fn learn(&mut self, value: f64) {
        if value < self.low || value > self.high {
            self.widen(value);
        }
        self.bins[self.bin(value)] += 1.0;
        self.weight += 1.0;
        if self.weight > WEIGHT_MAX {
            self.weight *= 0.5;
            self.bins.iter_mut().for_each(|count| *count *= 0.5);
        }
    }

    /// Takes the value in; what was counted goes to the bins where the middles of its own now lie.
    fn widen(&mut self, value: f64) {
        let old = *self;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        if old.weight < 1.0 {
            return;
        }
        self.bins = [0.0; BINS];
        for (i, count) in old.bins.iter().enumerate() {
            let middle = old.low + (i as f64 + 0.5) / BINS as f64 * (old.high - old.low);
            let bin = self.bin(middle);
            self.bins[bin] += count;
        }
    }

    fn bin(&self, value: f64) -> usize {
        let span = self.high - self.low;
        if span <= 0.0 {
            return 0;
        }
        // Below zero becomes zero.
        (((value - self.low) / span * BINS as f64) as usize).min(BINS - 1)
    }
}
