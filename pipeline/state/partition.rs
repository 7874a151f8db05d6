use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::committed::Committed;
use super::due::DueQueue;
use super::in_memory::InMemory;
use super::kind::Lifetime;
use super::local::{Copy, Mark};
use super::made::{Entry, Fresh};
use super::name::Name;
use super::overlay::{Change, Overlay};
use super::store::Store;
use super::view::{DUE_PER_RECORD_MAX, View};
use super::{Kind, Kinds, StateError, Stored};

/// The key of the highest event time. No kind has this id.
const TIME_KEY: &[u8] = &[0];
const TIME_VERSION: u8 = 1;
/// In a key's first byte: the entry is `conclude`'s.
const CONCLUDES: u8 = 0x80;

/// What each side keeps of what the store has too, as a part of the state's budget, and at most: enough for thousands of
/// keys that are in use.
const LATELY_PART: usize = 8;
const LATELY_BYTES_MAX: usize = 8 << 20;

/// Whose entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Observe,
    Conclude,
}

/// What a partition remembers.
pub struct State {
    kinds: Kinds,
    grace_ms: i64,
    store: Store,
    observed: Changes,
    concluded: Changes,
    clock: Clock,
    cut: Option<Cut>,
    /// The record of the changelog behind which the state stands.
    position: Option<Mark>,
    /// What made the state unusable, if anything did. Nothing may be committed from then on.
    fault: Option<StateError>,
    pub(super) counts: Counts,
    pub(super) due_per_record_max: usize,
    /// For the key that is looked up: a state is asked several times a record.
    key: Vec<u8>,
}

/// One side's changes and what falls due among its entries.
pub(super) struct Changes {
    pub overlay: Overlay,
    pub expiries: DueQueue,
    pub timers: DueQueue,
}

/// The highest event time, as of the newest record and as of those before it that are not yet cut.
#[derive(Debug)]
struct Clock {
    highest: i64,
    at_cut: i64,
    committed: i64,
    /// After each record observed and not yet cut.
    records: VecDeque<(u64, i64)>,
}

/// What the epoch under way holds.
struct Cut {
    through: u64,
    observed: Vec<Change>,
    concluded: Vec<Change>,
    clock: Option<Change>,
}

/// What has happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub expired: u64,
    pub fired: u64,
}

/// How much is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub entries_in_memory: usize,
    /// Entries and what falls due, overhead included.
    pub memory_bytes: usize,
    /// Changes that are not committed.
    pub overlay_bytes: usize,
    pub local_bytes: u64,
}

impl State {
    /// Without disk and Kafka, and without a bound.
    pub fn unbounded(kinds: Kinds, grace_ms: i64) -> State {
        State::over(Store::unbounded(), None, kinds, grace_ms)
    }

    /// For tests, offline runs and backtests.
    pub fn in_memory(kinds: &[Kind], grace_ms: i64) -> InMemory {
        InMemory { state: State::unbounded(Kinds::new(kinds), grace_ms), sequence: 0 }
    }

    /// An empty state, or one that begins with what its local copy holds; the changelog is still to be read into it.
    pub fn new(kinds: Kinds, grace_ms: i64, copy: Copy, budget_bytes: usize) -> Result<State, StateError> {
        let queues = [(); 4].map(|()| copy.due());
        let store = Store::new(copy, budget_bytes)?;
        let mut state = State::over(store, Some(queues), kinds, grace_ms);
        state.set_budget(budget_bytes);
        Ok(state)
    }

    fn over(store: Store, queues: Option<[super::local::DueRows; 4]>, kinds: Kinds, grace_ms: i64) -> State {
        let [a, b, c, d] = queues.map_or_else(|| [None, None, None, None], |rows| rows.map(Some));
        let changes = |first, expiries, timers| Changes {
            overlay: Overlay::within(LATELY_BYTES_MAX),
            expiries: DueQueue::new(first, expiries),
            timers: DueQueue::new(first + 1, timers),
        };
        State {
            kinds,
            grace_ms,
            store,
            observed: changes(0, a, b),
            concluded: changes(2, c, d),
            clock: Clock { highest: i64::MIN, at_cut: i64::MIN, committed: i64::MIN, records: VecDeque::new() },
            cut: None,
            position: None,
            fault: None,
            counts: Counts::default(),
            due_per_record_max: DUE_PER_RECORD_MAX,
            key: Vec::new(),
        }
    }

    // --- restoring

    /// Takes a record of the changelog, in its order. `None`: a deletion.
    pub fn restore(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), StateError> {
        let value = match value {
            None => None,
            Some(bytes) => {
                let stored = Stored::parse(bytes)
                    .ok_or_else(|| StateError::Incompatible("the changelog holds a record that is no entry".into()))?;
                readable(&self.kinds, &key, &stored)?;
                Some(stored)
            }
        };
        self.store.apply([(key, value)])
    }

    /// The changelog has been read: looks at every entry once, and is ready for records.
    pub fn restored(&mut self) -> Result<(), StateError> {
        let Self { kinds, store, observed, concluded, clock, .. } = self;
        // Where the state comes from an earlier tenure, the changelog has gone on without it.
        observed.overlay.clear();
        concluded.overlay.clear();
        store.scan(|key, stored| {
            // What a newer program wrote into the copy is for it to judge.
            readable(kinds, key, stored).map_err(|e| StateError::Damaged(e.to_string()))?;
            if key == TIME_KEY {
                let highest = stored.payload().as_ref().try_into().map(i64::from_be_bytes);
                let highest = highest.map_err(|_| StateError::Damaged("the highest event time is no time".into()))?;
                *clock = Clock { highest, at_cut: highest, committed: highest, records: VecDeque::new() };
            }
            let changes = if side_of(key) == Side::Observe { &mut *observed } else { &mut *concluded };
            stored.due_ms().map_or(Ok(()), |due_ms| changes.ensure(kinds, key, due_ms, None))
        })
    }

    // --- records

    /// Has a record observed. Sequences never fall.
    pub fn observe<R>(&mut self, sequence: u64, observe: impl FnOnce(&mut View<'_>) -> R) -> R {
        let done = observe(&mut View::new(self, Side::Observe, sequence, None));
        self.clock.records.push_back((sequence, self.clock.highest));
        done
    }

    /// Has a record concluded that was observed before. An error takes its changes back.
    pub fn conclude<R, E>(
        &mut self,
        sequence: u64,
        conclude: impl FnOnce(&mut View<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.concluded.overlay.begin();
        let highest = self.clock.at(sequence);
        let mut view = View::new(self, Side::Conclude, sequence, Some(highest));
        view.expire();
        let done = conclude(&mut view);
        if done.is_err() {
            let keys = self.concluded.overlay.undo();
            self.repair(Side::Conclude, &keys);
        }
        done
    }

    // --- epochs

    /// What the records up to this one have changed, for the changelog of their epoch: the last of each key.
    /// The highest event time is among it.
    pub fn cut(&mut self, through: u64) -> Vec<Change> {
        let clock = self.clock.cut(through).map(|highest| {
            let value = Stored::new(TIME_VERSION, None, &highest.to_be_bytes());
            (Bytes::from_static(TIME_KEY), Some(value))
        });
        let (observed, concluded) = (self.observed.overlay.cut(through), self.concluded.overlay.cut(through));
        let changes = observed.iter().chain(&concluded).chain(&clock).cloned().collect();
        self.cut = Some(Cut { through, observed, concluded, clock });
        changes
    }

    /// The epoch cut last has committed.
    pub fn committed(&mut self) {
        let Some(Cut { through, observed, concluded, clock }) = self.cut.take() else { return };
        self.observed.overlay.committed(through);
        self.concluded.overlay.committed(through);
        self.clock.committed = self.clock.at_cut;
        let changes = observed.into_iter().chain(concluded).chain(clock);
        // One that stays must not keep the memory of its whole epoch.
        let applied = self.store.apply(changes.map(|(key, value)| (key, value.as_ref().map(Stored::apart))));
        self.check(applied);
    }

    /// Back to what is committed: the epoch under way, if there is one, was aborted, and everything later goes with it.
    pub fn abort(&mut self) {
        self.cut = None;
        let committed = self.clock.committed;
        self.clock = Clock { highest: committed, at_cut: committed, committed, records: VecDeque::new() };
        for side in [Side::Observe, Side::Conclude] {
            let keys = self.changes(side).overlay.clear();
            self.repair(side, &keys);
        }
    }

    /// What a change has taken out of the queues stands there again, now that the change is gone.
    fn repair(&mut self, side: Side, keys: &[Name]) {
        for key in keys {
            if let Some(due_ms) = self.visible(side, key).and_then(|entry| entry.due_ms()) {
                self.ensure_due(side, key, due_ms, None);
            }
        }
    }

    // --- the local copy

    /// The changelog has come to this record with what was committed or restored last.
    pub fn set_position(&mut self, position: Mark) {
        self.position = Some(position);
    }

    pub fn position(&self) -> Option<Mark> {
        self.position
    }

    /// Has the local copy brought to where the state stands. False where it is under way already, or where the place in
    /// the changelog is not known.
    pub fn begin_checkpoint(&mut self) -> bool {
        self.position.is_some_and(|mark| self.store.begin_checkpoint(mark))
    }

    /// Writes a part of it. True once nothing is left to write.
    pub fn continue_checkpoint(&mut self) -> bool {
        let continued = self.store.continue_checkpoint();
        continued.unwrap_or_else(|error| {
            self.check(Err(error));
            true
        })
    }

    pub fn set_budget(&mut self, bytes: usize) {
        let lately = (bytes / LATELY_PART).min(LATELY_BYTES_MAX);
        self.observed.overlay.set_lately_bytes_max(lately);
        self.concluded.overlay.set_lately_bytes_max(lately);
        self.store.set_budget(bytes - 2 * lately);
    }

    // --- looking

    /// What one side has put and is committed, for those who look on from outside.
    pub fn committed_of(&mut self, side: Side) -> Committed<'_> {
        Committed::new(self, side)
    }

    /// The highest event time that is committed.
    pub(super) fn committed_highest(&self) -> i64 {
        self.clock.committed
    }

    /// The committed entry, expired or not.
    pub(super) fn stored(&mut self, key: &[u8]) -> Option<Stored> {
        let found = self.store.get(key);
        found.unwrap_or_else(|error| {
            self.check(Err(error));
            None
        })
    }

    /// What makes the state unusable, if anything does.
    pub fn fault(&self) -> Option<&StateError> {
        self.fault.as_ref()
    }

    /// Everything that is committed, in the order of its keys: a byte for side and kind, then the stage's key.
    pub fn entries(&self) -> Result<BTreeMap<Bytes, Stored>, StateError> {
        self.store.entries()
    }

    pub fn measured(&self) -> Measured {
        let (entries_in_memory, bytes) = self.store.in_memory();
        let queues = [&self.observed, &self.concluded].map(|c| c.expiries.bytes() + c.timers.bytes());
        let lately = self.observed.overlay.lately_bytes() + self.concluded.overlay.lately_bytes();
        Measured {
            entries_in_memory,
            memory_bytes: bytes + lately + queues.iter().sum::<usize>(),
            overlay_bytes: self.overlay_bytes(),
            local_bytes: self.store.copy().map_or(0, Copy::bytes),
        }
    }

    /// What has happened since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// What is not committed, in bytes.
    pub fn overlay_bytes(&self) -> usize {
        self.observed.overlay.bytes() + self.concluded.overlay.bytes()
    }

    /// With bounds so low that a test meets them.
    #[cfg(test)]
    pub(super) fn tight(mut self, due_per_record_max: usize, near_max: usize) -> State {
        self.due_per_record_max = due_per_record_max;
        for Changes { expiries, timers, .. } in [&mut self.observed, &mut self.concluded] {
            *expiries = std::mem::take(expiries).near_max(near_max);
            *timers = std::mem::take(timers).near_max(near_max);
        }
        self
    }

    // --- for the view

    pub(super) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    pub(super) fn changes(&mut self, side: Side) -> &mut Changes {
        match side {
            Side::Observe => &mut self.observed,
            Side::Conclude => &mut self.concluded,
        }
    }

    /// Does something with an entry's full key.
    pub(super) fn keyed<R>(&mut self, side: Side, kind: u8, key: &[u8], act: impl FnOnce(&mut Self, &[u8]) -> R) -> R {
        let mut full = std::mem::take(&mut self.key);
        write_key(&mut full, side, kind, key);
        let done = act(self, &full);
        self.key = full;
        done
    }

    pub(super) fn highest(&self) -> i64 {
        self.clock.highest
    }

    pub(super) fn advance(&mut self, event_ms: i64) {
        self.clock.highest = self.clock.highest.max(event_ms);
    }

    pub(super) fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// The entry as the newest record sees it, expired or not.
    pub(super) fn visible(&mut self, side: Side, key: &[u8]) -> Option<Entry> {
        let at = self.find(side, key);
        match self.changes(side).overlay.get(at) {
            Some(value) => value.cloned(),
            None => self.put_back(side, at, key),
        }
    }

    /// As `visible`, for a record that goes on to put it: spares it a copy, and the next one to ask a look into the store.
    pub(super) fn take(&mut self, side: Side, key: &[u8]) -> Option<Entry> {
        let at = self.find(side, key);
        match self.changes(side).overlay.take(at) {
            Some(value) => value,
            None => self.put_back(side, at, key),
        }
    }

    fn put_back(&mut self, side: Side, at: u32, key: &[u8]) -> Option<Entry> {
        let stored = self.stored(key);
        self.changes(side).overlay.put_back(at, stored.clone());
        stored.map(Entry::Stored)
    }

    /// The key's place in the overlay.
    fn find(&mut self, side: Side, key: &[u8]) -> u32 {
        if let Some(at) = self.changes(side).overlay.find(key) {
            return at;
        }
        let stored = self.stored(key);
        self.changes(side).overlay.bring(key, stored)
    }

    /// Has the key hold this from now on, and come up when it is due.
    pub(super) fn put(&mut self, side: Side, sequence: u64, key: &[u8], value: Option<Fresh>) {
        let at = self.find(side, key);
        if let Some(due_ms) = value.as_ref().and_then(|fresh| fresh.due_ms) {
            let before = self.changes(side).overlay.due_ms(at);
            self.ensure_due(side, key, due_ms, before);
        }
        self.changes(side).overlay.put(sequence, at, value);
    }

    /// Has the entry come up when it is due. `before`: when its key is known to come up already.
    pub(super) fn ensure_due(&mut self, side: Side, key: &[u8], due_ms: i64, before: Option<i64>) {
        let Self { kinds, observed, concluded, .. } = self;
        let changes = if side == Side::Observe { observed } else { concluded };
        let ensured = changes.ensure(kinds, key, due_ms, before);
        self.check(ensured);
    }

    /// Keeps the first fault.
    pub(super) fn check(&mut self, done: Result<(), StateError>) {
        if let Err(error) = done {
            self.fault.get_or_insert(error);
        }
    }
}

impl Changes {
    /// Has an entry come up when it is due. `before`: when its key is known to come up already.
    pub fn ensure(&mut self, kinds: &Kinds, key: &[u8], due_ms: i64, before: Option<i64>) -> Result<(), StateError> {
        match kinds.get(id_of(key)).map(Kind::lifetime) {
            Some(Lifetime::Fires) => self.timers.ensure(key, due_ms, before),
            _ => self.expiries.ensure(key, due_ms, before),
        }
    }
}

impl Clock {
    /// As the record was observed.
    fn at(&self, sequence: u64) -> i64 {
        let behind = self.records.partition_point(|(observed, _)| *observed <= sequence);
        behind.checked_sub(1).map_or(self.at_cut, |at| self.records[at].1)
    }

    /// The highest time up to this record, if it has risen since the last cut.
    fn cut(&mut self, through: u64) -> Option<i64> {
        let highest = self.at(through);
        let count = self.records.partition_point(|(observed, _)| *observed <= through);
        self.records.drain(..count);
        let risen = highest > self.at_cut;
        self.at_cut = highest;
        risen.then_some(highest)
    }
}

/// The entry's key in store and changelog.
#[cfg(test)]
pub(super) fn full_key(side: Side, kind: u8, key: &[u8]) -> Bytes {
    let mut full = Vec::with_capacity(1 + key.len());
    write_key(&mut full, side, kind, key);
    full.into()
}

fn write_key(into: &mut Vec<u8>, side: Side, kind: u8, key: &[u8]) {
    into.clear();
    into.push(if side == Side::Observe { kind } else { kind | CONCLUDES });
    into.extend_from_slice(key);
}

fn side_of(key: &[u8]) -> Side {
    if key.first().is_some_and(|first| first & CONCLUDES != 0) { Side::Conclude } else { Side::Observe }
}

pub(super) fn id_of(key: &[u8]) -> u8 {
    key.first().map_or(0, |first| first & !CONCLUDES)
}

/// Whether this program knows the entry's kind, in this version.
fn readable(kinds: &Kinds, key: &[u8], stored: &Stored) -> Result<(), StateError> {
    let (name, newest) = match kinds.get(id_of(key)) {
        Some(kind) => (kind.name(), kind.newest_version()),
        None if key == TIME_KEY => ("stream time", TIME_VERSION),
        None => {
            let why = format!("the state holds entries of kind {}, which this program does not know", id_of(key));
            return Err(StateError::Incompatible(why));
        }
    };
    if stored.version() <= newest {
        return Ok(());
    }
    let version = stored.version();
    let why = format!("state kind {name} is of version {version}, and this program knows {newest} at most");
    Err(StateError::Incompatible(why))
}
