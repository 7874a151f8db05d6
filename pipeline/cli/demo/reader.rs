//! Reads the results back as any consumer of them would: read_committed, all output topics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use serde::de::DeserializeOwned;

use crate::config::{Kafka, Outputs};
use crate::event::{Error, Fault, v1};
use crate::kafka;
use crate::sink::HEADER_PREFIX;

/// Results between the reader and the screen, which takes them several times a second; a full channel makes the
/// reader wait.
const WAITING_MAX: usize = 4096;
const POLL: Duration = Duration::from_millis(50);
const METADATA_MAX: Duration = Duration::from_secs(10);

/// A result, seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of the input record.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// When it was read, in milliseconds since 1970.
    pub at_ms: i64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Scored(Box<v1::Scored>),
    Click(Box<v1::ScoredClick>),
    DeadLetter {
        reason: String,
    },
    /// The place is the alert's own: it comes of many records.
    Alert(Box<v1::Alert>),
}

/// Reads on a thread of its own until it is dropped.
pub struct Reader {
    results: Receiver<Result<Seen, Error>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub fn start(kafka: &Kafka, outputs: &Outputs) -> Result<Reader, Error> {
        let consumer = consumer(kafka, outputs)?;
        let (sender, results) = bounded(WAITING_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let outputs = outputs.clone();
        let thread = thread::Builder::new()
            .name("demo-reader".into())
            .spawn(move || read(&consumer, &outputs, &sender, &stopped))
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start the demo's reader: {e}")))?;
        Ok(Reader { results, stop, thread: Some(thread) })
    }

    /// What was read since it was asked the last time.
    pub fn take(&self) -> impl Iterator<Item = Result<Seen, Error>> {
        self.results.try_iter()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A reader that waits for room in the channel is let go by draining it.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.results.recv_timeout(POLL).ok();
        }
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn consumer(kafka: &Kafka, outputs: &Outputs) -> Result<BaseConsumer<Quiet>, Error> {
    let failed = |e| kafka::broker_error("cannot read the results back", &e);
    let consumer: BaseConsumer<Quiet> = kafka::client_config(kafka)
        .set("client.id", "groundswell-demo-reader")
        // Needed to be a consumer; nothing is committed in it.
        .set("group.id", "groundswell-demo-reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create_with_context(Quiet)
        .map_err(failed)?;
    let mut assignment = TopicPartitionList::new();
    for topic in [&outputs.reviews, &outputs.chats, &outputs.clicks, &outputs.alerts, &outputs.dead_letters] {
        let metadata = consumer.fetch_metadata(Some(topic), METADATA_MAX).map_err(failed)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        for partition in partitions {
            assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).map_err(failed)?;
        }
    }
    consumer.assign(&assignment).map_err(failed)?;
    Ok(consumer)
}

fn read(consumer: &BaseConsumer<Quiet>, outputs: &Outputs, sender: &Sender<Result<Seen, Error>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let seen = match consumer.poll(POLL) {
            None => continue,
            Some(Ok(message)) if message.topic() == outputs.dead_letters => letter(&message),
            Some(Ok(message)) if message.topic() == outputs.clicks => click(&message),
            Some(Ok(message)) if message.topic() == outputs.alerts => alert(&message),
            Some(Ok(message)) => scored(&message),
            Some(Err(error)) => Err(kafka::broker_error("cannot read the results back", &error)),
        };
        if sender.send(seen).is_err() {
            return;
        }
    }
}

fn scored(message: &BorrowedMessage<'_>) -> Result<Seen, Error> {
    let mut scored: v1::Scored = read_as(message)?;
    seen(message, scored.origin.take(), What::Scored(Box::new(scored)))
}

fn click(message: &BorrowedMessage<'_>) -> Result<Seen, Error> {
    let mut scored: v1::ScoredClick = read_as(message)?;
    seen(message, scored.origin.take(), What::Click(Box::new(scored)))
}

fn alert(message: &BorrowedMessage<'_>) -> Result<Seen, Error> {
    let alert: v1::Alert = read_as(message)?;
    let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
    Ok(Seen { topic, partition, offset, at_ms: now_ms(), what: What::Alert(Box::new(alert)) })
}

fn read_as<T: DeserializeOwned>(message: &BorrowedMessage<'_>) -> Result<T, Error> {
    serde_json::from_slice(message.payload().unwrap_or_default()).map_err(|e| unreadable(message, &e))
}

fn seen(message: &BorrowedMessage<'_>, origin: Option<v1::Origin>, what: What) -> Result<Seen, Error> {
    let v1::Origin { topic, partition, offset } = origin.ok_or_else(|| unreadable(message, &"it has no origin"))?;
    Ok(Seen { topic, partition, offset, at_ms: now_ms(), what })
}

fn unreadable(message: &BorrowedMessage<'_>, why: &dyn std::fmt::Display) -> Error {
    Error::new(Fault::Bug, format!("a result in {} cannot be read: {why}", message.topic()))
}

fn letter(message: &BorrowedMessage<'_>) -> Result<Seen, Error> {
    let header = |name: &str| {
        let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let found = headers.find(|header| header.key.strip_prefix(HEADER_PREFIX) == Some(name))?;
        Some(String::from_utf8_lossy(found.value?).into_owned())
    };
    let number = |name| header(name).and_then(|text| text.parse::<i64>().ok());
    let parts = || {
        let partition = i32::try_from(number("partition")?).ok()?;
        Some((header("topic")?, partition, number("offset")?, header("reason")?))
    };
    let unreadable = || Error::new(Fault::Bug, "a dead letter does not say where it comes from");
    let (topic, partition, offset, reason) = parts().ok_or_else(unreadable)?;
    Ok(Seen { topic, partition, offset, at_ms: now_ms(), what: What::DeadLetter { reason } })
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Passes librdkafka's own log lines on to the program's log.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}
