//! Instances are killed, join and leave while events flow: what readers see must not show it.
//!
//! The short form runs with every test run; `GROUNDSWELL_KILL_EVENTS`, `GROUNDSWELL_KILLS`, `GROUNDSWELL_JOINS` and
//! `GROUNDSWELL_SEED` make it as long as wanted, and repeat a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use groundswell::event::v1;
use prost::Message;
use tempfile::TempDir;

use super::ledger::{Fate, Ledger, Place};
use crate::support::{Instance, Kafka, Outcome, Record, Registry};

/// From the last kill until everything is processed.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const PARTITIONS: i32 = 3;
/// One in so many events is poison.
const POISON_ONE_IN: usize = 50;

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

struct Scenario {
    tag: &'static str,
    at_least_once: bool,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
    schema: u32,
    seed: u64,
    events: usize,
    kills: usize,
    joins: usize,
}

impl Scenario {
    fn new(tag: &'static str, mode: &str, protocol: &str) -> Outcome<Scenario> {
        let kafka = Kafka::shared()?;
        let registry = Registry::shared()?;
        let folder = TempDir::new()?;
        let schema = registry.register(&format!("{tag}-framed-value"), "PROTOBUF", WRITERS_REVIEW, &[])?;
        for topic in ["json", "protobuf", "framed", "reviews.scored", "chats.scored", "dead-letters"] {
            kafka.create_topic(&format!("{tag}-{topic}"), PARTITIONS, &[])?;
        }
        let config = folder.path().join("groundswell.toml");
        fs::write(&config, configuration(tag, mode, protocol, kafka, registry))?;
        Ok(Scenario {
            tag,
            at_least_once: mode == "at_least_once",
            kafka,
            folder,
            config,
            schema: u32::try_from(schema)?,
            seed: from_env("GROUNDSWELL_SEED", fastrand::u64(..)),
            events: from_env("GROUNDSWELL_KILL_EVENTS", 3000),
            kills: from_env("GROUNDSWELL_KILLS", 5),
            joins: from_env("GROUNDSWELL_JOINS", 2),
        })
    }

    fn run(&self) -> Outcome<()> {
        println!("GROUNDSWELL_SEED={} for {}", self.seed, self.tag);
        let done = AtomicBool::new(false);
        let (written, disturbed) = thread::scope(|scope| {
            let writer = scope.spawn(|| self.write(&done));
            let disturbed = self.disturb();
            done.store(true, Ordering::Relaxed);
            (writer.join().unwrap_or_else(|_| Err("the writer panicked".into())), disturbed)
        });
        let (written, mut instances) = (written?, disturbed?);
        self.wait_until_processed(&written, &mut instances)?;
        for instance in &mut instances {
            let status = instance.stop()?;
            if !status.success() {
                return Err(format!("{} ended with {status}:\n{}", instance.name, instance.log_tail()).into());
            }
        }
        self.judge(&written)
    }

    /// Writes all events over the time that the kills take, the rest at once when they are over.
    fn write(&self, done: &AtomicBool) -> Outcome<BTreeMap<Place, Fate>> {
        let mut rng = Rng::with_seed(self.seed);
        let mut written = BTreeMap::new();
        let burst = 50;
        let pause = Duration::from_millis(u64::try_from((self.kills + self.joins) * 1200 * burst / self.events)?);
        for first in (0..self.events).step_by(burst) {
            let mut topics: BTreeMap<&str, Vec<(Record, Fate)>> = BTreeMap::new();
            for number in first..(first + burst).min(self.events) {
                let (topic, record, fate) = self.event(number, &mut rng);
                topics.entry(topic).or_default().push((record, fate));
            }
            for (topic, records) in topics {
                let topic = format!("{}-{topic}", self.tag);
                let (records, fates): (Vec<Record>, Vec<Fate>) = records.into_iter().unzip();
                let places = self.kafka.produce(&topic, &records)?;
                for ((partition, offset), fate) in places.into_iter().zip(fates) {
                    written.insert((topic.clone(), partition, offset), fate);
                }
            }
            if !done.load(Ordering::Relaxed) {
                thread::sleep(pause);
            }
        }
        Ok(written)
    }

    fn event(&self, number: usize, rng: &mut Rng) -> (&'static str, Record, Fate) {
        let poison = rng.usize(..POISON_ONE_IN) == 0;
        let text = format!("第{number}条 {}", rng.choice(TEXTS).unwrap_or(&""));
        let review = v1::Review { text, product: Some(format!("p-{}", rng.u8(..20))), ..v1::Review::default() };
        let (topic, payload) = match rng.u8(..3) {
            0 if poison => ("json", Some(json_poison(rng))),
            0 => ("json", serde_json::to_vec(&review).ok()),
            1 if poison => ("protobuf", protobuf_poison(rng)),
            1 => ("protobuf", Some(review.encode_to_vec())),
            _ if poison => ("framed", Some(self.framed_poison(&review, rng))),
            _ => ("framed", Some(framed(self.schema, &review))),
        };
        let fate = if poison { Fate::DeadLettered } else { Fate::Scored };
        let record = Record { payload, ..Record::new("").partition(rng.i32(0..PARTITIONS)) };
        (topic, record, fate)
    }

    fn framed_poison(&self, review: &v1::Review, rng: &mut Rng) -> Vec<u8> {
        let good = framed(self.schema, review);
        match rng.u8(..3) {
            0 => [&[7], &good[1..]].concat(),
            1 => framed(999_999, review),
            _ => good[..8].to_vec(),
        }
    }

    /// Two instances; one of them killed again and again, others joining and leaving.
    fn disturb(&self) -> Outcome<Vec<Instance>> {
        let mut rng = Rng::with_seed(self.seed ^ 1);
        let mut instances = vec![self.start("a")?, self.start("b")?];
        let mut steps: Vec<bool> = [vec![true; self.kills], vec![false; self.joins]].concat();
        rng.shuffle(&mut steps);
        for (number, kill) in steps.into_iter().enumerate() {
            thread::sleep(Duration::from_millis(rng.u64(100..2000)));
            for instance in &mut instances {
                instance.check_alive()?;
            }
            if kill {
                let victim = rng.usize(..instances.len());
                let name = self.name_after(&instances[victim].name, number, &mut rng);
                instances[victim].kill()?;
                instances[victim] = self.start(&name)?;
            } else {
                let mut guest = self.start(&format!("guest-{number}"))?;
                thread::sleep(Duration::from_millis(rng.u64(500..4000)));
                guest.check_alive()?;
                guest.stop()?;
            }
        }
        Ok(instances)
    }

    /// Mostly the same name, which fences what the dead one left open at once; sometimes a new one, and the broker has
    /// to give the transaction up.
    fn name_after(&self, name: &str, number: usize, rng: &mut Rng) -> String {
        if rng.u8(..4) == 0 { format!("heir-{number}") } else { name.to_owned() }
    }

    fn start(&self, name: &str) -> Outcome<Instance> {
        Instance::start(self.folder.path(), name, &self.config)
    }

    fn wait_until_processed(&self, written: &BTreeMap<Place, Fate>, instances: &mut [Instance]) -> Outcome<()> {
        let deadline = Instant::now() + DRAIN_MAX;
        let group = format!("{}-text", self.tag);
        let mut ends: BTreeMap<(&str, i32), i64> = BTreeMap::new();
        for (topic, partition, offset) in written.keys() {
            let end = ends.entry((topic, *partition)).or_default();
            *end = (*end).max(offset + 1);
        }
        loop {
            let mut behind = Vec::new();
            for topic in ["json", "protobuf", "framed"] {
                let topic = format!("{}-{topic}", self.tag);
                let committed = self.kafka.committed_offsets(&group, &topic)?;
                for ((_, partition), end) in ends.iter().filter(|((t, _), _)| *t == topic) {
                    let at = committed.get(partition).copied().unwrap_or(0);
                    if at < *end {
                        behind.push(format!("{topic}/{partition}: {at} of {end}"));
                    }
                }
            }
            if behind.is_empty() {
                return Ok(());
            }
            for instance in instances.iter_mut() {
                instance.check_alive()?;
            }
            if Instant::now() > deadline {
                let logs: Vec<String> = instances.iter().map(Instance::log_tail).collect();
                return Err(format!("seed {}: not processed: {behind:?}\n{}", self.seed, logs.join("\n---\n")).into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn judge(&self, written: &BTreeMap<Place, Fate>) -> Outcome<()> {
        let topics = ["reviews.scored", "chats.scored"].map(|topic| format!("{}-{topic}", self.tag));
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let ledger = Ledger::read(self.kafka, &topics, &format!("{}-dead-letters", self.tag))?;
        let faults = ledger.faults_against(written, self.at_least_once);
        let poison = written.values().filter(|fate| **fate == Fate::DeadLettered).count();
        let doubled = ledger.results.values().filter(|fates| fates.len() > 1).count();
        println!(
            "{}: {} events, {poison} of them poison; {} kills, {} joins; {doubled} doubled; {} faults",
            self.tag,
            written.len(),
            self.kills,
            self.joins,
            faults.len()
        );
        if faults.is_empty() {
            return Ok(());
        }
        let shown = faults[..faults.len().min(20)].join("\n");
        Err(format!("seed {}: {} faults, the first:\n{shown}", self.seed, faults.len()).into())
    }
}

const TEXTS: &[&str] = &[
    "电池很耐用，屏幕也清晰，值得买",
    "刚用两天就坏了，客服一直不回复",
    "Battery died after the update, really disappointed",
    "Great value, arrived early, would buy again",
    "还行吧，没有想象中那么好",
    "ok",
];

/// A writer that knows fewer fields than we do.
const WRITERS_REVIEW: &str = r#"
syntax = "proto3";
package groundswell.v1;
message Review {
  string text = 3;
  optional string product = 4;
}
"#;

fn framed(schema: u32, review: &v1::Review) -> Vec<u8> {
    [&[0], schema.to_be_bytes().as_slice(), &[0], &review.encode_to_vec()].concat()
}

fn json_poison(rng: &mut Rng) -> Vec<u8> {
    let poison: [&[u8]; 5] = [
        b"{\"text\": \"never closed",
        b"\xff\xfe not text at all",
        b"{\"product\": \"p-1\"}",
        b"{\"text\": {\"no\": \"object\"}}",
        b"{\"text\": \"from the future\", \"event_time\": \"2199-01-01T00:00:00Z\"}",
    ];
    poison[rng.usize(..poison.len())].to_vec()
}

fn protobuf_poison(rng: &mut Rng) -> Option<Vec<u8>> {
    match rng.u8(..3) {
        0 => Some(
            v1::Review { text: "cut off in the middle".into(), ..v1::Review::default() }.encode_to_vec()[..9].to_vec(),
        ),
        1 => Some(v1::Review { product: Some("p-1".into()), ..v1::Review::default() }.encode_to_vec()),
        _ => None,
    }
}

fn configuration(tag: &str, mode: &str, protocol: &str, kafka: &Kafka, registry: &Registry) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert");
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
group_protocol = "{protocol}"
{session}
[delivery]
mode = "{mode}"
transaction_timeout_ms = 6000
[registry]
url = "{registry}"
[inputs.json]
kind = "review"
topics = ["{tag}-json"]
[inputs.protobuf]
kind = "review"
topics = ["{tag}-protobuf"]
format = "protobuf"
[inputs.framed]
kind = "review"
topics = ["{tag}-framed"]
format = "protobuf_framed"
[outputs]
reviews = "{tag}-reviews.scored"
chats = "{tag}-chats.scored"
dead_letters = "{tag}-dead-letters"
[models.text]
path = "{model}"
kinds = ["review", "chat"]
[inference]
workers = 1
[http]
listen = "off"
"#,
        bootstrap = kafka.bootstrap(),
        registry = registry.url(),
        model = model.display(),
        session = if protocol == "classic" { "librdkafka.\"session.timeout.ms\" = 6000" } else { "" },
    )
}

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
