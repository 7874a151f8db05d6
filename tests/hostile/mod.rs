//! What strangers send: each input with what must become of it, all through one run of the stage.
//!
//! `docs/hostile-inputs.md` is the same table for people; `UPDATE_GOLDEN=1` writes it anew.

mod binary;
mod clicks;
mod fields;
mod json;
mod texts;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use groundswell::codec::WriterSchema;
use groundswell::config::{self, Settings};
use groundswell::event::{Header, Origin, RawRecord, Reason};
use groundswell::runtime::{Models, Offline, Registered, text_stage};
use groundswell::sink::Entry;
use groundswell::stages::Stage;
use jiff::Timestamp;

use crate::support::Outcome;

/// `text.payload_bytes_max` by default.
const PAYLOAD_MAX: usize = 1_048_576;
/// What a record may take to be prepared, without optimisation and with other tests beside it.
const PREPARE_MAX: Duration = Duration::from_secs(10);
/// Stands in values that are refused. No dead letter may quote it.
const PLANTED: &str = "planted@secret.example";
/// A schema of ours, one of a stranger, and two that cannot be had.
const OURS: u32 = 1;
const FOREIGN: u32 = 2;
const UNKNOWN: u32 = 404;
const AVRO: u32 = 405;

/// An input and what must become of it.
struct Case {
    name: String,
    to: To,
    record: RawRecord,
    expected: Expected,
}

/// The configured inputs; each has a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Review,
    Chat,
    Mapped,
    Protobuf,
    Framed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Scored,
    Dead(Reason),
}

impl To {
    fn topic(self) -> &'static str {
        match self {
            To::Review => "reviews",
            To::Chat => "chats",
            To::Mapped => "mapped",
            To::Protobuf => "protobuf",
            To::Framed => "framed",
        }
    }

    fn title(self) -> &'static str {
        match self {
            To::Review => "Reviews as JSON",
            To::Chat => "Chats as JSON",
            To::Mapped => "JSON with mapped fields",
            To::Protobuf => "Protobuf",
            To::Framed => "Protobuf in Confluent framing",
        }
    }
}

impl Case {
    fn new(to: To, name: impl Into<String>, payload: impl Into<Vec<u8>>, expected: Expected) -> Self {
        let origin = Origin { topic: to.topic().into(), partition: 0, offset: 0 };
        let payload = Some(Bytes::from(payload.into()));
        let record =
            RawRecord { origin, key: None, headers: Vec::new(), timestamp_ms: Some(1_795_341_600_000), payload };
        Self { name: name.into(), to, record, expected }
    }

    fn with(mut self, change: impl FnOnce(&mut RawRecord)) -> Self {
        change(&mut self.record);
        self
    }
}

impl Expected {
    fn name(self) -> &'static str {
        match self {
            Expected::Scored => "scored",
            Expected::Dead(reason) => reason.name(),
        }
    }
}

fn cases() -> Vec<Case> {
    let kinds = [json::cases(), texts::cases(), fields::cases(), binary::cases()];
    let mut cases: Vec<Case> = kinds.into_iter().flatten().collect();
    cases.sort_by_key(|case| case.to);
    for (offset, case) in cases.iter_mut().enumerate() {
        case.record.origin.offset = offset as i64;
    }
    cases
}

#[test]
fn every_hostile_input_ends_as_it_should() -> Outcome<()> {
    let cases = cases();
    let inputs: std::collections::BTreeSet<_> = cases.iter().map(|case| (case.to, &case.name)).collect();
    assert!(inputs.len() >= 120, "{} inputs", inputs.len());
    let settings = settings()?;
    let registered = registered(&settings)?;
    let models = Models::load(&settings)?;
    let stage = Arc::new(text_stage(&settings, &models, &registered)?);
    let mut faults = Vec::new();
    for case in &cases {
        let started = Instant::now();
        // Refused or not is judged below; here it must end, and soon.
        let _ = stage.prepare(&case.record, Timestamp::now());
        if started.elapsed() > PREPARE_MAX {
            faults.push(format!("{:?} {}: took {:?} to prepare", case.to, case.name, started.elapsed()));
        }
    }
    let mut entries = BTreeMap::new();
    let records = cases.iter().map(|case| Ok(case.record.clone()));
    Offline::new(&settings, stage, &models.served(&settings), &registered.resolver())?.run(records, |entry| {
        entries.insert(entry.record.origin.offset, entry);
        Ok(())
    })?;
    for case in &cases {
        let entry = entries.get(&case.record.origin.offset);
        faults.extend(judge(case, entry).map(|fault| format!("{:?} {}: {fault}", case.to, case.name)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// What is wrong with the result, if anything is.
fn judge(case: &Case, entry: Option<&Entry>) -> Option<String> {
    let Some(entry) = entry else { return Some("lost".to_owned()) };
    let found = entry.rejected.map_or(Expected::Scored, Expected::Dead);
    let [output] = entry.outputs.as_slice() else { return Some(format!("{} outputs", entry.outputs.len())) };
    let quoted = found != Expected::Scored && format!("{output:?}").contains(PLANTED);
    if quoted {
        return Some(format!("the dead letter quotes what was planted: {:?}", output.headers));
    }
    (found != case.expected).then(|| {
        let error = output.headers.iter().find(|header| header.name.ends_with(".error"));
        format!("expected {}, found {} {error:?}", case.expected.name(), found.name())
    })
}

#[test]
fn the_table_for_people_is_fresh() -> Outcome<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hostile-inputs.md");
    let table = table(&cases())?;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, table)?;
    } else {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == table, "docs/hostile-inputs.md is stale: run the tests of hostile:: with UPDATE_GOLDEN=1");
    }
    Ok(())
}

fn table(cases: &[Case]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# What becomes of hostile inputs\n\n\
        Made from the table in `tests/hostile/`, which sends each of these through the text stage with the default \
        limits. `scored` gives a scored event; anything else is the reason in the header `groundswell.reason` of a \
        dead letter. One bad record never touches those beside it.\n",
    );
    let mut last = None;
    let mut rest = cases;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|case| case.to == first.to && case.name == first.name).count();
        if last.replace(first.to) != Some(first.to) {
            write!(text, "\n## {}\n\n| input | bytes | outcome |\n|---|---:|---|\n", first.to.title())?;
        }
        writeln!(text, "| {} | {} | {} |", first.name, bytes(&rest[..same]), outcomes(&rest[..same]))?;
        rest = &rest[same..];
    }
    text.push_str(&clicks::tables()?);
    Ok(text)
}

fn bytes(row: &[Case]) -> String {
    let sizes = row.iter().map(|case| case.record.payload.as_ref().map_or(0, Bytes::len));
    match (sizes.clone().min(), sizes.max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (_, most) => most.unwrap_or_default().to_string(),
    }
}

fn outcomes(row: &[Case]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in row {
        *counts.entry(case.expected.name()).or_default() += 1;
    }
    let shown = counts.iter().map(|(name, count)| {
        let name = format!("`{name}`");
        if row.len() == 1 { name } else { format!("{name} ×{count}") }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn settings() -> Outcome<Settings> {
    let file = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(file.path(), CONFIGURATION.replace("{repository}", env!("CARGO_MANIFEST_DIR")))?;
    Ok(config::load(Some(file.path()), &[], std::env::vars()).map_err(groundswell::event::Error::from)?)
}

/// The schemas as they would be once the registry has answered; it is asked for nothing.
fn registered(settings: &Settings) -> Outcome<Registered> {
    let registered = Registered::new(settings)?;
    let schemas = registered.schemas().ok_or("no registry is configured")?;
    for (id, text) in [(OURS, binary::OUR_SCHEMA), (FOREIGN, binary::FOREIGN_SCHEMA)] {
        schemas.insert(id, Arc::new(WriterSchema::compile(text, HashMap::new())?));
    }
    let for_all_of_the_test = Instant::now() + Duration::from_secs(3600);
    schemas.insert_unknown(UNKNOWN, "the schema registry does not know schema 404", for_all_of_the_test);
    schemas.insert_unknown(AVRO, "schema 405 cannot be used: expected type PROTOBUF, found AVRO", for_all_of_the_test);
    Ok(registered)
}

fn header(name: &str, value: Option<&'static [u8]>) -> Header {
    Header { name: name.to_owned(), value: value.map(Bytes::from_static) }
}

const CONFIGURATION: &str = r#"
[registry]
url = "http://127.0.0.1:1"

[inputs.reviews]
kind = "review"
topics = ["reviews"]

[inputs.chats]
kind = "chat"
topics = ["chats"]

[inputs.mapped]
kind = "review"
topics = ["mapped"]

[inputs.mapped.fields]
text = "/comment/body"
product = { record = "key" }
brand = "/items/0/brand"
user = { header = "user" }
rating = { header = "stars" }

[inputs.protobuf]
kind = "review"
topics = ["protobuf"]
format = "protobuf"

[inputs.framed]
kind = "review"
topics = ["framed"]
format = "protobuf_framed"

[dead_letters]
payload = "withheld"

[models.text]
path = "{repository}/tests/fixtures/models/bert"
kinds = ["review", "chat"]

[inference]
workers = 1
"#;
