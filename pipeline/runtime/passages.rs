//! Topics between parts of the program: what one stage writes and another reads.
//!
//! A stage whose state must be whole for a key that its input spreads over partitions is made of two: the first sums up
//! what its partition sees, and writes the sums, keyed by what they are of, in its own transaction; the second reads
//! them as its input, so that all of a key lie in one partition. Exactly-once needs nothing new: the topic is an output
//! to the one and an input to the other, and the second has a changelog like any stage with state.

use crate::config::{InputKind, Settings};
use crate::stages::Stage;
use crate::stages::recommend::OwnerStage;

/// A topic that the program makes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    pub topic: String,
    pub purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Sums on their way to the stage that owns what they are of, which keeps state for its partitions.
    Repartition { owner: &'static str },
    /// A compacted table that every instance reads.
    Table,
}

/// All that the configuration needs.
pub fn passages(settings: &Settings) -> Vec<Passage> {
    let clicks = settings.inputs.iter().any(|input| input.kind == InputKind::Click);
    if !clicks || !settings.recommendations.enabled {
        return Vec::new();
    }
    vec![
        Passage { topic: recommend_counts(settings), purpose: Purpose::Repartition { owner: OwnerStage::NAME } },
        Passage { topic: recommend_lists(settings), purpose: Purpose::Table },
    ]
}

/// From the clicks to the owners of items and categories.
pub(super) fn recommend_counts(settings: &Settings) -> String {
    format!("{}-{}-counts", settings.kafka.group_prefix, OwnerStage::NAME)
}

/// From the owners to every instance that recommends.
pub(super) fn recommend_lists(settings: &Settings) -> String {
    format!("{}-{}-lists", settings.kafka.group_prefix, OwnerStage::NAME)
}
