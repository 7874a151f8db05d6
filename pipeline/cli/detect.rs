use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::lines::Lines;
use super::out;
use crate::detect::{Detector, Reading, Settings, Verdict};
use crate::event::{Error, json::time};

/// A line is not longer; a time and a number need a tenth.
const LINE_BYTES_MAX: usize = 4_096;
/// Written at once, where nobody waits for each line.
const OUT_BYTES: usize = 64 * 1_024;
/// Lines that are named on standard error; of more only the number is told.
const NAMED_MAX: u64 = 100;
/// Digits of the expected values; what follows is noise.
const DIGITS: usize = 6;

/// Watch one series: what is expected of each value, how unusual it is, and whether that is an alert.
///
/// Reads `timestamp,value` and writes `timestamp,value,expected_low,expected_high,anomaly_score,alert`. A row depends on
/// the rows up to it only. 98 of 100 values are expected from low to high; the score lies within 0–1 and an alert begins
/// at 0.5; an incident gives one alert, and what follows and is no further out has the score 0. The first line may name the
/// columns. An empty value is a missing one. A line that cannot be read is named, left out, and gives exit code 1. Rows are
/// expected in the order of their times: one whose time is before that of an earlier row is answered and named.
///
/// Example: groundswell detect requests.csv --kind count
#[derive(Debug, Args)]
pub struct Detect {
    /// CSV file, plain or .gz; standard input where none is given or for `-`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// What the values are. Counts are also judged by a model of counts, which knows how much small ones vary.
    #[arg(long, value_enum, default_value_t = Kind::Value)]
    kind: Kind,

    /// Answer each line at once, as a pipe that never ends needs it.
    #[arg(long)]
    follow: bool,

    /// Rows that the level remembers: fewer follow a change sooner, and call less a deviation.
    #[arg(long, value_name = "ROWS", default_value_t = Settings::default().memory_readings,
        value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    memory: u32,

    /// Rows at the beginning that are never an alert.
    #[arg(long, value_name = "ROWS", default_value_t = Settings::default().warm_up_readings)]
    warm_up: u32,

    /// Rows after an alert in which what is no further out is the same incident.
    #[arg(long, value_name = "ROWS", default_value_t = Settings::default().rest_readings)]
    rest: u32,

    /// What is as improbable is an alert: lower gives fewer.
    #[arg(long, value_name = "P", default_value_t = Settings::default().alert_probability, value_parser = probability)]
    alert_probability: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Any quantity.
    Value,
    /// Whole numbers of events.
    Count,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|p| *p >= 1e-15 && *p <= 0.5);
    number.ok_or_else(|| format!("expected a probability from 1e-15 to 0.5, found {text:?}"))
}

impl Detect {
    pub fn run(self) -> Result<Outcome, Error> {
        let lines = Lines::open(self.file.as_deref(), LINE_BYTES_MAX)?;
        let mut watch = Watch::new(&self);
        out::line("timestamp,value,expected_low,expected_high,anomaly_score,alert")?;
        let mut rows = String::new();
        let (mut failed, mut backwards) = (0, 0);
        for (number, line) in (1u64..).zip(lines) {
            let line = line?.payload.unwrap_or_default();
            match watch.row(&line) {
                Ok(Some(row)) => rows.push_str(&row),
                Ok(None) => {}
                Err(reason) => {
                    failed += 1;
                    if failed <= NAMED_MAX {
                        eprintln!("line {number}: {reason}");
                    }
                }
            }
            if let Some(warning) = watch.warning.take() {
                backwards += 1;
                if backwards <= NAMED_MAX {
                    eprintln!("line {number}: {warning}");
                }
            }
            if self.follow || rows.len() >= OUT_BYTES {
                out::print(&rows)?;
                rows.clear();
            }
        }
        out::print(&rows)?;
        if failed > NAMED_MAX {
            eprintln!("{failed} lines could not be read");
        }
        if backwards > NAMED_MAX {
            eprintln!("{backwards} rows went back in time");
        }
        Ok(if failed == 0 { Outcome::Done } else { Outcome::SomeInputFailed })
    }
}

/// A series as it is read: which column is which, and the detector.
struct Watch {
    kind: Kind,
    settings: Settings,
    detector: Detector,
    columns: Option<Columns>,
    /// The latest of the times so far, also as it was written.
    latest: Option<(i64, String)>,
    /// What is wrong with the last row though it was answered.
    warning: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    timestamp: usize,
    value: usize,
}

impl Watch {
    fn new(command: &Detect) -> Self {
        let settings = Settings {
            memory_readings: command.memory,
            warm_up_readings: command.warm_up,
            rest_readings: command.rest,
            alert_probability: command.alert_probability,
        };
        Self { kind: command.kind, settings, detector: Detector::default(), columns: None, latest: None, warning: None }
    }

    /// The answer to a line, with its end; `None` to an empty one and to the names of the columns.
    fn row(&mut self, line: &[u8]) -> Result<Option<String>, String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
        }
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(None);
        }
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let columns = match self.columns {
            Some(columns) => columns,
            None => {
                let (columns, named) = columns(&fields)?;
                self.columns = Some(columns);
                if named {
                    return Ok(None);
                }
                columns
            }
        };
        self.answer(&fields, columns).map(Some)
    }

    fn answer(&mut self, fields: &[&str], columns: Columns) -> Result<String, String> {
        let field = |at: usize, name: &str| {
            fields.get(at).copied().ok_or_else(|| format!("no {name}: {} fields, expected {}", fields.len(), at + 1))
        };
        let (timestamp, value) = (field(columns.timestamp, "timestamp")?, field(columns.value, "value")?);
        let time_ms = time_of(timestamp)?;
        let reading = self.reading(value)?;
        self.note_time(timestamp, time_ms);
        let Verdict { expected_low, expected_high, score, alert, .. } =
            self.detector.observe(&self.settings, time_ms, reading);
        let [low, high] = [expected_low, expected_high].map(rounded);
        Ok(format!("{timestamp},{value},{low},{high},{:.6},{}\n", score + 0.0, u8::from(alert)))
    }

    /// Hours and days are learned from the times: rows out of order mislead.
    fn note_time(&mut self, timestamp: &str, time_ms: i64) {
        match &self.latest {
            Some((latest_ms, latest)) if time_ms < *latest_ms => {
                self.warning = Some(format!("timestamp {timestamp:?} is before {latest:?} of an earlier row"));
            }
            _ => self.latest = Some((time_ms, timestamp.to_owned())),
        }
    }

    fn reading(&self, value: &str) -> Result<Reading, String> {
        if value.is_empty() || value.eq_ignore_ascii_case("nan") {
            return Ok(Reading::Value(f64::NAN));
        }
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| format!("value {value:?} is not a number"))?;
        match self.kind {
            Kind::Value => Ok(Reading::Value(number)),
            Kind::Count if number >= 0.0 && number.fract() == 0.0 && number < 1e18 => Ok(Reading::Count(number as u64)),
            Kind::Count => Err(format!("value {value:?} is not a count")),
        }
    }
}

/// Which columns hold what, and whether the first line names them. A line that does not is the first row.
fn columns(fields: &[&str]) -> Result<(Columns, bool), String> {
    if fields.first().is_some_and(|first| time_of(first).is_ok()) {
        return Ok((Columns { timestamp: 0, value: 1 }, false));
    }
    let place = |name: &str| fields.iter().position(|field| field.eq_ignore_ascii_case(name));
    match (place("timestamp"), place("value")) {
        (Some(timestamp), Some(value)) => Ok((Columns { timestamp, value }, true)),
        _ => Err(format!("expected the columns timestamp and value, or a time first; found {:?}", fields.join(","))),
    }
}

/// Unix time in milliseconds. A time without an offset is taken as UTC.
fn time_of(text: &str) -> Result<i64, String> {
    let civil = || {
        let time = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    let known = time::from_text(text).as_ref().and_then(time::to_ms);
    known.or_else(civil).ok_or_else(|| format!("timestamp {text:?} is not {}", time::EXPECTED))
}

/// To so many digits as are worth reading.
fn rounded(number: f64) -> f64 {
    format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(kind: Kind) -> Watch {
        let (settings, detector) = (Settings::default(), Detector::default());
        Watch { kind, settings, detector, columns: None, latest: None, warning: None }
    }

    #[test]
    fn times_are_read_as_they_are_written_elsewhere() {
        let same = ["2014-02-14 14:30:00", "2014-02-14T14:30:00Z", "2014-02-14T15:30:00+01:00", "1392388200"];
        for text in same.into_iter().chain(["1392388200000", "2014-02-14 14:30:00.000000", "1392388200.0"]) {
            assert_eq!(time_of(text), Ok(1_392_388_200_000), "{text}");
        }
        let fault = time_of("yesterday").unwrap_err();
        assert!(fault.starts_with("timestamp \"yesterday\" is not a time"), "{fault}");
    }

    #[test]
    fn columns_are_found_by_name_or_by_place() {
        let mut named = watch(Kind::Value);
        assert_eq!(named.row(b"\xef\xbb\xbfhost,Value,timestamp\r"), Ok(None));
        assert_eq!(named.row(b"a, 7,2014-02-14 14:30:00"), Ok(Some("2014-02-14 14:30:00,7,7,7,0.000000,0\n".into())));
        let mut placed = watch(Kind::Value);
        assert!(placed.row(b"2014-02-14 14:30:00,7").unwrap().is_some());
        assert_eq!(placed.row(b""), Ok(None));
        let fault = watch(Kind::Value).row(b"time;value").unwrap_err();
        assert_eq!(fault, "expected the columns timestamp and value, or a time first; found \"time;value\"");
    }

    #[test]
    fn what_cannot_be_read_is_said_and_changes_nothing() {
        let mut watch = watch(Kind::Count);
        for (line, expected) in [
            (&b"2014-02-14 14:30:00,1"[..], ""),
            (b"2014-02-14 14:35:00,many", "value \"many\" is not a number"),
            (b"2014-02-14 14:35:00,1.5", "value \"1.5\" is not a count"),
            (b"2014-02-14 14:35:00,-1", "value \"-1\" is not a count"),
            (b"2014-02-14 14:35:00,inf", "value \"inf\" is not a number"),
            (b"2014-02-14 14:35:00", "no value: 1 fields, expected 2"),
            (
                b"14:35,2",
                "timestamp \"14:35\" is not a time (RFC 3339 with an offset, or seconds or milliseconds since 1970)",
            ),
            (b"\xff", "the line is not UTF-8"),
            (&[b'1'; LINE_BYTES_MAX + 1], "the line is longer than 4096 bytes"),
            (b"2014-02-14 14:40:00,", ""),
        ] {
            let said = watch.row(line).err().unwrap_or_default();
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_time_that_goes_backwards_is_answered_and_named() {
        let mut watch = watch(Kind::Value);
        for (line, expected) in [
            ("2014-02-14 14:30:00,1", None),
            ("2014-02-14 14:35:00,1", None),
            ("2014-02-14 14:35:00,1", None),
            (
                "2014-02-14 14:20:00,1",
                Some("timestamp \"2014-02-14 14:20:00\" is before \"2014-02-14 14:35:00\" of an earlier row"),
            ),
            (
                "2014-02-14 14:25:00,1",
                Some("timestamp \"2014-02-14 14:25:00\" is before \"2014-02-14 14:35:00\" of an earlier row"),
            ),
            ("2014-02-14 14:40:00,1", None),
        ] {
            assert!(watch.row(line.as_bytes()).unwrap().is_some(), "{line}");
            assert_eq!(watch.warning.take().as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn expected_values_are_short() {
        assert_eq!(rounded(123_456_789.0).to_string(), "123457000");
        assert_eq!(rounded(0.000_123_456_789).to_string(), "0.000123457");
        assert_eq!(rounded(-0.0).to_string(), "0");
    }

    #[test]
    fn a_probability_is_one() {
        assert_eq!(probability("0.01"), Ok(0.01));
        assert!(probability("0").is_err() && probability("2").is_err() && probability("p").is_err());
    }
}
