use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

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
    /// Whether somebody waits for room.
    wanted: AtomicBool,
    gate: Mutex<()>,
    freed: Condvar,
}

impl Room {
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Self {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            records_max,
            bytes_max,
            closed: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            gate: Mutex::new(()),
            freed: Condvar::new(),
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
        // Either this thread sees that room is wanted, or the one that wants it sees what is given back.
        fence(Ordering::SeqCst);
        if self.wanted.load(Ordering::Relaxed) {
            let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.freed.notify_all();
        }
    }

    /// Waits until there is room, or for this long.
    pub fn wait(&self, most: Duration) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let waited = self.freed.wait_timeout_while(gate, most, |()| self.is_full());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.wanted.store(false, Ordering::Relaxed);
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
    fn who_waits_for_room_is_woken_when_there_is_some() {
        let room = Room::new(2, 100);
        std::thread::scope(|scope| {
            for _ in 0..1000 {
                room.take(50);
                room.take(50);
                scope.spawn(|| room.give_back(2, 100));
                let waited = std::time::Instant::now();
                room.wait(Duration::from_secs(600));
                assert!(!room.is_full() && waited.elapsed() < Duration::from_secs(300));
                while room.records() > 0 {
                    std::thread::yield_now();
                }
            }
        });
        room.take(100);
        room.wait(Duration::from_millis(1));
        assert!(room.is_full(), "nobody gave anything back");
    }

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
