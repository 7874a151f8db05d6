//! From candidates to what is shown: the shop's rules, what to leave out, and some variety.

use std::collections::BTreeMap;

use super::anchor::Anchor;
use super::candidates::{Candidate, Lists, candidates};
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
    let mut ranked: Vec<Candidate> = candidates(visitor, lists, rules, at_ms)
        .into_iter()
        .filter(|candidate| !left_out(candidate, visitor, rules, at_ms))
        .map(|candidate| rules.business.boosted(candidate))
        .filter(|candidate| candidate.score > 0.0)
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.item.cmp(&b.item)));
    let in_stock = ranked.into_iter().filter(|candidate| {
        rules.business.stock_attribute.is_none()
            || lists.list(&Anchor::item(&candidate.item)).is_none_or(|list| !list.out_of_stock)
    });
    let pool: Vec<Candidate> = in_stock.take(POOL * rules.ranking.items_max).collect();
    vary(pool, &rules.ranking)
}

fn left_out(candidate: &Candidate, visitor: &Visitor, rules: &Rules, at_ms: i64) -> bool {
    let Ranking { seen_left_out_ms, bought_left_out_ms, .. } = rules.ranking;
    let seen = || visitor.visits.iter().rev().filter(|visit| visit.item == candidate.item);
    let bought = || visitor.bought.iter().filter(|bought| bought.item == candidate.item);
    rules.business.blocks(candidate)
        || seen().any(|visit| at_ms - visit.at_ms < seen_left_out_ms)
        || bought().any(|bought| at_ms - bought.at_ms < bought_left_out_ms)
}

impl Business {
    fn blocks(&self, candidate: &Candidate) -> bool {
        self.blocked_items.contains(&candidate.item) || self.blocked_categories.contains(&candidate.category)
    }

    fn boosted(&self, mut candidate: Candidate) -> Candidate {
        let item = self.boosted_items.get(&candidate.item).copied().unwrap_or(1.0);
        let category = self.boosted_categories.get(&candidate.category).copied().unwrap_or(1.0);
        candidate.score *= item * category;
        candidate
    }
}

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): of what is left, the item is next that has the best score
/// less its likeness to what was chosen, in the shares `relevance` and the rest. Scores count in parts of the highest;
/// two items of one category are alike, others are not. Of one category no more are chosen than its share of the list,
/// except to fill a list that would stay short. What comes without a category is like nothing.
fn vary(pool: Vec<Candidate>, ranking: &Ranking) -> Vec<Candidate> {
    let most = ranking.items_max;
    let highest = pool.first().map_or(1.0, |candidate| candidate.score);
    let of_category_max = ((most as f64 * ranking.category_share_max).ceil() as usize).max(1);
    let mut left: Vec<Option<Candidate>> = pool.into_iter().map(Some).collect();
    let mut chosen: Vec<Candidate> = Vec::new();
    let mut by_category: BTreeMap<String, usize> = BTreeMap::new();
    while chosen.len() < most {
        let count = |candidate: &Candidate| by_category.get(&candidate.category).copied().unwrap_or(0);
        let marginal = |candidate: &Candidate| {
            let alike = f64::from(count(candidate) > 0);
            ranking.relevance * candidate.score / highest - (1.0 - ranking.relevance) * alike
        };
        let mut best: Option<(bool, f64, usize)> = None;
        for (place, candidate) in left.iter().enumerate().filter_map(|(place, left)| Some((place, left.as_ref()?))) {
            let value = (count(candidate) < of_category_max, marginal(candidate), place);
            if best.is_none_or(|best| (value.0, value.1) > (best.0, best.1)) {
                best = Some(value);
            }
        }
        let Some(candidate) = best.and_then(|(_, _, place)| left[place].take()) else { break };
        if !candidate.category.is_empty() {
            *by_category.entry(candidate.category.clone()).or_default() += 1;
        }
        chosen.push(candidate);
    }
    chosen
}
