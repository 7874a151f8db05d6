//! Why an alert is one, so that nobody has to look it up.

use std::collections::BTreeMap;

use super::look::{Look, quantity};
use super::state::{Mix, Track, Watched};
use super::terms;
use crate::config::{AlertRule, Alerts, LooksFor, Signal, Statistic};
use crate::detect::rise::{self, Window};
use crate::event::json::time;
use crate::event::v1;

/// Buckets of the small series, and how many of them lie before the beginning where there is room.
const POINTS_MAX: i64 = 40;
const POINTS_BEFORE: i64 = 15;
const TERMS_MAX: usize = 8;
pub const PARTS_MAX: usize = 6;

/// What it is made of.
pub struct Basis<'a> {
    pub settings: &'a Alerts,
    pub rule: &'a AlertRule,
    pub watched: &'a Watched,
    pub mix: &'a Mix,
    pub track: &'a Track,
    pub look: &'a Look,
    pub now: i64,
}

pub fn evidence(basis: &Basis) -> v1::Evidence {
    let Basis { settings, rule, watched, mix, track, look, now } = *basis;
    let mut evidence = v1::Evidence {
        p_value: look.p_value,
        level: track.level,
        series: series(basis),
        terms: mix.drivers(rule.signal, TERMS_MAX),
        parts: mix.parts(rule.signal, look.usual(), PARTS_MAX),
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
    evidence.samples = diverse(&track.samples, &evidence.terms, settings.samples_max);
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

pub fn series(basis: &Basis) -> Vec<v1::Point> {
    let Basis { settings, rule, watched, track, now, .. } = *basis;
    let Some(past) = &watched.rise else { return Vec::new() };
    let bucket_ms = settings.bucket_ms();
    let from = (track.since - POINTS_BEFORE).max(now + 1 - POINTS_MAX).max(past.first);
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
            v1::Point { time: time::from_ms(at * bucket_ms), count, negative, expected }
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

/// Whether a driving term is in a text.
pub fn holds_any(text: &str, drivers: &[v1::Driver]) -> bool {
    let text = text.to_lowercase();
    drivers.iter().any(|driver| text.contains(&driver.name))
}

/// Texts that differ, those with most of the driving terms first.
pub fn diverse(samples: &[v1::Sample], drivers: &[v1::Driver], most: usize) -> Vec<v1::Sample> {
    let with = |sample: &v1::Sample| {
        let text = sample.text.to_lowercase();
        drivers.iter().filter(|driver| text.contains(&driver.name)).count()
    };
    let mut samples: Vec<&v1::Sample> = samples.iter().collect();
    samples.sort_by_key(|sample| std::cmp::Reverse(with(sample)));
    let mut kept: Vec<v1::Sample> = Vec::new();
    for sample in samples {
        let alike = |other: &v1::Sample| match (sample.fingerprint, other.fingerprint) {
            (Some(one), Some(other)) => terms::alike(one, other),
            _ => sample.text == other.text,
        };
        if kept.len() < most && !kept.iter().any(alike) {
            kept.push(sample.clone());
        }
    }
    // What they were chosen by is of no use to a reader.
    kept.iter_mut().for_each(|sample| (sample.rank, sample.fingerprint) = (None, None));
    kept
}

fn parameters(settings: &Alerts, rule: &AlertRule) -> BTreeMap<String, String> {
    let ms = |time: std::time::Duration| time.as_millis().to_string();
    [
        ("bucket_ms", ms(settings.bucket)),
        ("grace_ms", ms(settings.grace)),
        ("false_discovery_rate", settings.false_discovery_rate.to_string()),
        ("ratio_min", rule.ratio_min.to_string()),
        ("events_min", rule.events_min.to_string()),
        ("looks_for", if rule.looks_for == LooksFor::Surge { "surge" } else { "anomaly" }.to_owned()),
        ("pending_ms", ms(rule.pending)),
        ("keep_ms", ms(rule.keep)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
