//! Records from Kafka, in partition order, within a bound.
//!
//! What the source promises:
//! - Records of a partition arrive in offset order, each at most once between an assignment or a rewind and the next.
//! - It reads `read_committed`, and starts a partition where its group committed last.
//! - With `start_from = "latest"` it commits where a new partition begins before it reads the first record.
//! - A partition is given up only after the runtime has said that it is done with it, or after the time it has for that.
//! - It reads no more than the runtime has room for: [`Room`] counts records and bytes in flight.
//!
//! What it needs: that the runtime takes its events at once (they are bounded by `Room`) and answers a revocation.
//! Otherwise it never commits: offsets belong to the sink's transaction.

mod consumer;
mod room;

use crossbeam_channel::Sender;

use crate::event::{Error, RawRecord, TopicPartition};

pub use consumer::{GroupMembership, Source, Subscription};
pub use room::Room;

/// What happens at the source, in the order in which it happens.
#[derive(Debug)]
pub enum SourceEvent {
    /// At least one record, of any assigned partitions.
    Records(Vec<RawRecord>),
    /// These partitions are read from now on, each from its committed offset.
    Assigned(Vec<TopicPartition>),
    /// These partitions are given up as soon as `done` is dropped or sent to. With `lost`, somebody else may own them already.
    Revoked { partitions: Vec<TopicPartition>, lost: bool, done: Sender<()> },
    /// The rewind asked for has been done: every assigned partition continues at its committed offset.
    Rewound,
    /// Where the partitions end: the offset that the next record written will have. Comes every few seconds.
    Ends(Vec<(TopicPartition, i64)>),
    /// The brokers cannot be reached (`false`), or can again.
    Reachable(bool),
    /// The source has ended and cannot go on.
    Failed(Error),
}

/// What the runtime asks of the source.
#[derive(Debug)]
pub enum SourceCommand {
    /// Forget what was read: continue every assigned partition at its committed offset. Answered by [`SourceEvent::Rewound`].
    Rewind,
    /// Leave the group and end.
    Stop,
}
