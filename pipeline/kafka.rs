//! What consumers, producers and admin clients share: how a client is configured, and what its errors mean to a person.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::config::Kafka;
use crate::event::{Error, Fault};

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

/// What the sink needs of the consumer: to commit in its group's name.
pub trait Membership: Send + Sync {
    /// The group's metadata as of now, for `send_offsets_to_transaction`. `None` while the consumer is no member:
    /// a commit with a negative generation would not be fenced.
    fn metadata(&self) -> Option<ConsumerGroupMetadata>;

    /// Commits offsets without a transaction and waits for the broker's answer.
    fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()>;
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
