//! What flows: records with their origin, what a stage asks of the models, what it emits, and errors that say whose fault they are.
//!
//! This module knows no other of the program.

mod alert;
mod error;
mod exchange;
pub(crate) mod json;
mod look_up;
mod record;

/// The typed events of `schemas/`, generated from the `.proto` files.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/groundswell.v1.rs"));
}

pub use error::{Error, Fault};
pub use exchange::{Answer, Ask, Encoding, HeadAnswer, ModelId, Prediction, Priority, Question};
pub use look_up::{About, AlertsWanted, Found, LookUp, Reply, TrendsWanted, Unwritten, Way, Written};
pub use record::{Header, Origin, Output, RawRecord, Reason, Record, Rejection, TopicPartition};
