use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::filter::Filter;
use super::letter::{Letter, Position};
use super::reader::Reader;
use crate::cli::Outcome;
use crate::cli::settings::ConfigArgs;
use crate::cli::table::{count, shown, table};
use crate::event::{Error, Origin};

/// Rows of a table where nobody says how many: what a person reads.
const ROWS: usize = 100;
/// Characters of an error in a table; `show` has all of it.
const ERROR_CHARS_MAX: usize = 100;

/// List dead letters: where each lies, when it was written, where its record came from, and why.
///
/// Example: groundswell dead-letters list --reason malformed,missing --since 12h
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(flatten)]
    filter: Filter,

    /// No more than so many, the newest; 100 for the table and all for --json by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// JSON lines instead of a table.
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let mut reader = Reader::open(&settings)?;
        reader.start_at(self.filter.since.map(|since| since.as_millisecond()))?;
        let limit = self.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let mut newest = Newest::new(limit.unwrap_or(ROWS));
        while let Some(letter) = reader.next()? {
            if !self.filter.takes(&letter) {
                continue;
            }
            match (self.json, limit) {
                (true, None) => println!("{}", Row::of(&letter).json()),
                _ => newest.add(Row::of(&letter)),
            }
        }
        match self.json {
            true => newest.rows.values().for_each(|row| println!("{}", row.json())),
            false => print!("{}", newest.text()),
        }
        Ok(Outcome::Done)
    }
}

/// What a list says of a letter.
struct Row {
    position: Position,
    timestamp_ms: Option<i64>,
    origin: Option<Origin>,
    stage: String,
    reason: String,
    error: String,
    payload: String,
    bytes: usize,
}

impl Row {
    fn of(letter: &Letter) -> Row {
        let ours = |name| letter.ours(name).map(|value| value.into_owned()).unwrap_or_default();
        Row {
            position: letter.position(),
            timestamp_ms: letter.0.timestamp_ms,
            origin: letter.origin(),
            stage: ours("stage"),
            reason: ours("reason"),
            error: ours("error"),
            payload: ours("payload"),
            bytes: letter.0.payload.as_ref().map_or(0, |payload| payload.len()),
        }
    }

    fn cells(&self) -> Vec<String> {
        let origin = self.origin.as_ref().map_or_else(|| "unknown".into(), |origin| shown(&origin.to_string(), 300));
        let (reason, payload) = (shown(&self.reason, 30), shown(&self.payload, 30));
        let time = super::time(self.timestamp_ms);
        vec![self.position.to_string(), time, origin, reason, payload, shown(&self.error, ERROR_CHARS_MAX)]
    }

    fn json(&self) -> Value {
        let origin = self.origin.as_ref();
        json!({
            "position": self.position.to_string(),
            "time": super::time(self.timestamp_ms),
            "origin": origin.map(|o| json!({"topic": &*o.topic, "partition": o.partition, "offset": o.offset})),
            "stage": self.stage,
            "reason": self.reason,
            "error": self.error,
            "payload": self.payload,
            "bytes": self.bytes,
        })
    }
}

/// The newest of what was seen, oldest first, and how many older ones were let go.
struct Newest {
    rows: BTreeMap<(Option<i64>, Position), Row>,
    rows_max: usize,
    older: u64,
}

impl Newest {
    fn new(rows_max: usize) -> Newest {
        Newest { rows: BTreeMap::new(), rows_max, older: 0 }
    }

    fn add(&mut self, row: Row) {
        self.rows.insert((row.timestamp_ms, row.position), row);
        if self.rows.len() > self.rows_max {
            self.rows.pop_first();
            self.older += 1;
        }
    }

    fn text(&self) -> String {
        if self.rows.is_empty() {
            return "no dead letters\n".into();
        }
        let rows: Vec<Vec<String>> = self.rows.values().map(Row::cells).collect();
        let mut text = table(&["position", "time", "origin", "reason", "payload", "error"], &rows);
        if self.older > 0 {
            text.push_str(&format!("and {} (--limit)\n", count(self.older, "older one", "older ones")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use crate::config::DeadLetterPayload;

    fn row(partition: i32, timestamp_ms: i64) -> Row {
        let mut letter = letter(DeadLetterPayload::Raw);
        letter.0.origin.partition = partition;
        letter.0.timestamp_ms = Some(timestamp_ms);
        Row::of(&letter)
    }

    #[test]
    fn the_newest_are_kept_in_order_of_time() {
        let mut newest = Newest::new(2);
        for (partition, time) in [(0, 3000), (1, 1000), (2, 2000)] {
            newest.add(row(partition, time));
        }
        let expected = "\
position  time                  origin        reason     payload  error
2/7       1970-01-01T00:00:02Z  reviews/3/42  malformed  raw      ends after byte 1
0/7       1970-01-01T00:00:03Z  reviews/3/42  malformed  raw      ends after byte 1
and 1 older one (--limit)
";
        assert_eq!(newest.text(), expected);
        assert_eq!(Newest::new(2).text(), "no dead letters\n");
    }

    #[test]
    fn a_line_of_json_has_all_of_it() {
        let json = row(0, 1000).json();
        assert_eq!(json["origin"], json!({"topic": "reviews", "partition": 3, "offset": 42}));
        assert_eq!(
            (&json["position"], &json["reason"], &json["bytes"]),
            (&json!("0/7"), &json!("malformed"), &json!(1))
        );
    }
}
