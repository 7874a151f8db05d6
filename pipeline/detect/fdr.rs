//! Many series, one promise: of the alarms of a period, the expected share that is false stays below a bound.

/// LORD++ (Ramdas, Yang, Wainwright & Jordan, Online control of the false discovery rate with decaying memory, NeurIPS
/// 2017, section 3), with its budget renewed every period.
///
/// Test `t` is at the level `α_t = w γ_t + (α − w) γ_{t−τ₁} + α Σ_{j≥2} γ_{t−τ_j}`, where `τ_j` is the time of the `j`-th
/// alarm and `γ` any sequence that falls and adds up to 1. Here `γ_k` is `(1 − 1/N)^(k−1) / N` for the `N` tests that a
/// period is expected to hold, so that no memory of times is needed: what is left of all that was earned is one number, of
/// which every test spends an `N`-th, and what surges today has earned still helps tomorrow morning. `w` is given anew
/// with each period, and what is left of the one before is lost; `N` is what the last period held.
///
/// What counts as a discovery is the caller's to say ([`Fdr::discovered`]): where several alarms are of one incident, of
/// which somebody is told once, only the first of them may earn, or the share of false ones among what is told would be as
/// many times the bound as a true incident has alarms.
///
/// All levels up to any moment add up to at most α times the discoveries, and `w` for each period that had none. So the
/// bound on the false discovery rate holds, but for such periods, if the p-values of series where nothing happens are
/// independent of each other and no smaller than uniform; of the modified rate, E[false] / E[alarms], without independence
/// between them so long as each is no smaller than uniform given the alarms before it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Fdr {
    /// α.
    #[prost(double, tag = "1")]
    bound: f64,
    /// N.
    #[prost(uint64, tag = "2")]
    tests_expected: u64,
    #[prost(int64, tag = "3")]
    period_ms: i64,
    #[prost(int64, optional, tag = "4")]
    period: Option<i64>,
    #[prost(uint64, tag = "5")]
    tests: u64,
    #[prost(uint64, tag = "6")]
    alarms: u64,
    /// What is left of w, and of what discoveries have earned.
    #[prost(double, optional, tag = "7")]
    start: Option<f64>,
    #[prost(double, tag = "8")]
    earned: f64,
}

/// w, as a part of the bound: the paper's choice leaves as much to the first alarm as to the time before it.
const START: f64 = 0.5;
/// A period that held fewer tests says little of how many the next one holds.
const TESTS_MIN: u64 = 100;

impl Fdr {
    /// A bound within 0–1, a period above 0 and at least one test are made of what is outside these.
    pub fn new(bound: f64, tests_expected: u64, period_ms: i64) -> Self {
        let bound = if bound.is_finite() { bound.clamp(0.0, 1.0) } else { 0.0 };
        let (tests_expected, period_ms) = (tests_expected.max(1), period_ms.max(1));
        Self { bound, tests_expected, period_ms, ..Self::default() }
    }

    /// Whether this p-value, at this time, is an alarm. A time before the period under way counts into it. What it earns is
    /// counted by [`Self::discovered`].
    pub fn is_alarm(&mut self, time_ms: i64, p_value: f64) -> bool {
        let period = time_ms.div_euclid(self.period_ms.max(1));
        if self.period.is_none_or(|under_way| period > under_way) {
            if self.period.is_some() {
                self.tests_expected = self.tests.max(TESTS_MIN);
            }
            self.period = Some(period);
            (self.tests, self.alarms, self.start) = (0, 0, None);
        }
        let alarm = p_value <= self.level();
        self.tests = self.tests.saturating_add(1);
        let keep = 1.0 - 1.0 / self.tests_expected.max(1) as f64;
        self.start = Some(self.first_wealth() * keep);
        self.earned *= keep;
        alarm
    }

    /// The last alarm is of something that no alarm was of before.
    pub fn discovered(&mut self) {
        // w was given before the first.
        self.earned += if self.alarms == 0 { self.bound - self.bound * START } else { self.bound };
        self.alarms = self.alarms.saturating_add(1);
    }

    /// The level at which the next test will be judged.
    pub fn level(&self) -> f64 {
        ((self.first_wealth() + self.earned) / self.tests_expected.max(1) as f64).min(1.0)
    }

    fn first_wealth(&self) -> f64 {
        self.start.unwrap_or(self.bound * START)
    }

    /// Discoveries of the period under way.
    pub fn alarms(&self) -> u64 {
        self.alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    /// Every alarm is a discovery here.
    fn discovers(fdr: &mut Fdr, time_ms: i64, p_value: f64) -> bool {
        let alarm = fdr.is_alarm(time_ms, p_value);
        if alarm {
            fdr.discovered();
        }
        alarm
    }

    /// The mean, over runs, of the share of false alarms among the alarms; and the share of true ones that were found.
    fn measured(bound: f64, true_share: f64, smallness: f64, seed: u64) -> (f64, f64) {
        const RUNS: usize = 300;
        const TESTS: u64 = 2_000;
        let mut dice = Dice::new(seed);
        let (mut false_share, mut found, mut there) = (0.0, 0.0, 0.0);
        for _ in 0..RUNS {
            let mut fdr = Fdr::new(bound, TESTS, 1_000_000);
            let (mut wrong, mut all) = (0.0, 0.0);
            for time in 0..TESTS {
                let is_true = dice.unit() < true_share;
                let p = if is_true { dice.unit().powf(smallness) } else { dice.unit() };
                let alarm = discovers(&mut fdr, time as i64, p);
                there += f64::from(u8::from(is_true));
                found += f64::from(u8::from(alarm && is_true));
                wrong += f64::from(u8::from(alarm && !is_true));
                all += f64::from(u8::from(alarm));
            }
            false_share += wrong / f64::max(all, 1.0);
        }
        (false_share / RUNS as f64, found / f64::max(there, 1.0))
    }

    #[test]
    fn the_share_of_false_alarms_is_below_the_bound() {
        for (seed, bound) in [(1, 0.05), (2, 0.2)] {
            for (true_share, smallness) in [(0.0, 1.0), (0.01, 30.0), (0.1, 30.0), (0.5, 5.0)] {
                let (rate, _) = measured(bound, true_share, smallness, seed);
                // Three standard errors of a mean of 300 that lie within 0–1.
                let error = 3.0 * (bound * (1.0 - bound) / 300.0).sqrt();
                assert!(rate <= bound + error, "bound {bound}, {true_share} true: {rate}");
            }
        }
    }

    #[test]
    fn what_is_far_out_is_found_the_more_the_more_there_is() {
        let (_, few) = measured(0.1, 0.01, 30.0, 5);
        let (_, many) = measured(0.1, 0.2, 30.0, 5);
        assert!(few > 0.6 && many > few, "{few}, {many}");
    }

    #[test]
    fn without_a_sign_of_anything_a_bound_is_rarely_used_up() {
        let mut dice = Dice::new(11);
        let runs_with_an_alarm = (0..1_000).filter(|_| {
            let mut fdr = Fdr::new(0.1, 500, 1_000);
            (0..500).any(|time| fdr.is_alarm(time, dice.unit()))
        });
        assert!(runs_with_an_alarm.count() < 80, "half of the bound, in expectation");
    }

    #[test]
    fn a_period_begins_anew_with_as_many_tests_as_the_last_one() {
        let mut fdr = Fdr::new(0.1, 1_000, 1_000);
        let first = fdr.level();
        (0..400).for_each(|time| assert!(!fdr.is_alarm(time, 1.0)));
        assert!(fdr.level() < first && fdr.level() > first / 2.0, "400 of 1,000 tests have spent their parts");
        assert!(discovers(&mut fdr, 1_000, 1e-12));
        assert_eq!(fdr.alarms(), 1);
        assert!(fdr.is_alarm(1_000, 1e-12));
        assert_eq!(fdr.alarms(), 1, "of the same");
        assert!(fdr.level() > first, "400 tests are expected, and a discovery has earned");
        assert!(discovers(&mut fdr, 5, 1e-12), "a late one counts into the period under way");
        let earned = fdr.level();
        assert!(earned > 2.0 * first);
        assert!(!fdr.is_alarm(2_000, 1.0));
        assert!(
            fdr.level() > 2.0 * earned,
            "what is left of it lasts: a period of 100 tests, the least that is believed"
        );
    }

    #[test]
    fn however_many_tests_a_period_holds_the_levels_add_up_to_the_budget() {
        let mut fdr = Fdr::new(0.1, 10, i64::MAX);
        let mut spent = 0.0;
        for time in 0..100_000 {
            spent += fdr.level();
            assert!(!fdr.is_alarm(time, 1.0));
        }
        assert!(spent > 0.0499 && spent <= 0.050_001, "{spent}");
    }
}
