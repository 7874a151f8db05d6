//! From a click to counts, and from the clicks of an epoch to what is handed to the owners of anchors.
//!
//! Clicks of one item lie in many partitions, because users are what spreads them. So what a click counts has to go to
//! the [`Anchor`]s' owners, in the transaction of the click. A click counts for some fifty anchors at once, most of them
//! shared with other clicks of the time: that is why each says so in a form of its own ([`Said`]), which never leaves the
//! process, and why those of an epoch are added up ([`Gathered`]) before they are written. An epoch grows under load,
//! and with it what is added up; without load nothing waits. Sums are whole numbers, so it makes no difference to them
//! where epochs were cut.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use prost::Message;

use super::anchor::Anchor;
use super::decayed::{Decayed, Fading};
use super::partial::{Counted, Counts, Stock};
use super::rules::Learning;
use super::visitor::{Pair, Visit, Visitor};

/// Anchors in one message: as many as lists may fall due with it.
pub const PARTS_MAX: usize = crate::state::DUE_PER_RECORD_MAX;
/// Of one anchor in one part, and of one message in bytes, by the first part that passes it: far below what a broker
/// takes.
pub const NAMES_MAX: usize = 1024;
/// Of one part, by the first name that passes it: a thousand names as long as they may be are more than a broker takes.
const PART_BYTES_MAX: usize = 1 << 16;
const PARCEL_BYTES_MAX: usize = 1 << 17;
/// Anchors are spread over so many groups, each a key of the topic: more than it is likely to have partitions, and few
/// enough that a group's messages are worth their while.
const GROUPS: u32 = 64;
/// Begins the keys of messages. No anchor's does.
const GROUP_LETTER: u8 = b'p';

/// What one click says of what is seen together and what is popular.
#[derive(Clone, PartialEq, Message)]
pub struct Said {
    /// The click; its weight is what it adds to popularity in the shop.
    #[prost(message, optional, tag = "1")]
    pub click: Option<Named>,
    /// What it adds to popularity in its category.
    #[prost(uint64, tag = "5")]
    pub in_category: u64,
    #[prost(message, repeated, tag = "2")]
    pub pairs: Vec<Paired>,
    /// Counts that are made already.
    #[prost(message, repeated, tag = "3")]
    pub parts: Vec<Part>,
    /// The partition's clock, milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub clock_ms: i64,
}

/// An item at a time, and a weight in [`UNIT`](super::decayed::UNIT)s.
#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(bytes = "bytes", tag = "1")]
    pub item: Bytes,
    /// Empty where there is none.
    #[prost(bytes = "bytes", tag = "2")]
    pub category: Bytes,
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    #[prost(uint64, tag = "4")]
    pub weight: u64,
}

/// What the click belongs together with, and how much.
#[derive(Clone, PartialEq, Message)]
pub struct Paired {
    #[prost(message, optional, tag = "1")]
    pub other: Option<Named>,
    /// The other is the later of the two.
    #[prost(bool, tag = "2")]
    pub later: bool,
    /// What the earlier is worth as the neighbour of the later, in [`UNIT`](super::decayed::UNIT)s.
    #[prost(uint64, tag = "3")]
    pub reverse: u64,
}

/// Counts of one anchor.
#[derive(Clone, PartialEq, Message)]
pub struct Part {
    /// As [`Anchor::key`] has it.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// [`Counts`], as they are written.
    #[prost(bytes = "bytes", tag = "2")]
    pub counts: Bytes,
}

/// What is handed on: counts of some anchors, each there once.
#[derive(Clone, PartialEq, Message)]
pub struct Parcel {
    #[prost(message, repeated, tag = "1")]
    pub parts: Vec<Part>,
    /// The highest clock among the clicks that they were counted from, milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub clock_ms: i64,
    /// Of a message without parts, which an instance writes from time to time: what the clock on the wall shows,
    /// milliseconds since 1970. Otherwise 0.
    #[prost(int64, tag = "3")]
    pub wall_ms: i64,
}

impl Parcel {
    /// What an owner that hears nothing else is told.
    pub fn clock(wall_ms: i64) -> Self {
        Self { wall_ms, ..Self::default() }
    }
}

impl Said {
    /// What a click says, given what its user clicked before. To be called before the visitor remembers it.
    pub fn of(learning: &Learning, visitor: &Visitor, visit: &Visit) -> Self {
        if !visitor.counts(visit, learning) {
            return Self::default();
        }
        let pair = |Pair { earlier, later, weight, reverse }: Pair<'_>| {
            let is_later = std::ptr::eq(earlier, visit);
            let other = if is_later { later } else { earlier };
            Paired { other: Some(named(other, weight)), later: is_later, reverse }
        };
        let [weight, in_category] = visitor.popularity(visit, learning);
        Self {
            click: Some(named(visit, weight)),
            in_category,
            pairs: visitor.pairs(visit, learning).into_iter().map(pair).collect(),
            ..Self::default()
        }
    }

    /// An item's owner is told whether it is to be had.
    pub fn stock(&mut self, item: &str, stock: Stock) {
        self.part(Anchor::item(item).key().into(), &Counts { stock: Some(stock), ..Counts::default() });
    }

    pub fn part(&mut self, key: Bytes, counts: &Counts) {
        self.parts.push(Part { key, counts: counts.encode_to_vec().into() });
    }

    pub fn is_empty(&self) -> bool {
        let adds = |click: &Named| click.weight > 0 || self.in_category > 0;
        !self.click.as_ref().is_some_and(adds) && self.pairs.is_empty() && self.parts.is_empty()
    }
}

fn named(visit: &Visit, weight: u64) -> Named {
    let copied = |name: &str| Bytes::copy_from_slice(name.as_bytes());
    Named { item: copied(&visit.item), category: copied(&visit.category), at_ms: visit.at_ms, weight }
}

/// What clicks say together, by anchor.
pub struct Gathered {
    /// Of what is seen together, and of what is popular.
    fading: [Fading; 2],
    /// By the letter and the name of an anchor's key.
    anchors: HashMap<(u8, Bytes), Sums, RandomState>,
    clock_ms: i64,
}

#[derive(Default)]
struct Sums {
    /// In no order, a name as often as it was said.
    names: Vec<One>,
    stock: Option<Stock>,
}

struct One {
    name: Bytes,
    category: Bytes,
    period: i64,
    weight: u64,
}

impl Gathered {
    pub fn new(learning: &Learning) -> Self {
        Self {
            fading: [learning.fading(false), learning.fading(true)],
            anchors: HashMap::default(),
            clock_ms: i64::MIN,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub fn add(&mut self, said: Said) {
        self.clock_ms = self.clock_ms.max(said.clock_ms);
        if let Some(click) = said.click {
            for Paired { other, later, reverse } in said.pairs {
                let Some(other) = other else { continue };
                let weights = [other.weight, reverse];
                if later { self.pair(&click, &other, weights) } else { self.pair(&other, &click, weights) }
            }
            self.popularity(&click, said.in_category);
        }
        for Part { key, counts } in said.parts {
            // Both were made by this process.
            let (Some(letter), Ok(counts)) = (key.first(), Counts::decode(counts)) else { continue };
            let sums = self.anchors.entry((*letter, key.slice(1..))).or_default();
            sums.stock = sums.stock.max(counts.stock);
            for Counted { name, category, weight } in counts.names {
                let weights = weight.iter().flat_map(Decayed::by_period);
                let one = |(period, weight)| One { name: name.clone(), category: category.clone(), period, weight };
                sums.names.extend(weights.map(one));
            }
        }
    }

    fn pair(&mut self, earlier: &Named, later: &Named, [weight, reverse]: [u64; 2]) {
        let at_ms = later.at_ms;
        self.count(Anchor::ITEM, &earlier.item, &later.item, &later.category, at_ms, weight);
        self.count(Anchor::ITEM, &later.item, &earlier.item, &earlier.category, at_ms, reverse);
        let known = !earlier.category.is_empty() && !later.category.is_empty();
        if known && earlier.category != later.category {
            self.count(Anchor::BESIDE, &earlier.category, &later.category, &Bytes::new(), at_ms, weight);
            self.count(Anchor::BESIDE, &later.category, &earlier.category, &Bytes::new(), at_ms, reverse);
        }
    }

    fn popularity(&mut self, click: &Named, in_category: u64) {
        let Named { item, category, at_ms, weight } = click;
        self.count(Anchor::SHOP, &Bytes::new(), item, category, *at_ms, *weight);
        if !category.is_empty() {
            self.count(Anchor::CATEGORY, category, item, category, *at_ms, in_category);
        }
    }

    fn count(&mut self, letter: u8, anchor: &Bytes, name: &Bytes, category: &Bytes, at_ms: i64, weight: u64) {
        if weight == 0 {
            return;
        }
        let popularity = matches!(letter, Anchor::CATEGORY | Anchor::SHOP);
        let period = self.fading[usize::from(popularity)].period(at_ms);
        let sums = self.anchors.entry((letter, anchor.clone())).or_default();
        sums.names.push(One { name: name.clone(), category: category.clone(), period, weight });
    }

    /// Each with the key under which it is handed on: all of an anchor go the same way.
    pub fn parcels(self) -> Vec<(Bytes, Parcel)> {
        let clock_ms = self.clock_ms;
        let mut open: Vec<(Parcel, usize)> = vec![(Parcel { clock_ms, ..Parcel::default() }, 0); GROUPS as usize];
        let mut full = Vec::new();
        for ((letter, name), sums) in self.anchors {
            let key: Bytes = [&[letter], &*name].concat().into();
            let group = group_of(&key);
            for counts in sums.counts() {
                let (parcel, bytes) = &mut open[group as usize];
                let counts: Bytes = counts.encode_to_vec().into();
                *bytes += key.len() + counts.len();
                parcel.parts.push(Part { key: key.clone(), counts });
                if parcel.parts.len() >= PARTS_MAX || *bytes >= PARCEL_BYTES_MAX {
                    *bytes = 0;
                    full.push((group, std::mem::take(&mut parcel.parts)));
                }
            }
        }
        let open = (0..).zip(open).map(|(group, (parcel, _))| (group, parcel.parts)).filter(|(_, p)| !p.is_empty());
        let parcel = |(group, parts): (u32, Vec<Part>)| (key_of(group), Parcel { parts, clock_ms, wall_ms: 0 });
        full.into_iter().chain(open).map(parcel).collect()
    }
}

/// The key under which counts of an anchor with this key are handed on.
pub fn way(key: &[u8]) -> Bytes {
    key_of(group_of(key))
}

fn group_of(key: &[u8]) -> u32 {
    crc32fast::hash(key) % GROUPS
}

fn key_of(group: u32) -> Bytes {
    // Groups are fewer than a byte can tell.
    Bytes::copy_from_slice(&[GROUP_LETTER, group as u8])
}

impl Sums {
    /// Added up by name, in parts of [`NAMES_MAX`] and [`PART_BYTES_MAX`].
    fn counts(mut self) -> Vec<Counts> {
        self.names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut all = vec![Counts { stock: self.stock, ..Counts::default() }];
        let mut bytes = 0;
        for One { name, category, period, weight } in self.names {
            if let Some(last) = all.last_mut().and_then(|counts| counts.names.last_mut()).filter(|l| l.name == name) {
                last.add_at(category, period, weight);
                continue;
            }
            if bytes >= PART_BYTES_MAX || all.last().is_none_or(|counts| counts.names.len() >= NAMES_MAX) {
                all.push(Counts::default());
                bytes = 0;
            }
            bytes += name.len() + category.len();
            let counted = Counted { name, category, weight: Some(Decayed::of(period, weight)) };
            if let Some(counts) = all.last_mut() {
                counts.names.push(counted);
            }
        }
        all
    }
}
