//! Tables that every instance reads: compacted topics, from their beginning and then on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::start::Running;
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config, is_refusal};
use crate::telemetry::BrokerFailed;

/// One question to the brokers.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Before something that the brokers have not answered is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// What becomes of a table's records.
pub trait Table: Send + 'static {
    /// The newest record of a key; without a value, a deletion. False where it is none of the table's.
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool;

    /// All that was there at the start has been read: so many records, of which so many were none of the table's.
    fn complete(&mut self, read: u64, unreadable: u64);

    /// Between records, and ten times a second where there are none.
    fn turn(&mut self, _: &BaseConsumer) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads the table on a thread of its own, named `name`. It joins no group: every instance reads all of it. `stage`: who
/// needs it.
pub fn follow(
    settings: &Settings,
    stage: &'static str,
    name: &'static str,
    topic: String,
    table: impl Table,
) -> Result<Running, Error> {
    let mut config = client_config(&settings.kafka);
    config
        .set("group.id", format!("{}-{stage}-{name}", settings.kafka.group_prefix))
        .set("client.id", format!("{}-{}-{name}", settings.kafka.group_prefix, settings.instance))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    let consumer =
        config.create().map_err(|e| broker_error(format_args!("cannot create the consumer of {name}"), &e))?;
    let stopped = Arc::new(AtomicBool::new(false));
    let follower = Follower { stage, name, consumer, topic, table, stopped: stopped.clone() };
    let thread = thread::Builder::new()
        .name(name.into())
        .spawn(move || follower.run())
        .map_err(|e| Error::new(Fault::Bug, format!("cannot start the thread that reads {name}: {e}")))?;
    Ok(Running::new(move || stopped.store(true, Ordering::Relaxed), thread))
}

struct Follower<T> {
    stage: &'static str,
    name: &'static str,
    consumer: BaseConsumer,
    topic: String,
    table: T,
    stopped: Arc<AtomicBool>,
}

impl<T: Table> Follower<T> {
    fn run(mut self) -> Result<(), Error> {
        let Some(mut unread) = self.assign()? else { return Ok(()) };
        let (mut read, mut unreadable) = (0_u64, 0_u64);
        while !self.is_stopped() {
            match self.consumer.poll(POLL_WAIT) {
                None => {}
                Some(Ok(message)) => {
                    read += 1;
                    if !self.table.take(message.key().unwrap_or_default(), message.payload()) {
                        unreadable += 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) if unread > 0 => {
                    unread -= 1;
                    if unread == 0 {
                        self.table.complete(read, unreadable);
                    }
                }
                // Each partition has one at first; those that come after new records tell nothing new.
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => self.failed("cannot read", &error)?,
            }
            self.table.turn(&self.consumer)?;
        }
        Ok(())
    }

    /// All partitions of the table, from their beginnings; how many there are. `None`: stopped before.
    fn assign(&self) -> Result<Option<usize>, Error> {
        while !self.is_stopped() {
            match self.consumer.fetch_metadata(Some(&self.topic), ANSWER_MAX) {
                Ok(metadata) => {
                    let topic = metadata.topics().first().filter(|topic| topic.error().is_none());
                    let partitions = topic.map_or(0, |topic| topic.partitions().len());
                    if partitions > 0 {
                        self.assign_all(partitions)?;
                        return Ok(Some(partitions));
                    }
                    let error = format!("topic {} is not there; groundswell topics --create makes it", self.topic);
                    BrokerFailed { stage: self.stage, error: &error }.emit();
                }
                Err(error) => self.failed("cannot ask for the partitions of", &error)?,
            }
            thread::sleep(RETRY);
        }
        Ok(None)
    }

    fn assign_all(&self, partitions: usize) -> Result<(), Error> {
        let cannot = |error: KafkaError| broker_error(format_args!("cannot read the {}", self.name), &error);
        let mut all = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            all.add_partition_offset(&self.topic, partition, Offset::Beginning).map_err(cannot)?;
        }
        self.consumer.assign(&all).map_err(cannot)
    }

    /// Tells what is tried again, and returns what is not.
    fn failed(&self, doing: &str, error: &KafkaError) -> Result<(), Error> {
        let told = broker_error(format_args!("{doing} the {}", self.name), error);
        if error.rdkafka_error_code().is_some_and(is_refusal) {
            return Err(told.hint(format!("give this client's principal the right READ on topic {}", self.topic)));
        }
        BrokerFailed { stage: self.stage, error: &told.message }.emit();
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
