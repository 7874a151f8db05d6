//! The clicks stage on the real Kafka: killed, joined, left, its local copies damaged. What comes out, and what is
//! remembered, must be byte for byte what one undisturbed pass over the records gives.
//!
//! `GROUNDSWELL_SEED` repeats a run; `GROUNDSWELL_CLICKS_EVENTS` and `GROUNDSWELL_CLICKS_KILLS` make it longer.

mod events;
mod undisturbed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use groundswell::stages::recommend::Counts;
use groundswell::stages::recommend::said::{Parcel, Part};
use prost::Message;
use tempfile::TempDir;

use self::events::{Clicks, PARTITIONS, TOPICS, WRITERS_CLICK, inputs};
use self::undisturbed::{Place, Undisturbed, as_written, without_time};
use crate::support::remembered::{create_changelog, damage, files, from_env, remembered};
use crate::support::{Instance, Kafka, Outcome, Patience, Record, Registry};

/// Without any progress: longer than the session of a dead member and the transaction that it left open.
const STALL_MAX: Duration = Duration::from_secs(120);
const BURST: usize = 50;

#[test]
fn kills_joins_leaves_and_damage_do_not_show_in_sessions() -> Outcome<()> {
    let scenario = Scenario::new("clicks-kill")?;
    println!("GROUNDSWELL_SEED={}", scenario.seed);
    let done = AtomicBool::new(false);
    let (written, disturbed) = thread::scope(|scope| {
        let writer = scope.spawn(|| scenario.write(0, scenario.events, &done));
        let disturbed = scenario.disturb();
        done.store(true, Ordering::Relaxed);
        (writer.join().unwrap_or_else(|_| Err("the writer panicked".into())), disturbed)
    });
    let (written, mut instances) = (written?, disturbed?);
    scenario.drain(&written, &mut instances)?;
    for instance in &mut instances {
        scenario.stop(instance)?;
    }
    let logs = scenario.logs();
    println!("local copies reused: {}, damaged: {}", count(&logs, "\"reused\""), count(&logs, "\"damaged\""));
    scenario.judge(&written)
}

/// An instance comes back to a local copy in which every file is damaged, and to none at all.
#[test]
fn sessions_outlive_a_local_copy_that_is_damaged_or_gone() -> Outcome<()> {
    let scenario = Scenario::new("clicks-damage")?;
    println!("GROUNDSWELL_SEED={}", scenario.seed);
    let mut written = Written::default();
    for (part, how) in ["none", "flip", "cut", "gone"].into_iter().enumerate() {
        if part > 0 {
            scenario.damage("a", how)?;
        }
        let mut instance = scenario.start("a")?;
        let events = scenario.events / 4;
        written.add(scenario.write(part * events, events, &AtomicBool::new(true))?);
        scenario.drain(&written, std::slice::from_mut(&mut instance))?;
        scenario.stop(&mut instance)?;
    }
    scenario.judge(&written)
}

/// What was written, by topic and partition, in the order of its offsets.
#[derive(Default)]
pub struct Written(BTreeMap<(&'static str, i32), Vec<(i64, Record)>>);

impl Written {
    fn add(&mut self, other: Written) {
        other.0.into_iter().for_each(|(place, records)| self.0.entry(place).or_default().extend(records));
    }
}

struct Scenario {
    tag: &'static str,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
    schema: u32,
    seed: u64,
    events: usize,
    kills: usize,
}

impl Scenario {
    fn new(tag: &'static str) -> Outcome<Scenario> {
        let (kafka, registry) = (Kafka::shared()?, Registry::shared()?);
        let schema = registry.register(&format!("{tag}-framed-value"), "PROTOBUF", WRITERS_CLICK, &[])?;
        let folder = TempDir::new()?;
        for topic in TOPICS {
            let input = format!("{tag}-{topic}");
            kafka.create_topic(&input, PARTITIONS, &[])?;
            create_changelog(kafka, &changelog(tag, &input), PARTITIONS)?;
        }
        create_changelog(kafka, &owners_changelog(tag), PARTITIONS)?;
        for topic in ["scored", "profiles", "dead-letters", "recommendations", "recommend-counts", "recommend-lists"] {
            kafka.create_topic(&format!("{tag}-{topic}"), PARTITIONS, &[])?;
        }
        let config = folder.path().join("groundswell.toml");
        let state = folder.path().join("state");
        fs::write(&config, configuration(tag, kafka, registry, &state.display().to_string()))?;
        Ok(Scenario {
            tag,
            kafka,
            folder,
            config,
            schema,
            seed: from_env("GROUNDSWELL_SEED", fastrand::u64(..)),
            events: from_env("GROUNDSWELL_CLICKS_EVENTS", 4000),
            kills: from_env("GROUNDSWELL_CLICKS_KILLS", 5),
        })
    }

    /// Writes clicks, over the time that the disturbances take.
    fn write(&self, first: usize, count: usize, done: &AtomicBool) -> Outcome<Written> {
        let mut clicks = Clicks::new(self.seed, self.schema);
        (0..first).for_each(|_| drop(clicks.next()));
        let mut writer = self.kafka.writer()?;
        let mut written = Written::default();
        let pause = Duration::from_millis((self.kills * 2500 * BURST / self.events.max(1)) as u64);
        let mut left = count;
        while left > 0 {
            let mut records: BTreeMap<&'static str, Vec<Record>> = BTreeMap::new();
            for _ in 0..left.min(BURST) {
                let (topic, record) = clicks.next();
                records.entry(topic).or_default().push(record);
            }
            left -= left.min(BURST);
            for (topic, records) in records {
                let places = writer.write(&format!("{}-{topic}", self.tag), &records)?;
                for ((partition, offset), record) in places.into_iter().zip(records) {
                    written.0.entry((topic, partition)).or_default().push((offset, record));
                }
            }
            if !done.load(Ordering::Relaxed) {
                thread::sleep(pause);
            }
        }
        Ok(written)
    }

    /// Two instances, one of them killed again and again, sometimes with its local copy damaged or under another name;
    /// a guest comes and goes.
    fn disturb(&self) -> Outcome<Vec<Instance>> {
        let mut rng = Rng::with_seed(self.seed ^ 1);
        let mut instances = vec![self.start("a")?, self.start("b")?];
        for step in 0..=self.kills {
            thread::sleep(Duration::from_millis(rng.u64(500..2500)));
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            if step == self.kills / 2 {
                let mut guest = self.start("guest")?;
                thread::sleep(Duration::from_millis(rng.u64(1500..4000)));
                guest.check_alive()?;
                self.stop(&mut guest)?;
                continue;
            }
            let victim = rng.usize(..instances.len());
            let name = instances[victim].name.clone();
            instances[victim].kill()?;
            match rng.u8(..4) {
                0 => self.damage(&name, "flip")?,
                1 => self.damage(&name, "cut")?,
                _ => {}
            }
            let heir = if rng.u8(..5) == 0 { format!("heir-{step}") } else { name };
            instances[victim] = self.start(&heir)?;
        }
        Ok(instances)
    }

    fn start(&self, name: &str) -> Outcome<Instance> {
        Instance::start(self.folder.path(), name, &self.config, &[], &[])
    }

    fn stop(&self, instance: &mut Instance) -> Outcome<()> {
        let status = instance.stop()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{} ended with {status}:\n{}", instance.name, instance.log_tail()).into())
    }

    fn damage(&self, name: &str, how: &str) -> Outcome<()> {
        let directory = self.folder.path().join("state").join(format!("{}-clicks-{name}", self.tag));
        damage(&directory, how, self.seed ^ 2)
    }

    /// Of all instances, those that were killed included.
    fn logs(&self) -> String {
        let logs = files(self.folder.path()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "log"));
        logs.filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    /// Waits until all that was written is committed.
    fn drain(&self, written: &Written, instances: &mut [Instance]) -> Outcome<()> {
        let group = self.kafka.group(&format!("{}-clicks", self.tag))?;
        let mut patience = Patience::of(STALL_MAX);
        let mut last = 0;
        loop {
            let mut committed = 0;
            let mut left = 0;
            for topic in TOPICS {
                let at = group.committed(&format!("{}-{topic}", self.tag))?;
                for ((_, partition), records) in written.0.iter().filter(|((of, _), _)| *of == topic) {
                    let at = at.get(partition).copied().unwrap_or(0);
                    committed += at;
                    left += records.iter().filter(|(offset, _)| *offset >= at).count();
                }
            }
            if left == 0 {
                return Ok(());
            }
            if committed > last {
                patience.renew();
                last = committed;
            }
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            if patience.is_over() {
                let logs: Vec<String> = instances.iter().map(Instance::log_tail).collect();
                return Err(format!("seed {}: {left} stay uncommitted\n{}", self.seed, logs.join("\n---\n")).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Outputs once and in order, dead letters once, and the state, each against one pass without Kafka.
    fn judge(&self, written: &Written) -> Outcome<()> {
        let seed = self.seed;
        let mut undisturbed = Undisturbed::new(&self.config)?;
        let scored = self.kafka.read_committed(&format!("{}-scored", self.tag))?;
        let profiles = self.kafka.read_committed(&format!("{}-profiles", self.tag))?;
        let letters = self.kafka.read_committed(&format!("{}-dead-letters", self.tag))?;
        let (mut results, mut told) = (0, 0);
        let mut rejected = 0;
        let mut counts = Vec::new();
        for ((topic, partition), records) in &written.0 {
            let place = format!("seed {seed}, {topic}/{partition}");
            let input = format!("{}-{topic}", self.tag);
            let expected = undisturbed.pass(&input, *partition, records)?;
            let from = (input.as_str(), *partition);
            results += once_each(&scored, without_time, from, &expected.scored).map_err(|e| format!("{place}: {e}"))?;
            told += once_each(&profiles, as_written, from, &expected.profiles).map_err(|e| format!("{place}: {e}"))?;
            rejected += expected.rejected;
            counts.extend(expected.counts);
            let remembered = remembered(self.kafka, &changelog(self.tag, &input), *partition)?;
            let entries = &expected.entries;
            let differ: Vec<_> = remembered.iter().filter(|(key, value)| entries.get(*key) != Some(value)).collect();
            assert!(differ.is_empty(), "{place}: {differ:?}");
            assert_eq!(remembered.len(), entries.len(), "{place}: entries");
            assert!(entries.len() > 10, "there is something to compare");
        }
        assert_eq!(letters.len(), rejected, "seed {seed}: dead letters");
        self.judge_recommendations(counts)?;
        let kills = self.kills;
        println!(
            "{results} scored clicks, {told} profiles and {rejected} dead letters, each once; states equal, {kills} kills"
        );
        Ok(())
    }

    /// Counts are handed on once, and no recommendation is made twice. What is recommended is not compared: it depends
    /// on when each instance has read which lists.
    fn judge_recommendations(&self, expected: Vec<Bytes>) -> Outcome<()> {
        let handed = self.kafka.read_committed(&format!("{}-recommend-counts", self.tag))?;
        let handed: Vec<Bytes> = handed.into_iter().filter_map(|record| record.payload).map(Bytes::from).collect();
        let messages = handed.len();
        let (handed, expected) = (counted(handed)?, counted(expected)?);
        assert_eq!(handed.len(), expected.len(), "seed {}: pairs that are counted", self.seed);
        assert!(handed == expected, "seed {}: counts differ", self.seed);
        let mut ids = BTreeSet::new();
        for record in self.kafka.read_committed(&format!("{}-recommendations", self.tag))? {
            let made: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
            let id = made["id"].as_str().ok_or("a recommendation without an id")?.to_owned();
            assert!(ids.insert(id), "seed {}: made twice: {made}", self.seed);
        }
        assert!(!handed.is_empty() && !ids.is_empty(), "there is something to compare");
        println!("{} counts in {messages} messages and {} recommendations, each once", handed.len(), ids.len());
        Ok(())
    }
}

/// By anchor and name: weights of all messages together, whole numbers by period.
fn counted(messages: Vec<Bytes>) -> Outcome<BTreeMap<(Bytes, Bytes), BTreeMap<i64, u64>>> {
    let mut sums: BTreeMap<(Bytes, Bytes), BTreeMap<i64, u64>> = BTreeMap::new();
    for message in messages {
        for Part { key, counts } in Parcel::decode(message)?.parts {
            for counted in Counts::decode(counts)?.names {
                let sum = sums.entry((key.clone(), counted.name)).or_default();
                let weight = counted.weight.unwrap_or_default();
                weight.by_period().for_each(|(period, weight)| *sum.entry(period).or_default() += weight);
            }
        }
    }
    Ok(sums)
}

/// What was read of one input partition against what was expected of it, once each. Says how many.
fn once_each(
    records: &[Record],
    read: fn(&Record) -> Outcome<(Place, String)>,
    (topic, partition): (&str, i32),
    expected: &[(i64, String)],
) -> Outcome<usize> {
    let mut seen: Vec<(i64, String)> = Vec::new();
    for record in records {
        let (origin, text) = read(record)?;
        if (origin.topic.as_str(), origin.partition) == (topic, partition) {
            seen.push((origin.offset, text));
        }
    }
    seen.sort_by_key(|(offset, _)| *offset);
    if let Some(at) = seen.iter().zip(expected).position(|(seen, expected)| seen != expected) {
        return Err(format!("{:?} for {:?}", seen[at], expected[at]).into());
    }
    match seen.len() == expected.len() {
        true => Ok(seen.len()),
        false => Err(format!("{} results, expected {}", seen.len(), expected.len()).into()),
    }
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

fn changelog(tag: &str, input: &str) -> String {
    groundswell::runtime::changelog(&format!("{tag}-clicks"), input)
}

/// Of the stage that reads what is counted for recommendations.
fn owners_changelog(tag: &str) -> String {
    groundswell::runtime::changelog(&format!("{tag}-recommend"), &format!("{tag}-recommend-counts"))
}

fn configuration(tag: &str, kafka: &Kafka, registry: &Registry, state: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."session.timeout.ms" = 6000
librdkafka."topic.metadata.refresh.interval.ms" = 1000
[registry]
url = "{registry}"
[delivery]
transaction_timeout_ms = 6000
epoch_events_max = 40
{inputs}
[outputs]
clicks = "{tag}-scored"
profiles = "{tag}-profiles"
recommendations = "{tag}-recommendations"
dead_letters = "{tag}-dead-letters"
[clicks]
utc_offset_minutes = 480
include_features = true
[state]
directory = "{state}"
memory_bytes_max = 1_048_576
[http]
listen = "off"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
        registry = registry.url(),
        inputs = inputs(tag),
    )
}
