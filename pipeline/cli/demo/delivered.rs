//! `delivered-once`, watched from outside: every input record has one result.

use std::collections::{BTreeMap, BTreeSet};

/// Which records have a result. A partition keeps the offset below which all have one, and those beyond it that were
/// seen before their turn; as many as are in flight.
#[derive(Debug, Default)]
pub struct Delivered {
    partitions: BTreeMap<(String, i32), Partition>,
    records: u64,
    repeated: u64,
}

#[derive(Debug, Default)]
struct Partition {
    next: i64,
    early: BTreeSet<i64>,
}

impl Delivered {
    /// True if this is the record's first result.
    pub fn add(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        let partition = self.partitions.entry((topic.to_owned(), partition)).or_default();
        if offset < partition.next || !partition.early.insert(offset) {
            self.repeated += 1;
            return false;
        }
        while partition.early.remove(&partition.next) {
            partition.next += 1;
        }
        self.records += 1;
        true
    }

    /// Records that have a result.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Results of records that had one already.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_counts_once_in_whatever_order() {
        let mut delivered = Delivered::default();
        let order = [(0, 1), (0, 0), (1, 0), (0, 2), (0, 1), (1, 0), (0, 5)];
        let first: Vec<bool> = order.map(|(partition, offset)| delivered.add("reviews", partition, offset)).into();
        assert_eq!(first, [true, true, true, true, false, false, true]);
        assert!(delivered.add("chats", 0, 0));
        assert_eq!((delivered.records(), delivered.repeated()), (6, 2));
        let partition = &delivered.partitions[&("reviews".to_owned(), 0)];
        assert_eq!((partition.next, partition.early.len()), (3, 1));
    }
}
