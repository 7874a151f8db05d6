//! What can happen, a struct each, in the order in which data meets the parts.

mod alerts;
mod clicks;
mod delivery;
mod inference;
mod look_up;
mod notify;
mod process;
mod recommend;
mod source;
mod state;

pub use alerts::{AlertsFiring, AlertsObserved};
pub use clicks::{ClicksObserved, ClicksWithoutKey, SegmentsMeasured};
pub use delivery::{AbortCause, DeadLettered, EpochAborted, EpochCommitted, InFlight, InFlightBounds, ProducerRebuilt};
pub use inference::{
    BatchFailed, BatchTaken, CacheMeasured, InferenceDone, ModelWarm, QueueMeasured, ReplaceCause, WorkerReplaced,
};
pub use look_up::{AddressShared, BoardMeasured, BoardRead, LookUpOutcome, LookedUp, UserMisplaced};
pub use notify::{AlertUnreadable, AlertsMissed, Delivered, DeliveryFailed, ReceiverMeasured, ReceiverStarted};
pub use process::{Started, Stopped, Stopping};
pub use recommend::{ListsRead, Recommending};
pub use source::{
    BrokerFailed, ChunkReceived, LagMeasured, Rebalance, Rebalanced, Redacted, RegistryRetried, SourcePaused,
    TextsTruncated,
};
pub use state::{
    LocalCopiesDiscarded, LocalCopy, RestoreEnded, RestoreProgressed, RestoreStarted, StateMeasured, TableRead,
};

#[cfg(test)]
mod tests;
