use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use flate2::read::MultiGzDecoder;
use serde_json::json;

use super::Outcome;
use super::settings::ConfigArgs;
use crate::config::{Input, InputFormat, Kind, OutputFormat, Settings};
use crate::event::{Error, Fault, Header, Origin, RawRecord};
use crate::runtime::{Models, Offline, Registered, text_stage};
use crate::sink::{Entry, HEADER_PREFIX};
use crate::telemetry;

/// Records come from this topic as far as the stage can tell.
const TOPIC: &str = "input";

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
        let models = Models::load(&settings)?;
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
    let configured = settings.inputs.iter().find(|input| input.kind == kind);
    let fields = configured.map(|input| input.fields.clone()).unwrap_or_default();
    settings.inputs =
        vec![Input { name: TOPIC.into(), kind, topics: vec![TOPIC.into()], format: InputFormat::Json, fields }];
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

/// Lines as records; the line's number, from 0, is the offset. Holds one line at a time, and of a line that is longer
/// than the bound no more than shows that it is.
pub struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    bytes_max: usize,
    offset: i64,
}

impl Lines {
    pub fn open(file: Option<&Path>, bytes_max: usize) -> Result<Lines, Error> {
        let (reader, name): (Box<dyn BufRead>, String) = match file {
            Some(path) if path != Path::new("-") => (open(path)?, path.display().to_string()),
            _ => (Box::new(BufReader::new(io::stdin())), "standard input".into()),
        };
        Ok(Lines { reader, name, bytes_max, offset: 0 })
    }

    /// The next line without its end, cut off behind the bound; `None` at the end of the input.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut any = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(any.then_some(line));
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = (self.bytes_max + 1).saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<RawRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.line() {
            Ok(line) => line?,
            Err(error) => {
                let message = format!("cannot read {} behind line {}: {error}", self.name, self.offset);
                return Some(Err(Error::new(Fault::Input, message)));
            }
        };
        let origin = Origin { topic: TOPIC.into(), partition: 0, offset: self.offset };
        self.offset += 1;
        Some(Ok(RawRecord { origin, key: None, headers: Vec::new(), timestamp_ms: None, payload: Some(Bytes::from(line)) }))
    }
}

/// A file, unpacked on the way where its name ends in `.gz`.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, Error> {
    let file =
        File::open(path).map_err(|e| Error::new(Fault::Config, format!("cannot open {}: {e}", path.display())))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))))
    } else {
        Ok(Box::new(BufReader::new(file)))
    }
}
