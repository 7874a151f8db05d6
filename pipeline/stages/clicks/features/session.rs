//! The session so far: counts, times, what it keeps coming back to, what lies in the cart.

use super::super::view::View;
use super::{Feature, Window, feature};

pub fn features() -> Vec<Feature> {
    [counts(), times(), category(), prices(), cart()].concat()
}

fn counts() -> Vec<Feature> {
    let of = |name, meaning, value| feature(name, meaning, "clicks", Window::Session, value);
    vec![
        of("clicks", "clicks of any kind", |v| whole(v.session.tally.clicks())),
        of("views", "views", |v| whole(v.session.tally.views)),
        of("carts", "items put into the cart", |v| whole(v.session.tally.carts)),
        of("favourites", "favourites marked", |v| whole(v.session.tally.favourites)),
        of("purchases", "purchases", |v| whole(v.session.tally.purchases)),
        of("impressions", "recommendations shown", |v| whole(v.session.tally.impressions)),
        of("removes", "items taken out of the cart", |v| whole(v.session.tally.removes)),
        of("clicks_5_minutes", "clicks of the last five minutes", |v| whole(v.session.clicks_5_minutes)),
        of("repeats", "clicks on an item that had been clicked before in the session", |v| whole(v.session.repeats)),
        of("switches", "clicks in another category than the click before", |v| whole(v.session.switches)),
        feature("items", "distinct items", "items", Window::Session, |v| whole(v.session.items)),
        feature("categories", "distinct categories", "categories", Window::Session, |v| whole(v.session.categories)),
    ]
}

fn times() -> Vec<Feature> {
    let of = |name, meaning, value| feature(name, meaning, "seconds", Window::Session, value);
    vec![
        of("seconds", "from the first click to the last", |v| Some(v.session.seconds)),
        of("gap", "between the last two clicks: the dwell on what was clicked before", |v| v.session.gap),
        of("gap_mean", "mean dwell", |v| mean(v.session.seconds, v.session.tally.clicks().saturating_sub(1))),
        of("gap_longest", "longest dwell", |v| v.session.gap_longest),
        of("since_cart", "since the last item put into the cart", |v| v.session.since_cart),
        of("since_favourite", "since the last favourite", |v| v.session.since_favourite),
        of("since_purchase", "since the last purchase", |v| v.session.since_purchase),
    ]
}

fn category() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Session, value);
    vec![
        of("item_clicks", "clicks on the last click's item", "clicks", |v| whole(v.session.item_clicks)),
        of("category_clicks", "clicks in its category", "clicks", |v| known(v, v.session.category_clicks)),
        of("category_share", "… as a share of all clicks", "share", |v| {
            mean(known(v, v.session.category_clicks)?, v.session.tally.clicks())
        }),
        of("category_items", "distinct items of its category", "items", |v| known(v, v.session.category_items)),
        of("category_carts", "items of its category put into the cart", "clicks", |v| {
            known(v, v.session.category_carts)
        }),
        of("category_favourites", "favourites in its category", "clicks", |v| known(v, v.session.category_favourites)),
        of("category_purchases", "purchases in its category", "clicks", |v| known(v, v.session.category_purchases)),
        of("category_seconds", "dwell in its category", "seconds", |v| {
            (v.last.category != 0).then_some(v.session.category_seconds)
        }),
        of("run", "clicks in a row in its category", "clicks", |v| known(v, v.session.run)),
    ]
}

fn prices() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Session, value);
    vec![
        of("price_mean", "mean price of what was clicked", "the shop's currency", |v| {
            mean(v.session.price_sum, v.session.prices)
        }),
        of("price_range", "highest price clicked over the lowest", "ratio", |v| {
            (v.session.prices > 0).then(|| v.session.price_highest / v.session.price_lowest)
        }),
    ]
}

fn cart() -> Vec<Feature> {
    let of = |name, meaning, unit, value| feature(name, meaning, unit, Window::Memory, value);
    vec![
        of("cart_items", "items that lie in the cart, from earlier sessions too", "items", |v| whole(v.cart.items)),
        of("cart_value", "what they cost, as far as prices are known", "the shop's currency", |v| Some(v.cart.value)),
        of("cart_since_first", "since the first of them was put there", "seconds", |v| v.cart.since_first),
        of("cart_since_last", "since the last of them was put there", "seconds", |v| v.cart.since_last),
        of("cart_holds_item", "the last click's item lies in the cart", "0 or 1", |v| {
            Some(f64::from(u8::from(v.cart.holds_item)))
        }),
    ]
}

fn known(view: &View, count: u32) -> Option<f64> {
    (view.last.category != 0).then_some(f64::from(count))
}

fn whole(count: u32) -> Option<f64> {
    Some(f64::from(count))
}

fn mean(sum: f64, count: u32) -> Option<f64> {
    (count > 0).then(|| sum / f64::from(count))
}
