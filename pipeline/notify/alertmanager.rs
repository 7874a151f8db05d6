//! Alerts as an Alertmanager takes them: `POST /api/v2/alerts`, a list of labels, annotations and times
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).
//!
//! An Alertmanager takes an alert for over when `endsAt` has passed, so what goes on is sent again and again, each time with
//! an end four rounds ahead, as Prometheus does it. Labels are what it knows an alert by: where the severity has changed,
//! the one by the old severity is ended in the same request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::client::Request;
use crate::event::json::{Named, time};
use crate::event::v1;

/// Rounds that may fail before an alert that goes on is taken for over.
const ROUNDS: u32 = 4;
/// Bytes of an annotation: somebody reads it on a telephone.
const ANNOTATION_CHARS_MAX: usize = 2_000;
/// Texts among the annotations.
const SAMPLES: usize = 3;

pub struct Alertmanager {
    /// On top of the alert's own.
    pub labels: BTreeMap<String, String>,
    /// Where a person looks at an alert; `{id}` stands for its id.
    pub link: Option<String>,
    pub resend: Duration,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
}

impl Alertmanager {
    /// `known`: as it was told last.
    pub fn request(&self, alert: &v1::Alert, known: Option<&v1::Alert>, now_ms: i64) -> Request {
        let ended = known.filter(|known| known.severity != alert.severity).map(|known| {
            let over = v1::Alert { state: v1::AlertState::Resolved.into(), resolved_time: None, ..known.clone() };
            self.posted(&over, now_ms)
        });
        self.list(ended.into_iter().chain([self.posted(alert, now_ms)]).collect())
    }

    /// What goes on, once more.
    pub fn again(&self, alerts: &[v1::Alert], now_ms: i64) -> Request {
        self.list(alerts.iter().map(|alert| self.posted(alert, now_ms)).collect())
    }

    fn list(&self, list: Vec<Posted>) -> Request {
        // Maps of strings: there is nothing in it that JSON could not express.
        let body = serde_json::to_vec(&list).unwrap_or_default();
        Request { path: "/api/v2/alerts", headers: Vec::new(), body: Bytes::from(body) }
    }

    fn posted(&self, alert: &v1::Alert, now_ms: i64) -> Posted {
        let goes_on = alert.is_told() && !alert.is_over();
        let ahead_ms = i64::try_from((self.resend * ROUNDS).as_millis()).unwrap_or(i64::MAX);
        let resolved_ms = alert.resolved_time.as_ref().and_then(time::to_ms);
        let ends_ms = if goes_on { now_ms.saturating_add(ahead_ms) } else { resolved_ms.unwrap_or(now_ms) };
        let starts_ms = alert.since.as_ref().and_then(time::to_ms).unwrap_or(now_ms);
        Posted {
            labels: self.labels(alert),
            annotations: annotations(alert),
            starts_at: written(starts_ms),
            ends_at: written(ends_ms.max(starts_ms)),
            generator_url: self.link.as_ref().map(|link| link.replace("{id}", &alert.id)).unwrap_or_default(),
        }
    }

    fn labels(&self, alert: &v1::Alert) -> BTreeMap<String, String> {
        let severity = v1::Severity::name_of(alert.severity).unwrap_or("info");
        let own = [
            ("alertname", alert.rule.as_str()),
            ("signal", &alert.signal),
            ("scope", &alert.scope),
            ("severity", severity),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        // What tells alerts from each other is not written over.
        let labels = self.labels.clone().into_iter().chain(alert.labels.clone()).chain(own);
        labels.filter(|(_, value)| !value.is_empty()).collect()
    }
}

fn annotations(alert: &v1::Alert) -> BTreeMap<&'static str, String> {
    let evidence = alert.evidence.as_ref();
    let drivers = |drivers: &[v1::Driver]| drivers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    let sample = |sample: &v1::Sample| {
        let origin = sample.origin.clone().unwrap_or_default();
        format!("{} ({}/{}@{})", sample.text, origin.topic, origin.partition, origin.offset)
    };
    let samples = evidence.iter().flat_map(|evidence| &evidence.samples).take(SAMPLES).map(sample);
    let all = [
        ("summary", alert.summary_en.clone()),
        ("summary_zh", alert.summary_zh.clone()),
        ("alert_id", alert.id.clone()),
        ("revision", alert.revision.to_string()),
        ("state", v1::AlertState::name_of(alert.state).unwrap_or_default().to_owned()),
        ("terms", evidence.map(|evidence| drivers(&evidence.terms)).unwrap_or_default()),
        ("parts", evidence.map(|evidence| drivers(&evidence.parts)).unwrap_or_default()),
        ("samples", samples.collect::<Vec<_>>().join("\n")),
        ("takes_in", alert.takes_in.join(", ")),
    ];
    let cut = |text: String| text.chars().take(ANNOTATION_CHARS_MAX).collect::<String>();
    all.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, cut(text))).collect()
}

fn written(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn alertmanager() -> Alertmanager {
        Alertmanager {
            labels: [("team".to_owned(), "care".to_owned()), ("severity".to_owned(), "none".to_owned())].into(),
            link: Some("https://watch.example/{id}".into()),
            resend: Duration::from_secs(60),
        }
    }

    fn alert(state: v1::AlertState) -> v1::Alert {
        v1::Alert {
            id: "a1".into(),
            revision: 3,
            state: state.into(),
            rule: "volume".into(),
            signal: "volume".into(),
            scope: "brand=b".into(),
            labels: [("brand".to_owned(), "b".to_owned())].into(),
            severity: v1::Severity::Warning.into(),
            since: time::from_ms(1_000_000),
            firing_time: time::from_ms(1_060_000),
            summary_en: "more".into(),
            ..v1::Alert::default()
        }
    }

    fn posted(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn what_goes_on_ends_four_rounds_ahead() {
        let request = alertmanager().request(&alert(v1::AlertState::Firing), None, 2_000_000);
        assert_eq!(request.path, "/api/v2/alerts");
        let expected = json!([{
            "labels": {"alertname": "volume", "signal": "volume", "scope": "brand=b", "severity": "warning",
                       "brand": "b", "team": "care"},
            "annotations": {"summary": "more", "alert_id": "a1", "revision": "3", "state": "firing"},
            "startsAt": "1970-01-01T00:16:40.000Z",
            "endsAt": "1970-01-01T00:37:20.000Z",
            "generatorURL": "https://watch.example/a1",
        }]);
        assert_eq!(posted(&request), expected);
    }

    #[test]
    fn what_is_over_ends_when_it_did() {
        let over = v1::Alert { resolved_time: time::from_ms(1_500_000), ..alert(v1::AlertState::Resolved) };
        let request = alertmanager().request(&over, Some(&alert(v1::AlertState::Firing)), 2_000_000);
        assert_eq!(posted(&request)[0]["endsAt"], "1970-01-01T00:25:00.000Z");
        for gone in [
            alert(v1::AlertState::Retracted),
            v1::Alert { silenced_by: Some("s".into()), ..alert(v1::AlertState::Firing) },
        ] {
            let request = alertmanager().request(&gone, None, 2_000_000);
            assert_eq!(posted(&request)[0]["endsAt"], "1970-01-01T00:33:20.000Z");
        }
    }

    #[test]
    fn a_change_of_severity_ends_the_one_that_was() {
        let worse = v1::Alert { severity: v1::Severity::Critical.into(), ..alert(v1::AlertState::Firing) };
        let list = posted(&alertmanager().request(&worse, Some(&alert(v1::AlertState::Firing)), 2_000_000));
        let shown: Vec<(&Value, &Value)> =
            (0..2).map(|i| (&list[i]["labels"]["severity"], &list[i]["endsAt"])).collect();
        assert_eq!(
            shown,
            [
                (&json!("warning"), &json!("1970-01-01T00:33:20.000Z")),
                (&json!("critical"), &json!("1970-01-01T00:37:20.000Z"))
            ]
        );
    }
}
