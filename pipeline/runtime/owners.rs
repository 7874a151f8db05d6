//! Which instance has which partition of clicks, as the instances tell each other.
//!
//! Each says in a compacted topic, by partition, where it answers, as soon as the group has given it the partition. The
//! newest record of a partition holds. None is taken back: whoever has the partition next says so. An instance that has a
//! partition and reads that another says the same says it again, after a pause; so what an instance says that has not
//! noticed its loss does not last.
//!
//! This says whom to ask and nothing more. What is right is decided by who has the partition: an instance that is asked
//! about one that it does not have says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use serde::{Deserialize, Serialize};

use super::follow::{ANSWER_MAX, Table, follow};
use super::start::Running;
use crate::config::{Partitioner, Settings};
use crate::event::{Error, TopicPartition};
use crate::kafka::{broker_error, client_config};
use crate::stages::Stage;
use crate::stages::clicks::ClicksStage;
use crate::telemetry::{AddressShared, BrokerFailed, Health};

/// What the table is called in health and metrics.
const NAME: &str = "owners";
/// Before a partition is claimed that was claimed before.
const CLAIM_AGAIN: Duration = Duration::from_secs(3);
/// How often the number of the topics' partitions is asked for.
const COUNT_EVERY: Duration = Duration::from_secs(30);
const COUNT_AGAIN: Duration = Duration::from_secs(1);
const URL_BYTES_MAX: usize = 256;
/// No cluster has topics of so many.
const PARTITIONS_MAX: i32 = 100_000;
/// Claims that no broker has taken yet are not worth more.
const CLAIM_MAX: Duration = Duration::from_secs(10);

/// The topic in which instances say what they have; `None` where they do not know of each other.
pub fn owners_topic(settings: &Settings) -> Option<String> {
    settings.http.listen.and(settings.http.advertised_url.as_ref())?;
    Some(format!("{}-owners", settings.kafka.group_prefix))
}

/// The partitions that the engines of a stage have, and which engine has each.
#[derive(Debug, Default)]
pub struct Holdings(Mutex<BTreeMap<TopicPartition, usize>>);

impl Holdings {
    /// All that this engine has.
    pub fn set(&self, engine: usize, partitions: impl Iterator<Item = TopicPartition>) {
        let mut held = self.lock();
        held.retain(|_, by| *by != engine);
        held.extend(partitions.map(|partition| (partition, engine)));
    }

    pub fn engine(&self, partition: &TopicPartition) -> Option<usize> {
        self.lock().get(partition).copied()
    }

    fn get(&self) -> BTreeSet<TopicPartition> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of who has what.
pub struct Owners {
    topics: Vec<String>,
    partitioner: Partitioner,
    /// Who this instance is and where it answers.
    own: Claim,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By topic: how many partitions it has.
    partitions: HashMap<String, i32>,
    claims: HashMap<TopicPartition, Claim>,
}

/// A record's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Claim {
    instance: String,
    url: String,
}

impl Owners {
    fn new(settings: &Settings, topics: Vec<String>, own: Claim) -> Owners {
        Owners { topics, partitioner: settings.http.partitioner, own, known: Mutex::default() }
    }

    /// Where the user is remembered, if anywhere: one partition of each topic but those already asked. `None` until it is
    /// known how many partitions they have.
    pub fn places(&self, user: &str, asked: &[String]) -> Option<Vec<TopicPartition>> {
        let known = self.known();
        let topics = self.topics.iter().filter(|topic| !asked.contains(topic));
        let place = |topic: &String| {
            let partition = self.partitioner.partition(user.as_bytes(), *known.partitions.get(topic)?);
            Some(TopicPartition { topic: topic.as_str().into(), partition })
        };
        topics.map(place).collect()
    }

    /// The first of these places that another instance says it has, and where that one answers.
    pub fn url(&self, places: &[TopicPartition]) -> Option<String> {
        let known = self.known();
        let others = places.iter().filter_map(|place| known.claims.get(place)).find(|claim| claim.url != self.own.url);
        others.map(|claim| claim.url.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record of the topic.
    fn take(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some(place) = place(key).filter(|place| self.topics.iter().any(|topic| **topic == *place.topic)) else {
            return false;
        };
        let Some(value) = value else {
            self.known().claims.remove(&place);
            return true;
        };
        let claim: Option<Claim> = serde_json::from_slice(value).ok();
        let Some(claim) = claim.filter(|claim| is_base(&claim.url)) else { return false };
        self.known().claims.insert(place, claim);
        true
    }

    /// Of what is known, who else says that it answers here.
    fn namesake(&self, place: &TopicPartition) -> Option<String> {
        let known = self.known();
        let claim = known.claims.get(place)?;
        (claim.url == self.own.url && claim.instance != self.own.instance).then(|| claim.instance.clone())
    }
}

/// Follows the topic, and says there what this instance has.
pub fn start_owners(
    settings: &Settings,
    topics: Vec<String>,
    held: Arc<Holdings>,
    health: Arc<Health>,
) -> Result<Option<(Arc<Owners>, Running)>, Error> {
    let (Some(topic), Some(url)) = (owners_topic(settings), settings.http.advertised_url.clone()) else {
        return Ok(None);
    };
    let mut config = client_config(&settings.kafka);
    config
        .set("client.id", format!("{}-{}-owners", settings.kafka.group_prefix, settings.instance))
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("message.timeout.ms", CLAIM_MAX.as_millis().to_string());
    let producer =
        config.create_with_context(Told).map_err(|e| broker_error("cannot create the producer of owners", &e))?;
    let claim = Claim { instance: settings.instance.clone(), url };
    let owners = Arc::new(Owners::new(settings, topics, claim.clone()));
    let claimant = Claimant {
        owners: owners.clone(),
        held,
        // A claim is made of two strings.
        claim: serde_json::to_vec(&claim).unwrap_or_default(),
        topic: topic.clone(),
        producer,
        claimed: HashMap::new(),
        complete: false,
        counted: false,
        count_at: Instant::now(),
        reading: Some(health.clone()),
    };
    health.reading(NAME, Instant::now());
    let running = follow(settings, ClicksStage::NAME, NAME, topic, claimant)?;
    Ok(Some((owners, running)))
}

struct Claimant {
    owners: Arc<Owners>,
    held: Arc<Holdings>,
    claim: Vec<u8>,
    topic: String,
    producer: BaseProducer<Told>,
    /// What this instance has, and when it said so last.
    claimed: HashMap<TopicPartition, Instant>,
    /// What was said before it started has been read.
    complete: bool,
    /// It is known how many partitions the topics have.
    counted: bool,
    count_at: Instant,
    /// To be told when both hold: from then on it is known whom to ask. `None`: it was told.
    reading: Option<Arc<Health>>,
}

impl Table for Claimant {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let taken = self.owners.take(key, value);
        // What was said before this instance ran may have been said by itself, under an earlier name.
        if let Some(instance) = self.complete.then(|| self.owners.namesake(&place(key)?)).flatten() {
            AddressShared { url: &self.owners.own.url, instance: &instance }.emit();
        }
        taken
    }

    fn complete(&mut self, _: u64, _: u64) {
        self.complete = true;
    }

    fn turn(&mut self, consumer: &BaseConsumer) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.count_at {
            let all = self.count(consumer);
            self.counted |= all;
            self.count_at = now + if all { COUNT_EVERY } else { COUNT_AGAIN };
        }
        if self.complete && self.counted {
            self.reading.take().into_iter().for_each(|health| health.read(NAME));
        }
        if self.complete {
            self.claim(now);
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }
}

impl Claimant {
    /// Asks how many partitions the topics have. False where that is not known of all.
    fn count(&self, consumer: &BaseConsumer) -> bool {
        let mut all = true;
        for topic in &self.owners.topics {
            match consumer.fetch_metadata(Some(topic), ANSWER_MAX) {
                Ok(metadata) => {
                    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
                    all &= partitions > 0;
                    if let (1.., Ok(partitions)) = (partitions, i32::try_from(partitions)) {
                        self.owners.known().partitions.insert(topic.clone(), partitions);
                    }
                }
                Err(error) => {
                    all = false;
                    let told = broker_error("cannot ask for the partitions of clicks", &error);
                    BrokerFailed { stage: ClicksStage::NAME, error: &told.message }.emit();
                }
            }
        }
        all
    }

    /// Says what this instance has, where the topic says otherwise.
    fn claim(&mut self, now: Instant) {
        let held = self.held.get();
        self.claimed.retain(|place, _| held.contains(place));
        for place in held {
            let said = self.owners.known().claims.get(&place) == Some(&self.owners.own);
            let waits = self.claimed.get(&place).is_some_and(|at| now < *at + CLAIM_AGAIN);
            if said || waits {
                continue;
            }
            let key = place.to_string();
            let record: BaseRecord<'_, str, [u8]> =
                BaseRecord::to(&self.topic).key(key.as_str()).payload(self.claim.as_slice());
            // A queue that is full is tried again like a record that was not delivered.
            if let Err((error, _)) = self.producer.send(record) {
                let told = broker_error("cannot say which partitions this instance has", &error);
                BrokerFailed { stage: ClicksStage::NAME, error: &told.message }.emit();
            }
            self.claimed.insert(place, now);
        }
    }
}

impl Drop for Claimant {
    fn drop(&mut self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

/// Tells of claims that no broker has taken; each is made again.
struct Told;

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivered {
            let told = broker_error("cannot say which partitions this instance has", error);
            BrokerFailed { stage: ClicksStage::NAME, error: &told.message }.emit();
        }
    }
}

/// As [`TopicPartition`] is written: `TOPIC/PARTITION`.
fn place(key: &[u8]) -> Option<TopicPartition> {
    let (topic, partition) = std::str::from_utf8(key).ok()?.rsplit_once('/')?;
    let partition = partition.parse().ok().filter(|partition| (0..PARTITIONS_MAX).contains(partition))?;
    Some(TopicPartition { topic: topic.into(), partition })
}

/// What may be sent to clients as an address: nothing but scheme, host and port.
fn is_base(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    url.len() <= URL_BYTES_MAX && rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(legal))
}

impl Partitioner {
    /// The partition, of so many, into which a record with this key is put.
    pub fn partition(self, key: &[u8], partitions: i32) -> i32 {
        let partitions = partitions.max(1);
        let place = match self {
            Partitioner::Murmur2 => (murmur2(key) & 0x7fff_ffff) % partitions.unsigned_abs(),
            Partitioner::Crc32 => crc32fast::hash(key) % partitions.unsigned_abs(),
        };
        // Below a positive i32.
        place as i32
    }
}

/// MurmurHash2 (Austin Appleby, public domain) with the seed that Kafka's clients have.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0_u32, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_kafkas_clients_put_them() {
        // The vectors of Kafka's own test of its hash.
        let vectors = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, expected) in vectors {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
        // CRC-32's check value is 0xcbf43926.
        assert_eq!(Partitioner::Crc32.partition(b"123456789", 1000), (0xcbf4_3926_u32 % 1000) as i32);
    }

    fn owners() -> Owners {
        let sets = ["instance.name=a", "http.advertised_url=http://a:1"].map(str::to_owned);
        let settings = crate::config::load(None, &sets, std::iter::empty()).unwrap();
        let own = Claim { instance: "a".into(), url: "http://a:1".into() };
        Owners::new(&settings, vec!["clicks".into()], own)
    }

    #[test]
    fn the_newest_claim_of_a_partition_holds_and_the_own_one_sends_nobody_away() {
        let owners = owners();
        assert_eq!(owners.places("21", &[]), None, "nobody has counted the partitions");
        owners.known().partitions.insert("clicks".into(), 10);
        let places = owners.places("21", &[]).unwrap();
        assert_eq!(places.iter().map(ToString::to_string).collect::<Vec<_>>(), ["clicks/0"]);
        assert_eq!(owners.places("21", &["clicks".to_owned()]), Some(Vec::new()));
        assert_eq!(owners.url(&places), None);
        assert!(owners.take(b"clicks/0", Some(br#"{"instance":"b","url":"http://b:1"}"#)));
        assert_eq!(owners.url(&places).as_deref(), Some("http://b:1"));
        assert!(owners.take(b"clicks/0", Some(br#"{"instance":"a","url":"http://a:1"}"#)));
        assert_eq!(owners.url(&places), None);
        assert!(owners.take(b"clicks/0", None));
    }

    #[test]
    fn two_instances_with_one_address_are_noticed() {
        let owners = owners();
        let claimed = |claim: &str| {
            assert!(owners.take(b"clicks/0", Some(claim.as_bytes())));
            owners.namesake(&place(b"clicks/0").unwrap())
        };
        assert_eq!(claimed(r#"{"instance":"a","url":"http://a:1"}"#), None);
        assert_eq!(claimed(r#"{"instance":"b","url":"http://b:1"}"#), None);
        assert_eq!(claimed(r#"{"instance":"b","url":"http://a:1"}"#), Some("b".into()));
        let places = [place(b"clicks/0").unwrap()];
        assert_eq!(owners.url(&places), None, "a question is never sent back to where it was asked");
        assert_ne!(owners.known().claims.get(&places[0]), Some(&owners.own), "and the partition is claimed again");
    }

    #[test]
    fn what_is_no_claim_is_passed_over() {
        let owners = owners();
        let claim: &[u8] = br#"{"instance":"b","url":"http://b:1"}"#;
        for key in ["clicks", "clicks/-1", "clicks/100000", "clicks/x", "others/0", "clicks/0/0", ""] {
            assert!(!owners.take(key.as_bytes(), Some(claim)), "{key}");
        }
        assert!(!owners.take(b"\xff/0", Some(claim)));
        for url in ["", "b:1", "ftp://b", "http://", "http://b:1/path", "http://b\r\nSet-Cookie: x", "http://u@b"] {
            let claim = serde_json::to_vec(&Claim { instance: "b".into(), url: url.into() }).unwrap();
            assert!(!owners.take(b"clicks/0", Some(&claim)), "{url}");
        }
        assert!(!owners.take(b"clicks/0", Some(b"{")));
        assert!(owners.known().claims.is_empty());
    }
}
