//! The owner of an anchor adds up what all partitions have counted for it, and publishes a list of the best.
//!
//! While an anchor has no more than [`KEPT`] × `neighbours_max` names, its counts are exact: those of one partition that
//! had seen every click, bit for bit, in whatever order the parts came. Beyond that the lightest names leave, as in
//! "Space-Saving" (Metwally, Agrawal and El Abbadi, 2005), and what a name that comes (back) may have lost is known: no
//! name that is missing weighs more than `missed`, and none that is listed weighs more than its weight and `missed`
//! together. The sum over all names is exact always.

use prost::Message;

use super::anchor::Anchor;
use super::decayed::{Decayed, Fading};
use super::partial::{Counted, Counts, Stock};
use super::rules::Learning;
use crate::state::{Due, Kind, Table, Tables};

/// Names counted for each one listed: those that grow into the list were counted from their beginning.
pub const KEPT: usize = 4;

const DAY_MS: i64 = 86_400_000;

/// An item that nobody looks at for a quarter of a year is a new one.
pub const ANCHORS: Table<[u8], Anchored> = Table::new(Kind::new(32, "recommend-anchors").expires_after(90 * DAY_MS));
/// Lists that have changed since they were published.
pub const CHANGED: Table<[u8], Changed> = Table::new(Kind::new(33, "recommend-changed").fires());

/// What is counted for an anchor.
#[derive(Clone, PartialEq, Message)]
pub struct Anchored {
    /// By name.
    #[prost(message, repeated, tag = "1")]
    pub names: Vec<Kept>,
    /// Of all names, those that left too.
    #[prost(message, optional, tag = "2")]
    pub total: Option<Decayed>,
    #[prost(message, optional, tag = "3")]
    pub stock: Option<Stock>,
    #[prost(message, optional, tag = "4")]
    pub missed: Option<Lost>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Kept {
    #[prost(message, optional, tag = "1")]
    pub counted: Option<Counted>,
    /// The most that it can have weighed before it came.
    #[prost(message, optional, tag = "2")]
    pub lost: Option<Lost>,
}

/// A weight in units of 1 as of a period; it fades like all others.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Lost {
    #[prost(double, tag = "1")]
    pub weight: f64,
    #[prost(sint64, tag = "2")]
    pub period: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Changed {}

/// A list as every instance reads it; the value under the anchor's key in the compacted table of neighbours.
#[derive(Clone, PartialEq, Message)]
pub struct List {
    /// The heaviest first.
    #[prost(message, repeated, tag = "1")]
    pub neighbours: Vec<Neighbour>,
    /// Of all names, listed or not, as of `at_ms`.
    #[prost(double, tag = "2")]
    pub total: f64,
    /// What a name that is not counted may weigh, and a listed one more than it says.
    #[prost(double, tag = "3")]
    pub missed: f64,
    /// When the period began as of which weights are given, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub at_ms: i64,
    /// Of an item: it is not to be had.
    #[prost(bool, tag = "5")]
    pub out_of_stock: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Neighbour {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub category: String,
    #[prost(double, tag = "3")]
    pub weight: f64,
    /// It was counted in the last period too.
    #[prost(bool, tag = "4")]
    pub now: bool,
}

/// Adds counts of a partition. The list is published when its time has come: [`fired`].
pub fn take(tables: &mut impl Tables, learning: &Learning, anchor: &Anchor, counts: Counts) {
    let key = anchor.key();
    let mut anchored = ANCHORS.get(tables, &key).unwrap_or_default();
    anchored.merge(counts, KEPT * learning.neighbours_max);
    ANCHORS.put(tables, &key, anchored);
    if CHANGED.get(tables, &key).is_none() {
        let due_ms = tables.stream_time().saturating_add(learning.publish_ms);
        CHANGED.put_until(tables, &key, Changed {}, due_ms);
    }
}

/// The lists whose time has come; to be asked for at each message.
pub fn due(tables: &mut impl Tables, learning: &Learning) -> Vec<(Anchor, List)> {
    let mut lists = Vec::new();
    while let Some(due) = tables.next_due() {
        lists.extend(fired(tables, learning, &due));
    }
    lists
}

/// The list that a timer wants to be published; `None` where the timer is another's.
pub fn fired(tables: &mut impl Tables, learning: &Learning, due: &Due) -> Option<(Anchor, List)> {
    let (key, _) = CHANGED.due(tables, due)?;
    let Some(anchor) = Anchor::from_key(&key) else {
        tables.fail("a key of state kind recommend-changed names no anchor".into());
        return None;
    };
    let anchored = ANCHORS.get(tables, &key)?;
    let list = anchored.list(learning.fading(anchor.is_popularity()), learning.neighbours_max);
    Some((anchor, list))
}

impl Anchored {
    pub fn merge(&mut self, counts: Counts, names_max: usize) {
        let total = self.total.get_or_insert_default();
        counts.names.iter().filter_map(|counted| counted.weight.as_ref()).for_each(|weight| total.merge(weight));
        let newest = total.newest();
        for counted in counts.names {
            self.add(counted);
        }
        self.stock = self.stock.max(counts.stock);
        self.forget(newest);
        // A quarter over, so that not every new name sorts them all.
        if self.names.len() > names_max + names_max / 4 {
            self.evict(newest, names_max);
        }
    }

    /// The heaviest names as of the newest period.
    pub fn list(&self, fading: Fading, most: usize) -> List {
        let total = self.total.clone().unwrap_or_default();
        let newest = total.newest();
        let counted = self.names.iter().filter_map(|kept| kept.counted.as_ref());
        let mut neighbours: Vec<Neighbour> = counted.map(|counted| counted.neighbour(newest)).collect();
        neighbours.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
        neighbours.truncate(most);
        List {
            neighbours,
            total: total.value(newest),
            missed: self.missed.map_or(0.0, |missed| missed.value(newest)),
            at_ms: fading.start_ms(newest),
            out_of_stock: self.stock.is_some_and(|stock| stock.out),
        }
    }

    fn add(&mut self, new: Counted) {
        match self.names.binary_search_by(|kept| kept.name().cmp(&new.name)) {
            Ok(place) => {
                let counted = self.names[place].counted.get_or_insert_default();
                counted.add(&new.category, &new.weight.unwrap_or_default());
            }
            Err(place) => self.names.insert(place, Kept { counted: Some(new), lost: self.missed }),
        }
    }

    fn forget(&mut self, newest: i64) {
        self.names.retain_mut(|kept| {
            let weight = kept.counted.as_mut().and_then(|counted| counted.weight.as_mut());
            weight.is_some_and(|weight| {
                weight.forget(newest);
                !weight.is_empty()
            })
        });
    }

    /// Lets the lightest go; what may be heaviest of them is the most that is missed.
    fn evict(&mut self, newest: i64, names_max: usize) {
        let mut bounds: Vec<f64> = self.names.iter().map(|kept| kept.at_most(newest)).collect();
        let mut sorted = bounds.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let least = sorted.get(names_max).copied().unwrap_or_default();
        let mut room = names_max - sorted.iter().take_while(|bound| **bound > least).count().min(names_max);
        let mut bounds = bounds.drain(..);
        self.names.retain(|_| {
            let bound = bounds.next().unwrap_or_default();
            let ties = bound == least && room > 0;
            room -= usize::from(ties);
            bound > least || ties
        });
        let missed = self.missed.map_or(0.0, |missed| missed.value(newest)).max(least);
        self.missed = Some(Lost { weight: missed, period: newest });
    }
}

impl Kept {
    fn name(&self) -> &str {
        self.counted.as_ref().map_or("", |counted| &counted.name)
    }

    fn at_most(&self, newest: i64) -> f64 {
        let weight = self.counted.as_ref().and_then(|counted| counted.weight.as_ref());
        weight.map_or(0.0, |weight| weight.value(newest)) + self.lost.map_or(0.0, |lost| lost.value(newest))
    }
}

impl Lost {
    fn value(&self, newest: i64) -> f64 {
        self.weight * Fading::left(newest - self.period)
    }
}

impl Counted {
    fn neighbour(&self, newest: i64) -> Neighbour {
        let weight = self.weight.as_ref();
        Neighbour {
            name: self.name.clone(),
            category: self.category.clone(),
            weight: weight.map_or(0.0, |weight| weight.value(newest)),
            now: weight.is_some_and(|weight| weight.newest() == newest),
        }
    }
}

impl List {
    /// As if the list held `smoothing` more of names that nobody knows: the share of a neighbour `weight` as of `at_ms`.
    /// Weight fades and `smoothing` does not, so a list that nothing was added to for long says less and less.
    pub fn share(&self, weight: f64, at_ms: i64, half_life_ms: i64, smoothing: f64) -> f64 {
        let age = (at_ms - self.at_ms).max(0) as f64 / half_life_ms.max(1) as f64;
        let left = (-age).exp2();
        weight * left / (self.total * left + smoothing)
    }
}
