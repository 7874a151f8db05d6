//! Who a user is, as far as their clicks tell: what interests them, how often they come, what they spend, when they are
//! about, and which segment they belong to.
//!
//! All of it is made of what the state holds of the user anyway, so that a profile costs no record of its own. Interests
//! decay: a click weighs half as much after [`Rules::interest_half_life_ms`]. A profile is emitted when a session opens, at a
//! purchase, and otherwise when the last one is older than [`Rules::profile_interval_ms`]: so at most once a click, and far apart
//! while somebody only looks.

mod habits;
mod interest;
mod mix;
mod segments;

use super::click::Click;
use super::session::Rules;
use super::state::{CATEGORY_NAMES, Entity, Session, Tally, User};
use crate::event::v1;
use crate::state::{ReadTables, Tables};
pub use mix::Mix;
pub use segments::{FEATURES as SEGMENT_FEATURES, Scale, Segment, Segments};

/// Of each kind, in a profile: what comes after them is noise.
const INTERESTS_MAX: usize = 8;

/// Who a user is as of a click.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The numbers that segments are told by, in the order of [`SEGMENT_FEATURES`].
    pub row: Vec<f64>,
    /// Where one is due, but for the segment and the record that it was made at.
    pub profile: Option<Box<v1::Profile>>,
}

/// Takes the click into the user's habits and interests, and makes a profile if one is due. `category`: as counted before
/// the click.
pub fn observe(
    tables: &mut impl Tables,
    user: &mut User,
    click: &Click,
    session: usize,
    category: &Entity,
    rules: &Rules,
) -> Seen {
    user.take_interest(click, rules);
    name_category(tables, click);
    let habits = user.habits.get_or_insert_default();
    habits.take(click, category, rules);
    let opened = user.sessions[session].tally().clicks() == 1;
    let bought = click.action == v1::Action::Purchase;
    let due = habits.emitted_ms == 0 || click.at_ms >= habits.emitted_ms + rules.profile_interval_ms;
    let due = opened || bought || due;
    if due {
        habits.emitted_ms = habits.emitted_ms.max(click.at_ms);
    }
    let sums = Sums::of(user);
    let told = due.then(|| {
        let profile = profile(tables, &click.event.user, user, &sums, click.at_ms, rules);
        Box::new(v1::Profile { updated_time: click.event.event_time, ..profile })
    });
    Seen { row: segments::row(user, &sums, click.at_ms, rules), profile: told }
}

/// Profiles show categories by name, and users remember them by number.
fn name_category(tables: &mut impl Tables, click: &Click) {
    let (Some(id), Some(name)) = (click.category, &click.event.category) else { return };
    if !CATEGORY_NAMES.contains(tables, &id.0) {
        CATEGORY_NAMES.put(tables, &id.0, name.clone());
    }
}

/// Who a user is as of their last click: the numbers that segments are told by, and the profile but for the segment.
pub fn as_of_last(tables: &mut impl ReadTables, name: &str, user: &User, rules: &Rules) -> (Vec<f64>, v1::Profile) {
    let sums = Sums::of(user);
    (segments::row(user, &sums, sums.last_ms, rules), profile(tables, name, user, &sums, sums.last_ms, rules))
}

fn profile(
    tables: &mut impl ReadTables,
    name: &str,
    user: &User,
    sums: &Sums,
    at_ms: i64,
    rules: &Rules,
) -> v1::Profile {
    let habits = user.habits.clone().unwrap_or_default();
    let categories = interest::shares(&user.categories, at_ms, rules);
    let brands = interest::shares(&user.brands, at_ms, rules);
    let named = |share: f64, name: String| v1::Interest { name, share: round(share) };
    let categories = categories
        .into_iter()
        .take(INTERESTS_MAX)
        .filter_map(|(memory, share)| Some(named(share, CATEGORY_NAMES.get(tables, &memory.id)?)));
    v1::Profile {
        categories: categories.collect(),
        brands: brands.into_iter().take(INTERESTS_MAX).map(|(brand, share)| named(share, brand.written())).collect(),
        user: name.to_owned(),
        updated_time: time(at_ms),
        first_time: time(sums.first_ms),
        last_time: time(sums.last_ms),
        last_purchase_time: (sums.purchase_ms > 0).then(|| time(sums.purchase_ms)).flatten(),
        sessions: sums.sessions,
        buying_sessions: sums.bought,
        sessions_per_month: round(30.0 * sums.sessions_per_day()),
        clicks: sums.tally.clicks(),
        carts: sums.tally.carts,
        favourites: sums.tally.favourites,
        purchases: sums.tally.purchases,
        value: (habits.value > 0.0).then(|| round(habits.value)),
        price_level: habits.price_level().map(round),
        hours: habits.hour_shares().into_iter().map(round).collect(),
        ..v1::Profile::default()
    }
}

/// A user's sessions, the open ones included, in sum.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sums {
    first_ms: i64,
    last_ms: i64,
    purchase_ms: i64,
    sessions: u32,
    bought: u32,
    tally: Tally,
    seconds: u64,
}

impl Sums {
    fn of(user: &User) -> Sums {
        let mut history = user.history.unwrap_or_default();
        user.sessions.iter().for_each(|session| history.add(session));
        Sums {
            first_ms: history.first_ms,
            last_ms: user.sessions.iter().map(Session::last_ms).max().unwrap_or_default(),
            purchase_ms: history.purchase_ms,
            sessions: history.sessions,
            bought: history.bought,
            tally: history.tally.unwrap_or_default(),
            seconds: history.seconds,
        }
    }

    /// As if the first day had been a whole one.
    fn sessions_per_day(&self) -> f64 {
        let days = (self.last_ms - self.first_ms).max(0) as f64 / 86_400_000.0;
        f64::from(self.sessions) / days.max(1.0)
    }
}

fn time(ms: i64) -> Option<prost_types::Timestamp> {
    let nanos = (ms.rem_euclid(1000) * 1_000_000) as i32;
    Some(prost_types::Timestamp { seconds: ms.div_euclid(1000), nanos })
}

/// Four decimals: what is left of a share says nothing.
fn round(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests;
