use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::KeeperOptions;
use crate::event::{Error, Fault, TopicPartition};
use crate::kafka::{self, broker_error, is_refusal};
use crate::state::{Mark, StateError, checksum};
use crate::telemetry::BrokerFailed;

/// One try of a question to the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long to wait until something that others decide is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a topic may stay unknown that was made a moment ago.
const MISSING_MAX: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(100);

/// Reads changelogs. It joins no group.
pub(super) struct Reader {
    stage: &'static str,
    /// Sees what is committed and nothing else.
    committed: BaseConsumer,
    /// Sees where logs end, open transactions included.
    ends: BaseConsumer,
}

/// One partition of a changelog, and the part of it that is to be read.
pub(super) struct Changelog<'a> {
    topic: &'a str,
    partition: i32,
    /// The first offset that is still there.
    pub low: i64,
    /// The offset behind the last record that counts.
    pub high: i64,
}

/// Why a changelog was not read to its end.
pub(super) enum Unread {
    /// Nobody wants it any more.
    Unwanted,
    /// To be tried again.
    Broker(String),
    State(StateError),
    /// Trying again cannot help.
    Refused(Error),
}

impl From<StateError> for Unread {
    fn from(error: StateError) -> Unread {
        Unread::State(error)
    }
}

impl Reader {
    pub fn new(options: &KeeperOptions) -> Result<Reader, Error> {
        let consumer = |isolation: &str| -> Result<BaseConsumer, Error> {
            let mut config = kafka::client_config(&options.kafka);
            config
                .set("group.id", &options.group)
                .set("client.id", format!("{}-restore", options.group))
                .set("enable.auto.commit", "false")
                .set("enable.auto.offset.store", "false")
                .set("enable.partition.eof", "true")
                .set("auto.offset.reset", "error")
                .set("isolation.level", isolation);
            config.create().map_err(|e| broker_error("cannot create the consumer of changelogs", &e))
        };
        Ok(Reader { stage: options.stage, committed: consumer("read_committed")?, ends: consumer("read_uncommitted")? })
    }

    /// Something that is tried again.
    pub fn trouble(&self, error: &str) {
        BrokerFailed { stage: self.stage, error }.emit();
    }

    /// Waits until no transaction is deciding about the group's offset in this partition.
    pub fn await_decided_offset(&self, input: &TopicPartition, wanted: &AtomicBool) -> Result<(), Unread> {
        let doing = "cannot read the committed offset";
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&input.topic, input.partition);
        loop {
            still(wanted)?;
            // Where one is undecided, librdkafka asks again until the time is up.
            let answer = self.committed.committed_offsets(asked.clone(), ANSWER_MAX);
            match answer.and_then(|offsets| offsets.elements().iter().try_for_each(|element| element.error())) {
                Ok(()) => return Ok(()),
                Err(error) => self.fault(doing, &error)?,
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The part of a changelog that counts, as soon as all of it is decided.
    pub fn changelog<'a>(&self, topic: &'a str, partition: i32, wanted: &AtomicBool) -> Result<Changelog<'a>, Unread> {
        let doing = "cannot read where the changelog ends";
        let deadline = Instant::now() + MISSING_MAX;
        let (low, high) = loop {
            still(wanted)?;
            match self.ends.fetch_watermarks(topic, partition, ANSWER_MAX) {
                Ok(ends) => break ends,
                Err(error) if is_missing(&error) && Instant::now() >= deadline => {
                    return Err(Unread::Refused(missing(topic, partition)));
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => self.fault(doing, &error)?,
            }
            thread::sleep(LOOK_AGAIN);
        };
        loop {
            still(wanted)?;
            match self.committed.fetch_watermarks(topic, partition, ANSWER_MAX) {
                Ok((_, decided)) if decided >= high => return Ok(Changelog { topic, partition, low, high }),
                Ok(_) => {}
                Err(error) => self.fault(doing, &error)?,
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Whether the record at which somebody stands is still the same one.
    pub fn is_there(&self, changelog: &Changelog<'_>, mark: Mark, wanted: &AtomicBool) -> Result<bool, Unread> {
        if !(changelog.low..changelog.high).contains(&mark.offset) {
            return Ok(false);
        }
        let mut found = None;
        self.each(changelog, mark.offset, wanted, |message| {
            found = Some(mark_of(message));
            Ok(false)
        })?;
        Ok(found.is_some_and(|found| Mark { set_ms: mark.set_ms, ..found } == mark))
    }

    /// Hands every record from this offset on to `take`, with its key and value.
    pub fn read(
        &self,
        changelog: &Changelog<'_>,
        from: i64,
        wanted: &AtomicBool,
        mut take: impl FnMut(Mark, Bytes, Option<Bytes>) -> Result<(), StateError>,
    ) -> Result<(), Unread> {
        if from >= changelog.high {
            return Ok(());
        }
        self.each(changelog, from, wanted, |message| {
            let (Some(key), value) = (message.key(), message.payload()) else {
                let at = format!("{}/{}/{}", message.topic(), message.partition(), message.offset());
                return Err(StateError::Incompatible(format!("record {at} of the changelog has no key")));
            };
            take(mark_of(message), Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice))?;
            Ok(true)
        })
    }

    /// Records in their order, until `take` has enough or the end is reached.
    fn each(
        &self,
        changelog: &Changelog<'_>,
        from: i64,
        wanted: &AtomicBool,
        mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<bool, StateError>,
    ) -> Result<(), Unread> {
        let mut assignment = TopicPartitionList::new();
        let assigned = assignment
            .add_partition_offset(changelog.topic, changelog.partition, Offset::Offset(from))
            .and_then(|()| self.committed.assign(&assignment));
        assigned.map_err(|e| Unread::Broker(broker_error("cannot read the changelog", &e).message))?;
        let read = loop {
            if let Err(unwanted) = still(wanted) {
                break Err(unwanted);
            }
            match self.committed.poll(POLL_WAIT) {
                None => {}
                Some(Ok(message)) => match take(&message) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error.into()),
                },
                // Everything before the end was decided when reading began, so this is that end or one behind it.
                Some(Err(KafkaError::PartitionEOF(_))) => break Ok(()),
                Some(Err(error)) => break Err(unread("cannot read the changelog", &error)),
            }
        };
        if let Err(error) = self.committed.unassign() {
            tracing::debug!(error = %error, "leaving a changelog");
        }
        read
    }

    /// Tells what is tried again, and returns what is not.
    fn fault(&self, doing: &str, error: &KafkaError) -> Result<(), Unread> {
        match unread(doing, error) {
            Unread::Broker(why) => {
                self.trouble(&why);
                Ok(())
            }
            refused => Err(refused),
        }
    }
}

fn still(wanted: &AtomicBool) -> Result<(), Unread> {
    if wanted.load(Ordering::Relaxed) { Ok(()) } else { Err(Unread::Unwanted) }
}

fn unread(doing: &str, error: &KafkaError) -> Unread {
    let told = broker_error(doing, error);
    if error.rdkafka_error_code().is_some_and(is_refusal) {
        Unread::Refused(told)
    } else {
        Unread::Broker(told.message)
    }
}

fn is_missing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(error.rdkafka_error_code(), Some(C::UnknownTopicOrPartition | C::UnknownPartition | C::UnknownTopic))
}

fn missing(topic: &str, partition: i32) -> Error {
    Error::new(Fault::Config, format!("changelog {topic} is not there, or has no partition {partition}"))
        .hint("it needs as many partitions as the input; groundswell topics --create makes it")
}

fn mark_of(message: &BorrowedMessage<'_>) -> Mark {
    Mark {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        checksum: checksum(message.key().unwrap_or_default(), message.payload().unwrap_or_default()),
        set_ms: 0,
    }
}
