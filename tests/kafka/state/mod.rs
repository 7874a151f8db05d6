//! A stage that remembers, against the real Kafka: killed, joined, left, its local copies damaged. What comes out and what
//! is remembered must be what one pass over the records gives.
//!
//! `GROUNDSWELL_SEED` repeats a run; `GROUNDSWELL_STATE_EVENTS` and `GROUNDSWELL_STATE_KILLS` make it longer.

mod instance;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use groundswell::state::Stored;
use tempfile::TempDir;

use self::instance::Instance;
use self::stage::expected;
use crate::support::remembered::{create_changelog, damage, files, from_env, remembered};
use crate::support::{Kafka, Outcome, Record};

const PARTITIONS: i32 = 3;
/// Most of them come once or twice: more than memory has room for.
const USERS: u32 = 4000;
const REGULARS: u32 = 100;
/// From the last disturbance until everything is processed.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const BURST: usize = 50;
/// One record in so many has no time that could be read.
const POISON_ONE_IN: usize = 40;

#[test]
fn kills_joins_leaves_and_damage_do_not_show_in_what_is_remembered() -> Outcome<()> {
    let scenario = Scenario::new("state-kill", "exactly_once")?;
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
    // How often depends on where the partitions went; that a copy is of use is held by the test of damage.
    println!("local copies reused: {}", scenario.logs().matches("\"reused\"").count());
    instances.iter_mut().try_for_each(Instance::stop)?;
    scenario.judge(&written)
}

/// An instance comes back to a local copy in which every file is damaged, and to none at all.
#[test]
fn a_local_copy_that_is_damaged_or_gone_is_rebuilt() -> Outcome<()> {
    let scenario = Scenario::new("state-damage", "exactly_once")?;
    let mut written = Vec::new();
    for (part, damage) in ["none", "flip", "cut", "gone"].into_iter().enumerate() {
        scenario.damage("a", damage)?;
        let mut instance = scenario.start("a")?;
        let events = scenario.events / 4;
        written.extend(scenario.write(part * events, events, &AtomicBool::new(true))?);
        scenario.drain(&written, std::slice::from_mut(&mut instance))?;
        instance.stop()?;
        let reused = instance.log().contains("\"reused\"");
        assert!(!reused || matches!(damage, "flip" | "cut"), "{damage}: there was nothing to reuse");
        fs::remove_file(scenario.folder.path().join("a.log"))?;
        if part == 0 {
            // Once more, with the copy as it was left.
            let mut instance = scenario.start("a")?;
            scenario.await_log(&mut instance, "the state is read back", PARTITIONS as usize)?;
            assert_eq!(instance.log().matches("\"reused\"").count(), PARTITIONS as usize, "{}", instance.log());
            instance.stop()?;
            fs::remove_file(scenario.folder.path().join("a.log"))?;
        }
    }
    scenario.judge(&written)
}

/// Nothing is lost, and what is remembered is never behind what came out.
#[test]
fn at_least_once_remembers_at_least_once() -> Outcome<()> {
    let scenario = Scenario::new("state-alo", "at_least_once")?;
    let done = AtomicBool::new(false);
    let (written, disturbed) = thread::scope(|scope| {
        let writer = scope.spawn(|| scenario.write(0, scenario.events, &done));
        let disturbed = scenario.disturb();
        done.store(true, Ordering::Relaxed);
        (writer.join().unwrap_or_else(|_| Err("the writer panicked".into())), disturbed)
    });
    let (written, mut instances) = (written?, disturbed?);
    scenario.drain(&written, &mut instances)?;
    instances.iter_mut().try_for_each(Instance::stop)?;
    let mut records: BTreeMap<String, u64> = BTreeMap::new();
    written.iter().filter(|record| record.is_sound()).for_each(|r| *records.entry(r.user.clone()).or_default() += 1);
    let remembered: BTreeMap<String, u64> = (0..PARTITIONS)
        .flat_map(|partition| scenario.remembered(partition))
        .flatten()
        .filter_map(|(key, value)| {
            let user = String::from_utf8(key.strip_prefix(&[1])?.to_vec()).ok()?;
            prost::Message::decode(value.payload()).ok().map(|total: u64| (user, total))
        })
        .collect();
    for (user, records) in records {
        let total = remembered.get(&user).copied().unwrap_or(0);
        assert!(total >= records, "seed {}: {user}: {total} of {records}", scenario.seed);
    }
    Ok(())
}

/// A record as it was written.
struct Written {
    partition: i32,
    offset: i64,
    user: String,
    time: String,
}

impl Written {
    fn is_sound(&self) -> bool {
        self.time.parse::<i64>().is_ok()
    }
}

struct Scenario {
    input: String,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
    seed: u64,
    events: usize,
    kills: usize,
}

impl Scenario {
    fn new(tag: &str, mode: &str) -> Outcome<Scenario> {
        let kafka = Kafka::shared()?;
        let folder = TempDir::new()?;
        for topic in [tag.to_owned(), format!("{tag}-counted"), format!("{tag}-dead-letters")] {
            kafka.create_topic(&topic, PARTITIONS, &[])?;
        }
        create_changelog(kafka, &changelog(tag), PARTITIONS)?;
        let config = folder.path().join("groundswell.toml");
        fs::write(&config, configuration(tag, mode, kafka, folder.path()))?;
        Ok(Scenario {
            input: tag.to_owned(),
            kafka,
            folder,
            config,
            seed: from_env("GROUNDSWELL_SEED", fastrand::u64(..)),
            events: from_env("GROUNDSWELL_STATE_EVENTS", 4000),
            kills: from_env("GROUNDSWELL_STATE_KILLS", 5) as usize,
        })
    }

    /// Writes records of rising time with some that are late, over the time that the disturbances take.
    fn write(&self, first: usize, count: usize, done: &AtomicBool) -> Outcome<Vec<Written>> {
        let mut rng = Rng::with_seed(self.seed ^ first as u64);
        let mut written = Vec::new();
        let pause = Duration::from_millis((self.kills * 2500 * BURST / self.events.max(1)) as u64);
        for burst in (first..first + count).step_by(BURST) {
            let events: Vec<(i32, String, String)> = (burst..(burst + BURST).min(first + count))
                .map(|number| {
                    let user = if rng.bool() { rng.u32(..REGULARS) } else { rng.u32(..USERS) };
                    let time = number as i64 * 10 - if rng.u8(..10) == 0 { rng.i64(0..400) } else { 0 };
                    let poison = rng.usize(..POISON_ONE_IN) == 0;
                    let time = if poison { "no time".to_owned() } else { time.to_string() };
                    (user as i32 % PARTITIONS, format!("u{user}"), time)
                })
                .collect();
            let records: Vec<Record> = events
                .iter()
                .map(|(partition, user, time)| Record::new(time.as_bytes()).key(user.as_bytes()).partition(*partition))
                .collect();
            let places = self.kafka.produce(&self.input, &records)?;
            let pairs = places.into_iter().zip(events);
            written.extend(pairs.map(|((partition, offset), (_, user, time))| Written {
                partition,
                offset,
                user,
                time,
            }));
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
                guest.stop()?;
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
        Instance::start(self.folder.path(), name, &self.config, &self.input)
    }

    fn damage(&self, name: &str, how: &str) -> Outcome<()> {
        let directory = self.folder.path().join("state").join(format!("{}-counting-{name}", self.input));
        damage(&directory, how, self.seed ^ 2)
    }

    /// Of all instances, those that were killed included.
    fn logs(&self) -> String {
        let logs = files(self.folder.path()).into_iter().filter(|file| file.extension().is_some_and(|e| e == "log"));
        logs.filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    fn await_log(&self, instance: &mut Instance, line: &str, times: usize) -> Outcome<()> {
        let deadline = Instant::now() + DRAIN_MAX;
        while instance.log().matches(line).count() < times {
            instance.check_alive()?;
            if Instant::now() > deadline {
                return Err(format!("{line:?} was not logged {times} times:\n{}", instance.log_tail()).into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn drain(&self, written: &[Written], instances: &mut [Instance]) -> Outcome<()> {
        let deadline = Instant::now() + DRAIN_MAX;
        let group = format!("{}-counting", self.input);
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        written.iter().for_each(|r| *ends.entry(r.partition).or_default() = r.offset + 1);
        loop {
            let committed = self.kafka.committed_offsets(&group, &self.input)?;
            if ends.iter().all(|(partition, end)| committed.get(partition).is_some_and(|at| at >= end)) {
                return Ok(());
            }
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            if Instant::now() > deadline {
                let logs: Vec<String> = instances.iter().map(Instance::log_tail).collect();
                let logs = logs.join("\n---\n");
                return Err(format!("seed {}: {committed:?} of {ends:?}\n{logs}", self.seed).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn judge(&self, written: &[Written]) -> Outcome<()> {
        let results = self.kafka.read_committed(&format!("{}-counted", self.input))?;
        for partition in 0..PARTITIONS {
            let of = written.iter().filter(|record| record.partition == partition);
            let (outputs, entries) = expected(of.map(|record| (record.user.clone(), record.time.clone())));
            let seen: Vec<String> = results
                .iter()
                .filter(|record| record.partition == Some(partition))
                .map(|record| record.text().into_owned())
                .collect();
            let differs = seen.iter().zip(&outputs).position(|(seen, expected)| seen != expected);
            if let Some(at) = differs {
                let why = format!("result {at}: {:?} for {:?}", seen[at], outputs[at]);
                return Err(format!("seed {}, partition {partition}: {why}", self.seed).into());
            }
            assert_eq!(seen.len(), outputs.len(), "seed {}, partition {partition}", self.seed);
            let remembered = self.remembered(partition)?;
            let differ: Vec<_> = remembered.iter().filter(|(key, value)| entries.get(*key) != Some(value)).collect();
            assert!(differ.is_empty(), "seed {}, partition {partition}: {differ:?}", self.seed);
            assert_eq!(remembered.len(), entries.len(), "seed {}, partition {partition}", self.seed);
            assert!(entries.len() > 10, "there is something to compare");
        }
        Ok(())
    }

    fn remembered(&self, partition: i32) -> Outcome<BTreeMap<Bytes, Stored>> {
        remembered(self.kafka, &changelog(&self.input), partition)
    }
}

fn changelog(tag: &str) -> String {
    groundswell::runtime::changelog(&format!("{tag}-counting"), tag)
}

fn configuration(tag: &str, mode: &str, kafka: &Kafka, folder: &Path) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert");
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."session.timeout.ms" = 6000
[delivery]
mode = "{mode}"
transaction_timeout_ms = 6000
[outputs]
dead_letters = "{tag}-dead-letters"
[models.text]
path = "{model}"
kinds = ["review", "chat"]
[inference]
workers = 1
[state]
directory = "{state}"
memory_bytes_max = 1_048_576
[http]
listen = "off"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
        model = model.display(),
        state = folder.join("state").display(),
    )
}
