//! The only place where the parts meet.
//!
//! [`start`] makes the parts from the settings and puts the engine on a thread of its own. [`Offline`] runs the same
//! stage without Kafka.

mod engine;
mod models;
mod offline;
mod partition;
mod prepare;
mod report;
mod restore;
mod schemas;
mod scoring;
mod start;

pub use models::{Loaded, Models};
pub use offline::Offline;
pub use prepare::ResolveSchema;
pub use restore::changelog;
pub use schemas::Registered;
pub use start::{Running, remembers, start, start_stage, text_stage};

/// Cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
