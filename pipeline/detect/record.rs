//! Is this beyond all that was seen?

use serde::{Deserialize, Serialize};

use super::P_MIN;

/// Distances beyond the extremes are measured in this part of what lies between them: `1 + 10 · distance / span`…
const SPAN_PARTS: f64 = 10.0;
/// …whose power of minus this is what a record's probability is multiplied by: a tenth of the span beyond makes it 256
/// times smaller. So a record by a hair is worth its rank and no more.
const EXCESS_POWER: f64 = 8.0;
/// Of fewer readings the extremes say nothing: what lies between them is not known yet.
const READINGS_MIN: f32 = 50.0;
/// Readings remembered: beyond, the extremes close in again, so that a spike of last year hides none of today's.
const READINGS_MAX: f64 = 20_000.0;
/// One record more than expected is no sign of a trend: so many are believed in at first.
const RECORDS_PRIOR: f64 = 2.0;

/// The smallest and the largest value seen, and how often either was exceeded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Extremes {
    low: f64,
    high: f64,
    readings: f32,
    records: f32,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY, readings: 0.0, records: 0.0 }
    }
}

impl Extremes {
    /// The p-value of a value beyond the extremes; 1 between them. Then widens them.
    ///
    /// Of `n` readings that could as well have come in any other order, the last is the largest or the smallest with
    /// probability `2 / n`, and there have been about `2 ln n` records before (Rényi, 1962; Arnold, Balakrishnan & Nagaraja,
    /// Records, 1998, chapter 2). Where there were more, the series has a trend, and a record is likelier in proportion.
    pub fn observe(&mut self, value: f64) -> f64 {
        let beyond = self.beyond(value);
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        self.readings += 1.0;
        self.fade();
        if beyond <= 0.0 {
            return 1.0;
        }
        self.records += 1.0;
        if self.readings < READINGS_MIN {
            return 1.0;
        }
        self.p_value(beyond)
    }

    fn p_value(&self, beyond: f64) -> f64 {
        let n = f64::from(self.readings).max(2.0);
        let expected = 2.0 * n.ln() + RECORDS_PRIOR;
        let often = ((f64::from(self.records) + RECORDS_PRIOR) / expected).max(1.0);
        (2.0 / n * often * (1.0 + SPAN_PARTS * beyond).powf(-EXCESS_POWER)).clamp(P_MIN, 1.0)
    }

    /// How far beyond the extremes, in spans; where all values were equal, any other is a span away.
    fn beyond(&self, value: f64) -> f64 {
        if self.low > self.high {
            return 0.0;
        }
        let distance = (value - self.high).max(self.low - value).max(0.0);
        if distance > 0.0 && self.high > self.low { distance / (self.high - self.low) } else { distance.min(1.0) }
    }

    fn fade(&mut self) {
        if f64::from(self.readings) <= READINGS_MAX {
            return;
        }
        let part = (self.high - self.low) / (4.0 * READINGS_MAX);
        self.low += part;
        self.high -= part;
        self.readings = READINGS_MAX as f32;
        self.records *= (1.0 - 1.0 / READINGS_MAX) as f32;
    }
}
