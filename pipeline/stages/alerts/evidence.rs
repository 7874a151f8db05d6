//! Why an alert is one, so that nobody has to look it up.

use std::collections::BTreeMap;

use super::look::{Look, quantity};
use super::state::{Mix, Track, Watched};
use super::terms;
use crate::config::{AlertRule, Alerts, LooksFor, Signal, Statistic};
use crate::detect::rise::{self, Window};
use crate::event::json::time;
use crate::event::v1;

/// Points of the small series, and buckets of it that lie before the beginning where there are so many.
const POINTS_MAX: usize = 40;
const BUCKETS_BEFORE: i64 = 15;
const TERMS_MAX: usize = 8;
const PARTS_SHOWN: usize = 6;

/// What it is made of.
pub struct Basis<'a> {
    pub settings: &'a Alerts,
    pub rule: &'a AlertRule,
    pub watched: &'a Watched,
    pub mix: &'a Mix,
    pub track: &'a Track,
    pub look: &'a Look,
    pub now: i64,
    /// The series of the same alert as it was written last; empty where it begins.
    pub known: &'a [v1::Point],
}

pub fn evidence(basis: &Basis) -> v1::Evidence {
    let Basis { settings, rule, watched, mix, track, look, now, known: _ } = *basis;
    let mut evidence = v1::Evidence {
        p_value: look.p_value,
        level: track.level,
        series: series(basis),
        terms: mix.drivers(rule.signal, &track.samples, TERMS_MAX),
        parts: mix.notable_parts(rule.signal, look.usual(), PARTS_SHOWN),
        discounted_share: discounted(watched, track.since, now),
        users: super::sketch::count(&track.users_sketch),
        parameters: parameters(settings, rule),
        ..v1::Evidence::default()
    };
    let shown = look.shown(track.window as usize);
    if look.is_less(rule) {
        // What is not there has no words.
        (evidence.terms, evidence.parts) = Default::default();
    }
    // Of a share of negative ones, praise is no evidence.
    let speaks = |sample: &&v1::Sample| rule.signal != Signal::NegativeShare || sample.sentiment == "negative";
    let samples: Vec<&v1::Sample> = track.samples.iter().filter(speaks).collect();
    evidence.samples = diverse(samples, &evidence.terms, settings.samples_max);
    if let Some(window) = shown {
        compare(&mut evidence, rule, &window, settings.bucket_ms());
    }
    evidence
}

fn compare(evidence: &mut v1::Evidence, rule: &AlertRule, window: &Window, bucket_ms: i64) {
    // A share is shown as one.
    let of = match rule.signal.statistic() {
        Statistic::Count => 1.0,
        Statistic::Share => window.events.max(1.0),
    };
    evidence.observed = quantity(rule, window) / of;
    evidence.expected = window.expected / of;
    evidence.expected_low = window.low / of;
    evidence.expected_high =
        if rule.signal.statistic() == Statistic::Share { (window.high / of).min(1.0) } else { window.high };
    if rule.signal == Signal::MeanSentiment {
        // By how much it is below 1, as a part of 2.
        let score = |part: f64| 1.0 - 2.0 * part;
        (evidence.observed, evidence.expected) = (score(evidence.observed), score(evidence.expected));
        (evidence.expected_low, evidence.expected_high) =
            (score(evidence.expected_high), score(evidence.expected_low.max(0.0)));
    }
    evidence.texts = window.events;
    evidence.window_ms = window.buckets * bucket_ms;
}

/// What is known of it, and what has come since: an alert may last longer than its scope's buckets are remembered.
pub fn series(basis: &Basis) -> Vec<v1::Point> {
    let mut series = basis.known.to_vec();
    let from = series.last().and_then(end_ms).map(|end_ms| end_ms.div_euclid(basis.settings.bucket_ms()));
    buckets(basis, from).into_iter().for_each(|point| extend(&mut series, point));
    series
}

fn end_ms(point: &v1::Point) -> Option<i64> {
    Some(time::to_ms(point.time.as_ref()?)?.saturating_add(point.covers_ms))
}

/// The first point is as long as all are to be, the last one may still be shorter.
fn extend(series: &mut Vec<v1::Point>, bucket: v1::Point) {
    let covers_ms = series.first().map_or(0, |point| point.covers_ms);
    match series.last_mut().filter(|last| last.covers_ms < covers_ms) {
        Some(last) => add(last, &bucket),
        None => series.push(bucket),
    }
    if series.len() > POINTS_MAX {
        let pairs = series.chunks(2).map(|pair| {
            let mut sum = pair[0];
            pair[1..].iter().for_each(|point| add(&mut sum, point));
            sum
        });
        *series = pairs.collect();
    }
}

fn add(sum: &mut v1::Point, next: &v1::Point) {
    sum.count += next.count;
    sum.negative += next.negative;
    sum.expected += next.expected;
    sum.covers_ms += next.covers_ms;
}

/// Each bucket from this one to now, as a point; from before the beginning where none is said.
fn buckets(basis: &Basis, from: Option<i64>) -> Vec<v1::Point> {
    let Basis { settings, rule, watched, track, now, .. } = *basis;
    let Some(past) = &watched.rise else { return Vec::new() };
    let bucket_ms = settings.bucket_ms();
    // Further back the buckets are not remembered.
    let from = from.unwrap_or(track.since - BUCKETS_BEFORE).max(past.first).max(now + 1 - rise::RECENT);
    let levels = past.expected_each(from, now + 1, bucket_ms);
    let share = past.share();
    (from..=now)
        .zip(levels)
        .map(|(at, level)| {
            let sums = rise::sums(&watched.cells, at, at + 1);
            let expected = match rule.signal.statistic() {
                Statistic::Count => level,
                Statistic::Share => sums.events * share,
            };
            // Of the mean sentiment, hits are no texts.
            let hits = if rule.signal == Signal::MeanSentiment { 0.0 } else { sums.hits };
            let (count, negative) = (sums.events as u64, hits as u64);
            v1::Point { time: time::from_ms(at * bucket_ms), count, negative, expected, covers_ms: bucket_ms }
        })
        .collect()
}

/// Of the texts since the beginning, the share that was not counted.
pub fn discounted(watched: &Watched, since: i64, now: i64) -> f64 {
    let cells = watched.cells.iter().filter(|cell| (since..=now).contains(&cell.at));
    let (all, counted) =
        cells.fold((0.0, 0.0), |(all, counted), cell| (all + f64::from(cell.all), counted + f64::from(cell.events)));
    if all > 0.0 { ((all - counted) / all).clamp(0.0, 1.0) } else { 0.0 }
}

/// A text for each of these terms, as long as there is room; one may hold several, and none are alike. Earlier ones stand
/// first.
pub fn covering(samples: Vec<v1::Sample>, drivers: &[v1::Driver], most: usize) -> Vec<v1::Sample> {
    let holds = |sample: &v1::Sample, driver: &v1::Driver| sample.text.to_lowercase().contains(&driver.name);
    let mut kept: Vec<v1::Sample> = Vec::new();
    for driver in drivers {
        if kept.len() == most || kept.iter().any(|sample| holds(sample, driver)) {
            continue;
        }
        let new = samples.iter().find(|sample| holds(sample, driver) && !kept.iter().any(|kept| alike(kept, sample)));
        kept.extend(new.cloned());
    }
    kept
}

/// Texts that differ, those with most of the driving terms first.
fn diverse(mut samples: Vec<&v1::Sample>, drivers: &[v1::Driver], most: usize) -> Vec<v1::Sample> {
    let with = |sample: &v1::Sample| {
        let text = sample.text.to_lowercase();
        drivers.iter().filter(|driver| text.contains(&driver.name)).count()
    };
    samples.sort_by_key(|sample| std::cmp::Reverse(with(sample)));
    let mut kept: Vec<v1::Sample> = Vec::new();
    for sample in samples {
        if kept.len() < most && !kept.iter().any(|other| alike(sample, other)) {
            kept.push(sample.clone());
        }
    }
    shown(kept)
}

/// Without what they were chosen by, which is of no use to a reader.
pub fn shown(mut samples: Vec<v1::Sample>) -> Vec<v1::Sample> {
    samples.iter_mut().for_each(|sample| (sample.rank, sample.fingerprint) = (None, None));
    samples
}

fn alike(one: &v1::Sample, other: &v1::Sample) -> bool {
    match (one.fingerprint, other.fingerprint) {
        (Some(one), Some(other)) => terms::alike(one, other),
        _ => one.text == other.text,
    }
}

fn parameters(settings: &Alerts, rule: &AlertRule) -> BTreeMap<String, String> {
    let ms = |time: std::time::Duration| time.as_millis().to_string();
    [
        ("bucket_ms", ms(settings.bucket)),
        ("grace_ms", ms(settings.grace)),
        ("false_discovery_rate", settings.false_discovery_rate.to_string()),
        ("ratio_min", rule.ratio_min.to_string()),
        ("events_min", rule.events_min.to_string()),
        ("users_min", rule.users_min.to_string()),
        ("looks_for", if rule.looks_for == LooksFor::Surge { "surge" } else { "anomaly" }.to_owned()),
        ("pending_ms", ms(rule.pending)),
        ("keep_ms", ms(rule.keep)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_series_keeps_its_beginning_and_its_bound() {
        let point = |minute: i64| v1::Point {
            time: time::from_ms(minute * MINUTE),
            count: 3,
            negative: u64::from(minute % 2 == 0),
            expected: 0.5,
            covers_ms: MINUTE,
        };
        let mut series = Vec::new();
        for minute in 0..1_000 {
            extend(&mut series, point(minute));
            assert!(series.len() <= POINTS_MAX);
            assert_eq!(series[0].time, time::from_ms(0));
            assert_eq!(series.last().and_then(end_ms), Some((minute + 1) * MINUTE));
            let sum = |of: fn(&v1::Point) -> u64| series.iter().map(of).sum::<u64>();
            assert_eq!(
                (sum(|point| point.count), sum(|point| point.negative)),
                (3 * (minute as u64 + 1), minute as u64 / 2 + 1)
            );
            for pair in series.windows(2) {
                assert_eq!(end_ms(&pair[0]), pair[1].time.as_ref().and_then(time::to_ms), "no gaps");
                assert_eq!(pair[0].covers_ms, series[0].covers_ms, "all but the last are as long");
            }
        }
        assert_eq!((series.len(), series[0].covers_ms, series[0].count), (32, 32 * MINUTE, 96));
        assert_eq!(series[31].covers_ms, 8 * MINUTE);
    }
}
