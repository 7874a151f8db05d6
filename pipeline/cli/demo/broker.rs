//! The broker inside the demo: librdkafka's own, which speaks Kafka's protocol with groups and transactions, and keeps
//! a few megabytes a partition in memory.
//!
//! It does not hold readers back until a transaction has committed, as Kafka does, so it proves nothing about
//! delivery; the tests against a real Kafka do.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::event::{Error, Fault};

pub const PARTITIONS: i32 = 4;
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

    /// All that the pipeline reads and writes, by name.
    pub fn create_topics(&self, names: &[String]) -> Result<(), Error> {
        for topic in names {
            self.0
                .create_topic(topic, PARTITIONS, 1)
                .map_err(|e| Error::new(Fault::Bug, format!("cannot create topic {topic}: {e}")))?;
        }
        Ok(())
    }
}
