use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ENTRY_BYTES;
use crate::codec::read_written;
use crate::config::OutputFormat;
use crate::event::json::time;
use crate::event::v1::{self, AlertState, Severity};
use crate::event::{AlertsWanted, Written};

/// How each alert stands, within so many bytes. Those that have ended leave first, and of these the one that was written
/// longest ago.
pub struct AlertBoard {
    format: OutputFormat,
    bytes_max: usize,
    bytes: usize,
    by_id: BTreeMap<Arc<str>, Standing>,
    leaving: BTreeSet<Leaving>,
    /// An alert that is open has left, for want of room.
    lacks_open: bool,
}

struct Standing {
    json: String,
    state: AlertState,
    severity: Severity,
    rule: String,
    scope: String,
    updated_ms: i64,
    /// Nothing inhibits or silences it.
    told: bool,
}

/// In the order of leaving.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Leaving {
    open: bool,
    updated_ms: i64,
    id: Arc<str>,
}

impl AlertBoard {
    pub fn new(format: OutputFormat, bytes_max: usize) -> AlertBoard {
        let (by_id, leaving) = Default::default();
        AlertBoard { format, bytes_max, bytes: 0, by_id, leaving, lacks_open: false }
    }

    /// A record of the topic; false where it is no alert.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Ok(id) = std::str::from_utf8(key) else { return false };
        let Some(value) = value else {
            self.remove(id);
            return true;
        };
        let Ok(alert) = read_written::<v1::Alert>(self.format, value) else { return false };
        let Ok(json) = serde_json::to_string(&alert) else { return false };
        self.remove(id);
        let id: Arc<str> = id.into();
        let standing = Standing {
            state: alert.state(),
            severity: alert.severity(),
            updated_ms: alert.updated_time.as_ref().and_then(time::to_ms).unwrap_or_default(),
            told: alert.inhibited_by.is_none() && alert.silenced_by.is_none(),
            rule: alert.rule,
            scope: alert.scope,
            json,
        };
        self.bytes += standing.bytes(&id);
        self.leaving.insert(standing.leaving(&id));
        self.by_id.insert(id, standing);
        self.trim();
        true
    }

    /// Those that are wanted, the one written last first.
    pub fn wanted(&self, wanted: &AlertsWanted) -> Written {
        let mut found: Vec<(&Arc<str>, &Standing)> =
            self.by_id.iter().filter(|(_, standing)| standing.is_wanted(wanted)).collect();
        found.sort_by(|(a_id, a), (b_id, b)| b.updated_ms.cmp(&a.updated_ms).then(a_id.cmp(b_id)));
        let matching = found.len();
        let shown = found.into_iter().take(wanted.limit).map(|(_, standing)| standing.json.as_str());
        let shown = shown.collect::<Vec<_>>().join(",");
        let complete = !self.lacks_open;
        format!(r#"{{"alerts":[{shown}],"matching":{matching},"complete":{complete}}}"#)
    }

    /// How many of a severity fire under a rule, neither inhibited nor silenced.
    pub fn firing(&self, rule: &str, severity: Severity) -> usize {
        let fires = |standing: &&Standing| standing.state == AlertState::Firing && standing.told;
        let alike = |standing: &&Standing| standing.rule == rule && standing.severity == severity;
        self.by_id.values().filter(fires).filter(alike).count()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, id: &str) {
        if let Some((id, standing)) = self.by_id.remove_entry(id) {
            self.bytes -= standing.bytes(&id);
            self.leaving.remove(&standing.leaving(&id));
        }
    }

    fn trim(&mut self) {
        while self.bytes > self.bytes_max {
            let Some(Leaving { open, id, .. }) = self.leaving.pop_first() else { return };
            self.lacks_open |= open;
            if let Some(standing) = self.by_id.remove(&id) {
                self.bytes -= standing.bytes(&id);
            }
        }
    }
}

impl Standing {
    fn bytes(&self, id: &str) -> usize {
        self.json.len() + self.rule.len() + self.scope.len() + id.len() + ENTRY_BYTES
    }

    fn leaving(&self, id: &Arc<str>) -> Leaving {
        let open = matches!(self.state, AlertState::Pending | AlertState::Firing);
        Leaving { open, updated_ms: self.updated_ms, id: id.clone() }
    }

    fn is_wanted(&self, wanted: &AlertsWanted) -> bool {
        wanted.states.contains(&self.state)
            && (wanted.severities.is_empty() || wanted.severities.contains(&self.severity))
            && wanted.scope.as_ref().is_none_or(|scope| *scope == self.scope)
            && wanted.rule.as_ref().is_none_or(|rule| *rule == self.rule)
            && wanted.since_ms.is_none_or(|since_ms| self.updated_ms >= since_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str, state: AlertState, severity: Severity, updated_ms: i64) -> v1::Alert {
        v1::Alert {
            id: id.into(),
            state: state.into(),
            severity: severity.into(),
            scope: format!("brand={id}"),
            rule: "volume".into(),
            updated_time: time::from_ms(updated_ms),
            ..v1::Alert::default()
        }
    }

    fn put(board: &mut AlertBoard, alert: &v1::Alert) {
        assert!(board.take(alert.id.as_bytes(), Some(&serde_json::to_vec(alert).unwrap())));
    }

    fn open() -> AlertsWanted {
        AlertsWanted { states: vec![AlertState::Pending, AlertState::Firing], limit: 100, ..AlertsWanted::default() }
    }

    fn ids(board: &AlertBoard, wanted: &AlertsWanted) -> (Vec<String>, u64, bool) {
        let found: serde_json::Value = serde_json::from_str(&board.wanted(wanted)).unwrap();
        let ids = found["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap().to_owned());
        (ids.collect(), found["matching"].as_u64().unwrap(), found["complete"].as_bool().unwrap())
    }

    #[test]
    fn the_newest_revision_stands_and_filters_choose() {
        let mut board = AlertBoard::new(OutputFormat::Json, 1 << 20);
        put(&mut board, &alert("a", AlertState::Pending, Severity::Info, 1_000));
        put(&mut board, &alert("a", AlertState::Firing, Severity::Critical, 3_000));
        put(&mut board, &alert("b", AlertState::Pending, Severity::Warning, 2_000));
        put(&mut board, &alert("c", AlertState::Resolved, Severity::Warning, 4_000));
        let check = |wanted: AlertsWanted, expected: &[&str]| {
            let (found, matching, complete) = ids(&board, &wanted);
            assert_eq!(
                (found, matching, complete),
                (expected.iter().map(ToString::to_string).collect(), expected.len() as u64, true)
            );
        };
        check(open(), &["a", "b"]);
        check(AlertsWanted { states: vec![AlertState::Resolved], ..open() }, &["c"]);
        check(AlertsWanted { severities: vec![Severity::Warning], ..open() }, &["b"]);
        check(AlertsWanted { scope: Some("brand=a".into()), ..open() }, &["a"]);
        check(AlertsWanted { rule: Some("negative_share".into()), ..open() }, &[]);
        check(AlertsWanted { since_ms: Some(3_000), ..open() }, &["a"]);
        assert_eq!(ids(&board, &AlertsWanted { limit: 1, ..open() }), (vec!["a".to_owned()], 2, true));
        assert!(board.take(b"a", None));
        assert_eq!(ids(&board, &open()).0, ["b"]);
    }

    #[test]
    fn those_are_counted_that_somebody_is_told_of() {
        let mut board = AlertBoard::new(OutputFormat::Json, 1 << 20);
        put(&mut board, &alert("a", AlertState::Firing, Severity::Critical, 1));
        put(&mut board, &alert("b", AlertState::Firing, Severity::Info, 1));
        put(&mut board, &alert("c", AlertState::Pending, Severity::Info, 1));
        let inhibited =
            v1::Alert { inhibited_by: Some("a volume".into()), ..alert("d", AlertState::Firing, Severity::Info, 1) };
        put(&mut board, &inhibited);
        let firing = |board: &AlertBoard| [Severity::Info, Severity::Critical].map(|of| board.firing("volume", of));
        assert_eq!((firing(&board), board.firing("clicks", Severity::Info)), ([1, 1], 0));
        put(&mut board, &alert("b", AlertState::Resolved, Severity::Info, 2));
        assert_eq!(firing(&board), [0, 1]);
    }

    #[test]
    fn what_is_no_alert_is_passed_over() {
        let mut board = AlertBoard::new(OutputFormat::Json, 1 << 20);
        assert!(!board.take(b"a", Some(b"{")) && !board.take(b"\xff", Some(b"{}")) && board.is_empty());
    }

    /// `bounded`
    #[test]
    fn those_that_have_ended_leave_first_and_then_it_is_said() {
        let mut board = AlertBoard::new(OutputFormat::Json, 100_000);
        put(&mut board, &alert("open", AlertState::Firing, Severity::Info, 0));
        for n in 0..1_000 {
            put(&mut board, &alert(&format!("ended-{n}"), AlertState::Resolved, Severity::Info, n));
            assert!(board.bytes() <= 100_000);
        }
        assert!(board.len() > 100);
        assert_eq!(ids(&board, &open()), (vec!["open".to_owned()], 1, true));
        for n in 0..1_000 {
            put(&mut board, &alert(&format!("open-{n}"), AlertState::Firing, Severity::Info, n));
        }
        assert!(board.bytes() <= 100_000 && !ids(&board, &open()).2);
    }
}
