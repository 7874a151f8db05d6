//! Writes what the clock on the wall shows into repartition topics, so that owners learn that nothing comes any more. See
//! [`crate::stages::alerts`] and [`crate::stages::recommend::owner`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::start::Running;
use crate::config::Settings;
use crate::event::{Error, Fault, Output};
use crate::kafka::{broker_error, client_config};
use crate::telemetry::BrokerFailed;

/// What waits for the clock waits this much longer than it could, at most.
const PERIOD_MAX: Duration = Duration::from_secs(60);
/// How late a stop is seen.
const LOOK: Duration = Duration::from_millis(100);

/// A thread that writes it several times in the time after which nothing is expected any more, `idle`. `beat`: what is
/// written of a time; none where that cannot be said yet.
pub fn start_clock(
    settings: &Settings,
    stage: &'static str,
    idle: Duration,
    mut beat: impl FnMut(&BaseProducer, Timestamp) -> Vec<Output> + Send + 'static,
) -> Result<Running, Error> {
    let producer: BaseProducer = client_config(&settings.kafka)
        .set("acks", "all")
        .create()
        .map_err(|error| broker_error(format_args!("cannot make the producer of the clock of {stage}"), &error))?;
    let period = (idle / 8).min(PERIOD_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = thread::Builder::new()
        .name(format!("{stage}-clock"))
        .spawn(move || {
            let mut next = Instant::now() + period;
            while !stopped.load(Ordering::Relaxed) {
                producer.poll(LOOK);
                // One that the brokers have not taken yet says as much as another.
                if Instant::now() >= next && producer.in_flight_count() == 0 {
                    beat(&producer, Timestamp::now()).iter().for_each(|output| send(&producer, stage, output));
                    next = Instant::now() + period;
                }
            }
            Ok(())
        })
        .map_err(|error| Error::new(Fault::Bug, format!("cannot start the thread of the clock of {stage}: {error}")))?;
    Ok(Running::new(move || stop.store(true, Ordering::Relaxed), thread))
}

fn send(producer: &BaseProducer, stage: &'static str, output: &Output) {
    let record = BaseRecord::<(), [u8]> {
        payload: output.payload.as_deref(),
        partition: output.partition,
        ..BaseRecord::to(&output.topic)
    };
    if let Err((error, _)) = producer.send(record) {
        BrokerFailed { stage, error: &error.to_string() }.emit();
    }
}
