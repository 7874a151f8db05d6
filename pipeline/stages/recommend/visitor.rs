//! What is remembered of a user in order to recommend: the last clicks, what was bought, what was recommended.

use prost::Message;

use super::decayed::{UNIT, units};
use super::rules::Learning;
use crate::event::v1::{self, Action};

/// Enough for the clicks that a new one is paired with, and for what the user may want to come back to.
pub const VISITS_MAX: usize = 64;
pub const BOUGHT_MAX: usize = 64;
/// Recommendations that a click may still be put down to.
pub const SHOWN_MAX: usize = 16;

#[derive(Clone, PartialEq, Message)]
pub struct Visitor {
    /// By time, equal times in the order of arrival; at most [`VISITS_MAX`].
    #[prost(message, repeated, tag = "1")]
    pub visits: Vec<Visit>,
    /// By name; at most [`BOUGHT_MAX`], of which the one bought first leaves.
    #[prost(message, repeated, tag = "2")]
    pub bought: Vec<Bought>,
    /// By time; at most [`SHOWN_MAX`].
    #[prost(message, repeated, tag = "3")]
    pub shown: Vec<Shown>,
    /// Of the last minute in which something was recommended.
    #[prost(message, optional, tag = "4")]
    pub minute: Option<Minute>,
    #[prost(message, optional, tag = "5")]
    pub response: Option<Response>,
}

/// A click that says something of an interest.
#[derive(Clone, PartialEq, Message)]
pub struct Visit {
    #[prost(string, tag = "1")]
    pub item: String,
    /// Empty where there is none.
    #[prost(string, tag = "2")]
    pub category: String,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    #[prost(int32, tag = "4")]
    pub action: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Bought {
    #[prost(string, tag = "1")]
    pub item: String,
    /// When last.
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
}

/// A recommendation that was made.
#[derive(Clone, PartialEq, Message)]
pub struct Shown {
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
    /// The user has seen it.
    #[prost(bool, tag = "3")]
    pub seen: bool,
    /// Items that the user clicked in it; at most [`CLICKED_MAX`](super::attribution::CLICKED_MAX).
    #[prost(string, repeated, tag = "4")]
    pub clicked: Vec<String>,
    /// One of them was bought.
    #[prost(bool, tag = "5")]
    pub converted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Minute {
    /// Minutes since 1970.
    #[prost(int64, tag = "1")]
    pub minute: i64,
    #[prost(uint32, tag = "2")]
    pub emitted: u32,
}

/// What the user made of recommendations, over all time that the user is known.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Response {
    /// Recommendations made.
    #[prost(uint64, tag = "1")]
    pub made: u64,
    /// Of them: seen, clicked, and followed by the purchase of what was clicked.
    #[prost(uint64, tag = "2")]
    pub seen: u64,
    #[prost(uint64, tag = "3")]
    pub clicked: u64,
    #[prost(uint64, tag = "4")]
    pub converted: u64,
}

/// Two clicks that belong together, in the order of their times, and what is new of that: in
/// [`UNIT`](super::decayed::UNIT)s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'a> {
    pub earlier: &'a Visit,
    pub later: &'a Visit,
    /// Of the later item as the neighbour of the earlier one.
    pub weight: u64,
    /// Of the earlier item as the neighbour of the later one.
    pub reverse: u64,
}

impl Visitor {
    /// Whether a click counts for what is popular and what is seen together: only where all that the user did in the same
    /// period of popularity is remembered, so that what it adds to that is known. Of a period these are the user's first
    /// [`VISITS_MAX`] clicks.
    pub fn counts(&self, visit: &Visit, learning: &Learning) -> bool {
        let period = |visit: &Visit| learning.fading(true).period(visit.at_ms);
        self.visits.len() < VISITS_MAX || self.visits.first().is_none_or(|first| period(first) < period(visit))
    }

    /// What a click adds to its item's popularity: in the shop, and in its category. In a period of popularity a user counts
    /// once, by the weightiest click, so there is nothing to add where as weighty a one was there.
    pub fn popularity(&self, visit: &Visit, learning: &Learning) -> [u64; 2] {
        let fading = learning.fading(true);
        let period = fading.period(visit.at_ms);
        let weight = |visit: &Visit| units(learning.weights.of(visit.action()));
        let (mut anywhere, mut in_category) = (0, 0);
        for other in self.visits.iter().filter(|other| fading.period(other.at_ms) == period) {
            if other.item == visit.item {
                anywhere = weight(other).max(anywhere);
                in_category =
                    if other.category == visit.category { weight(other).max(in_category) } else { in_category };
            }
        }
        [anywhere, in_category].map(|counted| weight(visit).saturating_sub(counted))
    }

    /// The clicks that a new one belongs together with: the last before it and, where it comes late, those that came
    /// after it meanwhile. In a period of popularity a user counts once for the way from one item to another, by the pair
    /// that weighs most, so what is told of a pair is what it weighs above the others. What a pair weighs depends on its
    /// two clicks alone, so what a user's clicks count is the same in whatever order these arrive, as long as none has
    /// left the memory or is pushed out of a click's reach by late ones.
    pub fn pairs<'a>(&'a self, visit: &'a Visit, learning: &Learning) -> Vec<Pair<'a>> {
        let place = self.visits.partition_point(|other| other.at_ms <= visit.at_ms);
        let mut pairs: Vec<Pair<'a>> = Vec::new();
        let period = learning.fading(true).period(visit.at_ms);
        let again: Vec<usize> = self.clicked(&visit.item, period, learning).collect();
        for earlier in self.before(place, visit, learning).filter(|earlier| earlier.item != visit.item) {
            // The nearest of an item weighs most.
            if pairs.iter().all(|pair| pair.earlier.item != earlier.item) {
                let counted = self.counted(&earlier.item, again.iter().copied(), learning);
                pairs.extend(Pair::above(earlier, visit, counted, learning));
            }
        }
        if place < self.visits.len() {
            pairs.extend(self.pairs_after(place, visit, learning));
        }
        pairs.retain(|pair| pair.weight > 0);
        pairs
    }

    /// Those in which a click that comes late is the earlier one.
    fn pairs_after<'a>(&'a self, place: usize, visit: &'a Visit, learning: &Learning) -> Vec<Pair<'a>> {
        let fading = learning.fading(true);
        let key = |later: &'a Visit| (&later.item, fading.period(later.at_ms));
        let after = self.visits[place..].iter().take(learning.pair_clicks_max);
        let after = after.take_while(|later| visit.is_near(later, learning)).filter(|later| later.item != visit.item);
        let mut heaviest: Vec<&'a Visit> = Vec::new();
        for later in after {
            match heaviest.iter_mut().find(|other| key(other) == key(later)) {
                Some(other) if weight(visit, later, learning) > weight(visit, other, learning) => *other = later,
                Some(_) => {}
                None => heaviest.push(later),
            }
        }
        let above = |later: &'a Visit| {
            let again = self.clicked(&later.item, fading.period(later.at_ms), learning);
            Pair::above(visit, later, self.counted(&visit.item, again, learning), learning)
        };
        heaviest.into_iter().filter_map(above).collect()
    }

    /// The remembered clicks that are within reach of one that comes behind so many, the last first.
    fn before<'a>(&'a self, place: usize, visit: &Visit, learning: &Learning) -> impl Iterator<Item = &'a Visit> {
        let before = self.visits[..place].iter().rev().take(learning.pair_clicks_max);
        before.take_while(move |other| other.is_near(visit, learning))
    }

    /// Where the item was clicked in this period.
    fn clicked(&self, item: &str, period: i64, learning: &Learning) -> impl Iterator<Item = usize> {
        let fading = learning.fading(true);
        let clicked = self.visits.iter().enumerate();
        clicked.filter(move |(_, other)| fading.period(other.at_ms) == period && other.item == item).map(|(at, _)| at)
    }

    /// What has been counted for the way from an item to these clicks, all of one item and one period.
    fn counted(&self, from: &str, to: impl Iterator<Item = usize>, learning: &Learning) -> u64 {
        let weights = to.flat_map(|place| {
            let later = &self.visits[place];
            let earlier = self.before(place, later, learning).find(|earlier| earlier.item == from);
            earlier.map(|earlier| weight(earlier, later, learning))
        });
        weights.max().unwrap_or_default()
    }

    /// What has come of recommendations, as it is told; `None` where none were made.
    pub fn told(&self) -> Option<v1::RecommendationResponse> {
        let Response { made, seen, clicked, converted } = self.response.filter(|all| *all != Response::default())?;
        Some(v1::RecommendationResponse { made, seen, clicked, converted })
    }

    pub fn remember(&mut self, visit: Visit) {
        if visit.action() == Action::Purchase {
            self.buy(&visit);
        }
        let place = self.visits.partition_point(|other| other.at_ms <= visit.at_ms);
        self.visits.insert(place, visit);
        if self.visits.len() > VISITS_MAX {
            self.visits.remove(0);
        }
    }

    /// Distinct items, the last clicked first, each as it was clicked last.
    pub fn items(&self) -> Vec<&Visit> {
        let mut items: Vec<&Visit> = Vec::new();
        for visit in self.visits.iter().rev() {
            if items.iter().all(|other| other.item != visit.item) {
                items.push(visit);
            }
        }
        items
    }

    fn buy(&mut self, visit: &Visit) {
        match self.bought.binary_search_by(|bought| bought.item.as_str().cmp(&visit.item)) {
            Ok(place) => self.bought[place].at_ms = self.bought[place].at_ms.max(visit.at_ms),
            Err(place) => self.bought.insert(place, Bought { item: visit.item.clone(), at_ms: visit.at_ms }),
        }
        if self.bought.len() > BOUGHT_MAX {
            let first = self.bought.iter().enumerate().min_by_key(|(_, bought)| bought.at_ms);
            first.map(|(place, _)| place).into_iter().for_each(|place| drop(self.bought.remove(place)));
        }
    }
}

impl<'a> Pair<'a> {
    /// What these two weigh above what is counted of their items.
    fn above(earlier: &'a Visit, later: &'a Visit, counted: u64, learning: &Learning) -> Option<Self> {
        let weight = weight(earlier, later, learning);
        // Of the whole, so that what was added in two steps is what was added in one.
        let reverse = |weight: u64| units(weight as f64 / UNIT * learning.reverse_weight);
        let new = Pair { earlier, later, weight: weight - counted.min(weight), reverse: 0 };
        let reverse = reverse(weight).saturating_sub(reverse(counted));
        (new.weight > 0).then_some(Pair { reverse, ..new })
    }
}

impl Visit {
    pub fn action(&self) -> Action {
        Action::try_from(self.action).unwrap_or_default()
    }

    fn is_near(&self, other: &Visit, learning: &Learning) -> bool {
        (other.at_ms - self.at_ms).abs() <= learning.pair_window_ms
    }
}

/// The later click's action says how much the way to it was worth. Hyperbolic, which needs a division only and so is
/// the same on every machine.
fn weight(earlier: &Visit, later: &Visit, learning: &Learning) -> u64 {
    let apart = (later.at_ms - earlier.at_ms) as f64;
    units(learning.weights.of(later.action()) / (1.0 + apart / learning.pair_delay_ms.max(1) as f64))
}
