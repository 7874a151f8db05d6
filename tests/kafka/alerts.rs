//! The alerts stage on the real Kafka: its instances killed, their partitions moved. In the end alerts and trends stand as
//! one undisturbed pass over the texts leaves them.
//!
//! `GROUNDSWELL_SEED` repeats a run; `GROUNDSWELL_ALERTS_KILLS` and `GROUNDSWELL_ALERTS_MINUTES` make it longer.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use groundswell::config::{self, Settings};
use groundswell::event::v1;
use groundswell::stages::alerts::{Emit, History, Seen};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::kafka::Group;
use crate::support::remembered::{create_changelog, from_env};
use crate::support::{Instance, Kafka, Outcome, Patience, Record};

const PARTITIONS: i32 = 3;
const OWNERS: i32 = 2;
/// Without any progress: longer than the session of a dead member and the transaction that it left open.
const STALL_MAX: Duration = Duration::from_secs(120);
const START_MS: i64 = 1_767_571_200_000;
const MINUTE_MS: i64 = 60_000;
const TEXTS_A_MINUTE: usize = 18;
const SURGE_MINUTES: i64 = 12;
const WORDS: [&str; 8] = ["battery", "screen", "delivery", "price", "colour", "camera", "charger", "manual"];

#[test]
fn kills_do_not_show_in_alerts_and_trends() -> Outcome<()> {
    let scenario = Scenario::new("alerts-kill")?;
    println!("GROUNDSWELL_SEED={}", scenario.seed);
    let written = scenario.write()?;
    let mut instances = scenario.disturb()?;
    scenario.drain(&written, &mut instances)?;
    for instance in &mut instances {
        let status = instance.stop()?;
        assert!(status.success(), "{} ended with {status}:\n{}", instance.name, instance.log_tail());
    }
    scenario.judge(&written)
}

/// The newest record of each key.
type Standing = BTreeMap<String, Value>;
/// The revisions of each key, in the order in which they were written.
type Revisions = BTreeMap<String, Vec<u64>>;
/// By partition, in the order of its offsets.
type Written = BTreeMap<i32, Vec<(i64, v1::Scored)>>;

struct Scenario {
    tag: &'static str,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
    seed: u64,
    kills: usize,
    minutes: i64,
}

impl Scenario {
    fn new(tag: &'static str) -> Outcome<Scenario> {
        let kafka = Kafka::shared()?;
        let folder = TempDir::new()?;
        let config = folder.path().join("groundswell.toml");
        fs::write(&config, configuration(tag, kafka, &folder.path().join("state").display().to_string()))?;
        kafka.create_topic(&scored(tag), PARTITIONS, &[])?;
        kafka.create_topic(&repartition(tag), OWNERS, &[])?;
        for (input, partitions) in [(scored(tag), PARTITIONS), (repartition(tag), OWNERS)] {
            create_changelog(kafka, &groundswell::runtime::changelog(&format!("{tag}-alerts"), &input), partitions)?;
        }
        for topic in ["alerts", "trends", "dead-letters"] {
            kafka.create_topic(&format!("{tag}-{topic}"), 2, &[])?;
        }
        Ok(Scenario {
            tag,
            kafka,
            folder,
            config,
            seed: from_env("GROUNDSWELL_SEED", fastrand::u64(..)),
            kills: from_env("GROUNDSWELL_ALERTS_KILLS", 5),
            minutes: from_env("GROUNDSWELL_ALERTS_MINUTES", 150),
        })
    }

    /// A shop with two brands, one of which has a wave of negative texts of one product.
    fn write(&self) -> Outcome<Written> {
        let mut rng = Rng::with_seed(self.seed);
        let surge = self.minutes - 40..self.minutes - 40 + SURGE_MINUTES;
        let mut written = Written::new();
        let mut records: Vec<Record> = Vec::new();
        let mut texts: Vec<v1::Scored> = Vec::new();
        for minute in 0..self.minutes {
            let more = if surge.contains(&minute) { TEXTS_A_MINUTE } else { 0 };
            let mut seconds: Vec<i64> = (0..TEXTS_A_MINUTE + more).map(|_| rng.i64(0..MINUTE_MS)).collect();
            seconds.sort_unstable();
            for (i, second) in seconds.into_iter().enumerate() {
                let extra = i % 2 == 1 && more > 0;
                let product = if extra { 2 } else { rng.usize(0..4) };
                let negative = extra || rng.f64() < 0.2;
                let says = if extra { "payment page broken" } else { WORDS[rng.usize(0..8)] };
                let text = text(&mut rng, texts.len(), START_MS + minute * MINUTE_MS + second, product, negative, says);
                let partition = rng.i32(0..PARTITIONS);
                records.push(Record::new(serde_json::to_vec(&text)?).partition(partition));
                texts.push(text);
            }
        }
        let topic = scored(self.tag);
        let places = self.kafka.produce(&topic, &records)?;
        for ((partition, offset), mut text) in places.into_iter().zip(texts) {
            text.origin = Some(v1::Origin { topic: topic.clone(), partition, offset });
            written.entry(partition).or_default().push((offset, text));
        }
        Ok(written)
    }

    /// Two instances, one of them killed again and again, sometimes under another name afterwards.
    fn disturb(&self) -> Outcome<Vec<Instance>> {
        let mut rng = Rng::with_seed(self.seed ^ 1);
        let mut instances = vec![self.start("a")?, self.start("b")?];
        for step in 0..self.kills {
            thread::sleep(Duration::from_millis(rng.u64(500..2500)));
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            let victim = rng.usize(..instances.len());
            let name = instances[victim].name.clone();
            instances[victim].kill()?;
            let heir = if rng.u8(..4) == 0 { format!("heir-{step}") } else { name };
            instances[victim] = self.start(&heir)?;
        }
        Ok(instances)
    }

    fn start(&self, name: &str) -> Outcome<Instance> {
        Instance::start_with(self.folder.path(), name, &self.config, &["--stages", "alerts"], &[], &[])
    }

    /// Waits until all texts, and then all that they were handed on as, is committed.
    fn drain(&self, written: &Written, instances: &mut [Instance]) -> Outcome<()> {
        let group = self.kafka.group(&format!("{}-alerts", self.tag))?;
        let ends: BTreeMap<i32, i64> =
            written.iter().filter_map(|(partition, texts)| Some((*partition, texts.last()?.0 + 1))).collect();
        self.await_committed(&scored(self.tag), &ends, &group, instances)?;
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for record in self.kafka.read_committed(&repartition(self.tag))? {
            let end = ends.entry(record.partition.unwrap_or_default()).or_default();
            *end = (*end).max(record.offset + 1);
        }
        self.await_committed(&repartition(self.tag), &ends, &group, instances)
    }

    fn await_committed(
        &self,
        topic: &str,
        ends: &BTreeMap<i32, i64>,
        group: &Group,
        instances: &mut [Instance],
    ) -> Outcome<()> {
        let (mut patience, mut last) = (Patience::of(STALL_MAX), 0);
        loop {
            let at = group.committed(topic)?;
            if ends.iter().all(|(partition, end)| at.get(partition).is_some_and(|at| at >= end)) {
                return Ok(());
            }
            let committed: i64 = at.values().sum();
            if committed > last {
                patience.renew();
                last = committed;
            }
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            if patience.is_over() {
                let logs: Vec<String> = instances.iter().map(Instance::log_tail).collect();
                return Err(
                    format!("seed {}: {topic} stays at {at:?} of {ends:?}\n{}", self.seed, logs.join("\n")).into()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// How alerts and trends stand, against one pass without Kafka.
    fn judge(&self, written: &Written) -> Outcome<()> {
        let seed = self.seed;
        let expected = self.undisturbed(written)?;
        let (alerts, revisions) = self.last("alerts")?;
        let (trends, _) = self.last("trends")?;
        assert_eq!(self.kafka.read_committed(&format!("{}-dead-letters", self.tag))?.len(), 0, "seed {seed}");
        for (what, seen, expected) in [("alert", alerts, expected.0), ("trend", trends, expected.1)] {
            let names = |of: &Standing| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&seen), names(&expected), "seed {seed}: {what}s");
            for (key, value) in &seen {
                assert_eq!(Some(value), expected.get(key), "seed {seed}: {what} {key}");
            }
            assert!(!seen.is_empty(), "seed {seed}: there are {what}s to compare");
            println!("{} {what}s as they should stand", seen.len());
        }
        // The compacted topic tells of each in the order in which it went.
        for (id, numbers) in revisions {
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "seed {seed}: {id}: {numbers:?}");
        }
        Ok(())
    }

    /// The newest record of each key, and the revisions of each in their order.
    fn last(&self, topic: &str) -> Outcome<(Standing, Revisions)> {
        let (mut last, mut revisions) = (BTreeMap::new(), Revisions::new());
        for record in self.kafka.read_committed(&format!("{}-{topic}", self.tag))? {
            let key = String::from_utf8(record.key.ok_or("a record without a key")?)?;
            let value: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
            if let Some(revision) = value["revision"].as_u64() {
                revisions.entry(key.clone()).or_default().push(revision);
            }
            last.insert(key, value);
        }
        Ok((lasting(last), revisions))
    }

    fn undisturbed(&self, written: &Written) -> Outcome<(Standing, Standing)> {
        let settings = self.settings()?;
        let mut history = History::new(settings.alerts.clone(), PARTITIONS as usize, OWNERS as usize);
        let mut all: Vec<(i64, i32, &v1::Scored)> = Vec::new();
        for (partition, texts) in written {
            all.extend(texts.iter().map(|(_, text)| (time(text), *partition, text)));
        }
        all.sort_by_key(|(at, ..)| *at);
        let mut out = Vec::new();
        for (_, partition, text) in all {
            let seen = Seen::new(text, &settings.alerts).ok_or("no customer's text")?;
            history.text(partition as usize, &seen, &mut out);
        }
        assert_eq!(history.fault(), None);
        let (mut alerts, mut trends) = (BTreeMap::new(), BTreeMap::new());
        for emit in out {
            match emit {
                Emit::Alert(alert) => drop(alerts.insert(alert.id.clone(), serde_json::to_value(alert)?)),
                Emit::Trend(trend) => drop(trends.insert(trend.key(), serde_json::to_value(trend)?)),
            }
        }
        Ok((lasting(alerts), lasting(trends)))
    }

    fn settings(&self) -> Outcome<Settings> {
        let sets = ["instance.name=undisturbed".to_owned()];
        config::load(Some(&self.config), &sets, std::iter::empty()).map_err(|faults| faults.to_string().into())
    }
}

/// Without what depends on when something was looked at: how often it was written, and what may still change. An alert that
/// late data took back leaves no trace.
fn lasting(mut all: Standing) -> Standing {
    all.retain(|_, value| value["state"] != "retracted" && value["provisional"] != json!(true));
    for value in all.values_mut() {
        if let Some(value) = value.as_object_mut() {
            value.remove("revision");
        }
    }
    all
}

fn text(rng: &mut Rng, number: usize, at_ms: i64, product: usize, negative: bool, says: &str) -> v1::Scored {
    let noise: String = (0..14).map(|_| rng.lowercase()).collect();
    let label = if negative { "negative" } else { "positive" };
    v1::Scored {
        event_id: format!("e{number}"),
        kind: v1::Kind::Review.into(),
        event_time: Some(prost_types::Timestamp {
            seconds: at_ms.div_euclid(1000),
            nanos: (at_ms.rem_euclid(1000) * 1_000_000) as i32,
        }),
        brand: Some(format!("b{}", product % 2)),
        product: Some(format!("p{product}")),
        user: Some(format!("u{number}")),
        text: Some(format!("{says} {noise}")),
        language: "en".into(),
        sentiment: Some(v1::Sentiment {
            label: label.into(),
            score: if negative { -0.8 } else { 0.8 },
            ..Default::default()
        }),
        ..v1::Scored::default()
    }
}

fn time(text: &v1::Scored) -> i64 {
    text.event_time.map_or(0, |at| at.seconds * 1000 + i64::from(at.nanos) / 1_000_000)
}

fn scored(tag: &str) -> String {
    format!("{tag}-scored")
}

fn repartition(tag: &str) -> String {
    format!("{tag}-alerts-repartition")
}

fn configuration(tag: &str, kafka: &Kafka, state: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."session.timeout.ms" = 6000
librdkafka."topic.metadata.refresh.interval.ms" = 1000
[delivery]
transaction_timeout_ms = 6000
epoch_events_max = 200
[inputs.reviews]
kind = "review"
topics = ["{tag}-reviews"]
[outputs]
reviews = "{tag}-scored"
alerts = "{tag}-alerts"
trends = "{tag}-trends"
dead_letters = "{tag}-dead-letters"
[alerts]
enabled = true
partitions = {OWNERS}
idle_ms = 604800000
[alerts.rules.mood]
signal = "mean_sentiment"
[alerts.rules.unusual]
signal = "volume"
looks_for = "anomaly"
scopes = ["all", "brand"]
[alerts.rules.users]
signal = "users"
[state]
directory = "{state}"
memory_bytes_max = 4_194_304
[http]
listen = "off"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
    )
}
