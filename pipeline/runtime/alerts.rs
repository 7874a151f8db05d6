use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::models::Served;
use super::schemas::Registered;
use super::start::{Running, start_stage};
use crate::codec::{ALERT_FILES, Encoder};
use crate::config::Settings;
use crate::event::Error;
use crate::stages::Stage;
use crate::stages::alerts::AlertsStage;
use crate::telemetry::Health;

/// The topic between the halves of the alerts stage.
pub fn repartition(settings: &Settings) -> String {
    format!("{}-{}-repartition", settings.kafka.group_prefix, AlertsStage::NAME)
}

/// Starts the alerts stage, which reads the scored texts and its repartition topic.
pub fn start_alerts(settings: &Settings, health: Arc<Health>) -> Result<Running, Error> {
    let registered = Registered::new(settings)?;
    let stage = Arc::new(alerts_stage(settings, &registered)?);
    let topics = stage.scored.iter().cloned().chain([repartition(settings)]).collect();
    start_stage(settings, &Served::none(), stage, &registered, topics, health)
}

/// The alerts stage, ready to prepare, observe and conclude.
pub fn alerts_stage(settings: &Settings, registered: &Registered) -> Result<AlertsStage, Error> {
    let outputs = &settings.outputs;
    let schema = |topic: &str| registered.output_schema(settings, topic, &ALERT_FILES);
    Ok(AlertsStage {
        settings: settings.alerts.clone(),
        scored: scored(settings),
        format: outputs.format,
        future_ms_max: i64::try_from(settings.text.future_max.as_millis()).unwrap_or(i64::MAX),
        repartition: Arc::from(repartition(settings)),
        partitions: settings.alerts.partitions,
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
