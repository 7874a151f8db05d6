//! The only place where the parts meet.
//!
//! [`start_stage`] makes a stage's parts from the settings and puts its engine on a thread of its own; [`start_text`],
//! [`start_clicks`] and [`start_alerts`] make the stages first. [`Offline`] runs a stage without Kafka.

mod alerts;
mod boards;
mod clicks;
mod clock;
#[cfg(test)]
mod cuts;
mod engine;
mod follow;
mod look_up;
mod models;
mod notify;
mod offline;
mod owners;
mod partition;
mod passages;
mod prepare;
mod recommend;
mod report;
mod restore;
mod reviewers;
mod schemas;
mod scoring;
pub mod segments;
mod start;
mod text;

pub use alerts::{alerts_stage, repartition, start_alerts, watched};
pub use boards::{Boards, start_boards};
pub use clicks::{PURCHASE, Purchase, clicks_stage, start_clicks};
pub use look_up::UserLookUps;
pub use models::{Loaded, Models, Served};
pub use offline::Offline;
pub use owners::owners_topic;
pub use passages::{Passage, Purpose, passages, recommends};
pub use prepare::ResolveSchema;
pub use restore::changelog;
pub use schemas::Registered;
pub use scoring::ServedModel;
pub use start::{Running, start_stage};
pub use text::{start_text, text_stage};

use crate::config::InputKind;
use crate::stages::Stage;
use crate::stages::clicks::ClicksStage;

/// The name of the stage that keeps state for the partitions of such inputs, where one does.
pub fn remembers(kind: InputKind) -> Option<&'static str> {
    match kind {
        InputKind::Review | InputKind::Chat => None,
        InputKind::Click => Some(ClicksStage::NAME),
    }
}

/// Cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
