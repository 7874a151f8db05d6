//! Counts of an anchor on their way to its owner.

use bytes::Bytes;
use prost::Message;

use super::decayed::Decayed;
use crate::state::{Due, Kind, Table, Tables};

/// What versions before this one kept for a while before they handed it on. Nothing is put here any more.
pub const PARTIALS: Table<[u8], Counts> = Table::new(Kind::new(31, "recommend-partials").fires());

/// What was counted for one anchor.
#[derive(Clone, PartialEq, Message)]
pub struct Counts {
    /// By name.
    #[prost(message, repeated, tag = "1")]
    pub names: Vec<Counted>,
    /// Where somebody said so.
    #[prost(message, optional, tag = "2")]
    pub stock: Option<Stock>,
}

/// A neighbour of an item, something popular. Names are UTF-8; as bytes they share the memory that they were read from.
#[derive(Clone, PartialEq, Message)]
pub struct Counted {
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    /// Of an item; empty where there is none.
    #[prost(bytes = "bytes", tag = "2")]
    pub category: Bytes,
    #[prost(message, optional, tag = "3")]
    pub weight: Option<Decayed>,
}

/// Whether an item is to be had. Of two that were said the later counts; of two at once, that it is not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Stock {
    #[prost(int64, tag = "1")]
    pub at_ms: i64,
    #[prost(bool, tag = "2")]
    pub out: bool,
}

impl Counts {
    /// Of all names, in [`UNIT`](super::decayed::UNIT)s.
    pub fn units(&self) -> u64 {
        let weights = self.names.iter().filter_map(|counted| counted.weight.as_ref());
        weights.flat_map(Decayed::by_period).fold(0, |sum, (_, weight)| sum.saturating_add(weight))
    }
}

impl Counted {
    pub fn add(&mut self, category: Bytes, weight: &Decayed) {
        self.say(category);
        self.weight.get_or_insert_default().merge(weight);
    }

    pub fn add_at(&mut self, category: Bytes, period: i64, weight: u64) {
        self.say(category);
        self.weight.get_or_insert_default().add(period, weight);
    }

    /// Of two categories that an item is said to be in, the one that comes later in the alphabet is kept: which of them
    /// was said first is not the same for everybody.
    fn say(&mut self, category: Bytes) {
        if category > self.category {
            self.category = category;
        }
    }
}

/// What a timer hands on; `None` where it is another's.
pub fn fired(tables: &mut impl Tables, due: &Due) -> Option<(Bytes, Counts)> {
    let (key, counts) = PARTIALS.due(tables, due)?;
    Some((key.into(), counts))
}
