use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prost::{Message, Name};
use serde::Serialize;

use super::look_up::UserLookUps;
use super::models::Served;
use super::owners::start_owners;
use super::recommend::{recommender, start_recommend};
use super::reviewers::{opinions, start_reviewers};
use super::schemas::Registered;
use super::scoring::ServedModel;
use super::segments;
use super::start::{Running, start_engines};
use crate::codec::{ClickDecoder, Encoder, PROFILE_FILES, SCORED_CLICK_FILES, SchemaFile};
use crate::config::{InputKind, Settings};
use crate::event::Error;
use crate::infer::{Backend, Factory, RowsBackend, RowsDirectory};
use crate::stages::clicks::{ClicksOutput, ClicksStage, PurchaseModel};
use crate::telemetry::Health;
use crate::text::Redactor;

/// What the purchase model is called in outputs, metrics and health.
pub const PURCHASE: &str = "purchase";
/// A row takes a quarter of a microsecond: what one worker answers, no pipeline asks.
const WORKERS: usize = 1;

/// The purchase model, loaded as far as can be told without running it.
#[derive(Clone)]
pub struct Purchase {
    pub directory: RowsDirectory,
    /// What an operator should know about it.
    pub warning: Option<String>,
    model: PurchaseModel,
    factory: Factory,
}

impl Purchase {
    /// Reads the model's directory; `None` where none is configured. Nothing is run yet.
    pub fn load(settings: &Settings) -> Result<Option<Purchase>, Error> {
        let Some(path) = &settings.clicks.purchase_model else { return Ok(None) };
        let directory = RowsDirectory::open(PURCHASE, path)?;
        let model = PurchaseModel::new(PURCHASE, &directory.version, &directory.features)?;
        let (opened, inference) = (directory.clone(), settings.inference.clone());
        let factory: Factory = Arc::new(move || {
            let mut backend = RowsBackend::new(&opened, &inference)?;
            backend.warm_up()?;
            Ok(Box::new(backend) as Box<dyn Backend>)
        });
        Ok(Some(Purchase { warning: warning(&directory, settings), directory, model, factory }))
    }

    /// Has the model run by others: for tests of what breaks.
    pub fn with_factory(self, factory: Factory) -> Purchase {
        Purchase { factory, ..self }
    }

    pub fn factory(&self) -> Factory {
        self.factory.clone()
    }

    /// As the stage asks it.
    pub fn served(&self) -> Served {
        let RowsDirectory { name, version, rows_max, .. } = self.directory.clone();
        Served {
            models: vec![ServedModel { name, version, rows_max }],
            workers: WORKERS,
            cache_bytes_max: 0,
            factory: self.factory.clone(),
        }
    }
}

/// Starts the clicks stage, which reads the inputs of clicks.
pub fn start_clicks(settings: &Settings, purchase: Option<&Purchase>, health: Arc<Health>) -> Result<Running, Error> {
    let registered = Registered::new(settings)?;
    let stage = Arc::new(clicks_stage(settings, purchase, &registered)?);
    let lists = stage.recommender.as_ref().map(|recommender| recommender.lists.clone());
    let lists = lists.map(|lists| start_recommend(settings, lists, health.clone())).transpose()?;
    let opinions = stage.opinions.clone();
    let opinions = opinions.map(|opinions| start_reviewers(settings, opinions, health.clone())).transpose()?;
    let clicks = settings.inputs.iter().filter(|input| input.kind == InputKind::Click);
    let topics: Vec<String> = clicks.flat_map(|input| input.topics.clone()).collect();
    let served = purchase.map_or_else(Served::none, Purchase::served);
    let engines = settings.clicks.engines;
    let clicks = start_engines(engines, settings, &served, stage.clone(), &registered, topics.clone(), health.clone())?;
    let (owners, follower) = start_owners(settings, topics, clicks.held(), health)?.unzip();
    let look_ups = UserLookUps::new(&stage, &clicks, owners);
    let beside = lists.into_iter().chain(opinions).flatten().chain(follower);
    Ok(beside.fold(clicks, Running::with).answering(look_ups))
}

/// The clicks stage, ready to prepare, observe and conclude.
pub fn clicks_stage(
    settings: &Settings,
    purchase: Option<&Purchase>,
    registered: &Registered,
) -> Result<ClicksStage, Error> {
    let mut decoders = HashMap::default();
    for input in settings.inputs.iter().filter(|input| input.kind == InputKind::Click) {
        for topic in &input.topics {
            decoders.insert(topic.clone(), ClickDecoder::new(input, registered.schemas())?);
        }
    }
    let segments = settings.clicks.segment_model.as_deref().map(segments::load).transpose()?;
    Ok(ClicksStage {
        decoders,
        settings: settings.clicks.clone(),
        payload_bytes_max: settings.text.payload_bytes_max,
        redactor: Redactor::new(&settings.redaction),
        model: purchase.map(|purchase| purchase.model.clone()),
        segments,
        scored: output(settings, registered, &settings.outputs.clicks, &SCORED_CLICK_FILES)?,
        profiles: output(settings, registered, &settings.outputs.profiles, &PROFILE_FILES)?,
        recommender: recommender(settings, registered)?,
        opinions: opinions(settings),
        counts: Mutex::default(),
        mix: Mutex::default(),
        keyless: Mutex::default(),
    })
}

fn output<T: Message + Name + Serialize>(
    settings: &Settings,
    registered: &Registered,
    topic: &str,
    files: &[SchemaFile],
) -> Result<ClicksOutput<T>, Error> {
    let schema = registered.output_schema(settings, topic, files)?;
    Ok(ClicksOutput { topic: Arc::from(topic), encoder: Encoder::new(settings.outputs.format, schema)? })
}

/// Sessions cut by another gap are not what the model has learned from.
fn warning(directory: &RowsDirectory, settings: &Settings) -> Option<String> {
    let gap_ms = settings.clicks.session_gap.as_millis() as u64;
    let learned = directory.session_gap_ms.filter(|learned| *learned != gap_ms)?;
    let name = &directory.name;
    Some(format!(
        "model {name} has learned from sessions that end after {learned} ms, and clicks.session_gap_ms is {gap_ms}"
    ))
}
