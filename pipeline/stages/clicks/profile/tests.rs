//! A profile says what its fields say.

use super::super::tests::click;
use super::super::{Observed, Rules, kinds, observe};
use super::*;
use crate::state::{InMemory, State};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

struct Partition {
    state: InMemory,
    rules: Rules,
}

impl Partition {
    fn new() -> Self {
        let rules = Rules::default();
        Self { state: State::in_memory(&kinds(), rules.grace_ms), rules }
    }

    /// A click on an item, whose first letter is its category.
    fn see(&mut self, user: &str, at_ms: i64, action: &str, item: &str, price: Option<f64>) -> Seen {
        let mut click = click(user, at_ms, action, item);
        click.event.price = price;
        click.event.brand = Some(format!("brand-{}", &item[1..]));
        let observed = self.state.observe(|view| observe(view, &self.rules, &click, &mut Vec::new()));
        match observed {
            Observed::Counted(_, seen) => seen,
            late => panic!("{late:?}"),
        }
    }

    fn profile(&mut self, user: &str, at_ms: i64, action: &str, item: &str) -> Option<v1::Profile> {
        self.see(user, at_ms, action, item, None).profile.map(|profile| *profile)
    }
}

#[test]
fn a_profile_comes_with_a_session_with_a_purchase_and_once_an_interval() {
    let mut partition = Partition::new();
    let interval = partition.rules.profile_interval_ms;
    let mut comes = |at_ms: i64, action: &str| partition.profile("u", at_ms, action, "a1").is_some();
    assert!(comes(MINUTE, "view"), "a session opens");
    assert!(!comes(MINUTE + 1, "cart"));
    assert!(comes(MINUTE + 2, "purchase"));
    assert!(!comes(MINUTE + 1 + interval, "view"), "the purchase brought one less than an interval ago");
    assert!(comes(MINUTE + 2 + interval, "view"));
    assert!(!comes(MINUTE + 3 + interval, "view"));
    assert!(comes(40 * MINUTE, "view"), "the next session");
}

#[test]
fn interests_weigh_what_is_rare_more_and_what_is_old_less() {
    let mut partition = Partition::new();
    let shares = |interests: &[v1::Interest]| -> Vec<(String, f64)> {
        interests.iter().map(|interest| (interest.name.clone(), interest.share)).collect()
    };
    partition.profile("u", DAY, "view", "a1");
    let profile = partition.profile("u", DAY + 5 * MINUTE, "cart", "b2").expect("an interval has passed");
    // A cart weighs 4.2 views.
    let named = |names: [&str; 2], of: [f64; 2]| vec![(names[0].to_owned(), of[0]), (names[1].to_owned(), of[1])];
    assert_eq!(shares(&profile.categories), named(["b", "a"], [0.8077, 0.1923]));
    assert_eq!(shares(&profile.brands), named(["brand-2", "brand-1"], [0.8077, 0.1923]));
    // Two weeks later both weigh half: 0.5 + 1 of 0.5 + 1 + 2.1004, since the cart came five minutes after the view.
    let profile = partition.profile("u", 15 * DAY, "view", "a1").expect("a session opens");
    assert_eq!(shares(&profile.categories), named(["b", "a"], [0.5834, 0.4166]));
}

#[test]
fn what_is_spent_and_at_what_prices_is_told() {
    let mut partition = Partition::new();
    for minute in 0..5 {
        partition.see("others", DAY + minute * MINUTE, "view", "a1", Some(100.0));
    }
    let none = partition.profile("u", DAY, "view", "a1").expect("a session opens");
    assert_eq!((none.value, none.price_level), (None, None));
    partition.see("u", DAY + MINUTE, "view", "a2", Some(50.0));
    let seen = partition.see("u", DAY + 2 * MINUTE, "purchase", "a2", Some(50.0));
    let profile = seen.profile.expect("a purchase");
    assert_eq!(profile.value, Some(50.0));
    // 50 of a mean of 100, then of a mean of 550 ÷ 6: the square root of 0.5 · 0.5455.
    assert_eq!(profile.price_level, Some(0.5222));
    assert_eq!((profile.sessions, profile.buying_sessions, profile.clicks, profile.purchases), (1, 1, 3, 1));
    assert_eq!(profile.last_purchase_time, profile.last_time);
    assert_eq!(profile.hours.iter().sum::<f64>(), 1.0);
    assert_eq!(profile.hours[0], 1.0);
}

#[test]
fn the_numbers_of_segments_are_finite_from_the_first_click_on() {
    let mut partition = Partition::new();
    for (at, action) in ["impression", "remove", "view", "purchase", "favourite"].into_iter().enumerate() {
        let seen = partition.see("u", at as i64, action, "a1", None);
        assert_eq!(seen.row.len(), SEGMENT_FEATURES.len());
        assert!(seen.row.iter().all(|number| number.is_finite()), "{action}: {:?}", seen.row);
    }
}
