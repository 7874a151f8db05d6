//! What the engine tells the world: telemetry and health.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::scoring::Scoring;
use crate::config::InputKind;
use crate::event::{Error, Origin, RawRecord, Reason, TopicPartition};
use crate::sink::{Entry, Epoch, Failure};
use crate::source::Room;
use crate::state::State;
use crate::telemetry::{
    AbortCause, BrokerFailed, CacheMeasured, ChunkReceived, DeadLettered, EpochAborted, EpochCommitted, Health,
    InFlight, InFlightBounds, LagMeasured, QueueMeasured, Rebalance, Rebalanced, StateMeasured, Stopping,
};

/// One stage's voice.
pub struct Report {
    stage: &'static str,
    health: Arc<Health>,
    owned: usize,
}

/// Tells of epochs that have become visible, on the sink's thread: it walks over every record, and the engine has better
/// things to do.
pub struct CommitReport {
    stage: &'static str,
    health: Arc<Health>,
    /// Topics of outputs, for counting what was scored by kind.
    kinds: Vec<(Arc<str>, &'static str)>,
}

impl CommitReport {
    pub fn new(stage: &'static str, health: Arc<Health>, outputs: &crate::config::Outputs) -> Self {
        let kinds = [InputKind::Review, InputKind::Chat, InputKind::Click];
        let kinds = kinds.map(|kind| (Arc::from(outputs.topic(kind)), kind.name())).to_vec();
        Self { stage, health, kinds }
    }

    pub fn committed(&self, epoch: &Epoch, seconds: f64) {
        let now = Timestamp::now().as_millisecond();
        let written = epoch.entries.iter().filter_map(|entry| entry.record.timestamp_ms);
        let event_to_visible: Vec<f64> = written.map(|at| (now - at).max(0) as f64 / 1000.0).collect();
        let scored: Vec<(&'static str, u64)> =
            self.kinds.iter().map(|(topic, kind)| (*kind, written_to(topic, &epoch.entries))).collect();
        let took = Duration::from_secs_f64(seconds);
        EpochCommitted { stage: self.stage, scored: &scored, took, event_to_visible: &event_to_visible }.emit();
        self.health.broker_up();
        self.health.uncommitted(self.stage, None);
        dead_lettered(&epoch.entries);
    }
}

impl Report {
    pub fn new(stage: &'static str, health: Arc<Health>) -> Self {
        Self { stage, health, owned: 0 }
    }

    pub fn bounds(&self, room: &Room) {
        InFlightBounds { stage: self.stage, records_max: room.records_max(), bytes_max: room.bytes_max() }.emit();
    }

    pub fn received(&self, records: &[RawRecord]) {
        let mut rest = records;
        while let Some(first) = rest.first() {
            let topic = &first.origin.topic;
            let end = rest.iter().position(|r| r.origin.topic != *topic).unwrap_or(rest.len());
            let bytes: usize = rest[..end].iter().map(RawRecord::bytes).sum();
            ChunkReceived { topic, records: end as u64, bytes: bytes as u64 }.emit();
            rest = &rest[end..];
        }
    }

    pub fn assigned(&mut self, partitions: &[TopicPartition], owned: usize) {
        self.health.broker_up();
        self.health.assigned(self.stage);
        self.rebalanced(Rebalance::Assigned, partitions.len(), owned);
    }

    pub fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        let kind = if lost { Rebalance::Lost } else { Rebalance::Revoked };
        if lost {
            self.health.unassigned(self.stage);
        }
        self.rebalanced(kind, partitions.len(), self.owned.saturating_sub(partitions.len()));
    }

    fn rebalanced(&mut self, kind: Rebalance, changed: usize, assigned: usize) {
        self.owned = assigned;
        Rebalanced { stage: self.stage, kind, changed, assigned }.emit();
    }

    pub fn reachable(&self, reachable: bool) {
        if reachable {
            self.health.broker_up();
        } else {
            self.health.broker_down(Instant::now());
            BrokerFailed { stage: self.stage, error: "no broker can be reached" }.emit();
        }
    }

    /// The broker's ends against how far this instance has committed.
    pub fn lag(&self, partition: &TopicPartition, end: i64, committed: i64) {
        let records = u64::try_from(end - committed).unwrap_or(0);
        LagMeasured { topic: &partition.topic, partition: partition.partition, records }.emit();
    }

    pub fn aborted(&self, failure: Failure, why: &str) {
        let cause = match failure {
            Failure::Stale => AbortCause::Rebalance,
            Failure::Unknown => AbortCause::Broker,
            Failure::Stopped => AbortCause::Shutdown,
        };
        EpochAborted { stage: self.stage, cause, epochs: 1, error: Some(why) }.emit();
    }

    pub fn stopping(&self, within: Duration) {
        Stopping { stage: self.stage, within }.emit();
    }

    /// The process will not do its work any more, though leaving the group may still take it some seconds.
    pub fn ended(&self, error: Option<&Error>) {
        if let Some(error) = error {
            self.health.fatal(error.to_string());
        }
    }

    /// What the states of this instance's partitions hold.
    pub fn states<'a>(&self, states: impl Iterator<Item = &'a mut State>, limit_bytes: usize, spilled_bytes: u64) {
        let mut sum = StateMeasured {
            stage: self.stage,
            entries: 0,
            bytes: 0,
            limit_bytes,
            uncommitted_bytes: 0,
            spilled_bytes,
            expired: 0,
            fired: 0,
        };
        for state in states {
            let (measured, counts) = (state.measured(), state.take_counts());
            sum.entries += measured.entries_in_memory;
            sum.bytes += measured.memory_bytes;
            sum.uncommitted_bytes += measured.overlay_bytes;
            sum.expired += counts.expired;
            sum.fired += counts.fired;
        }
        sum.emit();
    }

    pub fn tick(&self, room: &Room, scoring: &Scoring, uncommitted: Option<Instant>) {
        InFlight { stage: self.stage, records: room.records(), bytes: room.bytes() }.emit();
        QueueMeasured { stage: self.stage, requests: scoring.waiting(), tokens: scoring.waiting_tokens() }.emit();
        let (stats, bytes_max) = (scoring.cache().stats(), scoring.cache_bytes_max() as u64);
        // One stage has it: another's zeros would overwrite what it counts.
        if bytes_max > 0 {
            CacheMeasured { hits: stats.hits, misses: stats.misses, bytes: stats.bytes, bytes_max }.emit();
        }
        self.health.uncommitted(self.stage, uncommitted);
    }
}

fn written_to(topic: &Arc<str>, entries: &[Entry]) -> u64 {
    entries.iter().flat_map(|entry| &entry.outputs).filter(|output| output.topic == *topic).count() as u64
}

/// One event for each topic and reason.
fn dead_lettered(entries: &[Entry]) {
    let rejected = entries.iter().filter_map(|entry| Some((entry.rejected?, &entry.record.origin)));
    let mut counts: Vec<(Reason, &Origin, u64)> = Vec::new();
    for (reason, origin) in rejected {
        match counts.iter_mut().find(|(r, o, _)| *r == reason && o.topic == origin.topic) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((reason, origin, 1)),
        }
    }
    for (reason, origin, count) in counts {
        DeadLettered { reason, count, origin }.emit();
    }
}
