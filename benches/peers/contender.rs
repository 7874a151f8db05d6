//! Who is compared, and how each is started: with the settings that its own makers would choose.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use groundswell::runtime;

use super::broker::Broker;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CLICKS_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/purchase");
const TEXT_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/text");
/// The instances of a team that has read the manual: one a core.
const CAREFUL_PROCESSES: usize = 2;

/// A window that fills batches; the clocks that the model has learned from. What recommendations cost is another question:
/// nobody else makes any.
const CLICKS_SETTINGS: [&str; 3] =
    ["delivery.in_flight_records_max=16384", "clicks.utc_offset_minutes=480", "recommendations.enabled=false"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    OurClicks,
    Streams,
    /// For throughput rather than for soon.
    StreamsTuned,
    OurTexts,
    Plain,
    PlainBatches,
    Careful,
}

/// The first of each is ours.
pub const OF_CLICKS: [Contender; 3] = [Contender::OurClicks, Contender::Streams, Contender::StreamsTuned];
pub const OF_TEXTS: [Contender; 4] =
    [Contender::OurTexts, Contender::Plain, Contender::PlainBatches, Contender::Careful];

impl Contender {
    pub fn title(self) -> &'static str {
        match self {
            Contender::OurClicks | Contender::OurTexts => "Groundswell",
            Contender::Streams => "Kafka Streams, defaults",
            Contender::StreamsTuned => "Kafka Streams, tuned",
            Contender::Plain => "Python, one text at a time",
            Contender::PlainBatches => "Python, batches of 32",
            Contender::Careful => "Python, careful",
        }
    }

    /// What stands for it in the names of topics and groups.
    pub fn name(self) -> &'static str {
        match self {
            Contender::OurClicks => "our-clicks",
            Contender::Streams => "streams",
            Contender::StreamsTuned => "streams-tuned",
            Contender::OurTexts => "our-texts",
            Contender::Plain => "plain",
            Contender::PlainBatches => "plain-batches",
            Contender::Careful => "careful",
        }
    }

    pub fn input(self, trial: &str) -> String {
        match self {
            Contender::OurClicks => format!("{trial}-clicks"),
            Contender::OurTexts => format!("{trial}-reviews"),
            _ => format!("{trial}-in"),
        }
    }

    pub fn output(self, trial: &str) -> String {
        match self {
            Contender::OurClicks => format!("{trial}-clicks-scored"),
            Contender::OurTexts => format!("{trial}-scored"),
            _ => format!("{trial}-out"),
        }
    }

    /// Topics besides input and output that must be there; Kafka Streams makes its own.
    pub fn others(self, trial: &str) -> Vec<String> {
        match self {
            Contender::OurClicks => {
                let changelog = runtime::changelog(&self.group(trial), &self.input(trial));
                vec![changelog, format!("{trial}-profiles"), format!("{trial}-dead")]
            }
            Contender::OurTexts => ["chats", "chats-scored", "dead"].map(|topic| format!("{trial}-{topic}")).into(),
            _ => Vec::new(),
        }
    }

    /// The consumer group whose offsets say how far it is.
    pub fn group(self, trial: &str) -> String {
        match self {
            Contender::OurClicks => format!("{trial}-clicks"),
            Contender::OurTexts => format!("{trial}-text"),
            _ => trial.to_owned(),
        }
    }

    /// How long what is done can go uncommitted.
    pub fn commit_every(self) -> Duration {
        Duration::from_millis(match self {
            Contender::OurClicks | Contender::OurTexts => 25,
            Contender::Streams | Contender::Careful => 100,
            Contender::StreamsTuned => 1000,
            Contender::Plain | Contender::PlainBatches => 5000,
        })
    }

    /// Commits while it is at work on what it commits: its offsets do not say what is done.
    pub fn commits_in_the_background(self) -> bool {
        matches!(self, Contender::Plain | Contender::PlainBatches)
    }

    pub fn commands(self, broker: &Broker, trial: &str) -> Vec<Command> {
        match self {
            Contender::OurClicks => vec![ours(broker, trial, "clicks", &CLICKS_SETTINGS)],
            Contender::OurTexts => vec![ours(broker, trial, "text", &[])],
            Contender::Streams => vec![self.streams(broker, trial, "default", &["-Xmx1g"])],
            Contender::StreamsTuned => {
                vec![self.streams(broker, trial, "tuned", &["-Xmx2g", "-XX:+UseParallelGC"])]
            }
            Contender::Plain => vec![self.python(broker, trial, "plain.py", "1")],
            Contender::PlainBatches => vec![self.python(broker, trial, "plain.py", "32")],
            Contender::Careful => (0..CAREFUL_PROCESSES)
                .map(|process| self.python(broker, trial, "careful.py", &process.to_string()))
                .collect(),
        }
    }

    fn streams(self, broker: &Broker, trial: &str, variant: &str, java: &[&str]) -> Command {
        let folder = local("peers-streams");
        let mut command = Command::new(folder.join("java"));
        command.args(java).arg("-cp").arg(format!("{0}:{0}/*", folder.display()));
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "ClicksJob", &address(broker), trial]);
        command.args([self.input(trial), self.output(trial)]).arg(broker.folder(trial)).args([CLICKS_MODEL, variant]);
        command
    }

    fn python(self, broker: &Broker, trial: &str, script: &str, last: &str) -> Command {
        let mut command = Command::new(local("peers-python").join("bin/python"));
        command.arg(Path::new(ROOT).join("benches/peers/python").join(script));
        command.args([&address(broker), trial, &self.input(trial), &self.output(trial), TEXT_MODEL, last]);
        command
    }

    /// What somebody had to write, in lines that are not blank; settings are lines too.
    pub fn lines(self) -> usize {
        let of = |files: &[&str]| files.iter().flat_map(|file| file.lines()).filter(|l| !l.trim().is_empty()).count();
        const MODEL: &str = include_str!("python/model.py");
        match self {
            Contender::OurClicks | Contender::OurTexts => 0,
            Contender::Streams | Contender::StreamsTuned => of(&[
                include_str!("streams/ClicksJob.java"),
                include_str!("streams/State.java"),
                include_str!("streams/Features.java"),
            ]),
            Contender::Plain | Contender::PlainBatches => of(&[MODEL, include_str!("python/plain.py")]),
            Contender::Careful => of(&[MODEL, include_str!("python/careful.py")]),
        }
    }
}

fn ours(broker: &Broker, trial: &str, stage: &str, overrides: &[&str]) -> Command {
    let built = std::env::var_os("PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_groundswell").into());
    let mut command = Command::new(Path::new(ROOT).join(built));
    // Who comes back after a crash takes its partitions up at once, as all but the plain loops are set up to.
    command.args(["run", "--stages", stage, "--set", "http.listen=off", "--set", "kafka.static_membership=true"]);
    for setting in broker.overrides(trial, overrides) {
        command.arg("--set").arg(setting);
    }
    command
}

fn address(broker: &Broker) -> String {
    broker.client().get("bootstrap.servers").unwrap_or_default().to_owned()
}

fn local(part: &str) -> PathBuf {
    Path::new(ROOT).join(".local").join(part)
}
