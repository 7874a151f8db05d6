use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::Outcome;
use super::lines::{Lines, TOPIC};
use super::settings::ConfigArgs;
use crate::codec::{ClickDecoder, Decoded};
use crate::columns::{FeatureFile, Labelled};
use crate::config::{Clicks, FieldSource, Input, InputFormat, InputKind, Settings};
use crate::event::{Error, Fault, RawRecord, Reason, Rejection};
use crate::stages::clicks::features::FEATURES;
use crate::stages::clicks::{self, Click, Labels, Observed, Rules};
use crate::state::{InMemory, State};

/// Write the features of every click's session into a Parquet file, for training: `groundswell features clicks.jsonl.gz --out f.parquet`.
///
/// The clicks are taken in the file's order, as one partition, by the very code that runs online; docs/features.md lists
/// what is computed. Each row has the label `purchase_follows`: a purchase comes later in its session. A line that is no
/// click gives a JSON line on standard error, and exit code 1 at the end; clicks later than the grace give no row and are
/// counted at the end. With a configuration file, the field mapping of its first input of clicks is used.
#[derive(Debug, Args)]
pub struct Features {
    #[command(flatten)]
    config: ConfigArgs,

    /// File of JSON lines, plain or .gz; standard input where none is given or for `-`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The Parquet file to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    /// Where a field of ours is found, over the configuration: `--field user=/user_id`; may be given several times.
    #[arg(long = "field", value_name = "NAME=POINTER", value_parser = parse_field)]
    fields: Vec<(String, String)>,
}

impl Features {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let decoder = ClickDecoder::new(&input(&settings, &self.fields), None)?;
        let names: Vec<String> = FEATURES.iter().map(|feature| feature.name.clone()).collect();
        let mut export = Export::new(decoder, &settings.clicks, FeatureFile::create(&self.out, &names)?);
        let now = Timestamp::now();
        for record in Lines::open(self.file.as_deref(), settings.text.payload_bytes_max)? {
            let record = record?;
            if let Err(rejection) = export.take(&record, now)? {
                export.failed += 1;
                eprintln!("{}", failure(&record, &rejection));
            }
        }
        let Summary { rows, failed, too_late } = export.finish()?;
        let summary = json!({ "rows": rows, "failed": failed, "too_late": too_late });
        writeln!(io::stderr(), "{summary}").map_err(|error| {
            Error::new(Fault::Input, format!("cannot write to standard error: {error}"))
        })?;
        Ok(if failed == 0 { Outcome::Done } else { Outcome::SomeInputFailed })
    }
}

/// The configured mapping for JSON lines, with what the command line says laid over it.
fn input(settings: &Settings, fields: &[(String, String)]) -> Input {
    let configured = settings.inputs.iter().find(|input| input.kind == InputKind::Click);
    let mut mapping = configured.map(|input| input.fields.clone()).unwrap_or_default();
    mapping.extend(fields.iter().map(|(name, pointer)| (name.clone(), FieldSource::Pointer(pointer.clone()))));
    let topics = vec![TOPIC.into()];
    Input { name: TOPIC.into(), kind: InputKind::Click, topics, format: InputFormat::Json, fields: mapping }
}

fn parse_field(written: &str) -> Result<(String, String), String> {
    match written.split_once('=') {
        Some((name, pointer)) if pointer.starts_with('/') => Ok((name.to_owned(), pointer.to_owned())),
        _ => Err(format!("expected NAME=POINTER as in user=/user_id, found `{written}`")),
    }
}

fn failure(record: &RawRecord, rejection: &Rejection) -> serde_json::Value {
    json!({ "line": record.origin.offset + 1, "reason": rejection.reason.name(), "error": rejection.message })
}

/// From records to the file.
struct Export {
    decoder: ClickDecoder,
    rules: Rules,
    future_ms_max: i64,
    state: InMemory,
    labels: Labels<(Labelled, Vec<f32>)>,
    clock_ms: i64,
    file: FeatureFile,
    rows: u64,
    failed: u64,
    too_late: u64,
}

struct Summary {
    rows: u64,
    failed: u64,
    too_late: u64,
}

impl Export {
    fn new(decoder: ClickDecoder, settings: &Clicks, file: FeatureFile) -> Self {
        let rules = Rules::from(settings);
        Self {
            decoder,
            rules,
            future_ms_max: i64::try_from(settings.future_max.as_millis()).unwrap_or(i64::MAX),
            state: State::in_memory(&clicks::kinds(), rules.grace_ms),
            labels: Labels::new(&rules),
            clock_ms: i64::MIN,
            file,
            rows: 0,
            failed: 0,
            too_late: 0,
        }
    }

    fn take(&mut self, record: &RawRecord, now: Timestamp) -> Result<Result<(), Rejection>, Error> {
        let click = match self.decode(record, now) {
            Ok(click) => click,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (mut row, rules) = (Vec::with_capacity(FEATURES.len()), self.rules);
        let observed = self.state.observe(|tables| clicks::observe(tables, &rules, &click, &mut row));
        if let Some(fault) = self.state.fault() {
            return Err(Error::new(Fault::Bug, format!("the state is broken: {fault}")));
        }
        match observed {
            Observed::TooLate { .. } => self.too_late += 1,
            Observed::Counted(session) => {
                self.clock_ms = self.clock_ms.max(click.at_ms - rules.grace_ms);
                self.labels.push(&click, &session, (labelled(&click, &session), row));
            }
        }
        self.write(self.clock_ms)?;
        Ok(Ok(()))
    }

    fn decode(&self, record: &RawRecord, now: Timestamp) -> Result<Click, Rejection> {
        match self.decoder.decode(record)? {
            Decoded::Event(event) => {
                let click = Click::new(event);
                clicks::refuse_future(&click, now, self.future_ms_max).map(|()| click)
            }
            Decoded::NeedsSchema(id) => {
                Err(Rejection::new(Reason::UnknownSchema, format!("schema {id} is needed by a line of JSON")))
            }
        }
    }

    fn write(&mut self, clock_ms: i64) -> Result<(), Error> {
        while let Some(((mut labelled, row), follows)) = self.labels.next(clock_ms) {
            labelled.purchase_follows = follows;
            self.file.push(labelled, &row)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Summary, Error> {
        self.write(i64::MAX)?;
        self.file.finish()?;
        Ok(Summary { rows: self.rows, failed: self.failed, too_late: self.too_late })
    }
}

fn labelled(click: &Click, session: &clicks::SessionSoFar) -> Labelled {
    Labelled {
        event_id: click.event.event_id.clone(),
        user: click.event.user.clone(),
        item: click.event.item.clone(),
        category: click.event.category.clone(),
        session: session.name(),
        revision: session.revision,
        event_ms: click.at_ms,
        purchase_follows: false,
    }
}
