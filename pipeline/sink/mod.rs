//! Epochs to Kafka.
//!
//! What the sink promises (`exactly_once`):
//! - The outputs of an epoch and the input offsets behind them become visible together, in one transaction, or not at all.
//! - Epochs become visible in the order in which they are handed in.
//! - An instance that was thought dead and comes back is fenced: by its transactional id where the name is the same, by
//!   the group's generation where the partitions have moved.
//! - After an error whose outcome is unknown the producer is thrown away; only the broker knows then what was
//!   committed, and the runtime rewinds to that.
//!
//! With `at_least_once` it is the same epoch without the transaction: produce, wait for every acknowledgement, commit.
//!
//! What it needs: one epoch at a time, with the group's metadata read when the epoch was cut. Metadata read later could
//! belong to a generation in which somebody else owns the partitions.

mod dead_letter;
mod epoch;
mod fences;
mod producer;

pub use dead_letter::{DeadLetters, HEADER_PREFIX, Opened, open};
pub use epoch::{Acknowledged, Entry, Epoch, Failure, Sink, SinkEvent, SinkOptions};
