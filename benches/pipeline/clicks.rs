//! The clicks stage, exactly once on the real Kafka, against the plain loop over the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use groundswell::config::Settings;
use groundswell::runtime::{self, Passage, Purchase, Purpose, Running, UserLookUps};
use groundswell::telemetry::Health;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Record, Supply};

const COMMITTED_LOOK: Duration = Duration::from_millis(20);
const STUCK_AFTER: Duration = Duration::from_secs(120);

pub struct Trial<'a> {
    broker: &'a Broker,
    input: String,
    group: BaseConsumer,
    end: usize,
    running: Running,
    began: Instant,
}

/// What the state takes.
pub struct Size {
    /// In memory.
    pub entries: f64,
    /// Bytes in memory, what they may be, and bytes on disk.
    pub memory: f64,
    pub limit: f64,
    pub local: f64,
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
            broker.create_topics(std::slice::from_ref(&settings.outputs.recommendations))?;
        }
        Self::over(broker, &settings, 0)
    }

    fn over(broker: &'a Broker, settings: &Settings, end: usize) -> Outcome<Trial<'a>> {
        let name = &settings.kafka.group_prefix;
        let began = Instant::now();
        let purchase = Purchase::load(settings)?;
        let health = Arc::new(Health::new([], ["clicks"], Duration::from_secs(30), Instant::now()));
        let running = runtime::start_clicks(settings, purchase.as_ref(), health)?;
        let group = broker.client().set("group.id", format!("{name}-clicks")).create()?;
        Ok(Trial { broker, input: format!("{name}-clicks"), group, end, running, began })
    }

    /// Ends it and starts it anew on the same topics, with the local copies of its state or without.
    pub fn again(self, name: &str, overrides: &[&str], keep: bool) -> Outcome<Trial<'a>> {
        let (broker, end) = (self.broker, self.end);
        self.stop()?;
        if !keep {
            std::fs::remove_dir_all(broker.folder(name))?;
        }
        Self::over(broker, &broker.settings(name, overrides)?, end)
    }

    /// Seconds from the start until these clicks, one for each partition, are through: then the state has been read back.
    pub fn through(&mut self, clicks: &[Record]) -> Outcome<f64> {
        self.rate(clicks, Supply::Backlog)?;
        Ok(self.began.elapsed().as_secs_f64())
    }

    pub fn size(&self) -> Size {
        let page = super::trial::metrics().render();
        let of = |name: &str| super::trial::sum_of(&page, name);
        Size {
            entries: of("groundswell_state_entries"),
            memory: of("groundswell_state_size_bytes"),
            limit: of("groundswell_state_limit_bytes"),
            local: of("groundswell_state_spilled_bytes"),
        }
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

    /// Waits until the owners of items and categories have taken all that the clicks committed so far have counted.
    pub fn wait_for_owners(&self, name: &str) -> Outcome<()> {
        let (stage, topic) = ("recommend", format!("{name}-recommend-counts"));
        let owners: BaseConsumer = self.broker.client().set("group.id", format!("{name}-{stage}")).create()?;
        let asked = Instant::now();
        loop {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&topic, 0, PARTITIONS - 1);
            let committed = owners.committed_offsets(partitions, Duration::from_secs(5))?;
            let mut left = 0;
            for partition in committed.elements() {
                let (_, end) = owners.fetch_watermarks(&topic, partition.partition(), Duration::from_secs(5))?;
                // The marker that ends a transaction is the last record.
                left += (end - 1 - partition.offset().to_raw().unwrap_or_default()).max(0);
            }
            if left == 0 {
                return Ok(());
            }
            if self.running.is_finished() || asked.elapsed() > STUCK_AFTER {
                return Err(format!("{left} offsets of {topic} are not committed, and no more come").into());
            }
            std::thread::sleep(COMMITTED_LOOK);
        }
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
