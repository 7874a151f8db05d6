//! What stages remember.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::telemetry::names;

/// How far a table that every instance reads has been read by this one.
#[derive(Debug)]
pub struct TableRead {
    pub table: &'static str,
    /// All that was there at the start has been read.
    pub complete: bool,
}

impl TableRead {
    pub fn emit(&self) {
        let &Self { table, complete } = self;
        names::TABLE_READING.set(&[table], f64::from(u8::from(!complete)));
        debug!(table, complete, "table");
    }
}

/// A partition's state is about to be read back from its changelog.
#[derive(Debug)]
pub struct RestoreStarted<'a> {
    pub stage: &'static str,
    pub topic: &'a str,
    pub partition: i32,
    /// Between what the local copy holds and the changelog's end, offsets that hold no record included.
    pub records: u64,
    pub local_copy: LocalCopy,
}

/// What became of a partition's local copy when its state was to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalCopy {
    /// It stands at a record that is still the same: only what is newer is read.
    Reused,
    /// The state was in memory still, after a commit whose outcome was unknown.
    InMemory,
    /// There was none.
    Missing,
    /// It could not be read.
    Damaged,
    /// The record at which it stands is not in the changelog any more, or is another one.
    Unknown,
    /// It is so old that deletions may be missing from what comes after it.
    Stale,
}

impl LocalCopy {
    pub const ALL: [LocalCopy; 6] = [
        LocalCopy::Reused,
        LocalCopy::InMemory,
        LocalCopy::Missing,
        LocalCopy::Damaged,
        LocalCopy::Unknown,
        LocalCopy::Stale,
    ];

    pub fn name(self) -> &'static str {
        match self {
            LocalCopy::Reused => "reused",
            LocalCopy::InMemory => "in_memory",
            LocalCopy::Missing => "missing",
            LocalCopy::Damaged => "damaged",
            LocalCopy::Unknown => "unknown",
            LocalCopy::Stale => "stale",
        }
    }
}

impl RestoreStarted<'_> {
    pub fn emit(&self) {
        let &Self { stage, topic, partition, records, local_copy } = self;
        names::LOCAL_COPIES.add(&[stage, local_copy.name()], 1);
        let local_copy = local_copy.name();
        info!(stage, topic, partition, records, local_copy, "reading the state back");
    }
}

/// A part of it has been read. About once a second.
#[derive(Debug)]
pub struct RestoreProgressed<'a> {
    pub stage: &'static str,
    pub topic: &'a str,
    pub partition: i32,
    /// Since the last time.
    pub records: u64,
    pub remaining: u64,
}

impl RestoreProgressed<'_> {
    pub fn emit(&self) {
        let &Self { stage, topic, partition, records, remaining } = self;
        names::RESTORED.add(&[stage], records);
        names::RESTORE_REMAINING.set(&[topic, &partition.to_string()], remaining as f64);
        debug!(stage, topic, partition, records, remaining, "reading the state back");
    }
}

/// A partition's state is complete, or nobody waits for it any more.
#[derive(Debug)]
pub struct RestoreEnded<'a> {
    pub stage: &'static str,
    pub topic: &'a str,
    pub partition: i32,
    pub records: u64,
    pub took: Duration,
    /// False where the partition was given up meanwhile.
    pub complete: bool,
}

impl RestoreEnded<'_> {
    pub fn emit(&self) {
        let &Self { stage, topic, partition, records, took, complete } = self;
        names::RESTORE_REMAINING.set(&[topic, &partition.to_string()], 0.0);
        let seconds = took.as_secs_f64();
        match complete {
            true => info!(stage, topic, partition, records, seconds, "the state is read back"),
            false => info!(stage, topic, partition, records, seconds, "the state is not wanted any more"),
        }
    }
}

/// The local copies of a stage were thrown away as a whole.
#[derive(Debug)]
pub struct LocalCopiesDiscarded<'a> {
    pub stage: &'static str,
    pub why: &'a str,
}

impl LocalCopiesDiscarded<'_> {
    pub fn emit(&self) {
        let &Self { stage, why } = self;
        warn!(stage, why, "local copies of the state discarded; they are made again from the changelog");
    }
}

/// How much a stage remembers on this instance.
#[derive(Debug)]
pub struct StateMeasured {
    pub stage: &'static str,
    pub entries: usize,
    pub bytes: usize,
    pub limit_bytes: usize,
    pub uncommitted_bytes: usize,
    pub spilled_bytes: u64,
    /// Since the last time.
    pub expired: u64,
    pub fired: u64,
}

impl StateMeasured {
    pub fn emit(&self) {
        let &Self { stage, entries, bytes, limit_bytes, uncommitted_bytes, spilled_bytes, expired, fired } = self;
        names::STATE_ENTRIES.set(&[stage], entries as f64);
        names::STATE_SIZE.set(&[stage], bytes as f64);
        names::STATE_LIMIT.set(&[stage], limit_bytes as f64);
        names::STATE_UNCOMMITTED.set(&[stage], uncommitted_bytes as f64);
        names::STATE_SPILLED.set(&[stage], spilled_bytes as f64);
        names::STATE_EXPIRED.add(&[stage], expired);
        names::TIMERS_FIRED.add(&[stage], fired);
    }
}
