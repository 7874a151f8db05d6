//! Recommendations: what a user may want to see next.
//!
//! Three parts, each pure. At a click, [`click`] counts what belongs together in the partition that sees
//! the user ([`said`]), and ranks what to show. [`owner`] adds up what all partitions have counted for an item or a
//! category and publishes bounded lists. Every instance reads all lists, and hands them back in as [`Lists`].
//!
//! Counts, what is remembered of a user, ids, attribution and whether something is recommended at a click are functions
//! of the clicks. What is recommended depends on the lists as they were read by then as well: given the same lists, the
//! same click gives the same items.

mod anchor;
mod attribution;
mod candidates;
mod decayed;
pub mod offline;
pub mod owner;
pub mod partial;
mod ranking;
mod rules;
pub mod said;
mod shared;
mod stage;
mod visitor;

#[cfg(test)]
mod tests;

pub use anchor::Anchor;
pub use attribution::{Effect, id_name};
pub use candidates::{Candidate, Lists, Reason, interests};
pub use owner::{List, Neighbour};
pub use partial::Counts;
pub use ranking::recommend;
pub use rules::{ActionWeights, Business, Emission, Learning, Ranking, Rules};
pub use said::{Gathered, Parcel, Said};
pub use shared::SharedLists;
pub use stage::{OwnerStage, Recommender, period_name};
pub use visitor::{Response, Visit, Visitor};

use prost_types::value::Kind as ValueKind;

use crate::event::v1;
use crate::stages::clicks::Click;
use crate::state::{Kind, Table, Tables};
use partial::Stock;

const DAY_MS: i64 = 86_400_000;

/// By name. A user who stays away for a quarter of a year is a new one.
pub const VISITORS: Table<str, Visitor> = Table::new(Kind::new(30, "recommend-visitors").expires_after(90 * DAY_MS));

/// Kinds of state of a partition of clicks.
pub fn kinds() -> Vec<Kind> {
    vec![VISITORS.kind(), partial::PARTIALS.kind()]
}

/// Kinds of state of an owner of anchors.
pub fn owner_kinds() -> Vec<Kind> {
    vec![owner::ANCHORS.kind(), owner::CHANGED.kind(), owner::PUBLISHED.kind(), owner::QUIET.kind()]
}

/// What comes of a click.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// For the owners of anchors.
    pub said: Said,
    pub effects: Vec<Effect>,
    pub recommended: Option<Recommended>,
    /// What the user has made of recommendations by now.
    pub response: Option<v1::RecommendationResponse>,
}

/// What is recommended at a click; empty where there is nothing to recommend.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    pub id: u64,
    /// The best first.
    pub items: Vec<Candidate>,
}

/// Takes a click that is not too late; the partition's clock has been moved by whoever observed it.
pub fn click(tables: &mut impl Tables, lists: &impl Lists, rules: &Rules, seen: &Seen) -> Outcome {
    let Seen { user, event_id, recommendation_id, visit, stock } = seen;
    let mut outcome = Outcome::default();
    let mut visitor = VISITORS.take(tables, user).unwrap_or_default();
    outcome.effects = visitor.attribute(recommendation_id.as_deref(), visit, &rules.emission);
    if rules.learning.weights.of(visit.action()) > 0.0 {
        outcome.said = Said::of(&rules.learning, &visitor, visit);
        visitor.remember(visit.clone());
        let id = attribution::id(user, event_id);
        if visitor.emits(id, visit.at_ms, &rules.emission) {
            outcome.recommended = Some(Recommended { id, items: recommend(&visitor, lists, rules, visit.at_ms) });
        }
    }
    outcome.response = visitor.told();
    VISITORS.put(tables, user, visitor);
    stock.iter().for_each(|stock| outcome.said.stock(&visit.item, *stock));
    // No other timers are set by those who conclude clicks.
    while let Some(due) = tables.next_due() {
        partial::fired(tables, &due).into_iter().for_each(|(key, counts)| outcome.said.part(key, &counts));
    }
    outcome.said.clock_ms = tables.stream_time();
    outcome
}

/// What is looked at of a click.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub user: String,
    pub event_id: String,
    pub recommendation_id: Option<String>,
    pub visit: Visit,
    pub stock: Option<Stock>,
}

impl Seen {
    pub fn new(click: &Click, business: &Business) -> Self {
        let v1::Click { user, event_id, recommendation_id, .. } = &click.event;
        Self {
            user: user.clone(),
            event_id: event_id.clone(),
            recommendation_id: recommendation_id.clone(),
            visit: Visit::from(click),
            stock: stock(click, business),
        }
    }
}

fn stock(click: &Click, business: &Business) -> Option<Stock> {
    let name = business.stock_attribute.as_ref()?;
    match click.event.attributes.as_ref()?.fields.get(name)?.kind.as_ref()? {
        ValueKind::BoolValue(there) => Some(Stock { at_ms: click.at_ms, out: !there }),
        _ => None,
    }
}

impl From<&Click> for Visit {
    fn from(click: &Click) -> Self {
        Visit {
            item: click.event.item.clone(),
            category: click.event.category.clone().unwrap_or_default(),
            at_ms: click.at_ms,
            action: click.action.into(),
        }
    }
}
