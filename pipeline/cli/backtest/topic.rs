//! Scored texts, scored clicks or dead letters out of a topic, at full speed and in the order of their event time over all partitions.
//!
//! Read is what lies there when it begins. A partition that is ahead of the others waits for them, so that memory holds a
//! few thousand of them whatever the topic holds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::de::DeserializeOwned;

use super::event::Event;
use crate::codec::read_written;
use crate::config::{OutputFormat, Settings};
use crate::event::{Error, Fault, v1};
use crate::kafka::{broker_error, client_config, watermarks};
use crate::sink::HEADER_PREFIX;

/// Events of a partition that wait for the other partitions; at the half it is read again.
const AHEAD_MAX: usize = 4_000;
/// One question to the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Without a record and without an end: the brokers are gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is read: of these records, those with an event time from `since` up to, not with, `until`.
pub struct Span<'a> {
    pub topic: &'a str,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

struct Partition {
    number: i32,
    /// Behind the last record that is read.
    end: i64,
    events: VecDeque<(i64, Event)>,
    over: bool,
    paused: bool,
}

/// Hands each event on, or why a record is none. Gives how many records were read.
pub fn read(
    settings: &Settings,
    span: &Span,
    mut take: impl FnMut(Result<(i64, Event), String>),
) -> Result<u64, Error> {
    let mut reader = Reader::new(settings, span)?;
    let (mut records, mut heard) = (0, Instant::now());
    loop {
        while let Some(event) = reader.earliest() {
            take(Ok(event));
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
                let event = event(&message, settings);
                drop(message);
                if let Some(why) = reader.put(place, event, span) {
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
                let events = VecDeque::new();
                partitions.push(Partition { number, end, events, over: false, paused: false });
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

    /// Why the record is no event, if it is none.
    fn put(
        &mut self,
        (number, offset): (i32, i64),
        event: Result<(i64, Event), String>,
        span: &Span,
    ) -> Option<String> {
        let partition = self.of(number)?;
        if offset >= partition.end {
            partition.over = true;
            return None;
        }
        partition.over |= offset + 1 == partition.end;
        let (at_ms, event) = match event {
            Ok(event) => event,
            Err(why) => return Some(format!("{}/{number}@{offset}: {why}", span.topic)),
        };
        let after = span.since.is_none_or(|since| at_ms >= since.as_millisecond());
        if after && span.until.is_none_or(|until| at_ms < until.as_millisecond()) {
            partition.events.push_back((at_ms, event));
        }
        None
    }

    /// The event that comes next over all partitions; none while one is not known that may be earlier.
    fn earliest(&mut self) -> Option<(i64, Event)> {
        if self.partitions.iter().any(|partition| partition.events.is_empty() && !partition.over) {
            return None;
        }
        let first = |partition: &Partition| partition.events.front().map(|(at_ms, _)| *at_ms);
        let next = self.partitions.iter_mut().filter(|partition| !partition.events.is_empty());
        next.min_by_key(|partition| first(partition))?.events.pop_front()
    }

    /// Who is ahead waits.
    fn pace(&mut self) -> Result<(), Error> {
        for partition in &mut self.partitions {
            let pause = match partition.events.len() {
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

/// The first record that was written at or after `since`: an event is scored after it was written. `None`: from the beginning.
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

/// JSON says itself what it is; other forms are known by their topic.
fn event(message: &BorrowedMessage<'_>, settings: &Settings) -> Result<(i64, Event), String> {
    let outputs = &settings.outputs;
    if message.topic() == outputs.dead_letters {
        return dead_letter(message);
    }
    let payload = message.payload().ok_or("the record has no value")?;
    let (at_ms, mut event) = match outputs.format {
        OutputFormat::Json => Event::of_json(payload)?,
        format if message.topic() == outputs.clicks => Event::of_click(message_of(format, payload)?)?,
        format => Event::of_text(message_of(format, payload)?)?,
    };
    if let Event::Text(scored) = &mut event {
        // As the stage has it: a sample is found again where it was scored.
        let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
        scored.origin = Some(v1::Origin { topic, partition, offset });
    }
    Ok((at_ms, event))
}

fn message_of<T: prost::Message + Default + DeserializeOwned>(
    format: OutputFormat,
    payload: &[u8],
) -> Result<T, String> {
    read_written(format, payload).map_err(|rejection| rejection.message)
}

/// What the stage counts of one: when it was written, of which topic the record was, and why it was refused.
fn dead_letter(message: &BorrowedMessage<'_>) -> Result<(i64, Event), String> {
    let header = |name: &str| {
        let ours = |key: &str| key.strip_prefix(HEADER_PREFIX) == Some(name);
        let found = message.headers()?.iter().find(|header| ours(header.key))?;
        Some(String::from_utf8_lossy(found.value?).into_owned())
    };
    let at_ms = message.timestamp().to_millis().ok_or("the record has no timestamp")?;
    let foreign = "the dead letter is not of this program";
    let (input, reason) = (header("topic").ok_or(foreign)?, header("reason").ok_or(foreign)?);
    Ok((at_ms, Event::DeadLetter { at_ms, input, reason }))
}

fn failed(topic: &str, error: &KafkaError) -> Error {
    broker_error(format_args!("cannot read topic {topic}"), error)
}
