//! Where a series is and how wide it swings, robustly: Huber's location and scale (Huber, Robust Estimation of a
//! Location Parameter, 1964), followed with exponentially fading memory; and between what its next reading is expected.

use serde::{Deserialize, Serialize};

/// A reading pulls the level by at most this many spreads…
const PULL_MAX: f64 = 3.0;
/// …and widens the spread by at most this multiple of it, so that one outlier does not hide the next, while a new level
/// is reached after a fraction of the memory.
const SPREAD_PULL_MAX: f64 = 6.0;
/// The first readings count fully, each as one of those seen.
const START: f64 = 30.0;
/// The spread is at least this part of the level, so that a series that never moves has one.
const SPREAD_PART_MIN: f64 = 1e-3;
/// …and at least this, in the series' unit.
const SPREAD_MIN: f64 = 1e-9;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Level {
    centre: f64,
    /// Mean absolute deviation.
    spread: f64,
    readings: f32,
}

impl Level {
    /// How many spreads the value lies from the level, compressed: `sign · ln(1 + |distance|)`. Series of bursts and
    /// series of noise become comparable so, and nothing overflows. Then follows the value.
    pub fn observe(&mut self, value: f64, memory: f64) -> f64 {
        if self.readings < 1.0 {
            self.centre = value;
        }
        let place = self.place(value);
        self.learn(value, memory);
        place
    }

    pub fn place(&self, value: f64) -> f64 {
        let distance = (value - self.centre) / self.spread();
        distance.signum() * distance.abs().ln_1p()
    }

    /// The value at a place: the inverse of [`Level::place`].
    pub fn value_at(&self, place: f64) -> f64 {
        self.centre + self.spread() * place.signum() * place.abs().exp_m1()
    }

    fn spread(&self) -> f64 {
        self.spread.max(SPREAD_MIN + SPREAD_PART_MIN * self.centre.abs())
    }

    fn learn(&mut self, value: f64, memory: f64) {
        let readings = f64::from(self.readings) + 1.0;
        let share = 1.0 / readings.min(memory);
        let (off, spread) = (value - self.centre, self.spread());
        if readings < START {
            self.centre += share * off;
            self.spread += share * (off.abs() - self.spread);
        } else {
            self.centre += share * off.clamp(-PULL_MAX * spread, PULL_MAX * spread);
            self.spread += share * (off.abs().min(SPREAD_PULL_MAX * spread) - self.spread);
        }
        self.readings = readings.min(1e6) as f32;
    }
}

/// The interval is to hold this share of the readings, as much on either side.
pub const COVERAGE: f64 = 0.98;
/// Readings remembered.
const INTERVAL_READINGS_MAX: f32 = 2_000.0;

/// The two outer quantiles of how far readings lie from what was expected, followed by stochastic approximation (Robbins
/// & Monro, 1951): each is moved so that a share of `(1 - COVERAGE) / 2` lies beyond it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
        self.readings = (self.readings + 1.0).min(INTERVAL_READINGS_MAX);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    #[test]
    fn a_place_and_its_value_are_inverse() {
        let (mut dice, mut level) = (Dice::new(1), Level::default());
        for _ in 0..200 {
            level.observe(50.0 + dice.normal(), 100.0);
        }
        for value in [-1e9, 0.0, 49.5, 50.0, 51.0, 1e12] {
            let back = level.value_at(level.place(value));
            assert!((back - value).abs() <= 1e-9 * value.abs().max(1.0), "{value}: {back}");
        }
    }

    #[test]
    fn an_outlier_moves_a_level_little_and_a_new_one_is_reached() {
        let mut level = Level::default();
        for i in 0..200 {
            level.observe(if i % 2 == 0 { 9.0 } else { 11.0 }, 100.0);
        }
        level.observe(1e6, 100.0);
        assert!((level.value_at(0.0) - 10.0).abs() < 0.2, "{level:?}");
        for i in 0..600 {
            level.observe(if i % 2 == 0 { 99.0 } else { 101.0 }, 100.0);
        }
        assert!((level.value_at(0.0) - 100.0).abs() < 2.0, "{level:?}");
    }

    #[test]
    fn an_interval_holds_what_it_says() {
        let (mut dice, mut interval, mut held) = (Dice::new(3), Interval::default(), 0);
        for reading in 0..20_000 {
            let off = dice.normal();
            let (low, high) = interval.around(0.0);
            held += u32::from(reading >= 5_000 && (low..=high).contains(&off));
            interval.learn(off);
        }
        assert!((14_550..=14_850).contains(&held), "{held} of 15,000, expected 14,700");
    }
}
