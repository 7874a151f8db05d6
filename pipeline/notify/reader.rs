//! Reads the topic of alerts for one receiver, as a consumer group of its own.
//!
//! A partition that is assigned is read from a little before its committed offset: what lies before it was told, and is
//! what the receiver knows. A group that has committed nothing begins at the end, which is committed at once: a new
//! receiver is not told of everything that ever was. A committed offset behind the end is one of another topic of that
//! name: then it is read from the end too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::queue::Place;
use crate::codec::read_written;
use crate::config::{Kafka, OutputFormat, Outputs, Receiver};
use crate::event::{Error, v1};
use crate::kafka::{Uses, broker_error, client_config, commit_starts, is_over, is_refusal, is_stale, log};
use crate::telemetry::{AlertsMissed, BrokerFailed};

/// Records before the committed offset that are read to know what the receiver knows: an alert that goes on is written
/// again every few buckets, so its last record is not far.
const BEFORE: i64 = 10_000;
/// One question to the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Before something that the brokers have not answered is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often what was only passed over is committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What was read.
#[derive(Debug)]
pub enum Seen {
    Begins {
        partition: i32,
        offset: i64,
    },
    Leaves {
        partition: i32,
    },
    /// What lies before its begin was read, or is not there.
    CaughtUp {
        partition: i32,
    },
    /// Of before the committed offset.
    Before {
        alert: Box<v1::Alert>,
        partition: i32,
    },
    Alert {
        alert: Box<v1::Alert>,
        place: Place,
        /// When it was written.
        at_ms: i64,
    },
    /// A record without a value.
    Deleted {
        place: Place,
    },
    Unreadable {
        place: Place,
        error: String,
    },
}

pub struct Reader {
    consumer: BaseConsumer<Context>,
    topic: String,
    group: String,
    format: OutputFormat,
    /// By partition, from where on records are to be told. None yet: the partition is not placed.
    begins: BTreeMap<i32, Option<i64>>,
    out: VecDeque<Seen>,
    committed: BTreeMap<i32, i64>,
    commit_due: Instant,
    place_due: Instant,
    paused: bool,
}

impl Reader {
    pub fn new(receiver: &Receiver, kafka: &Kafka, outputs: &Outputs, instance: &str) -> Result<Reader, Error> {
        let group = super::group(receiver, kafka);
        let mut config = client_config(kafka);
        config
            .set("group.id", &group)
            .set("client.id", format!("{group}-{instance}"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The end says that nothing lies between the last record and it: markers of transactions are no records.
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed");
        let failed = |error| broker_error(format_args!("cannot read alerts for {}", receiver.name), &error);
        let consumer: BaseConsumer<Context> = config.create_with_context(Context::default()).map_err(failed)?;
        consumer.subscribe(&[&outputs.alerts]).map_err(failed)?;
        Ok(Reader {
            consumer,
            topic: outputs.alerts.clone(),
            group,
            format: outputs.format,
            begins: BTreeMap::new(),
            out: VecDeque::new(),
            committed: BTreeMap::new(),
            commit_due: Instant::now(),
            place_due: Instant::now(),
            paused: false,
        })
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    /// The next thing read; none within this time.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Seen>, Error> {
        if let Some(seen) = self.out.pop_front() {
            return Ok(Some(seen));
        }
        let polled = self.consumer.poll(wait).map(|message| message.map(|message| message.detach()));
        // What was said of the partitions meanwhile comes first.
        let moved = std::mem::take(&mut *self.consumer.context().moved());
        for change in moved {
            self.rebalanced(change);
        }
        match polled {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                if matches!(self.begins.get(&partition), Some(Some(_))) {
                    self.out.push_back(Seen::CaughtUp { partition });
                }
            }
            Some(Err(error)) => self.failed("cannot read alerts", &error)?,
            Some(Ok(message)) => self.out.extend(read(&message, &self.begins, self.format)),
        }
        self.place()?;
        Ok(self.out.pop_front())
    }

    /// While there is no room, polls go on without records, so that the group keeps this member.
    pub fn pause(&mut self, pause: bool) {
        if pause == self.paused {
            return;
        }
        let Ok(assigned) = self.consumer.assignment() else { return };
        let changed = if pause { self.consumer.pause(&assigned) } else { self.consumer.resume(&assigned) };
        self.paused = if changed.is_ok() { pause } else { self.paused };
    }

    /// Commits where it has changed; now and then, not with every record.
    pub fn commit(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), Error> {
        if Instant::now() < self.commit_due || self.committed == *positions {
            return Ok(());
        }
        self.commit_due = Instant::now() + COMMIT_EVERY;
        match self.commit_now(positions, CommitMode::Sync) {
            Ok(()) => {
                self.committed.clone_from(positions);
                Ok(())
            }
            Err(error) => self.failed("cannot commit what was told", &error),
        }
    }

    /// Leaves the group, having committed.
    pub fn leave(self, positions: &BTreeMap<i32, i64>) {
        // What could not be committed is told again.
        let _ = self.commit_now(positions, CommitMode::Sync);
    }

    fn commit_now(&self, positions: &BTreeMap<i32, i64>, mode: CommitMode) -> Result<(), KafkaError> {
        let placed = positions.iter().filter(|(partition, _)| matches!(self.begins.get(partition), Some(Some(_))));
        let mut list = TopicPartitionList::new();
        for (partition, position) in placed {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*position))?;
        }
        if list.count() == 0 { Ok(()) } else { self.consumer.commit(&list, mode) }
    }

    fn rebalanced(&mut self, change: Moved) {
        match change {
            Moved::Assigned(partitions) => {
                self.begins.extend(partitions.into_iter().map(|partition| (partition, None)));
                (self.paused, self.place_due) = (false, Instant::now());
            }
            Moved::Revoked(partitions) => {
                for partition in partitions {
                    self.begins.remove(&partition);
                    self.committed.remove(&partition);
                    self.out.push_back(Seen::Leaves { partition });
                }
            }
        }
    }

    /// Goes to where assigned partitions are to be read from; records of before that are passed over.
    fn place(&mut self) -> Result<(), Error> {
        if Instant::now() < self.place_due || self.begins.values().all(Option::is_some) {
            return Ok(());
        }
        self.place_due = Instant::now() + RETRY;
        let unplaced: Vec<i32> =
            self.begins.iter().filter(|(_, begin)| begin.is_none()).map(|(partition, _)| *partition).collect();
        match self.placed(&unplaced) {
            Ok(begins) => {
                for (partition, offset) in begins {
                    self.begins.insert(partition, Some(offset));
                    self.out.push_back(Seen::Begins { partition, offset });
                }
                Ok(())
            }
            // Another assignment follows.
            Err(error) if is_over(&error) => Ok(()),
            Err(error) => self.failed("cannot find where to read alerts from", &error),
        }
    }

    fn placed(&self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        commit_starts(&self.consumer, &list)?;
        let committed = self.consumer.committed_offsets(list, ANSWER_MAX)?;
        let mut begins = Vec::new();
        for partition in committed.elements_for_topic(&self.topic) {
            partition.error()?;
            let number = partition.partition();
            let (low, high) = self.consumer.fetch_watermarks(&self.topic, number, ANSWER_MAX)?;
            let committed = partition.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(low);
            if committed > high {
                let (topic, group) = (self.topic.as_str(), self.group.as_str());
                AlertsMissed { topic, group, partition: number, committed, end: high }.emit();
            }
            let offset = committed.min(high);
            self.consumer.seek(&self.topic, number, Offset::Offset((offset - BEFORE).max(low)), ANSWER_MAX)?;
            begins.push((number, offset));
        }
        Ok(begins)
    }

    /// Tells what is tried again, and returns what is not.
    fn failed(&self, doing: &str, error: &KafkaError) -> Result<(), Error> {
        let told = broker_error(doing, error);
        let code = error.rdkafka_error_code();
        if code.is_some_and(is_stale) {
            return Ok(());
        }
        if let Some(code) = code.filter(|code| is_refusal(*code) || *code == RDKafkaErrorCode::Fatal) {
            let topics = vec![self.topic.as_str()];
            let uses = Uses { operation: "READ", topics, group: &self.group, transactional_id: "" };
            return Err(uses.refusal(told.message, code));
        }
        BrokerFailed { stage: "notify", error: &told.message }.emit();
        Ok(())
    }
}

/// `None`: nothing to tell, or of a partition that is not placed yet; it is read again.
fn read(message: &OwnedMessage, begins: &BTreeMap<i32, Option<i64>>, format: OutputFormat) -> Option<Seen> {
    let (partition, offset) = (message.partition(), message.offset());
    let begin = (*begins.get(&partition)?)?;
    let Some(payload) = message.payload() else {
        return (offset >= begin).then_some(Seen::Deleted { place: (partition, offset) });
    };
    let alert = read_written::<v1::Alert>(format, payload);
    match alert {
        Ok(alert) if offset < begin => Some(Seen::Before { alert: Box::new(alert), partition }),
        Ok(alert) => {
            let at_ms = message.timestamp().to_millis().unwrap_or_default();
            Some(Seen::Alert { alert: Box::new(alert), place: (partition, offset), at_ms })
        }
        Err(_) if offset < begin => None,
        Err(rejection) => Some(Seen::Unreadable {
            place: (partition, offset),
            error: format!("record {partition}@{offset} is no alert: {}", rejection.message),
        }),
    }
}

/// A change of what this member reads.
#[derive(Debug)]
enum Moved {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

#[derive(Clone, Default)]
struct Context {
    moved: Arc<Mutex<Vec<Moved>>>,
}

impl Context {
    fn moved(&self) -> MutexGuard<'_, Vec<Moved>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.moved().push(Moved::Revoked(numbers(partitions)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.moved().push(Moved::Assigned(numbers(partitions)));
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(|partition| partition.partition()).collect()
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    #[test]
    fn what_was_told_what_is_told_and_what_is_no_alert_are_told_apart() {
        let begins = [(0, Some(10)), (1, None)].into();
        let seen = |payload: Option<&str>, partition, offset| {
            let payload = payload.map(|payload| payload.as_bytes().to_vec());
            let time = Timestamp::CreateTime(7);
            let message = OwnedMessage::new(payload, None, "alerts".into(), time, partition, offset, None);
            match read(&message, &begins, OutputFormat::Json) {
                None => "nothing".to_owned(),
                Some(Seen::Before { alert, partition }) => format!("{} before, of {partition}", alert.id),
                Some(Seen::Alert { alert, place, at_ms }) => format!("{} at {place:?}, {at_ms}", alert.id),
                Some(Seen::Deleted { place }) => format!("deleted at {place:?}"),
                Some(Seen::Unreadable { place, .. }) => format!("unreadable at {place:?}"),
                Some(other) => panic!("{other:?}"),
            }
        };
        let alert = Some(r#"{"id": "a"}"#);
        assert_eq!(seen(alert, 0, 9), "a before, of 0");
        assert_eq!(seen(alert, 0, 10), "a at (0, 10), 7");
        // Else the group's lag would never be 0.
        assert_eq!(seen(None, 0, 11), "deleted at (0, 11)");
        assert_eq!(seen(Some("x"), 0, 12), "unreadable at (0, 12)");
        assert_eq!((seen(None, 0, 9), seen(Some("x"), 0, 9)), ("nothing".into(), "nothing".into()));
        assert_eq!((seen(alert, 1, 11), seen(alert, 2, 11)), ("nothing".into(), "nothing".into()), "not placed");
    }
}
