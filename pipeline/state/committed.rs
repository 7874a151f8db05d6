use super::made::Entry;
use super::partition::{Side, State};
use super::view::{alive, clock};
use super::{Held, Kind, ReadTables, StateError};

/// What is committed of one side's entries, to be read by those who look on from outside. Whatever is under way, and may
/// still be aborted, does not show: neither in entries nor in the clock.
pub struct Committed<'a> {
    state: &'a mut State,
    side: Side,
}

impl<'a> Committed<'a> {
    pub(super) fn new(state: &'a mut State, side: Side) -> Committed<'a> {
        Committed { state, side }
    }
}

impl ReadTables for Committed<'_> {
    fn stream_time(&self) -> i64 {
        clock(self.state.committed_highest(), self.state.grace_ms())
    }

    fn get(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        let now = self.stream_time();
        let stored = self.state.keyed(self.side, kind.id(), key, |state, key| state.stored(key))?;
        alive(kind, Entry::Stored(stored), now)
    }

    fn fail(&mut self, why: String) {
        self.state.check(Err(StateError::Stage(why)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Kinds, Table, Tables};

    const WORDS: Table<str, String> = Table::new(Kind::new(1, "words").expires_after(64));

    #[test]
    fn only_what_is_committed_shows_and_each_side_its_own() {
        let mut state = State::unbounded(Kinds::new(&[WORDS.kind()]), 0);
        let seen = |state: &mut State, side| {
            let mut committed = state.committed_of(side);
            (WORDS.get(&mut committed, "k"), committed.stream_time())
        };
        state.observe(0, |view| {
            view.advance(1_000);
            WORDS.put(view, "k", "observed".to_owned());
        });
        assert_eq!(seen(&mut state, Side::Observe), (None, i64::MIN), "nothing is cut");
        state.cut(0);
        assert_eq!(seen(&mut state, Side::Observe), (None, i64::MIN), "the epoch is under way");
        state.committed();
        assert_eq!(seen(&mut state, Side::Observe), (Some("observed".to_owned()), 1_000));
        assert_eq!(seen(&mut state, Side::Conclude).0, None);

        state.observe(1, |view| {
            view.advance(1_063);
            WORDS.put(view, "k", "later".to_owned());
        });
        assert_eq!(
            seen(&mut state, Side::Observe),
            (Some("observed".to_owned()), 1_000),
            "the later one may be aborted"
        );
        state.abort();
        state.observe(2, |view| view.advance(1_064));
        state.cut(2);
        state.committed();
        assert_eq!(seen(&mut state, Side::Observe), (None, 1_064), "its time to live is over");
    }
}
