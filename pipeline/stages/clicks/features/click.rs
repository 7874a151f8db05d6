//! The click itself: what, when, at which price.

use super::super::counts::local_time;
use super::super::view::View;
use super::{Feature, Window, feature};
use crate::event::v1::Action;

pub fn features() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Click, value);
    vec![
        of("is_view", "the last click is a view", "0 or 1", |v| is(v, Action::View)),
        of("is_cart", "… puts an item into the cart", "0 or 1", |v| is(v, Action::Cart)),
        of("is_favourite", "… marks a favourite", "0 or 1", |v| is(v, Action::Favourite)),
        of("is_purchase", "… buys", "0 or 1", |v| is(v, Action::Purchase)),
        of("hour", "time of day on the shop's clocks (`clicks.utc_offset_minutes`)", "hours", |v| {
            Some(local_time(v.last.at_ms, v.rules).0)
        }),
        of("weekday", "day of the week on the shop's clocks, 0 is Monday", "days", |v| {
            Some(local_time(v.last.at_ms, v.rules).1)
        }),
        of("price", "the item's price", "the shop's currency", price),
        of("price_to_category", "the item's price over the mean price clicked in its category so far", "ratio", |v| {
            Some(price(v)? / v.known.category.price_mean()?)
        }),
        of("price_to_session", "the item's price over the mean price clicked in the session", "ratio", |v| {
            (v.session.prices > 0).then_some(price(v)? * f64::from(v.session.prices) / v.session.price_sum)
        }),
    ]
}

fn is(view: &View, action: Action) -> Option<f64> {
    Some(f64::from(u8::from(view.last.action() == action)))
}

fn price(view: &View) -> Option<f64> {
    (view.last.price > 0.0).then_some(f64::from(view.last.price))
}
