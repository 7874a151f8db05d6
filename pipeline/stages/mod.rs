//! The operators: pure, synchronous, with the time as an argument.
//!
//! A stage is three steps. `prepare` sees one record, on any thread. `observe` sees the records of a partition in
//! offset order, may change that partition's state and asks the models. `conclude` sees the same order with the
//! answers and emits. `observe` never reads what `conclude` writes, so what comes out does not depend on how records
//! were cut into batches and epochs.

pub mod alerts;
pub mod clicks;
pub mod recommend;
pub mod reviewers;
pub mod text;

use jiff::Timestamp;

use crate::event::{Answer, Ask, Output, RawRecord, Rejection};
use crate::state::{Kind, View};

/// What `prepare` makes of a record.
#[derive(Debug)]
pub enum Prepare<T> {
    Ready(T),
    /// The record was written with a schema that is not known yet; to be prepared again when it is.
    NeedsSchema(u32),
}

/// A stage of the pipeline.
pub trait Stage: Send + Sync + 'static {
    /// What `prepare` hands to `observe`.
    type Prepared: Send + 'static;
    /// What `observe` hands to `conclude`.
    type Event: Send + 'static;

    /// Names the consumer group, the transactional id, dead letters and metrics.
    const NAME: &'static str;

    /// Every kind of state that the stage keeps. None, and it has no changelog and pays for none.
    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }

    /// How far a partition's clock stays behind its highest event time, in milliseconds.
    fn grace_ms(&self) -> i64 {
        0
    }

    /// Tells of what was counted since the last time. Called several times a second, by the thread that observes.
    fn report(&self) {}

    /// Decodes, validates and cleans one record. A rejection becomes a dead letter.
    fn prepare(&self, record: &RawRecord, now: Timestamp) -> Result<Prepare<Self::Prepared>, Rejection>;

    /// Changes of the state are seen by the records that follow, and kept once the record's epoch has committed.
    fn observe(&self, state: &mut View<'_>, prepared: Self::Prepared) -> (Self::Event, Vec<Ask>);

    /// `answers` stand in the order of the asks. A rejection becomes a dead letter, and takes back what this call has
    /// changed in the state, which is another than `observe`'s.
    fn conclude(
        &self,
        state: &mut View<'_>,
        record: &RawRecord,
        event: Self::Event,
        answers: &[Answer],
        now: Timestamp,
    ) -> Result<Vec<Output>, Rejection>;

    /// What the records of an epoch say better together. Called when it is cut, with the outputs of each: takes out what is
    /// not to be written as it is, and gives what is written for it, which is never set aside.
    fn gather(&self, _: &mut dyn Iterator<Item = &mut Vec<Output>>) -> Vec<Output> {
        Vec::new()
    }
}
