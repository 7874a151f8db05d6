//! Where a partition begins that its group has never read, with `start_from = "latest"`.
//!
//! "From now on" is a place: the partition's end when it was first assigned. It is committed before the first record is
//! read, so that whoever reads the partition next, after a crash, a rebalance or a rewind, begins there too and not at
//! an end that has moved on.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

/// One look-up of committed offsets, or of a partition's end.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

/// Commits the end of each of these partitions for which the group has committed nothing yet.
pub fn commit_starts<C: ConsumerContext>(consumer: &BaseConsumer<C>, assigned: &TopicPartitionList) -> KafkaResult<()> {
    let committed = consumer.committed_offsets(assigned.clone(), LOOK_UP_MAX)?;
    let mut starts = TopicPartitionList::new();
    for partition in committed.elements() {
        if is_unread(partition.offset(), partition.error())? {
            let (topic, number) = (partition.topic(), partition.partition());
            // The end that a reader of committed records sees: what is in an open transaction now is still to come.
            let (_, end) = consumer.fetch_watermarks(topic, number, LOOK_UP_MAX)?;
            starts.add_partition_offset(topic, number, Offset::Offset(end))?;
        }
    }
    if starts.count() == 0 { Ok(()) } else { consumer.commit(&starts, CommitMode::Sync) }
}

/// Whether the group has never committed anything for a partition of which the broker says this.
fn is_unread(committed: Offset, answer: KafkaResult<()>) -> KafkaResult<bool> {
    match answer {
        Ok(()) => Ok(!matches!(committed, Offset::Offset(_))),
        // A transaction that a former owner left open holds a commit: the partition was begun before.
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnstableOffsetCommit) => Ok(false),
        Err(error) => Err(error),
    }
}

/// True where the membership in whose name a start would be committed is over: another assignment will follow.
pub fn is_over(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(C::UnknownMemberId | C::IllegalGeneration | C::FencedMemberEpoch | C::FencedInstanceId | C::Fatal)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_begins_once() {
        let answer = |code| Err(KafkaError::OffsetFetch(code));
        assert_eq!(is_unread(Offset::Invalid, Ok(())), Ok(true));
        assert_eq!(is_unread(Offset::Offset(0), Ok(())), Ok(false));
        assert_eq!(is_unread(Offset::Invalid, answer(RDKafkaErrorCode::UnstableOffsetCommit)), Ok(false));
        let refused = answer(RDKafkaErrorCode::GroupAuthorizationFailed);
        assert!(is_unread(Offset::Invalid, refused).is_err(), "not known is not unread");
    }
}
