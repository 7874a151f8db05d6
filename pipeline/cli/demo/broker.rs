//! The broker inside the demo: librdkafka's own, which speaks Kafka's protocol with groups and transactions, and keeps
//! a few megabytes a partition in memory.
//!
//! It does not hold readers back until a transaction has committed, as Kafka does, so it proves nothing about
//! delivery; the tests against a real Kafka do.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::config::Outputs;
use crate::event::{Error, Fault};

pub const INPUT_PARTITIONS: i32 = 4;
pub const INPUTS: [&str; 3] = ["reviews", "chats", "clicks"];

/// A Kafka of one node on a free port of the loopback interface. It ends when dropped.
pub struct Broker(MockCluster<'static, DefaultProducerContext>);

impl Broker {
    pub fn start() -> Result<Broker, Error> {
        let cluster = MockCluster::new(1)
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start the embedded broker: {e}")))?;
        Ok(Broker(cluster))
    }

    pub fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// `own`: changelogs, and what stages hand to each other.
    pub fn create_topics(&self, outputs: &Outputs, own: &[String]) -> Result<(), Error> {
        let Outputs { reviews, chats, clicks, profiles, recommendations, dead_letters, .. } = outputs;
        let outputs = [reviews, chats, clicks, profiles, recommendations].map(|topic| (topic.as_str(), 4));
        let own = own.iter().map(|topic| (topic.as_str(), INPUT_PARTITIONS));
        let outputs = outputs.into_iter().chain([(dead_letters.as_str(), 1)]).chain(own);
        for (topic, partitions) in INPUTS.map(|topic| (topic, INPUT_PARTITIONS)).into_iter().chain(outputs) {
            self.0
                .create_topic(topic, partitions, 1)
                .map_err(|e| Error::new(Fault::Bug, format!("cannot create topic {topic}: {e}")))?;
        }
        Ok(())
    }
}
