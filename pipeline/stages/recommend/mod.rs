//! Recommendations: what a user may want to see next.
//!
//! Three parts, each pure. At a click, [`click`] counts what belongs together in the partition that sees
//! the user ([`partial`]), and ranks what to show. [`owner`] adds up what all partitions have counted for an item or a
//! category and publishes bounded lists. Every instance reads all lists, and hands them back in as [`Lists`].
//!
//! Counts, what is remembered of a user, ids, attribution and whether something is recommended at a click are functions
//! of the clicks. What is recommended depends on the lists as they were read by then as well: given the same lists, the
//! same click gives the same items.

mod anchor;
mod attribution;
mod candidates;
mod decayed;
mod learn;
pub mod offline;
pub mod owner;
pub mod partial;
mod ranking;
mod rules;
mod visitor;

#[cfg(test)]
mod tests;

pub use anchor::Anchor;
pub use attribution::{Effect, id_name};
pub use candidates::{Candidate, Lists, Reason, interests};
pub use owner::{List, Neighbour};
pub use partial::{Counts, Handed};
pub use ranking::recommend;
pub use rules::{ActionWeights, Business, Emission, Learning, Ranking, Rules};
pub use visitor::{Response, Visit, Visitor};

use prost_types::value::Kind as ValueKind;

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
    vec![owner::ANCHORS.kind(), owner::CHANGED.kind()]
}

/// What was counted and has waited long enough; to be asked for at each click, first.
pub fn due(tables: &mut impl Tables) -> Vec<Handed> {
    let mut handed = Vec::new();
    while let Some(due) = tables.next_due() {
        handed.extend(partial::fired(tables, &due));
    }
    handed
}

/// What comes of a click.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// For the owners of their anchors.
    pub handed: Vec<Handed>,
    pub effects: Vec<Effect>,
    pub recommended: Option<Recommended>,
}

/// What is recommended at a click; empty where there is nothing to recommend.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    pub id: u64,
    /// The best first.
    pub items: Vec<Candidate>,
}

/// Takes a click that is not too late; the partition's clock has been moved by whoever observed it.
pub fn click(tables: &mut impl Tables, lists: &impl Lists, rules: &Rules, click: &Click) -> Outcome {
    let mut outcome = Outcome::default();
    let mut visitor = VISITORS.get(tables, &click.event.user).unwrap_or_default();
    let visit = Visit::from(click);
    outcome.effects = visitor.attribute(click.event.recommendation_id.as_deref(), &visit, &rules.emission);
    if let Some(stock) = stock(click, rules) {
        outcome.handed.extend(learn::say_stock(tables, &rules.learning, &visit.item, stock));
    }
    let at_ms = visit.at_ms;
    if rules.learning.weights.of(visit.action()) > 0.0 {
        outcome.handed.extend(learn::learn(tables, &rules.learning, &visitor, &visit));
        visitor.remember(visit);
        let id = attribution::id(&click.event.user, &click.event.event_id);
        if visitor.emits(id, at_ms, &rules.emission) {
            outcome.recommended = Some(Recommended { id, items: recommend(&visitor, lists, rules, at_ms) });
        }
    }
    VISITORS.put(tables, &click.event.user, &visitor);
    outcome
}

fn stock(click: &Click, rules: &Rules) -> Option<Stock> {
    let name = rules.business.stock_attribute.as_ref()?;
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
