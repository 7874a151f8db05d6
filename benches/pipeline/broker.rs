//! A real Kafka of this run's own, on loopback.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use groundswell::config::{self, Settings};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

use super::Outcome;
use super::texts::review;

pub const PARTITIONS: i32 = 4;
const ANSWER_MAX: Duration = Duration::from_secs(60);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/local/kafka.py");

pub struct Broker {
    address: String,
    /// Settings that every trial has, as `--set` takes them.
    overrides: Vec<String>,
    folder: TempDir,
}

impl Broker {
    pub fn start(overrides: Vec<String>) -> Outcome<Broker> {
        let folder = TempDir::new()?;
        let started = Command::new("python3").args([SCRIPT, "start", "--dir"]).arg(folder.path()).output()?;
        if !started.status.success() {
            return Err(String::from_utf8_lossy(&started.stderr).into_owned().into());
        }
        let address = String::from_utf8(started.stdout)?.trim().lines().last().unwrap_or_default().to_owned();
        Ok(Broker { address, overrides, folder })
    }

    /// A folder for what a trial keeps; it goes with the broker.
    pub fn folder(&self, trial: &str) -> PathBuf {
        self.folder.path().join(trial)
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// The defaults, with topics and group of this trial.
    pub fn settings(&self, trial: &str, overrides: &[&str]) -> Outcome<Settings> {
        let all = self.overrides(trial, overrides);
        config::load(None, &all, std::iter::empty()).map_err(|faults| faults.to_string().into())
    }

    /// What lies over the defaults, as `--set` takes it.
    pub fn overrides(&self, trial: &str, overrides: &[&str]) -> Vec<String> {
        let mut all = vec![
            format!("kafka.bootstrap_servers={}", self.address),
            format!("kafka.group_prefix={trial}"),
            format!("inputs.reviews.topics=[\"{trial}-reviews\"]"),
            format!("inputs.chats.topics=[\"{trial}-chats\"]"),
            format!("outputs.reviews={trial}-scored"),
            format!("outputs.chats={trial}-chats-scored"),
            format!("outputs.dead_letters={trial}-dead"),
            format!("inputs.clicks.topics=[\"{trial}-clicks\"]"),
            format!("outputs.clicks={trial}-clicks-scored"),
            format!("outputs.profiles={trial}-profiles"),
            format!("outputs.recommendations={trial}-recommendations"),
            format!("state.directory={}", self.folder(trial).display()),
            "instance.name=bench".into(),
        ];
        all.extend(overrides.iter().map(|o| (*o).to_owned()));
        all.extend_from_slice(&self.overrides);
        all
    }

    pub fn create_topics(&self, names: &[String]) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let topics: Vec<NewTopic<'_>> =
            names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        for made in runtime.block_on(admin.create_topics(&topics, &options))? {
            made.map_err(|(topic, error)| format!("topic {topic}: {error}"))?;
        }
        Ok(())
    }

    /// A producer that does not get in the way: batches of a few milliseconds.
    pub fn producer(&self) -> Outcome<ThreadedProducer<DefaultProducerContext>> {
        let mut config = self.client();
        config.set("linger.ms", "5").set("queue.buffering.max.messages", "2000000");
        Ok(config.create()?)
    }

    /// Of what will become visible in a topic from now on.
    pub fn reader(&self, topic: &str) -> Outcome<BaseConsumer> {
        let mut config = self.client();
        config.set("group.id", format!("{topic}-reader")).set("enable.auto.commit", "false");
        let reader: BaseConsumer = config.set("isolation.level", "read_committed").create()?;
        let mut ends = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let (_, end) = reader.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
            ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        reader.assign(&ends)?;
        Ok(reader)
    }

    /// Gives these records to whoever reads the topic in `consume`. How long that takes, from when the first of them can
    /// be read.
    pub fn feed<T: Supplied>(
        &self,
        topic: &str,
        texts: &[T],
        supply: Supply,
        consume: impl FnOnce() -> Outcome<()>,
    ) -> Outcome<Duration> {
        let producer = self.feeder(topic, supply)?;
        match supply {
            Supply::Backlog => {
                producer.init_transactions(ANSWER_MAX)?;
                producer.begin_transaction()?;
                write(&producer, topic, texts)?;
                let started = Instant::now();
                producer.commit_transaction(ANSWER_MAX)?;
                consume()?;
                Ok(started.elapsed())
            }
            Supply::Live => {
                let started = Instant::now();
                std::thread::scope(|scope| {
                    let writing = scope.spawn(|| write(&producer, topic, texts));
                    consume()?;
                    writing.join().map_err(|_| "the writer panicked")?
                })?;
                Ok(started.elapsed())
            }
        }
    }

    fn feeder(&self, topic: &str, supply: Supply) -> Outcome<BaseProducer> {
        let mut config = self.client();
        config.set("linger.ms", "5").set("queue.buffering.max.messages", "2000000");
        if supply == Supply::Backlog {
            config.set("transactional.id", topic);
        }
        Ok(config.create()?)
    }
}

/// How a topic is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Written in one transaction: everything can be read at once, and what writing costs is not counted.
    Backlog,
    /// Written while it is read, as a topic mostly is: broker and cores serve the writer too.
    Live,
}

/// What a topic is filled with.
pub trait Supplied: Sync {
    /// The record for the `number`th of them.
    fn record(&self, number: usize) -> Cow<'_, Record>;
}

#[derive(Clone)]
pub struct Record {
    pub partition: i32,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Supplied for Record {
    fn record(&self, _: usize) -> Cow<'_, Record> {
        Cow::Borrowed(self)
    }
}

/// A text as a review, spread over the partitions.
impl Supplied for String {
    fn record(&self, number: usize) -> Cow<'_, Record> {
        let partition = number as i32 % PARTITIONS;
        Cow::Owned(Record { partition, key: Vec::new(), payload: review(number, self) })
    }
}

/// Waits until all are acknowledged.
fn write<T: Supplied>(producer: &BaseProducer, topic: &str, records: &[T]) -> Outcome<()> {
    for (number, record) in records.iter().enumerate() {
        let supplied = record.record(number);
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).payload(supplied.payload.as_slice()).partition(supplied.partition);
        let record = if supplied.key.is_empty() { record } else { record.key(supplied.key.as_slice()) };
        producer.send(record).map_err(|(error, _)| error)?;
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    Ok(producer.flush(ANSWER_MAX)?)
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Best effort: the folder is temporary and the broker listens on loopback only.
        let _ = Command::new("python3").args([SCRIPT, "stop", "--dir"]).arg(self.folder.path()).output();
    }
}
