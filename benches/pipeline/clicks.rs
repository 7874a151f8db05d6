//! The clicks stage, exactly once on the real Kafka, against the plain loop over the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use groundswell::runtime::{self, Purchase, Running};
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
