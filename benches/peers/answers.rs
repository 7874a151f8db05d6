//! What came out, as a reader that sees only what is committed finds it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::Outcome;
use super::broker::{Broker, PARTITIONS};

const READ_MAX: Duration = Duration::from_secs(120);
/// As near as two programs come that add up in different orders.
const SAME: f64 = 1e-4;

/// By event.
pub struct Answers(HashMap<String, Answer>);

/// What was said of an event last, and how often anything was.
struct Answer {
    times: usize,
    said: Said,
}

/// What both sides write, of clicks and of texts.
#[derive(Deserialize)]
struct Said {
    event_id: String,
    purchase_probability: Option<f64>,
    session: Option<Session>,
    sentiment: Option<Sentiment>,
}

#[derive(Deserialize, PartialEq)]
struct Session {
    id: String,
    clicks: u32,
}

#[derive(Deserialize, PartialEq)]
struct Sentiment {
    label: String,
}

/// How many events a job lost and doubled, and of how many it said something else than the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub lost: usize,
    pub doubled: usize,
    pub changed: usize,
}

/// How alike two jobs' answers are.
pub struct Likeness {
    pub events: usize,
    pub same: usize,
    pub largest: f64,
}

impl Answers {
    pub fn read(broker: &Broker, topic: &str) -> Outcome<Answers> {
        let reader: BaseConsumer = broker
            .client()
            .set("group.id", format!("{topic}-reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        reader.assign(&partitions)?;
        let (mut answers, mut ended, started) = (HashMap::new(), 0, Instant::now());
        while ended < PARTITIONS {
            if started.elapsed() > READ_MAX {
                return Err(format!("{topic} could not be read to its end").into());
            }
            match reader.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(message) => {
                    let said: Said = serde_json::from_slice(message?.payload().unwrap_or_default())?;
                    let times = answers.get(&said.event_id).map_or(0, |answer: &Answer| answer.times) + 1;
                    answers.insert(said.event_id.clone(), Answer { times, said });
                }
            }
        }
        Ok(Answers(answers))
    }

    /// Against the answers of a job that was not disturbed, which hold every event.
    pub fn differences(&self, reference: &Answers) -> Differences {
        let mut differences = Differences::default();
        for (event, expected) in &reference.0 {
            match self.0.get(event) {
                None => differences.lost += 1,
                Some(answer) => {
                    differences.doubled += answer.times - 1;
                    differences.changed += usize::from(!answer.said.is_like(&expected.said));
                }
            }
        }
        differences
    }

    pub fn likeness(&self, other: &Answers) -> Likeness {
        let both = self.0.iter().filter_map(|(event, answer)| Some((&answer.said, &other.0.get(event)?.said)));
        let mut likeness = Likeness { events: self.0.len(), same: 0, largest: 0.0 };
        for (here, there) in both {
            likeness.same += usize::from(here.is_like(there));
            likeness.largest = likeness.largest.max(here.distance(there));
        }
        likeness
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Said {
    fn is_like(&self, other: &Said) -> bool {
        self.distance(other) <= SAME && self.session == other.session && self.sentiment == other.sentiment
    }

    fn distance(&self, other: &Said) -> f64 {
        match (self.purchase_probability, other.purchase_probability) {
            (Some(here), Some(there)) => (here - there).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        }
    }
}
