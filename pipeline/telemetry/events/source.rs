//! From Kafka to a text that a model can read.

use std::time::Duration;

use tracing::{debug, info, trace, warn};

use crate::telemetry::{limiter, names};

/// Records of one topic were read. Once a chunk.
#[derive(Debug)]
pub struct ChunkReceived<'a> {
    pub topic: &'a str,
    pub records: u64,
    pub bytes: u64,
}

impl ChunkReceived<'_> {
    pub fn emit(&self) {
        let &Self { topic, records, bytes } = self;
        names::RECORDS_RECEIVED.add(&[topic], records);
        names::RECEIVED.add(&[topic], bytes);
        trace!(topic, records, bytes, "records received");
    }
}

/// How far behind a partition is. Every few seconds, and with 0 when the partition is given up.
#[derive(Debug)]
pub struct LagMeasured<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub records: u64,
}

impl LagMeasured<'_> {
    pub fn emit(&self) {
        let &Self { topic, partition, records } = self;
        names::LAG.set(&[topic, &partition.to_string()], records as f64);
        trace!(topic, partition, records, "lag measured");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalance {
    Assigned,
    /// Given up in order.
    Revoked,
    /// Taken by others, because this instance was too slow to answer.
    Lost,
}

impl Rebalance {
    pub const ALL: [Rebalance; 3] = [Rebalance::Assigned, Rebalance::Revoked, Rebalance::Lost];

    pub fn name(self) -> &'static str {
        match self {
            Rebalance::Assigned => "assigned",
            Rebalance::Revoked => "revoked",
            Rebalance::Lost => "lost",
        }
    }
}

/// The partitions that this instance reads have changed.
#[derive(Debug)]
pub struct Rebalanced {
    pub stage: &'static str,
    pub kind: Rebalance,
    /// How many came or went.
    pub changed: usize,
    /// How many are read now.
    pub assigned: usize,
}

impl Rebalanced {
    pub fn emit(&self) {
        let &Self { stage, kind, changed, assigned } = self;
        names::REBALANCES.add(&[stage, kind.name()], 1);
        names::PARTITIONS_ASSIGNED.set(&[stage], assigned as f64);
        match kind {
            Rebalance::Lost => warn!(stage, kind = kind.name(), changed, assigned, "partitions lost"),
            _ => info!(stage, kind = kind.name(), changed, assigned, "partitions changed"),
        }
    }
}

/// One of a stage's engines has paused its reading or taken it up again, because of the bounds on what is in flight.
#[derive(Debug)]
pub struct SourcePaused {
    pub stage: &'static str,
    pub paused: bool,
}

impl SourcePaused {
    pub fn emit(&self) {
        let &Self { stage, paused } = self;
        names::SOURCE_PAUSED.shift(&[stage], if paused { 1.0 } else { -1.0 });
        debug!(stage, paused, "back-pressure changed");
    }
}

/// The Kafka client reported an error and goes on.
#[derive(Debug)]
pub struct BrokerFailed<'a> {
    pub stage: &'static str,
    /// The client's words: codes, brokers, topics.
    pub error: &'a str,
}

impl BrokerFailed<'_> {
    pub fn emit(&self) {
        let &Self { stage, error } = self;
        names::BROKER_ERRORS.add(&[stage], 1);
        if let Some(suppressed) = limiter::admit("broker_failed", stage) {
            warn!(stage, error, suppressed, "broker failed");
        }
    }
}

/// A request to the schema registry failed and will be tried again.
#[derive(Debug)]
pub struct RegistryRetried<'a> {
    pub attempt: u32,
    /// Until the next attempt.
    pub delay: Duration,
    pub error: &'a str,
}

impl RegistryRetried<'_> {
    pub fn emit(&self) {
        let &Self { attempt, delay, error } = self;
        names::REGISTRY_RETRIES.add(&[], 1);
        if let Some(suppressed) = limiter::admit("registry_retried", "") {
            let delay_ms = delay.as_millis() as u64;
            warn!(attempt, delay_ms, error, suppressed, "schema registry failed; trying again");
        }
    }
}

/// Redaction removed something. Once a chunk; it is never said what.
#[derive(Debug)]
pub struct Redacted<'a> {
    pub kind: &'a str,
    pub count: u64,
}

impl Redacted<'_> {
    pub fn emit(&self) {
        let &Self { kind, count } = self;
        names::REDACTIONS.add(&[kind], count);
        trace!(kind, count, "text redacted");
    }
}

/// Texts were longer than the model reads. Once a chunk.
#[derive(Debug)]
pub struct TextsTruncated<'a> {
    pub model: &'a str,
    pub count: u64,
}

impl TextsTruncated<'_> {
    pub fn emit(&self) {
        let &Self { model, count } = self;
        names::TRUNCATED.add(&[model], count);
        trace!(model, count, "texts truncated");
    }
}
