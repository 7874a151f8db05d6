//! What falls due when: expiries and timers, in event time.
//!
//! The queue is derived from the entries: for each that has a due time it holds an item at that time or before. An item
//! that comes up before its entry is due goes back to the entry's time, so an entry that is put again and again costs
//! the queue nothing until then. What comes out is exactly the entries that are due, in the order of due time and key,
//! whatever the items' history: so it does not depend on restarts.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::StateError;
use super::local::DueRows;

/// Items kept in memory; those due later wait on disk.
const NEAR_MAX: usize = 8_192;
/// What an item holds beside its key, in bytes: its place in the tree.
const ITEM_OVERHEAD: usize = 64;

#[derive(Default)]
pub(super) struct DueQueue {
    /// Tells its rows on disk from another queue's.
    id: u8,
    near: BTreeSet<(i64, Bytes)>,
    near_max: usize,
    bytes: usize,
    /// Every item from here on is on disk, or among `far`; none where nothing is there.
    horizon: Option<(i64, Bytes)>,
    /// On their way to disk, where one write takes as long as many.
    far: Vec<(i64, Bytes)>,
    disk: Option<DueRows>,
}

impl DueQueue {
    pub fn new(id: u8, disk: Option<DueRows>) -> DueQueue {
        DueQueue { id, near_max: NEAR_MAX, disk, ..DueQueue::default() }
    }

    #[cfg(test)]
    pub fn near_max(self, near_max: usize) -> DueQueue {
        DueQueue { near_max, ..self }
    }

    /// Sees to it that the key comes up at this time or before. `before`: when it is known to come up already.
    pub fn ensure(&mut self, key: &[u8], due_ms: i64, before: Option<i64>) -> Result<(), StateError> {
        match before {
            Some(before) if before <= due_ms => Ok(()),
            _ => self.insert(due_ms, Bytes::copy_from_slice(key)),
        }
    }

    /// The first item that is due by now.
    pub fn pop(&mut self, now: i64) -> Result<Option<(i64, Bytes)>, StateError> {
        if self.near.is_empty() && self.horizon.as_ref().is_some_and(|(due_ms, _)| *due_ms <= now) {
            self.load()?;
        }
        if self.near.first().is_none_or(|(due_ms, _)| *due_ms > now) {
            return Ok(None);
        }
        let item = self.near.pop_first();
        self.bytes -= item.as_ref().map_or(0, |(_, key)| weight(key));
        Ok(item)
    }

    pub fn insert(&mut self, due_ms: i64, key: Bytes) -> Result<(), StateError> {
        let item = (due_ms, key);
        let bytes = weight(&item.1);
        if self.disk.is_some() && self.horizon.as_ref().is_some_and(|horizon| item >= *horizon) {
            self.bytes += bytes;
            self.far.push(item);
            return if self.far.len() > self.near_max / 32 + 1 { self.write_far() } else { Ok(()) };
        }
        if self.near.insert(item) {
            self.bytes += bytes;
        }
        if self.near.len() > self.near_max { self.unload() } else { Ok(()) }
    }

    /// Moves the later half to disk.
    fn unload(&mut self) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let Some(middle) = self.near.iter().nth(self.near.len() / 2).cloned() else { return Ok(()) };
        let far = self.near.split_off(&middle);
        self.bytes -= far.iter().map(|(_, key)| weight(key)).sum::<usize>();
        self.horizon = Some(middle);
        disk.insert(far.into_iter().map(|(due_ms, key)| (self.id, due_ms, key)))
    }

    fn write_far(&mut self) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        self.bytes -= self.far.iter().map(|(_, key)| weight(key)).sum::<usize>();
        disk.insert(self.far.drain(..).map(|(due_ms, key)| (self.id, due_ms, key)))
    }

    fn load(&mut self) -> Result<(), StateError> {
        self.write_far()?;
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut items = disk.take(self.id, self.near_max / 2 + 1)?;
        // One more than was asked for says where the rest begins.
        self.horizon = if items.len() > self.near_max / 2 { items.pop() } else { None };
        if let Some((due_ms, key)) = &self.horizon {
            disk.insert([(self.id, *due_ms, key.clone())])?;
        }
        self.bytes += items.iter().map(|(_, key)| weight(key)).sum::<usize>();
        self.near.extend(items);
        Ok(())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn weight(key: &Bytes) -> usize {
    ITEM_OVERHEAD + key.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::local::Local;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// With room for four items in memory, it is a sorted set all the same.
        #[test]
        fn it_pops_in_order_however_little_fits_in_memory(
            steps in prop::collection::vec((any::<bool>(), -20i64..20, 0u8..5), 1..80),
        ) {
            let folder = super::super::tests::folder();
            let (local, _) = Local::open(folder.path(), 1 << 20).expect("a directory");
            let copy = local.copy("a").expect("a copy");
            let mut queue = DueQueue::new(1, Some(copy.due())).near_max(4);
            let mut other = DueQueue::new(2, Some(copy.due())).near_max(4);
            let mut model = BTreeSet::new();
            for (pop, at, key) in steps {
                let key = Bytes::from(vec![key]);
                if pop {
                    let expected = model.first().filter(|(due, _)| *due <= at).cloned();
                    if let Some(item) = &expected {
                        model.remove(item);
                    }
                    prop_assert_eq!(queue.pop(at).expect("a sound disk"), expected);
                } else {
                    queue.insert(at, key.clone()).expect("a sound disk");
                    other.insert(at, key.clone()).expect("a sound disk");
                    model.insert((at, key));
                }
                prop_assert!(queue.near.len() <= 5);
            }
            let rest: Vec<_> = std::iter::from_fn(|| queue.pop(i64::MAX).expect("a sound disk")).collect();
            prop_assert_eq!(rest, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(queue.bytes(), 0);
        }
    }
}
