//! Has a series that began of late grown since? Its own first buckets are all the past it has, too short for a level, hours
//! and a trend as [`super::rise`] knows them; so it is compared with the series that it is a part of: of two parts of a whole,
//! both grow with the day.
//!
//! The last 5, 15 and 60 buckets, each against all before them since the second: that the first one holds something is why
//! the series is there. Of the whole, what the part does not hold is the measure: as many events as the part had in its
//! beginning for each of the others' are expected for each of them now, negative binomial by what is not known of the three
//! sums, and by the spread that rates have.

use super::rise::{Cell, Sums, WINDOWS, Window, around, sums};
use super::{P_MIN, count};

/// No past is shorter.
const BUCKETS_MIN: i64 = WINDOWS[1];
/// A rate varies by a seventh beyond Poisson.
const SPREAD: f64 = 0.02;
/// Half an event more: what is not seen is not impossible.
const PRIOR: f64 = 0.5;

/// A series that is new, and what it is a part of.
#[derive(Clone, Copy, Debug)]
pub struct Growth<'a> {
    pub own: &'a [Cell],
    pub whole: &'a [Cell],
    /// The first bucket with an event of its own.
    pub first: i64,
    /// Its beginning ends before this bucket, whatever the window: a surge is not its own measure.
    pub until: i64,
}

impl Growth<'_> {
    /// The windows that end with bucket `now`; `None` for the shortest, which says no more than [`super::rise`] does, and
    /// where the beginning is shorter than 5 buckets or, before a surge, than a quarter of the window.
    pub fn windows(&self, now: i64) -> [Option<Window>; WINDOWS.len()] {
        std::array::from_fn(|i| {
            let past = self.past(i, now)?;
            let events = sums(self.own, now + 1 - WINDOWS[i], now + 1);
            let others = self.others(now + 1 - WINDOWS[i], now + 1);
            let mean = past.rate * others;
            let size = 1.0 / (past.doubt + 1.0 / others + SPREAD);
            let deviation = (mean + mean * mean / size).sqrt();
            let p = if events.events > mean { count::tails(events.events.round(), mean, size).1 } else { 1.0 };
            Some(Window { p_value: p.clamp(P_MIN, 1.0), ..around(i, events, mean, deviation) })
        })
    }

    /// Since when it is more than in its beginning, as seen in this window.
    pub fn since(&self, i: usize, now: i64) -> i64 {
        let Some(past) = self.past(i, now) else { return now };
        let own = |at: i64| sums(self.own, at, at + 1).events;
        super::rise::since(now, self.first, own, |at| past.rate * (self.others(at, at + 1) - PRIOR))
    }

    fn past(&self, i: usize, now: i64) -> Option<Past> {
        let (from, to) = (self.first + 1, (now + 1 - WINDOWS[i]).min(self.until));
        let least = if self.until > now { WINDOWS[i] / 4 } else { 0 };
        if i == 0 || to - from < BUCKETS_MIN.max(least) {
            return None;
        }
        let (events, others) = (sums(self.own, from, to).events + PRIOR, self.others(from, to));
        Some(Past { rate: events / others, doubt: 1.0 / events + 1.0 / others })
    }

    /// Events of the whole without its own, and half of one.
    fn others(&self, from: i64, to: i64) -> f64 {
        let Sums { events, .. } = sums(self.whole, from, to);
        (events - sums(self.own, from, to).events).max(0.0) + PRIOR
    }
}

/// Its events for each of the others', and how little is known of that, squared and relative.
struct Past {
    rate: f64,
    doubt: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    /// As many events as these, by bucket from 0 on.
    fn cells(events: impl Iterator<Item = u64>) -> Vec<Cell> {
        let cell = |(at, events)| Cell { at, events: events as f32, ..Cell::default() };
        (0..).zip(events).map(cell).filter(|cell| cell.events > 0.0).collect()
    }

    /// The smallest p-value that 50 minutes of a part give whose share of the whole, which triples, goes from one to the other.
    fn least(from: f64, to: f64, seed: u64) -> f64 {
        let mut dice = Dice::new(seed);
        let whole = |at: i64| 40.0 + 80.0 * at as f64 / 50.0;
        let own: Vec<u64> = (0..50)
            .map(|at| dice.poisson(whole(at) * (from + (to - from) * at as f64 / 50.0)) + u64::from(at == 0))
            .collect();
        let all: Vec<u64> = (0..50).map(|at| own[at as usize] + dice.poisson(whole(at))).collect();
        let (own, whole) = (cells(own.into_iter()), cells(all.into_iter()));
        let growth = Growth { own: &own, whole: &whole, first: 0, until: i64::MAX };
        let windows = (0..50).flat_map(|now| growth.windows(now)).flatten();
        windows.map(|window| window.p_value).fold(1.0, f64::min)
    }

    #[test]
    fn what_grows_with_the_whole_has_not_grown_and_what_grows_beyond_it_has() {
        for seed in 0..20 {
            for share in [0.01, 0.05, 0.2] {
                let p = least(share, share, seed);
                assert!(p > 1e-4, "seed {seed}: {share} of the whole, p {p}");
            }
            let p = least(0.01, 0.2, seed);
            assert!(p < 1e-4, "seed {seed}: p {p}");
        }
    }

    #[test]
    fn a_surge_is_not_its_own_measure() {
        let own = cells((0..40).map(|at| if at < 15 { 1 } else { 10 }));
        let whole = cells((0..40).map(|at| 50 + if at < 15 { 1 } else { 10 }));
        let growth = Growth { own: &own, whole: &whole, first: 0, until: i64::MAX };
        assert_eq!(growth.since(1, 19), 15);
        let seen = |until: i64| Growth { until, ..growth }.windows(39)[1].unwrap();
        assert!(seen(i64::MAX).p_value > 0.01 && seen(15).p_value < 1e-6, "{:?} {:?}", seen(i64::MAX), seen(15));
        assert_eq!(growth.windows(9).iter().flatten().count(), 0, "too young");
        assert!(growth.windows(39).iter().flatten().all(|window| window.buckets < 60));
    }
}
