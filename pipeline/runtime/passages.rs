//! Topics between parts of the program: what one stage writes and another reads.
//!
//! A stage whose state must be whole for a key that its input spreads over partitions is made of two: the first sums up
//! what its partition sees, and writes the sums, keyed by what they are of, in its own transaction; the second reads
//! them as its input, so that all of a key lie in one partition. Exactly-once needs nothing new: the topic is an output
//! to the one and an input to the other, and the second has a changelog like any stage with state.

use crate::config::{InputKind, Settings};
use crate::stages::Stage;
use crate::stages::recommend::OwnerStage;
use crate::stages::reviewers::ReviewersStage;

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
    let repartition = |topic, owner| Passage { topic, purpose: Purpose::Repartition { owner } };
    let table = |topic| Passage { topic, purpose: Purpose::Table };
    let mut passages = Vec::new();
    if recommends(settings) {
        passages.push(repartition(recommend_counts(settings), OwnerStage::NAME));
        passages.push(table(recommend_lists(settings)));
    }
    if tells_of_reviews(settings) {
        passages.push(repartition(reviewers_opinions(settings), ReviewersStage::NAME));
        passages.push(table(reviewers_table(settings)));
    }
    passages
}

/// Whether anything is recommended: there are clicks to recommend at.
pub fn recommends(settings: &Settings) -> bool {
    reads(settings, InputKind::Click) && settings.recommendations.enabled
}

/// Whether profiles tell of reviews: there are both, and somebody wants it.
pub(super) fn tells_of_reviews(settings: &Settings) -> bool {
    let both = reads(settings, InputKind::Click) && reads(settings, InputKind::Review);
    both && settings.clicks.include_reviews
}

fn reads(settings: &Settings, kind: InputKind) -> bool {
    settings.inputs.iter().any(|input| input.kind == kind)
}

/// From the scored reviews to those who sum up users.
pub(super) fn reviewers_opinions(settings: &Settings) -> String {
    format!("{}-{}-opinions", settings.kafka.group_prefix, ReviewersStage::NAME)
}

/// From them to every instance that makes profiles.
pub(super) fn reviewers_table(settings: &Settings) -> String {
    format!("{}-{}-sums", settings.kafka.group_prefix, ReviewersStage::NAME)
}

/// From the clicks to the owners of items and categories.
pub(super) fn recommend_counts(settings: &Settings) -> String {
    format!("{}-{}-counts", settings.kafka.group_prefix, OwnerStage::NAME)
}

/// From the owners to every instance that recommends.
pub(super) fn recommend_lists(settings: &Settings) -> String {
    format!("{}-{}-lists", settings.kafka.group_prefix, OwnerStage::NAME)
}
