mod compare;
mod event;
mod html;
mod incidents;
mod play;
mod text;
mod topic;

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::Outcome;
use super::out;
use crate::config::{self, Settings};
use crate::event::{Error, Fault};
use compare::Difference;
use incidents::Judged;
use play::Played;
use topic::Span;

/// Replay a history through the alerts' rules: which alerts they would have raised, and how two sets of rules differ.
///
/// Reads JSON lines in the order of their event time but for what the grace allows: scored texts as `groundswell score` and
/// their topics have them, scored clicks as their topic has them, dead letters as `groundswell dead-letters list --json` shows
/// them; all may be in one file. A line that is none of these is named and left out, what comes after the grace is counted and
/// left out, and either gives exit code 1. The same code runs
/// as in the pipeline, at full speed, with the events' own time. With incidents given, says which were found, how soon, and
/// how many alerts belong to none.
///
/// A topic of any of these is read at full speed too, all partitions together in the order of event time.
///
/// Example: groundswell backtest --rules new.toml --against old.toml --from scored.jsonl.gz --html alerts.html
#[derive(Debug, Args)]
pub struct Backtest {
    /// A configuration file whose section [alerts] is looked at.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// Another one, to be compared with.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// JSON lines of scored texts, scored clicks or dead letters, plain or .gz; `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "topic", conflicts_with = "topic")]
    from: Option<PathBuf>,

    /// A topic of scored texts, of scored clicks or of dead letters, read to where it ends now; the Kafka is that of `--rules`,
    /// or of the environment. Where `outputs.format` is not JSON, clicks are known by `outputs.clicks`.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// With --topic: what has an event time from here on, as in 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME", requires = "topic")]
    since: Option<Timestamp>,

    /// With --topic: what has an event time before this.
    #[arg(long, value_name = "TIME", requires = "topic")]
    until: Option<Timestamp>,

    /// Hold all of a file in memory and put them in the order of their event time first.
    #[arg(long, conflicts_with = "topic")]
    sort: bool,

    /// JSON lines of what really happened: `start` and `end`, and `scope` where it was not everything.
    #[arg(long, value_name = "FILE")]
    incidents: Option<PathBuf>,

    /// Write all that was found as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a page with plots, for any browser, without a server.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// One set of rules and what it has raised.
struct Run {
    name: String,
    played: Played,
    judged: Option<Judged>,
}

impl Backtest {
    pub fn run(self) -> Result<Outcome, Error> {
        let sets = [self.rules.as_deref(), self.against.as_deref()];
        let sets = sets.into_iter().enumerate().filter(|(i, path)| *i == 0 || path.is_some());
        let settings = sets.map(|(_, path)| Ok((name(path), load(path)?))).collect::<Result<Vec<_>, Error>>()?;
        let incidents = self.incidents.as_deref().map(incidents::read).transpose()?;
        let alerts: Vec<_> = settings.iter().map(|(_, settings)| settings.alerts.clone()).collect();
        let played = match &self.topic {
            Some(topic) => {
                let span = Span { topic, since: self.since, until: self.until };
                play::play_topic(&settings[0].1, &span, &alerts)?
            }
            None => play::play(self.from.as_deref().unwrap_or(Path::new("-")), self.sort, &alerts)?,
        };
        let runs: Vec<Run> = settings
            .into_iter()
            .zip(played)
            .map(|((name, _), played)| {
                let judged = incidents.as_ref().map(|incidents| incidents::judge(incidents, &played.told()));
                Run { name, played, judged }
            })
            .collect();
        let difference = runs.get(1).map(|against| Difference::of(&runs[0].played, &against.played));
        out::print(&text::report(&runs, difference.as_ref()))?;
        let is_file = self.topic.is_none();
        let hint = if is_file { "; --sort puts a file in order" } else { "" };
        let left_out = runs.first().map(|run| text::left_out(&run.played, hint)).unwrap_or_default();
        eprint!("{left_out}");
        if let Some(path) = &self.json {
            write(path, &json(&runs, difference.as_ref()))?;
        }
        if let Some(path) = &self.html {
            write(path, &html::page(&runs, difference.as_ref()))?;
        }
        let failed = (is_file && !left_out.is_empty()) || runs.first().is_some_and(|run| run.played.unread > 0);
        Ok(if failed { Outcome::SomeInputFailed } else { Outcome::Done })
    }
}

fn name(path: Option<&Path>) -> String {
    path.map_or("the defaults".to_owned(), |path| path.display().to_string())
}

fn load(path: Option<&Path>) -> Result<Settings, Error> {
    config::load(path, &[], config::environment()).map_err(Error::from)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text)
        .map_err(|error| Error::new(Fault::Config, format!("cannot write {}: {error}", path.display())))
}

fn json(runs: &[Run], difference: Option<&Difference>) -> String {
    let runs: Vec<_> = runs
        .iter()
        .map(|run| {
            json!({
                "rules": run.name,
                "texts": run.played.texts,
                "clicks": run.played.clicks,
                "dead_letters": run.played.dead_letters,
                "unread": run.played.unread,
                "too_late": run.played.too_late,
                "late_sums": run.played.late_sums,
                "days": run.played.days(),
                "alerts": run.played.alerts,
                "history": run.played.history,
                "judged": run.judged,
            })
        })
        .collect();
    let value = json!({ "runs": runs, "difference": difference });
    format!("{value:#}\n")
}
