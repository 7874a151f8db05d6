//! Changes that are not committed yet, record by record.
//!
//! `observe` runs ahead of the cut, so what a record changes must not reach the store before the epoch that holds the
//! record has committed. Until then it stands here: later records read through it, and an aborted epoch drops all of it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::Stored;
use super::made::Fresh;

/// What a change holds in memory beside its key and value, in bytes: its place in the queue and in the map.
const CHANGE_OVERHEAD: usize = 192;
/// What a value takes as it is, over what it takes written: fields at their full width, vectors with room to grow.
const HELD_FACTOR: usize = 2;
/// Puts of one key between two measurements of its value.
const MEASURE_EVERY: u8 = 15;

/// A key and what it holds from now on; `None` is its deletion.
pub type Change = (Bytes, Option<Stored>);

#[derive(Default)]
pub(super) struct Overlay {
    /// Of the records not yet cut, in their order.
    changes: VecDeque<Changed>,
    /// The newest of each key, cut or not.
    newest: HashMap<Bytes, Newest, RandomState>,
    /// What the present record's changes have replaced, for when the record is rejected.
    replaced: Vec<Option<Newest>>,
    /// Held by `changes`.
    waiting_bytes: usize,
    /// Held by what was cut and is not committed.
    cut_bytes: usize,
    cuts: u64,
}

struct Changed {
    sequence: u64,
    key: Bytes,
    value: Option<Fresh>,
    bytes: usize,
}

struct Newest {
    /// The key that it stands under: a hot key's bytes are shared by all its changes.
    key: Bytes,
    sequence: u64,
    value: Option<Fresh>,
    /// What the value holds in memory, and how many times since it was measured the key was put.
    held: usize,
    unmeasured: u8,
    /// Where the last cut that holds the key has it: the cut's number and the place.
    folded: (u64, usize),
}

impl Overlay {
    /// `None`: not changed here. `Some(None)`: deleted.
    pub fn get(&self, key: &[u8]) -> Option<Option<&Fresh>> {
        self.newest.get(key).map(|newest| newest.value.as_ref())
    }

    /// A record begins: from here on `undo` goes back to here.
    pub fn begin(&mut self) {
        self.replaced.clear();
    }

    /// Sequences never fall.
    pub fn put(&mut self, sequence: u64, key: &[u8], value: Option<Fresh>) {
        let (key, held, replaced) = match self.newest.get_mut(key) {
            Some(newest) => {
                let (held, unmeasured) = newest.next_held(value.as_ref());
                let (key, folded) = (newest.key.clone(), newest.folded);
                let next = Newest { key: key.clone(), sequence, value: value.clone(), held, unmeasured, folded };
                (key, held, Some(std::mem::replace(newest, next)))
            }
            None => {
                let (key, held) = (Bytes::copy_from_slice(key), held(value.as_ref()));
                let value = value.clone();
                let newest = Newest { key: key.clone(), sequence, value, held, unmeasured: 0, folded: (0, 0) };
                self.newest.insert(key.clone(), newest);
                (key, held, None)
            }
        };
        let bytes = CHANGE_OVERHEAD + key.len() + held;
        self.waiting_bytes += bytes;
        self.replaced.push(replaced);
        self.changes.push_back(Changed { sequence, key, value, bytes });
    }

    /// Takes the present record's changes back. Returns their keys.
    pub fn undo(&mut self) -> Vec<Bytes> {
        let mut keys = Vec::with_capacity(self.replaced.len());
        while let Some(replaced) = self.replaced.pop() {
            let Some(Changed { key, bytes, .. }) = self.changes.pop_back() else { break };
            self.waiting_bytes -= bytes;
            match replaced {
                Some(newest) => self.newest.insert(key.clone(), newest),
                None => self.newest.remove(&key),
            };
            keys.push(key);
        }
        keys
    }

    /// Takes the changes of all records up to this one, the last of each key, and writes them. They stay readable until
    /// `committed`.
    pub fn cut(&mut self, through: u64) -> Vec<Change> {
        self.cuts += 1;
        let count = self.changes.partition_point(|changed| changed.sequence <= through);
        let mut folded: Vec<Changed> = Vec::new();
        for changed in self.changes.drain(..count) {
            self.waiting_bytes -= changed.bytes;
            match self.newest.get_mut(&changed.key) {
                Some(newest) if newest.folded.0 == self.cuts => folded[newest.folded.1] = changed,
                newest => {
                    newest.into_iter().for_each(|newest| newest.folded = (self.cuts, folded.len()));
                    folded.push(changed);
                }
            }
        }
        // As they are, for those who read on, and as they are written.
        self.cut_bytes = folded.iter().map(|changed| changed.bytes).sum();
        let write = |changed: Changed| (changed.key, changed.value.as_ref().map(Fresh::write));
        let written: Vec<Change> = folded.into_iter().map(write).collect();
        self.cut_bytes += written.iter().filter_map(|(_, value)| Some(value.as_ref()?.bytes().len())).sum::<usize>();
        written
    }

    /// What `cut` took up to this record is in the store now.
    pub fn committed(&mut self, through: u64, changes: &[Change]) {
        self.cut_bytes = 0;
        for (key, _) in changes {
            if self.newest.get(key).is_some_and(|newest| newest.sequence <= through) {
                self.newest.remove(key);
            }
        }
    }

    /// Drops everything. Returns the keys that held something here.
    pub fn clear(&mut self) -> Vec<Bytes> {
        self.changes.clear();
        self.replaced.clear();
        (self.waiting_bytes, self.cut_bytes) = (0, 0);
        self.newest.drain().map(|(key, _)| key).collect()
    }

    /// Bytes held, overhead included; of values as they are, an estimate.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.cut_bytes
    }
}

impl Newest {
    /// What the key's next value holds. Measuring walks through the whole value, and from one record to the next it hardly
    /// grows: so a hot key is measured now and then.
    fn next_held(&self, value: Option<&Fresh>) -> (usize, u8) {
        match (value, self.held) {
            (Some(_), 1..) if self.unmeasured < MEASURE_EVERY => (self.held, self.unmeasured + 1),
            _ => (held(value), 0),
        }
    }
}

fn held(value: Option<&Fresh>) -> usize {
    value.map_or(0, |fresh| fresh.value.written_len() * HELD_FACTOR)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn fresh(text: &str) -> Option<Fresh> {
        Some(Fresh { version: 1, due_ms: None, value: Arc::new(text.to_owned()) })
    }

    fn change(key: &'static str, value: Option<&str>) -> Change {
        (Bytes::from_static(key.as_bytes()), value.and_then(fresh).map(|fresh| fresh.write()))
    }

    fn seen(overlay: &Overlay, key: &str) -> Option<Option<Stored>> {
        overlay.get(key.as_bytes()).map(|value| value.map(Fresh::write))
    }

    #[test]
    fn a_cut_takes_the_last_of_each_key_and_leaves_what_is_newer() {
        let mut overlay = Overlay::default();
        overlay.put(0, b"a", fresh("1"));
        overlay.put(1, b"b", fresh("2"));
        overlay.put(1, b"a", fresh("3"));
        overlay.put(2, b"a", None);
        let cut = overlay.cut(1);
        assert_eq!(cut, [change("a", Some("3")), change("b", Some("2"))]);
        assert_eq!(seen(&overlay, "a"), Some(None), "a later record has deleted it");
        assert!(seen(&overlay, "b").is_some(), "readable until it is in the store");
        overlay.committed(1, &cut);
        assert_eq!((seen(&overlay, "a"), seen(&overlay, "b")), (Some(None), None));
        let rest = overlay.cut(9);
        assert_eq!(rest, [change("a", None)]);
        overlay.committed(9, &rest);
        assert_eq!((overlay.bytes(), seen(&overlay, "a")), (0, None));
    }

    #[test]
    fn a_rejected_record_leaves_nothing() {
        let mut overlay = Overlay::default();
        overlay.begin();
        overlay.put(0, b"a", fresh("1"));
        let cut = overlay.cut(0);
        let bytes = overlay.bytes();
        overlay.begin();
        overlay.put(1, b"a", fresh("2"));
        overlay.put(1, b"b", fresh("3"));
        overlay.put(1, b"a", None);
        assert_eq!(overlay.undo(), ["a", "b", "a"]);
        assert_eq!(seen(&overlay, "a"), Some(change("a", Some("1")).1));
        assert_eq!((seen(&overlay, "b"), overlay.bytes()), (None, bytes));
        overlay.committed(0, &cut);
        assert_eq!((seen(&overlay, "a"), overlay.bytes()), (None, 0));
    }

    #[test]
    fn clearing_tells_the_keys() {
        let mut overlay = Overlay::default();
        overlay.put(0, b"a", fresh("1"));
        let _ = overlay.cut(0);
        overlay.put(1, b"b", None);
        let mut keys = overlay.clear();
        keys.sort();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(overlay.bytes(), 0);
    }
}
