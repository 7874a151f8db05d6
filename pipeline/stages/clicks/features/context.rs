//! What all users of the partition do to this item and in this category.

use super::super::state::Entity;
use super::super::view::View;
use super::{Feature, Window, feature};

pub fn features() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Partition, value);
    vec![
        of("item_seen", "clicks on the item so far", "clicks", |v| Some(v.known.item.clicks as f64)),
        of("item_conversion", "purchases a click on the item", "share", |v| {
            Some(v.known.item.conversion(&v.known.all))
        }),
        of("item_interest", "carts and favourites a click on the item", "share", |v| {
            Some(v.known.item.interest(&v.known.all))
        }),
        feature("item_popularity", "the item's part of a thousand clicks", "per mille", Window::Day, |v| {
            Some(v.known.item.popularity(&v.known.all, v.last.at_ms))
        }),
        of("category_conversion", "purchases a click in the category", "share", |v| rate(v, Entity::conversion)),
        of("category_interest", "carts and favourites a click in the category", "share", |v| rate(v, Entity::interest)),
        of("category_followed", "share of clicks in the category that a purchase followed", "share", |v| {
            rate(v, Entity::followed)
        }),
        feature("category_popularity", "the category's part of a thousand clicks", "per mille", Window::Day, |v| {
            (v.last.category != 0).then(|| v.known.category.popularity(&v.known.all, v.last.at_ms))
        }),
        of("category_price_spread", "standard deviation of the category's prices over their mean", "ratio", |v| {
            v.known.category.price_spread()
        }),
    ]
}

/// Rates are drawn towards the partition's own by twenty clicks.
fn rate(view: &View, of: fn(&Entity, &Entity) -> f64) -> Option<f64> {
    (view.last.category != 0).then(|| of(&view.known.category, &view.known.all))
}
