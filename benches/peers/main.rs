//! The pipeline beside what its users have today: a Kafka Streams job for clicks, Python loops for texts. The same
//! records, the same models, the same broker, in one run on one machine.
//!
//!     make bench-peers DATA=texts.jsonl.gz     (or: prepare.py; cargo bench --bench peers -- texts.jsonl.gz [part…])
//!
//! 1. *clicks*, *texts*: events a second on a backlog until all are committed, processor time an event, peak memory.
//!    Medians of three, taken in turn, each contender warm.
//! 2. *safety*: each is killed without warning again and again, and started anew. Events lost and doubled for a
//!    read_committed reader, and answers that differ from those of a run that nobody disturbed.
//!
//! The part `short` goes through all the others in small and keeps nothing.
//! `PROGRAM=target/release/groundswell` measures a program that is built already.
//! Figures of parts measured apart are kept in `target/peers.json`; when all are there, `docs/comparison.md` is written.

mod answers;
// The pipeline's own bench uses the rest of these.
#[allow(dead_code)]
#[path = "../pipeline/broker.rs"]
mod broker;
mod contender;
mod figures;
mod rates;
mod running;
mod safety;
#[path = "../pipeline/shoppers.rs"]
mod shoppers;
#[path = "../pipeline/texts.rs"]
mod texts;

use std::process::ExitCode;

use broker::{Broker, Record, Supplied};
use contender::{OF_CLICKS, OF_TEXTS};
use figures::Figures;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CLICK_USERS: u32 = 50_000;

/// How much is measured.
pub struct Sizes {
    clicks: usize,
    /// A Java that has just started interprets; by then it has compiled what is hot.
    warm_clicks: usize,
    texts: usize,
    warm_texts: usize,
    rounds: usize,
    kills: usize,
}

const WHOLE: Sizes =
    Sizes { clicks: 300_000, warm_clicks: 150_000, texts: 10_000, warm_texts: 2000, rounds: 3, kills: 6 };
/// To see that everything is there and works; no figures for anybody.
const SHORT: Sizes = Sizes { clicks: 30_000, warm_clicks: 5000, texts: 3000, warm_texts: 200, rounds: 1, kills: 2 };

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

/// The first argument is the file of texts; those after it name parts, all where there are none, and settings for the
/// pipeline: `delivery.in_flight_records_max=4096`.
fn run(arguments: &[String]) -> Outcome<()> {
    let Some((file, others)) = arguments.split_first() else {
        return Err("name a file of JSON lines with a field `text`, plain or .gz: make bench-peers DATA=FILE".into());
    };
    let (overrides, parts): (Vec<String>, Vec<String>) = others.iter().cloned().partition(|o| o.contains('='));
    let short = parts.iter().any(|part| part == "short");
    let wanted = |part: &str| parts.iter().all(|p| p == "short") || parts.iter().any(|p| p == part);
    let sizes = if short { SHORT } else { WHOLE };
    let clicks = shoppers::clicks(sizes.warm_clicks + sizes.clicks, CLICK_USERS);
    let texts = texts::read(file, sizes.warm_texts + sizes.texts)?;
    let characters = texts::mean_chars(&texts);
    println!(
        "{} clicks of {CLICK_USERS} users; {} texts, {characters} characters on average",
        sizes.clicks, sizes.texts
    );
    let texts = reviews(&texts);
    let broker = Broker::start(overrides)?;
    let mut figures = if short { Figures::default() } else { Figures::load()? };
    let mut keep = |part| if short { Ok(()) } else { figures.keep(part) };
    if wanted("clicks") {
        keep(rates::compare(&broker, "clicks", &OF_CLICKS, &clicks, sizes.warm_clicks, sizes.rounds)?)?;
    }
    if wanted("texts") {
        keep(rates::compare(&broker, "texts", &OF_TEXTS, &texts, sizes.warm_texts, sizes.rounds)?)?;
    }
    if wanted("safety-clicks") {
        keep(safety::compare(&broker, "safety-clicks", &OF_CLICKS, &clicks[..sizes.clicks], sizes.kills)?)?;
    }
    if wanted("safety-texts") {
        keep(safety::compare(&broker, "safety-texts", &OF_TEXTS, &texts[..sizes.texts], sizes.kills)?)?;
    }
    if short { Ok(()) } else { figures.write_page() }
}

/// Each an event of its own.
fn reviews(texts: &[String]) -> Vec<Record> {
    texts.iter().enumerate().map(|(number, text)| text.record(number).into_owned()).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
