//! The section `[recommendations]`: as written, and as it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::judge::Judge;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Written {
    /// Recommends at clicks. Off, nothing is counted for it either.
    pub enabled: bool,
    /// Items in a recommendation.
    #[schemars(range(min = 1, max = 200))]
    pub items_max: usize,
    /// Recommendations made for one user within a minute of event time; further clicks of the minute get none. More is fresher and writes more.
    #[schemars(range(min = 1, max = 600))]
    pub per_minute_max: u32,
    /// Milliseconds after a recommendation in which a click that carries its id, and a purchase of what was clicked in it, are put down to it.
    #[schemars(range(min = 1000, max = 2_592_000_000_u64))]
    pub attribution_ms: u64,
    /// What a view says of an interest, against the other actions. Its size matters only in relation to `smoothing`.
    pub weight_view: f64,
    /// The same of putting something into the cart.
    pub weight_cart: f64,
    /// The same of marking a favourite.
    pub weight_favourite: f64,
    /// The same of buying.
    pub weight_purchase: f64,
    /// Milliseconds between two clicks of one user that still belong together. Longer finds more that belongs together, and more that does not.
    #[schemars(range(min = 1000, max = 604_800_000))]
    pub pair_window_ms: u64,
    /// Two clicks that lie this many milliseconds apart count half of two at once.
    #[schemars(range(min = 1000, max = 604_800_000))]
    pub pair_delay_ms: u64,
    /// How many of the user's last clicks a click is paired with. The counts to be handed to other instances grow with it.
    #[schemars(range(min = 1, max = 64))]
    pub pair_clicks_max: usize,
    /// What the earlier of two items is worth as a neighbour of the later, of what the later is worth as one of the earlier: 0 learns only what comes next, 1 what belongs together.
    pub reverse_weight: f64,
    /// Milliseconds in which what was seen together comes to count half. It fades in steps of an eighth of this.
    #[schemars(range(min = 60_000, max = 31_536_000_000_u64))]
    pub half_life_ms: u64,
    /// The same of what is popular.
    #[schemars(range(min = 60_000, max = 2_592_000_000_u64))]
    pub popularity_half_life_ms: u64,
    /// Neighbours of an item, and popular items of a category, that every instance reads. Four times as many are counted by whoever owns the item, exactly; beyond that the lightest leave.
    #[schemars(range(min = 1, max = 1000))]
    pub neighbours_max: usize,
    /// Milliseconds of event time for which a list that has changed waits for further changes before it is published; thirty times as long while less than a quarter of it is new. Longer writes less and learns later.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub publish_ms: u64,
    /// Milliseconds by the clock on the wall for which nothing is counted any more before lists that wait to be published do so without further clicks: then event time goes on with that clock until none waits. Longer leaves a quiet shop's last clicks out of its lists for longer.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub idle_ms: u64,
    /// How much is given for what was seen together with what the user clicked.
    pub seen_together: f64,
    /// The same for what the user has clicked before, and not just now.
    pub seen_before: f64,
    /// The same for what is popular in the categories that the user looks at.
    pub popular_in_category: f64,
    /// The same for what is popular in the whole shop.
    pub popular: f64,
    /// What an item or category further back in the user's clicks counts, of the one clicked after it; above 0, 1 at most.
    pub recency: f64,
    /// The weight of clicks that a list is drawn towards saying nothing by: lists made of little evidence say less.
    pub smoothing: f64,
    /// The part of the user's interest that is looked for in categories seen together with those clicked, 0 to 1.
    pub beside: f64,
    /// Milliseconds for which an item that was clicked is not recommended; 0 and it is at once.
    #[schemars(range(min = 0, max = 31_536_000_000_u64))]
    pub seen_left_out_ms: u64,
    /// The same of one that was bought.
    #[schemars(range(min = 0, max = 31_536_000_000_u64))]
    pub bought_left_out_ms: u64,
    /// Of maximal marginal relevance, 0 to 1: 1 ranks by score alone, less gives an item of a category that is not in the list yet a start of the rest.
    pub relevance: f64,
    /// The most of a recommendation that is of one category, above 0 to 1. A recommendation that would stay short is filled nevertheless.
    pub category_share_max: f64,
    /// Items that are never recommended.
    pub blocked_items: Vec<String>,
    /// Categories of which nothing is recommended.
    pub blocked_categories: Vec<String>,
    /// Factors on the scores of items, by item: above 1 they come earlier, 0 leaves them out.
    pub boosted_items: BTreeMap<String, f64>,
    /// The same of categories.
    pub boosted_categories: BTreeMap<String, f64>,
    /// Bytes of memory for the lists that this instance reads; those that nobody asks for leave first.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64))]
    pub lists_bytes_max: usize,
    /// The member of a click's `attributes` that says, true or false, whether its item is in stock. One of which the last click said no is not recommended. Absent: everything is taken to be.
    pub stock_attribute: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Recommendations {
    pub enabled: bool,
    pub items_max: usize,
    pub per_minute_max: u32,
    pub attribution: Duration,
    pub weight_view: f64,
    pub weight_cart: f64,
    pub weight_favourite: f64,
    pub weight_purchase: f64,
    pub pair_window: Duration,
    pub pair_delay: Duration,
    pub pair_clicks_max: usize,
    pub reverse_weight: f64,
    pub half_life: Duration,
    pub popularity_half_life: Duration,
    pub neighbours_max: usize,
    pub publish: Duration,
    pub idle: Duration,
    pub seen_together: f64,
    pub seen_before: f64,
    pub popular_in_category: f64,
    pub popular: f64,
    pub recency: f64,
    pub smoothing: f64,
    pub beside: f64,
    pub seen_left_out: Duration,
    pub bought_left_out: Duration,
    pub relevance: f64,
    pub category_share_max: f64,
    pub blocked_items: BTreeSet<String>,
    pub blocked_categories: BTreeSet<String>,
    pub boosted_items: BTreeMap<String, f64>,
    pub boosted_categories: BTreeMap<String, f64>,
    pub lists_bytes_max: usize,
    pub stock_attribute: Option<String>,
}

/// A factor or weight beyond this is a slip of the keys.
const FACTOR_MAX: f64 = 1000.0;

pub fn recommendations(raw: &Written, judge: &mut Judge) -> Recommendations {
    ranges(raw, judge);
    let ms = Duration::from_millis;
    Recommendations {
        enabled: raw.enabled,
        items_max: raw.items_max,
        per_minute_max: raw.per_minute_max,
        attribution: ms(raw.attribution_ms),
        weight_view: raw.weight_view,
        weight_cart: raw.weight_cart,
        weight_favourite: raw.weight_favourite,
        weight_purchase: raw.weight_purchase,
        pair_window: ms(raw.pair_window_ms),
        pair_delay: ms(raw.pair_delay_ms),
        pair_clicks_max: raw.pair_clicks_max,
        reverse_weight: raw.reverse_weight,
        half_life: ms(raw.half_life_ms),
        popularity_half_life: ms(raw.popularity_half_life_ms),
        neighbours_max: raw.neighbours_max,
        publish: ms(raw.publish_ms),
        idle: ms(raw.idle_ms),
        seen_together: raw.seen_together,
        seen_before: raw.seen_before,
        popular_in_category: raw.popular_in_category,
        popular: raw.popular,
        recency: raw.recency,
        smoothing: raw.smoothing,
        beside: raw.beside,
        seen_left_out: ms(raw.seen_left_out_ms),
        bought_left_out: ms(raw.bought_left_out_ms),
        relevance: raw.relevance,
        category_share_max: raw.category_share_max,
        blocked_items: raw.blocked_items.iter().cloned().collect(),
        blocked_categories: raw.blocked_categories.iter().cloned().collect(),
        boosted_items: raw.boosted_items.clone(),
        boosted_categories: raw.boosted_categories.clone(),
        lists_bytes_max: raw.lists_bytes_max,
        stock_attribute: raw.stock_attribute.clone(),
    }
}

/// Numbers that are no whole ones: what their types cannot say.
fn ranges(raw: &Written, judge: &mut Judge) {
    let factors = [
        ("weight_view", raw.weight_view),
        ("weight_cart", raw.weight_cart),
        ("weight_favourite", raw.weight_favourite),
        ("weight_purchase", raw.weight_purchase),
        ("seen_together", raw.seen_together),
        ("seen_before", raw.seen_before),
        ("popular_in_category", raw.popular_in_category),
        ("popular", raw.popular),
        ("smoothing", raw.smoothing),
    ];
    for (name, value) in factors.into_iter().filter(|(_, value)| !(0.0..=FACTOR_MAX).contains(value)) {
        judge.wrong(&*format!("recommendations.{name}"), format!("({value}) is not from 0 to {FACTOR_MAX}"), None);
    }
    let shares = [("reverse_weight", raw.reverse_weight), ("beside", raw.beside), ("relevance", raw.relevance)];
    for (name, value) in shares.into_iter().filter(|(_, value)| !(0.0..=1.0).contains(value)) {
        judge.wrong(&*format!("recommendations.{name}"), format!("({value}) is not from 0 to 1"), None);
    }
    let parts = [("recency", raw.recency), ("category_share_max", raw.category_share_max)];
    for (name, value) in parts.into_iter().filter(|(_, value)| !(*value > 0.0 && *value <= 1.0)) {
        judge.wrong(&*format!("recommendations.{name}"), format!("({value}) is not above 0 and 1 at most"), None);
    }
    for (table, boosts) in [("boosted_items", &raw.boosted_items), ("boosted_categories", &raw.boosted_categories)] {
        for (name, value) in boosts.iter().filter(|(_, value)| !(0.0..=FACTOR_MAX).contains(*value)) {
            let key = super::key::Key::from("recommendations").child(table).child(name);
            judge.wrong(key, format!("({value}) is not from 0 to {FACTOR_MAX}"), None);
        }
    }
}
