use std::sync::Arc;

use bytes::Bytes;

use super::kind::Lifetime;
use super::made::{Entry, Fresh};
use super::partition::{Side, State, id_of};
use super::{Arrival, Due, Held, Kind, Made, ReadTables, StateError, Tables};

/// Entries that expire, and timers that fire, with one record: a jump of the clock is worked off with the records that
/// follow, not with the one that made it.
pub const DUE_PER_RECORD_MAX: usize = 64;

/// The state as one record sees it.
pub struct View<'a> {
    /// `None`: the stage has no kinds of state.
    state: Option<&'a mut State>,
    side: Side,
    sequence: u64,
    /// `conclude` sees the clock as it was when the record was observed.
    highest: Option<i64>,
    fired: usize,
}

impl<'a> View<'a> {
    /// For stages without state.
    pub fn stateless() -> View<'static> {
        View { state: None, side: Side::Observe, sequence: 0, highest: None, fired: 0 }
    }

    pub(super) fn new(state: &'a mut State, side: Side, sequence: u64, highest: Option<i64>) -> View<'a> {
        View { state: Some(state), side, sequence, highest, fired: 0 }
    }

    /// Deletes entries whose time to live is over.
    pub(super) fn expire(&mut self) {
        let now = self.stream_time();
        let (side, sequence) = (self.side, self.sequence);
        let Some(state) = &mut self.state else { return };
        for _ in 0..state.due_per_record_max {
            let Some((key, _)) = state.pop_due(side, now, false) else { return };
            state.counts.expired += 1;
            state.put(side, sequence, &key, None);
        }
    }

    fn change(&mut self, kind: Kind, key: &[u8], value: Option<(Option<i64>, Arc<dyn Made>)>) {
        let (side, sequence) = (self.side, self.sequence);
        let Some(state) = self.known(kind) else { return };
        let fresh = value.map(|(due_ms, value)| Fresh { version: kind.newest_version(), due_ms, value });
        state.keyed(side, kind.id(), key, |state, key| state.put(side, sequence, key, fresh));
    }

    /// The state, if the kind is one of the stage's.
    fn known(&mut self, kind: Kind) -> Option<&mut State> {
        let state = self.state.as_deref_mut()?;
        if state.kinds().get(kind.id()) == Some(kind) {
            return Some(state);
        }
        let why = format!("state kind {} (id {}) is not among those that the stage declares", kind.name(), kind.id());
        state.check(Err(StateError::Stage(why)));
        None
    }
}

impl ReadTables for View<'_> {
    fn stream_time(&self) -> i64 {
        let Some(state) = &self.state else { return i64::MIN };
        clock(self.highest.unwrap_or_else(|| state.highest()), state.grace_ms())
    }

    fn get(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        let (side, now) = (self.side, self.stream_time());
        let state = self.known(kind)?;
        let entry = state.keyed(side, kind.id(), key, |state, key| state.visible(side, key))?;
        alive(kind, entry, now)
    }

    fn fail(&mut self, why: String) {
        if let Some(state) = &mut self.state {
            state.check(Err(StateError::Stage(why)));
        }
    }
}

impl Tables for View<'_> {
    fn advance(&mut self, event_ms: i64) -> Arrival {
        if let (Some(state), None) = (&mut self.state, self.highest) {
            state.advance(event_ms);
            self.expire();
        }
        match self.stream_time().saturating_sub(event_ms) {
            by_ms @ 1.. => Arrival::Late { by_ms },
            _ => Arrival::OnTime,
        }
    }

    fn next_due(&mut self) -> Option<Due> {
        let now = self.stream_time();
        let (side, sequence) = (self.side, self.sequence);
        let state = self.state.as_deref_mut().filter(|state| self.fired < state.due_per_record_max)?;
        let (key, entry) = state.pop_due(side, now, true)?;
        self.fired += 1;
        state.counts.fired += 1;
        state.put(side, sequence, &key, None);
        let due_ms = entry.due_ms()?;
        Some(Due { kind: id_of(&key), key: key.slice(1..), value: entry.held(), due_ms })
    }

    fn put(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>) {
        if kind.lifetime() == Lifetime::Fires {
            return self.fail(format!("state kind {} fires and is put without a due time", kind.name()));
        }
        let due_ms = kind.expiry(self.stream_time());
        self.change(kind, key, Some((due_ms, value)));
    }

    fn put_until(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>, due_ms: i64) {
        if kind.lifetime() != Lifetime::Fires {
            return self.fail(format!("state kind {} does not fire and is put with a due time", kind.name()));
        }
        self.change(kind, key, Some((Some(due_ms), value)));
    }

    fn take(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        let (side, now) = (self.side, self.stream_time());
        let state = self.known(kind)?;
        let entry = state.keyed(side, kind.id(), key, |state, key| state.take(side, key))?;
        alive(kind, entry, now)
    }

    fn delete(&mut self, kind: Kind, key: &[u8]) {
        self.change(kind, key, None);
    }
}

/// What the clock shows where the highest event time is this.
pub(super) fn clock(highest: i64, grace_ms: i64) -> i64 {
    if highest == i64::MIN { i64::MIN } else { highest.saturating_sub(grace_ms) }
}

/// The entry's value, unless its time to live is over.
pub(super) fn alive(kind: Kind, entry: Entry, now: i64) -> Option<Held> {
    let expired = matches!(kind.lifetime(), Lifetime::Expires(_)) && entry.due_ms().is_some_and(|due| due <= now);
    (!expired).then(|| entry.held())
}

impl State {
    /// The next entry that is due, one of those that fire or one of those that expire.
    fn pop_due(&mut self, side: Side, now: i64, fires: bool) -> Option<(Bytes, Entry)> {
        loop {
            let changes = self.changes(side);
            let queue = if fires { &mut changes.timers } else { &mut changes.expiries };
            let (at, key) = match queue.pop(now) {
                Ok(item) => item?,
                Err(error) => {
                    self.check(Err(error));
                    return None;
                }
            };
            let Some(entry) = self.visible(side, &key) else { continue };
            match entry.due_ms() {
                Some(due_ms) if due_ms == at => return Some((key, entry)),
                // It was put again since; its item goes where it belongs.
                Some(due_ms) if due_ms > at => self.ensure_due(side, &key, due_ms, None),
                // An item of its own comes up for it, or it has no due time any more.
                _ => {}
            }
        }
    }
}
