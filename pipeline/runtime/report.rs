//! What the engine tells the world: telemetry and health.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::partition::Freed;
use super::scoring::Scoring;
use crate::config::InputKind;
use crate::event::{Error, Origin, RawRecord, Reason, TopicPartition};
use crate::sink::{Entry, Epoch, Failure};
use crate::source::Room;
use crate::state::State;
use crate::telemetry::{
    AbortCause, BrokerFailed, CacheMeasured, ChunkReceived, DeadLettered, EpochAborted, EpochCommitted, Health,
    InFlight, InFlightBounds, LagMeasured, QueueMeasured, Rebalance, Rebalanced, Seat, StateMeasured, Stopping,
};

/// One engine's voice.
pub struct Report {
    seat: Seat,
    health: Arc<Health>,
    own: Gauges,
    together: Arc<Together>,
}

/// What the engines of one stage measure. A gauge is the stage's: the sum of theirs.
#[derive(Debug, Default)]
pub struct Together(Mutex<Vec<Gauges>>);

/// What one engine has measured last, or all of them together.
#[derive(Clone, Copy, Debug, Default)]
struct Gauges {
    assigned: usize,
    in_flight: Freed,
    in_flight_max: Freed,
    requests: usize,
    tokens: usize,
    state_entries: usize,
    state_bytes: usize,
    state_limit_bytes: usize,
    state_uncommitted_bytes: usize,
    state_spilled_bytes: u64,
}

/// Tells of epochs that have become visible, on the sink's thread: it walks over every record, and the engine has better
/// things to do.
pub struct CommitReport {
    seat: Seat,
    health: Arc<Health>,
    /// Topics of outputs, for counting what was scored by kind.
    kinds: Vec<(Arc<str>, &'static str)>,
}

impl CommitReport {
    pub fn new(seat: Seat, health: Arc<Health>, outputs: &crate::config::Outputs) -> Self {
        let kinds = [InputKind::Review, InputKind::Chat, InputKind::Click];
        let kinds = kinds.map(|kind| (Arc::from(outputs.topic(kind)), kind.name())).to_vec();
        Self { seat, health, kinds }
    }

    pub fn committed(&self, epoch: &Epoch, seconds: f64) {
        let now = Timestamp::now().as_millisecond();
        let written = epoch.entries.iter().filter_map(|entry| entry.record.timestamp_ms);
        let event_to_visible: Vec<f64> = written.map(|at| (now - at).max(0) as f64 / 1000.0).collect();
        let scored: Vec<(&'static str, u64)> =
            self.kinds.iter().map(|(topic, kind)| (*kind, written_to(topic, &epoch.entries))).collect();
        let took = Duration::from_secs_f64(seconds);
        EpochCommitted { stage: self.seat.stage, scored: &scored, took, event_to_visible: &event_to_visible }.emit();
        self.health.broker_up();
        self.health.uncommitted(self.seat, None);
        dead_lettered(&epoch.entries);
    }
}

impl Together {
    /// Takes in what one engine has measured, and says what that makes of the whole.
    fn with(&self, seat: Seat, own: Gauges) -> Gauges {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= seat.engine {
            all.resize(seat.engine + 1, Gauges::default());
        }
        all[seat.engine] = own;
        all.iter().fold(Gauges::default(), |sum, engine| sum.plus(engine))
    }
}

impl Gauges {
    fn plus(mut self, other: &Gauges) -> Gauges {
        self.in_flight += other.in_flight;
        self.in_flight_max += other.in_flight_max;
        Gauges {
            assigned: self.assigned + other.assigned,
            requests: self.requests + other.requests,
            tokens: self.tokens + other.tokens,
            state_entries: self.state_entries + other.state_entries,
            state_bytes: self.state_bytes + other.state_bytes,
            state_limit_bytes: self.state_limit_bytes + other.state_limit_bytes,
            state_uncommitted_bytes: self.state_uncommitted_bytes + other.state_uncommitted_bytes,
            state_spilled_bytes: self.state_spilled_bytes + other.state_spilled_bytes,
            ..self
        }
    }

    /// But for what is remembered.
    fn stateless(self) -> Gauges {
        let Gauges { assigned, in_flight, in_flight_max, requests, tokens, .. } = self;
        Gauges { assigned, in_flight, in_flight_max, requests, tokens, ..Gauges::default() }
    }
}

impl Report {
    pub fn new(seat: Seat, health: Arc<Health>, together: Arc<Together>) -> Self {
        Self { seat, health, own: Gauges::default(), together }
    }

    pub fn bounds(&mut self, room: &Room) {
        self.own.in_flight_max = Freed { records: room.records_max(), bytes: room.bytes_max() };
        let Freed { records: records_max, bytes: bytes_max } = self.sum().in_flight_max;
        InFlightBounds { stage: self.seat.stage, records_max, bytes_max }.emit();
    }

    fn sum(&self) -> Gauges {
        self.together.with(self.seat, self.own)
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
        self.health.assigned(self.seat);
        self.rebalanced(Rebalance::Assigned, partitions.len(), owned);
    }

    pub fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) {
        let kind = if lost { Rebalance::Lost } else { Rebalance::Revoked };
        if lost {
            self.health.unassigned(self.seat);
        }
        self.rebalanced(kind, partitions.len(), self.own.assigned.saturating_sub(partitions.len()));
    }

    fn rebalanced(&mut self, kind: Rebalance, changed: usize, assigned: usize) {
        self.own.assigned = assigned;
        Rebalanced { stage: self.seat.stage, kind, changed, assigned: self.sum().assigned }.emit();
    }

    pub fn reachable(&self, reachable: bool) {
        if reachable {
            self.health.broker_up();
        } else {
            self.health.broker_down(Instant::now());
            BrokerFailed { stage: self.seat.stage, error: "no broker can be reached" }.emit();
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
        EpochAborted { stage: self.seat.stage, cause, epochs: 1, error: Some(why) }.emit();
    }

    pub fn stopping(&self, within: Duration) {
        Stopping { stage: self.seat.stage, within }.emit();
    }

    /// The process will not do its work any more, though leaving the group may still take it some seconds.
    pub fn ended(&self, error: Option<&Error>) {
        if let Some(error) = error {
            self.health.fatal(error.to_string());
        }
    }

    /// What the states of this engine's partitions hold.
    pub fn states<'a>(&mut self, states: impl Iterator<Item = &'a mut State>, limit_bytes: usize, spilled_bytes: u64) {
        let (mut expired, mut fired) = (0, 0);
        let mut own =
            Gauges { state_limit_bytes: limit_bytes, state_spilled_bytes: spilled_bytes, ..self.own.stateless() };
        for state in states {
            let (measured, counts) = (state.measured(), state.take_counts());
            own.state_entries += measured.entries_in_memory;
            own.state_bytes += measured.memory_bytes;
            own.state_uncommitted_bytes += measured.overlay_bytes;
            expired += counts.expired;
            fired += counts.fired;
        }
        self.own = own;
        let sum = self.sum();
        StateMeasured {
            stage: self.seat.stage,
            entries: sum.state_entries,
            bytes: sum.state_bytes,
            limit_bytes: sum.state_limit_bytes,
            uncommitted_bytes: sum.state_uncommitted_bytes,
            spilled_bytes: sum.state_spilled_bytes,
            expired,
            fired,
        }
        .emit();
    }

    pub fn tick(&mut self, room: &Room, scoring: &Scoring, uncommitted: Option<Instant>) {
        self.own.in_flight = Freed { records: room.records(), bytes: room.bytes() };
        (self.own.requests, self.own.tokens) = (scoring.waiting(), scoring.waiting_tokens());
        let (stage, sum) = (self.seat.stage, self.sum());
        InFlight { stage, records: sum.in_flight.records, bytes: sum.in_flight.bytes }.emit();
        QueueMeasured { stage, requests: sum.requests, tokens: sum.tokens }.emit();
        let (stats, bytes_max) = (scoring.cache().stats(), scoring.cache_bytes_max() as u64);
        // One engine of one stage has it: another's zeros would overwrite what it counts.
        if bytes_max > 0 {
            CacheMeasured { hits: stats.hits, misses: stats.misses, bytes: stats.bytes, bytes_max }.emit();
        }
        self.health.uncommitted(self.seat, uncommitted);
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
