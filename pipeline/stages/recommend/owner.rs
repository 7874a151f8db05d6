//! The owner of an anchor adds up what all partitions have counted for it, and publishes a list of the best.
//!
//! While an anchor has no more than [`KEPT`] × `neighbours_max` names, its counts are exact: those of one partition that
//! had seen every click, bit for bit, in whatever order the parts came. Beyond that the lightest names leave, as in
//! "Space-Saving" (Metwally, Agrawal and El Abbadi, 2005), and what a name that comes (back) may have lost is known: no
//! name that is missing weighs more than `missed`, and none that is listed weighs more than its weight and `missed`
//! together. The sum over all names is exact always.
//!
//! The sums of an anchor may be kilobytes, and one click adds to dozens of anchors. So what comes is kept beside the sums
//! as it came, and put into them when the list is published or when there is much of it.
//!
//! Event time stands still while nobody clicks. So that the lists that wait by then are published all the same, the
//! instances write what the clock on the wall shows to every owner. One that hears nothing else for `idle_ms` of it lets
//! event time go on at its pace until the last of its lists is due, and no further: clicks that come then, which are as
//! old as that clock, never find it ahead of them. What an owner publishes still follows from the records of its
//! partition alone.

use bytes::Bytes;
use prost::Message;

use super::anchor::Anchor;
use super::decayed::{Decayed, Fading, UNIT};
use super::partial::{Counted, Counts, Stock};
use super::rules::Learning;
use crate::state::{Due, Kind, Table, Tables};

/// Names counted for each one listed: those that grow into the list were counted from their beginning.
pub const KEPT: usize = 4;

const DAY_MS: i64 = 86_400_000;

/// An item that nobody looks at for a quarter of a year is a new one.
pub const ANCHORS: Table<[u8], Anchored> = Table::new(Kind::new(32, "recommend-anchors").expires_after(90 * DAY_MS));
/// What has come since a list was published.
pub const CHANGED: Table<[u8], Changed> = Table::new(Kind::new(33, "recommend-changed").fires());
/// How much was in a list when it was published.
pub const PUBLISHED: Table<[u8], Published> =
    Table::new(Kind::new(34, "recommend-published").expires_after(90 * DAY_MS));

/// One entry: how long nothing has been counted.
pub const QUIET: Table<str, Quiet> = Table::new(Kind::new(35, "recommend-quiet"));

/// Parts of one anchor that are kept beside its sums, in bytes: more than that is as dear to write again and again as the
/// sums are.
const PARTS_BYTES_MAX: usize = 2048;
/// What is counted for an anchor, in bytes: one record, of which brokers take a mebibyte unless told otherwise.
const ANCHORED_BYTES_MAX: usize = 1 << 19;
/// Of a name besides its letters, and of its weight in one period, by their usual sizes as Protobuf.
const COUNTED_BYTES: usize = 40;
const WEIGHT_BYTES: usize = 3;
/// A list of which less than this part is new waits longer for more …
const MUCH: u64 = 4;
/// … so many times as long.
const PATIENCE: i64 = 30;

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

/// Not in the list that was published last.
#[derive(Clone, PartialEq, Message)]
pub struct Changed {
    /// What is not in the anchor's sums either: [`Counts`], each as it came.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub parts: Vec<Bytes>,
    /// Of what is new, in the sums or not, in units.
    #[prost(uint64, tag = "2")]
    pub weight: u64,
    /// Of what was published.
    #[prost(uint64, tag = "3")]
    pub published: u64,
    /// The owner's clock when the first of it came, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub since_ms: i64,
    /// Whether the item is to be had was said.
    #[prost(bool, tag = "5")]
    pub stock: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Published {
    /// In units, as of when it was published.
    #[prost(uint64, tag = "1")]
    pub weight: u64,
}

/// What an owner knows of the quiet around it; all in milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Quiet {
    /// What the clock on the wall showed when it was heard first since the last counts; 0 when it has not been heard since.
    #[prost(int64, tag = "1")]
    pub since_ms: i64,
    /// The owner's clock by then.
    #[prost(int64, tag = "2")]
    pub time_ms: i64,
    /// When the last of the lists is due.
    #[prost(int64, tag = "3")]
    pub due_ms: i64,
}

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

/// Counts as they came, and what is to be known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Came {
    pub anchor: Anchor,
    pub counts: Bytes,
    pub weight: u64,
    pub stock: bool,
}

impl Came {
    /// `None` where key or counts cannot be read.
    pub fn read(key: &[u8], counts: Bytes) -> Option<Self> {
        let read = Counts::decode(&*counts).ok()?;
        Some(Self { anchor: Anchor::from_key(key)?, counts, weight: read.units(), stock: read.stock.is_some() })
    }
}

/// Adds counts of a partition whose clock shows this. Lists are published when their time has come: [`due`].
pub fn take(tables: &mut impl Tables, learning: &Learning, clock_ms: i64, came: &[Came]) {
    // Whatever their age: what has faded is left out by their periods.
    tables.advance(clock_ms);
    let last_ms = came.iter().map(|came| add(tables, learning, came)).max().unwrap_or(i64::MIN);
    let before = QUIET.get(tables, "").unwrap_or_default();
    let after = Quiet { due_ms: before.due_ms.max(last_ms), ..Quiet::default() };
    if after != before {
        QUIET.put(tables, "", after);
    }
}

/// A clock on the wall shows this, and nothing was counted.
pub fn hear_clock(tables: &mut impl Tables, learning: &Learning, wall_ms: i64) {
    let time_ms = tables.stream_time();
    // Without an entry nothing was ever counted.
    let Some(mut quiet) = QUIET.get(tables, "").filter(|_| time_ms > i64::MIN) else { return };
    if quiet.since_ms == 0 {
        (quiet.since_ms, quiet.time_ms) = (wall_ms, time_ms);
        QUIET.put(tables, "", quiet);
    }
    let beyond_ms = wall_ms.saturating_sub(quiet.since_ms).saturating_sub(learning.idle_ms);
    if beyond_ms > 0 && quiet.due_ms > time_ms {
        tables.advance(quiet.time_ms.saturating_add(beyond_ms).min(quiet.due_ms));
    }
}

/// Says when the list is due.
fn add(tables: &mut impl Tables, learning: &Learning, came: &Came) -> i64 {
    let key = came.anchor.key();
    let now = tables.stream_time();
    let mut changed = CHANGED.get(tables, &key).unwrap_or_else(|| {
        let published = PUBLISHED.get(tables, &key).map_or(0, |published| published.weight);
        Changed { since_ms: now, published, ..Changed::default() }
    });
    changed.parts.push(came.counts.clone());
    changed.weight = changed.weight.saturating_add(came.weight);
    changed.stock |= came.stock;
    if changed.parts.iter().map(Bytes::len).sum::<usize>() > PARTS_BYTES_MAX {
        let parts = std::mem::take(&mut changed.parts);
        if let Some(anchored) = summed(tables, learning, &key, parts) {
            ANCHORS.put(tables, &key, anchored);
        }
    }
    let due_ms = changed.since_ms.saturating_add(changed.waits(learning));
    CHANGED.put_until(tables, &key, changed, due_ms);
    due_ms
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
fn fired(tables: &mut impl Tables, learning: &Learning, due: &Due) -> Option<(Anchor, List)> {
    let (key, changed) = CHANGED.due(tables, due)?;
    let Some(anchor) = Anchor::from_key(&key) else {
        tables.fail("a key of state kind recommend-changed names no anchor".into());
        return None;
    };
    let anchored = summed(tables, learning, &key, changed.parts)?;
    let list = anchored.list(learning.fading(anchor.is_popularity()), learning.neighbours_max);
    ANCHORS.put(tables, &key, anchored);
    PUBLISHED.put(tables, &key, Published { weight: (list.total * UNIT) as u64 });
    Some((anchor, list))
}

/// The anchor's sums with these parts in them.
fn summed(tables: &mut impl Tables, learning: &Learning, key: &[u8], parts: Vec<Bytes>) -> Option<Anchored> {
    let parts: Result<Vec<Counts>, _> = parts.into_iter().map(Counts::decode).collect();
    let parts = parts.map_err(|error| tables.fail(format!("counts in state kind recommend-changed: {error}"))).ok()?;
    let mut anchored = ANCHORS.get(tables, key).unwrap_or_default();
    anchored.add_all(parts);
    anchored.settle(KEPT * learning.neighbours_max);
    Some(anchored)
}

impl Changed {
    /// Of what was published little is new: nobody misses it.
    fn waits(&self, learning: &Learning) -> i64 {
        let much = self.stock || self.weight.saturating_mul(MUCH) >= self.published;
        learning.publish_ms.saturating_mul(if much { 1 } else { PATIENCE })
    }
}

impl Anchored {
    /// To be followed by [`Anchored::settle`], once for all that is added.
    fn add_all(&mut self, parts: Vec<Counts>) {
        let mut new: Vec<Counted> = Vec::new();
        for part in parts {
            self.stock = self.stock.max(part.stock);
            new.extend(part.names);
        }
        let total = self.total.get_or_insert_default();
        new.iter().filter_map(|counted| counted.weight.as_ref()).for_each(|weight| total.merge(weight));
        new.sort_by(|a, b| a.name.cmp(&b.name));
        let mut names = Vec::with_capacity(self.names.len() + new.len());
        let mut before = std::mem::take(&mut self.names).into_iter().peekable();
        for counted in new {
            while let Some(kept) = before.next_if(|kept| kept.name() <= &*counted.name) {
                names.push(kept);
            }
            match names.last_mut().filter(|last| last.name() == &*counted.name) {
                Some(Kept { counted: Some(last), .. }) => {
                    last.add(counted.category, &counted.weight.unwrap_or_default())
                }
                _ => names.push(Kept { counted: Some(counted), lost: self.missed }),
            }
        }
        names.extend(before);
        self.names = names;
    }

    fn settle(&mut self, names_max: usize) {
        let newest = self.total.as_ref().map_or(-1, Decayed::newest);
        self.forget(newest);
        // A quarter over, so that not every new name sorts them all.
        if self.names.len() > names_max + names_max / 4 {
            self.evict(newest, names_max);
        }
        // Where names are so long that they would be too much for one record, there are fewer.
        while self.names.len() > 1 && self.bytes() > ANCHORED_BYTES_MAX {
            self.evict(newest, self.names.len() / 2);
        }
    }

    /// About what the names take when they are written.
    fn bytes(&self) -> usize {
        let counted = self.names.iter().filter_map(|kept| kept.counted.as_ref());
        counted.map(Counted::bytes).sum()
    }

    /// The heaviest names as of the newest period.
    pub fn list(&self, fading: Fading, most: usize) -> List {
        let total = self.total.clone().unwrap_or_default();
        let newest = total.newest();
        let counted = self.names.iter().filter_map(|kept| kept.counted.as_ref());
        let mut heaviest: Vec<(f64, &Counted)> = counted.map(|counted| (counted.value(newest), counted)).collect();
        heaviest.sort_by(|(a, of), (b, other)| b.total_cmp(a).then_with(|| of.name.cmp(&other.name)));
        heaviest.truncate(most);
        let neighbours = heaviest.into_iter().map(|(weight, counted)| counted.neighbour(weight, newest)).collect();
        List {
            neighbours,
            total: total.value(newest),
            missed: self.missed.map_or(0.0, |missed| missed.value(newest)),
            at_ms: fading.start_ms(newest),
            out_of_stock: self.stock.is_some_and(|stock| stock.out),
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
    fn name(&self) -> &[u8] {
        self.counted.as_ref().map_or(&[], |counted| &*counted.name)
    }

    fn at_most(&self, newest: i64) -> f64 {
        self.counted.as_ref().map_or(0.0, |counted| counted.value(newest))
            + self.lost.map_or(0.0, |lost| lost.value(newest))
    }
}

impl Lost {
    fn value(&self, newest: i64) -> f64 {
        self.weight * Fading::left(newest - self.period)
    }
}

impl Counted {
    fn bytes(&self) -> usize {
        let periods = self.weight.as_ref().map_or(0, |weight| weight.weights.len());
        COUNTED_BYTES + self.name.len() + self.category.len() + WEIGHT_BYTES * periods
    }

    fn value(&self, newest: i64) -> f64 {
        self.weight.as_ref().map_or(0.0, |weight| weight.value(newest))
    }

    fn neighbour(&self, weight: f64, newest: i64) -> Neighbour {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Neighbour {
            name: text(&self.name),
            category: text(&self.category),
            weight,
            now: self.weight.as_ref().is_some_and(|weight| weight.newest() == newest),
        }
    }
}

impl List {
    /// As if the list held `smoothing` more of names that nobody knows: what a neighbour has of it as of `at_ms`.
    /// Weight fades and `smoothing` does not, so a list that nothing was added to for long says less and less.
    /// What is returned is the share of a weight of 1.
    pub fn share(&self, at_ms: i64, half_life_ms: i64, smoothing: f64) -> f64 {
        let age = (at_ms - self.at_ms).max(0) as f64 / half_life_ms.max(1) as f64;
        let left = (-age).exp2();
        left / (self.total * left + smoothing)
    }
}
