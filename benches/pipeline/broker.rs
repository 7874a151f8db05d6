//! A real Kafka of this run's own, on loopback.

use std::process::Command;
use std::time::Duration;

use groundswell::config::{self, Settings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
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

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// The defaults, with topics and group of this trial.
    pub fn settings(&self, trial: &str, overrides: &[&str]) -> Outcome<Settings> {
        let mut all = vec![
            format!("kafka.bootstrap_servers={}", self.address),
            format!("kafka.group_prefix={trial}"),
            format!("inputs.reviews.topics=[\"{trial}-reviews\"]"),
            format!("inputs.chats.topics=[\"{trial}-chats\"]"),
            format!("outputs.reviews={trial}-scored"),
            format!("outputs.chats={trial}-chats-scored"),
            format!("outputs.dead_letters={trial}-dead"),
            "instance.name=bench".into(),
        ];
        all.extend(overrides.iter().map(|o| (*o).to_owned()));
        all.extend_from_slice(&self.overrides);
        config::load(None, &all, std::iter::empty()).map_err(|faults| faults.to_string().into())
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
        config.set("linger.ms", "5").set("queue.buffering.max.messages", "1000000");
        Ok(config.create()?)
    }

    /// Writes reviews, spread over the partitions, in a transaction that is still open: nobody reads them yet.
    pub fn write(&self, topic: &str, texts: &[String]) -> Outcome<Unseen> {
        let mut config = self.client();
        config.set("linger.ms", "5").set("queue.buffering.max.messages", "1000000").set("transactional.id", topic);
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(ANSWER_MAX)?;
        producer.begin_transaction()?;
        for (number, text) in texts.iter().enumerate() {
            let payload = review(number, text);
            let record: BaseRecord<'_, (), [u8]> =
                BaseRecord::to(topic).payload(payload.as_slice()).partition(number as i32 % PARTITIONS);
            producer.send(record).map_err(|(error, _)| error)?;
            if number % 1000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(ANSWER_MAX)?;
        Ok(Unseen { producer })
    }
}

/// Records that lie on the broker and become readable all at once: so that what writing them costs is not counted, and
/// what reads them finds a backlog.
pub struct Unseen {
    producer: BaseProducer,
}

impl Unseen {
    pub fn show(self) -> Outcome<()> {
        Ok(self.producer.commit_transaction(ANSWER_MAX)?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Best effort: the folder is temporary and the broker listens on loopback only.
        let _ = Command::new("python3").args([SCRIPT, "stop", "--dir"]).arg(self.folder.path()).output();
    }
}
