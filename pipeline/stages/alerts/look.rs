//! A scope's last buckets against its past, under one rule.

use super::state::Watched;
use crate::config::{AlertRule, LooksFor, Statistic};
use crate::detect::rise::{self, WINDOWS, Window};

/// While an alert goes on, so much of the excess that a rule asks for is enough…
const HYSTERESIS: f64 = 0.5;
/// …in a window as improbable as this.
const KEEP_P: f64 = 0.02;
/// What has stopped is at most so small a part of what is expected: less of a day that differs from others is no news.
const STOPPED: f64 = 0.25;

/// What a rule sees in a scope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub windows: [Option<Window>; WINDOWS.len()],
    /// The place of the window that says most, among those that are large enough to be an alert.
    pub best: Option<usize>,
    /// That one's probability, times the number of windows (Bonferroni); 1 where there is none.
    pub p_value: f64,
}

impl Look {
    /// As of bucket `now`, which must have been put among the cells. Windows that reach back to bucket `told` or before it
    /// are no alert: what they hold has been told of.
    pub fn new(rule: &AlertRule, watched: &Watched, now: i64, told: Option<i64>, bucket_ms: i64) -> Look {
        let Some(past) = &watched.rise else { return Look { windows: [None; 4], best: None, p_value: 1.0 } };
        let windows = match rule.signal.statistic() {
            Statistic::Count => past.events(&watched.cells, now, bucket_ms),
            Statistic::Share => past.hits(&watched.cells, now),
        };
        let new = |window: &Window| is_new(window, now, told);
        let large =
            (0..windows.len()).filter(|i| windows[*i].is_some_and(|window| new(&window) && is_large(rule, &window)));
        let best = large.min_by(|a, b| p_of(&windows, *a).total_cmp(&p_of(&windows, *b)));
        let p_value = best.map_or(1.0, |i| (p_of(&windows, i) * WINDOWS.len() as f64).min(1.0));
        Look { windows, best, p_value }
    }

    /// Takes in what [`Rise::stops`] says of windows of several buckets, so that a series stops visibly of which no bucket
    /// holds much. Half of the error is the detector's, half theirs (Bonferroni).
    ///
    /// [`Rise::stops`]: rise::Rise::stops
    pub fn or_stopped(
        self,
        rule: &AlertRule,
        stops: &[Option<Window>; WINDOWS.len()],
        now: i64,
        told: Option<i64>,
    ) -> Look {
        let [_, longer @ ..] = stops;
        if longer.iter().all(Option::is_none) {
            return self;
        }
        let mut look = self;
        look.windows[1..].copy_from_slice(longer);
        let stopped = |window: &Window| {
            let few = window.events <= window.expected * STOPPED;
            few && is_new(window, now, told) && window.expected - window.events >= rule.events_min as f64
        };
        look.or_longer(stopped)
    }

    /// Takes in what [`Growth::windows`] says of a series that is new, where that is more improbable. Half of the error is
    /// the one's, half the other's.
    ///
    /// [`Growth::windows`]: crate::detect::growth::Growth::windows
    pub fn or_grown(
        self,
        rule: &AlertRule,
        grown: &[Option<Window>; WINDOWS.len()],
        now: i64,
        told: Option<i64>,
    ) -> Look {
        let mut look = self;
        let mut says_more = [false; WINDOWS.len()];
        for (i, grown) in grown.iter().enumerate() {
            let Some(grown) = grown else { continue };
            says_more[i] = look.windows[i].is_none_or(|known| grown.p_value < known.p_value);
            if says_more[i] {
                look.windows[i] = Some(*grown);
            }
        }
        if says_more.iter().all(|more| !more) {
            return look;
        }
        look.or_longer(|window| is_new(window, now, told) && is_large(rule, window))
    }

    /// Another test has put longer windows in: the most improbable of those that are `found`, if that is less probable than
    /// what stands, with half of the error each (Bonferroni).
    fn or_longer(mut self, found: impl Fn(&Window) -> bool) -> Look {
        let best = (1..WINDOWS.len())
            .filter(|i| self.windows[*i].is_some_and(|window| found(&window)))
            .min_by(|a, b| p_of(&self.windows, *a).total_cmp(&p_of(&self.windows, *b)));
        let p_value = best.map_or(1.0, |i| p_of(&self.windows, i) * (2 * (WINDOWS.len() - 1)) as f64);
        self.p_value = (self.p_value * 2.0).min(1.0);
        if p_value < self.p_value {
            (self.best, self.p_value) = (best, p_value);
        }
        self
    }

    /// Whether what was found with window `found` still goes on: in one up to `longest`, with half the excess.
    pub fn goes_on(&self, rule: &AlertRule, found: usize, longest: usize) -> bool {
        if rule.looks_for == LooksFor::Anomaly {
            return match found {
                // The detector has seen it by now, and is no longer surprised.
                0 => self.windows[0].is_some_and(|window| is_off(rule, &window)),
                // A shorter window holds too little to tell.
                found => self.windows[found].is_some_and(|window| window.p_value <= KEEP_P),
            };
        }
        let ratio_min = 1.0 + (rule.ratio_min - 1.0) * HYSTERESIS;
        self.windows
            .iter()
            .take(longest.max(found) + 1)
            .flatten()
            .any(|window| is_more(rule, window, ratio_min) && quantity(rule, window) >= 1.0 && window.p_value <= KEEP_P)
    }

    /// The window that is shown: the one that found it, unless another says more.
    pub fn shown(&self, window: usize) -> Option<Window> {
        self.windows.get(self.best.unwrap_or(window)).copied().flatten()
    }

    /// What is expected of a bucket by now: by a window of several where there is one.
    pub fn usual(&self) -> Option<f64> {
        let windows = || self.windows.iter().flatten();
        let window = windows().find(|window| window.buckets > 1).or(windows().next())?;
        Some(window.expected / window.buckets as f64)
    }

    /// Whether what was found is that there is less than expected.
    pub fn is_less(&self, rule: &AlertRule) -> bool {
        let window = self.best.or(Some(0)).and_then(|i| self.windows[i]);
        rule.looks_for == LooksFor::Anomaly && window.is_some_and(|window| quantity(rule, &window) < window.expected)
    }

    /// Since when there is too little, where a longer window has found it.
    pub fn stopped_since(watched: &Watched, now: i64, told: Option<i64>, bucket_ms: i64) -> i64 {
        let Some(past) = &watched.rise else { return now };
        let first = told.map_or(past.first, |told| past.first.max(told + 1));
        let from = now + 1 - WINDOWS[3];
        let expected: Vec<f64> = past.expected_each(from, now + 1, bucket_ms).collect();
        let events = |at: i64| rise::sums(&watched.cells, at, at + 1).events;
        rise::stopped_since(now, first, events, |i| expected[(i - from) as usize])
    }

    /// Since when it is out of the ordinary.
    pub fn since(rule: &AlertRule, watched: &Watched, now: i64, told: Option<i64>, bucket_ms: i64) -> i64 {
        let Some(past) = watched.rise.as_ref().filter(|_| rule.looks_for == LooksFor::Surge) else { return now };
        let first = told.map_or(past.first, |told| past.first.max(told + 1));
        let at = |at: i64| rise::sums(&watched.cells, at, at + 1);
        match rule.signal.statistic() {
            Statistic::Count => {
                let from = now + 1 - WINDOWS[3];
                let expected: Vec<f64> = past.expected_each(from, now + 1, bucket_ms).collect();
                rise::since(now, first, |i| at(i).events, |i| expected[(i - from) as usize])
            }
            Statistic::Share => {
                let share = past.share();
                rise::since(now, first, |i| at(i).hits, |i| at(i).events * share)
            }
        }
    }
}

/// Whether nothing in it was told of before.
fn is_new(window: &Window, now: i64, told: Option<i64>) -> bool {
    told.is_none_or(|told| now - window.buckets >= told)
}

/// The quantity that the rule's signal compares.
pub fn quantity(rule: &AlertRule, window: &Window) -> f64 {
    match rule.signal.statistic() {
        Statistic::Count => window.events,
        Statistic::Share => window.hits,
    }
}

fn is_large(rule: &AlertRule, window: &Window) -> bool {
    is_more(rule, window, rule.ratio_min) && quantity(rule, window) - window.expected >= rule.events_min as f64
}

/// So many times as much as expected; of a share the odds, since one of 60 % can rise by two thirds at most.
fn is_more(rule: &AlertRule, window: &Window, ratio: f64) -> bool {
    times(rule, window, quantity(rule, window), window.expected, ratio)
}

/// As many times as much as expected as the rule asks for, or as little.
pub fn is_off(rule: &AlertRule, window: &Window) -> bool {
    let (x, expected) = (quantity(rule, window), window.expected);
    times(rule, window, x, expected, rule.ratio_min) || times(rule, window, expected, x, rule.ratio_min)
}

/// Whether one is so many times the other.
fn times(rule: &AlertRule, window: &Window, one: f64, other: f64, ratio: f64) -> bool {
    match rule.signal.statistic() {
        Statistic::Count => one >= other * ratio,
        Statistic::Share => one * (window.events - other) >= other * (window.events - one) * ratio,
    }
}

fn p_of(windows: &[Option<Window>; WINDOWS.len()], i: usize) -> f64 {
    windows[i].map_or(1.0, |window| window.p_value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::alerts::seen::tests::settings;

    #[test]
    fn of_a_large_share_the_odds_say_what_is_more() {
        let settings = settings();
        let rule = settings.rules.iter().find(|rule| rule.signal.statistic() == Statistic::Share).unwrap();
        let large = |hits: f64, expected: f64| {
            let window = Window { buckets: 60, events: 200.0, hits, expected, low: 0.0, high: 0.0, p_value: 1e-9 };
            is_large(rule, &window)
        };
        // Of 200 texts: 60 % usually, then 70 %; the ratio of the shares is no more than 1.17.
        assert!(large(140.0, 120.0) && !large(128.0, 120.0));
        // Small ones as by the ratio of the shares.
        assert!(large(27.0, 20.0) && !large(24.0, 20.0));
        assert!(!large(7.0, 4.0), "too few texts beyond what is expected");
        assert!(large(200.0, 190.0), "all that there are");
    }
}
