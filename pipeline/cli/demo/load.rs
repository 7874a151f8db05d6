//! Writes what the scenario says to the input topics, at a steady rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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
const TEXTS: f64 = 1.0 - 1.0 / CLICK_ONE_IN as f64;
/// Before the story begins, customers have written for so long: what is usual is known by then…
const HISTORY_S: f64 = 60.0;
/// …if that is not more texts than a machine of two cores scores in some ten seconds.
const HISTORY_TEXTS_MAX: u64 = 8_000;
/// Of these, so many are on their way at a time: the story shall not begin behind a queue.
const HISTORY_AHEAD_MAX: u64 = 256;
/// A thread that was held up for longer leaves out what it would have written meanwhile.
const BEHIND_MAX: Duration = Duration::from_secs(2);
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

impl Plan {
    /// Texts from before the story.
    pub fn history(&self) -> u64 {
        let texts = self.rate * TEXTS * HISTORY_S;
        (texts as u64).min(HISTORY_TEXTS_MAX)
    }
}

/// When the story has begun.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    pub at: Instant,
    pub ms: i64,
    /// Records that were written before.
    pub history: u64,
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
    began: OnceLock<Began>,
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

    /// The story's beginning, once the history is written and scored.
    pub fn began(&self) -> Option<Began> {
        self.counts.began.get().copied()
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
        let history = self.history(&mut scenario)?;
        if !self.is_over() {
            self.story(&mut scenario, history)?;
        }
        self.producer.flush(FLUSH_MAX).map_err(|e| kafka::broker_error("cannot write to the embedded broker", &e))?;
        self.failure().map_or(Ok(()), |why| Err(Error::new(Fault::Broker, why)))
    }

    /// What was written before the story, as fast as it is scored, until its times have come to the present. Gives how
    /// much.
    fn history(&self, scenario: &mut Scenario) -> Result<u64, Error> {
        let (texts, every_ms) = (self.plan.history(), 1000.0 / (self.plan.rate * TEXTS));
        let from_ms = Timestamp::now().as_millisecond() as f64 - texts as f64 * every_ms;
        let mut written = 0;
        // A machine that is slower than the customers never gets there.
        while written < 2 * texts && !self.is_over() {
            let time = timestamp((from_ms + written as f64 * every_ms) as i64);
            if time >= Timestamp::now() {
                break;
            }
            if !self.has_room(written, HISTORY_AHEAD_MAX) {
                self.producer.poll(NAP_MAX / 10);
                continue;
            }
            self.write(scenario.next(0.0, time))?;
            written += 1;
        }
        Ok(written)
    }

    /// An event has the time at which it is due: a thread that is held up for a moment makes no pause and no rush of it.
    fn story(&self, scenario: &mut Scenario, mut written: u64) -> Result<(), Error> {
        let mut shoppers = Shoppers::new(self.plan.seed);
        let every = Duration::from_secs_f64(1.0 / self.plan.rate);
        let began = Began { at: Instant::now(), ms: Timestamp::now().as_millisecond(), history: written };
        let Began { at: start, ms: start_ms, .. } = *self.counts.began.get_or_init(|| began);
        let mut due = start;
        while !self.is_over() {
            let now = Instant::now();
            if !self.has_room(written, AHEAD_MAX) || now.saturating_duration_since(due) > BEHIND_MAX {
                // What would have been written meanwhile is left out, not made up for.
                due = now + NAP_MAX;
            }
            if due > now {
                self.producer.poll((due - now).min(NAP_MAX));
                continue;
            }
            let elapsed = due - start;
            let time = timestamp(start_ms + i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
            let event = match (written + 1).is_multiple_of(CLICK_ONE_IN) {
                true => shoppers.next(time),
                false => scenario.next(elapsed.as_secs_f64(), time),
            };
            self.write(event)?;
            written += 1;
            due += every;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.counts.stop.load(Ordering::Relaxed) || self.failure().is_some()
    }

    fn has_room(&self, written: u64, most: u64) -> bool {
        written.saturating_sub(self.counts.done.load(Ordering::Relaxed)) < most
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

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
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
