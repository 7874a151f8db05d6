//! What is learned and how it is ranked, as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decayed::Fading;
use crate::config;
use crate::event::v1::Action;

/// Everything that recommendations depend on besides the clicks. Times are in milliseconds of event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub learning: Learning,
    pub ranking: Ranking,
    pub business: Business,
    pub emission: Emission,
}

/// How clicks become counts. Instances must agree on it: what one counts the others read.
#[derive(Clone, Debug, PartialEq)]
pub struct Learning {
    pub weights: ActionWeights,
    /// Two clicks of one user belong together when no more than this lies between them.
    pub pair_window_ms: i64,
    /// Two clicks this far apart count half as much as two at once.
    pub pair_delay_ms: i64,
    /// A click is paired with at most so many before it.
    pub pair_clicks_max: usize,
    /// What the earlier of two items is worth as the neighbour of the later.
    pub reverse_weight: f64,
    /// Of what is seen together.
    pub half_life_ms: i64,
    /// Of what is popular.
    pub popularity_half_life_ms: i64,
    /// Items in a list as others read it. Its owner counts [`KEPT`](super::owner::KEPT) times as many.
    pub neighbours_max: usize,
    /// A list that has changed much waits this long for further changes.
    pub publish_ms: i64,
    /// Without counts for this long by the clock on the wall, lists do not wait for more of them.
    pub idle_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActionWeights {
    pub view: f64,
    pub cart: f64,
    pub favourite: f64,
    pub purchase: f64,
}

/// How candidates are scored: each source says how probable an item is next, and these weigh what the sources say.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    pub items_max: usize,
    pub seen_together: f64,
    pub seen_before: f64,
    pub popular_in_category: f64,
    pub popular: f64,
    /// How much each item back in the user's clicks counts, of the one after it.
    pub recency: f64,
    /// As if every list held this much more weight of items nobody knows: little evidence stays little.
    pub smoothing: f64,
    /// How much of the user's interest goes to categories beside those looked at, 0 to 1.
    pub beside: f64,
    /// Items clicked within this time are not shown; 0 and they are.
    pub seen_left_out_ms: i64,
    pub bought_left_out_ms: i64,
    /// Of maximal marginal relevance: 1 ranks by score alone, 0 by novelty alone.
    pub relevance: f64,
    /// The most of a list that is of one category, 0 to 1.
    pub category_share_max: f64,
}

/// What the shop decides, whatever was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Business {
    pub blocked_items: BTreeSet<String>,
    pub blocked_categories: BTreeSet<String>,
    /// Factors on scores, by name.
    pub boosted_items: BTreeMap<String, f64>,
    pub boosted_categories: BTreeMap<String, f64>,
    /// The member of a click's `attributes` that says whether the item is in stock.
    pub stock_attribute: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Recommendations to one user in one minute of event time.
    pub per_minute_max: u32,
    /// How long after a recommendation clicks and purchases are put down to it.
    pub attribution_ms: i64,
}

impl ActionWeights {
    /// 0 for what says nothing of an interest.
    pub fn of(&self, action: Action) -> f64 {
        match action {
            // A kind of click that a newer writer added is looked at as a view.
            Action::View | Action::Unspecified => self.view,
            Action::Cart => self.cart,
            Action::Favourite => self.favourite,
            Action::Purchase => self.purchase,
            Action::Impression | Action::Remove => 0.0,
        }
    }
}

impl Learning {
    pub fn fading(&self, popularity: bool) -> Fading {
        Fading::new(if popularity { self.popularity_half_life_ms } else { self.half_life_ms })
    }
}

impl From<&config::Recommendations> for Rules {
    fn from(settings: &config::Recommendations) -> Self {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Rules {
            learning: Learning {
                weights: ActionWeights {
                    view: settings.weight_view,
                    cart: settings.weight_cart,
                    favourite: settings.weight_favourite,
                    purchase: settings.weight_purchase,
                },
                pair_window_ms: ms(settings.pair_window),
                pair_delay_ms: ms(settings.pair_delay),
                pair_clicks_max: settings.pair_clicks_max,
                reverse_weight: settings.reverse_weight,
                half_life_ms: ms(settings.half_life),
                popularity_half_life_ms: ms(settings.popularity_half_life),
                neighbours_max: settings.neighbours_max,
                publish_ms: ms(settings.publish),
                idle_ms: ms(settings.idle),
            },
            ranking: Ranking {
                items_max: settings.items_max,
                seen_together: settings.seen_together,
                seen_before: settings.seen_before,
                popular_in_category: settings.popular_in_category,
                popular: settings.popular,
                recency: settings.recency,
                smoothing: settings.smoothing,
                beside: settings.beside,
                seen_left_out_ms: ms(settings.seen_left_out),
                bought_left_out_ms: ms(settings.bought_left_out),
                relevance: settings.relevance,
                category_share_max: settings.category_share_max,
            },
            business: Business {
                blocked_items: settings.blocked_items.clone(),
                blocked_categories: settings.blocked_categories.clone(),
                boosted_items: settings.boosted_items.clone(),
                boosted_categories: settings.boosted_categories.clone(),
                stock_attribute: settings.stock_attribute.clone(),
            },
            emission: Emission { per_minute_max: settings.per_minute_max, attribution_ms: ms(settings.attribution) },
        }
    }
}
