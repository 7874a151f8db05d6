//! Instances are killed, join and leave while events flow: what readers see must not show it.
//!
//! The short form runs with every test run; `GROUNDSWELL_KILL_EVENTS`, `GROUNDSWELL_KILLS`, `GROUNDSWELL_JOINS` and
//! `GROUNDSWELL_SEED` make it as long as wanted, and repeat a run's events and its order of kills, joins and leaves.

use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::events::{Events, PARTITIONS, TOPICS, WRITERS_REVIEW};
use crate::support::remembered::from_env;
use crate::support::{Fate, Instance, Kafka, Outcome, Patience, Record, Registry, Stand};

/// Without any progress: longer than the session of a dead member and the transaction that it left open.
const STALL_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);
/// A kill comes up to so much later than the commit that brings it about, so that it meets each part of an epoch.
const JITTER_MS_MAX: u64 = 60;
/// Events written at a time.
const BURST: usize = 100;
/// Small epochs: most of the time one is under way.
const EPOCH_EVENTS_MAX: usize = 40;

#[test]
fn kills_joins_and_leaves_do_not_show_exactly_once() -> Outcome<()> {
    Scenario::new("eos", "exactly_once", "classic")?.run()
}

#[test]
fn kills_joins_and_leaves_lose_nothing_at_least_once() -> Outcome<()> {
    Scenario::new("alo", "at_least_once", "classic")?.run()
}

#[test]
fn kills_joins_and_leaves_do_not_show_with_the_new_consumer_protocol() -> Outcome<()> {
    Scenario::new("kip848", "exactly_once", "consumer")?.run()
}

/// What is done to the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One of the two that are always there is killed and started again.
    Kill,
    /// A guest comes, and shares the partitions.
    Join,
    /// The guest that came first is asked to go.
    Leave,
}

struct Scenario {
    at_least_once: bool,
    stand: Stand<'static>,
    sets: Vec<String>,
    seed: u64,
    rng: Rng,
    events: Events,
    /// Events not written yet.
    left: usize,
    /// Events written and not committed, at the most: so the writing lasts as long as the run.
    ahead_max: usize,
    /// By the number of commits that brings it about.
    plan: VecDeque<(usize, Step)>,
    residents: Vec<Instance>,
    guests: VecDeque<Instance>,
    leaving: Vec<Instance>,
    /// Instances started so far.
    started: usize,
    /// For each kill, how many events were committed, and how many more written.
    kills: Vec<(usize, usize)>,
}

impl Scenario {
    fn new(tag: &'static str, mode: &str, protocol: &str) -> Outcome<Scenario> {
        let registry = Registry::shared()?;
        let schema = registry.register(&format!("{tag}-framed-value"), "PROTOBUF", WRITERS_REVIEW, &[])?;
        let stand = Stand::bare(Kafka::shared()?, tag, &inputs(tag, registry))?;
        for topic in TOPICS.into_iter().chain(["reviews.scored", "chats.scored", "dead-letters"]) {
            stand.topic(topic, PARTITIONS, &[])?;
        }
        let mut sets = vec![
            format!("delivery.mode={mode}"),
            format!("delivery.epoch_events_max={EPOCH_EVENTS_MAX}"),
            format!("kafka.group_protocol={protocol}"),
        ];
        if protocol == "classic" {
            sets.push("kafka.librdkafka.\"session.timeout.ms\"=6000".to_owned());
        }
        let seed = from_env("GROUNDSWELL_SEED", fastrand::u64(..));
        let mut rng = Rng::with_seed(seed ^ 1);
        let events = from_env("GROUNDSWELL_KILL_EVENTS", 3000);
        let plan = plan(events, from_env("GROUNDSWELL_KILLS", 5), from_env("GROUNDSWELL_JOINS", 2), &mut rng);
        Ok(Scenario {
            at_least_once: mode == "at_least_once",
            stand,
            sets,
            seed,
            rng,
            events: Events::new(seed, schema),
            left: events,
            ahead_max: 2 * events / plan.len().max(1),
            plan,
            residents: Vec::new(),
            guests: VecDeque::new(),
            leaving: Vec::new(),
            started: 0,
            kills: Vec::new(),
        })
    }

    fn run(mut self) -> Outcome<()> {
        println!("GROUNDSWELL_SEED={} for {}", self.seed, self.stand.tag);
        self.residents = vec![self.start("a")?, self.start("b")?];
        self.write()?;
        let mut patience = Patience::of(STALL_MAX);
        let mut last = 0;
        while !self.plan.is_empty() || last < self.stand.written().len() || self.left > 0 {
            let committed = self.stand.committed()?;
            if committed > last {
                patience.renew();
                last = committed;
            }
            if patience.is_over() {
                return Err(self.stuck(committed));
            }
            self.check_alive()?;
            // The last events are kept for the last steps, so that none meets instances without work.
            let kept = self.plan.len() * BURST;
            if self.left > kept && self.stand.written().len() - committed < self.ahead_max {
                self.write()?;
            }
            if self.plan.front().is_some_and(|(due, _)| *due <= committed) {
                self.step(committed)?;
            }
            thread::sleep(LOOK);
        }
        self.stop()?;
        self.judge()
    }

    /// The next events, each into the topic of its format.
    fn write(&mut self) -> Outcome<()> {
        let mut sorted: BTreeMap<(&str, Fate), Vec<Record>> = BTreeMap::new();
        let burst = BURST.min(self.left);
        self.left -= burst;
        for _ in 0..burst {
            let (topic, record, fate) = self.events.next();
            sorted.entry((topic, fate)).or_default().push(record);
        }
        sorted.into_iter().try_for_each(|((topic, fate), records)| self.stand.write(topic, &records, fate).map(drop))
    }

    fn step(&mut self, committed: usize) -> Outcome<()> {
        let Some((_, step)) = self.plan.pop_front() else { return Ok(()) };
        self.write()?;
        thread::sleep(Duration::from_millis(self.rng.u64(..JITTER_MS_MAX)));
        match step {
            Step::Kill => {
                let victim = self.rng.usize(..self.residents.len());
                self.residents[victim].kill()?;
                self.kills.push((committed, self.stand.written().len() - committed));
                let name = self.name_after(victim);
                self.residents[victim] = self.start(&name)?;
            }
            Step::Join => {
                let guest = self.start(&format!("guest-{}", self.started))?;
                self.guests.push_back(guest);
            }
            Step::Leave => {
                if let Some(guest) = self.guests.pop_front() {
                    guest.signal("TERM")?;
                    self.leaving.push(guest);
                }
            }
        }
        Ok(())
    }

    /// Mostly the same name, which fences what the dead one left open at once; sometimes a new one, and the broker has
    /// to give the transaction up.
    fn name_after(&mut self, victim: usize) -> String {
        match self.rng.u8(..4) {
            0 => format!("heir-{}", self.started),
            _ => self.residents[victim].name.clone(),
        }
    }

    fn start(&mut self, name: &str) -> Outcome<Instance> {
        self.started += 1;
        let sets: Vec<&str> = self.sets.iter().map(String::as_str).collect();
        self.stand.start(name, &sets)
    }

    fn check_alive(&mut self) -> Outcome<()> {
        self.residents.iter_mut().chain(&mut self.guests).try_for_each(Instance::check_alive)
    }

    /// Ends all in order; those that were asked to leave before, too.
    fn stop(&mut self) -> Outcome<()> {
        for instance in self.residents.iter().chain(&self.guests) {
            instance.signal("TERM")?;
        }
        for instance in self.residents.iter_mut().chain(&mut self.guests).chain(&mut self.leaving) {
            let status = instance.wait()?;
            if !status.success() {
                return Err(format!("{} ended with {status}:\n{}", instance.name, instance.log_tail()).into());
            }
        }
        Ok(())
    }

    fn stuck(&self, committed: usize) -> Box<dyn std::error::Error + Send + Sync> {
        let logs: Vec<String> = self.residents.iter().chain(&self.guests).map(Instance::log_tail).collect();
        let written = self.stand.written().len();
        format!("seed {}: {committed} of {written} stay committed\n{}", self.seed, logs.join("\n---\n")).into()
    }

    fn judge(&self) -> Outcome<()> {
        let ledger = self.stand.ledger()?;
        let written = self.stand.written();
        let faults = ledger.faults_against(written, self.at_least_once);
        let poison = written.values().filter(|fate| **fate == Fate::DeadLettered).count();
        let doubled = ledger.results.values().filter(|fates| fates.len() > 1).count();
        let results: usize = ledger.results.values().map(Vec::len).sum();
        let (at, under_way): (Vec<usize>, Vec<usize>) = self.kills.iter().copied().unzip();
        println!(
            "{}: {} events, {poison} of them poison; {} kills after {at:?} commits with {under_way:?} events under way; \
             {} instances; {results} results visible, {} hidden, {doubled} events with more than one; {} faults",
            self.stand.tag,
            written.len(),
            self.kills.len(),
            self.started,
            self.hidden(results)?,
            faults.len()
        );
        if faults.is_empty() {
            return Ok(());
        }
        let shown = faults[..faults.len().min(20)].join("\n");
        Err(format!("seed {}: {} faults, the first:\n{shown}", self.seed, faults.len()).into())
    }

    /// Results that were written and aborted: what the kills met.
    fn hidden(&self, visible: usize) -> Outcome<usize> {
        let topics = ["reviews.scored", "chats.scored", "dead-letters"];
        let all = topics.iter().map(|topic| Ok(self.stand.kafka.read_uncommitted(&self.stand.name(topic))?.len()));
        Ok(all.sum::<Outcome<usize>>()? - visible)
    }
}

/// Kills, joins and leaves over the whole run, each behind a random number of commits, and with a burst left for it and
/// for each that follows.
fn plan(events: usize, kills: usize, joins: usize, rng: &mut Rng) -> VecDeque<(usize, Step)> {
    let mut plan: Vec<(usize, Step)> = (0..kills).map(|_| (rng.usize(..=events), Step::Kill)).collect();
    for _ in 0..joins {
        let joined = rng.usize(..=events);
        plan.push((joined, Step::Join));
        plan.push((rng.usize(joined..=events.min(joined + events / 5)), Step::Leave));
    }
    plan.sort_by_key(|(due, _)| *due);
    for (following, (due, _)) in plan.iter_mut().rev().enumerate() {
        *due = (*due).min(events.saturating_sub((following + 1) * BURST));
    }
    plan.into()
}

fn inputs(tag: &str, registry: &Registry) -> String {
    let input = |format: &str| {
        let format_name = if format == "framed" { "protobuf_framed" } else { format };
        format!("[inputs.{format}]\nkind = \"review\"\ntopics = [\"{tag}-{format}\"]\nformat = \"{format_name}\"\n")
    };
    format!("[registry]\nurl = \"{}\"\n{}", registry.url(), TOPICS.map(input).concat())
}
