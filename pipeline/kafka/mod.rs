//! What consumers, producers and admin clients share: how a client is configured, and what its errors mean to a person.

mod start;

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::config::Kafka;
use crate::event::{Error, Fault};

pub use start::{commit_starts, is_over};

/// How often it is looked whether a partition has a leader.
const LEADER_LOOK: Duration = Duration::from_millis(100);

/// A client of the configured brokers. The operator's own librdkafka properties come first, so that what a part sets
/// on top of them always holds.
pub fn client_config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.librdkafka {
        config.set(key, value.expose());
    }
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    config
}

/// A librdkafka error as a person should read it.
pub fn broker_error(doing: impl std::fmt::Display, error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            Error::new(Fault::Config, format!("{doing}: librdkafka property {key}: {description}"))
        }
        KafkaError::ClientCreation(reason) => Error::new(Fault::Config, format!("{doing}: {reason}")),
        KafkaError::Transaction(inner) => Error::new(Fault::Broker, format!("{doing}: {}", inner.string())),
        other => match other.rdkafka_error_code() {
            Some(code) => Error::new(Fault::Broker, format!("{doing}: {code}")),
            None => Error::new(Fault::Broker, format!("{doing}: {other}")),
        },
    }
}

/// The first offset that a partition holds, and the one behind its last. Where the partition's leader is not known yet, as
/// of a topic that was just made, it is asked for again within `wait_max`.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    wait_max: Duration,
) -> KafkaResult<(i64, i64)> {
    use RDKafkaErrorCode as C;
    let deadline = Instant::now() + wait_max;
    loop {
        let asked = consumer.fetch_watermarks(topic, partition, wait_max);
        let moving = |error: &KafkaError| {
            matches!(error.rdkafka_error_code(), Some(C::NotLeaderForPartition | C::LeaderNotAvailable))
        };
        match asked {
            Err(error) if moving(&error) && Instant::now() < deadline => thread::sleep(LEADER_LOOK),
            other => return other,
        }
    }
}

/// True where trying again cannot help until somebody changes an access right or a credential.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::SaslAuthenticationFailed
            | C::Authentication
            | C::UnsupportedSASLMechanism
    )
}

/// What a client uses of the cluster: when it is refused, one of these names is what it has no right to.
pub struct Uses<'a> {
    /// What is done with the topics, as Kafka's access lists call it: `READ` or `WRITE`.
    pub operation: &'static str,
    pub topics: Vec<&'a str>,
    pub group: &'a str,
    pub transactional_id: &'a str,
}

impl Uses<'_> {
    /// A refusal as an error that names the right that is missing, and on what.
    pub fn refusal(&self, message: impl Into<String>, code: RDKafkaErrorCode) -> Error {
        Error::new(Fault::Broker, message).hint(self.missing(code))
    }

    fn missing(&self, code: RDKafkaErrorCode) -> String {
        use RDKafkaErrorCode as C;
        let on = match code {
            C::TopicAuthorizationFailed => {
                let (operation, topics) = (self.operation, self.topics.join(", "));
                let plural = if self.topics.len() == 1 { "topic" } else { "each of the topics" };
                format!("{operation} on {plural} {topics}")
            }
            C::GroupAuthorizationFailed => format!("READ on group {}", self.group),
            C::TransactionalIdAuthorizationFailed => format!("WRITE on transactional id {}", self.transactional_id),
            C::ClusterAuthorizationFailed => "IDEMPOTENT_WRITE on the cluster".to_owned(),
            _ => return "check the sasl and ssl properties in [kafka.librdkafka]".to_owned(),
        };
        format!("give this client's principal the right {on}")
    }
}

/// A membership of a group at one moment, in whose name a commit is made.
pub struct GroupMetadata {
    /// Counted by the group with each rebalance; with `group.protocol=consumer`, the member's epoch.
    pub generation: i32,
    pub native: ConsumerGroupMetadata,
}

/// What the sink needs of the consumer: to commit in its group's name.
pub trait Membership: Send + Sync {
    /// The group's metadata as of now. `None` while the consumer is no member: a commit with a negative generation
    /// would not be fenced.
    fn metadata(&self) -> Option<GroupMetadata>;

    /// Commits offsets without a transaction and waits for the broker's answer.
    ///
    /// # Errors
    /// `IllegalGeneration` if the group has moved on since `metadata` was read; the broker's own answer otherwise.
    fn commit(&self, offsets: &TopicPartitionList, metadata: &GroupMetadata) -> KafkaResult<()>;
}

/// True where the group has moved on since the generation in whose name a commit was made.
pub fn is_stale(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::IllegalGeneration
            | C::UnknownMemberId
            | C::FencedInstanceId
            | C::RebalanceInProgress
            | C::FencedMemberEpoch
            | C::StaleMemberEpoch
    )
}

/// Passes librdkafka's own log lines on to the program's log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as L;
    match level {
        L::Emerg | L::Alert | L::Critical | L::Error => tracing::error!(facility, message, "librdkafka"),
        L::Warning => tracing::warn!(facility, message, "librdkafka"),
        L::Notice | L::Info => tracing::info!(facility, message, "librdkafka"),
        L::Debug => tracing::debug!(facility, message, "librdkafka"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RDKafkaErrorCode as C;

    #[test]
    fn a_refusal_names_the_right_and_what_it_is_on() {
        let uses =
            Uses { operation: "WRITE", topics: vec!["scored", "dead"], group: "shop-text", transactional_id: "shop-a" };
        let check = |code, expected: &str| {
            let error = uses.refusal("cannot produce", code);
            assert_eq!((error.fault, error.hint.as_deref()), (Fault::Broker, Some(expected)));
        };
        let right = |on: &str| format!("give this client's principal the right {on}");
        check(C::TopicAuthorizationFailed, &right("WRITE on each of the topics scored, dead"));
        check(C::GroupAuthorizationFailed, &right("READ on group shop-text"));
        check(C::TransactionalIdAuthorizationFailed, &right("WRITE on transactional id shop-a"));
        check(C::ClusterAuthorizationFailed, &right("IDEMPOTENT_WRITE on the cluster"));
        check(C::SaslAuthenticationFailed, "check the sasl and ssl properties in [kafka.librdkafka]");
    }
}
