use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ENTRY_BYTES;
use crate::codec::read_written;
use crate::config::OutputFormat;
use crate::event::json::time;
use crate::event::{TrendsWanted, Written, v1};

/// Buckets by series, within so many bytes. The oldest leave.
pub struct TrendBoard {
    format: OutputFormat,
    bytes_max: usize,
    bytes: usize,
    /// By [`v1::Trend::series`].
    series: BTreeMap<Arc<str>, BTreeMap<i64, String>>,
    by_time: BTreeSet<(i64, Arc<str>)>,
}

impl TrendBoard {
    pub fn new(format: OutputFormat, bytes_max: usize) -> TrendBoard {
        TrendBoard { format, bytes_max, bytes: 0, series: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// A record of the topic; false where it is no bucket of a scope.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((name, start_ms)) = place(key) else { return false };
        let Some(value) = value else {
            self.remove(name, start_ms);
            return true;
        };
        let Ok(trend) = read_written::<v1::Trend>(self.format, value) else { return false };
        if trend.series() != name || trend.start_time.as_ref().and_then(time::to_ms) != Some(start_ms) {
            return false;
        }
        let Ok(json) = serde_json::to_string(&trend) else { return false };
        self.remove(name, start_ms);
        let name: Arc<str> = self.series.get_key_value(name).map_or_else(|| name.into(), |(known, _)| known.clone());
        self.bytes += bytes(&name, &json);
        self.by_time.insert((start_ms, name.clone()));
        self.series.entry(name).or_default().insert(start_ms, json);
        while self.bytes > self.bytes_max {
            let Some((start_ms, name)) = self.by_time.first().cloned() else { break };
            self.remove(&name, start_ms);
        }
        true
    }

    /// The newest that are wanted, in the order of their times.
    pub fn wanted(&self, wanted: &TrendsWanted) -> Written {
        let (from, to) = (wanted.from_ms.unwrap_or(i64::MIN), wanted.to_ms.unwrap_or(i64::MAX));
        let mut shown: Vec<&str> = match &wanted.scope {
            _ if from >= to => Vec::new(),
            Some(scope) => {
                let mut buckets: Vec<(&i64, &String)> =
                    self.of(scope).flat_map(|all| all.range(from..to).rev().take(wanted.limit)).collect();
                buckets.sort_by_key(|(start_ms, _)| Reverse(**start_ms));
                buckets.into_iter().map(|(_, json)| json.as_str()).take(wanted.limit).collect()
            }
            None => {
                let nothing: Arc<str> = "".into();
                let buckets = self.by_time.range((from, nothing.clone())..(to, nothing)).rev();
                let json = |(start_ms, name): &(i64, Arc<str>)| self.series.get(name)?.get(start_ms);
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

    /// The series of a scope: its own, and those of the brands under which a product was named.
    fn of(&self, scope: &str) -> impl Iterator<Item = &BTreeMap<i64, String>> {
        let branded = format!("{scope}{}", v1::Trend::OF_BRAND);
        let own = self.series.get(scope);
        let from: Arc<str> = branded.as_str().into();
        let others = self.series.range(from..).take_while(move |(name, _)| name.starts_with(&branded));
        own.into_iter().chain(others.map(|(_, buckets)| buckets))
    }

    fn remove(&mut self, name: &str, start_ms: i64) {
        let Some(buckets) = self.series.get_mut(name) else { return };
        if let Some(json) = buckets.remove(&start_ms) {
            self.bytes -= bytes(name, &json);
            self.by_time.remove(&(start_ms, name.into()));
        }
        if buckets.is_empty() {
            self.series.remove(name);
        }
    }
}

/// As trends are keyed: series and beginning.
fn place(key: &[u8]) -> Option<(&str, i64)> {
    let (name, start_ms) = std::str::from_utf8(key).ok()?.rsplit_once(' ')?;
    Some((name, start_ms.parse().ok()?))
}

fn bytes(name: &str, json: &str) -> usize {
    name.len() + json.len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(board: &mut TrendBoard, scope: &str, start_ms: i64, count: u64) {
        let start_time = time::from_ms(start_ms);
        let trend = v1::Trend { scope: scope.into(), start_time, count, bucket_ms: 60_000, ..v1::Trend::default() };
        assert!(board.take(trend.key().as_bytes(), Some(&serde_json::to_vec(&trend).unwrap())));
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
    fn a_product_that_is_named_with_a_brand_and_without_has_both_series() {
        let mut board = TrendBoard::new(OutputFormat::Json, 1 << 20);
        for (product, brand, start_ms, count) in
            [("p", None, 0, 1), ("p", Some("b c"), 0, 2), ("p", Some("b c"), 60_000, 3), ("p2", Some("b c"), 0, 4)]
        {
            let labels = brand.map(|brand: &str| ("brand".to_owned(), brand.to_owned())).into_iter().collect();
            let (scope, start_time) = (format!("product={product}"), time::from_ms(start_ms));
            let trend = v1::Trend { scope, start_time, count, labels, ..v1::Trend::default() };
            assert!(board.take(trend.key().as_bytes(), Some(&serde_json::to_vec(&trend).unwrap())));
        }
        assert_eq!(board.len(), 4);
        let wanted = |limit| TrendsWanted { scope: Some("product=p".into()), limit, ..all() };
        assert_eq!(counts(&board, wanted(100)), [2, 1, 3]);
        assert_eq!(counts(&board, wanted(1)), [3]);
        assert!(board.take(b"product=p brand=b c 60000", None));
        assert_eq!(counts(&board, wanted(1)), [1]);
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
