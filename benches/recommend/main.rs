//! Recommendations against what a shop would have without them: how often the next item, and the next category, is
//! among the first twenty (recall@20), and how far in front (MRR@20).
//!
//!     cargo bench --bench recommend -- clicks.jsonl.gz
//!     cargo bench --bench recommend -- clicks.jsonl.gz dev recommendations.recency=0.9
//!     cargo bench --bench recommend -- clicks.jsonl.gz tune
//!
//! Clicks are put in the order of their times and cut in three: the first 70 % are learned from, `dev`, the 15 % after
//! them, is what parameters are chosen on, and `test`, the last 15 %, is what is reported. Whoever is asked about a
//! click has learned all clicks before it, those of the same day too, and none after it. What is asked about is every
//! click that has one before it in its session (30 minutes without a click end one).
//!
//! The product is the product: the clicks go through the code of the stage, over four partitions and three owners, with
//! the waits of the configuration between a click and the lists that know of it. The baselines learn at once.

mod baselines;
mod clicks;
mod figures;
mod replay;
mod tune;

use std::ops::Range;
use std::process::ExitCode;

use groundswell::config;
use groundswell::stages::clicks::Click;
use groundswell::stages::recommend::Rules;

use baselines::{Baseline, ItemKnn, Popularity, VSknn, VSknnSettings};
use figures::Figures;
use replay::{Answers, Product, Question, Rival, replay};

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub const GAP_MS: i64 = 30 * 60_000;
pub const SHIPPED: &str = "groundswell";
/// Without what a shop wants besides: variety, and what was bought not shown again.
const PLAIN: &str = "groundswell, by score alone";
/// What the baselines do best with on `dev`.
const REGULARISATION: f64 = 20.0;
const VSKNN: VSknnSettings = VSknnSettings { neighbours: 500, sample: 5000, decay: 1, idf: false };

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
    let Some((file, others)) = arguments.split_first() else {
        return Err("name a file of clicks, JSON lines, plain or .gz: make bench-recommend DATA=FILE".into());
    };
    let (overrides, words): (Vec<String>, Vec<String>) = others.iter().cloned().partition(|word| word.contains('='));
    let clicks = clicks::read(file)?;
    let parts = Parts::of(&clicks);
    let rules = rules(&overrides)?;
    println!("{} clicks of {file}: dev from {}, test from {}", clicks.len(), parts.dev.start, parts.test.start);
    match words.first().map(String::as_str) {
        None | Some("test") => report(&clicks, parts.test, &rules),
        Some("dev") => report(&clicks, parts.dev, &rules),
        Some("tune") => tune::tune(&clicks, parts.dev, &overrides)?,
        Some("tune-baselines") => tune::baselines(&clicks, parts.dev),
        Some(other) => return Err(format!("{other:?} is none of test, dev, tune, tune-baselines").into()),
    }
    Ok(())
}

/// The settings with their defaults.
pub fn rules(overrides: &[String]) -> Outcome<Rules> {
    let settings = config::load(None, overrides, config::environment()).map_err(|faults| faults.to_string())?;
    Ok(Rules::from(&settings.recommendations))
}

struct Parts {
    dev: Range<usize>,
    test: Range<usize>,
}

impl Parts {
    fn of(clicks: &[Click]) -> Self {
        let (dev, test) = (clicks.len() * 70 / 100, clicks.len() * 85 / 100);
        Self { dev: dev..test, test: test..clicks.len() }
    }
}

fn report(clicks: &[Click], asked: Range<usize>, rules: &Rules) {
    let mut plain = rules.clone();
    (plain.ranking.relevance, plain.ranking.category_share_max, plain.ranking.bought_left_out_ms) = (1.0, 1.0, 0);
    let products =
        [Product { name: SHIPPED.into(), rules: rules.clone() }, Product { name: PLAIN.into(), rules: plain }];
    let mut rivals = [
        rival("popularity", Popularity::default),
        rival("item-kNN", || ItemKnn::new(REGULARISATION)),
        rival("V-SkNN", || VSknn::new(VSKNN)),
    ];
    let answers = replay(clicks, asked, GAP_MS, &products, &mut rivals);
    let names = ["popularity", "item-kNN", "V-SkNN", PLAIN, SHIPPED];
    for (question, title) in [
        (Question::NewItem, "next item, where it is new in its session; the session's items left out by all"),
        (Question::AnyItem, "next item, whatever it is; nothing left out"),
        (Question::NextCategory, "next category"),
    ] {
        table(title, &names, question, &answers);
    }
}

pub fn rival<B: Baseline + 'static>(name: &str, make: impl Fn() -> B) -> Rival {
    Rival { name: name.into(), items: Box::new(make()), categories: Box::new(make()) }
}

fn table(title: &str, names: &[&str], question: Question, answers: &Answers) {
    let figures = |name: &str| answers.get(&(name.to_owned(), question)).cloned().unwrap_or_default();
    let rival: Figures = figures("V-SkNN");
    println!("\n{title}: {} clicks; in brackets 95 % of resamples of users", rival.asked());
    println!("{:28} {:27} {:27} {:29} MRR over V-SkNN", "", "recall@20", "MRR@20", "recall over V-SkNN");
    for name in names {
        let own = figures(name);
        let (recall, mrr) = (own.recall().to_string(), own.mrr().to_string());
        let (recall_over, mrr_over) = (own.recall_over(&rival).to_string(), own.mrr_over(&rival).to_string());
        println!("{name:28} {recall:27} {mrr:27} {recall_over:29} {mrr_over}");
    }
}
