use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header as KafkaHeader, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::letter::Letter;
use crate::cli::admin::{ANSWER_MAX, unreachable};
use crate::config::Settings;
use crate::event::{Error, Fault, Header, Origin, RawRecord};
use crate::kafka::{broker_error, client_config, watermarks};

const POLL: Duration = Duration::from_millis(100);
/// Letters that were fetched and not yet read hold no more memory than this.
const FETCHED_KILOBYTES_MAX: u32 = 16 * 1024;

/// Reads the dead-letter topic once, up to the ends that its partitions have when it is opened. What is not committed
/// is not seen. It belongs to a group to remember what was replayed, and takes no part in sharing partitions.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    servers: String,
    bounds: BTreeMap<i32, Bounds>,
    /// Partitions whose ends are not yet reached.
    open: BTreeSet<i32>,
    heard: Instant,
}

/// The first offset that a partition holds, and the one behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub first: i64,
    pub end: i64,
}

impl Reader {
    pub fn open(settings: &Settings) -> Result<Reader, Error> {
        let servers = settings.kafka.bootstrap_servers.clone();
        let topic = settings.outputs.dead_letters.clone();
        let consumer = consumer(settings)?;
        let metadata = consumer.fetch_metadata(None, ANSWER_MAX).map_err(|e| unreachable(&servers, &e))?;
        let partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .filter(|known| known.name() == topic && known.error().is_none())
            .flat_map(|known| known.partitions().iter().map(|partition| partition.id()))
            .collect();
        if partitions.is_empty() {
            return Err(Error::new(Fault::Config, format!("topic {topic} is not there"))
                .hint("outputs.dead_letters names it; groundswell topics --create makes it"));
        }
        let mut bounds = BTreeMap::new();
        for partition in partitions {
            let (first, end) = watermarks(&consumer, &topic, partition, ANSWER_MAX)
                .map_err(|e| broker_error(format_args!("cannot ask for the end of {topic}/{partition}"), &e))?;
            bounds.insert(partition, Bounds { first, end });
        }
        Ok(Reader { consumer, topic, servers, bounds, open: BTreeSet::new(), heard: Instant::now() })
    }

    pub fn bounds(&self) -> &BTreeMap<i32, Bounds> {
        &self.bounds
    }

    /// Begins at these offsets; a partition that is not named is not read.
    pub fn start(&mut self, from: &BTreeMap<i32, i64>) -> Result<(), Error> {
        let mut assignment = TopicPartitionList::new();
        for (&partition, &offset) in from {
            let Some(bounds) = self.bounds.get(&partition) else { continue };
            let offset = offset.max(bounds.first);
            if offset < bounds.end {
                self.add(&mut assignment, partition, Offset::Offset(offset))?;
                self.open.insert(partition);
            }
        }
        self.heard = Instant::now();
        self.consumer.assign(&assignment).map_err(|e| broker_error(format_args!("cannot read {}", self.topic), &e))
    }

    /// From the first letter that each partition holds, or the first that was written since a time.
    pub fn start_at(&mut self, since_ms: Option<i64>) -> Result<(), Error> {
        let mut from: BTreeMap<i32, i64> = self.bounds.iter().map(|(&p, bounds)| (p, bounds.first)).collect();
        if let Some(since) = since_ms {
            let mut asked = TopicPartitionList::new();
            for &partition in self.bounds.keys() {
                self.add(&mut asked, partition, Offset::Offset(since))?;
            }
            let answer = self
                .consumer
                .offsets_for_times(asked, ANSWER_MAX)
                .map_err(|e| broker_error(format_args!("cannot look a time up in {}", self.topic), &e))?;
            for element in answer.elements() {
                match element.offset() {
                    Offset::Offset(offset) => drop(from.insert(element.partition(), offset)),
                    // Nothing was written since then.
                    _ => drop(from.remove(&element.partition())),
                }
            }
        }
        self.start(&from)
    }

    /// The offsets behind what the group has replayed; a partition without any is left out.
    pub fn committed(&self) -> Result<BTreeMap<i32, i64>, Error> {
        let mut asked = TopicPartitionList::new();
        for &partition in self.bounds.keys() {
            asked.add_partition(&self.topic, partition);
        }
        let answer = self
            .consumer
            .committed_offsets(asked, ANSWER_MAX)
            .map_err(|e| broker_error("cannot ask what was replayed before", &e))?;
        let known = answer.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        });
        Ok(known.collect())
    }

    /// Offsets as a transaction takes them.
    pub fn list(&self, offsets: &BTreeMap<i32, i64>) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::new();
        for (&partition, &offset) in offsets {
            self.add(&mut list, partition, Offset::Offset(offset))?;
        }
        Ok(list)
    }

    pub fn group(&self) -> Result<ConsumerGroupMetadata, Error> {
        self.consumer.group_metadata().ok_or_else(|| Error::new(Fault::Bug, "the reader belongs to no group"))
    }

    /// How many partitions each topic of the cluster has.
    pub fn partition_counts(&self) -> Result<BTreeMap<String, i32>, Error> {
        let metadata = self.consumer.fetch_metadata(None, ANSWER_MAX).map_err(|e| unreachable(&self.servers, &e))?;
        let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(there.map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32)).collect())
    }

    /// The next letter; `None` once every end is reached.
    pub fn next(&mut self) -> Result<Option<Letter>, Error> {
        while !self.open.is_empty() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    self.heard = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let end = self.bounds.get(&partition).map_or(0, |bounds| bounds.end);
                    if offset + 1 >= end {
                        self.open.remove(&partition);
                    }
                    if offset < end {
                        return Ok(Some(Letter(record(&message))));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.heard = Instant::now();
                    self.open.remove(&partition);
                }
                Some(Err(error)) if !is_passing(&error) => {
                    return Err(broker_error(format_args!("cannot read {}", self.topic), &error));
                }
                Some(Err(error)) if self.heard.elapsed() > ANSWER_MAX => {
                    return Err(unreachable(&self.servers, &error));
                }
                None if self.heard.elapsed() > ANSWER_MAX => {
                    let message = format!("nothing came from {} for {} s", self.topic, ANSWER_MAX.as_secs());
                    return Err(Error::new(Fault::Broker, message));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(None)
    }

    fn add(&self, list: &mut TopicPartitionList, partition: i32, offset: Offset) -> Result<(), Error> {
        list.add_partition_offset(&self.topic, partition, offset)
            .map_err(|e| Error::new(Fault::Bug, format!("no offset for {}/{partition}: {e}", self.topic)))
    }
}

/// The group that remembers what was replayed; its name is the replaying producer's transactional id too.
pub fn group(settings: &Settings) -> String {
    format!("{}-dead-letters-replay", settings.kafka.group_prefix)
}

fn consumer(settings: &Settings) -> Result<BaseConsumer, Error> {
    client_config(&settings.kafka)
        .set("group.id", group(settings))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", FETCHED_KILOBYTES_MAX.to_string())
        .create()
        .map_err(|e| broker_error("cannot create the reader of dead letters", &e))
}

/// What the client heals by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(C::AllBrokersDown | C::BrokerTransportFailure | C::OperationTimedOut | C::Resolve)
    )
}

fn record(message: &BorrowedMessage<'_>) -> RawRecord {
    let header =
        |h: KafkaHeader<'_, &[u8]>| Header { name: h.key.to_owned(), value: h.value.map(Bytes::copy_from_slice) };
    RawRecord {
        origin: Origin { topic: message.topic().into(), partition: message.partition(), offset: message.offset() },
        key: message.key().map(Bytes::copy_from_slice),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        timestamp_ms: message.timestamp().to_millis(),
        payload: message.payload().map(Bytes::copy_from_slice),
    }
}
