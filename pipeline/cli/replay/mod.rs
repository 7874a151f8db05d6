mod line;
mod pace;
mod producer;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use self::line::{Pointer, Wanted};
use self::pace::{Pace, Rate, Speed};
use self::producer::{Tally, Writer};
use super::Outcome;
use super::admin::Cluster;
use super::lines::Lines;
use super::out;
use super::progress::{Progress, Unseen};
use super::settings::ConfigArgs;
use super::stop::Stop;
use super::table::{self, count};
use crate::config::Settings;
use crate::event::{Error, Fault};

/// A wait is cut into slices, so that Ctrl-C is heard and acknowledgements are taken in.
const WAIT_STEP: Duration = Duration::from_millis(50);
/// librdkafka counts a record's bytes without what a batch adds to it.
const BATCH_OVERHEAD_BYTES: usize = 512;
/// Kafka's own default, where the broker does not tell.
const RECORD_BYTES_MAX: usize = 1_048_588;
/// Lines that are named on standard error; of more only the number is told.
const NAMED_MAX: u64 = 100;

/// Write the lines of a file into a topic: at once, at a rate, or as they came in event time.
///
/// Each line is one record, sent as it is and counted once all in-sync replicas have it. Lines that are not JSON are
/// named, left out, and give exit code 1. Ctrl-C stops reading and waits for what is under way.
///
/// Example: groundswell replay reviews.jsonl.gz --topic reviews --key /product --speed 10x
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    config: ConfigArgs,

    /// File of JSON lines, plain or .gz; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The topic to write to; it must be there.
    #[arg(long)]
    topic: String,

    /// Records a second, as in 500 or 500/s.
    #[arg(long, value_name = "N/s", conflicts_with = "speed")]
    rate: Option<Rate>,

    /// Multiple of event time, as in 1 or 10x. A line without a time goes with the line before it.
    #[arg(long, value_name = "X")]
    speed: Option<Speed>,

    /// Where a line has its event time, a JSON pointer; /event_time or else /ts by default.
    #[arg(long, value_name = "POINTER", requires = "speed")]
    time_field: Option<Pointer>,

    /// Where a line has what becomes the record's key, a JSON pointer; no key by default.
    #[arg(long, value_name = "POINTER")]
    key: Option<Pointer>,

    /// Stop after so many records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Begin again at the end of the file, until --limit or Ctrl-C.
    #[arg(long = "loop")]
    again: bool,
}

impl Replay {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        if self.again && self.file == Path::new("-") {
            return Err(Error::new(Fault::Config, "standard input cannot be read again: --loop needs a file"));
        }
        // A file that is not there is found out before any broker is asked.
        let lines = Lines::open(Some(&self.file), RECORD_BYTES_MAX)?;
        let record_bytes_max = self.record_bytes_max(&settings)?;
        let stop = Stop::on_signal()?;
        let writer = Writer::new(&settings.kafka, &self.topic, record_bytes_max)?;
        let total = self.limit.or_else(|| lines.file_bytes().filter(|_| !self.again));
        let mut pass = Pass {
            command: &self,
            wanted: Wanted { key: self.key.clone(), time: self.speed.map(|_| self.time_field.clone()) },
            pace: Pace::new(self.rate, self.speed),
            writer,
            progress: Progress::start(total, Unseen::Lines),
            start: Instant::now(),
            stop,
            sent: 0,
            bad: 0,
            timeless: 0,
            position: 0,
            record_bytes_max,
        };
        let ended = pass.all(lines);
        pass.finish(ended)
    }

    /// What the topic takes, by its own setting. A topic that is not there is refused before anything is read.
    fn record_bytes_max(&self, settings: &Settings) -> Result<usize, Error> {
        let there = Cluster::connect(&settings.kafka)?.topics(&[&self.topic])?;
        let Some(topic) = there.first() else {
            return Err(Error::new(Fault::Config, format!("topic {} is not there", self.topic))
                .hint("groundswell topics --create makes those that the configuration names"));
        };
        let limit = topic.number("max.message.bytes").and_then(|n| usize::try_from(n).ok());
        Ok(limit.unwrap_or(RECORD_BYTES_MAX).saturating_sub(BATCH_OVERHEAD_BYTES).max(1000))
    }
}

/// A way through the file, and what came of it so far.
struct Pass<'a> {
    command: &'a Replay,
    wanted: Wanted,
    pace: Pace,
    writer: Writer,
    progress: Progress,
    start: Instant,
    stop: Stop,
    sent: u64,
    bad: u64,
    timeless: u64,
    /// How far the bar is.
    position: u64,
    record_bytes_max: usize,
}

impl Pass<'_> {
    /// The file, and with `--loop` the file again, unless nothing in it can be sent.
    fn all(&mut self, mut lines: Lines) -> Result<(), Error> {
        loop {
            let before = self.sent;
            lines.bound(self.record_bytes_max);
            if !self.read(&mut lines)? || !self.command.again || self.sent == before {
                return Ok(());
            }
            self.pace.start_over();
            lines = Lines::open(Some(&self.command.file), self.record_bytes_max)?;
        }
    }

    /// To the end of the file; `false` if it was not the end that ended it.
    fn read(&mut self, lines: &mut Lines) -> Result<bool, Error> {
        while let Some(record) = lines.next() {
            if self.command.limit.is_some_and(|limit| self.sent >= limit) || self.stop.is_asked() {
                return Ok(false);
            }
            let record = record?;
            let line = record.payload.unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if !line.is_empty() && !self.line(line, record.origin.offset + 1)? {
                return Ok(false);
            }
            self.position = if self.command.limit.is_some() { self.sent } else { lines.read_bytes() };
            self.tick();
        }
        Ok(true)
    }

    /// `false` if it was asked to stop while this line was waited for.
    fn line(&mut self, line: &[u8], number: i64) -> Result<bool, Error> {
        if line.len() > self.record_bytes_max {
            self.refuse_large(number);
            return Ok(true);
        }
        let found = match self.wanted.find(line) {
            Ok(found) => found,
            Err(why) => {
                self.refuse(number, &why);
                return Ok(true);
            }
        };
        self.timeless += u64::from(self.wanted.time.is_some() && found.time_ms.is_none());
        let due = self.pace.due(self.sent, found.time_ms, self.start.elapsed());
        if !self.wait_until(due) {
            return Ok(false);
        }
        match self.writer.write(found.key.as_deref(), line)? {
            true => self.sent += 1,
            false => self.refuse_large(number),
        }
        self.writer.wait(Duration::ZERO);
        self.writer.failure().map_or(Ok(true), Err)
    }

    fn refuse_large(&mut self, number: i64) {
        self.refuse(number, &format!("more bytes than {} takes ({})", self.command.topic, self.record_bytes_max));
    }

    fn refuse(&mut self, number: i64, why: &str) {
        self.bad += 1;
        if self.bad <= NAMED_MAX {
            self.progress.say(&format!("line {number}: {why}"));
        }
    }

    fn wait_until(&mut self, due: Duration) -> bool {
        while !self.stop.is_asked() {
            let left = due.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return true;
            }
            self.writer.wait(left.min(WAIT_STEP));
            self.tick();
        }
        false
    }

    fn tick(&mut self) {
        self.progress.tick(Instant::now(), self.position, |time| summary(&self.writer.tally(), time));
    }

    /// Waits for what is under way and says what came of it, whatever it was that ended the reading.
    fn finish(self, ended: Result<(), Error>) -> Result<Outcome, Error> {
        self.writer.finish();
        let time = self.progress.finish();
        out::line(summary(&self.writer.tally(), time))?;
        if self.timeless > 0 {
            eprintln!("{} had no event time and went with the line before", count(self.timeless, "record", "records"));
        }
        ended?;
        if let Some(error) = self.writer.failure() {
            return Err(error);
        }
        if self.bad > 0 {
            eprintln!("{} left out", count(self.bad, "line was", "lines were"));
            return Ok(Outcome::SomeInputFailed);
        }
        Ok(Outcome::Done)
    }
}

/// Records, bytes, seconds, rate.
fn summary(tally: &Tally, time: Duration) -> String {
    let rate = tally.acknowledged as f64 / time.as_secs_f64().max(0.001);
    format!(
        "{} acknowledged, {} in {:.1} s: {rate:.0} records/s",
        count(tally.acknowledged, "record", "records"),
        table::bytes(tally.bytes),
        time.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_records_bytes_seconds_and_rate() {
        let tally = Tally { acknowledged: 1000, bytes: 250_000, ..Tally::default() };
        let shown = summary(&tally, Duration::from_millis(2500));
        assert_eq!(shown, "1000 records acknowledged, 250.0 kB in 2.5 s: 400 records/s");
    }
}
