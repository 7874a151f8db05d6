//! Clicks: sessions, and how likely each is to buy.
//!
//! [`observe`] is the one way from a click to the features of its session. The pipeline, `groundswell features` and the
//! tests call it with the same state behind it, so what a model is trained on is what it is asked about. It is pure: the
//! click and what the partition remembers decide everything, and the clock is the partition's event time.
//!
//! What comes of a click always describes the session as far as it is known by then, at its last click. A click that
//! comes in order is that last click. One that comes late changes the session, and so revises what was said of it: what
//! comes of it has the same session with a higher revision, and names a session that it took in. A click that comes after
//! the grace changes nothing but the count of those.

mod click;
mod counts;
pub mod features;
mod labels;
mod look_up;
pub mod profile;
mod session;
mod stage;
mod state;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use click::{Click, Id};
pub use labels::Labels;
pub use look_up::Sessions;
use profile::Seen;
use session::Placed;
pub use session::Rules;
pub use stage::{ClicksOutput, ClicksStage, PurchaseModel, Waiting, refuse_future};
pub use state::{Session, Tally, kinds};

use crate::state::{Arrival, Tables};
use state::{CATEGORIES, Entity, ITEMS, PARTITION, Partition, USERS};
use view::{Known, View as SessionSeen};

/// What came of a click.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    Counted(SessionSoFar, Seen),
    /// Dated this many milliseconds before the partition's clock.
    TooLate {
        by_ms: i64,
    },
}

/// A session as known after a click. Its features have been appended to the caller's row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionSoFar {
    pub id: u64,
    pub revision: u32,
    /// The click came late: what was said of the session before is revised.
    pub late: bool,
    /// The session that a late click made part of this one.
    pub merged: Option<u64>,
    pub first_ms: i64,
    pub last_ms: i64,
    pub tally: Tally,
    pub items: u32,
    pub categories: u32,
    pub cart_items: u32,
}

/// Takes a click into what the partition remembers, and appends the features of its session to `row`; nothing where the
/// click is too late. Moves the partition's clock.
pub fn observe(tables: &mut impl Tables, rules: &Rules, click: &Click, row: &mut Vec<f32>) -> Observed {
    let arrival = tables.advance(click.at_ms);
    let mut partition = PARTITION.get(tables, "").unwrap_or_default();
    if let Arrival::Late { by_ms } = arrival {
        partition.too_late += 1;
        PARTITION.put(tables, "", partition);
        return Observed::TooLate { by_ms };
    }
    let mut user = USERS.take(tables, &click.event.user).unwrap_or_default();
    user.close(tables.stream_time(), rules);
    user.remember(click);
    let placed = user.place(click, rules);
    let before = Before {
        item: ITEMS.get(tables, &click.item.0).unwrap_or_default(),
        category: click.category.and_then(|id| CATEGORIES.get(tables, &id.0)).unwrap_or_default(),
    };
    let known = known(tables, click, &before, &user.sessions[placed.session], &partition);
    let Some(view) = SessionSeen::new(&user, placed.session, &known, rules) else {
        tables.fail(format!("session {:016x} has no clicks", user.sessions[placed.session].id));
        return Observed::TooLate { by_ms: 0 };
    };
    features::append(&view, row);
    let so_far = SessionSoFar::new(&user.sessions[placed.session], &placed, &view);
    let followed = user.sessions[placed.session].mark_followed();
    let seen = profile::observe(tables, &mut user, click, placed.session, &before.category, rules);
    USERS.put(tables, &click.event.user, user);
    count(tables, click, before, &followed, partition);
    Observed::Counted(so_far, seen)
}

/// What the click's item and category had come to before it.
struct Before {
    item: Entity,
    category: Entity,
}

/// What is known, before the click is counted, of the click that the session is seen from: itself, unless it came late.
fn known(tables: &mut impl Tables, click: &Click, before: &Before, session: &Session, partition: &Partition) -> Known {
    let last = session.clicks.last().copied().unwrap_or_default();
    let category = match last.category {
        0 => Entity::default(),
        id if click.category == Some(Id(id)) => before.category,
        id => CATEGORIES.get(tables, &id).unwrap_or_default(),
    };
    let item = if last.item == click.item.0 { before.item } else { ITEMS.get(tables, &last.item).unwrap_or_default() };
    Known { item, category, all: partition.all.unwrap_or_default() }
}

/// Counts the click for its item, its category and the partition, and in their categories the clicks that it, a purchase,
/// has followed.
fn count(
    tables: &mut impl Tables,
    click: &Click,
    Before { mut item, mut category }: Before,
    followed: &[u64],
    mut partition: Partition,
) {
    item.count(click);
    ITEMS.put(tables, &click.item.0, item);

    let mut others: BTreeMap<u64, u64> = BTreeMap::new();
    followed.iter().for_each(|id| *others.entry(*id).or_default() += 1);
    if let Some(Id(id)) = click.category {
        category.followed += others.remove(&id).unwrap_or_default();
        category.count(click);
        CATEGORIES.put(tables, &id, category);
    }
    for (id, followed) in others.into_iter().filter(|(id, _)| *id != 0) {
        let mut counts: Entity = CATEGORIES.get(tables, &id).unwrap_or_default();
        counts.followed += followed;
        CATEGORIES.put(tables, &id, counts);
    }

    let all = partition.all.get_or_insert_default();
    all.count(click);
    all.followed += followed.len() as u64;
    PARTITION.put(tables, "", partition);
}

impl SessionSoFar {
    /// The session's id as it is written: sixteen hexadecimal digits.
    pub fn name(&self) -> String {
        format!("{:016x}", self.id)
    }

    fn new(session: &Session, placed: &Placed, view: &SessionSeen) -> Self {
        Self {
            id: session.id,
            revision: session.revision,
            late: placed.late,
            merged: placed.merged,
            first_ms: session.first_ms(),
            last_ms: session.last_ms(),
            tally: view.session.tally,
            items: view.session.items,
            categories: view.session.categories,
            cart_items: view.cart.items,
        }
    }
}
