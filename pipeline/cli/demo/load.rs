//! Writes what the scenario says to the input topics, at a steady rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::broker::INPUTS;
use super::scenario::{Event, Scenario, Shoppers, Timeline};
use crate::config::{InputKind, Kafka};
use crate::event::{Error, Fault};
use crate::kafka;

/// Records that were written and have no result yet: beyond this the customers wait, because the embedded broker
/// throws away what it has no room for.
const AHEAD_MAX: u64 = 4096;
/// One event in so many is a click, the others are words.
const CLICK_ONE_IN: u64 = 3;
/// How long the thread sleeps at most, so that it notices a stop and serves the producer's reports.
const NAP_MAX: Duration = Duration::from_millis(20);
/// What was written must be acknowledged within this time after the end; the broker is in the same process.
const FLUSH_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Events a second.
    pub rate: f64,
    pub timeline: Timeline,
}

/// The customers at work, on a thread of their own.
pub struct Load {
    counts: Arc<Counts>,
    thread: JoinHandle<Result<(), Error>>,
}

/// Shared between the customers and who watches them.
#[derive(Default)]
struct Counts {
    /// Records that the broker has acknowledged.
    sent: AtomicU64,
    /// Records whose result has been seen.
    done: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Option<String>>,
}

impl Load {
    pub fn start(kafka: &Kafka, plan: Plan) -> Result<Load, Error> {
        let counts = Arc::new(Counts::default());
        let producer: BaseProducer<Reports> = kafka::client_config(kafka)
            .set("client.id", "groundswell-demo")
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .create_with_context(Reports(counts.clone()))
            .map_err(|e| kafka::broker_error("cannot create the demo's producer", &e))?;
        let customers = Customers { producer, counts: counts.clone(), plan };
        let thread = thread::Builder::new()
            .name("demo-load".into())
            .spawn(move || customers.run())
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start the demo's load: {e}")))?;
        Ok(Load { counts, thread })
    }

    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Says how many records have a result.
    pub fn done(&self, records: u64) {
        self.counts.done.store(records, Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.counts.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until all that was written is acknowledged.
    pub fn join(self) -> Result<u64, Error> {
        self.thread.join().unwrap_or_else(|_| Err(Error::new(Fault::Bug, "the demo's load panicked")))?;
        Ok(self.counts.sent.load(Ordering::Relaxed))
    }
}

struct Customers {
    producer: BaseProducer<Reports>,
    counts: Arc<Counts>,
    plan: Plan,
}

impl Customers {
    fn run(self) -> Result<(), Error> {
        let mut scenario = Scenario::new(self.plan.seed, self.plan.timeline);
        let mut shoppers = Shoppers::new(self.plan.seed);
        let every = Duration::from_secs_f64(1.0 / self.plan.rate);
        let start = Instant::now();
        let (mut due, mut written) = (start, 0_u64);
        while !self.counts.stop.load(Ordering::Relaxed) && self.failure().is_none() {
            let now = Instant::now();
            if written.saturating_sub(self.counts.done.load(Ordering::Relaxed)) >= AHEAD_MAX {
                // What would have been written meanwhile is left out, not made up for.
                due = now + NAP_MAX;
            }
            if due > now {
                self.producer.poll((due - now).min(NAP_MAX));
                continue;
            }
            let time = Timestamp::now();
            let event = match (written + 1).is_multiple_of(CLICK_ONE_IN) {
                true => shoppers.next(time),
                false => scenario.next((now - start).as_secs_f64(), time),
            };
            self.write(event)?;
            written += 1;
            due += every;
        }
        self.producer.flush(FLUSH_MAX).map_err(|e| kafka::broker_error("cannot write to the embedded broker", &e))?;
        self.failure().map_or(Ok(()), |why| Err(Error::new(Fault::Broker, why)))
    }

    fn write(&self, event: Event) -> Result<(), Error> {
        let topic = match event.kind {
            InputKind::Review => INPUTS[0],
            InputKind::Chat => INPUTS[1],
            InputKind::Click => INPUTS[2],
        };
        let mut record = BaseRecord::<_, [u8]>::to(topic).key(&event.key);
        record.payload = event.payload.as_deref();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((e, back)) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(NAP_MAX);
                    record = back;
                }
                Err((e, _)) => return Err(kafka::broker_error("cannot write to the embedded broker", &e)),
            }
        }
    }

    fn failure(&self) -> Option<String> {
        self.counts.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts what was acknowledged.
struct Reports(Arc<Counts>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed
                    .get_or_insert_with(|| kafka::broker_error("the embedded broker refused a record", error).message);
            }
        }
    }
}
