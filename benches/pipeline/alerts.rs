//! The alerts stage, exactly once on the real Kafka: scored texts a second, and how soon an alert can be seen.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use groundswell::event::v1;
use groundswell::runtime::{self, Running};
use groundswell::telemetry::Health;
use jiff::Timestamp;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Record, Supplied, Supply};
use super::progress::Progress;

const PRODUCTS: usize = 1000;
const BRANDS: usize = 50;
const CHANNELS: [&str; 3] = ["app", "web", "shop"];
const TOPICS: [&str; 8] = ["delivery", "payment", "quality", "price", "service", "size", "battery", "returns"];
/// Of ordinary texts.
const NEGATIVE: f64 = 0.2;
/// 2026-01-05.
const START_MS: i64 = 1_767_571_200_000;
/// A surge: so many times as many texts of one product as before, the additional ones negative, for so long.
const TIMES: f64 = 8.0;
const SURGE_MS: i64 = 20_000;
/// How long alerts are read once all is written.
const LAST_ALERTS: Duration = Duration::from_secs(15);

pub struct Trial<'a> {
    broker: &'a Broker,
    progress: Progress,
    /// In what the first half hands on to the second.
    owners: Progress,
    alerts: String,
    running: Running,
}

/// What became of the surges.
pub struct Told {
    pub surges: usize,
    /// Of each that an alert told of, milliseconds to the visible alert: from when its bucket was over, and from its first
    /// text.
    pub from_bucket: Vec<f64>,
    pub from_first: Vec<f64>,
}

impl<'a> Trial<'a> {
    pub fn start(broker: &'a Broker, name: &str, overrides: &[&str]) -> Outcome<Trial<'a>> {
        super::trial::metrics();
        let partitions = format!("alerts.partitions={PARTITIONS}");
        let outputs = [format!("outputs.alerts={name}-alerts"), format!("outputs.trends={name}-trends")];
        let own = ["alerts.enabled=true", &partitions, &outputs[0], &outputs[1]];
        let mut settings = broker.settings(name, &[&own, overrides].concat())?;
        settings.inputs.retain(|input| input.name == "reviews");
        let (scored, between) = (settings.outputs.reviews.clone(), runtime::repartition(&settings));
        let changelogs = [&scored, &between].map(|input| runtime::changelog(&format!("{name}-alerts"), input));
        broker.create_topics(&changelogs)?;
        let alerts = settings.outputs.alerts.clone();
        broker.create_topics(&[
            scored.clone(),
            between.clone(),
            alerts.clone(),
            settings.outputs.trends.clone(),
            settings.outputs.dead_letters.clone(),
        ])?;
        let health = Arc::new(Health::new([], ["alerts"], Duration::from_secs(30), Instant::now()));
        let running = runtime::start_alerts(&settings, health)?;
        let group = format!("{name}-alerts");
        let (progress, owners) = (Progress::new(broker, &group, &scored)?, Progress::new(broker, &group, &between)?);
        Ok(Trial { broker, progress, owners, alerts, running })
    }

    /// Scored texts a second, until the last of them is committed and the owners of all scopes are through.
    pub fn rate(&mut self, talk: &[Said]) -> Outcome<f64> {
        let finished = || self.running.is_finished();
        let alone = self.progress.rate(self.broker, talk, Supply::Backlog, finished)?;
        let since = Instant::now();
        self.owners.through(finished)?;
        Ok(talk.len() as f64 / (talk.len() as f64 / alone + since.elapsed().as_secs_f64()))
    }

    /// Writes the talk at the pace of its event time, and looks when an alert of each surge becomes visible.
    pub fn tell(&mut self, talk: &[Said], surges: &BTreeMap<usize, i64>) -> Outcome<Told> {
        let producer = self.broker.producer()?;
        let reader = self.broker.reader(&self.alerts)?;
        let topic = self.progress.topic().to_owned();
        let first_ms = talk.first().map_or(0, |said| said.at_ms);
        let mut told = Told { surges: surges.len(), from_bucket: Vec::new(), from_first: Vec::new() };
        let mut seen = HashSet::new();
        std::thread::scope(|scope| {
            let started = Instant::now();
            let writing = scope.spawn(move || {
                for (number, said) in talk.iter().enumerate() {
                    let at = started + Duration::from_millis((said.at_ms - first_ms) as u64);
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    let supplied = said.record(number);
                    let record: BaseRecord<'_, (), [u8]> =
                        BaseRecord::to(&topic).payload(supplied.payload.as_slice()).partition(supplied.partition);
                    producer.send(record).map_err(|(error, _)| error)?;
                }
                producer.flush(Duration::from_secs(10))
            });
            let mut written: Option<Instant> = None;
            while written.is_none_or(|at| at.elapsed() < LAST_ALERTS) {
                if written.is_none() && writing.is_finished() {
                    written = Some(Instant::now());
                }
                if self.running.is_finished() {
                    return Err("the pipeline ended by itself".into());
                }
                let Some(alert) = next(&reader)? else { continue };
                let now_ms = first_ms as f64 + started.elapsed().as_secs_f64() * 1000.0;
                let Some((product, since_ms)) = surge_of(&alert, surges) else { continue };
                let end_ms = alert["updated_time"].as_str().map(time_ms).transpose()?.unwrap_or_default();
                if end_ms > since_ms && seen.insert(product) {
                    told.from_bucket.push(now_ms - end_ms as f64);
                    told.from_first.push(now_ms - since_ms as f64);
                }
            }
            writing.join().map_err(|_| "the writer panicked")??;
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        })?;
        self.progress.wrote(talk.len(), || self.running.is_finished())?;
        Ok(told)
    }

    pub fn stop(self) -> Outcome<()> {
        self.running.stop();
        Ok(self.running.join()?)
    }
}

fn next(reader: &BaseConsumer) -> Outcome<Option<serde_json::Value>> {
    let Some(message) = reader.poll(Duration::from_millis(5)) else { return Ok(None) };
    Ok(Some(serde_json::from_slice(message?.payload().unwrap_or_default())?))
}

/// The product of a surge that an alert tells of, and when that began.
fn surge_of(alert: &serde_json::Value, surges: &BTreeMap<usize, i64>) -> Option<(usize, i64)> {
    let product = alert["labels"]["product"].as_str()?.strip_prefix("p-")?.parse().ok()?;
    Some((product, *surges.get(&product)?))
}

fn time_ms(time: &str) -> Outcome<i64> {
    Ok(time.parse::<Timestamp>()?.as_millisecond())
}

/// A text that somebody wrote, scored.
pub struct Said<'t> {
    at_ms: i64,
    product: usize,
    negative: bool,
    text: &'t str,
}

impl Supplied for Said<'_> {
    fn record(&self, number: usize) -> Cow<'_, Record> {
        let label = if self.negative { "negative" } else { "positive" };
        let topic = v1::Label { label: TOPICS[self.product % TOPICS.len()].into(), probability: 0.9 };
        let scored = v1::Scored {
            event_id: format!("s-{number}-{}", self.at_ms),
            kind: v1::Kind::Review.into(),
            event_time: Some(prost_types::Timestamp {
                seconds: self.at_ms.div_euclid(1000),
                nanos: (self.at_ms.rem_euclid(1000) * 1_000_000) as i32,
            }),
            product: Some(format!("p-{}", self.product)),
            brand: Some(format!("b-{}", self.product % BRANDS)),
            channel: Some(CHANNELS[number % CHANNELS.len()].into()),
            user: Some(format!("u-{number}-{}", self.at_ms % 1000)),
            text: Some(self.text.to_owned()),
            language: "en".into(),
            sentiment: Some(v1::Sentiment {
                label: label.into(),
                score: if self.negative { -0.8 } else { 0.8 },
                ..Default::default()
            }),
            labels: [("topic".to_owned(), v1::Labels { labels: vec![topic] })].into_iter().collect(),
            ..v1::Scored::default()
        };
        let payload = serde_json::to_vec(&scored).unwrap_or_default();
        Cow::Owned(Record { partition: number as i32 % PARTITIONS, key: Vec::new(), payload })
    }
}

/// Texts of all products in the order of their time, with surges among them.
pub struct Talk<'t> {
    texts: &'t [String],
    rng: Rng,
    at_ms: i64,
}

impl<'t> Talk<'t> {
    pub fn new(texts: &'t [String]) -> Talk<'t> {
        Talk { texts, rng: Rng::with_seed(6), at_ms: START_MS }
    }

    /// What is said from where the last part ended, so many texts a second of event time.
    pub fn go_on(&mut self, rate: f64, time: Duration) -> Vec<Said<'t>> {
        let count = (rate * time.as_secs_f64()) as usize;
        let began_ms = self.at_ms;
        self.at_ms += time.as_millis() as i64;
        (0..count).map(|number| self.say(began_ms + (number as f64 * 1000.0 / rate) as i64, None)).collect()
    }

    /// The same with surges of different products spread over the time, so many texts a second together; by product, when
    /// each begins. Those of one brand lie far apart: several at once would be told of as one.
    pub fn surge(&mut self, rate: f64, time: Duration, surges: usize) -> (Vec<Said<'t>>, BTreeMap<usize, i64>) {
        let additional = (TIMES - 1.0) / PRODUCTS as f64 * SURGE_MS as f64 / 1000.0;
        let ordinary = rate / (1.0 + additional * surges as f64 / time.as_secs_f64());
        let began_ms = self.at_ms;
        let mut said = self.go_on(ordinary, time);
        let apart_ms = (time.as_millis() as i64 - SURGE_MS) / surges.max(1) as i64;
        let more = (additional * ordinary) as i64;
        let begins: BTreeMap<usize, i64> =
            (0..surges).map(|product| (product, began_ms + product as i64 * apart_ms)).collect();
        for (product, since_ms) in &begins {
            said.extend((0..more).map(|number| self.say(since_ms + number * SURGE_MS / more, Some(*product))));
        }
        said.sort_by_key(|said| said.at_ms);
        (said, begins)
    }

    fn say(&mut self, at_ms: i64, surging: Option<usize>) -> Said<'t> {
        Said {
            at_ms,
            product: surging.unwrap_or_else(|| self.rng.usize(..PRODUCTS)),
            negative: surging.is_some() || self.rng.f64() < NEGATIVE,
            text: &self.texts[self.rng.usize(..self.texts.len())],
        }
    }
}
