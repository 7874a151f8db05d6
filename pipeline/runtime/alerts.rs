use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::clock::start_clock;
use super::models::Served;
use super::notify::start_notifiers;
use super::schemas::Registered;
use super::start::{Running, start_stage};
use crate::codec::{ALERT_FILES, Encoder};
use crate::config::{Counted, InputKind, Settings};
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config};
use crate::stages::Stage;
use crate::stages::alerts::AlertsStage;
use crate::telemetry::Health;

/// At the start, unreachable brokers are waited for this long before the process ends.
const BROKERS_MAX: Duration = Duration::from_secs(60);
/// One question for metadata.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// The topic between the halves of the alerts stage.
pub fn repartition(settings: &Settings) -> String {
    format!("{}-{}-repartition", settings.kafka.group_prefix, AlertsStage::NAME)
}

/// Starts the alerts stage, which reads the scored texts and its repartition topic, and beside it whoever is to be told of
/// its alerts.
pub fn start_alerts(settings: &Settings, health: Arc<Health>) -> Result<Running, Error> {
    let registered = Registered::new(settings)?;
    let sources = sources(settings)?;
    let stage = Arc::new(alerts_stage(settings, &registered, sources)?);
    let topics = watched(settings).into_iter().chain([repartition(settings)]).collect();
    let clock = start_clock(settings, AlertsStage::NAME, settings.alerts.idle, {
        let stage = stage.clone();
        move |_, now| stage.clock(now)
    })?;
    let running = start_stage(settings, &Served::none(), stage, &registered, topics, health)?.with(clock);
    Ok(start_notifiers(settings)?.into_iter().fold(running, Running::with))
}

/// The alerts stage, ready to prepare, observe and conclude. `sources`: how many partitions of scored texts there are.
pub fn alerts_stage(settings: &Settings, registered: &Registered, sources: usize) -> Result<AlertsStage, Error> {
    let outputs = &settings.outputs;
    let schema = |topic: &str| registered.output_schema(settings, topic, &ALERT_FILES);
    Ok(AlertsStage {
        settings: settings.alerts.clone(),
        scored: scored(settings),
        clicks: clicks(settings),
        dead_letters: dead_letters(settings),
        format: outputs.format,
        future_ms_max: i64::try_from(settings.text.future_max.as_millis()).unwrap_or(i64::MAX),
        repartition: Arc::from(repartition(settings)),
        partitions: settings.alerts.partitions,
        sources,
        alerts: Arc::from(&*outputs.alerts),
        alert_encoder: Encoder::new(outputs.format, schema(&outputs.alerts)?)?,
        trends: Arc::from(&*outputs.trends),
        trend_encoder: Encoder::new(outputs.format, schema(&outputs.trends)?)?,
        counts: Mutex::default(),
    })
}

/// The topics of the scored texts that some input leads to.
pub fn scored(settings: &Settings) -> BTreeSet<String> {
    let kinds = settings.inputs.iter().map(|input| input.kind).filter(|kind| kind.text().is_some());
    kinds.map(|kind| settings.outputs.topic(kind).to_owned()).collect()
}

/// The topic of scored clicks, where there are any and a rule looks at them.
fn clicks(settings: &Settings) -> Option<String> {
    let counted = [Counted::Clicks, Counted::Purchases, Counted::Checkouts];
    let watched = counted.into_iter().any(|counted| settings.alerts.watches(counted));
    let read = settings.inputs.iter().any(|input| input.kind == InputKind::Click);
    (watched && read).then(|| settings.outputs.clicks.clone())
}

/// The topic of dead letters, where a rule looks at them.
fn dead_letters(settings: &Settings) -> Option<String> {
    settings.alerts.watches(Counted::DeadLetters).then(|| settings.outputs.dead_letters.clone())
}

/// All that the alerts stage reads but for its repartition topic.
pub fn watched(settings: &Settings) -> BTreeSet<String> {
    scored(settings).into_iter().chain(clicks(settings)).chain(dead_letters(settings)).collect()
}

/// Partitions of the scored texts and clicks: what an owner of scopes waits for, though it may hear of some of them late. Asked once;
/// partitions that are added later are known from when they are heard from.
fn sources(settings: &Settings) -> Result<usize, Error> {
    let consumer: BaseConsumer = client_config(&settings.kafka)
        .create()
        .map_err(|error| broker_error("cannot ask for the partitions of the scored texts", &error))?;
    let topics: BTreeSet<String> = scored(settings).into_iter().chain(clicks(settings)).collect();
    let (topics, deadline) = (topics, Instant::now() + BROKERS_MAX);
    loop {
        // Metadata of all topics: asking for one by its name could make it.
        match consumer.fetch_metadata(None, ANSWER_MAX) {
            Ok(metadata) => {
                let wanted = metadata.topics().iter().filter(|topic| topics.contains(topic.name()));
                return Ok(wanted.map(|topic| topic.partitions().len()).sum());
            }
            Err(error) if Instant::now() >= deadline => {
                let why = broker_error("the brokers do not tell the partitions of the scored texts", &error);
                return Err(Error { fault: Fault::Broker, ..why });
            }
            Err(_) => thread::sleep(AGAIN),
        }
    }
}
