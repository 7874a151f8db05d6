//! Writes what the clock on the wall shows into the repartition topic of the alerts, so that their owners learn that nothing
//! comes any more. See [`crate::stages::alerts`].

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
use crate::stages::Stage;
use crate::stages::alerts::AlertsStage;
use crate::telemetry::BrokerFailed;

/// An alert ends this much later than it could, at most.
const PERIOD_MAX: Duration = Duration::from_secs(60);
/// How late a stop is seen.
const LOOK: Duration = Duration::from_millis(100);

/// A thread that writes it several times in the time after which nothing is expected any more.
pub fn start_clock(settings: &Settings, stage: Arc<AlertsStage>) -> Result<Running, Error> {
    let producer: BaseProducer = client_config(&settings.kafka)
        .set("acks", "all")
        .create()
        .map_err(|error| broker_error("cannot make the producer of the alerts' clock", &error))?;
    let period = (settings.alerts.idle / 8).min(PERIOD_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = thread::Builder::new()
        .name("alerts-clock".into())
        .spawn(move || {
            let mut next = Instant::now() + period;
            while !stopped.load(Ordering::Relaxed) {
                producer.poll(LOOK);
                // One that the brokers have not taken yet says as much as another.
                if Instant::now() >= next && producer.in_flight_count() == 0 {
                    stage.clock(Timestamp::now()).iter().for_each(|output| send(&producer, output));
                    next = Instant::now() + period;
                }
            }
            Ok(())
        })
        .map_err(|error| Error::new(Fault::Bug, format!("cannot start the thread of the alerts' clock: {error}")))?;
    Ok(Running::new(move || stop.store(true, Ordering::Relaxed), thread))
}

fn send(producer: &BaseProducer, output: &Output) {
    let record = BaseRecord::<(), [u8]> {
        payload: output.payload.as_deref(),
        partition: output.partition,
        ..BaseRecord::to(&output.topic)
    };
    if let Err((error, _)) = producer.send(record) {
        BrokerFailed { stage: AlertsStage::NAME, error: &error.to_string() }.emit();
    }
}
