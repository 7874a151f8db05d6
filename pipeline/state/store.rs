//! Committed entries: in memory within a budget, the rest in the local copy.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::local::{Copy, Mark};
use super::memory::Memory;
use super::overlay::Change;
use super::{StateError, Stored};

/// Entries written to the local copy at once: long enough for the cost of a write to vanish, short enough not to be felt.
const WRITE_ENTRIES: usize = 256;
/// How often that at most with one change: a budget that has shrunk is reached by and by.
const TRIMS_MAX: usize = 4;

pub(super) struct Store {
    memory: Memory,
    copy: Option<Copy>,
    /// Everything that lives is in memory: what is not there is nowhere.
    complete: bool,
    budget_bytes: usize,
    checkpoint: Option<Checkpoint>,
}

/// Changes on their way into the local copy, and where it stands once they are there.
struct Checkpoint {
    cells: Vec<u32>,
    mark: Mark,
}

impl Store {
    /// Without a local copy, and without a bound.
    pub fn unbounded() -> Store {
        Store { memory: Memory::default(), copy: None, complete: true, budget_bytes: usize::MAX, checkpoint: None }
    }

    pub fn new(copy: Copy, budget_bytes: usize) -> Result<Store, StateError> {
        let complete = copy.is_empty()?;
        Ok(Store { memory: Memory::default(), copy: Some(copy), complete, budget_bytes, checkpoint: None })
    }

    pub fn get(&mut self, key: &[u8]) -> Result<Option<Stored>, StateError> {
        if let Some(value) = self.memory.get(key) {
            return Ok(value.cloned());
        }
        let Some(copy) = self.copy.as_ref().filter(|_| !self.complete) else { return Ok(None) };
        let value = copy.get(key)?;
        if value.is_some() {
            self.memory.put(key, value.clone(), false);
            self.trim()?;
        }
        Ok(value)
    }

    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<(), StateError> {
        for (key, value) in changes {
            if value.is_none() && self.copy.is_none() {
                self.memory.remove(&key);
            } else {
                self.memory.put(&key, value, self.copy.is_some());
            }
            if self.memory.bytes() > self.budget_bytes {
                self.trim()?;
            }
        }
        Ok(())
    }

    /// Moves what was not used lately to the local copy while memory is above its budget.
    fn trim(&mut self) -> Result<(), StateError> {
        let Some(copy) = &self.copy else { return Ok(()) };
        for _ in 0..TRIMS_MAX {
            if self.memory.bytes() <= self.budget_bytes || self.memory.len() == 0 {
                return Ok(());
            }
            let mut changed = Vec::new();
            for _ in 0..WRITE_ENTRIES {
                let Some(entry) = self.memory.evict() else { break };
                self.complete &= entry.value.is_none();
                if entry.dirty {
                    changed.push((entry.key, entry.value));
                }
                // A little below the budget, so that not every change has to write.
                if self.memory.bytes() <= self.budget_bytes - self.budget_bytes / 64 {
                    break;
                }
            }
            copy.write(changed)?;
        }
        Ok(())
    }

    /// Begins to bring the local copy to where the state stands now: behind the record of this mark, or further.
    /// One at a time: while one is under way a second is refused.
    pub fn begin_checkpoint(&mut self, mark: Mark) -> bool {
        if self.checkpoint.is_some() || self.copy.is_none() {
            return false;
        }
        self.checkpoint = Some(Checkpoint { cells: self.memory.take_dirty(), mark });
        true
    }

    /// Writes the next part of what has changed. True once nothing is left to write.
    pub fn continue_checkpoint(&mut self) -> Result<bool, StateError> {
        let (Some(Checkpoint { cells, mark }), Some(copy)) = (&mut self.checkpoint, &self.copy) else {
            return Ok(true);
        };
        let from = cells.len().saturating_sub(WRITE_ENTRIES);
        let memory = &mut self.memory;
        let changed: Vec<Change> = cells.drain(from..).filter_map(|at| memory.clean(at)).collect();
        copy.write(changed)?;
        if cells.is_empty() {
            copy.set_mark(*mark)?;
            self.checkpoint = None;
        }
        Ok(self.checkpoint.is_none())
    }

    /// Reads every entry once, each checked, and keeps in memory what there is room for.
    pub fn scan(&mut self, mut each: impl FnMut(&[u8], &Stored) -> Result<(), StateError>) -> Result<(), StateError> {
        let mut verdict = Ok(());
        for (key, value) in self.memory.iter() {
            if let Some(value) = value {
                each(key, value)?;
            }
        }
        let Some(copy) = &self.copy else { return Ok(()) };
        let memory = &mut self.memory;
        let mut complete = true;
        copy.scan(|key, stored| {
            if verdict.is_err() || memory.contains(&key) {
                return;
            }
            verdict = each(&key, &stored);
            if memory.bytes() < self.budget_bytes {
                memory.put(&key, Some(stored), false);
            } else {
                complete = false;
            }
        })?;
        verdict?;
        self.complete = complete;
        self.trim()
    }

    /// Everything that lives, in the order of the keys.
    pub fn entries(&self) -> Result<BTreeMap<Bytes, Stored>, StateError> {
        let mut entries = BTreeMap::new();
        if let Some(copy) = &self.copy {
            copy.scan(|key, stored| {
                entries.insert(key, stored);
            })?;
        }
        for (key, value) in self.memory.iter() {
            match value {
                Some(value) => entries.insert(Bytes::copy_from_slice(key), value.clone()),
                None => entries.remove(key),
            };
        }
        Ok(entries)
    }

    /// How many entries are in memory, and how many bytes they take.
    pub fn in_memory(&self) -> (usize, usize) {
        (self.memory.len(), self.memory.bytes())
    }

    /// Holds from the next change on.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget_bytes = bytes;
    }

    pub fn copy(&self) -> Option<&Copy> {
        self.copy.as_ref()
    }
}
