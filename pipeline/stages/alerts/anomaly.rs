//! A scope's buckets as one series, in the way of `groundswell detect`: anything out of the ordinary, less as well as more.
//!
//! The detector needs every bucket in its turn, also those without events, so a scope that such a rule watches has its
//! buckets closed whether or not something came, until nothing has come for [`EMPTY_MAX`] of them.

use super::look::{Look, quantity};
use super::state::Series;
use crate::config::{AlertRule, Statistic};
use crate::detect::rise::{Cell, WINDOWS, Window};
use crate::detect::{Detector, Reading, Settings, Test, Verdict, guaranteed};

/// Empty buckets in a row after which a scope is left alone until something comes.
pub const EMPTY_MAX: u32 = 120;

/// Has the detector read all buckets up to this one. What it says of the last.
pub fn observe(series: &mut Series, rule: &AlertRule, cell: &Cell, bucket_ms: i64) -> Look {
    let settings = Settings::default();
    let mut detector = Detector::from_bytes(&series.detector).unwrap_or_default();
    let first = if series.detector.is_empty() { cell.at } else { series.next };
    // Further back nothing was expected any more.
    let unread = first.max(cell.at - i64::from(EMPTY_MAX))..cell.at;
    for at in unread {
        detector.observe(&settings, at.saturating_mul(bucket_ms), reading(rule, &Cell { at, ..Cell::default() }));
    }
    let verdict = detector.observe(&settings, cell.at.saturating_mul(bucket_ms), reading(rule, cell));
    *series = Series {
        detector: detector.to_bytes(),
        next: cell.at + 1,
        empty: if cell.events > 0.0 { 0 } else { series.empty.saturating_add(1) },
    };
    look(rule, cell, &verdict)
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

/// Outside of what is expected, and by as much as the rule asks for.
fn is_large(rule: &AlertRule, window: &Window) -> bool {
    let x = quantity(rule, window);
    let ratio = x >= window.expected * rule.ratio_min || x * rule.ratio_min <= window.expected;
    is_outside(rule, window) && ratio && (x - window.expected).abs() >= rule.events_min as f64
}

/// Whether 98 of 100 buckets would be elsewhere.
pub fn is_outside(rule: &AlertRule, window: &Window) -> bool {
    let x = quantity(rule, window);
    x < window.low || x > window.high
}

/// Whether there is less than expected.
pub fn is_less(rule: &AlertRule, window: &Window) -> bool {
    quantity(rule, window) < window.expected
}
