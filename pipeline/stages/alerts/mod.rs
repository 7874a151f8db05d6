//! Alerts: what is surging, since when, and why.
//!
//! Two halves, with a topic between them. In the partitions of the inputs, [`sums`] adds up what each scope (a product, a
//! brand, a topic, everything) shows in each bucket of event time. What it hands on goes to the partition that owns the
//! scope's group, where [`owner`] puts the sums of all partitions together, compares buckets with their past and says what
//! is out of the ordinary. Both are pure: the records and what the partition remembers decide everything, and the clock is
//! event time.
//!
//! One bucket's way: [`seen`] takes a text apart, [`partial`] counts it, [`bucket`] puts the parts together without copies
//! and bursts of few writers, [`look`] compares with the past that [`crate::detect::rise`] holds, or [`anomaly`] with all that
//! [`crate::detect::Detector`] knows, [`lifecycle`] makes an
//! alert of it, [`rollup`] finds the one that is told of an incident, and [`publish`] writes it with its [`evidence`].

mod anomaly;
mod board;
mod bucket;
mod evidence;
mod hash;
mod history;
mod lifecycle;
mod look;
mod mix;
mod owner;
mod partial;
mod publish;
mod rollup;
mod scope;
mod seen;
mod sketch;
mod stage;
mod state;
mod sums;
mod terms;
mod words;

#[cfg(test)]
mod anomaly_tests;
#[cfg(test)]
mod clicks_tests;
#[cfg(test)]
mod tests;

pub use board::{AlertBoard, TrendBoard};
pub use history::History;
pub use publish::Emit;
pub use scope::labels;
pub use seen::Seen;
pub use stage::AlertsStage;
pub use state::kinds;
pub use sums::HandedOn;

/// The second half: a message in a partition of the repartition topic. See [`owner::observe`].
pub use owner::observe as own;
/// The first half: a text in an input partition. See [`sums::observe`].
pub use sums::observe as sum;

/// The number of the partition, of so many, that owns a group.
pub fn owner_of(group: &str, partitions: u32) -> u32 {
    (hash::of(group.as_bytes()) % u64::from(partitions.max(1))) as u32
}
