//! The clicks stage, exactly once on the real Kafka, against the plain loop over the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use groundswell::runtime::{self, Passage, Purchase, Purpose, Running, UserLookUps};
use groundswell::telemetry::Health;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Record, Supply};

/// 2026-01-05.
const START_MS: u64 = 1_767_571_200_000;
/// Clicks of all users in a second of event time.
const CLICKS_A_SECOND: u64 = 200;
const ITEMS: u32 = 20_000;
const CATEGORIES: u32 = 300;
const COMMITTED_LOOK: Duration = Duration::from_millis(20);
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Clicks as a shop writes them, in the order of their time: visits of a few clicks by users of whom some come often.
pub fn clicks(count: usize, users: u32) -> Vec<Record> {
    let mut rng = Rng::with_seed(5);
    // Who is about: each visit goes on for a while, then somebody else comes.
    let mut visits: Vec<(u32, u32)> = (0..1000).map(|_| (visitor(&mut rng, users), rng.u32(..CATEGORIES))).collect();
    (0..count)
        .map(|number| {
            let place = rng.usize(..visits.len());
            if rng.u8(..10) == 0 {
                visits[place] = (visitor(&mut rng, users), rng.u32(..CATEGORIES));
            }
            let (user, category) = visits[place];
            let item = category + CATEGORIES * (rng.f32().powi(3) * (ITEMS / CATEGORIES) as f32) as u32;
            let action = match rng.u8(..100) {
                0..90 => "view",
                90..95 => "cart",
                95..98 => "favourite",
                _ => "purchase",
            };
            let at_ms = START_MS + number as u64 * 1000 / CLICKS_A_SECOND;
            let payload = format!(
                r#"{{"event_id":"c-{number}","event_time":{at_ms},"user":"user-{user}","item":"item-{item}","category":"category-{category}","brand":"brand-{}","price":{}.5,"action":"{action}"}}"#,
                item % 40,
                item % 500 + 1
            );
            Record { partition: user as i32 % PARTITIONS, key: format!("user-{user}").into_bytes(), payload: payload.into_bytes() }
        })
        .collect()
}

/// Few come often: the number of visits falls with the square of the rank.
fn visitor(rng: &mut Rng, users: u32) -> u32 {
    (rng.f32().powi(2) * users as f32) as u32
}

pub struct Trial<'a> {
    broker: &'a Broker,
    input: String,
    group: BaseConsumer,
    end: usize,
    running: Running,
}

impl<'a> Trial<'a> {
    /// With the default settings but for the overrides: sessions, features, the purchase model, profiles and segments.
    pub fn start(broker: &'a Broker, name: &str, overrides: &[&str]) -> Outcome<Trial<'a>> {
        super::trial::metrics();
        let settings = broker.settings(name, overrides)?;
        let input = format!("{name}-clicks");
        let changelog = runtime::changelog(&format!("{name}-clicks"), &input);
        let topics = [input.clone(), settings.outputs.clicks.clone(), settings.outputs.profiles.clone()];
        broker.create_topics(&topics)?;
        broker.create_topics(&[changelog, settings.outputs.dead_letters.clone()])?;
        for Passage { topic, purpose } in runtime::passages(&settings) {
            if let Purpose::Repartition { owner } = purpose {
                broker.create_topics(&[runtime::changelog(&format!("{name}-{owner}"), &topic)])?;
            }
            broker.create_topics(&[topic])?;
        }
        if settings.recommendations.enabled {
            broker.create_topics(&[settings.outputs.recommendations.clone()])?;
        }
        let purchase = Purchase::load(&settings)?;
        let health = Arc::new(Health::new([], ["clicks"], Duration::from_secs(30), Instant::now()));
        let running = runtime::start_clicks(&settings, purchase.as_ref(), health)?;
        let group = broker.client().set("group.id", format!("{name}-clicks")).create()?;
        Ok(Trial { broker, input, group, end: 0, running })
    }

    /// Clicks a second, until the last of them is committed, which is when its result is visible.
    pub fn rate(&mut self, clicks: &[Record], supply: Supply) -> Outcome<f64> {
        self.end += clicks.len();
        let took = self.broker.feed(&self.input, clicks, supply, || self.wait_until_committed())?;
        if supply == Supply::Backlog {
            // The marker that ends a transaction takes an offset in each partition.
            self.end += PARTITIONS as usize;
        }
        Ok(clicks.len() as f64 / took.as_secs_f64())
    }

    pub fn look_ups(&self) -> Option<UserLookUps> {
        self.running.look_ups()
    }

    pub fn broker(&self) -> &'a Broker {
        self.broker
    }

    /// The topic that it reads.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Waits until so many more clicks, which were written by somebody else, are committed.
    pub fn wrote(&mut self, clicks: usize) -> Outcome<()> {
        self.end += clicks;
        self.wait_until_committed()
    }

    fn wait_until_committed(&self) -> Outcome<()> {
        let asked = Instant::now();
        loop {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&self.input, 0, PARTITIONS - 1);
            let committed = self.group.committed_offsets(partitions, Duration::from_secs(5))?;
            let offsets: i64 = committed.elements().iter().filter_map(|e| e.offset().to_raw()).filter(|o| *o > 0).sum();
            let left = self.end.saturating_sub(usize::try_from(offsets)?);
            if left == 0 {
                return Ok(());
            }
            if self.running.is_finished() || asked.elapsed() > STUCK_AFTER {
                return Err(format!("{left} of {} offsets are not committed, and no more come", self.end).into());
            }
            std::thread::sleep(COMMITTED_LOOK);
        }
    }

    pub fn stop(self) -> Outcome<()> {
        self.running.stop();
        Ok(self.running.join()?)
    }
}
