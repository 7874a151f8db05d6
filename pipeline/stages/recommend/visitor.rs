//! What is remembered of a user in order to recommend: the last clicks, what was bought, what was recommended.

use prost::Message;

use super::decayed::units;
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

/// Two clicks that belong together, in the order of their times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'a> {
    pub earlier: &'a Visit,
    pub later: &'a Visit,
    /// In [`UNIT`](super::decayed::UNIT)s.
    pub weight: u64,
}

impl Visitor {
    /// The clicks that a new one belongs together with: the last before it and, where it comes late, those that came
    /// after it meanwhile. What a pair weighs depends on its two clicks alone, so the pairs of a user's clicks are the
    /// same in whatever order these arrive, as long as none has left the memory or is pushed out of a click's reach by
    /// late ones.
    pub fn pairs<'a>(&'a self, visit: &'a Visit, learning: &Learning) -> Vec<Pair<'a>> {
        let place = self.visits.partition_point(|other| other.at_ms <= visit.at_ms);
        let near = |other: &&Visit| (other.at_ms - visit.at_ms).abs() <= learning.pair_window_ms;
        let before = self.visits[..place].iter().rev().take(learning.pair_clicks_max).take_while(near);
        let after = self.visits[place..].iter().take(learning.pair_clicks_max).take_while(near);
        let pairs = before.map(|other| (other, visit)).chain(after.map(|other| (visit, other)));
        pairs
            .filter(|(earlier, later)| earlier.item != later.item)
            .map(|(earlier, later)| Pair { earlier, later, weight: weight(earlier, later, learning) })
            .collect()
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

impl Visit {
    pub fn action(&self) -> Action {
        Action::try_from(self.action).unwrap_or_default()
    }
}

/// The later click's action says how much the way to it was worth. Hyperbolic, which needs a division only and so is
/// the same on every machine.
fn weight(earlier: &Visit, later: &Visit, learning: &Learning) -> u64 {
    let apart = (later.at_ms - earlier.at_ms) as f64;
    units(learning.weights.of(later.action()) / (1.0 + apart / learning.pair_delay_ms.max(1) as f64))
}
