//! From candidates to what is shown: the shop's rules, what to leave out, and some variety.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::anchor::Anchor;
use super::candidates::{Candidate, Found, Lists, Sources};
use super::rules::{Business, Ranking, Rules};
use super::visitor::Visitor;

/// Candidates that variety chooses from, for each item shown.
const POOL: usize = 4;

/// The best first; at most `items_max` of the rules.
///
/// A user of whom nothing is known is shown what is popular in the shop. An item that nobody has clicked is in no list
/// and not shown; from its first click on it is popular in its category by that much, and seen together with what its
/// visitor clicked around it: nothing waits for a least number of clicks. Where an item has no neighbours yet, its
/// category's popular items and those of the categories beside it stand in for them.
pub fn recommend(visitor: &Visitor, lists: &impl Lists, rules: &Rules, at_ms: i64) -> Vec<Candidate> {
    let sources = Sources::of(visitor, lists, rules, at_ms);
    let left_out = LeftOut::of(visitor, rules, at_ms);
    let mut ranked = sources.candidates(&rules.ranking);
    ranked.retain_mut(|found| {
        found.score *= rules.business.boost(found);
        found.score > 0.0 && !left_out.names(found)
    });
    let mut pool: Vec<Found<'_>> = Vec::new();
    let wanted = POOL * rules.ranking.items_max;
    while pool.len() < wanted && !ranked.is_empty() {
        let (few, order) = (wanted - pool.len(), |a: &Found<'_>, b: &Found<'_>| {
            b.score.total_cmp(&a.score).then_with(|| a.item.cmp(b.item))
        });
        let rest = if ranked.len() > few {
            ranked.select_nth_unstable_by(few, order);
            ranked.split_off(few)
        } else {
            Vec::new()
        };
        ranked.sort_unstable_by(order);
        pool.extend(ranked.into_iter().filter(|found| rules.business.has(found, lists)));
        ranked = rest;
    }
    vary(pool, &rules.ranking).into_iter().map(Candidate::from).collect()
}

/// Items and categories that are not shown, whatever speaks for them.
struct LeftOut<'a> {
    items: HashSet<&'a str, RandomState>,
    business: &'a Business,
}

impl<'a> LeftOut<'a> {
    fn of(visitor: &'a Visitor, rules: &'a Rules, at_ms: i64) -> Self {
        let Ranking { seen_left_out_ms, bought_left_out_ms, .. } = rules.ranking;
        let seen = visitor.visits.iter().filter(|visit| at_ms - visit.at_ms < seen_left_out_ms);
        let bought = visitor.bought.iter().filter(|bought| at_ms - bought.at_ms < bought_left_out_ms);
        let items = seen.map(|visit| &*visit.item).chain(bought.map(|bought| &*bought.item)).collect();
        Self { items, business: &rules.business }
    }

    fn names(&self, found: &Found<'_>) -> bool {
        self.items.contains(found.item)
            || self.business.blocked_items.contains(found.item)
            || self.business.blocked_categories.contains(found.category)
    }
}

impl Business {
    fn boost(&self, found: &Found<'_>) -> f64 {
        let item = self.boosted_items.get(found.item).copied().unwrap_or(1.0);
        item * self.boosted_categories.get(found.category).copied().unwrap_or(1.0)
    }

    fn has(&self, found: &Found<'_>, lists: &impl Lists) -> bool {
        self.stock_attribute.is_none() || lists.list(&Anchor::item(found.item)).is_none_or(|list| !list.out_of_stock)
    }
}

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): of what is left, the item is next that has the best score
/// less its likeness to what was chosen, in the shares `relevance` and the rest. Scores count in parts of the highest;
/// two items of one category are alike, others are not. Of one category no more are chosen than its share of the list,
/// except to fill a list that would stay short. What comes without a category is like nothing.
fn vary<'a>(pool: Vec<Found<'a>>, ranking: &Ranking) -> Vec<Found<'a>> {
    let most = ranking.items_max;
    let highest = pool.first().map_or(1.0, |found| found.score);
    let of_category_max = ((most as f64 * ranking.category_share_max).ceil() as usize).max(1);
    let mut categories: HashMap<&str, usize, RandomState> = HashMap::default();
    let category = |found: &Found<'a>| {
        let next = categories.len();
        *categories.entry(found.category).or_insert(next)
    };
    let category_of: Vec<usize> = pool.iter().map(category).collect();
    // Chosen of each; what has no category is never counted.
    let mut counts = vec![0_usize; categories.len()];
    let mut left: Vec<usize> = (0..pool.len()).collect();
    let mut chosen = Vec::with_capacity(most.min(pool.len()));
    while chosen.len() < most {
        let mut best: Option<(bool, f64, usize)> = None;
        for (at, place) in left.iter().enumerate() {
            let count = counts[category_of[*place]];
            let marginal =
                ranking.relevance * pool[*place].score / highest - (1.0 - ranking.relevance) * f64::from(count > 0);
            let value = (count < of_category_max, marginal, at);
            if best.is_none_or(|best| (value.0, value.1) > (best.0, best.1)) {
                best = Some(value);
            }
        }
        let Some((_, _, at)) = best else { break };
        let place = left.remove(at);
        if !pool[place].category.is_empty() {
            counts[category_of[place]] += 1;
        }
        chosen.push(pool[place]);
    }
    chosen
}
