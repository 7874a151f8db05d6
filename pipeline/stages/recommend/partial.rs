//! What one partition of clicks has counted and not yet handed on.
//!
//! Clicks of one item lie in many partitions, because users are what spreads them. So each partition counts what it
//! sees by [`Anchor`] and hands the counts, in the same transaction as everything else of the epoch, to the topic whose
//! partitions are those of the anchors' owners. A count is handed on once, by a timer of event time or when there is
//! much of it, and is gone here then: the sum of what was handed on and what still waits is what was clicked.

use prost::Message;

use super::anchor::Anchor;
use super::decayed::Decayed;
use crate::state::{Due, Kind, Table, Tables};

/// Of one anchor. More than this many names are handed on at once, so that no message and no entry grows on.
pub const NAMES_MAX: usize = 256;

pub const PARTIALS: Table<[u8], Counts> = Table::new(Kind::new(31, "recommend-partials").fires());

/// What was counted for one anchor. Also the message that its owner is sent.
#[derive(Clone, PartialEq, Message)]
pub struct Counts {
    /// By name.
    #[prost(message, repeated, tag = "1")]
    pub names: Vec<Counted>,
    /// Where somebody said so.
    #[prost(message, optional, tag = "2")]
    pub stock: Option<Stock>,
    /// The partition's clock when the first of it was counted, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub since_ms: i64,
}

/// A neighbour of an item, something popular.
#[derive(Clone, PartialEq, Message)]
pub struct Counted {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Of an item; empty where there is none.
    #[prost(string, tag = "2")]
    pub category: String,
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

/// Counts that are on their way to their owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed {
    pub anchor: Anchor,
    pub counts: Counts,
}

impl Counts {
    pub fn add(&mut self, name: &str, category: &str, weight: &Decayed) {
        match self.names.binary_search_by(|counted| counted.name.as_str().cmp(name)) {
            Ok(place) => self.names[place].add(category, weight),
            Err(place) => {
                let (name, category) = (name.to_owned(), category.to_owned());
                self.names.insert(place, Counted { name, category, weight: Some(weight.clone()) });
            }
        }
    }

    pub fn merge(&mut self, other: Counts) {
        for counted in other.names {
            self.add(&counted.name, &counted.category, &counted.weight.unwrap_or_default());
        }
        self.stock = self.stock.max(other.stock);
    }
}

impl Counted {
    /// Of two categories that an item is said to be in, the one that comes later in the alphabet is kept: which of them
    /// was said first is not the same for everybody.
    pub fn add(&mut self, category: &str, weight: &Decayed) {
        self.weight.get_or_insert_default().merge(weight);
        if *category > *self.category {
            category.clone_into(&mut self.category);
        }
    }
}

/// Adds to what is counted for an anchor. What is handed on at once because it has grown is appended to `handed`.
pub fn count(tables: &mut impl Tables, flush_ms: i64, new: Handed, handed: &mut Vec<Handed>) {
    let key = new.anchor.key();
    let now = tables.stream_time();
    let mut counts = PARTIALS.get(tables, &key).unwrap_or_else(|| Counts { since_ms: now, ..Counts::default() });
    counts.merge(new.counts);
    if counts.names.len() >= NAMES_MAX {
        PARTIALS.delete(tables, &key);
        handed.push(Handed { anchor: new.anchor, counts });
    } else {
        let due_ms = counts.since_ms.saturating_add(flush_ms);
        PARTIALS.put_until(tables, &key, counts, due_ms);
    }
}

/// What a timer hands on; `None` where it is another's.
pub fn fired(tables: &mut impl Tables, due: &Due) -> Option<Handed> {
    let (key, counts) = PARTIALS.due(tables, due)?;
    let Some(anchor) = Anchor::from_key(&key) else {
        tables.fail("a key of state kind recommend-partials names no anchor".into());
        return None;
    };
    Some(Handed { anchor, counts })
}
