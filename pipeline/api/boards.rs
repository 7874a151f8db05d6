//! Alerts and trends, as this instance has read them back from their topics.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Seen, refuse};
use crate::event::v1::{AlertState, Severity};
use crate::event::{AlertsWanted, TrendsWanted, Written};

/// Where a question says no limit, and what a limit may be.
const ALERTS: (usize, usize) = (100, 1_000);
const TRENDS: (usize, usize) = (1_000, 10_000);
/// Times after the year 9999 cannot be written.
const TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfAlerts {
    state: Option<String>,
    severity: Option<String>,
    scope: Option<String>,
    rule: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTrends {
    scope: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn alerts(State(seen): State<Seen>, asked: Result<Query<OfAlerts>, QueryRejection>) -> Response {
    let parameters = "state, severity, scope, rule, since and limit, each once";
    let wanted =
        asked.map_err(|_| format!("there are the parameters {parameters}")).and_then(|Query(asked)| asked.wanted());
    tell(wanted, |wanted| seen.look_ups.alerts.get().map(|ask| ask(wanted)))
}

pub(super) async fn trends(State(seen): State<Seen>, asked: Result<Query<OfTrends>, QueryRejection>) -> Response {
    let parameters = "scope, from, to and limit, each once";
    let wanted =
        asked.map_err(|_| format!("there are the parameters {parameters}")).and_then(|Query(asked)| asked.wanted());
    tell(wanted, |wanted| seen.look_ups.trends.get().map(|ask| ask(wanted)))
}

/// `ask`: outer `None`, nobody reads them; inner `None`, they are not read yet.
fn tell<W>(wanted: Result<W, String>, ask: impl Fn(&W) -> Option<Option<Written>>) -> Response {
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    match ask(&wanted) {
        Some(Some(written)) => {
            ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], written).into_response()
        }
        Some(None) => refuse(StatusCode::SERVICE_UNAVAILABLE, "what is there is still being read"),
        None => {
            refuse(StatusCode::NOT_FOUND, "nothing is watched here: alerts.enabled is false, or it has just started")
        }
    }
}

impl OfAlerts {
    fn wanted(self) -> Result<AlertsWanted, String> {
        Ok(AlertsWanted {
            states: states(self.state.as_deref().unwrap_or("open"))?,
            severities: self.severity.as_deref().map_or(Ok(Vec::new()), severities)?,
            scope: self.scope,
            rule: self.rule,
            since_ms: self.since.as_deref().map(|time| at_ms("since", time)).transpose()?,
            limit: limit(self.limit, ALERTS)?,
        })
    }
}

impl OfTrends {
    fn wanted(self) -> Result<TrendsWanted, String> {
        let time = |name, time: Option<String>| time.as_deref().map(|time| at_ms(name, time)).transpose();
        Ok(TrendsWanted {
            scope: self.scope,
            from_ms: time("from", self.from)?,
            to_ms: time("to", self.to)?,
            limit: limit(self.limit, TRENDS)?,
        })
    }
}

fn states(written: &str) -> Result<Vec<AlertState>, String> {
    use AlertState::{Firing, Pending, Resolved, Retracted};
    let state = |word: &str| match word {
        "open" => Ok(vec![Pending, Firing]),
        "pending" => Ok(vec![Pending]),
        "firing" => Ok(vec![Firing]),
        "resolved" => Ok(vec![Resolved]),
        "retracted" => Ok(vec![Retracted]),
        "all" => Ok(vec![Pending, Firing, Resolved, Retracted]),
        _ => Err("state is open, pending, firing, resolved, retracted or all, several separated by commas".to_owned()),
    };
    Ok(written.split(',').map(state).collect::<Result<Vec<_>, _>>()?.concat())
}

fn severities(written: &str) -> Result<Vec<Severity>, String> {
    let severity = |word: &str| match word {
        "info" => Ok(Severity::Info),
        "warning" => Ok(Severity::Warning),
        "critical" => Ok(Severity::Critical),
        _ => Err("severity is info, warning or critical, several separated by commas".to_owned()),
    };
    written.split(',').map(severity).collect()
}

/// RFC 3339, or milliseconds since 1970.
fn at_ms(name: &str, written: &str) -> Result<i64, String> {
    let parsed = written.parse().ok().or_else(|| written.parse::<Timestamp>().ok().map(Timestamp::as_millisecond));
    let parsed = parsed.filter(|ms| TIMES_MS.contains(ms));
    parsed.ok_or_else(|| format!("{name} is a time as in 2026-11-22T10:00:00Z, or milliseconds since 1970"))
}

fn limit(written: Option<usize>, (usual, most): (usize, usize)) -> Result<usize, String> {
    let limit = written.unwrap_or(usual);
    if (1..=most).contains(&limit) { Ok(limit) } else { Err(format!("limit is 1 to {most}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        assert_eq!(at_ms("since", "1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(at_ms("since", "1970-01-01T01:00:01+01:00"), Ok(1_000));
        assert_eq!(at_ms("since", "1500"), Ok(1_500));
        for time in ["", "yesterday", "1e3", "99999999999999999", "-99999999999999999", "2026-13-01T00:00:00Z"] {
            assert!(at_ms("since", time).is_err(), "{time}");
        }
    }
}
