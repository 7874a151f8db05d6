use std::collections::BTreeMap;

use bytes::Bytes;

use super::{State, StateError, Stored, View};

/// A state without disk and Kafka, in which every record is committed at once.
pub struct InMemory {
    pub(super) state: State,
    pub(super) sequence: u64,
}

impl InMemory {
    /// The next record.
    pub fn observe<R>(&mut self, observe: impl FnOnce(&mut View<'_>) -> R) -> R {
        self.sequence += 1;
        let done = self.state.observe(self.sequence, observe);
        self.commit();
        done
    }

    /// The record that was observed last.
    pub fn conclude<R>(&mut self, conclude: impl FnOnce(&mut View<'_>) -> R) -> R {
        let done = self.state.conclude(self.sequence, |view| Ok::<R, std::convert::Infallible>(conclude(view)));
        self.commit();
        match done {
            Ok(done) => done,
            Err(never) => match never {},
        }
    }

    fn commit(&mut self) {
        self.state.cut(self.sequence);
        self.state.committed();
    }

    /// What the stage has done wrong, if anything.
    pub fn fault(&self) -> Option<&StateError> {
        self.state.fault()
    }

    /// Everything there is, in the order of its keys: a byte for side and kind, then the stage's key.
    pub fn entries(&self) -> BTreeMap<Bytes, Stored> {
        // Without a disk there is nothing that could fail.
        self.state.entries().unwrap_or_default()
    }
}
