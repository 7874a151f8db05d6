use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::engine::LookUp;
use super::models::Served;
use super::passages::{recommend_counts, recommend_lists};
use super::schemas::Registered;
use super::start::{Ask, Running, start_stage};
use crate::codec::{Encoder, RECOMMENDATIONS_FILES};
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config, is_refusal};
use crate::stages::Stage;
use crate::stages::clicks::ClicksStage;
use crate::stages::recommend::{OwnerStage, Recommender, Rules, SharedLists, VISITORS, Visitor, period_name};
use crate::state::Value;
use crate::telemetry::{BrokerFailed, Health, ListsRead};

/// One question to the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// Before something that the brokers have not answered is asked again.
const RETRY: Duration = Duration::from_secs(1);

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
    let owner = start_stage(settings, &models, stage, &registered, vec![recommend_counts(settings)], health)?;
    Ok(vec![owner, follow_lists(settings, lists)?])
}

/// Reads the table of lists from its beginning, and goes on reading. It joins no group: every instance reads all of it.
fn follow_lists(settings: &Settings, lists: Arc<SharedLists>) -> Result<Running, Error> {
    let mut config = client_config(&settings.kafka);
    config
        .set("group.id", format!("{}-{}-lists", settings.kafka.group_prefix, OwnerStage::NAME))
        .set("client.id", format!("{}-{}-lists", settings.kafka.group_prefix, settings.instance))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    let consumer = config.create().map_err(|e| broker_error("cannot create the consumer of lists", &e))?;
    let stopped = Arc::new(AtomicBool::new(false));
    let follower = Follower { consumer, topic: recommend_lists(settings), lists, stopped: stopped.clone() };
    let thread = thread::Builder::new()
        .name("lists".into())
        .spawn(move || follower.run())
        .map_err(|e| Error::new(Fault::Bug, format!("cannot start the thread that reads lists: {e}")))?;
    Ok(Running::new(move || stopped.store(true, Ordering::Relaxed), thread))
}

struct Follower {
    consumer: BaseConsumer,
    topic: String,
    lists: Arc<SharedLists>,
    stopped: Arc<AtomicBool>,
}

impl Follower {
    fn run(self) -> Result<(), Error> {
        let Some(mut unread) = self.assign()? else { return Ok(()) };
        let (mut read, mut unreadable) = (0_u64, 0_u64);
        while !self.is_stopped() {
            match self.consumer.poll(POLL_WAIT) {
                None => {}
                Some(Ok(message)) => {
                    read += 1;
                    if !self.lists.take(message.key().unwrap_or_default(), message.payload()) {
                        unreadable += 1;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) if unread > 0 => {
                    unread -= 1;
                    if unread == 0 {
                        ListsRead { read, unreadable, lists: self.lists.len(), bytes: self.lists.bytes() }.emit();
                    }
                }
                // Each partition has one at first; those that come after new records tell nothing new.
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => self.failed("cannot read the lists", &error)?,
            }
        }
        Ok(())
    }

    /// All partitions of the table, from their beginnings; how many there are. `None`: stopped before.
    fn assign(&self) -> Result<Option<usize>, Error> {
        while !self.is_stopped() {
            match self.consumer.fetch_metadata(Some(&self.topic), ANSWER_MAX) {
                Ok(metadata) => {
                    let topic = metadata.topics().first().filter(|topic| topic.error().is_none());
                    let partitions = topic.map_or(0, |topic| topic.partitions().len());
                    if partitions > 0 {
                        let mut all = TopicPartitionList::new();
                        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
                            all.add_partition_offset(&self.topic, partition, Offset::Beginning)
                                .map_err(|e| broker_error("cannot read the lists", &e))?;
                        }
                        self.consumer.assign(&all).map_err(|e| broker_error("cannot read the lists", &e))?;
                        return Ok(Some(partitions));
                    }
                    let error = format!("topic {} is not there; groundswell topics --create makes it", self.topic);
                    BrokerFailed { stage: OwnerStage::NAME, error: &error }.emit();
                }
                Err(error) => self.failed("cannot ask for the lists' partitions", &error)?,
            }
            thread::sleep(RETRY);
        }
        Ok(None)
    }

    /// Tells what is tried again, and returns what is not.
    fn failed(&self, doing: &str, error: &KafkaError) -> Result<(), Error> {
        let told = broker_error(doing, error);
        if error.rdkafka_error_code().is_some_and(is_refusal) {
            return Err(told.hint(format!("give this client's principal the right READ on topic {}", self.topic)));
        }
        BrokerFailed { stage: OwnerStage::NAME, error: &told.message }.emit();
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Answers what is recommended to a user, from what is committed.
#[derive(Clone)]
pub struct RecommendationsNow {
    stage: Arc<ClicksStage>,
    ask: Ask,
}

impl RecommendationsNow {
    /// `None` where nothing is recommended.
    pub(super) fn new(stage: &Arc<ClicksStage>, running: &Running) -> Option<Self> {
        stage.recommender.as_ref()?;
        Some(Self { stage: stage.clone(), ask: running.ask()? })
    }

    /// `reply` is called on the engine's thread with what a person or a shop reads; dropped where the engine has ended.
    /// A user whom no partition of this instance knows is shown what a new one is, and told apart by `known`.
    pub fn look_up(&self, user: &str, limit: Option<usize>, reply: impl FnOnce(serde_json::Value) + Send + 'static) {
        let Some(user) = self.stage.redactor.user(user) else { return };
        let (stage, name) = (self.stage.clone(), user.clone());
        let answer = move |found: Option<Value>| {
            let Some(recommender) = &stage.recommender else { return };
            let known = found.is_some();
            let visitor = found.and_then(|found| Visitor::decode(found.bytes).ok()).unwrap_or_default();
            let items_max = limit.unwrap_or(recommender.rules.ranking.items_max);
            let items = recommender.now(&visitor, items_max, Timestamp::now());
            reply(serde_json::json!({ "user": name, "known": known, "items": items }));
        };
        (self.ask)(LookUp { kind: VISITORS.kind(), key: user.into_bytes(), reply: Box::new(answer) });
    }
}
