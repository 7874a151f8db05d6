use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::{ClientContext, TopicPartitionList};

use super::letter::{ATTEMPTS, Content, Position};
use super::reader::group;
use crate::cli::admin::ANSWER_MAX;
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config};

const POLL: Duration = Duration::from_millis(1);
const QUEUE_FULL_STEP: Duration = Duration::from_millis(5);
/// A record that once lay in its topic is not refused by our own side; the broker decides.
const RECORD_BYTES_MAX: &str = "100000000";
/// A batch beside a large record stays far below what any topic takes.
const BATCH_BYTES_MAX: &str = "65536";

/// A letter's record on its way back.
#[derive(Clone, Debug)]
pub struct Returning {
    pub letter: Position,
    pub topic: Arc<str>,
    /// Where it lay, as long as the topic has that partition.
    pub partition: Option<i32>,
    pub timestamp_ms: Option<i64>,
    pub content: Content,
}

/// What became of a transaction that was not committed.
#[derive(Debug)]
pub enum Trouble {
    /// A record was refused for what it is; the transaction was aborted.
    Refused(String),
    /// Nothing more can be sent.
    Over(Error),
}

/// Sends records and the offsets of their letters in one transaction: both are done, or neither. A second sender fences
/// the first by the transactional id that both share, so that no letter is replayed by two of them.
pub struct Sender {
    producer: BaseProducer<Failures>,
    answer_max: Duration,
}

impl Sender {
    /// Fences a sender that may still run, and has the broker abort what a killed one left open.
    pub fn new(settings: &Settings) -> Result<Sender, Error> {
        let timeout = settings.delivery.transaction_timeout;
        let mut config = client_config(&settings.kafka);
        config
            .set("enable.idempotence", "true")
            .set("transactional.id", group(settings))
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .set("message.max.bytes", RECORD_BYTES_MAX)
            .set("batch.size", BATCH_BYTES_MAX);
        let producer: BaseProducer<Failures> = config
            .create_with_context(Failures::default())
            .map_err(|e| broker_error("cannot create the producer", &e))?;
        let answer_max = timeout.max(ANSWER_MAX);
        producer.init_transactions(answer_max).map_err(|e| broker_error("cannot begin with transactions", &e))?;
        Ok(Sender { producer, answer_max })
    }

    pub fn send(
        &self,
        records: &[Returning],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), Trouble> {
        self.producer.context().failed().clear();
        self.producer.begin_transaction().map_err(|e| over("begin a transaction", &e))?;
        for (position, record) in records.iter().enumerate() {
            if let Err(refusal) = self.produce(position, record) {
                return self.abort(refusal);
            }
        }
        if let Err(refusal) = self.await_acknowledgements() {
            return self.abort(refusal);
        }
        let commit = || {
            self.producer.send_offsets_to_transaction(offsets, group, self.answer_max)?;
            self.producer.commit_transaction(self.answer_max)
        };
        commit().map_err(|e| over("commit what was replayed", &e))
    }

    fn produce(&self, position: usize, record: &Returning) -> Result<(), KafkaError> {
        let attempts = (record.content.attempts.saturating_add(1)).to_string();
        let mut headers = OwnedHeaders::new();
        for header in &record.content.headers {
            headers = headers.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() });
        }
        headers = headers.insert(KafkaHeader { key: ATTEMPTS, value: Some(&attempts) });
        let mut queued: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&record.topic, position).headers(headers);
        queued.key = record.content.key.as_deref();
        queued.payload = record.content.payload.as_deref();
        queued.partition = record.partition;
        queued.timestamp = record.timestamp_ms;
        loop {
            match self.producer.send(queued) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(QUEUE_FULL_STEP);
                    queued = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// `flush` waits in slices of 100 ms; this does not.
    fn await_acknowledgements(&self) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.answer_max;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(POLL);
        }
        let first = self.producer.context().failed().pop_first();
        match first {
            Some((_, error)) => Err(error),
            None if self.producer.in_flight_count() > 0 => {
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut))
            }
            None => Ok(()),
        }
    }

    /// Whether it was the record or the broker decides what can be done next.
    fn abort(&self, refusal: KafkaError) -> Result<(), Trouble> {
        self.producer.purge(PurgeConfig::default().queue());
        self.producer.poll(Duration::ZERO);
        self.producer.abort_transaction(self.answer_max).map_err(|e| over("abort a transaction", &e))?;
        match refusal.rdkafka_error_code() {
            Some(code) if is_the_records(code) => Err(Trouble::Refused(code.to_string())),
            _ => Err(over("replay", &refusal)),
        }
    }
}

/// Refusals that concern one record and not the next.
fn is_the_records(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::MessageSizeTooLarge
            | C::InvalidRecord
            | C::InvalidTimestamp
            | C::UnknownTopicOrPartition
            | C::UnknownTopic
            | C::UnknownPartition
            | C::TopicAuthorizationFailed
    )
}

fn over(doing: &str, error: &KafkaError) -> Trouble {
    use RDKafkaErrorCode as C;
    Trouble::Over(match error.rdkafka_error_code() {
        Some(C::Fenced | C::ProducerFenced | C::InvalidProducerEpoch) => {
            Error::new(Fault::Broker, "another dead-letters replay was started, and this one has ended for it")
        }
        _ => broker_error(format_args!("cannot {doing}"), error),
    })
}

/// Records of this transaction that were not delivered, by their number.
#[derive(Default)]
struct Failures(Mutex<BTreeMap<usize, KafkaError>>);

impl Failures {
    fn failed(&self) -> MutexGuard<'_, BTreeMap<usize, KafkaError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        if let Err((error, _)) = result {
            self.failed().insert(position, error.clone());
        }
    }
}
