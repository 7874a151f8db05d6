//! The stage's promises: the order of arrival within the grace does not matter, what is remembered suffices, and every
//! feature says what its meaning says.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use proptest::prelude::*;

use super::features::{FEATURES, MISSING};
use super::state::{CATEGORIES, CATEGORIES_MAX, CLICKS_MAX, ITEMS_MAX, Past, USERS, User};
use super::*;
use crate::event::json::Named;
use crate::event::v1;
use crate::state::{Kinds, State, View};

const MINUTE: i64 = 60_000;

pub fn click(user: &str, at_ms: i64, action: &str, item: &str) -> Click {
    let action = v1::Action::from_name(action).unwrap();
    let event_time = Some(prost_types::Timestamp {
        seconds: at_ms.div_euclid(1000),
        nanos: (at_ms.rem_euclid(1000) * 1_000_000) as i32,
    });
    let category = item.chars().next().map(|first| first.to_string());
    let (user, item) = (user.to_string(), item.to_string());
    Click::new(v1::Click { user, item, category, action: action.into(), event_time, ..v1::Click::default() })
}

/// A partition's state, committed after each click, with its rules and its changelog.
struct Partition {
    rules: Rules,
    state: State,
    sequence: u64,
    changelog: BTreeMap<Bytes, Bytes>,
}

impl Partition {
    fn new() -> Self {
        let rules = Rules::default();
        let state = State::unbounded(Kinds::new(&kinds()), rules.grace_ms);
        Self { rules, state, sequence: 0, changelog: BTreeMap::new() }
    }

    fn observe(&mut self, click: &Click) -> (Observed, Vec<f32>) {
        let (mut row, rules) = (Vec::new(), self.rules);
        let observed = self.see(|tables| observe(tables, &rules, click, &mut row));
        (observed, row)
    }

    fn see<R>(&mut self, look: impl FnOnce(&mut View<'_>) -> R) -> R {
        self.sequence += 1;
        let seen = self.state.observe(self.sequence, look);
        for (key, value) in self.state.cut(self.sequence) {
            match value {
                Some(value) => drop(self.changelog.insert(key, value.bytes().clone())),
                None => drop(self.changelog.remove(&key)),
            }
        }
        self.state.committed();
        seen
    }

    /// Loses everything but the changelog.
    fn rebuild(&mut self) {
        self.state = State::unbounded(Kinds::new(&kinds()), self.rules.grace_ms);
        for (key, value) in &self.changelog {
            self.state.restore(key.clone(), Some(value.clone())).unwrap();
        }
        self.state.restored().unwrap();
    }

    fn user(&mut self, name: &str) -> User {
        self.see(|tables| USERS.get(tables, name)).unwrap_or_default()
    }
}

fn feature(row: &[f32], name: &str) -> f32 {
    row[FEATURES.iter().position(|feature| feature.name == name).unwrap_or_else(|| panic!("no feature {name}"))]
}

/// Clicks of a few users over some hours, with pauses around the gap, in order of time.
fn clicks(rng: &mut Rng) -> Vec<Click> {
    let actions = ["view", "view", "view", "view", "cart", "favourite", "purchase", "remove"];
    let mut at_ms = 1_511_539_217_000;
    (0..rng.usize(1..80))
        .map(|_| {
            at_ms += if rng.u8(..6) == 0 { rng.i64(25..45) * MINUTE } else { rng.i64(1..4 * MINUTE) };
            let (user, item) = (rng.char('u'..'x').to_string(), format!("{}{}", rng.char('a'..'d'), rng.u8(..3)));
            let mut click = click(&user, at_ms, actions[rng.usize(..actions.len())], &item);
            click.event.price = rng.bool().then(|| f64::from(rng.u32(1..500)));
            click
        })
        .collect()
}

/// The same clicks as they may arrive where none is later than the grace.
fn delayed(clicks: &[Click], rules: &Rules, rng: &mut Rng) -> Vec<Click> {
    let mut arrivals: Vec<_> =
        clicks.iter().map(|click| (click.at_ms + rng.i64(0..=rules.grace_ms), click.clone())).collect();
    arrivals.sort_by_key(|(arrival_ms, _)| *arrival_ms);
    arrivals.into_iter().map(|(_, click)| click).collect()
}

/// A user's sessions without what tells how they came about.
fn sessions(mut user: User) -> (Vec<Vec<Past>>, Option<super::state::History>) {
    user.close(i64::MAX - 1, &Rules { gap_ms: 0, ..Rules::default() });
    (user.sessions.into_iter().map(|session| session.clicks).collect(), user.history)
}

proptest! {
    #[test]
    fn sessions_do_not_depend_on_the_order_of_arrival_within_the_grace(seed: u64) {
        let rng = &mut Rng::with_seed(seed);
        let clicks = clicks(rng);
        let (mut in_order, mut late) = (Partition::new(), Partition::new());
        clicks.iter().for_each(|click| drop(in_order.observe(click)));
        for click in delayed(&clicks, &late.rules, rng) {
            let (observed, _) = late.observe(&click);
            prop_assert!(matches!(observed, Observed::Counted(..)), "{observed:?}");
        }
        for user in ["u", "v", "w"] {
            prop_assert_eq!(sessions(in_order.user(user)), sessions(late.user(user)));
        }
    }

    #[test]
    fn what_is_remembered_suffices(seed: u64) {
        let rng = &mut Rng::with_seed(seed);
        let (clicks, mut straight, mut interrupted) = (clicks(rng), Partition::new(), Partition::new());
        for click in delayed(&clicks, &straight.rules, rng) {
            let (observed, row) = straight.observe(&click);
            let (again, same) = interrupted.observe(&click);
            prop_assert_eq!((observed, &row), (again, &same));
            prop_assert_eq!(row.len(), FEATURES.len());
            prop_assert!(row.iter().all(|value| *value == MISSING || *value >= 0.0), "{row:?}");
            if rng.u8(..5) == 0 {
                interrupted.rebuild();
            }
        }
        prop_assert_eq!(straight.changelog, interrupted.changelog);
    }
}

#[test]
fn a_late_click_goes_where_its_time_says() {
    let mut partition = Partition::new();
    let mut observe =
        |at: i64, action: &str, item: &str| match partition.observe(&click("u", at * MINUTE, action, item)) {
            (Observed::Counted(session, _), row) => (session, row),
            (late, _) => panic!("{late:?}"),
        };
    let (first, _) = observe(0, "view", "a1");
    let (second, _) = observe(35, "view", "b1");
    assert_ne!(first.id, second.id);
    assert_eq!((second.revision, second.tally.clicks()), (0, 1));
    let (merged, row) = observe(28, "cart", "a2");
    assert_eq!((merged.id, merged.merged, merged.revision), (first.id, Some(second.id), 1));
    assert_eq!((merged.first_ms, merged.last_ms, merged.tally.clicks()), (0, 35 * MINUTE, 3));
    assert_eq!([feature(&row, "clicks"), feature(&row, "is_view"), feature(&row, "since_cart")], [3.0, 1.0, 420.0]);
    let (bought, _) = observe(36, "purchase", "a2");
    assert_eq!((bought.revision, bought.merged), (1, None));
    let (after, row) = observe(40, "view", "a2");
    assert_eq!((after.id, after.tally.purchases), (first.id, 1), "a purchase ends nothing");
    assert_eq!([feature(&row, "since_purchase"), feature(&row, "user_item_purchases")], [240.0, 1.0]);
}

#[test]
fn a_click_after_the_grace_moves_nothing() {
    let mut partition = Partition::new();
    let _ = partition.observe(&click("u", 60 * MINUTE, "view", "a1"));
    let before = partition.user("u");
    let at_grace = partition.observe(&click("v", 50 * MINUTE, "view", "a1")).0;
    assert!(matches!(at_grace, Observed::Counted(..)), "{at_grace:?}");
    let (too_late, row) = partition.observe(&click("u", 50 * MINUTE - 1, "view", "a1"));
    assert_eq!((too_late, row), (Observed::TooLate { by_ms: 1 }, vec![]));
    assert_eq!(partition.user("u"), before);
}

#[test]
fn features_say_what_they_mean() {
    let mut partition = Partition::new();
    let plays = [
        ("u", 0, "view", "a1", 10.0),
        ("u", 1, "cart", "a1", 10.0),
        ("v", 2, "view", "a2", 30.0),
        ("u", 100, "view", "b1", 5.0),
        ("u", 102, "view", "a2", 30.0),
        ("u", 103, "view", "a1", 20.0),
        ("u", 107, "view", "a1", 20.0),
    ];
    let mut row = Vec::new();
    for (user, at, action, item, price) in plays {
        let mut click = click(user, at * MINUTE, action, item);
        click.event.price = Some(price);
        row = partition.observe(&click).1;
    }
    let check = |name: &str, expected: f32| {
        let found = feature(&row, name);
        assert!((found - expected).abs() < 1e-4, "{name}: {found}, expected {expected}");
    };
    for (name, expected) in [
        ("clicks", 4.0),
        ("views", 4.0),
        ("carts", 0.0),
        ("items", 3.0),
        ("categories", 2.0),
        ("repeats", 1.0),
        ("switches", 1.0),
        ("seconds", 420.0),
        ("gap", 240.0),
        ("gap_longest", 240.0),
        ("gap_mean", 140.0),
        ("since_cart", -1.0),
        ("item_clicks", 2.0),
        ("category_clicks", 3.0),
        ("category_share", 0.75),
        ("category_items", 2.0),
        ("category_seconds", 300.0),
        ("run", 3.0),
        ("clicks_5_minutes", 3.0),
        ("price", 20.0),
        ("price_to_category", 20.0 / (10.0 + 10.0 + 30.0 + 30.0 + 20.0) * 5.0),
        ("price_to_session", 20.0 / 75.0 * 4.0),
        ("price_range", 6.0),
        ("cart_items", 1.0),
        ("cart_value", 10.0),
        ("cart_since_first", 106.0 * 60.0),
        ("cart_holds_item", 1.0),
        ("user_sessions", 1.0),
        ("user_clicks", 2.0),
        ("user_carts", 1.0),
        ("user_purchases", 0.0),
        ("user_bought_rate", 0.1 / 3.0),
        ("user_since_session", 99.0 * 60.0),
        ("user_since_purchase", -1.0),
        ("user_session_seconds", 60.0),
        ("last_clicks", 2.0),
        ("last_carts", 1.0),
        ("user_item_clicks", 3.0),
        ("user_item_carts", 1.0),
        ("user_category_clicks", 4.0),
        ("item_seen", 3.0),
        ("item_interest", (1.0 + 20.0 / 6.0) / 23.0),
        ("item_popularity", 500.0),
        ("category_conversion", 0.0),
        ("hour", 107.0 / 60.0),
        ("weekday", 3.0),
        ("step_0_ago", 0.0),
        ("step_1_ago", 240.0),
        ("step_2_same_item", 0.0),
        ("step_2_same_category", 1.0),
        ("step_3_new_category", 1.0),
        ("step_4_action", -1.0),
    ] {
        check(name, expected);
    }
}

#[test]
fn clicks_that_a_purchase_followed_are_counted_when_it_comes() {
    let mut partition = Partition::new();
    for (at, action, item) in [(0, "view", "a1"), (1, "view", "b1"), (2, "purchase", "b1"), (3, "view", "a1")] {
        let _ = partition.observe(&click("u", at * MINUTE, action, item));
    }
    let (a, b) = partition.see(|tables| {
        (CATEGORIES.get(tables, &Id::of("a").0).unwrap(), CATEGORIES.get(tables, &Id::of("b").0).unwrap())
    });
    assert_eq!([(a.clicks, a.followed), (b.clicks, b.followed)], [(2, 1), (2, 1)]);
}

#[test]
fn a_user_who_never_stops_is_remembered_within_bounds() {
    let mut partition = Partition::new();
    let mut last = None;
    for step in 0..3 * CLICKS_MAX {
        let (observed, row) = partition.observe(&click("bot", step as i64 * 1000, "cart", &format!("{}", step % 300)));
        last = Some((observed, row));
    }
    let Some((Observed::Counted(session, _), row)) = last else { panic!("{last:?}") };
    assert_eq!(session.tally.carts as usize, 3 * CLICKS_MAX);
    assert_eq!((session.first_ms, feature(&row, "seconds")), (0, 3.0 * CLICKS_MAX as f32 - 1.0));
    let user = partition.user("bot");
    assert_eq!((user.sessions[0].clicks.len(), user.items.len()), (CLICKS_MAX, ITEMS_MAX));
    assert!(user.categories.len() <= CATEGORIES_MAX);
}

#[test]
fn names_of_features_are_distinct() {
    let mut names: Vec<_> = FEATURES.iter().map(|feature| feature.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), FEATURES.len());
}
