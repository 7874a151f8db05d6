use serde::{Deserialize, Serialize};

use super::change::Change;
use super::count::CountModel;
use super::level::{Interval, Level};
use super::novelty::Novelty;
use super::record::Extremes;
use super::season::{Expected, Season};
use super::share::ShareModel;
use super::tail::Tail;
use super::verdict::{Peak, harmonic_mean};
use super::{Reading, Settings, Test, Verdict};

/// The tests learn from this reading on: before, level and spread are still being found.
const READINGS_MIN: u32 = 30;
/// A place further out is part of a burst: four and a half spreads.
const BURST_PLACE: f64 = 1.7;
/// The share of bursts is one of about so many of the last readings.
const BURST_READINGS: f32 = 64.0;
/// Differences from the season are averaged over so many readings, at most…
const SEASON_READINGS: f32 = 4.0;
/// …and each counts for at most this many of its spreads.
const SEASON_OFF_MAX: f64 = 8.0;
/// Unrest is the mean step from one place to the next over so many readings, one after another: it speaks at the end of
/// each such block, and blocks depend on each other less than readings.
const BLOCK_READINGS: u8 = 16;
/// Steps below this are stillness.
const UNREST_MIN: f64 = 0.3;
/// Larger values, of either sign, are read as this: their differences must stay finite.
const VALUE_MAX: f64 = 1e100;

/// Of [`Detector::to_bytes`]: another number wherever a field comes, goes or changes.
pub const LAYOUT: u32 = 1;

/// What is remembered of one series.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Detector {
    readings: u32,
    level: Level,
    season: Season,
    interval: Interval,
    counts: CountModel,
    shares: ShareModel,
    extremes: Extremes,
    burst_share: f32,
    bursts: Novelty,
    season_off: f32,
    seasons: Novelty,
    change: Change,
    last_place: f32,
    steps: f32,
    block: u8,
    unrests: Extremes,
    tails: Tails,
    peak: Peak,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Tails {
    bursts: Tail,
    season: Tail,
    jump: Tail,
    drift: Tail,
}

impl Detector {
    /// The verdict on a reading, from all before it; then remembers it. `time_ms` is the reading's own time, Unix time in
    /// milliseconds, and decides only which time of which day it is.
    pub fn observe(&mut self, settings: &Settings, time_ms: i64, reading: Reading) -> Verdict {
        let Some(value) = self.value_of(reading) else {
            return self.missing(time_ms);
        };
        let season = self.season.expected(time_ms);
        let (expected_low, expected_high) = self.expected(reading, value, season);
        let expected = self.middle(reading, value, season);
        let model = self.model(settings, reading, season);
        let place = self.level.observe(value, f64::from(settings.memory_readings));
        let tests = self.tests(value, place, season, model);
        self.interval.learn(place - season.map_or(0.0, |season| season.mean));
        self.season.learn(time_ms, place);
        self.readings = self.readings.saturating_add(1);
        let p_value = if self.readings <= settings.warm_up_readings { 1.0 } else { combined(reading, &tests) };
        let (height, alert) = self.peak.observe((1.0 / p_value).log10(), threshold(settings), settings.rest_readings);
        let score = height / (height + threshold(settings));
        Verdict { expected_low, expected_high, expected, tests, p_value, score, alert }
    }

    /// For whoever keeps it: about a kilobyte. What is written by one [`LAYOUT`] is read by the same one only.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing numbers into memory does not fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// `None` for what [`Detector::to_bytes`] has not written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Detector> {
        postcard::from_bytes(bytes).ok()
    }

    /// The reading as the quantity that the tests look at: a share as its distance from what is expected of so many
    /// trials, so that few trials are not far out.
    fn value_of(&self, reading: Reading) -> Option<f64> {
        match reading {
            Reading::Value(value) if value.is_finite() => Some(value.clamp(-VALUE_MAX, VALUE_MAX)),
            Reading::Count(count) => Some(count as f64),
            Reading::Share { hits, of } if of > 0 => Some(self.shares.deviation(hits.min(of), of)),
            Reading::Value(_) | Reading::Share { .. } => None,
        }
    }

    fn missing(&self, time_ms: i64) -> Verdict {
        let season = self.season.expected(time_ms);
        let (expected_low, expected_high) = self.expected(Reading::Value(0.0), self.level.value_at(0.0), season);
        let expected = self.middle(Reading::Value(0.0), self.level.value_at(0.0), season);
        let tests = [1.0; Test::ALL.len()];
        Verdict { expected_low, expected_high, expected, tests, p_value: 1.0, score: 0.0, alert: false }
    }

    fn middle(&self, reading: Reading, value: f64, season: Option<Expected>) -> f64 {
        match reading {
            Reading::Share { .. } => self.shares.mean(),
            _ if self.readings == 0 => value,
            Reading::Count(_) => self.level.value_at(season.map_or(0.0, |season| season.mean)).max(0.0),
            Reading::Value(_) => self.level.value_at(season.map_or(0.0, |season| season.mean)),
        }
    }

    fn expected(&self, reading: Reading, value: f64, season: Option<Expected>) -> (f64, f64) {
        if let Reading::Share { of, .. } = reading {
            return self.shares.expected(of);
        }
        if self.readings == 0 {
            return (value, value);
        }
        let (low, high) = self.interval.around(season.map_or(0.0, |season| season.mean));
        let [low, high] = [low, high].map(|place| self.level.value_at(place).clamp(-VALUE_MAX, VALUE_MAX));
        if let Reading::Count(_) = reading { (low.max(0.0), high.max(0.0)) } else { (low, high) }
    }

    fn model(&mut self, settings: &Settings, reading: Reading, season: Option<Expected>) -> f64 {
        let memory = settings.memory_readings as f32;
        match reading {
            Reading::Value(_) => 1.0,
            Reading::Count(count) => {
                let expected = self.level.value_at(season.map_or(0.0, |season| season.mean));
                self.counts.observe(count, expected, memory)
            }
            Reading::Share { hits, of } => self.shares.observe(hits.min(of), of, memory),
        }
    }

    /// The p-values in the order of [`Test::ALL`].
    fn tests(&mut self, value: f64, place: f64, season: Option<Expected>, model: f64) -> [f64; Test::ALL.len()] {
        let record = self.extremes.observe(value);
        let bursts = self.bursts(place);
        let off = season.map(|season| self.season_off(place, season));
        let (jump, drift) = self.change.observe(place);
        let unrest = self.unrest(place);
        if self.readings < READINGS_MIN {
            return [1.0; Test::ALL.len()];
        }
        [
            record,
            self.tails.bursts.observe(bursts),
            off.map_or(1.0, |off| self.tails.season.observe(off)),
            self.tails.jump.observe(jump),
            self.tails.drift.observe(drift),
            unrest,
            model,
        ]
    }

    /// How new the share of readings far from the level is.
    fn bursts(&mut self, place: f64) -> f64 {
        let far = if place.abs() > BURST_PLACE { 1.0 } else { 0.0 };
        self.burst_share += (far - self.burst_share) / BURST_READINGS.min(self.readings as f32 + 1.0);
        self.bursts.observe(f64::from(self.burst_share))
    }

    /// How new the difference from the season is.
    fn season_off(&mut self, place: f64, season: Expected) -> f64 {
        let off = ((place - season.mean) / season.spread).clamp(-SEASON_OFF_MAX, SEASON_OFF_MAX);
        self.season_off += (off as f32 - self.season_off) / SEASON_READINGS;
        self.seasons.observe(f64::from(self.season_off))
    }

    /// The p-value of a block's steps being larger or smaller than those of all before; 1 within a block.
    fn unrest(&mut self, place: f64) -> f64 {
        self.steps += (place as f32 - self.last_place).abs();
        self.last_place = place as f32;
        self.block += 1;
        if self.block < BLOCK_READINGS {
            return 1.0;
        }
        let mean = f64::from(self.steps) / f64::from(BLOCK_READINGS);
        (self.steps, self.block) = (0.0, 0);
        self.unrests.observe((mean + UNREST_MIN).ln())
    }
}

/// What the alert probability is on the scale of `-log10`.
fn threshold(settings: &Settings) -> f64 {
    -settings.alert_probability.clamp(super::P_MIN, 0.5).log10()
}

fn combined(reading: Reading, tests: &[f64; Test::ALL.len()]) -> f64 {
    let weights = Test::ALL.map(|test| match (test, reading) {
        (Test::Model, Reading::Value(_)) => 0.0,
        _ => test.weight(),
    });
    harmonic_mean(tests, &weights)
}
