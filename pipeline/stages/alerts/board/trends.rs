use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::ENTRY_BYTES;
use crate::codec::read_written;
use crate::config::OutputFormat;
use crate::event::json::time;
use crate::event::{TrendsWanted, Written, v1};

/// Buckets by scope, within so many bytes. The oldest leave.
pub struct TrendBoard {
    format: OutputFormat,
    bytes_max: usize,
    bytes: usize,
    scopes: HashMap<Arc<str>, BTreeMap<i64, String>>,
    by_time: BTreeSet<(i64, Arc<str>)>,
}

impl TrendBoard {
    pub fn new(format: OutputFormat, bytes_max: usize) -> TrendBoard {
        TrendBoard { format, bytes_max, bytes: 0, scopes: HashMap::new(), by_time: BTreeSet::new() }
    }

    /// A record of the topic; false where it is no bucket of a scope.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((scope, start_ms)) = place(key) else { return false };
        let Some(value) = value else {
            self.remove(scope, start_ms);
            return true;
        };
        let Ok(trend) = read_written::<v1::Trend>(self.format, value) else { return false };
        if trend.scope != scope || trend.start_time.as_ref().and_then(time::to_ms) != Some(start_ms) {
            return false;
        }
        let Ok(json) = serde_json::to_string(&trend) else { return false };
        self.remove(scope, start_ms);
        let scope: Arc<str> = self.scopes.get_key_value(scope).map_or_else(|| scope.into(), |(known, _)| known.clone());
        self.bytes += bytes(&scope, &json);
        self.by_time.insert((start_ms, scope.clone()));
        self.scopes.entry(scope).or_default().insert(start_ms, json);
        while self.bytes > self.bytes_max {
            let Some((start_ms, scope)) = self.by_time.first().cloned() else { break };
            self.remove(&scope, start_ms);
        }
        true
    }

    /// The newest that are wanted, in the order of their times.
    pub fn wanted(&self, wanted: &TrendsWanted) -> Written {
        let (from, to) = (wanted.from_ms.unwrap_or(i64::MIN), wanted.to_ms.unwrap_or(i64::MAX));
        let mut shown: Vec<&str> = match &wanted.scope {
            _ if from >= to => Vec::new(),
            Some(scope) => {
                let buckets = self.scopes.get(scope.as_str()).into_iter().flat_map(|all| all.range(from..to).rev());
                buckets.map(|(_, json)| json.as_str()).take(wanted.limit).collect()
            }
            None => {
                let nothing: Arc<str> = "".into();
                let buckets = self.by_time.range((from, nothing.clone())..(to, nothing)).rev();
                let json = |(start_ms, scope): &(i64, Arc<str>)| self.scopes.get(scope)?.get(start_ms);
                buckets.filter_map(json).map(String::as_str).take(wanted.limit).collect()
            }
        };
        shown.reverse();
        let oldest = self.by_time.first().and_then(|(start_ms, _)| jiff::Timestamp::from_millisecond(*start_ms).ok());
        let oldest = oldest.map_or_else(|| "null".to_owned(), |at| format!("\"{at:.3}\""));
        format!(r#"{{"trends":[{}],"oldest_time":{oldest}}}"#, shown.join(","))
    }

    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, scope: &str, start_ms: i64) {
        let Some(buckets) = self.scopes.get_mut(scope) else { return };
        if let Some(json) = buckets.remove(&start_ms) {
            self.bytes -= bytes(scope, &json);
            self.by_time.remove(&(start_ms, scope.into()));
        }
        if buckets.is_empty() {
            self.scopes.remove(scope);
        }
    }
}

/// As trends are keyed: scope and beginning.
fn place(key: &[u8]) -> Option<(&str, i64)> {
    let (scope, start_ms) = std::str::from_utf8(key).ok()?.rsplit_once(' ')?;
    Some((scope, start_ms.parse().ok()?))
}

fn bytes(scope: &str, json: &str) -> usize {
    scope.len() + json.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(board: &mut TrendBoard, scope: &str, start_ms: i64, count: u64) {
        let start_time = time::from_ms(start_ms);
        let trend = v1::Trend { scope: scope.into(), start_time, count, bucket_ms: 60_000, ..v1::Trend::default() };
        let key = format!("{scope} {start_ms}");
        assert!(board.take(key.as_bytes(), Some(&serde_json::to_vec(&trend).unwrap())));
    }

    fn counts(board: &TrendBoard, wanted: TrendsWanted) -> Vec<u64> {
        let found: serde_json::Value = serde_json::from_str(&board.wanted(&wanted)).unwrap();
        found["trends"].as_array().unwrap().iter().map(|trend| trend["count"].as_u64().unwrap()).collect()
    }

    fn all() -> TrendsWanted {
        TrendsWanted { limit: 100, ..TrendsWanted::default() }
    }

    #[test]
    fn the_newest_of_each_bucket_stands_and_filters_choose() {
        let mut board = TrendBoard::new(OutputFormat::Json, 1 << 20);
        put(&mut board, "all", 0, 1);
        put(&mut board, "all", 0, 10);
        put(&mut board, "all", 60_000, 20);
        put(&mut board, "brand=a b", 60_000, 30);
        assert_eq!(counts(&board, all()), [10, 20, 30]);
        assert_eq!(counts(&board, TrendsWanted { scope: Some("brand=a b".into()), ..all() }), [30]);
        assert_eq!(counts(&board, TrendsWanted { scope: Some("brand=c".into()), ..all() }), [0; 0]);
        assert_eq!(counts(&board, TrendsWanted { from_ms: Some(1), ..all() }), [20, 30]);
        assert_eq!(counts(&board, TrendsWanted { to_ms: Some(60_000), ..all() }), [10]);
        assert_eq!(counts(&board, TrendsWanted { from_ms: Some(5), to_ms: Some(1), ..all() }), [0; 0]);
        assert_eq!(counts(&board, TrendsWanted { limit: 2, ..all() }), [20, 30], "the newest");
        assert_eq!(counts(&board, TrendsWanted { scope: Some("all".into()), limit: 1, ..all() }), [20]);
        assert!(board.wanted(&all()).ends_with(r#""oldest_time":"1970-01-01T00:00:00.000Z"}"#));
        assert!(board.take(b"all 0", None));
        assert_eq!(counts(&board, all()), [20, 30]);
    }

    #[test]
    fn what_is_no_trend_is_passed_over() {
        let mut board = TrendBoard::new(OutputFormat::Json, 1 << 20);
        for key in ["all", "all x", ""] {
            assert!(!board.take(key.as_bytes(), Some(b"{}")), "{key}");
        }
        assert!(!board.take(b"all 0", Some(br#"{"scope":"other"}"#)) && board.is_empty());
        assert_eq!(board.wanted(&all()), r#"{"trends":[],"oldest_time":null}"#);
    }

    /// `bounded`
    #[test]
    fn the_oldest_leave() {
        let mut board = TrendBoard::new(OutputFormat::Json, 50_000);
        for n in 0..1_000 {
            put(&mut board, &format!("product=p-{}", n % 7), n * 1000, n as u64);
            assert!(board.bytes() <= 50_000);
        }
        let left = counts(&board, TrendsWanted { limit: 1_000, ..all() });
        assert_eq!(left.len(), board.len());
        assert!(left.len() > 20 && left.last() == Some(&999) && left.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    }
}
