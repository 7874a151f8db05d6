use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

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
use crate::stages::clicks::profile::SEGMENT_FEATURES;
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

    /// A file for the numbers that segments are told by, a JSON line for each profile that the clicks give, for fitting
    /// segments.
    #[arg(long, value_name = "FILE")]
    segment_rows: Option<PathBuf>,

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
        export.segment_rows = self.segment_rows.as_deref().map(SegmentRows::create).transpose()?;
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
        writeln!(io::stderr(), "{summary}")
            .map_err(|error| Error::new(Fault::Input, format!("cannot write to standard error: {error}")))?;
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
    segment_rows: Option<SegmentRows>,
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
            segment_rows: None,
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
            Observed::Counted(session, seen) => {
                if let (Some(rows), Some(_)) = (&mut self.segment_rows, &seen.profile) {
                    rows.write(&click.event.user, &seen.row)?;
                }
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
        self.segment_rows.map_or(Ok(()), SegmentRows::finish)?;
        Ok(Summary { rows: self.rows, failed: self.failed, too_late: self.too_late })
    }
}

/// What segments are told by, profile by profile.
struct SegmentRows {
    path: PathBuf,
    file: BufWriter<File>,
}

impl SegmentRows {
    fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|e| cannot_write(path, &e))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    fn write(&mut self, user: &str, row: &[f64]) -> Result<(), Error> {
        let named: BTreeMap<&str, &f64> = SEGMENT_FEATURES.iter().map(|feature| feature.name).zip(row).collect();
        writeln!(self.file, "{}", json!({ "user": user, "features": named })).map_err(|e| cannot_write(&self.path, &e))
    }

    fn finish(mut self) -> Result<(), Error> {
        self.file.flush().map_err(|e| cannot_write(&self.path, &e))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::new(Fault::Config, format!("cannot write {}: {error}", path.display()))
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

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float32Type;
    use arrow_array::{Array, RecordBatch};
    use bytes::Bytes;
    use fastrand::Rng;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;
    use prost::{Message, Name};
    use serde::Serialize;

    use super::*;
    use crate::codec::Encoder;
    use crate::config::{OutputFormat, Redaction, UserRedaction};
    use crate::event::{Origin, Record, v1};
    use crate::stages::clicks::{ClicksOutput, ClicksStage};
    use crate::stages::{Prepare, Stage};
    use crate::text::Redactor;

    const START_S: i64 = 1_511_539_217;

    /// Clicks of three users, some of them late, as a shop writes them and as our message.
    fn clicks(rng: &mut Rng) -> Vec<(serde_json::Value, v1::Click)> {
        let actions = ["view", "view", "view", "cart", "favourite", "purchase"];
        let mut at = START_S;
        (0..rng.usize(1..60))
            .map(|_| {
                at += if rng.u8(..5) == 0 { rng.i64(1500..2500) } else { rng.i64(0..200) };
                let ts = if rng.u8(..6) == 0 { at - rng.i64(0..900) } else { at };
                let (user, item) = (rng.char('u'..'x').to_string(), format!("p-{}", rng.u8(..6)));
                let (category, action) = (format!("c-{}", rng.u8(..3)), actions[rng.usize(..actions.len())]);
                let price = rng.bool().then(|| f64::from(rng.u32(1..90_000)) / 100.0);
                let shop = json!({ "who": user, "sku": item, "cat": category, "do": action, "ts": ts, "price": price });
                let mut ours: v1::Click =
                    serde_json::from_value(json!({ "action": action, "event_time": ts })).unwrap();
                (ours.user, ours.item, ours.category, ours.price) = (user, item, Some(category), price);
                (shop, ours)
            })
            .collect()
    }

    fn settings() -> Clicks {
        let seconds = std::time::Duration::from_secs;
        Clicks {
            engines: 1,
            session_gap: seconds(1800),
            grace: seconds(600),
            utc_offset_minutes: 480,
            future_max: seconds(3600),
            include_features: true,
            purchase_model: None,
            interest_half_life: std::time::Duration::from_secs(14 * 86_400),
            profile_interval: std::time::Duration::from_secs(60),
            segment_model: None,
            include_reviews: false,
            reviews_bytes_max: 1 << 20,
        }
    }

    fn decoder(format: InputFormat, fields: &[(&str, &str)]) -> ClickDecoder {
        let fields = fields.iter().map(|(name, at)| (name.to_string(), FieldSource::Pointer(at.to_string())));
        let (name, topics) = (TOPIC.to_owned(), vec![TOPIC.to_owned()]);
        ClickDecoder::new(&Input { name, kind: InputKind::Click, topics, format, fields: fields.collect() }, None)
            .unwrap()
    }

    fn record(offset: usize, payload: Vec<u8>) -> RawRecord {
        let origin = Origin { topic: TOPIC.into(), partition: 0, offset: offset as i64 };
        let payload = Some(Bytes::from(payload));
        Record { origin, key: None, headers: Vec::new(), timestamp_ms: None, payload }
    }

    /// Through the command, to Parquet and back: features by click, and labels.
    fn offline(path: &Path, clicks: &[(serde_json::Value, v1::Click)]) -> Vec<(String, bool, Vec<f32>)> {
        let fields =
            [("user", "/who"), ("item", "/sku"), ("category", "/cat"), ("action", "/do"), ("event_time", "/ts")];
        let names: Vec<String> = FEATURES.iter().map(|feature| feature.name.clone()).collect();
        let file = FeatureFile::create(path, &names).unwrap();
        let mut export = Export::new(decoder(InputFormat::Json, &fields), &settings(), file);
        for (offset, (shop, _)) in clicks.iter().enumerate() {
            export.take(&record(offset, shop.to_string().into_bytes()), Timestamp::now()).unwrap().unwrap();
        }
        export.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
        reader.flat_map(|batch| rows(&batch.unwrap())).collect()
    }

    fn rows(batch: &RecordBatch) -> Vec<(String, bool, Vec<f32>)> {
        let ids = batch["event_id"].as_string::<i32>();
        let follows = batch["purchase_follows"].as_boolean();
        let features: Vec<_> =
            FEATURES.iter().map(|f| batch[f.name.as_str()].as_primitive::<Float32Type>().values().to_vec()).collect();
        let row = |place: usize| features.iter().map(|column| column[place]).collect();
        (0..ids.len()).map(|place| (ids.value(place).to_owned(), follows.value(place), row(place))).collect()
    }

    fn protobuf<T: Message + Name + Serialize>() -> Encoder<T> {
        Encoder::new(OutputFormat::Protobuf, None).unwrap()
    }

    /// Through the stage, as the pipeline goes, from Protobuf: features by click.
    fn online(clicks: &[(serde_json::Value, v1::Click)]) -> Vec<(String, Vec<f32>)> {
        let redaction = Redaction { kinds: Vec::new(), patterns: Vec::new(), user: UserRedaction::Keep };
        let stage = ClicksStage {
            recommender: None,
            opinions: None,
            decoders: [(TOPIC.to_owned(), decoder(InputFormat::Protobuf, &[]))].into_iter().collect(),
            settings: settings(),
            payload_bytes_max: 10_000,
            redactor: Redactor::new(&redaction),
            model: None,
            segments: None,
            scored: ClicksOutput { topic: "clicks.scored".into(), encoder: protobuf() },
            profiles: ClicksOutput { topic: "profiles".into(), encoder: protobuf() },
            counts: Default::default(),
            mix: Default::default(),
            keyless: Default::default(),
        };
        let mut state = State::in_memory(&stage.kinds(), stage.grace_ms());
        let mut found = Vec::new();
        for (offset, (_, ours)) in clicks.iter().enumerate() {
            let record = record(offset, ours.encode_to_vec());
            let Ok(Prepare::Ready(click)) = stage.prepare(&record, Timestamp::now()) else { panic!("{ours:?}") };
            let (waiting, _) = state.observe(|tables| stage.observe(tables, click));
            let outputs = state.conclude(|view| stage.conclude(view, &record, waiting, &[], Timestamp::now())).unwrap();
            let scored = v1::ScoredClick::decode(outputs[0].payload.clone().unwrap()).unwrap();
            if !scored.too_late {
                found.push((scored.event_id, FEATURES.iter().map(|f| scored.features[&f.name] as f32).collect()));
            }
        }
        found
    }

    /// By definition, with the whole file at hand.
    fn follows(clicks: &[(serde_json::Value, v1::Click)]) -> Vec<bool> {
        let at = |click: &v1::Click| click.event_time.unwrap().seconds;
        let bought = |of: &v1::Click, from: i64| {
            let mut later: Vec<_> =
                clicks.iter().map(|(_, c)| c).filter(|c| c.user == of.user && at(c) >= from).collect();
            later.sort_by_key(|click| at(click));
            let mut last = from;
            for click in later {
                if at(click) - last > 1800 {
                    return false;
                }
                if click.action() == v1::Action::Purchase && at(click) > from {
                    return true;
                }
                last = at(click);
            }
            false
        };
        clicks.iter().map(|(_, click)| bought(click, at(click))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn offline_and_online_are_equal_click_by_click(seed: u64) {
            let clicks = clicks(&mut Rng::with_seed(seed));
            let directory = tempfile::tempdir().unwrap();
            let offline = offline(&directory.path().join("f.parquet"), &clicks);
            let offline: Vec<_> = offline.into_iter().map(|(id, _, row)| (id, row)).collect();
            prop_assert_eq!(offline, online(&clicks));
        }

        #[test]
        fn labels_in_order_are_those_of_the_definition(seed: u64) {
            let mut clicks = clicks(&mut Rng::with_seed(seed));
            clicks.sort_by_key(|(_, click)| click.event_time.unwrap().seconds);
            clicks.dedup_by_key(|(_, click)| click.event_time.unwrap().seconds);
            let directory = tempfile::tempdir().unwrap();
            let labels: Vec<_> =
                offline(&directory.path().join("f.parquet"), &clicks).into_iter().map(|(_, label, _)| label).collect();
            prop_assert_eq!(labels, follows(&clicks));
        }
    }

    #[test]
    fn a_field_is_a_name_and_a_pointer() {
        assert_eq!(parse_field("item=/a/b=c"), Ok(("item".to_owned(), "/a/b=c".to_owned())));
        for wrong in ["item", "item=sku", "=", ""] {
            assert!(parse_field(wrong).is_err(), "{wrong}");
        }
    }
}
