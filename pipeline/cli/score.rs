use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Outcome;
use super::lines::{Lines, TOPIC};
use super::settings::ConfigArgs;
use crate::config::{Input, InputFormat, Kind, OutputFormat, Settings};
use crate::event::{Error, Fault, Header};
use crate::runtime::{Models, Offline, Registered, text_stage};
use crate::sink::{Entry, HEADER_PREFIX};
use crate::telemetry;

/// Score JSON lines: a line in, a scored line out, in the same order. No Kafka.
///
/// A line that cannot be scored gives a JSON line on standard error, and exit code 1 at the end. With a configuration
/// file, its models, redaction and the field mapping of the first input of that kind are used.
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
        let mut models = Models::load(&settings)?;
        if self.all_labels {
            models.give_all_labels();
        }
        for warning in models.loaded.iter().filter_map(|model| model.warning.as_deref()) {
            eprintln!("warning: {warning}");
        }
        let registered = Registered::new(&settings)?;
        let stage = Arc::new(text_stage(&settings, &models, &registered)?);
        let mut offline = Offline::new(&settings, stage, &models, &registered.resolver())?;
        let lines = Lines::open(self.file.as_deref(), settings.text.payload_bytes_max)?;
        let mut out = Out { stdout: BufWriter::new(io::stdout().lock()), failed: 0 };
        offline.run(lines, |entry| out.entry(&entry))?;
        out.stdout.flush().map_err(cannot_write)?;
        Ok(if out.failed == 0 { Outcome::Done } else { Outcome::SomeInputFailed })
    }
}

/// One input of JSON lines instead of the configured topics; JSON out.
fn adapt(settings: &mut Settings, kind: Kind) {
    let configured = settings.inputs.iter().find(|input| input.kind.text() == Some(kind));
    let fields = configured.map(|input| input.fields.clone()).unwrap_or_default();
    settings.inputs =
        vec![Input { name: TOPIC.into(), kind: kind.into(), topics: vec![TOPIC.into()], format: InputFormat::Json, fields }];
    settings.outputs.format = OutputFormat::Json;
    settings.registry = None;
}

struct Out<W: Write> {
    stdout: W,
    failed: usize,
}

impl<W: Write> Out<W> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.rejected.is_some() {
            self.failed += 1;
            eprintln!("{}", failure(entry));
            return Ok(());
        }
        for payload in entry.outputs.iter().filter_map(|output| output.payload.as_ref()) {
            self.stdout.write_all(payload).and_then(|()| self.stdout.write_all(b"\n")).map_err(cannot_write)?;
        }
        Ok(())
    }
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

fn cannot_write(error: io::Error) -> Error {
    Error::new(Fault::Input, format!("cannot write to standard output: {error}"))
}
