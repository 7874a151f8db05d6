//! Values between the record that made them and the cut: as they are, not as bytes.
//!
//! A hot key is put by many records of one epoch, and only the last of them reaches the changelog. So a value is written
//! when it is cut, and whoever reads it before gets it without reading bytes.

use std::any::Any;
use std::sync::Arc;

use prost::Message;

use super::{Stored, Value};

/// Something a stage remembers.
pub trait Made: Any + Send + Sync {
    fn write(&self, into: &mut Vec<u8>);
    /// How long what it writes is, in bytes.
    fn written_len(&self) -> usize;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<M: Message + 'static> Made for M {
    fn write(&self, into: &mut Vec<u8>) {
        self.encode_raw(into);
    }

    fn written_len(&self) -> usize {
        self.encoded_len()
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A value as it is found: as an earlier record of this process made it, or as it was written.
#[derive(Clone)]
pub enum Held {
    Made(Arc<dyn Made>),
    Written(Value),
}

/// An entry that is not written yet.
#[derive(Clone)]
pub(super) struct Fresh {
    pub version: u8,
    pub due_ms: Option<i64>,
    pub value: Arc<dyn Made>,
}

/// An entry as the newest record sees it.
#[derive(Clone)]
pub(super) enum Entry {
    Fresh(Fresh),
    Stored(Stored),
}

#[cfg(test)]
impl Fresh {
    pub fn write(&self) -> Stored {
        Stored::new(self.version, self.due_ms, &self.value.written())
    }
}

impl dyn Made {
    pub fn is<M: Made>(&self) -> bool {
        let this: &dyn Any = self;
        this.is::<M>()
    }

    pub fn written(&self) -> Vec<u8> {
        let mut written = Vec::with_capacity(self.written_len());
        self.write(&mut written);
        written
    }
}

impl Entry {
    pub fn due_ms(&self) -> Option<i64> {
        match self {
            Entry::Fresh(fresh) => fresh.due_ms,
            Entry::Stored(stored) => stored.due_ms(),
        }
    }

    pub fn held(self) -> Held {
        match self {
            Entry::Fresh(fresh) => Held::Made(fresh.value),
            Entry::Stored(stored) => Held::Written(Value { version: stored.version(), bytes: stored.into_payload() }),
        }
    }
}
