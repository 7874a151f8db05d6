use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::config::Kafka;
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config};

/// A record that is not acknowledged by then has failed.
const DELIVERY_MAX: Duration = Duration::from_secs(30);
/// Records that wait for a broker hold no more memory than this.
const QUEUE_KILOBYTES_MAX: u32 = 32 * 1024;
const QUEUE_FULL_STEP: Duration = Duration::from_millis(5);
const POLL_STEP: Duration = Duration::from_millis(10);

/// Writes to one topic, idempotently, and counts what all in-sync replicas have.
pub struct Writer {
    producer: BaseProducer<Counts>,
    topic: String,
}

/// What became of the records handed in.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub bytes: u64,
    pub failed: u64,
    /// Why the first of them failed.
    pub failure: Option<String>,
}

impl Writer {
    /// `record_bytes_max` is what the topic takes, or a batch that is too large would fail with all that is in it.
    pub fn new(kafka: &Kafka, topic: &str, record_bytes_max: usize) -> Result<Writer, Error> {
        let mut config = client_config(kafka);
        config
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.kbytes", QUEUE_KILOBYTES_MAX.to_string())
            .set("message.timeout.ms", DELIVERY_MAX.as_millis().to_string())
            .set("message.max.bytes", record_bytes_max.to_string());
        // The partitioner puts a key where Java's producers put it, so that what is keyed alike lies together.
        for (key, value) in [("linger.ms", "5"), ("partitioner", "murmur2_random")] {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        }
        let producer = config
            .create_with_context(Counts::default())
            .map_err(|e| broker_error("cannot create the producer", &e))?;
        Ok(Writer { producer, topic: topic.to_owned() })
    }

    /// Waits for room; `false` if the record is larger than the topic takes.
    pub fn write(&self, key: Option<&[u8]>, payload: &[u8]) -> Result<bool, Error> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).payload(payload);
        record.key = key;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err((error, back)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) => {
                        self.producer.poll(QUEUE_FULL_STEP);
                        record = back;
                    }
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) => return Ok(false),
                    _ => return Err(broker_error(format_args!("cannot write to {}", self.topic), &error)),
                },
            }
        }
    }

    /// Takes acknowledgements in while waiting.
    pub fn wait(&self, time: Duration) {
        self.producer.poll(time);
    }

    /// Waits until everything is acknowledged or has failed.
    pub fn finish(&self) {
        let deadline = Instant::now() + DELIVERY_MAX + Duration::from_secs(1);
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(POLL_STEP);
        }
    }

    pub fn tally(&self) -> Tally {
        self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error once a record could not be delivered: those behind it will not be either.
    pub fn failure(&self) -> Option<Error> {
        let Tally { failed, failure, .. } = self.tally();
        let why = failure?;
        let message = format!("{failed} records were not acknowledged by the brokers of {}: {why}", self.topic);
        Some(Error::new(Fault::Broker, message))
    }
}

#[derive(Default)]
struct Counts(Mutex<Tally>);

impl ClientContext for Counts {}

impl ProducerContext for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => {
                tally.acknowledged += 1;
                tally.bytes += message.payload().map_or(0, <[u8]>::len) as u64;
            }
            Err((error, _)) => {
                tally.failed += 1;
                tally.failure.get_or_insert_with(|| describe(error));
            }
        }
    }
}

fn describe(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
