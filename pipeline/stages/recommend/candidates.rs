//! What could come next, from four sources, each with how probable the source thinks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::anchor::Anchor;
use super::owner::{List, Neighbour};
use super::rules::{Learning, Ranking, Rules};
use super::visitor::{Visit, Visitor};

/// Items that neighbours are looked up for: at the tenth, `recency` leaves little of their say.
const ITEMS_MAX: usize = 10;
/// The same of categories.
const CATEGORIES_MAX: usize = 5;
/// Categories of the user's interest whose popular items are looked at.
const INTERESTS_MAX: usize = 12;

/// What every instance knows of all clicks.
pub trait Lists {
    fn list(&self, anchor: &Anchor) -> Option<Arc<List>>;
}

/// Why an item is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// With this item, which the user has clicked.
    SeenTogether(String),
    /// The user has clicked it before.
    SeenBefore,
    /// `now`: in the last period of popularity too.
    PopularIn { category: String, now: bool },
    /// In the whole shop.
    Popular { now: bool },
}

/// An item with what speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub item: String,
    /// Empty where there is none.
    pub category: String,
    pub score: f64,
    /// What speaks for it most.
    pub reason: Reason,
    pub(super) strongest: f64,
}

/// Categories by how much of the user's interest they have, the most first. Together 1 at most.
pub fn interests(visitor: &Visitor, lists: &impl Lists, rules: &Rules, at_ms: i64) -> Vec<(String, f64)> {
    let Ranking { recency, beside, smoothing, .. } = rules.ranking;
    let looked_at = looked_at(visitor, recency);
    let mut interests: BTreeMap<String, f64> = BTreeMap::new();
    for (category, share) in looked_at {
        for (neighbour, given) in shares(lists, &Anchor::beside(category), &rules.learning, smoothing, at_ms).1 {
            *interests.entry(neighbour.name).or_default() += beside * share * given;
        }
        *interests.entry(category.to_owned()).or_default() += (1.0 - beside) * share;
    }
    let mut interests: Vec<(String, f64)> = interests.into_iter().collect();
    interests.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    interests
}

/// All candidates, in no order that means anything, but always the same.
pub fn candidates(visitor: &Visitor, lists: &impl Lists, rules: &Rules, at_ms: i64) -> Vec<Candidate> {
    let interests = interests(visitor, lists, rules, at_ms);
    let mut found = Found { lists, rules, at_ms, by_item: BTreeMap::new() };
    let items = visitor.items();
    found.seen_together(&items);
    found.seen_before(&items, &interests);
    found.popular(&interests);
    found.by_item.into_values().collect()
}

/// The last categories looked at; the shares add up to 1.
fn looked_at(visitor: &Visitor, recency: f64) -> Vec<(&str, f64)> {
    let mut categories: Vec<&str> = Vec::new();
    for visit in visitor.visits.iter().rev().filter(|visit| !visit.category.is_empty()) {
        if categories.len() < CATEGORIES_MAX && !categories.contains(&visit.category.as_str()) {
            categories.push(&visit.category);
        }
    }
    let weights = (0..).map(|rank| recency.powi(rank));
    let whole: f64 = weights.clone().take(categories.len()).sum();
    categories.into_iter().zip(weights.map(|weight| weight / whole)).collect()
}

/// A list's neighbours with their shares of it, and whether `at_ms` lies in its last period.
fn shares(
    lists: &impl Lists,
    anchor: &Anchor,
    learning: &Learning,
    smoothing: f64,
    at_ms: i64,
) -> (bool, Vec<(Neighbour, f64)>) {
    let Some(list) = lists.list(anchor) else { return (false, Vec::new()) };
    let popularity = anchor.is_popularity();
    let half_life_ms = if popularity { learning.popularity_half_life_ms } else { learning.half_life_ms };
    let fading = learning.fading(popularity);
    let now = fading.period(at_ms) == fading.period(list.at_ms);
    let share = |weight| list.share(weight, at_ms, half_life_ms, smoothing);
    (now, list.neighbours.iter().map(|neighbour| (neighbour.clone(), share(neighbour.weight))).collect())
}

struct Found<'a, L> {
    lists: &'a L,
    rules: &'a Rules,
    at_ms: i64,
    by_item: BTreeMap<String, Candidate>,
}

impl<L: Lists> Found<'_, L> {
    fn seen_together(&mut self, items: &[&Visit]) {
        let Ranking { seen_together, recency, smoothing, .. } = self.rules.ranking;
        for (rank, visit) in (0..).zip(items.iter().take(ITEMS_MAX)) {
            let anchor = Anchor::item(&visit.item);
            for (neighbour, share) in shares(self.lists, &anchor, &self.rules.learning, smoothing, self.at_ms).1 {
                let says = seen_together * recency.powi(rank) * share;
                self.add(neighbour.name, neighbour.category, says, || Reason::SeenTogether(visit.item.clone()));
            }
        }
    }

    /// What one came from is often what one goes back to, more so in a category that is being looked at.
    fn seen_before(&mut self, items: &[&Visit], interests: &[(String, f64)]) {
        let Ranking { seen_before, .. } = self.rules.ranking;
        let most = interests.first().map_or(1.0, |(_, share)| *share);
        for (rank, visit) in (0..).zip(items) {
            let share = interests.iter().find(|(name, _)| *name == visit.category).map_or(0.0, |(_, share)| *share);
            let says = seen_before * RETURN_RECENCY.powi(rank) * (RETURN_LEAST + (1.0 - RETURN_LEAST) * share / most);
            self.add(visit.item.clone(), visit.category.clone(), says, || Reason::SeenBefore);
        }
    }

    fn popular(&mut self, interests: &[(String, f64)]) {
        let Ranking { popular_in_category, popular, smoothing, .. } = self.rules.ranking;
        for (category, interest) in interests.iter().take(INTERESTS_MAX) {
            let anchor = Anchor::category(category);
            let (now, neighbours) = shares(self.lists, &anchor, &self.rules.learning, smoothing, self.at_ms);
            for (neighbour, share) in neighbours {
                let now = now && neighbour.now;
                let says = popular_in_category * interest * share;
                let reason = || Reason::PopularIn { category: category.clone(), now };
                self.add(neighbour.name, neighbour.category, says, reason);
            }
        }
        let (now, neighbours) = shares(self.lists, &Anchor::Shop, &self.rules.learning, smoothing, self.at_ms);
        for (neighbour, share) in neighbours {
            let now = now && neighbour.now;
            self.add(neighbour.name, neighbour.category, popular * share, || Reason::Popular { now });
        }
    }

    fn add(&mut self, item: String, category: String, says: f64, reason: impl FnOnce() -> Reason) {
        if says <= 0.0 {
            return;
        }
        let candidate = self.by_item.entry(item.clone()).or_insert_with(|| {
            let reason = Reason::Popular { now: false };
            Candidate { item, category: String::new(), score: 0.0, reason, strongest: 0.0 }
        });
        candidate.score += says;
        if candidate.category.is_empty() {
            candidate.category = category;
        }
        if says > candidate.strongest {
            candidate.strongest = says;
            candidate.reason = reason();
        }
    }
}

/// How much each item back in the user's clicks is likely to be come back to, of the one after it.
const RETURN_RECENCY: f64 = 0.93;
/// What is likely outside the categories being looked at, of what is inside the one looked at last.
const RETURN_LEAST: f64 = 0.1;
