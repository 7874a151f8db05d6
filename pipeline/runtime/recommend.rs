use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, Producer};

use super::clock::start_clock;
use super::follow::{ANSWER_MAX, Table, follow};
use super::models::Served;
use super::passages::{recommend_counts, recommend_lists};
use super::schemas::Registered;
use super::start::{Running, start_stage};
use crate::codec::{Encoder, RECOMMENDATIONS_FILES};
use crate::config::Settings;
use crate::event::{Error, Output};
use crate::stages::Stage;
use crate::stages::recommend::said::Parcel;
use crate::stages::recommend::{OwnerStage, Recommender, Rules, SharedLists, period_name};
use crate::telemetry::{Health, ListsRead};

/// What the table is called in health and metrics.
const NAME: &str = "lists";

/// What recommends at clicks; `None` where the configuration wants none.
pub fn recommender(settings: &Settings, registered: &Registered) -> Result<Option<Recommender>, Error> {
    if !settings.recommendations.enabled {
        return Ok(None);
    }
    let rules = Rules::from(&settings.recommendations);
    let topic = &settings.outputs.recommendations;
    let schema = registered.output_schema(settings, topic, &RECOMMENDATIONS_FILES)?;
    Ok(Some(Recommender {
        lists: Arc::new(SharedLists::new(settings.recommendations.lists_bytes_max)),
        topic: Arc::from(topic.as_str()),
        counts_topic: recommend_counts(settings).into(),
        encoder: Encoder::new(settings.outputs.format, schema)?,
        period: period_name(&rules.learning),
        told: Mutex::default(),
        rules,
    }))
}

/// Starts what works for the recommendations beside the clicks: the stage that owns items and categories, and the reader
/// of all lists.
pub fn start_recommend(
    settings: &Settings,
    lists: Arc<SharedLists>,
    health: Arc<Health>,
) -> Result<Vec<Running>, Error> {
    let learning = Rules::from(&settings.recommendations).learning;
    let stage = Arc::new(OwnerStage { learning, lists_topic: recommend_lists(settings).into() });
    let (models, registered) = (Served::none(), Registered::new(settings)?);
    let owner = start_stage(settings, &models, stage, &registered, vec![recommend_counts(settings)], health.clone())?;
    let clock = start_clock(settings, OwnerStage::NAME, settings.recommendations.idle, {
        let (topic, mut partitions) = (Arc::from(recommend_counts(settings)), Vec::new());
        move |producer, now| {
            if partitions.is_empty() {
                partitions = partitions_of(producer, &topic);
            }
            clock(&topic, &partitions, now)
        }
    })?;
    health.reading(NAME, Instant::now());
    let table = Lists { lists, health };
    Ok(vec![owner, clock, follow(settings, OwnerStage::NAME, NAME, recommend_lists(settings), table)?])
}

/// None while the brokers do not say.
fn partitions_of(producer: &BaseProducer, topic: &str) -> Vec<i32> {
    // Metadata of all topics: a producer that asks for one by its name could make it.
    let Ok(metadata) = producer.client().fetch_metadata(None, ANSWER_MAX) else { return Vec::new() };
    let topic = metadata.topics().iter().find(|found| found.name() == topic);
    topic.iter().flat_map(|topic| topic.partitions()).map(MetadataPartition::id).collect()
}

/// What the clock on the wall shows, for each of these partitions.
fn clock(topic: &Arc<str>, partitions: &[i32], now: Timestamp) -> Vec<Output> {
    let payload = Bytes::from(Parcel::clock(now.as_millisecond()).encode_to_vec());
    let to = |partition: &i32| Output {
        topic: topic.clone(),
        partition: Some(*partition),
        key: None,
        payload: Some(payload.clone()),
        headers: Vec::new(),
    };
    partitions.iter().map(to).collect()
}

/// The table of lists, as the recommender reads it.
struct Lists {
    lists: Arc<SharedLists>,
    health: Arc<Health>,
}

impl Table for Lists {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        self.lists.take(key, value)
    }

    fn complete(&mut self, read: u64, unreadable: u64) {
        self.health.read(NAME);
        ListsRead { read, unreadable, lists: self.lists.len(), bytes: self.lists.bytes() }.emit();
    }
}
