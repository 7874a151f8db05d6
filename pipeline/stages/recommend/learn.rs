//! From a click to counts.

use std::collections::BTreeMap;

use super::anchor::Anchor;
use super::decayed::{Decayed, UNIT, units};
use super::partial::{Counts, Handed, Stock, count};
use super::rules::Learning;
use super::visitor::{Pair, Visit, Visitor};
use crate::state::Tables;

/// Counts what a click says, given what its user clicked before: which items and which categories are seen together,
/// and what is popular. To be called before the visitor remembers it. Gives what is to be handed on at once.
pub fn learn(tables: &mut impl Tables, learning: &Learning, visitor: &Visitor, visit: &Visit) -> Vec<Handed> {
    let mut said = Said { learning, counts: BTreeMap::new() };
    for pair in visitor.pairs(visit, learning) {
        said.pair(&pair);
    }
    said.popularity(visit);
    let mut handed = Vec::new();
    for (anchor, counts) in said.counts {
        count(tables, learning.flush_ms, Handed { anchor, counts }, &mut handed);
    }
    handed
}

/// An item's owner is told whether it is to be had.
pub fn say_stock(tables: &mut impl Tables, learning: &Learning, item: &str, stock: Stock) -> Vec<Handed> {
    let counts = Counts { stock: Some(stock), ..Counts::default() };
    let mut handed = Vec::new();
    count(tables, learning.flush_ms, Handed { anchor: Anchor::item(item), counts }, &mut handed);
    handed
}

/// What one click says, by anchor.
struct Said<'a> {
    learning: &'a Learning,
    counts: BTreeMap<Anchor, Counts>,
}

impl Said<'_> {
    fn pair(&mut self, pair: &Pair<'_>) {
        let Pair { earlier, later, weight } = *pair;
        let reverse = units(weight as f64 / UNIT * self.learning.reverse_weight);
        let at_ms = later.at_ms;
        self.add(Anchor::item(&earlier.item), &later.item, &later.category, at_ms, weight);
        self.add(Anchor::item(&later.item), &earlier.item, &earlier.category, at_ms, reverse);
        let known = !earlier.category.is_empty() && !later.category.is_empty();
        if known && earlier.category != later.category {
            self.add(Anchor::beside(&earlier.category), &later.category, "", at_ms, weight);
            self.add(Anchor::beside(&later.category), &earlier.category, "", at_ms, reverse);
        }
    }

    fn popularity(&mut self, visit: &Visit) {
        let weight = units(self.learning.weights.of(visit.action()));
        self.add(Anchor::Shop, &visit.item, &visit.category, visit.at_ms, weight);
        if !visit.category.is_empty() {
            self.add(Anchor::category(&visit.category), &visit.item, &visit.category, visit.at_ms, weight);
        }
    }

    fn add(&mut self, anchor: Anchor, name: &str, category: &str, at_ms: i64, weight: u64) {
        if weight > 0 {
            let period = self.learning.fading(anchor.is_popularity()).period(at_ms);
            self.counts.entry(anchor).or_default().add(name, category, &Decayed::of(period, weight));
        }
    }
}
