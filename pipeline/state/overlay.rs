//! Changes that are not committed yet, record by record, and the values that were committed lately, as they were made.
//!
//! `observe` runs ahead of the cut, so what a record changes must not reach the store before the epoch that holds the
//! record has committed. Until then it stands here: later records read through it, and an aborted epoch drops all of it.
//! What was put or looked up lately will be again, so it stays, within a bound: as the store has it, but without being
//! looked up and read from bytes there.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::Stored;
use super::made::{Entry, Fresh};
use super::name::Name;

/// What a change holds in memory beside its key and value, in bytes: its place in the queue and in the map.
const CHANGE_OVERHEAD: usize = 192;
/// The same of a value that the store has too: its place, and its key's in the map. Both hold the key.
const PLACE_OVERHEAD: usize = 208;
/// What a value takes as it is, over what it takes written: fields at their full width, vectors with room to grow.
const HELD_FACTOR: usize = 2;
/// Puts of one key between two measurements of its value.
const MEASURE_EVERY: u8 = 15;
/// Places that the hand looks at when one is given: it keeps up, and no record waits for a whole round.
const LOOKS: usize = 8;

/// A key and what it holds from now on; `None` is its deletion.
pub type Change = (Bytes, Option<Stored>);

#[derive(Default)]
pub(super) struct Overlay {
    /// Of the records not yet cut, in their order.
    changes: VecDeque<Changed>,
    /// Where each key has its place.
    index: HashMap<Name, u32, RandomState>,
    places: Vec<Option<Place>>,
    free: Vec<u32>,
    /// What the present record's changes have replaced, for when the record is rejected; `None`: none ever is.
    replaced: Option<Vec<Seen>>,
    /// Held by `changes`.
    waiting_bytes: usize,
    /// Held by what was cut and is not committed, and the places of it.
    cut_bytes: usize,
    cut_places: Vec<u32>,
    cuts: u64,
    /// Held by what the store has too, its bound, and how far the hand is that takes what was not used since it came by.
    lately_bytes: usize,
    lately_bytes_max: usize,
    hand: usize,
}

struct Changed {
    sequence: u64,
    place: u32,
    value: Option<Fresh>,
    bytes: usize,
}

struct Place {
    key: Name,
    seen: Seen,
    used: bool,
    /// Where the last cut that holds the key has it: the cut's number and the place.
    folded: (u64, usize),
}

/// What a key holds as the newest record sees it.
struct Seen {
    value: Option<Entry>,
    /// The value was taken out: it is what the store has.
    taken: bool,
    due_ms: Option<i64>,
    /// The record that put it; `None`: it is what the store has.
    changed_by: Option<u64>,
    /// What the value holds in memory, and how many times since it was measured the key was put.
    held: usize,
    unmeasured: u8,
}

impl Overlay {
    /// `lately_bytes_max`: what may be kept of what the store has too.
    pub fn within(lately_bytes_max: usize) -> Overlay {
        Overlay { lately_bytes_max, ..Overlay::default() }
    }

    /// Is reached by and by.
    pub fn set_lately_bytes_max(&mut self, bytes: usize) {
        self.lately_bytes_max = bytes;
    }

    /// The key's place, if it has one.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// Gives the key, which has none, a place with what the store has.
    pub fn bring(&mut self, key: &[u8], stored: Option<Stored>) -> u32 {
        self.trim(LOOKS);
        let due_ms = stored.as_ref().and_then(Stored::due_ms);
        let held = stored.as_ref().map_or(0, |stored| stored.bytes().len() * HELD_FACTOR);
        let value = stored.map(Entry::Stored);
        let key = Name::from(key);
        let seen = Seen { value, taken: false, due_ms, changed_by: None, held, unmeasured: 0 };
        let place = Place { key: key.clone(), seen, used: false, folded: (0, 0) };
        self.lately_bytes += place.bytes();
        let at = match self.free.pop() {
            Some(at) => {
                self.places[at as usize] = Some(place);
                at
            }
            None => {
                self.places.push(Some(place));
                // Each takes some hundred bytes: memory ends long before the numbers do.
                (self.places.len() - 1) as u32
            }
        };
        self.index.insert(key, at);
        at
    }

    /// What is there; `None` where it was taken out, and is to be put back.
    pub fn get(&mut self, at: u32) -> Option<Option<&Entry>> {
        let place = self.places[at as usize].as_mut()?;
        place.used = true;
        (!place.seen.taken).then_some(place.seen.value.as_ref())
    }

    /// As `get`. What the store has too need not stay here, so that it can be changed without being copied.
    pub fn take(&mut self, at: u32) -> Option<Option<Entry>> {
        let Place { seen, used, .. } = self.places[at as usize].as_mut()?;
        *used = true;
        if seen.taken {
            return None;
        }
        match (&seen.value, seen.changed_by) {
            (Some(_), None) => {
                seen.taken = true;
                Some(seen.value.take())
            }
            (value, _) => Some(value.clone()),
        }
    }

    /// Puts back what was taken out, from the store.
    pub fn put_back(&mut self, at: u32, stored: Option<Stored>) {
        if let Some(place) = &mut self.places[at as usize] {
            (place.seen.value, place.seen.taken) = (stored.map(Entry::Stored), false);
        }
    }

    /// When the entry is due.
    pub fn due_ms(&self, at: u32) -> Option<i64> {
        self.places[at as usize].as_ref()?.seen.due_ms
    }

    /// A record begins that may be rejected: from here on `undo` goes back to here.
    pub fn begin(&mut self) {
        self.replaced.get_or_insert_default().clear();
    }

    /// Sequences never fall.
    pub fn put(&mut self, sequence: u64, at: u32, value: Option<Fresh>) {
        let Some(place) = &mut self.places[at as usize] else { return };
        if place.seen.changed_by.is_none() {
            self.lately_bytes -= place.bytes();
        }
        let (held, unmeasured) = place.seen.next_held(value.as_ref());
        let due_ms = value.as_ref().and_then(|fresh| fresh.due_ms);
        let next = Seen {
            value: value.clone().map(Entry::Fresh),
            taken: false,
            due_ms,
            changed_by: Some(sequence),
            held,
            unmeasured,
        };
        let before = std::mem::replace(&mut place.seen, next);
        if let Some(replaced) = &mut self.replaced {
            replaced.push(before);
        }
        let bytes = CHANGE_OVERHEAD + place.key.len() + held;
        self.waiting_bytes += bytes;
        self.changes.push_back(Changed { sequence, place: at, value, bytes });
    }

    /// Takes the present record's changes back. Returns their keys.
    pub fn undo(&mut self) -> Vec<Name> {
        let mut keys = Vec::new();
        while let Some(seen) = self.replaced.as_mut().and_then(Vec::pop) {
            let Some(Changed { place, bytes, .. }) = self.changes.pop_back() else { break };
            self.waiting_bytes -= bytes;
            let Some(place) = &mut self.places[place as usize] else { break };
            place.seen = seen;
            if place.seen.changed_by.is_none() {
                self.lately_bytes += place.bytes();
            }
            keys.push(place.key.clone());
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
            let Some(place) = &mut self.places[changed.place as usize] else { continue };
            if place.folded.0 == self.cuts {
                folded[place.folded.1] = changed;
            } else {
                place.folded = (self.cuts, folded.len());
                folded.push(changed);
            }
        }
        // As they are, for those who read on, and as they are written.
        let places = &self.places;
        let written = Stored::all(folded.iter().filter_map(|changed| {
            let place = places[changed.place as usize].as_ref()?;
            Some((&*place.key, changed.value.as_ref()))
        }));
        self.cut_bytes = folded.iter().map(|changed| changed.bytes).sum();
        self.cut_bytes += written.iter().filter_map(|(_, value)| Some(value.as_ref()?.bytes().len())).sum::<usize>();
        self.cut_places = folded.iter().map(|changed| changed.place).collect();
        written
    }

    /// What `cut` took up to this record is in the store now.
    pub fn committed(&mut self, through: u64) {
        self.cut_bytes = 0;
        for at in std::mem::take(&mut self.cut_places) {
            let Some(place) = self.places[at as usize].as_mut() else { continue };
            if place.seen.changed_by.is_some_and(|changed_by| changed_by <= through) {
                place.seen.changed_by = None;
                self.lately_bytes += place.bytes();
            }
        }
        // In the first round each may have been used.
        self.trim(2 * self.places.len());
    }

    /// Takes out what the store has too, what was not used lately first, until the rest is within its bound.
    fn trim(&mut self, looks: usize) {
        for _ in 0..looks {
            if self.lately_bytes <= self.lately_bytes_max {
                return;
            }
            self.hand = if self.hand + 1 < self.places.len() { self.hand + 1 } else { 0 };
            let Some(Some(place)) = self.places.get_mut(self.hand) else { continue };
            if place.seen.changed_by.is_some() || std::mem::take(&mut place.used) {
                continue;
            }
            self.lately_bytes -= place.bytes();
            self.index.remove(&place.key);
            self.places[self.hand] = None;
            self.free.push(self.hand as u32);
        }
    }

    /// Drops everything. Returns the keys that were changed here.
    pub fn clear(&mut self) -> Vec<Name> {
        let before = std::mem::take(self);
        self.lately_bytes_max = before.lately_bytes_max;
        self.cuts = before.cuts;
        let changed = before.places.into_iter().flatten().filter(|place| place.seen.changed_by.is_some());
        changed.map(|place| place.key).collect()
    }

    /// Bytes held by what is not committed, overhead included; of values as they are, an estimate.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes + self.cut_bytes
    }

    /// Bytes held by what the store has too.
    pub fn lately_bytes(&self) -> usize {
        self.lately_bytes
    }
}

impl Place {
    fn bytes(&self) -> usize {
        PLACE_OVERHEAD + 2 * self.key.len() + self.seen.held
    }
}

impl Seen {
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

    fn put(overlay: &mut Overlay, sequence: u64, key: &[u8], value: Option<Fresh>) {
        let at = overlay.find(key).unwrap_or_else(|| overlay.bring(key, None));
        overlay.put(sequence, at, value);
    }

    /// `None`: not here.
    fn seen(overlay: &mut Overlay, key: &str) -> Option<Option<Stored>> {
        let at = overlay.find(key.as_bytes())?;
        overlay.get(at).map(|value| match value {
            Some(Entry::Fresh(fresh)) => Some(fresh.write()),
            Some(Entry::Stored(stored)) => Some(stored.clone()),
            None => None,
        })
    }

    #[test]
    fn a_cut_takes_the_last_of_each_key_and_leaves_what_is_newer() {
        let mut overlay = Overlay::default();
        put(&mut overlay, 0, b"a", fresh("1"));
        put(&mut overlay, 1, b"b", fresh("2"));
        put(&mut overlay, 1, b"a", fresh("3"));
        put(&mut overlay, 2, b"a", None);
        let cut = overlay.cut(1);
        assert_eq!(cut, [change("a", Some("3")), change("b", Some("2"))]);
        assert_eq!(seen(&mut overlay, "a"), Some(None), "a later record has deleted it");
        assert!(seen(&mut overlay, "b").is_some(), "readable until it is in the store");
        overlay.committed(1);
        assert_eq!((seen(&mut overlay, "a"), seen(&mut overlay, "b")), (Some(None), None));
        let rest = overlay.cut(9);
        assert_eq!(rest, [change("a", None)]);
        overlay.committed(9);
        assert_eq!((overlay.bytes(), seen(&mut overlay, "a")), (0, None));
    }

    #[test]
    fn a_rejected_record_leaves_nothing() {
        let mut overlay = Overlay::default();
        overlay.begin();
        put(&mut overlay, 0, b"a", fresh("1"));
        let _ = overlay.cut(0);
        let bytes = overlay.bytes();
        overlay.begin();
        put(&mut overlay, 1, b"a", fresh("2"));
        put(&mut overlay, 1, b"b", fresh("3"));
        put(&mut overlay, 1, b"a", None);
        let undone = overlay.undo();
        assert!(undone.iter().map(|key| &**key).eq([b"a", b"b", b"a"]));
        assert_eq!(seen(&mut overlay, "a"), Some(change("a", Some("1")).1));
        assert_eq!((seen(&mut overlay, "b"), overlay.bytes()), (Some(None), bytes));
        overlay.committed(0);
        assert_eq!((seen(&mut overlay, "a"), overlay.bytes()), (None, 0));
    }

    #[test]
    fn what_was_committed_stays_within_its_bound_and_can_be_taken_out_once() {
        let mut overlay = Overlay::within(2_000);
        (0..20u8).for_each(|n| put(&mut overlay, u64::from(n), &[n], fresh("a value")));
        assert_eq!(overlay.lately_bytes(), 0, "the store knows none of it");
        let changes = overlay.cut(18);
        overlay.committed(18);
        assert_eq!(changes.len(), 19);
        let kept: Vec<u32> = (0..19u8).filter_map(|n| overlay.find(&[n])).collect();
        assert!((1_700..=2_000).contains(&overlay.lately_bytes()) && kept.len() < 19, "{}", overlay.lately_bytes());
        assert!(overlay.take(kept[0]).is_some_and(|value| value.is_some()));
        assert!(overlay.take(kept[0]).is_none(), "the store has it");
        let changed = overlay.find(&[19]).expect("a change");
        assert!((0..2).all(|_| overlay.take(changed).is_some_and(|value| value.is_some())), "the store has it not");
        overlay.set_lately_bytes_max(0);
        let _ = overlay.cut(19);
        overlay.committed(19);
        assert_eq!((overlay.lately_bytes(), overlay.bytes(), overlay.find(&[19])), (0, 0, None));
    }

    #[test]
    fn clearing_tells_the_keys() {
        let mut overlay = Overlay::default();
        put(&mut overlay, 0, b"a", fresh("1"));
        let _ = overlay.cut(0);
        put(&mut overlay, 1, b"b", None);
        let mut keys: Vec<Vec<u8>> = overlay.clear().iter().map(|key| key.to_vec()).collect();
        keys.sort();
        assert_eq!(keys, [b"a", b"b"]);
        assert_eq!(overlay.bytes(), 0);
    }
}
