//! Committed entries in memory, within a bound, the least used leaving first.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::Stored;
use super::name::Name;

/// What an entry holds beside its key, which stands in its cell and in the index, and its value, in bytes: its cell, its
/// place in the index, a reference count.
const ENTRY_OVERHEAD: usize = 152;

/// Second chance: a hand goes round and takes what was not used since it came by last.
#[derive(Debug, Default)]
pub(super) struct Memory {
    index: HashMap<Name, u32, RandomState>,
    cells: Vec<Option<Cell>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    /// Cells that changed since `take_dirty`; some may have left or been written since.
    dirty: Vec<u32>,
}

#[derive(Debug)]
struct Cell {
    key: Name,
    /// `None`: deleted, which the local copy does not know yet.
    value: Option<Stored>,
    /// The local copy holds something else.
    dirty: bool,
    used: bool,
}

/// An entry that leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Evicted {
    pub key: Bytes,
    pub value: Option<Stored>,
    pub dirty: bool,
}

impl Memory {
    /// `None`: not here. `Some(None)`: known to be deleted.
    pub fn get(&mut self, key: &[u8]) -> Option<Option<&Stored>> {
        let at = *self.index.get(key)?;
        let cell = self.cells.get_mut(at as usize)?.as_mut()?;
        cell.used = true;
        Some(cell.value.as_ref())
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.index.contains_key(key)
    }

    pub fn put(&mut self, key: &[u8], value: Option<Stored>, dirty: bool) {
        let added = weight(key, value.as_ref());
        if let Some(&at) = self.index.get(key)
            && let Some(cell) = &mut self.cells[at as usize]
        {
            self.bytes = self.bytes + added - weight(&cell.key, cell.value.as_ref());
            cell.value = value;
            cell.used = true;
            if dirty && !cell.dirty {
                self.dirty.push(at);
            }
            cell.dirty = dirty;
            return;
        }
        let key = Name::from(key);
        let at = self.place(Cell { key: key.clone(), value, dirty, used: false });
        self.bytes += added;
        self.index.insert(key, at);
        if dirty {
            self.dirty.push(at);
        }
    }

    fn place(&mut self, cell: Cell) -> u32 {
        if let Some(at) = self.free.pop() {
            self.cells[at as usize] = Some(cell);
            return at;
        }
        self.cells.push(Some(cell));
        // Entries of 152 bytes and more: memory ends long before the numbers do.
        (self.cells.len() - 1) as u32
    }

    pub fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.index.get(key).copied() {
            self.take(at as usize);
        }
    }

    fn take(&mut self, at: usize) -> Option<Cell> {
        let cell = self.cells[at].take()?;
        self.index.remove(&cell.key);
        self.bytes -= weight(&cell.key, cell.value.as_ref());
        self.free.push(at as u32);
        Some(cell)
    }

    /// Takes out the next entry that was not used lately; `None` when nothing is left.
    pub fn evict(&mut self) -> Option<Evicted> {
        if self.index.is_empty() {
            return None;
        }
        loop {
            self.hand = if self.hand + 1 < self.cells.len() { self.hand + 1 } else { 0 };
            let at = self.hand;
            let Some(cell) = &mut self.cells[at] else { continue };
            if std::mem::take(&mut cell.used) {
                continue;
            }
            return self.take(at).map(|Cell { key, value, dirty, .. }| {
                let key = Bytes::copy_from_slice(&key);
                Evicted { key, value, dirty }
            });
        }
    }

    /// What has changed since the last call, for `clean`.
    pub fn take_dirty(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.dirty)
    }

    /// The change in this cell, which counts as written from now on; none where it has left or was written already.
    pub fn clean(&mut self, at: u32) -> Option<(Bytes, Option<Stored>)> {
        let cell = self.cells.get_mut(at as usize)?.as_mut().filter(|cell| cell.dirty)?;
        cell.dirty = false;
        let change = (Bytes::copy_from_slice(&cell.key), cell.value.clone());
        if change.1.is_none() {
            self.take(at as usize);
        }
        Some(change)
    }

    /// Everything that is here, deletions included, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&Stored>)> {
        self.cells.iter().flatten().map(|cell| (&*cell.key, cell.value.as_ref()))
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn weight(key: &[u8], value: Option<&Stored>) -> usize {
    ENTRY_OVERHEAD + 2 * key.len() + value.map_or(0, |value| value.bytes().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Bytes {
        Bytes::from(n.to_string())
    }

    fn value(text: &str) -> Option<Stored> {
        Some(Stored::new(1, None, text.as_bytes()))
    }

    #[test]
    fn what_is_used_stays_longer_and_everything_leaves_in_the_end() {
        let mut memory = Memory::default();
        (0..8).for_each(|n| memory.put(&key(n), value("x"), n % 2 == 0));
        assert!(memory.get(b"3").is_some());
        let left: Vec<Evicted> = std::iter::from_fn(|| memory.evict()).collect();
        assert_eq!(left.len(), 8);
        assert_eq!(left[7].key, key(3), "it was used");
        assert!(left.iter().all(|e| e.dirty == (e.key[0] % 2 == 0)));
        assert_eq!((memory.bytes(), memory.len()), (0, 0));
    }

    #[test]
    fn changes_are_written_once_and_deletions_leave_with_it() {
        let mut memory = Memory::default();
        memory.put(&key(1), value("a"), true);
        memory.put(&key(1), value("b"), true);
        memory.put(&key(2), None, true);
        memory.put(&key(3), value("c"), false);
        let dirty = memory.take_dirty();
        memory.put(&key(1), value("d"), true);
        let written: Vec<_> = dirty.iter().filter_map(|at| memory.clean(*at)).collect();
        assert_eq!(written, [(key(1), value("d")), (key(2), None)]);
        assert_eq!(memory.get(b"2"), None);
        memory.put(&key(3), value("e"), true);
        let dirty = memory.take_dirty();
        let written: Vec<_> = dirty.iter().filter_map(|at| memory.clean(*at)).collect();
        assert_eq!(written, [(key(3), value("e"))]);
    }
}
