//! Who it is: the user's earlier sessions, and what the user did before to this item and in this category.

use super::super::state::{Ended, Tally};
use super::super::view::View;
use super::{Feature, Window, feature};

/// A user's rates count as if this many more sessions or clicks had been seen that behave like all of the partition's.
const PRIOR_SESSIONS: f64 = 2.0;
const PRIOR_CLICKS: f64 = 20.0;
/// Sessions that buy, of all, before the partition has shown its own: about what shops report.
const BUYING_SESSIONS: f64 = 0.05;

pub fn features() -> Vec<Feature> {
    [earlier(), last_session(), memory()].concat()
}

fn earlier() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::User, value);
    vec![
        of("user_sessions", "earlier sessions", "sessions", |v| count(v.user.history.sessions)),
        of("user_clicks", "clicks", "clicks", |v| count(tally(v).clicks())),
        of("user_carts", "items put into the cart", "clicks", |v| count(tally(v).carts)),
        of("user_favourites", "favourites", "clicks", |v| count(tally(v).favourites)),
        of("user_purchases", "purchases", "clicks", |v| count(tally(v).purchases)),
        of("user_bought", "sessions with a purchase", "sessions", |v| count(v.user.history.bought)),
        of("user_bought_rate", "share of sessions with a purchase, drawn towards 0.05 by two sessions", "share", |v| {
            let history = &v.user.history;
            let prior = PRIOR_SESSIONS * BUYING_SESSIONS;
            Some((f64::from(history.bought) + prior) / (f64::from(history.sessions) + PRIOR_SESSIONS))
        }),
        of("user_followed", "share of clicks that a purchase followed, drawn towards the partition's", "share", |v| {
            let all = &v.known.all;
            let prior = if all.clicks == 0 { 0.0 } else { all.followed as f64 / all.clicks as f64 };
            let followed = f64::from(v.user.history.followed) + PRIOR_CLICKS * prior;
            Some(followed / (f64::from(tally(v).clicks()) + PRIOR_CLICKS))
        }),
        of("user_session_clicks", "mean clicks of a session", "clicks", |v| {
            per_session(v, f64::from(tally(v).clicks()))
        }),
        of("user_session_seconds", "mean length of a session", "seconds", |v| {
            per_session(v, v.user.history.seconds as f64)
        }),
        of("user_since_first", "since the user's first click", "seconds", |v| v.user.since_first),
        of("user_since_session", "from the end of the session before to the start of this one", "seconds", |v| {
            v.user.since_session
        }),
        of("user_since_purchase", "since the last purchase of an earlier session", "seconds", |v| {
            v.user.since_purchase
        }),
        of("user_session_gap", "mean time from one session to the next: how often the user comes", "seconds", |v| {
            per_session(v, v.user.since_first?)
        }),
    ]
}

fn last_session() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::User, value);
    vec![
        of("last_clicks", "clicks of the session before", "clicks", |v| last(v, |tally| tally.clicks())),
        of("last_carts", "items put into the cart in the session before", "clicks", |v| last(v, |tally| tally.carts)),
        of("last_purchases", "purchases of the session before", "clicks", |v| last(v, |tally| tally.purchases)),
        of("last_seconds", "length of the session before", "seconds", |v| {
            v.user.last.map(|ended: Ended| f64::from(ended.seconds))
        }),
    ]
}

fn memory() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Memory, value);
    vec![
        of("user_item_clicks", "the user's clicks on this item before", "clicks", |v| count(v.item.clicks)),
        of("user_item_carts", "how often the user put it into the cart before", "clicks", |v| count(v.item.carts)),
        of("user_item_favourites", "how often it was marked a favourite before", "clicks", |v| {
            count(v.item.favourites)
        }),
        of("user_item_purchases", "how often the user bought it before", "clicks", |v| count(v.item.purchases)),
        of("user_category_clicks", "the user's clicks in this category before", "clicks", |v| {
            known(v, v.category.clicks)
        }),
        of("user_category_carts", "items of this category put into the cart before", "clicks", |v| {
            known(v, v.category.carts)
        }),
        of("user_category_favourites", "favourites in this category before", "clicks", |v| {
            known(v, v.category.favourites)
        }),
        of("user_category_purchases", "purchases in this category before", "clicks", |v| {
            known(v, v.category.purchases)
        }),
    ]
}

fn tally(view: &View) -> Tally {
    view.user.history.tally.unwrap_or_default()
}

fn last(view: &View, of: fn(&Tally) -> u32) -> Option<f64> {
    view.user.last.map(|ended| f64::from(of(&ended.tally.unwrap_or_default())))
}

fn per_session(view: &View, sum: f64) -> Option<f64> {
    let sessions = view.user.history.sessions;
    (sessions > 0).then(|| sum / f64::from(sessions))
}

fn known(view: &View, number: u32) -> Option<f64> {
    (view.last.category != 0).then_some(f64::from(number))
}

fn count(number: u32) -> Option<f64> {
    Some(f64::from(number))
}
