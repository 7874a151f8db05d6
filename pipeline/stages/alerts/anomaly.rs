//! A scope's buckets as one series, in the way of `groundswell detect`: anything out of the ordinary, less as well as more.
//!
//! The detector needs every bucket in its turn, also those without events, so a scope that such a rule watches has its
//! buckets closed whether or not something came, until nothing has come for [`EMPTY_MAX`] of them.

use super::look::{Look, is_off, quantity};
use super::state::Series;
use crate::config::{AlertRule, Statistic};
use crate::detect::rise::{Cell, WINDOWS, Window};
use crate::detect::{Detector, LAYOUT, Reading, Settings, Test, Verdict, guaranteed};

/// Empty buckets in a row after which a scope is left alone until something comes.
pub const EMPTY_MAX: u32 = 120;

/// Further back an incident does not begin.
const RUN_MAX: i64 = WINDOWS[3];

/// Has the detector read all buckets up to this one. What it says of the last.
/// `learns`: the bucket is the past of the next; otherwise it is only looked at, as where an alert is under way, which must not
/// end because it has become usual.
pub fn observe(series: &mut Series, rule: &AlertRule, cell: &Cell, bucket_ms: i64, learns: bool) -> Look {
    let settings = Settings::default();
    let known = Detector::from_bytes(&series.detector).filter(|_| series.layout == LAYOUT);
    let first = if known.is_some() { series.next } else { cell.at };
    let mut detector = known.unwrap_or_default();
    // Further back nothing was expected any more.
    let unread = first.max(cell.at - i64::from(EMPTY_MAX))..cell.at;
    for at in unread.filter(|_| learns) {
        detector.observe(&settings, at.saturating_mul(bucket_ms), reading(rule, &Cell { at, ..Cell::default() }));
    }
    let verdict = detector.observe(&settings, cell.at.saturating_mul(bucket_ms), reading(rule, cell));
    if learns {
        (series.detector, series.layout) = (detector.to_bytes(), LAYOUT);
    }
    series.next = cell.at + 1;
    series.empty = if cell.events > 0.0 { 0 } else { series.empty.saturating_add(1) };
    let look = look(rule, cell, &verdict);
    series.runs(rule, &look, cell.at);
    look
}

/// Since when a series is out of the ordinary that is so by now: the first bucket of those in a row that were unusual in the
/// same way, though none of them alone was an alarm. Not before what has been told of.
pub fn since(series: &Series, now: i64, told: Option<i64>) -> i64 {
    let first = (now + 1 - RUN_MAX).max(told.map_or(i64::MIN, |told| told + 1));
    series.unusual_from.unwrap_or(now).clamp(first.min(now), now)
}

impl Series {
    /// Unusual is what is outside of where 98 of 100 buckets are.
    fn runs(&mut self, rule: &AlertRule, look: &Look, at: i64) {
        let Some(window) = &look.windows[0] else { return };
        let (less, more) = (quantity(rule, window) < window.low, quantity(rule, window) > window.high);
        let goes_on = self.unusual_from.is_some() && self.unusual_less == less;
        self.unusual_from = match less || more {
            true if goes_on => self.unusual_from,
            true => Some(at),
            false => None,
        };
        self.unusual_less = less;
    }
}

fn reading(rule: &AlertRule, cell: &Cell) -> Reading {
    let (events, hits) = (cell.events.round() as u64, cell.hits.round() as u64);
    match rule.signal.statistic() {
        Statistic::Count => Reading::Count(events),
        Statistic::Share => Reading::Share { hits, of: events },
    }
}

fn look(rule: &AlertRule, cell: &Cell, verdict: &Verdict) -> Look {
    let (events, hits) = (f64::from(cell.events), f64::from(cell.hits));
    let of = match rule.signal.statistic() {
        Statistic::Count => 1.0,
        Statistic::Share => events,
    };
    let (low, high) = (verdict.expected_low * of, verdict.expected_high * of);
    // The detector's own mean is for any reading; that of many scopes is to be judged by what holds for sure.
    let p_value = guaranteed(verdict.p_value, Test::ALL.len());
    let window = Window { buckets: 1, events, hits, expected: verdict.expected * of, low, high, p_value };
    let best = is_large(rule, &window).then_some(0);
    let mut windows = [None; WINDOWS.len()];
    windows[0] = Some(window);
    Look { windows, best, p_value: best.map_or(1.0, |_| p_value) }
}

/// By as much more or less as the rule asks for.
fn is_large(rule: &AlertRule, window: &Window) -> bool {
    is_off(rule, window) && (quantity(rule, window) - window.expected).abs() >= rule.events_min as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::alerts::seen::tests::settings;

    #[test]
    fn it_is_since_the_first_of_the_unusual_buckets_in_a_row() {
        let settings = settings();
        let rule = settings.rules.iter().find(|rule| rule.signal.statistic() == Statistic::Count).unwrap();
        let mut series = Series::default();
        for (at, events, expected) in [
            (10, 100.0, 10),
            (11, 70.0, 11),
            (12, 60.0, 11),
            // The other way is another run.
            (13, 130.0, 13),
            (14, 140.0, 13),
            (15, 120.0, 15),
            (16, 121.0, 16),
            (17, 180.0, 16),
        ] {
            let window =
                Window { buckets: 1, events, hits: 0.0, expected: 100.0, low: 80.0, high: 120.0, p_value: 0.5 };
            let look = Look { windows: [Some(window), None, None, None], best: None, p_value: 1.0 };
            series.runs(rule, &look, at);
            assert_eq!(since(&series, at, None), expected, "bucket {at}");
        }
        assert_eq!(since(&series, 17, Some(16)), 17, "what was told of is another incident");
        assert_eq!(since(&series, 500, None), 500 + 1 - RUN_MAX);
    }
}
