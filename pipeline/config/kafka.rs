//! `[kafka]`: what is handed to librdkafka must be known to it and must not break a promise.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::judge::Judge;
use super::key::Key;
use super::raw::{self, Property};
use super::settings::{GroupProtocol, Kafka, Secret};

/// Properties that are refused, each with the reason, or with the key that takes its place.
pub const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "has a key of its own: kafka.bootstrap_servers"),
    ("metadata.broker.list", "has a key of its own: kafka.bootstrap_servers"),
    ("group.id", "is made of kafka.group_prefix and the stage"),
    ("group.instance.id", "has a key of its own: kafka.static_membership"),
    ("group.protocol", "has a key of its own: kafka.group_protocol"),
    ("group.protocol.type", "is always consumer"),
    ("auto.offset.reset", "has a key of its own: kafka.start_from"),
    ("transaction.timeout.ms", "has a key of its own: delivery.transaction_timeout_ms"),
    (
        "transactional.id",
        "is made of kafka.group_prefix, the stage and instance.name, so that a restart fences what was left open",
    ),
    ("enable.auto.commit", "would commit offsets before their results are acknowledged"),
    ("auto.commit.enable", "would commit offsets before their results are acknowledged"),
    ("auto.commit.interval.ms", "is of no use: offsets are committed with their results"),
    ("enable.auto.offset.store", "would store offsets before their results are acknowledged"),
    ("offset.store.method", "would keep offsets apart from their results"),
    ("offset.store.path", "would keep offsets apart from their results"),
    ("isolation.level", "is always read_committed: aborted records are not input"),
    ("enable.idempotence", "is always on: without it a retry doubles a record"),
    ("acks", "is always all: a result is not acknowledged before its replicas have it"),
    ("request.required.acks", "is always all: a result is not acknowledged before its replicas have it"),
    ("max.in.flight", "is left to the idempotent producer, which keeps order with up to 5"),
    ("max.in.flight.requests.per.connection", "is left to the idempotent producer, which keeps order with up to 5"),
    ("message.send.max.retries", "is left to the idempotent producer: giving up early would lose a result"),
    ("retries", "is left to the idempotent producer: giving up early would lose a result"),
    (
        "message.timeout.ms",
        "is bound to delivery.transaction_timeout_ms: a result that times out alone would leave a gap",
    ),
    (
        "delivery.timeout.ms",
        "is bound to delivery.transaction_timeout_ms: a result that times out alone would leave a gap",
    ),
    ("enable.gapless.guarantee", "would end the producer where an epoch can be aborted and tried again"),
    ("queuing.strategy", "is always fifo: results follow the order of their partition"),
    ("delivery.report.only.error", "would hide the acknowledgements that commits wait for"),
    (
        "partition.assignment.strategy",
        "is cooperative-sticky with the classic protocol and the broker's matter with the other",
    ),
    ("enable.partition.eof", "would report the end of a partition as an error"),
    ("test.mock.num.brokers", "would replace the brokers by ones that forget"),
];

/// Properties that KIP-848 moves to the broker.
const CLASSIC_ONLY: [&str; 2] = ["session.timeout.ms", "heartbeat.interval.ms"];

const POLL_INTERVAL: &str = "max.poll.interval.ms";
/// librdkafka's own default of it: five minutes.
const POLL_INTERVAL_DEFAULT: i64 = 300_000;

pub fn kafka(raw: &raw::Raw, judge: &mut Judge) -> Kafka {
    servers(&raw.kafka.bootstrap_servers, judge);
    name("kafka.group_prefix", &raw.kafka.group_prefix, judge);
    default_poll_interval(raw, judge);
    Kafka {
        bootstrap_servers: raw.kafka.bootstrap_servers.clone(),
        group_prefix: raw.kafka.group_prefix.clone(),
        group_protocol: raw.kafka.group_protocol,
        start_from: raw.kafka.start_from,
        static_membership: raw.kafka.static_membership,
        librdkafka: properties(raw, judge),
    }
}

/// What Kafka takes as a topic, and what the broker takes as a group's instance.
pub fn name(key: impl Into<Key>, name: &str, judge: &mut Judge) {
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if name.is_empty() || name.len() > 249 || !legal || matches!(name, "." | "..") {
        judge.wrong(
            key,
            format!("({name:?}) is not a name that Kafka takes"),
            Some("1 to 249 letters, digits, dots, underscores and hyphens"),
        );
    }
}

fn servers(servers: &str, judge: &mut Judge) {
    for server in servers.split(',').map(str::trim) {
        let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            judge.wrong(
                "kafka.bootstrap_servers",
                format!("has {server:?}, which is not host:port"),
                Some("as in \"broker-1:9092,broker-2:9092\""),
            );
        }
    }
}

fn properties(raw: &raw::Raw, judge: &mut Judge) -> BTreeMap<String, Secret> {
    let table = Key::from("kafka.librdkafka");
    let mut found = BTreeMap::new();
    for (name, property) in &raw.kafka.librdkafka {
        let key = table.child(name);
        match refusal(name, property, raw) {
            Some((reason, hint)) => judge.wrong(key, reason, hint),
            None => drop(found.insert(name.clone(), value(&key, name, property, judge))),
        }
    }
    found
}

fn refusal(name: &str, property: &Property, raw: &raw::Raw) -> Option<(String, Option<&'static str>)> {
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Some((reason.to_string(), None));
    }
    if is_secret(name) && !matches!(property, Property::Secret(_)) {
        let hint = "write { env = \"NAME\" } or { file = \"PATH\" }";
        return Some(("is a secret and is written in clear".to_owned(), Some(hint)));
    }
    if raw.kafka.group_protocol == GroupProtocol::Consumer && CLASSIC_ONLY.contains(&name) {
        let hint = "set it on the broker, or use kafka.group_protocol = \"classic\"";
        return Some(("is the broker's matter with kafka.group_protocol (\"consumer\")".to_owned(), Some(hint)));
    }
    if name == POLL_INTERVAL {
        return whole(property).and_then(|ms| poll_interval(ms, raw));
    }
    None
}

/// A number may be written as a string too, as librdkafka takes it.
fn whole(property: &Property) -> Option<i64> {
    match property {
        Property::Whole(number) => Some(*number),
        Property::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A revoke waits for the commit of an epoch, twice as long as a transaction may take at most; a poll interval that is
/// not longer would lose the partitions meanwhile, again and again.
fn poll_interval(ms: i64, raw: &raw::Raw) -> Option<(String, Option<&'static str>)> {
    let transaction = raw.delivery.transaction_timeout_ms;
    let message = || format!("({ms}) is not above twice delivery.transaction_timeout_ms ({transaction})");
    is_too_short(ms, transaction).then(|| (message(), Some(POLL_INTERVAL_HINT)))
}

fn default_poll_interval(raw: &raw::Raw, judge: &mut Judge) {
    let transaction = raw.delivery.transaction_timeout_ms;
    if !raw.kafka.librdkafka.contains_key(POLL_INTERVAL) && is_too_short(POLL_INTERVAL_DEFAULT, transaction) {
        let message = format!("({transaction}) is not below half of {POLL_INTERVAL} ({POLL_INTERVAL_DEFAULT})");
        let hint = format!("{POLL_INTERVAL_HINT}; kafka.librdkafka.\"{POLL_INTERVAL}\" can be raised");
        judge.wrong("delivery.transaction_timeout_ms", message, Some(&hint));
    }
}

const POLL_INTERVAL_HINT: &str = "a partition that is taken away is committed first, and that may take so long";

fn is_too_short(poll_interval_ms: i64, transaction_timeout_ms: u64) -> bool {
    i128::from(poll_interval_ms) <= 2 * i128::from(transaction_timeout_ms)
}

fn is_secret(name: &str) -> bool {
    let word = |word: &str| matches!(word, "password" | "secret" | "passphrase");
    name.split('.').any(word) || name.ends_with("key.pem")
}

fn value(key: &Key, name: &str, property: &Property, judge: &mut Judge) -> Secret {
    let value = match property {
        Property::Secret(from) => judge.secret(key.clone(), from),
        Property::Flag(flag) => Secret::new(flag.to_string()),
        Property::Whole(number) => Secret::new(number.to_string()),
        Property::Number(number) => Secret::new(number.to_string()),
        Property::Text(text) => Secret::new(text.clone()),
    };
    if let Err(error) = ClientConfig::new().set(name, value.expose()).create_native_config() {
        let reason = match (property, error) {
            (Property::Secret(_), _) => "is refused by librdkafka".to_owned(),
            (_, KafkaError::ClientConfig(_, reason, ..)) => format!("is refused by librdkafka: {}", reason.trim_end()),
            (_, error) => format!("is refused by librdkafka: {error}"),
        };
        judge.wrong(key.clone(), reason, Some("librdkafka's CONFIGURATION.md lists what it knows"));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a slip in it would refuse nothing.
    #[test]
    fn refused_properties_are_ones_that_librdkafka_knows() {
        for (name, _) in REFUSED {
            let known = match ClientConfig::new().set(*name, "?").create_native_config() {
                Err(KafkaError::ClientConfig(_, reason, ..)) => !reason.contains("No such configuration property"),
                _ => true,
            };
            assert!(known, "{name}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        let secrets = ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"];
        let open = ["sasl.username", "ssl.certificate.pem", "ssl.ca.location", "fetch.min.bytes"];
        assert!(secrets.into_iter().all(is_secret));
        assert!(!open.into_iter().any(is_secret));
    }
}
