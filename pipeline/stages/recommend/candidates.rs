//! What could come next, from four sources, each with how probable the source thinks it.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::anchor::Anchor;
use super::owner::List;
use super::rules::{Ranking, Rules};
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
}

/// A candidate as it is found: there are hundreds for each that is shown, so nothing of one is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub item: &'a str,
    pub category: &'a str,
    pub score: f64,
    why: Why<'a>,
    strongest: f64,
}

#[derive(Clone, Copy, Debug)]
enum Why<'a> {
    SeenTogether(&'a str),
    SeenBefore,
    PopularIn { category: &'a str, now: bool },
    Popular { now: bool },
}

impl From<Found<'_>> for Candidate {
    fn from(found: Found<'_>) -> Self {
        let reason = match found.why {
            Why::SeenTogether(item) => Reason::SeenTogether(item.to_owned()),
            Why::SeenBefore => Reason::SeenBefore,
            Why::PopularIn { category, now } => Reason::PopularIn { category: category.to_owned(), now },
            Why::Popular { now } => Reason::Popular { now },
        };
        Candidate { item: found.item.to_owned(), category: found.category.to_owned(), score: found.score, reason }
    }
}

/// Categories by how much of the user's interest they have, the most first. Together 1 at most.
pub fn interests(visitor: &Visitor, lists: &impl Lists, rules: &Rules, at_ms: i64) -> Vec<(String, f64)> {
    let Ranking { recency, beside, .. } = rules.ranking;
    let mut interests: BTreeMap<String, f64> = BTreeMap::new();
    for (category, share) in looked_at(visitor, recency) {
        if let Some(read) = Read::of(lists, &Anchor::beside(category), rules, at_ms) {
            for neighbour in &read.list.neighbours {
                let given = beside * share * (neighbour.weight * read.share);
                match interests.get_mut(&neighbour.name) {
                    Some(interest) => *interest += given,
                    None => drop(interests.insert(neighbour.name.clone(), given)),
                }
            }
        }
        *interests.entry(category.to_owned()).or_default() += (1.0 - beside) * share;
    }
    let mut interests: Vec<(String, f64)> = interests.into_iter().collect();
    interests.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    interests
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

/// A list as of now.
struct Read {
    list: Arc<List>,
    /// Of it, that a weight of 1 is.
    share: f64,
    /// Now lies in its last period.
    now: bool,
}

impl Read {
    fn of(lists: &impl Lists, anchor: &Anchor, rules: &Rules, at_ms: i64) -> Option<Self> {
        let list = lists.list(anchor)?;
        let (learning, popularity) = (&rules.learning, anchor.is_popularity());
        let half_life_ms = if popularity { learning.popularity_half_life_ms } else { learning.half_life_ms };
        let fading = learning.fading(popularity);
        let now = fading.period(at_ms) == fading.period(list.at_ms);
        let share = list.share(at_ms, half_life_ms, rules.ranking.smoothing);
        Some(Self { list, share, now })
    }
}

/// All lists that speak for something. What is found is read from them.
pub(super) struct Sources<'a> {
    items: Vec<&'a Visit>,
    interests: Vec<(String, f64)>,
    /// Of the first of `items`.
    together: Vec<Option<Read>>,
    /// Of the first of `interests`.
    popular: Vec<Option<Read>>,
    shop: Option<Read>,
}

impl<'a> Sources<'a> {
    pub fn of(visitor: &'a Visitor, lists: &impl Lists, rules: &Rules, at_ms: i64) -> Self {
        let read = |anchor: Anchor| Read::of(lists, &anchor, rules, at_ms);
        let (items, interests) = (visitor.items(), interests(visitor, lists, rules, at_ms));
        Self {
            together: items.iter().take(ITEMS_MAX).map(|visit| read(Anchor::item(&visit.item))).collect(),
            popular: interests.iter().take(INTERESTS_MAX).map(|(name, _)| read(Anchor::category(name))).collect(),
            shop: read(Anchor::Shop),
            items,
            interests,
        }
    }

    /// In no order.
    pub fn candidates(&self, ranking: &Ranking) -> Vec<Found<'_>> {
        let mut candidates = Candidates::default();
        self.seen_together(ranking, &mut candidates);
        self.seen_before(ranking, &mut candidates);
        self.popular(ranking, &mut candidates);
        candidates.found
    }

    fn seen_together<'b>(&'b self, ranking: &Ranking, candidates: &mut Candidates<'b>) {
        for (rank, (visit, read)) in (0..).zip(self.items.iter().zip(&self.together)) {
            let says = ranking.seen_together * ranking.recency.powi(rank);
            candidates.read(read.as_ref(), says, |_| Why::SeenTogether(&visit.item));
        }
    }

    /// What one came from is often what one goes back to, more so in a category that is being looked at.
    fn seen_before<'b>(&'b self, ranking: &Ranking, candidates: &mut Candidates<'b>) {
        let most = self.interests.first().map_or(1.0, |(_, share)| *share);
        for (rank, visit) in (0..).zip(&self.items) {
            let interest = self.interests.iter().find(|(name, _)| *name == visit.category);
            let share = interest.map_or(0.0, |(_, share)| *share);
            let likely = RETURN_RECENCY.powi(rank) * (RETURN_LEAST + (1.0 - RETURN_LEAST) * share / most);
            candidates.add(&visit.item, &visit.category, ranking.seen_before * likely, || Why::SeenBefore);
        }
    }

    fn popular<'b>(&'b self, ranking: &Ranking, candidates: &mut Candidates<'b>) {
        for ((category, interest), read) in self.interests.iter().zip(&self.popular) {
            let says = ranking.popular_in_category * interest;
            candidates.read(read.as_ref(), says, |now| Why::PopularIn { category, now });
        }
        candidates.read(self.shop.as_ref(), ranking.popular, |now| Why::Popular { now });
    }
}

#[derive(Default)]
struct Candidates<'a> {
    found: Vec<Found<'a>>,
    /// Their places.
    by_item: HashMap<&'a str, usize, RandomState>,
}

impl<'a> Candidates<'a> {
    /// `says`: what the list as a whole does. `why`: told whether a neighbour was there in the last period too.
    fn read(&mut self, read: Option<&'a Read>, says: f64, why: impl Fn(bool) -> Why<'a>) {
        let Some(Read { list, share, now }) = read else { return };
        for neighbour in &list.neighbours {
            let says = says * (neighbour.weight * share);
            self.add(&neighbour.name, &neighbour.category, says, || why(*now && neighbour.now));
        }
    }

    fn add(&mut self, item: &'a str, category: &'a str, says: f64, why: impl FnOnce() -> Why<'a>) {
        if says <= 0.0 {
            return;
        }
        match self.by_item.entry(item) {
            Entry::Vacant(place) => {
                place.insert(self.found.len());
                self.found.push(Found { item, category, score: says, why: why(), strongest: says });
            }
            Entry::Occupied(place) => {
                let found = &mut self.found[*place.get()];
                found.score += says;
                if found.category.is_empty() {
                    found.category = category;
                }
                if says > found.strongest {
                    (found.strongest, found.why) = (says, why());
                }
            }
        }
    }
}

/// How much each item back in the user's clicks is likely to be come back to, of the one after it.
const RETURN_RECENCY: f64 = 0.93;
/// What is likely outside the categories being looked at, of what is inside the one looked at last.
const RETURN_LEAST: f64 = 0.1;
