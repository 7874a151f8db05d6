use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How much more may be read: records and bytes that were read and are not yet committed, against their bounds.
///
/// The source takes room, the runtime gives it back. When full, the source waits; nothing is dropped.
#[derive(Debug)]
pub struct Room {
    records: AtomicUsize,
    bytes: AtomicUsize,
    records_max: usize,
    bytes_max: usize,
    closed: AtomicBool,
}

impl Room {
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Self {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            records_max,
            bytes_max,
            closed: AtomicBool::new(false),
        }
    }

    /// One record of this size was read. The bound may be passed by the one record that fills it.
    pub fn take(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// These records were committed or thrown away.
    pub fn give_back(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// From now on there is no room: what is under way is finished and nothing more is read.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn is_full(&self) -> bool {
        self.is_closed() || self.records() >= self.records_max || self.bytes() >= self.bytes_max
    }

    /// Below half of both bounds: worth resuming partitions that were paused.
    pub fn is_ample(&self) -> bool {
        !self.is_closed() && self.records() <= self.records_max / 2 && self.bytes() <= self.bytes_max / 2
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn records_max(&self) -> usize {
        self.records_max
    }

    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_bound_fills_it_and_giving_back_empties_it() {
        let room = Room::new(4, 100);
        room.take(100);
        assert!(room.is_full(), "bytes");
        room.give_back(1, 100);
        assert!(!room.is_full() && room.is_ample());
        for _ in 0..4 {
            room.take(1);
        }
        assert!(room.is_full(), "records");
        room.give_back(1, 1);
        assert!(!room.is_full() && !room.is_ample());
        room.give_back(1, 1);
        assert!(room.is_ample());
    }
}
