//! Is this reading out of the ordinary? A detector for one series, a reading at a time, without I/O and without a clock.
//!
//! Promised: a verdict depends on the readings up to it and on nothing else; memory is the size of [`Detector`], about a
//! kilobyte, however long the series; whatever comes in, what goes out is finite. Needed: readings in the order of their
//! times. A bucket without events is a count of 0 and must be handed in as one; a reading that is missing is left out.
//!
//! Seven tests look at a reading, each for another way of being unusual ([`Test`]). Each gives a p-value: the
//! probability, judged from the series' own past or from a model of counts or shares, of something as far out or
//! further. Their weighted harmonic mean is the verdict's p-value, its logarithm the score. An alert is a score above the
//! threshold, once an incident: what follows and is no higher rests.
//!
//! Over many series p-values are judged together: [`Fdr`] bounds the share of false alarms among the alarms.
//!
//! What is a number here and has no source in a paper was chosen on one half of the series of the Numenta Anomaly
//! Benchmark (those at even places in the order of their names) and checked on the other half.

mod change;
mod count;
mod detector;
mod fdr;
pub mod growth;
mod level;
mod novelty;
mod record;
pub mod rise;
mod season;
mod share;
mod special;
mod tail;
mod verdict;

#[cfg(test)]
mod tests;

pub use detector::{Detector, LAYOUT};
pub use fdr::Fdr;
pub use verdict::guaranteed;

/// No p-value is smaller. What is further out is not rarer in a way that the past could show.
pub const P_MIN: f64 = 1e-18;

/// How a series is watched. One setting serves series of any unit; a reading is whatever comes once a row or a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Readings that level and spread remember. Fewer follow a new level sooner, and call less a deviation. At 5 minutes
    /// a reading, 200 are 17 hours.
    pub memory_readings: u32,
    /// The first readings are never an alert: the tests know too little. At least 100 are needed for all to speak.
    pub warm_up_readings: u32,
    /// After an alert, what is no further out is the same incident for so many readings.
    pub rest_readings: u32,
    /// A reading as improbable as this is an alert and has the score 0.5. It is a probability a reading as the tests see
    /// it, which follow one another closely; what remains after the rest is about a fifth of it.
    pub alert_probability: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_readings: 200, warm_up_readings: 150, rest_readings: 84, alert_probability: 0.003 }
    }
}

/// What is read once a row or a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Any quantity. What is not finite counts as missing.
    Value(f64),
    /// Events in a bucket.
    Count(u64),
    /// Hits among trials, as negative texts among all. Of no trials nothing is learned.
    Share { hits: u64, of: u64 },
}

/// The ways of being unusual that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Beyond the smallest or the largest value seen.
    Record,
    /// Many or few readings far from the level, of late.
    Bursts,
    /// Not what this time of the day, on this day of the week, has been like.
    Season,
    /// The mean of the last readings has left the level.
    Jump,
    /// Small differences to one side have added up.
    Drift,
    /// More restless, or stiller, than ever.
    Unrest,
    /// A count or a share that its model does not expect. Says nothing of values.
    Model,
}

impl Test {
    pub const ALL: [Test; 7] =
        [Test::Record, Test::Bursts, Test::Season, Test::Jump, Test::Drift, Test::Unrest, Test::Model];

    /// How much of the combined probability is the test's own. In steps of three: what finer steps would gain on the
    /// series that they are chosen on is lost on others.
    pub fn weight(self) -> f64 {
        match self {
            Test::Bursts => 3.0,
            Test::Record | Test::Model => 1.0,
            Test::Season | Test::Jump => 0.3,
            Test::Drift | Test::Unrest => 0.03,
        }
    }
}

/// What is thought of one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// 98 of 100 readings are expected from `expected_low` to `expected_high`; both are the reading itself for the first.
    pub expected_low: f64,
    pub expected_high: f64,
    /// The middle of it, from level and season.
    pub expected: f64,
    /// By test, in the order of [`Test::ALL`]: the probability of a reading as far out; 1 where it says nothing.
    pub tests: [f64; Test::ALL.len()],
    /// Combined; 1 during the warm-up.
    pub p_value: f64,
    /// 0–1: `l / (l + l₀)` with `l` the negative logarithm of the p-value and `l₀` that of the alert probability, so that
    /// an alert begins at 0.5. 0 while an incident rests.
    pub score: f64,
    pub alert: bool,
}

impl Verdict {
    /// The test that says most.
    pub fn leading(&self) -> Test {
        let say = |i: usize| Test::ALL[i].weight() / self.tests[i];
        let best = (0..Test::ALL.len()).max_by(|a, b| say(*a).total_cmp(&say(*b)));
        best.map_or(Test::Record, |i| Test::ALL[i])
    }
}
