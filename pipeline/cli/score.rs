use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Outcome;
use super::lines::{Lines, TOPIC};
use super::out;
use super::progress::{Progress, Unseen};
use super::settings::ConfigArgs;
use super::table::count;
use crate::config::{Input, InputFormat, Kind, OutputFormat, Settings};
use crate::event::{Error, Header};
use crate::runtime::{Models, Offline, Registered, text_stage};
use crate::sink::{Entry, HEADER_PREFIX};
use crate::telemetry;

/// Score JSON lines: a line in, a scored line out, in the same order. No Kafka.
///
/// A line that cannot be scored gives a JSON line on standard error, and exit code 1 at the end. With a configuration
/// file, its models, redaction and the field mapping of the first input of that kind are used.
///
/// Example: groundswell score --kind chat chats.jsonl.gz > scored.jsonl
#[derive(Debug, Args)]
pub struct Score {
    #[command(flatten)]
    config: ConfigArgs,

    /// What the lines are.
    #[arg(long, value_enum, default_value_t = ScoreKind::Review)]
    kind: ScoreKind,

    /// Show the probability of every label of every head, the likeliest first: thresholds do not count, and a sentiment
    /// always has its label. For evaluating a model.
    #[arg(long)]
    all_labels: bool,

    /// Give each text's embedding too, as text.include_embedding does.
    #[arg(long)]
    embedding: bool,

    /// File of JSON lines, plain or .gz; standard input where none is given or for `-`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScoreKind {
    Review,
    Chat,
}

impl Score {
    pub fn run(self) -> Result<Outcome, Error> {
        let mut settings = self.config.load()?;
        telemetry::init(&settings.log)?;
        let kind = match self.kind {
            ScoreKind::Review => Kind::Review,
            ScoreKind::Chat => Kind::Chat,
        };
        adapt(&mut settings, kind);
        // A file that is not there is found out before any model is read.
        let lines = Lines::open(self.file.as_deref(), settings.text.payload_bytes_max)?;
        settings.text.include_embedding |= self.embedding;
        let mut models = Models::load(&settings)?;
        if self.all_labels {
            models.give_all_labels();
        }
        for warning in models.loaded.iter().filter_map(|model| model.warning.as_deref()) {
            eprintln!("warning: {warning}");
        }
        let registered = Registered::new(&settings)?;
        let stage = Arc::new(text_stage(&settings, &models, &registered)?);
        let mut offline = Offline::new(&settings, stage, &models.served(&settings), &registered.resolver())?;
        let mut out = Out {
            stdout: BufWriter::new(io::stdout().lock()),
            progress: self.progress(&lines),
            read_bytes: lines.read_bytes_shared(),
            scored: 0,
            failed: 0,
        };
        let ended = offline.run(lines, |entry| out.entry(&entry));
        out.finish()?;
        ended?;
        Ok(if out.failed == 0 { Outcome::Done } else { Outcome::SomeInputFailed })
    }

    /// Where the same terminal shows the results or is typed at, they would run into the bar.
    fn progress(&self, lines: &Lines) -> Progress {
        let typed = self.file.as_deref().is_none_or(|file| file == Path::new("-")) && io::stdin().is_terminal();
        match typed || io::stdout().is_terminal() {
            true => Progress::none(),
            false => Progress::start(lines.file_bytes(), Unseen::Nothing),
        }
    }
}

/// One input of JSON lines instead of the configured topics; JSON out.
fn adapt(settings: &mut Settings, kind: Kind) {
    let configured = settings.inputs.iter().find(|input| input.kind.text() == Some(kind));
    let fields = configured.map(|input| input.fields.clone()).unwrap_or_default();
    settings.inputs = vec![Input {
        name: TOPIC.into(),
        kind: kind.into(),
        topics: vec![TOPIC.into()],
        format: InputFormat::Json,
        fields,
    }];
    settings.outputs.format = OutputFormat::Json;
    settings.registry = None;
}

struct Out<W: Write> {
    stdout: W,
    progress: Progress,
    read_bytes: Arc<AtomicU64>,
    scored: u64,
    failed: u64,
}

impl<W: Write> Out<W> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let Out { scored, failed, .. } = *self;
        let read_bytes = self.read_bytes.load(Ordering::Relaxed);
        self.progress.tick(Instant::now(), read_bytes, |time| summary(scored, failed, time));
        if entry.rejected.is_some() {
            self.failed += 1;
            self.progress.say(&failure(entry).to_string());
            return Ok(());
        }
        self.scored += 1;
        for payload in entry.outputs.iter().filter_map(|output| output.payload.as_ref()) {
            self.stdout.write_all(payload).and_then(|()| self.stdout.write_all(b"\n")).map_err(out::failed)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        let time = self.progress.finish();
        if self.progress.is_seen() {
            eprintln!("{}", summary(self.scored, self.failed, time));
        }
        self.stdout.flush().map_err(out::failed)
    }
}

/// Texts, failures, seconds, rate.
fn summary(scored: u64, failed: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let rate = (scored + failed) as f64 / seconds.max(0.001);
    format!("{} scored, {failed} failed in {seconds:.1} s: {rate:.0} texts/s", count(scored, "text", "texts"))
}

/// The dead letter's headers, as a person at a terminal needs them.
fn failure(entry: &Entry) -> serde_json::Value {
    let header = |name: &str| {
        let name = format!("{HEADER_PREFIX}{name}");
        let found = entry.outputs.iter().flat_map(|output| &output.headers).find(|h: &&Header| h.name == name);
        found.and_then(|h| h.value.as_ref()).map(|value| String::from_utf8_lossy(value).into_owned())
    };
    json!({ "line": entry.record.origin.offset + 1, "reason": header("reason"), "error": header("error") })
}
