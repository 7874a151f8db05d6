//! What is recommended, and what comes of it.

use std::collections::BTreeMap;

use tracing::{info, trace};

use crate::telemetry::names;

/// What was recommended at clicks since the last time. Several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recommending {
    /// Recommendations with at least one item.
    pub made: u64,
    /// Nothing was there to recommend.
    pub empty: u64,
    /// Counts handed on to the owners of their anchors.
    pub handed: u64,
    /// What clicks did to recommendations, by name.
    pub effects: BTreeMap<&'static str, u64>,
}

impl Recommending {
    /// How many lists this instance has, what they take, and what they may.
    pub fn emit(&self, lists: usize, bytes: u64, bytes_max: u64) {
        let &Self { made, empty, handed, ref effects } = self;
        let outcomes = [("made", made), ("empty", empty)];
        outcomes.iter().for_each(|(outcome, count)| names::RECOMMENDATIONS.add(&[outcome], *count));
        effects.iter().for_each(|(effect, count)| names::RECOMMENDATION_EFFECTS.add(&[effect], *count));
        names::RECOMMENDATION_COUNTS.add(&[], handed);
        names::RECOMMENDATION_LISTS.set(&[], lists as f64);
        names::RECOMMENDATION_LISTS_SIZE.set(&[], bytes as f64);
        names::RECOMMENDATION_LISTS_LIMIT.set(&[], bytes_max as f64);
        trace!(made, empty, handed, lists, "recommended");
    }
}

/// The lists of all owners have been read once from their beginning.
#[derive(Debug)]
pub struct ListsRead {
    pub read: u64,
    /// Of them, records that are no lists.
    pub unreadable: u64,
    pub lists: usize,
    pub bytes: u64,
}

impl ListsRead {
    pub fn emit(&self) {
        let Self { read, unreadable, lists, bytes } = self;
        info!(read, unreadable, lists, bytes, "lists read");
    }
}
