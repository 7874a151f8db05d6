//! What a stage remembers, a partition at a time.
//!
//! What it promises:
//! - A record's changes are seen by the records after it at once, and by nobody else before the epoch that holds the
//!   record has committed. An epoch that is aborted takes its changes and those of everything later with it.
//! - `observe` and `conclude` each have entries of their own; neither can see the other's.
//! - What is committed is in the changelog, and the changelog alone gives the state back, byte for byte. Memory is
//!   bounded; beyond the bound, and to spare a restart the changelog, there is a local copy, which is never trusted.
//! - Time is event time. What expires and what fires, and before which record, is a function of the records.
//!
//! What it needs: records in order, each observed once and concluded once, a cut only behind concluded records, and one
//! epoch at a time. It asks no clock.

mod committed;
mod due;
mod error;
mod in_memory;
mod kind;
mod local;
mod made;
mod memory;
mod name;
mod overlay;
mod partition;
mod store;
mod tables;
pub mod time;
mod view;
pub mod windows;

pub use committed::Committed;
pub use error::StateError;
pub use in_memory::InMemory;
pub use kind::{Kind, Kinds, Stored};
pub use local::{Copy, Local, Mark, checksum};
pub use made::{Held, Made};
pub use overlay::Change;
pub use partition::{Counts, Measured, Side, State};
pub use tables::{Arrival, Due, Key, ReadTables, Table, Tables, Upgrade, Value};
pub use view::{DUE_PER_RECORD_MAX, View};

#[cfg(test)]
mod tests;
