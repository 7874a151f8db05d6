//! Scored texts out of a topic, at full speed and in the order of their event time over all partitions.
//!
//! Read is what lies there when it begins. A partition that is ahead of the others waits for them, so that memory holds a
//! few thousand texts whatever the topic holds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::codec::read_written;
use crate::config::Settings;
use crate::event::json::time;
use crate::event::{Error, Fault, v1};
use crate::kafka::{broker_error, client_config, watermarks};

/// Texts of a partition that wait for the other partitions; at the half it is read again.
const AHEAD_MAX: usize = 4_000;
/// One question to the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Without a record and without an end: the brokers are gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is read: of these texts, those with an event time from `since` up to, not with, `until`.
pub struct Span<'a> {
    pub topic: &'a str,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

struct Partition {
    number: i32,
    /// Behind the last record that is read.
    end: i64,
    texts: VecDeque<(i64, v1::Scored)>,
    over: bool,
    paused: bool,
}

/// Hands each text on, or why a record is none. Gives how many records were read.
pub fn read(
    settings: &Settings,
    span: &Span,
    mut take: impl FnMut(Result<(i64, v1::Scored), String>),
) -> Result<u64, Error> {
    let mut reader = Reader::new(settings, span)?;
    let (mut records, mut heard) = (0, Instant::now());
    loop {
        while let Some(text) = reader.earliest() {
            take(Ok(text));
        }
        if reader.partitions.iter().all(|partition| partition.over) {
            return Ok(records);
        }
        reader.pace()?;
        match reader.consumer.poll(POLL) {
            None if heard.elapsed() < SILENCE_MAX => continue,
            None => {
                let message =
                    format!("topic {} has not been read to its end: nothing came for {SILENCE_MAX:?}", span.topic);
                return Err(Error::new(Fault::Broker, message));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => reader.end(partition),
            Some(Err(error)) => return Err(failed(span.topic, &error)),
            Some(Ok(message)) => {
                records += 1;
                let place = (message.partition(), message.offset());
                let text = scored(&message, settings);
                drop(message);
                if let Some(why) = reader.put(place, text, span) {
                    take(Err(why));
                }
            }
        }
        heard = Instant::now();
    }
}

struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<Partition>,
}

impl Reader {
    fn new(settings: &Settings, span: &Span) -> Result<Reader, Error> {
        let error = |error: KafkaError| failed(span.topic, &error);
        let consumer: BaseConsumer = client_config(&settings.kafka)
            .set("client.id", format!("{}-backtest", settings.kafka.group_prefix))
            // Needed to be a consumer; nothing is committed in it.
            .set("group.id", format!("{}-backtest", settings.kafka.group_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .map_err(error)?;
        // Metadata of all topics: asking for one by its name could make it.
        let metadata = consumer.fetch_metadata(None, ANSWER_MAX).map_err(error)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == span.topic);
        let Some(topic) = topic.filter(|topic| !topic.partitions().is_empty()) else {
            let message = format!("topic {} is not there", span.topic);
            return Err(Error::new(Fault::Config, message).hint("kafka.bootstrap_servers says where it is looked for"));
        };
        let mut starts = TopicPartitionList::new();
        let mut partitions = Vec::new();
        for partition in topic.partitions() {
            let number = partition.id();
            let (low, end) = watermarks(&consumer, span.topic, number, ANSWER_MAX).map_err(error)?;
            let start = start(&consumer, span, number).map_err(error)?.unwrap_or(low).max(low);
            if start < end {
                starts.add_partition_offset(span.topic, number, Offset::Offset(start)).map_err(error)?;
                let texts = VecDeque::new();
                partitions.push(Partition { number, end, texts, over: false, paused: false });
            }
        }
        consumer.assign(&starts).map_err(error)?;
        Ok(Reader { consumer, topic: span.topic.to_owned(), partitions })
    }

    fn of(&mut self, number: i32) -> Option<&mut Partition> {
        self.partitions.iter_mut().find(|partition| partition.number == number)
    }

    fn end(&mut self, number: i32) {
        if let Some(partition) = self.of(number) {
            partition.over = true;
        }
    }

    /// Why the record is no text, if it is none.
    fn put(
        &mut self,
        (number, offset): (i32, i64),
        text: Result<(i64, v1::Scored), String>,
        span: &Span,
    ) -> Option<String> {
        let partition = self.of(number)?;
        if offset >= partition.end {
            partition.over = true;
            return None;
        }
        partition.over |= offset + 1 == partition.end;
        let (at_ms, text) = match text {
            Ok(text) => text,
            Err(why) => return Some(format!("{}/{number}@{offset}: {why}", span.topic)),
        };
        let after = span.since.is_none_or(|since| at_ms >= since.as_millisecond());
        if after && span.until.is_none_or(|until| at_ms < until.as_millisecond()) {
            partition.texts.push_back((at_ms, text));
        }
        None
    }

    /// The text that comes next over all partitions; none while one is not known that may be earlier.
    fn earliest(&mut self) -> Option<(i64, v1::Scored)> {
        if self.partitions.iter().any(|partition| partition.texts.is_empty() && !partition.over) {
            return None;
        }
        let first = |partition: &Partition| partition.texts.front().map(|(at_ms, _)| *at_ms);
        let next = self.partitions.iter_mut().filter(|partition| !partition.texts.is_empty());
        next.min_by_key(|partition| first(partition))?.texts.pop_front()
    }

    /// Who is ahead waits.
    fn pace(&mut self) -> Result<(), Error> {
        for partition in &mut self.partitions {
            let pause = match partition.texts.len() {
                AHEAD_MAX.. => true,
                waiting if waiting <= AHEAD_MAX / 2 => false,
                _ => partition.paused,
            };
            if pause == partition.paused || partition.over {
                continue;
            }
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, partition.number);
            let changed = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            changed.map_err(|error| failed(&self.topic, &error))?;
            partition.paused = pause;
        }
        Ok(())
    }
}

/// The first record that was written at or after `since`: a text is scored after it was written. `None`: from the beginning.
fn start(consumer: &BaseConsumer, span: &Span, partition: i32) -> Result<Option<i64>, KafkaError> {
    let Some(since) = span.since else { return Ok(None) };
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(span.topic, partition, Offset::Offset(since.as_millisecond()))?;
    let found = consumer.offsets_for_times(times, ANSWER_MAX)?;
    let offset = found.elements().first().map(|element| element.offset());
    Ok(match offset {
        Some(Offset::Offset(offset)) => Some(offset),
        // Nothing was written since.
        _ => Some(i64::MAX),
    })
}

fn scored(message: &BorrowedMessage<'_>, settings: &Settings) -> Result<(i64, v1::Scored), String> {
    let payload = message.payload().ok_or("the record has no value")?;
    let mut scored: v1::Scored =
        read_written(settings.outputs.format, payload).map_err(|rejection| rejection.message)?;
    let at_ms = scored.event_time.as_ref().and_then(time::to_ms).ok_or("event_time is missing")?;
    // As the stage has it: a sample is found again where it was scored.
    let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
    scored.origin = Some(v1::Origin { topic, partition, offset });
    Ok((at_ms, scored))
}

fn failed(topic: &str, error: &KafkaError) -> Error {
    broker_error(format_args!("cannot read topic {topic}"), error)
}
