use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header as KafkaHeader, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, TopicPartitionList};

use super::epoch::Acknowledged;
use crate::config::Kafka;
use crate::event::{Error, Output};
use crate::kafka::{self, GroupMetadata, broker_error, is_refusal, is_stale};

/// How often the producer looks whether everything was acknowledged. It sleeps in between: `BaseProducer::poll` spins
/// through what is left of a time-out below a millisecond, and took a twentieth of a core from the models.
const ACKNOWLEDGED_STEP: Duration = Duration::from_micros(300);
/// How long the producer waits for room in librdkafka's own queue before it looks again.
const QUEUE_FULL_STEP: Duration = Duration::from_millis(2);
/// How long after a transaction has failed the report is waited for that says why.
const FAILURE_MAX: Duration = Duration::from_millis(200);

/// What can go wrong with an epoch, by what has to be done about it.
#[derive(Debug)]
pub enum Trouble {
    /// The outputs at these positions are larger than the broker takes, each or together: it refuses whole batches.
    TooLarge(Vec<usize>),
    /// Abort and try the same epoch again.
    Abort(String),
    /// The group has moved on since the epoch was cut.
    Stale(String),
    /// Another producer with the same transactional id was started, or the transaction was given up by the broker.
    Fenced(String),
    /// The outcome is unknown, or the producer is unusable: build a new one and ask the broker what was committed.
    Unknown(String),
    /// As `Abort`; librdkafka has thrown the outputs away because the transaction has failed, and does not say why.
    Purged(String),
    /// A right is missing: trying again cannot help.
    Refused { why: String, code: RDKafkaErrorCode, asked: Asked },
}

/// What was asked for when a right was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To write the epoch's outputs; where it is known, the one at this position.
    Write(Option<usize>),
    /// To commit the offsets of the inputs.
    Commit,
}

/// A librdkafka producer that counts on its own what was acknowledged, and never waits in the slices of 100 ms that
/// its `flush` takes.
pub struct EpochProducer {
    producer: BaseProducer<Context>,
    transactional: bool,
}

impl EpochProducer {
    /// With a transactional id for transactions, without for plain idempotent produce. `batch_bytes` bounds what is sent
    /// together, where it is given. `acknowledgements`: they are kept for `take_acknowledged`.
    pub fn new(
        kafka: &Kafka,
        client_id: &str,
        transaction: Option<(&str, Duration)>,
        batch_bytes: Option<usize>,
        acknowledgements: bool,
    ) -> Result<EpochProducer, Error> {
        let mut config = kafka::client_config(kafka);
        let mut default = |key: &str, value: &str| {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        };
        // An epoch is produced at once and waited for: lingering only adds to its latency.
        default("linger.ms", "1");
        // CONCURRENT_TRANSACTIONS, the broker still finishing the transaction before, is retried after this time.
        default("retry.backoff.ms", "10");
        // How large a record may be is the topic's to say: a dead letter is as large as the record it holds, and more.
        default("message.max.bytes", "16777216");
        config
            .set("client.id", client_id)
            .set("enable.idempotence", "true")
            // Success is an empty queue; only failures need a report, unless somebody asks where records lie.
            .set("delivery.report.only.error", if acknowledgements { "false" } else { "true" });
        if let Some(bytes) = batch_bytes {
            config.set("batch.size", bytes.to_string());
        }
        if let Some((id, timeout)) = transaction {
            config.set("transactional.id", id).set("transaction.timeout.ms", timeout.as_millis().to_string());
        }
        let producer = config
            .create_with_context(Context::default())
            .map_err(|e| broker_error("cannot create the producer", &e))?;
        Ok(EpochProducer { producer, transactional: transaction.is_some() })
    }

    /// Fences any other producer of the same id and finishes what it left open.
    pub fn init_transactions(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.producer.init_transactions(timeout)
    }

    pub fn begin(&self) -> Result<(), Trouble> {
        self.producer.begin_transaction().map_err(|e| trouble("begin", Asked::Write(None), &e))
    }

    /// Hands the outputs to librdkafka and waits until the broker has acknowledged all of them, or until told to stop.
    /// From the position `watched` on it is kept where they lie.
    pub fn produce<'a>(
        &self,
        outputs: impl Iterator<Item = &'a Output>,
        watched: usize,
        deadline: Instant,
        stop: &AtomicBool,
    ) -> Result<(), Trouble> {
        self.producer.context().reports().start_attempt(watched);
        for (position, output) in outputs.enumerate() {
            self.send(position, output, deadline)?;
        }
        // Once an output has failed, librdkafka sends no more of its transaction: what is queued would be waited for in vain.
        let failed = || self.transactional && !self.producer.context().reports().failed.is_empty();
        while self.producer.in_flight_count() > 0 && !failed() {
            if Instant::now() >= deadline {
                return Err(Trouble::Unknown("outputs were not acknowledged in time".into()));
            }
            if stop.load(Ordering::Relaxed) {
                return Err(Trouble::Abort("the process ends before the outputs were acknowledged".into()));
            }
            self.wait(ACKNOWLEDGED_STEP);
        }
        self.delivery_failures()
    }

    /// Where the watched outputs of the last `produce` lie: the last of each partition.
    pub fn take_acknowledged(&self) -> Vec<Acknowledged> {
        let acknowledged = std::mem::take(&mut self.producer.context().reports().acknowledged);
        acknowledged.into_iter().map(|(_, _, last)| last).collect()
    }

    fn send(&self, position: usize, output: &Output, deadline: Instant) -> Result<(), Trouble> {
        let attempt = self.producer.context().reports().attempt;
        let mut record = to_record(Reports::opaque(attempt, position), output);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) if Instant::now() < deadline => {
                        self.wait(QUEUE_FULL_STEP);
                        record = back;
                    }
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) => return Err(Trouble::TooLarge(vec![position])),
                    _ => {
                        self.wait_for_failure();
                        self.delivery_failures()?;
                        return Err(trouble("produce", Asked::Write(Some(position)), &error));
                    }
                },
            }
        }
    }

    /// A transaction takes no more outputs once one of them has failed, and does not say which: its report does, a moment
    /// later.
    fn wait_for_failure(&self) {
        let deadline = Instant::now() + FAILURE_MAX;
        while self.transactional && self.producer.context().reports().failed.is_empty() && Instant::now() < deadline {
            self.wait(ACKNOWLEDGED_STEP);
        }
    }

    fn wait(&self, step: Duration) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(step);
    }

    fn delivery_failures(&self) -> Result<(), Trouble> {
        let failed = std::mem::take(&mut self.producer.context().reports().failed);
        let Some((position, first)) = failed.first() else { return Ok(()) };
        let too_large: Vec<usize> = failed
            .iter()
            .filter(|(_, error)| error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge))
            .map(|(position, _)| *position)
            .collect();
        if !too_large.is_empty() {
            return Err(Trouble::TooLarge(too_large));
        }
        let refused = failed.iter().find(|(_, error)| error.rdkafka_error_code().is_some_and(is_refusal));
        let (position, error) = refused.map_or((position, first), |(position, error)| (position, error));
        Err(self.fatal_refusal().unwrap_or_else(|| trouble("produce", Asked::Write(Some(*position)), error)))
    }

    /// A producer that was refused its id fails everything it is given, and keeps the reason to itself.
    fn fatal_refusal(&self) -> Option<Trouble> {
        let (code, why) = self.producer.client().fatal_error()?;
        is_refusal(code).then_some(Trouble::Refused { why, code, asked: Asked::Write(None) })
    }

    /// Whether a transaction whose outputs were purged has failed for want of a right: the next request says so, and is
    /// not sent.
    pub fn refused_output(
        &self,
        offsets: &TopicPartitionList,
        metadata: &GroupMetadata,
        timeout: Duration,
    ) -> Option<Trouble> {
        match self.send_offsets(offsets, metadata, timeout) {
            Err(Trouble::Refused { why, code, .. }) => Some(Trouble::Refused { why, code, asked: Asked::Write(None) }),
            _ => None,
        }
    }

    pub fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        metadata: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Trouble> {
        self.producer
            .send_offsets_to_transaction(offsets, &metadata.native, timeout)
            .map_err(|e| trouble("send offsets to the transaction", Asked::Commit, &e))
    }

    /// Everything has been acknowledged before, so this is the one request that ends the transaction.
    pub fn commit(&self, timeout: Duration) -> Result<(), Trouble> {
        self.producer.commit_transaction(timeout).map_err(|e| {
            match trouble("commit the transaction", Asked::Commit, &e) {
                // librdkafka retries inside; what comes out of it as a time-out has an outcome nobody here knows.
                Trouble::Abort(why) if !requires_abort(&e) => Trouble::Unknown(why),
                other => other,
            }
        })
    }

    /// Why this producer can do nothing any more, if that is so.
    pub fn fatal_error(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_, why)| why)
    }

    pub fn abort(&self, timeout: Duration) -> Result<(), Trouble> {
        // Outputs not yet sent would only be waited for.
        self.producer.purge(rdkafka::producer::PurgeConfig::default().queue());
        self.producer.poll(Duration::ZERO);
        self.producer.abort_transaction(timeout).map_err(|e| {
            match trouble("abort the transaction", Asked::Commit, &e) {
                Trouble::Fenced(why) => Trouble::Fenced(why),
                _ => Trouble::Unknown(describe("abort the transaction", &e)),
            }
        })
    }
}

fn to_record(opaque: usize, output: &Output) -> BaseRecord<'_, [u8], [u8], usize> {
    let mut record = BaseRecord::with_opaque_to(&output.topic, opaque);
    record.partition = output.partition;
    record.key = output.key.as_deref();
    record.payload = output.payload.as_deref();
    if !output.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(output.headers.len());
        record.headers = Some(
            output
                .headers
                .iter()
                .fold(headers, |headers, h| headers.insert(KafkaHeader { key: &h.name, value: h.value.as_deref() })),
        );
    }
    record
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(inner) if inner.txn_requires_abort())
}

fn describe(doing: &str, error: &KafkaError) -> String {
    broker_error(format_args!("cannot {doing}"), error).message
}

fn trouble(doing: &str, asked: Asked, error: &KafkaError) -> Trouble {
    use RDKafkaErrorCode as C;
    let why = describe(doing, error);
    match error.rdkafka_error_code() {
        Some(code) if is_stale(code) => return Trouble::Stale(why),
        Some(code) if is_refusal(code) => return Trouble::Refused { why, code, asked },
        Some(C::Fenced | C::ProducerFenced | C::InvalidProducerEpoch) => return Trouble::Fenced(why),
        _ => {}
    }
    match error {
        KafkaError::MessageProduction(C::Fatal) => Trouble::Unknown(why),
        KafkaError::MessageProduction(C::PurgeQueue | C::PurgeInflight) => Trouble::Purged(why),
        KafkaError::Transaction(inner) if inner.is_fatal() => Trouble::Unknown(why),
        KafkaError::Transaction(inner) if inner.txn_requires_abort() || inner.is_retriable() => Trouble::Abort(why),
        KafkaError::MessageProduction(_) => Trouble::Abort(why),
        _ => Trouble::Unknown(why),
    }
}

/// What an offset commit without a transaction failed with. Its outputs are acknowledged: it alone is tried again.
pub fn commit_trouble(error: &KafkaError) -> Trouble {
    match trouble("commit offsets", Asked::Commit, error) {
        Trouble::Unknown(why) => Trouble::Abort(why),
        other => other,
    }
}

#[derive(Default)]
struct Context {
    reports: Mutex<Reports>,
}

impl Context {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivery failures of the current attempt. Reports of an attempt that was aborted may still come in later; they
/// carry its number and are dropped.
#[derive(Default)]
struct Reports {
    attempt: usize,
    /// Position of an output within its epoch, and why it was not delivered.
    failed: Vec<(usize, KafkaError)>,
    /// Outputs from this position on are watched.
    watched: usize,
    /// The last watched output in each partition.
    acknowledged: Vec<(String, i32, Acknowledged)>,
}

impl Reports {
    const POSITION_BITS: u32 = 32;

    fn start_attempt(&mut self, watched: usize) {
        self.attempt = (self.attempt + 1) & 0xffff;
        self.failed.clear();
        self.watched = watched;
        self.acknowledged.clear();
    }

    fn opaque(attempt: usize, position: usize) -> usize {
        attempt << Self::POSITION_BITS | position
    }

    fn add(&mut self, opaque: usize, error: KafkaError) {
        if let Some(position) = self.position(opaque) {
            self.failed.push((position, error));
        }
    }

    fn acknowledge(&mut self, opaque: usize, message: &BorrowedMessage<'_>) {
        let Some(place) = self.position(opaque).and_then(|position| position.checked_sub(self.watched)) else { return };
        let (offset, timestamp_ms) = (message.offset(), message.timestamp().to_millis().unwrap_or(-1));
        let acknowledged = Acknowledged { place, offset, timestamp_ms };
        let (topic, partition) = (message.topic(), message.partition());
        match self.acknowledged.iter_mut().find(|(t, p, _)| *p == partition && t == topic) {
            None => self.acknowledged.push((topic.to_owned(), partition, acknowledged)),
            Some((_, _, last)) if last.offset < offset => *last = acknowledged,
            Some(_) => {}
        }
    }

    /// `None`: the report is of an earlier attempt.
    fn position(&self, opaque: usize) -> Option<usize> {
        (opaque >> Self::POSITION_BITS == self.attempt).then_some(opaque & ((1 << Self::POSITION_BITS) - 1))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(error = %error, reason, "kafka client");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(message) => self.reports().acknowledge(opaque, message),
            Err((error, _)) => self.reports().add(opaque, error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;
    use crate::config;

    /// A regression: the error that stands for "the transaction has failed" was taken for all there is to know, and the
    /// same epoch was tried for ever.
    #[test]
    fn an_output_that_is_refused_while_others_are_handed_in_is_named() {
        let broker: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).unwrap();
        broker.create_topic("results", 1, 1).unwrap();
        let servers = format!("kafka.bootstrap_servers={}", broker.bootstrap_servers());
        let sets = ["instance.name=a".to_owned(), servers];
        let settings = config::load(None, &sets, std::iter::empty()).unwrap();
        let transaction = Some(("id", Duration::from_secs(60)));
        let producer = EpochProducer::new(&settings.kafka, "id", transaction, None, false).unwrap();
        producer.init_transactions(Duration::from_secs(30)).unwrap();
        broker.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
        producer.begin().unwrap();
        let payload = Some("a result".into());
        let output = Output { topic: "results".into(), partition: None, key: None, payload, headers: Vec::new() };
        // So many that the broker has answered before all are handed in.
        let outputs = std::iter::repeat_n(&output, 1 << 31);
        let deadline = Instant::now() + Duration::from_secs(60);
        let refused = producer.produce(outputs, usize::MAX, deadline, &AtomicBool::new(false));
        assert!(matches!(&refused, Err(Trouble::TooLarge(positions)) if positions[0] == 0), "{refused:?}");
    }
}
