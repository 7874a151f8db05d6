//! Counts that fade with age, exactly.
//!
//! A sum that decays continuously is rounded whenever it is brought forward, so two partial sums added early are not the
//! same as two added late. Here nothing is brought forward: whole numbers are kept by period of event time and weighed
//! only when they are read. So adding commutes and associates bit for bit, whoever adds what in which order, and what is
//! left out because of its age depends on nothing but the newest period. The price is a step: within a period nothing
//! fades, which at [`STEPS`] periods a half-life is off by a factor of 2^(1/8), 9 %, at most.

use prost::Message;

/// A weight of 1 in the units that are counted: what is weighed less than this is rounded to it.
pub const UNIT: f64 = 256.0;
/// Periods in a half-life.
pub const STEPS: i64 = 8;
/// What is five half-lives old weighs 3 % and is dropped.
const PERIODS: i64 = 5 * STEPS;

/// How fast something fades: in `half_life_ms` to a half, in steps of `period_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fading {
    period_ms: i64,
}

/// Whole weights by period. Neither begins nor ends with a zero, so that equal sums are equal bytes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Decayed {
    /// The period of the first weight: event time divided by the length of a period.
    #[prost(sint64, tag = "1")]
    pub first: i64,
    /// In [`UNIT`]s, a period each.
    #[prost(uint64, repeated, tag = "2")]
    pub weights: Vec<u64>,
}

impl Fading {
    pub fn new(half_life_ms: i64) -> Self {
        Self { period_ms: (half_life_ms / STEPS).max(1) }
    }

    pub fn period(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.period_ms)
    }

    /// When a period begins.
    pub fn start_ms(self, period: i64) -> i64 {
        period.saturating_mul(self.period_ms)
    }

    /// What is left of a weight after so many periods.
    pub fn left(periods: i64) -> f64 {
        (-(periods.max(0) as f64) / STEPS as f64).exp2()
    }
}

impl Decayed {
    pub fn of(period: i64, weight: u64) -> Self {
        let mut counts = Self::default();
        counts.add(period, weight);
        counts
    }

    pub fn add(&mut self, period: i64, weight: u64) {
        if weight == 0 {
            return;
        }
        if self.weights.is_empty() {
            self.first = period;
        }
        // What lies further apart than is ever kept is cut by `forget`; here it must not take memory first.
        if self.first - period >= PERIODS {
            return;
        }
        if period - self.newest() >= PERIODS {
            *self = Self { first: period, weights: Vec::new() };
        }
        if period < self.first {
            let missing = usize::try_from(self.first - period).unwrap_or_default();
            self.weights.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = period;
        }
        let place = usize::try_from(period - self.first).unwrap_or_default();
        if place >= self.weights.len() {
            self.weights.resize(place + 1, 0);
        }
        self.weights[place] = self.weights[place].saturating_add(weight);
        self.forget(self.newest());
    }

    pub fn merge(&mut self, other: &Decayed) {
        other.by_period().for_each(|(period, weight)| self.add(period, weight));
    }

    /// Drops what is too old to matter once `newest` has come.
    pub fn forget(&mut self, newest: i64) {
        let oldest = newest - PERIODS + 1;
        let old = usize::try_from(oldest - self.first).unwrap_or_default().min(self.weights.len());
        let zeros = self.weights[old..].iter().take_while(|weight| **weight == 0).count();
        self.weights.drain(..old + zeros);
        self.first = if self.weights.is_empty() { 0 } else { self.first + (old + zeros) as i64 };
    }

    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The last period that counts anything.
    pub fn newest(&self) -> i64 {
        self.first + self.weights.len() as i64 - 1
    }

    /// What is left of it when `now` is the period, in units of 1.
    pub fn value(&self, now: i64) -> f64 {
        self.by_period().map(|(period, weight)| weight as f64 * Fading::left(now - period)).sum::<f64>() / UNIT
    }

    pub fn by_period(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        (self.first..).zip(self.weights.iter().copied()).filter(|(_, weight)| *weight > 0)
    }
}

/// A weight as it is counted; what is above 0 is never rounded to nothing.
pub fn units(weight: f64) -> u64 {
    if weight > 0.0 { ((weight * UNIT).round() as u64).max(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(parts: &[(i64, u64)]) -> Decayed {
        let mut counts = Decayed::default();
        parts.iter().for_each(|(period, weight)| counts.add(*period, *weight));
        counts
    }

    #[test]
    fn a_half_life_halves() {
        let counts = sum(&[(0, units(4.0)), (8, units(1.0))]);
        assert_eq!([counts.value(8), counts.value(16)], [3.0, 1.5]);
        assert_eq!(sum(&[(0, 5), (PERIODS, 7)]), sum(&[(PERIODS, 7)]), "what is too old is gone");
        assert_eq!(sum(&[(PERIODS, 7), (0, 5)]), sum(&[(PERIODS, 7)]), "however it came");
        assert_eq!(sum(&[(0, 5), (i64::from(i32::MAX), 7)]).weights, [7]);
    }

    #[test]
    fn a_step_is_off_by_no_more_than_it_says() {
        let fading = Fading::new(8_000);
        for age_ms in (0..40_000).step_by(37) {
            let exact = (-(age_ms as f64) / 8_000.0).exp2();
            let kept = Fading::left(fading.period(100_000 + age_ms) - fading.period(100_000));
            assert!((kept / exact - 1.0).abs() < 0.091, "{age_ms} ms: {kept} instead of {exact}");
        }
    }

    proptest! {
        #[test]
        fn order_and_cuts_change_nothing(
            mut parts in prop::collection::vec((0i64..90, 0u64..1000), 0..60),
            cut in 0usize..60,
            seed in any::<u64>(),
        ) {
            let whole = sum(&parts);
            let mut merged = sum(&parts[..cut.min(parts.len())]);
            merged.merge(&sum(&parts[cut.min(parts.len())..]));
            prop_assert_eq!(&merged, &whole);
            fastrand::Rng::with_seed(seed).shuffle(&mut parts);
            prop_assert_eq!(sum(&parts), whole.clone());
            prop_assert!(whole.weights.len() <= PERIODS as usize);
            let newest = parts.iter().filter(|part| part.1 > 0).map(|part| part.0).max().unwrap_or_default();
            let exact: f64 = parts.iter().filter(|part| part.0 > newest - PERIODS)
                .map(|part| part.1 as f64 * Fading::left(newest - part.0) / UNIT).sum();
            prop_assert!((whole.value(newest) - exact).abs() <= 1e-9 * exact.max(1.0));
        }
    }
}
