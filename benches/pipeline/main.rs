//! The pipeline against its limits, in one run on one machine: the model alone, and a plain Kafka loop.
//!
//!     make bench DATA=texts.jsonl.gz          (or: cargo bench --bench pipeline -- texts.jsonl.gz)
//!
//! 1. *text*: a backlog of real texts through the pipeline, exactly once, on a real Kafka ÷ the same model alone: the
//!    same library, sorted by length, offline, tokenising included. Medians of three, taken in turn.
//! 2. *latency*: event to visible for a read_committed reader at half of that load.
//! 3. *raw path*: a model that costs nothing ÷ a plain consume–produce–commit loop in transactions, same broker; while
//!    the topic is being filled, and on a backlog.
//! 4. *memory*: after 200,000 events against after 20,000.
//! 5. *clicks*: clicks with sessions, features, the purchase model, profiles and state ÷ the plain loop over the same
//!    bytes; with one engine, and with one for each core.
//!    *steps*: what the steps of a click alone take, without Kafka, and what share of the plain loop that allows.
//! 6. *recommendations*: clicks a second with recommendations ÷ without, and how long the owners of items and categories
//!    take after the last click; and recommendations asked for over HTTP while clicks flow at half of that.
//! 7. *look-ups*: users asked about over HTTP while clicks flow at half of what is possible: p50 and p99; and clicks a
//!    second with somebody asking ÷ with nobody.
//! 8. *users*: a million users of state against ten thousand: memory and its budget, clicks a second, how long the state
//!    takes to come back.
//! 9. *alerts*: scored texts a second through the alerts stage until the owners of all scopes are through, and at about half
//!    of that, how soon a planted surge's alert is visible.

mod alerts;
mod alone;
mod broker;
mod clicks;
mod look_ups;
mod plain;
mod progress;
mod shoppers;
mod steps;
mod texts;
mod trial;
mod users;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use alerts::Talk;
use broker::{Broker, Supply};
use trial::Trial;

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const TEXTS: usize = 20_000;
const ROUNDS: usize = 3;
const WARM_RECORDS: usize = 300_000;
const RAW_RECORDS: usize = 1_000_000;
const WARM_FOR: Duration = Duration::from_secs(60);
/// Texts a second, about half of what two cores score.
const WARM_RATE: f64 = 1300.0;
/// A window as large as the plain loop's; no cache, or most texts would not be asked of the model.
const RAW_SETTINGS: [&str; 3] = ["delivery.in_flight_records_max=65536", "cache.bytes_max=0", "batch.tokens_max=65536"];
const CLICKS: usize = 500_000;
const CLICK_USERS: u32 = 50_000;
/// Some epochs' worth. What recommendations cost is asked apart.
const CLICKS_SETTINGS: [&str; 2] = ["delivery.in_flight_records_max=16384", "recommendations.enabled=false"];
/// The same with recommendations.
const RECOMMEND_SETTINGS: [&str; 1] = ["delivery.in_flight_records_max=16384"];
const LOOK_UP_CLIENTS: usize = look_ups::CLIENTS;
/// Fewer: they take longer.
const RECOMMEND_CLICKS: usize = 100_000;
const LATENCY_FOR: Duration = Duration::from_secs(20);
/// So short that a run has many; compared with as many of them as an hour has minutes.
const ALERTS_SETTINGS: [&str; 3] = ["alerts.bucket_ms=2000", "alerts.warm_up_ms=120000", "alerts.grace_ms=5000"];
const ALERTS_PAST: Duration = Duration::from_secs(130);
const ALERTS_FIRST_RATE: f64 = 3500.0;
const ALERTS_FIRST: Duration = Duration::from_secs(40);
const ALERTS_FOR: Duration = Duration::from_secs(120);
const ALERTS_SURGES: usize = 100;
const MEMORY_EVENTS: [usize; 2] = [20_000, 200_000];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first argument is the file of texts; those after it name what to measure, all where there are none, and settings
/// to measure with: `batch.tokens_max=1024`.
fn run(arguments: &[String]) -> Outcome<()> {
    let Some((file, others)) = arguments.split_first() else {
        return Err("name a file of JSON lines with a field `text`, plain or .gz: make bench DATA=FILE".into());
    };
    let (overrides, parts): (Vec<String>, Vec<String>) = others.iter().cloned().partition(|o| o.contains('='));
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let texts = texts::read(file, TEXTS)?;
    println!("{} texts of {file}, {} characters on average", texts.len(), texts::mean_chars(&texts));
    let broker = Broker::start(overrides)?;
    if parts.is_empty() || parts.iter().any(|part| part != "steps") {
        warm_up(&broker, &texts)?;
    }
    // First, because it makes the broker's compiler work most.
    if wanted("raw") {
        raw(&broker, &texts)?;
    }
    if wanted("text") || wanted("latency") {
        let rate = text(&broker, &texts)?;
        if wanted("latency") {
            latency(&broker, &texts, rate / 2.0)?;
        }
    }
    if wanted("memory") {
        memory(&broker, &texts)?;
    }
    if wanted("clicks") {
        clicks(&broker)?;
    }
    if wanted("steps") {
        steps(&broker)?;
    }
    if wanted("recommendations") {
        recommendations(&broker)?;
    }
    if wanted("look-ups") {
        look_ups(&broker)?;
    }
    if wanted("users") {
        users::measure(&broker)?;
    }
    if wanted("alerts") {
        alerts(&broker, &texts)?;
    }
    Ok(())
}

/// A broker that has just started interprets its Java, and its compiler takes a core; one that has been running for a
/// while is what it is like. Small transactions make it compile other code than large ones, so it is given both.
fn warm_up(broker: &Broker, texts: &[String]) -> Outcome<()> {
    println!("warming the broker up for {} s", WARM_FOR.as_secs());
    let records: Vec<String> = texts.iter().cycle().take(WARM_RECORDS).cloned().collect();
    plain::rate(broker, "warm-plain", &records, Supply::Live)?;
    let mut trial = Trial::start(broker, "warm", &[], Some(trial::free_model()))?;
    trial.latency(texts, WARM_RATE, WARM_FOR)?;
    trial.stop()
}

/// Returns the pipeline's median rate.
fn text(broker: &Broker, texts: &[String]) -> Outcome<f64> {
    let settings = broker.settings("text", &[])?;
    let (mut alone, mut pipeline) = (Vec::new(), Vec::new());
    let mut efficiency = 0.0;
    for round in 0..ROUNDS {
        alone.push(alone::rate(&settings, texts)?);
        let mut trial = Trial::start(broker, &format!("text{round}"), &[], None)?;
        let before = trial.effort();
        pipeline.push(trial.rate(texts, Supply::Backlog)?);
        let effort = trial.effort().since(&before);
        efficiency = effort.tokens_used / effort.tokens_computed;
        trial.stop()?;
        println!(
            "  round {round}: model alone {:.0} texts/s, pipeline {:.0} texts/s, in batches of {:.0} tokens; models busy {:.1} of {:.1} s",
            alone[round],
            pipeline[round],
            effort.tokens_computed / effort.runs,
            effort.model_seconds / settings.inference.workers as f64,
            texts.len() as f64 / pipeline[round],
        );
    }
    let (alone, pipeline) = (median(&mut alone), median(&mut pipeline));
    println!(
        "text: pipeline {pipeline:.0} texts/s ÷ model alone {alone:.0} texts/s = {:.3} (goal: 0.85)",
        pipeline / alone
    );
    println!("text: padding efficiency {efficiency:.3} (goal: 0.90)");
    Ok(pipeline)
}

fn latency(broker: &Broker, texts: &[String], rate: f64) -> Outcome<()> {
    let mut trial = Trial::start(broker, "latency", &[], None)?;
    let mut seconds = trial.latency(texts, rate, LATENCY_FOR)?;
    trial.stop()?;
    seconds.sort_by(f64::total_cmp);
    let at = |quantile: f64| seconds[((seconds.len() - 1) as f64 * quantile) as usize] * 1000.0;
    println!(
        "latency: event to visible at {rate:.0} texts/s: p50 {:.0} ms, p99 {:.0} ms (goal: 250), max {:.0} ms, {} events",
        at(0.5),
        at(0.99),
        at(1.0),
        seconds.len()
    );
    Ok(())
}

fn raw(broker: &Broker, texts: &[String]) -> Outcome<()> {
    let records: Vec<String> = texts.iter().cycle().take(RAW_RECORDS).cloned().collect();
    for (supply, how) in [(Supply::Live, "live"), (Supply::Backlog, "backlog")] {
        let (mut plain, mut pipeline) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            plain.push(plain::rate(broker, &format!("plain-{how}{round}"), &records, supply)?);
            let mut trial =
                Trial::start(broker, &format!("raw-{how}{round}"), &RAW_SETTINGS, Some(trial::free_model()))?;
            pipeline.push(trial.rate(&records, supply)?);
            trial.stop()?;
            println!(
                "  round {round}: plain loop {:.0} records/s, pipeline {:.0} records/s",
                plain[round], pipeline[round]
            );
        }
        let (plain, pipeline) = (median(&mut plain), median(&mut pipeline));
        println!(
            "raw path, {how}: pipeline {pipeline:.0} records/s ÷ plain loop {plain:.0} records/s = {:.3} (goal: 0.5)",
            pipeline / plain
        );
    }
    Ok(())
}

fn clicks(broker: &Broker) -> Outcome<()> {
    let records = shoppers::clicks(CLICKS, CLICK_USERS);
    let bytes: usize = records.iter().map(|record| record.payload.len() + record.key.len()).sum();
    println!("{CLICKS} clicks of {CLICK_USERS} users, {} bytes on average", bytes / records.len());
    let cores = std::thread::available_parallelism()?.get().min(broker::PARTITIONS as usize);
    let several = format!("clicks.engines={cores}");
    let settings = [&CLICKS_SETTINGS[..], &[&*several]].concat();
    for (supply, how) in [(Supply::Live, "live"), (Supply::Backlog, "backlog")] {
        let (mut plain, mut one, mut each) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            plain.push(plain::rate(broker, &format!("plain-clicks-{how}{round}"), &records, supply)?);
            for (settings, rates, name) in [(&CLICKS_SETTINGS[..], &mut one, "one"), (&settings, &mut each, "each")] {
                let mut trial = clicks::Trial::start(broker, &format!("clicks-{name}-{how}{round}"), settings)?;
                rates.push(trial.rate(&records, supply)?);
                trial.stop()?;
            }
            println!(
                "  round {round}: plain loop {:.0} records/s, one engine {:.0} clicks/s, {cores} engines {:.0} clicks/s",
                plain[round], one[round], each[round]
            );
        }
        let plain = median(&mut plain);
        for (engines, rates) in [(1, &mut one), (cores, &mut each)] {
            let pipeline = median(rates);
            println!(
                "clicks, {how}, {engines} engines: {pipeline:.0} clicks/s ÷ plain loop {plain:.0} records/s = {:.3} (goal: 0.5)",
                pipeline / plain
            );
        }
    }
    Ok(())
}

fn recommendations(broker: &Broker) -> Outcome<()> {
    let records = shoppers::clicks(RECOMMEND_CLICKS, CLICK_USERS);
    let (mut without, mut with, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut trial = clicks::Trial::start(broker, &format!("plainly{round}"), &CLICKS_SETTINGS)?;
        without.push(trial.rate(&records, Supply::Backlog)?);
        trial.stop()?;
        let name = format!("recommended{round}");
        let mut trial = clicks::Trial::start(broker, &name, &RECOMMEND_SETTINGS)?;
        let clicks_per_second = trial.rate(&records, Supply::Backlog)?;
        with.push(clicks_per_second);
        let waited = Instant::now();
        trial.wait_for_owners(&name)?;
        let behind = waited.elapsed().as_secs_f64();
        whole.push(records.len() as f64 / (records.len() as f64 / clicks_per_second + behind));
        trial.stop()?;
        println!(
            "  round {round}: without {:.0} clicks/s, with {:.0} clicks/s, owners through {behind:.1} s later",
            without[round], with[round]
        );
    }
    let (without, with, whole) = (median(&mut without), median(&mut with), median(&mut whole));
    println!(
        "recommendations: clicks with them {with:.0} clicks/s ÷ without {without:.0} clicks/s = {:.3}; until the owners are through {whole:.0} clicks/s",
        with / without
    );
    let paths = &["recommendations"];
    let (name, rate) = ("recommended-look-ups", with / 2.0);
    let mut answering = look_ups::Answering::start(broker, name, &RECOMMEND_SETTINGS, CLICK_USERS, paths)?;
    let (before, during) = records.split_at(records.len() / 4);
    answering.rate(before, 0)?;
    let took = answering.latency(during, rate, LATENCY_FOR)?;
    answering.stop()?;
    println!("recommendations: {} look-ups at {rate:.0} clicks/s", took.len());
    told(&took, paths)
}

/// What a click costs before Kafka, channels and threads: with nothing else to do, the cores could do no more.
fn steps(broker: &Broker) -> Outcome<()> {
    let records = shoppers::clicks(CLICKS, CLICK_USERS);
    let settings = broker.settings("steps", &CLICKS_SETTINGS)?;
    let mut measured = Vec::new();
    for _ in 0..ROUNDS {
        measured.push(steps::measure(&settings, &records)?);
    }
    measured.sort_by_key(steps::Steps::sum);
    let steps = measured[ROUNDS / 2];
    let each = |time: Duration| time.as_secs_f64() * 1e6 / records.len() as f64;
    let named: Vec<String> = steps.named().map(|(name, time)| format!("{name} {:.2}", each(time))).into();
    let cores = std::thread::available_parallelism()?.get() as f64;
    println!(
        "steps: {:.2} µs a click on one core ({}): {cores} cores with nothing else to do have {:.0} clicks/s",
        each(steps.sum()),
        named.join(", "),
        cores * 1e6 / each(steps.sum())
    );
    Ok(())
}

fn look_ups(broker: &Broker) -> Outcome<()> {
    let records = shoppers::clicks(CLICKS, CLICK_USERS);
    let mut answering =
        look_ups::Answering::start(broker, "look-ups", &CLICKS_SETTINGS, CLICK_USERS, &look_ups::PATHS)?;
    let part = records.len() / (2 * ROUNDS + 1);
    let mut parts = records.chunks(part);
    let mut next = || parts.next().ok_or("more clicks are needed");
    let (mut alone, mut asked) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        alone.push(answering.rate(next()?, 0)?);
        asked.push(answering.rate(next()?, LOOK_UP_CLIENTS)?);
        println!(
            "  round {round}: nobody asks {:.0} clicks/s, {LOOK_UP_CLIENTS} clients ask {:.0} clicks/s",
            alone[round], asked[round]
        );
    }
    let (alone, asked) = (median(&mut alone), median(&mut asked));
    println!(
        "look-ups: clicks with {LOOK_UP_CLIENTS} clients asking {asked:.0} ÷ with nobody asking {alone:.0} clicks/s = {:.3}",
        asked / alone
    );
    let took = answering.latency(next()?, alone / 2.0, LATENCY_FOR)?;
    answering.stop()?;
    let found = took.iter().filter(|took| took.found).count();
    println!("look-ups: {} at {:.0} clicks/s, {found} of them of users who are known", took.len(), alone / 2.0);
    told(&took, &look_ups::PATHS)
}

/// Prints how long look-ups took, a line a path.
fn told(took: &[look_ups::Took], paths: &[&str]) -> Outcome<()> {
    for path in paths {
        let mut seconds: Vec<f64> = took.iter().filter(|took| took.path == *path).map(|took| took.seconds).collect();
        if seconds.is_empty() {
            return Err(format!("nobody asked for {path}").into());
        }
        seconds.sort_by(f64::total_cmp);
        let at = |quantile: f64| seconds[((seconds.len() - 1) as f64 * quantile) as usize] * 1000.0;
        println!("  {path}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}

/// The rate depends on how many texts a bucket has, so it is measured twice: roughly, and with as many as at half of it.
fn alerts(broker: &Broker, texts: &[String]) -> Outcome<()> {
    let mut first = alerts::Trial::start(broker, "alerts-first", &ALERTS_SETTINGS)?;
    let roughly = first.rate(&Talk::new(texts).go_on(ALERTS_FIRST_RATE, ALERTS_FIRST))?;
    first.stop()?;
    let load = roughly / 2.0;
    let mut talk = Talk::new(texts);
    let mut trial = alerts::Trial::start(broker, "alerts", &ALERTS_SETTINGS)?;
    let rate = trial.rate(&talk.go_on(load, ALERTS_PAST))?;
    println!("alerts: {rate:.0} scored texts/s (backlog), five scopes and more each");
    let (said, surges) = talk.surge(load, ALERTS_FOR, ALERTS_SURGES);
    println!(
        "  {:.0} texts/s with {} surges, {:.2} of that",
        said.len() as f64 / ALERTS_FOR.as_secs_f64(),
        surges.len(),
        said.len() as f64 / ALERTS_FOR.as_secs_f64() / rate
    );
    let told = trial.tell(&said, &surges)?;
    trial.stop()?;
    println!("alerts: of {} surges {} were told of", told.surges, told.from_bucket.len());
    for (from, mut took) in [("the end of its bucket", told.from_bucket), ("its first text", told.from_first)] {
        if took.is_empty() {
            return Err("no alert became visible".into());
        }
        took.sort_by(f64::total_cmp);
        let at = |quantile: f64| took[((took.len() - 1) as f64 * quantile) as usize];
        println!(
            "  from {from} to the visible alert: p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

fn memory(broker: &Broker, texts: &[String]) -> Outcome<()> {
    let mut trial = Trial::start(broker, "memory", &[], None)?;
    let mut sent = 0;
    let mut resident = Vec::new();
    for events in MEMORY_EVENTS {
        // Every text is another, so that the cache fills as it would with new texts; written in parts, so that what the
        // writer itself holds stays the same.
        while sent < events {
            let fresh: Vec<String> = (sent..sent + TEXTS).map(|n| format!("{n} {}", texts[n % texts.len()])).collect();
            trial.rate(&fresh, Supply::Backlog)?;
            sent += TEXTS;
        }
        resident.push(resident_mib()?);
        println!("  after {events} events: {:.0} MiB resident", resident[resident.len() - 1]);
    }
    trial.stop()?;
    println!(
        "memory: after {} events ÷ after {} events = {:.3} (goal: 1.10)",
        MEMORY_EVENTS[1],
        MEMORY_EVENTS[0],
        resident[1] / resident[0]
    );
    Ok(())
}

fn resident_mib() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number in VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
