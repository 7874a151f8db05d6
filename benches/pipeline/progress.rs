//! How far a group has come in a topic.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Supplied, Supply};

/// How often it is asked what is committed: while more than `LAST_RECORDS` are left, and at the end.
const LOOK_FAR: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(20);
const LAST_RECORDS: usize = 2000;
/// Without any progress.
const STUCK_AFTER: Duration = Duration::from_secs(60);

pub struct Progress {
    topic: String,
    /// Never subscribed: it only asks what the group has committed.
    group: BaseConsumer,
    /// Offsets of all partitions together behind the last record.
    end: usize,
}

impl Progress {
    pub fn new(broker: &Broker, group: &str, topic: &str) -> Outcome<Progress> {
        let group = broker.client().set("group.id", group).create()?;
        Ok(Progress { topic: topic.to_owned(), group, end: 0 })
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Records a second, from when the first of them can be read until the last is committed, which is when its result is
    /// visible.
    pub fn rate<T: Supplied>(
        &mut self,
        broker: &Broker,
        records: &[T],
        supply: Supply,
        finished: impl Fn() -> bool,
    ) -> Outcome<f64> {
        self.end += records.len();
        let took = broker.feed(&self.topic, records, supply, || self.wait(finished))?;
        if supply == Supply::Backlog {
            // The marker that ends a transaction takes an offset in each partition.
            self.end += PARTITIONS as usize;
        }
        Ok(records.len() as f64 / took.as_secs_f64())
    }

    /// Waits until so many more records, which were written by somebody else, are committed.
    pub fn wrote(&mut self, records: usize, finished: impl Fn() -> bool) -> Outcome<()> {
        self.end += records;
        self.wait(finished)
    }

    /// Waits until all that transactions have written by now is committed. Each ends with a marker, which no group commits.
    pub fn through(&mut self, finished: impl Fn() -> bool) -> Outcome<()> {
        self.end = 0;
        for partition in 0..PARTITIONS {
            let (_, end) = self.group.fetch_watermarks(&self.topic, partition, Duration::from_secs(5))?;
            self.end += usize::try_from((end - 1).max(0))?;
        }
        self.wait(finished)
    }

    /// Asks for the group's offsets instead of reading what came out: a reader would take its share of the cores, and so
    /// does asking, which is why it is done rarely until the end is near. `finished`: nobody works on them any more.
    fn wait(&self, finished: impl Fn() -> bool) -> Outcome<()> {
        let (mut least, mut since) = (usize::MAX, Instant::now());
        loop {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&self.topic, 0, PARTITIONS - 1);
            let committed = self.group.committed_offsets(partitions, Duration::from_secs(5))?;
            let offsets: i64 = committed.elements().iter().filter_map(|e| e.offset().to_raw()).filter(|o| *o > 0).sum();
            let left = self.end.saturating_sub(usize::try_from(offsets)?);
            if left == 0 {
                return Ok(());
            }
            if left < least {
                (least, since) = (left, Instant::now());
            }
            if finished() || since.elapsed() > STUCK_AFTER {
                return Err(format!("{left} of {} offsets are not committed, and no more come", self.end).into());
            }
            std::thread::sleep(if left < LAST_RECORDS { LOOK } else { LOOK_FAR });
        }
    }
}
