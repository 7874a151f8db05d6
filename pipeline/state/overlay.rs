//! Changes that are not committed yet, record by record.
//!
//! `observe` runs ahead of the cut, so what a record changes must not reach the store before the epoch that holds the
//! record has committed. Until then it stands here: later records read through it, and an aborted epoch drops all of it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::Stored;

/// What a change holds in memory beside its key and value, in bytes: its place in the queue and in the map.
const CHANGE_OVERHEAD: usize = 160;

/// A key and what it holds from now on; `None` is its deletion.
pub type Change = (Bytes, Option<Stored>);

#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Of the records not yet cut, in their order.
    changes: VecDeque<(u64, Change)>,
    /// The newest of each key, cut or not.
    newest: HashMap<Bytes, Newest, RandomState>,
    /// What the present record's changes have replaced, for when the record is rejected.
    replaced: Vec<Option<Newest>>,
    bytes: usize,
}

#[derive(Debug)]
struct Newest {
    sequence: u64,
    value: Option<Stored>,
}

impl Overlay {
    /// `None`: not changed here. `Some(None)`: deleted.
    pub fn get(&self, key: &[u8]) -> Option<Option<&Stored>> {
        self.newest.get(key).map(|newest| newest.value.as_ref())
    }

    /// A record begins: from here on `undo` goes back to here.
    pub fn begin(&mut self) {
        self.replaced.clear();
    }

    /// Sequences never fall.
    pub fn put(&mut self, sequence: u64, (key, value): Change) {
        self.bytes += weight(&key, value.as_ref());
        self.replaced.push(self.newest.insert(key.clone(), Newest { sequence, value: value.clone() }));
        self.changes.push_back((sequence, (key, value)));
    }

    /// Takes the present record's changes back. Returns their keys.
    pub fn undo(&mut self) -> Vec<Bytes> {
        let mut keys = Vec::with_capacity(self.replaced.len());
        while let Some(replaced) = self.replaced.pop() {
            let Some((_, (key, value))) = self.changes.pop_back() else { break };
            self.bytes -= weight(&key, value.as_ref());
            match replaced {
                Some(newest) => self.newest.insert(key.clone(), newest),
                None => self.newest.remove(&key),
            };
            keys.push(key);
        }
        keys
    }

    /// Takes the changes of all records up to this one, the last of each key. They stay readable until `committed`.
    pub fn cut(&mut self, through: u64) -> Vec<Change> {
        let count = self.changes.partition_point(|(sequence, _)| *sequence <= through);
        let mut places: HashMap<Bytes, usize, RandomState> = HashMap::default();
        let mut folded: Vec<Change> = Vec::new();
        for (_, (key, value)) in self.changes.drain(..count) {
            self.bytes -= weight(&key, value.as_ref());
            match places.get(&key) {
                Some(&place) => folded[place].1 = value,
                None => {
                    places.insert(key.clone(), folded.len());
                    folded.push((key, value));
                }
            }
        }
        self.bytes += folded.iter().map(|(key, value)| weight(key, value.as_ref())).sum::<usize>();
        folded
    }

    /// What `cut` took up to this record is in the store now.
    pub fn committed(&mut self, through: u64, changes: &[Change]) {
        for (key, value) in changes {
            self.bytes -= weight(key, value.as_ref());
            if self.newest.get(key).is_some_and(|newest| newest.sequence <= through) {
                self.newest.remove(key);
            }
        }
    }

    /// Drops everything. Returns the keys that held something here.
    pub fn clear(&mut self) -> Vec<Bytes> {
        self.changes.clear();
        self.replaced.clear();
        self.bytes = 0;
        self.newest.drain().map(|(key, _)| key).collect()
    }

    /// Bytes held, overhead included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn weight(key: &Bytes, value: Option<&Stored>) -> usize {
    CHANGE_OVERHEAD + key.len() + value.map_or(0, |value| value.bytes().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &'static str, value: Option<&str>) -> Change {
        (Bytes::from_static(key.as_bytes()), value.map(|value| Stored::new(1, None, value.as_bytes())))
    }

    #[test]
    fn a_cut_takes_the_last_of_each_key_and_leaves_what_is_newer() {
        let mut overlay = Overlay::default();
        overlay.put(0, change("a", Some("1")));
        overlay.put(1, change("b", Some("2")));
        overlay.put(1, change("a", Some("3")));
        overlay.put(2, change("a", None));
        let cut = overlay.cut(1);
        assert_eq!(cut, [change("a", Some("3")), change("b", Some("2"))]);
        assert_eq!(overlay.get(b"a"), Some(None), "a later record has deleted it");
        assert!(overlay.get(b"b").is_some(), "readable until it is in the store");
        overlay.committed(1, &cut);
        assert_eq!((overlay.get(b"a"), overlay.get(b"b")), (Some(None), None));
        let rest = overlay.cut(9);
        overlay.committed(9, &rest);
        assert_eq!((overlay.bytes(), overlay.get(b"a")), (0, None));
    }

    #[test]
    fn a_rejected_record_leaves_nothing() {
        let mut overlay = Overlay::default();
        overlay.begin();
        overlay.put(0, change("a", Some("1")));
        let cut = overlay.cut(0);
        let bytes = overlay.bytes();
        overlay.begin();
        overlay.put(1, change("a", Some("2")));
        overlay.put(1, change("b", Some("3")));
        overlay.put(1, change("a", None));
        assert_eq!(overlay.undo(), ["a", "b", "a"]);
        assert_eq!(overlay.get(b"a"), Some(change("a", Some("1")).1.as_ref()));
        assert_eq!((overlay.get(b"b"), overlay.bytes()), (None, bytes));
        overlay.committed(0, &cut);
        assert_eq!((overlay.get(b"a"), overlay.bytes()), (None, 0));
    }

    #[test]
    fn clearing_tells_the_keys() {
        let mut overlay = Overlay::default();
        overlay.put(0, change("a", Some("1")));
        let _ = overlay.cut(0);
        overlay.put(1, change("b", None));
        let mut keys = overlay.clear();
        keys.sort();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(overlay.bytes(), 0);
    }
}
