//! Where a series is and how wide it swings, robustly: Huber's location and scale (Huber, Robust Estimation of a
//! Location Parameter, 1964), followed with exponentially fading memory.

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

#[derive(Clone, Copy, Debug, Default)]
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
