//! What is counted: per user and item or category, and over all users of the partition per item, per category and in all.
//!
//! Counts over all users are those of the partition's own clicks, so that no partition waits for another. Features made of
//! them are rates and shares, which mean the same whether a shop has one partition or sixty. A count never knows more than
//! the clicks before: at a purchase, the clicks of its session that led to it are counted as followed, and not earlier.

use super::click::{Click, Id};
use super::session::Rules;
use super::state::{CATEGORIES_MAX, Entity, ITEMS_MAX, Memory, Session, User, Window};
use crate::event::v1::Action;

const DAY_MS: i64 = 86_400_000;

/// A rate counts as if this many more clicks had been seen that behave like all of the partition: so a category with two
/// clicks is no sure thing, and one with two hundred speaks for itself.
const PRIOR_CLICKS: f64 = 20.0;

impl Entity {
    pub fn count(&mut self, click: &Click) {
        self.clicks += 1;
        match click.action {
            Action::Cart => self.carts += 1,
            Action::Favourite => self.favourites += 1,
            Action::Purchase => self.purchases += 1,
            Action::View | Action::Impression | Action::Remove | Action::Unspecified => {}
        }
        self.day.get_or_insert_default().count(click.at_ms);
        if let Some(price) = click.price() {
            self.prices += 1;
            self.price_sum += price;
            self.price_squares += price * price;
        }
    }

    /// Purchases a click, drawn towards that of `all`.
    pub fn conversion(&self, all: &Entity) -> f64 {
        self.rate(self.purchases, all, all.purchases)
    }

    /// Carts and favourites a click, drawn towards that of `all`.
    pub fn interest(&self, all: &Entity) -> f64 {
        self.rate(self.carts + self.favourites, all, all.carts + all.favourites)
    }

    /// The share of clicks that a purchase followed within their session, drawn towards that of `all`.
    pub fn followed(&self, all: &Entity) -> f64 {
        self.rate(self.followed, all, all.followed)
    }

    fn rate(&self, hits: u64, all: &Entity, all_hits: u64) -> f64 {
        let prior = if all.clicks == 0 { 0.0 } else { all_hits as f64 / all.clicks as f64 };
        (hits as f64 + PRIOR_CLICKS * prior) / (self.clicks as f64 + PRIOR_CLICKS)
    }

    /// Of a thousand clicks of the last day, how many were here.
    pub fn popularity(&self, all: &Entity, at_ms: i64) -> f64 {
        let count = |entity: &Entity| entity.day.map_or(0.0, |day| day.last_day(at_ms));
        let whole = count(all);
        if whole > 0.0 { 1000.0 * count(self) / whole } else { 0.0 }
    }

    pub fn price_mean(&self) -> Option<f64> {
        (self.prices > 0).then(|| self.price_sum / self.prices as f64)
    }

    /// Standard deviation of the prices over their mean.
    pub fn price_spread(&self) -> Option<f64> {
        let mean = self.price_mean()?;
        let variance = (self.price_squares / self.prices as f64 - mean * mean).max(0.0);
        Some(variance.sqrt() / mean)
    }
}

impl Window {
    fn count(&mut self, at_ms: i64) {
        let day = at_ms.div_euclid(DAY_MS);
        if day > self.day {
            self.before = if day == self.day + 1 { self.current } else { 0 };
            (self.day, self.current) = (day, 0);
        }
        match self.day - day {
            0 => self.current += 1,
            1 => self.before += 1,
            _ => {}
        }
    }

    /// The day before counts by as much of it as lies within the last 24 hours.
    fn last_day(&self, at_ms: i64) -> f64 {
        let (day, within) = (at_ms.div_euclid(DAY_MS), at_ms.rem_euclid(DAY_MS));
        let rest = 1.0 - within as f64 / DAY_MS as f64;
        match day - self.day {
            ..=0 => self.current as f64 + rest * self.before as f64,
            1 => rest * self.current as f64,
            _ => 0.0,
        }
    }
}

impl Memory {
    fn count(&mut self, click: &Click) {
        self.clicks += 1;
        self.last_ms = self.last_ms.max(click.at_ms);
        match click.action {
            Action::Cart => {
                self.carts += 1;
                self.cart_ms = click.at_ms;
                self.price = click.price().unwrap_or_default() as f32;
            }
            Action::Favourite => self.favourites += 1,
            Action::Purchase => {
                self.purchases += 1;
                self.cart_ms = 0;
            }
            Action::Remove => self.cart_ms = 0,
            Action::View | Action::Impression | Action::Unspecified => {}
        }
    }
}

impl User {
    /// What the user did to an item before.
    pub fn item(&self, id: u64) -> Memory {
        self.items.iter().find(|memory| memory.id == id).copied().unwrap_or_default()
    }

    pub fn category(&self, id: u64) -> Memory {
        self.categories.iter().find(|memory| memory.id == id).copied().unwrap_or_default()
    }

    pub fn remember(&mut self, click: &Click) {
        remember(&mut self.items, click.item, click, ITEMS_MAX);
        if let Some(category) = click.category {
            remember(&mut self.categories, category, click, CATEGORIES_MAX);
        }
    }
}

/// Brings the memory to the front and counts the click. Where there is no room, the one clicked longest ago leaves; what
/// lies in the cart only where nothing else is left.
fn remember(memories: &mut Vec<Memory>, id: Id, click: &Click, most: usize) {
    let known = memories.iter().position(|memory| memory.id == id.0);
    let mut memory = match known {
        Some(place) => memories.remove(place),
        None => Memory { id: id.0, ..Memory::default() },
    };
    memory.count(click);
    if memories.len() >= most {
        let leaves = memories.iter().rposition(|memory| memory.cart_ms == 0).unwrap_or(memories.len() - 1);
        memories.remove(leaves);
    }
    memories.insert(0, memory);
}

impl Session {
    /// Marks the clicks that a purchase has followed by now, and says in which categories (0: none) they were.
    pub fn mark_followed(&mut self) -> Vec<u64> {
        let last = self.clicks.iter().rposition(|click| click.action() == Action::Purchase).unwrap_or(0);
        let new = self.clicks[..last].iter_mut().filter(|click| !click.followed);
        new.map(|click| {
            click.followed = true;
            click.category
        })
        .collect()
    }
}

/// Hour of the day with its fraction, and day of the week from 0 for Monday, as the shop's clocks show them.
pub fn local_time(at_ms: i64, rules: &Rules) -> (f64, f64) {
    let local = at_ms + i64::from(rules.utc_offset_minutes) * 60_000;
    // 1970-01-01 was a Thursday.
    let weekday = (local.div_euclid(DAY_MS) + 3).rem_euclid(7);
    (local.rem_euclid(DAY_MS) as f64 / 3_600_000.0, weekday as f64)
}
