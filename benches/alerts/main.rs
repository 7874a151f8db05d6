//! The alerts over incidents of known size, planted in real texts at their real times.
//!
//!     cargo bench --bench alerts -- scored.jsonl [runs | first..end] [drawn|real] [light] [nothing] [list]
//!     cargo bench --bench alerts -- scored.jsonl scopes [count]
//!
//! The file holds scored texts with brands, as `groundswell score` writes them. 100 brands of 19 products each, 2,000 scopes
//! besides their topics, replay it: every brand a different number of the file's streams. `drawn`: the texts come at times
//! drawn from the file's own hours of the day, so that nothing happens but what is planted, and every other alert is a false
//! one. `real`: each stream comes as it came, shifted by whole days; what really happened in it counts as false here too.
//! Two days are quiet, for the detectors to learn; in the two behind them 200 surges are planted in brands and products.
//! `light` leaves the texts' words away: several times sooner, and the same but for copies, which are then not discounted.
//! `nothing` plants nothing. `list` prints the alerts of each incident that has more than one.
//!
//! Printed: how many surges of each kind and size were found and how soon, by how many texts of theirs were to be expected;
//! false alerts, each with what was planted nearest to it, against the configured bound; alerts told for each incident;
//! texts a second; bytes a scope. `scopes` measures the last two alone, for so many scopes (100,000).

mod crowd;
mod plant;
mod score;
mod traffic;

use std::process::ExitCode;
use std::time::Instant;

use groundswell::config;
use groundswell::event::v1;
use groundswell::stages::alerts::{Emit, History, Seen};
use plant::Planted;
use score::Scores;
use traffic::{DAYS, Traffic};

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const RUNS: u64 = 10;
const SCOPES: usize = 100_000;
/// Behind the last text, so that everything ends.
const PASS_MS: i64 = 3 * 3_600_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome<()> {
    let (overrides, plain): (Vec<String>, Vec<String>) = arguments.iter().cloned().partition(|a| a.contains('='));
    let file = plain.first().ok_or("name a file of scored JSON lines")?;
    let says = |word: &str| plain.iter().any(|argument| argument == word);
    let settings = config::load(None, &overrides, std::iter::empty()).map_err(|faults| faults.to_string())?.alerts;
    let traffic = Traffic::read(file, says("light"))?;
    if says("scopes") {
        let scopes = plain.last().and_then(|count| count.parse().ok()).unwrap_or(SCOPES);
        return crowd::measure(&traffic, &settings, scopes);
    }
    let seeds = seeds(plain.get(1))?;
    println!("{} texts of {} days, {} streams over {DAYS} days", traffic.texts(), traffic.days(), traffic.streams());
    let mut scores = Scores::default();
    for seed in seeds {
        let (texts, planted) = traffic.run(seed, says("real"), !says("nothing"));
        let started = Instant::now();
        let mut history = History::new(settings.clone(), 1, 1);
        let (mut out, mut alerts) = (Vec::new(), Vec::new());
        for text in &texts {
            if let Some(seen) = Seen::new(&text.scored(&traffic), &settings) {
                history.text(0, &seen, &mut out);
                keep(&mut out, &mut alerts);
            }
        }
        let took = started.elapsed();
        let bytes = history.owned_bytes();
        history.end(PASS_MS, &mut out);
        keep(&mut out, &mut alerts);
        if let Some(fault) = history.fault() {
            return Err(fault.into());
        }
        let rate = texts.len() as f64 / took.as_secs_f64();
        let scopes = history.scopes();
        println!(
            "run {seed}: {} texts, {rate:.0} texts/s, {scopes} scopes, {} bytes each",
            texts.len(),
            bytes / scopes
        );
        scores.add(&planted, &alerts, says("list"));
    }
    println!("{}", scores.report(settings.false_discovery_rate));
    Ok(())
}

/// Ten, so many, or those from one seed up to, not with, another.
fn seeds(written: Option<&String>) -> Outcome<std::ops::Range<u64>> {
    Ok(match written.and_then(|written| written.split_once("..")) {
        Some((first, end)) => first.parse()?..end.parse()?,
        None => 0..written.map_or(Ok(RUNS), |runs| runs.parse())?,
    })
}

/// How an alert stands in the end, and when somebody was told of it, if ever: it fired and nothing inhibited it.
pub struct Told {
    pub alert: v1::Alert,
    pub told_ms: Option<i64>,
}

fn keep(out: &mut Vec<Emit>, alerts: &mut Vec<Told>) {
    for emit in out.drain(..) {
        let Emit::Alert(alert) = emit else { continue };
        let fires = alert.state() == v1::AlertState::Firing && alert.inhibited_by.is_none();
        // One that was inhibited first is told of later than it fires.
        let told_ms = fires.then(|| ms(alert.updated_time.as_ref()).max(ms(alert.firing_time.as_ref())));
        // What came back soon is the same alert, and one of its times.
        let same = alerts.iter_mut().find(|told| told.alert.id == alert.id && told.alert.flaps == alert.flaps);
        match same {
            Some(told) => *told = Told { alert: *alert, told_ms: told.told_ms.or(told_ms) },
            None => alerts.push(Told { alert: *alert, told_ms }),
        }
    }
}

/// Milliseconds of a time.
pub fn ms(time: Option<&prost_types::Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds * 1000 + i64::from(time.nanos) / 1_000_000)
}

/// For the modules.
pub fn surge_name(planted: &Planted) -> String {
    format!("{} ×{}", if planted.negative { "negative share" } else { "volume" }, planted.factor)
}
