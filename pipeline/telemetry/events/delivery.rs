//! From answers to what a reader sees.

use std::time::Duration;

use tracing::{debug, trace, warn};

use crate::event::{Origin, Reason};
use crate::telemetry::{limiter, names};

/// How much may be read and not yet committed. Once, at the start.
#[derive(Debug)]
pub struct InFlightBounds {
    pub stage: &'static str,
    pub records_max: usize,
    pub bytes_max: usize,
}

impl InFlightBounds {
    pub fn emit(&self) {
        let &Self { stage, records_max, bytes_max } = self;
        names::IN_FLIGHT_RECORDS_LIMIT.set(&[stage], records_max as f64);
        names::IN_FLIGHT_LIMIT.set(&[stage], bytes_max as f64);
        debug!(stage, records_max, bytes_max, "bounds set");
    }
}

/// How much is read and not yet committed. Once a chunk and once an epoch.
#[derive(Debug)]
pub struct InFlight {
    pub stage: &'static str,
    pub records: usize,
    pub bytes: usize,
}

impl InFlight {
    pub fn emit(&self) {
        let &Self { stage, records, bytes } = self;
        names::IN_FLIGHT_RECORDS.set(&[stage], records as f64);
        names::IN_FLIGHT.set(&[stage], bytes as f64);
        trace!(stage, records, bytes, "in flight");
    }
}

/// Records of one topic go to the dead letters for one reason. Once an epoch, topic and reason.
#[derive(Debug)]
pub struct DeadLettered<'a> {
    pub reason: Reason,
    pub count: u64,
    /// The first of them.
    pub origin: &'a Origin,
}

impl DeadLettered<'_> {
    pub fn emit(&self) {
        let &Self { reason, count, origin: Origin { topic, partition, offset } } = self;
        names::DEAD_LETTERS.add(&[topic, reason.name()], count);
        if let Some(suppressed) = limiter::admit("dead_lettered", &format!("{topic} {}", reason.name())) {
            warn!(%topic, partition, offset, reason = reason.name(), count, suppressed, "records set aside");
        }
    }
}

/// An epoch's transaction is done: its results are visible.
#[derive(Debug)]
pub struct EpochCommitted<'a> {
    pub stage: &'static str,
    /// Scored events by kind.
    pub scored: &'a [(&'static str, u64)],
    /// From the last result to the end of the commit.
    pub took: Duration,
    /// From each record's timestamp to the end of the commit, in seconds.
    pub event_to_visible: &'a [f64],
}

impl EpochCommitted<'_> {
    pub fn emit(&self) {
        let &Self { stage, scored, took, event_to_visible } = self;
        names::EPOCHS_COMMITTED.add(&[stage], 1);
        for (kind, count) in scored {
            names::RECORDS_SCORED.add(&[kind], *count);
        }
        names::COMMIT.record(&[stage], took.as_secs_f64());
        names::EVENT_TO_VISIBLE.record_all(&[stage], event_to_visible);
        let records: u64 = scored.iter().map(|(_, count)| count).sum();
        trace!(stage, records, seconds = took.as_secs_f64(), "epoch committed");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortCause {
    /// A partition of the epoch was given up.
    Rebalance,
    /// Another producer has taken over this one's transactional id.
    Fenced,
    /// The broker could not be reached, or refused.
    Broker,
    /// An output could not be produced.
    Delivery,
    /// The program is ending.
    Shutdown,
}

impl AbortCause {
    pub const ALL: [AbortCause; 5] =
        [AbortCause::Rebalance, AbortCause::Fenced, AbortCause::Broker, AbortCause::Delivery, AbortCause::Shutdown];

    pub fn name(self) -> &'static str {
        match self {
            AbortCause::Rebalance => "rebalance",
            AbortCause::Fenced => "fenced",
            AbortCause::Broker => "broker",
            AbortCause::Delivery => "delivery",
            AbortCause::Shutdown => "shutdown",
        }
    }
}

/// An epoch and all later ones are thrown away; their records are read again.
#[derive(Debug)]
pub struct EpochAborted<'a> {
    pub stage: &'static str,
    pub cause: AbortCause,
    /// Epochs thrown away with this one, itself included.
    pub epochs: u64,
    /// The client's words, where it was an error.
    pub error: Option<&'a str>,
}

impl EpochAborted<'_> {
    pub fn emit(&self) {
        let &Self { stage, cause, epochs, error } = self;
        names::EPOCHS_ABORTED.add(&[stage, cause.name()], epochs);
        if let Some(suppressed) = limiter::admit("epoch_aborted", cause.name()) {
            warn!(stage, cause = cause.name(), epochs, error, suppressed, "epoch aborted; reading its records again");
        }
    }
}

/// The producer was replaced by a new one.
#[derive(Debug)]
pub struct ProducerRebuilt<'a> {
    pub stage: &'static str,
    /// The client's words.
    pub error: &'a str,
}

impl ProducerRebuilt<'_> {
    pub fn emit(&self) {
        let &Self { stage, error } = self;
        names::PRODUCERS_REBUILT.add(&[stage], 1);
        if let Some(suppressed) = limiter::admit("producer_rebuilt", stage) {
            warn!(stage, error, suppressed, "producer rebuilt");
        }
    }
}
