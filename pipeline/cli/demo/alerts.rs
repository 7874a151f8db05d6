//! The alerts that somebody would be told of, as they come out of the pipeline.

use std::collections::{BTreeMap, VecDeque};

use super::screen::clock;
use crate::event::json::Named;
use crate::event::v1;

/// News that were not shown yet. A few alerts an hour are what the stage is for.
const NEWS_MAX: usize = 64;
/// Alerts that are remembered.
const KNOWN_MAX: usize = 256;
/// Texts that are shown with an alert.
const SAMPLES: usize = 3;

/// An alert as it stands, and when it was first seen to fire.
#[derive(Clone, Debug)]
pub struct Told {
    pub alert: v1::Alert,
    /// Milliseconds since 1970.
    pub seen_ms: i64,
}

/// What has been told of so far.
#[derive(Debug, Default)]
pub struct Alerts {
    told: BTreeMap<String, Told>,
    news: VecDeque<v1::Alert>,
}

impl Alerts {
    pub fn add(&mut self, alert: v1::Alert, at_ms: i64) {
        let known = self.told.get(&alert.id);
        if known.is_some_and(|known| known.alert.revision >= alert.revision) {
            return;
        }
        if known.is_none() && (!alert.is_told() || self.told.len() >= KNOWN_MAX) {
            return;
        }
        if known.is_none_or(|known| known.alert.state != alert.state) && self.news.len() < NEWS_MAX {
            self.news.push_back(alert.clone());
        }
        let seen_ms = known.map_or(at_ms, |known| known.seen_ms);
        self.told.insert(alert.id.clone(), Told { alert, seen_ms });
    }

    /// Everything that somebody was told of, the first one first.
    pub fn told(&self) -> Vec<&Told> {
        let mut told: Vec<&Told> = self.told.values().collect();
        told.sort_by_key(|told| told.seen_ms);
        told
    }

    /// The one to look at: what began last of what is not over.
    pub fn newest(&self) -> Option<&v1::Alert> {
        let last = |over: bool| self.told().into_iter().rfind(|told| told.alert.is_over() == over);
        last(false).or_else(|| last(true)).map(|told| &told.alert)
    }

    /// What has changed since it was asked the last time.
    pub fn news(&mut self) -> impl Iterator<Item = v1::Alert> + '_ {
        self.news.drain(..)
    }
}

/// `ALERT firing warning`
pub fn heading(alert: &v1::Alert) -> String {
    let state = v1::AlertState::name_of(alert.state).unwrap_or_default();
    let severity = v1::Severity::name_of(alert.severity).unwrap_or_default();
    format!("ALERT {state} {severity}")
}

/// For a log: both sentences and some of the texts, where it begins; one line where it ends.
pub fn news(alert: &v1::Alert, elapsed_s: f64) -> String {
    let mut text = format!("{} {}  {}\n", clock(elapsed_s), heading(alert), alert.summary_en);
    if alert.is_over() {
        return text;
    }
    text.push_str(&format!("      {}\n", alert.summary_zh));
    text.push_str(&samples(alert, "      "));
    text
}

/// Texts that show what it is about, a line each; of both languages where there are such.
pub fn samples(alert: &v1::Alert, indent: &str) -> String {
    let all = alert.evidence.iter().flat_map(|evidence| &evidence.samples);
    let mut chosen: Vec<&v1::Sample> = Vec::new();
    let mut others: Vec<&v1::Sample> = Vec::new();
    for sample in all {
        match chosen.iter().any(|known| known.language == sample.language) {
            false => chosen.push(sample),
            true => others.push(sample),
        }
    }
    chosen.extend(others);
    let line = |sample: &v1::Sample| {
        let origin = sample.origin.clone().unwrap_or_default();
        format!(
            "{indent}{} “{}” {}/{}@{}\n",
            sample.language, sample.text, origin.topic, origin.partition, origin.offset
        )
    };
    chosen.into_iter().take(SAMPLES).map(line).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::event::json::time;

    pub fn firing(id: &str, revision: u32) -> v1::Alert {
        let sample = |language: &str, text: &str| v1::Sample {
            language: language.into(),
            text: text.into(),
            ..v1::Sample::default()
        };
        let samples = vec![sample("en", "one"), sample("en", "two"), sample("en", "three"), sample("zh", "四")];
        v1::Alert {
            id: id.into(),
            revision,
            state: v1::AlertState::Firing.into(),
            severity: v1::Severity::Warning.into(),
            since: time::from_ms(20_000),
            firing_time: time::from_ms(24_000),
            summary_en: "Product velmora-q7: more.".into(),
            summary_zh: "商品 velmora-q7：更多。".into(),
            evidence: Some(v1::Evidence { samples, ..v1::Evidence::default() }),
            ..v1::Alert::default()
        }
    }

    #[test]
    fn an_alert_is_news_when_it_fires_and_when_it_ends() {
        let mut alerts = Alerts::default();
        let pending = v1::Alert { state: v1::AlertState::Pending.into(), firing_time: None, ..firing("a", 1) };
        alerts.add(pending, 1);
        alerts.add(v1::Alert { inhibited_by: Some("b".into()), ..firing("c", 1) }, 1);
        assert!(alerts.told().is_empty() && alerts.newest().is_none());
        alerts.add(firing("a", 2), 30_000);
        alerts.add(firing("a", 3), 31_000);
        alerts.add(v1::Alert { state: v1::AlertState::Resolved.into(), ..firing("a", 4) }, 90_000);
        let states: Vec<i32> = alerts.news().map(|alert| alert.state).collect();
        assert_eq!(states, [i32::from(v1::AlertState::Firing), i32::from(v1::AlertState::Resolved)]);
        assert_eq!((alerts.told().len(), alerts.told()[0].seen_ms), (1, 30_000));
    }

    #[test]
    fn texts_of_both_languages_come_first() {
        let shown = samples(&firing("a", 1), "");
        let languages: Vec<&str> = shown.lines().map(|line| &line[..2]).collect();
        assert_eq!(languages, ["en", "zh", "en"]);
        assert!(news(&firing("a", 1), 24.0).starts_with("00:24 ALERT firing warning  Product velmora-q7: more.\n"));
    }
}
