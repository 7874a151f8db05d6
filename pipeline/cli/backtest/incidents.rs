//! What really happened, and how much of it was found.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::play::{end_ms, start_ms};
use crate::cli::lines::Lines;
use crate::event::json::time;
use crate::event::{Error, Fault, v1};

const LINE_BYTES_MAX: usize = 65_536;
/// An alert that begins this much before an incident or after its end belongs to it: labels are made by people.
const SLACK_MS: i64 = 5 * 60_000;

/// One incident, as somebody has labelled it.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub start_ms: i64,
    pub end_ms: i64,
    /// Its dimensions; none of everything.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    start: String,
    end: String,
    #[serde(default)]
    scope: String,
}

/// How a set of rules has done.
#[derive(Debug, PartialEq, Serialize)]
pub struct Judged {
    pub incidents: usize,
    pub found: usize,
    /// From the beginning of an incident to its first alert that fired, in seconds; the middle one.
    pub delay_s_median: Option<f64>,
    /// Alerts that belong to an incident, of all that were told.
    pub precision: Option<f64>,
    /// Alerts told of an incident that was found.
    pub alerts_per_incident: Option<f64>,
}

pub fn read(path: &Path) -> Result<Vec<Incident>, Error> {
    let mut incidents = Vec::new();
    for (number, line) in (1..).zip(Lines::open(Some(path), LINE_BYTES_MAX)?) {
        let line = line?.payload.unwrap_or_default();
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let fault = |why: String| Error::new(Fault::Input, format!("{}, line {number}: {why}", path.display()));
        let written: Written = serde_json::from_slice(&line).map_err(|error| fault(error.to_string()))?;
        let ms = |name: &str, text: &str| {
            let ms = time::from_text(text).as_ref().and_then(time::to_ms);
            ms.ok_or_else(|| fault(format!("{name} ({text:?}) is not {}", time::EXPECTED)))
        };
        let (start_ms, end_ms) = (ms("start", &written.start)?, ms("end", &written.end)?);
        if end_ms < start_ms {
            return Err(fault(format!("end ({:?}) is before start ({:?})", written.end, written.start)));
        }
        let labels = labels(&written.scope).ok_or_else(|| {
            let expected = "a scope as alerts have it, such as \"brand=Nova,topic=battery\", or \"all\"";
            fault(format!("scope ({:?}) is not {expected}", written.scope))
        })?;
        incidents.push(Incident { start_ms, end_ms, labels });
    }
    Ok(incidents)
}

/// The dimensions of a scope; none of everything.
fn labels(scope: &str) -> Option<BTreeMap<String, String>> {
    if scope.is_empty() || scope == "all" {
        return Some(BTreeMap::new());
    }
    let whole = scope
        .split(',')
        .all(|part| part.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()));
    whole.then(|| crate::stages::alerts::labels(scope))
}

pub fn judge(incidents: &[Incident], told: &[&v1::Alert]) -> Judged {
    let of = |incident: &Incident| told.iter().filter(|alert| belongs(alert, incident)).collect::<Vec<_>>();
    let found: Vec<(&Incident, Vec<_>)> =
        incidents.iter().map(|incident| (incident, of(incident))).filter(|(_, alerts)| !alerts.is_empty()).collect();
    let mut delays: Vec<i64> = found
        .iter()
        .filter_map(|(incident, alerts)| {
            let first = alerts.iter().filter_map(|alert| alert.firing_time.as_ref().and_then(time::to_ms)).min()?;
            Some(first - incident.start_ms)
        })
        .collect();
    delays.sort_unstable();
    let right = told.iter().filter(|alert| incidents.iter().any(|incident| belongs(alert, incident))).count();
    let alerts: usize = found.iter().map(|(_, alerts)| alerts.len()).sum();
    let ratio = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
    Judged {
        incidents: incidents.len(),
        found: found.len(),
        delay_s_median: delays.get(delays.len() / 2).map(|ms| *ms as f64 / 1000.0),
        precision: ratio(right, told.len()),
        alerts_per_incident: ratio(alerts, found.len()),
    }
}

/// At the same time, and of a scope that does not contradict it: a brand's alert tells of its product's incident and the
/// other way round.
fn belongs(alert: &v1::Alert, incident: &Incident) -> bool {
    let fired = alert.firing_time.as_ref().and_then(time::to_ms).unwrap_or_else(|| start_ms(alert));
    let then = fired >= incident.start_ms - SLACK_MS && start_ms(alert) <= incident.end_ms + SLACK_MS;
    let there = incident.labels.iter().all(|(name, value)| alert.labels.get(name).is_none_or(|own| own == value));
    then && there && end_ms(alert) >= incident.start_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(scope: &[(&str, &str)], from: i64, fired: i64, to: i64) -> v1::Alert {
        v1::Alert {
            labels: scope.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            since: time::from_ms(from),
            firing_time: time::from_ms(fired),
            resolved_time: time::from_ms(to),
            ..v1::Alert::default()
        }
    }

    #[test]
    fn what_was_found_is_told_from_what_was_not() {
        let hour = 3_600_000;
        let labels = |brand: &str| BTreeMap::from([("brand".to_owned(), brand.to_owned())]);
        let incident = |start: i64, brand: &str| Incident {
            start_ms: start * hour,
            end_ms: (start + 1) * hour,
            labels: labels(brand),
        };
        let incidents = [incident(10, "x"), incident(20, "x"), incident(30, "y")];
        let at = |h: f64| (h * hour as f64) as i64;
        let alerts = [
            alert(&[("brand", "x")], at(10.0), at(10.1), at(11.2)),
            alert(&[("product", "p")], at(10.2), at(10.3), at(11.2)),
            alert(&[("brand", "z")], at(20.0), at(20.1), at(20.5)),
            alert(&[], at(30.5), at(30.6), at(30.9)),
        ];
        let judged = judge(&incidents, &alerts.iter().collect::<Vec<_>>());
        assert_eq!((judged.incidents, judged.found), (3, 2));
        assert_eq!((judged.precision, judged.alerts_per_incident), (Some(0.75), Some(1.5)));
        assert_eq!(judged.delay_s_median, Some(2_160.0));
    }
}
