//! What can happen, a struct each, in the order in which data meets the parts.

mod delivery;
mod inference;
mod process;
mod source;

pub use delivery::{AbortCause, DeadLettered, EpochAborted, EpochCommitted, InFlight, InFlightBounds, ProducerRebuilt};
pub use inference::{
    BatchFailed, BatchTaken, CacheMeasured, InferenceDone, ModelWarm, QueueMeasured, ReplaceCause, WorkerReplaced,
};
pub use process::{Started, Stopped, Stopping};
pub use source::{
    BrokerFailed, ChunkReceived, LagMeasured, Rebalance, Rebalanced, Redacted, RegistryRetried, SourcePaused,
    TextsTruncated,
};

#[cfg(test)]
mod tests;
