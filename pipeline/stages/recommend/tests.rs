//! The parts together: counts are exact whatever the order, the partitions and the cuts; rules hold whatever is counted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::decayed::Decayed;
use super::offline::Shop;
use super::*;
use crate::config;
use crate::event::v1;
use crate::stages::Stage;
use crate::state::{InMemory, ReadTables as _, State};

const START_MS: i64 = 1_795_341_600_000;
const HOUR_MS: i64 = 3_600_000;

fn rules() -> Rules {
    let settings = config::load(None, &[], [("HOSTNAME".to_owned(), "host".to_owned())].into_iter()).unwrap();
    Rules::from(&settings.recommendations)
}

fn click_of(user: &str, item: &str, category: &str, action: v1::Action, after_ms: i64) -> Click {
    let at_ms = START_MS + after_ms;
    Click::new(v1::Click {
        event_id: format!("{user}-{item}-{after_ms}"),
        event_time: Some(prost_types::Timestamp { seconds: at_ms / 1000, nanos: (at_ms % 1000) as i32 * 1_000_000 }),
        user: user.into(),
        item: item.into(),
        category: (!category.is_empty()).then(|| category.to_owned()),
        action: action.into(),
        ..Default::default()
    })
}

fn view(user: &str, item: &str, after_ms: i64) -> Click {
    click_of(user, item, "c", v1::Action::View, after_ms)
}

fn shop(rules: Rules) -> Shop {
    Shop::new(rules, 1, 1, 0)
}

fn settled(rules: Rules, partitions: usize, owners: usize, clicks: &[Click]) -> Shop {
    settled_by(Shop::new(rules, partitions, owners, 0), clicks)
}

fn settled_by(mut shop: Shop, clicks: &[Click]) -> Shop {
    clicks.iter().for_each(|click| drop(shop.click(click)));
    shop.settle(START_MS + 1000 * HOUR_MS);
    assert_eq!(shop.fault().map(ToString::to_string), None);
    shop
}

fn names(items: &[Candidate]) -> Vec<&str> {
    items.iter().map(|item| item.item.as_str()).collect()
}

fn recommended(shop: &mut Shop, user: &str, after_ms: i64) -> Vec<Candidate> {
    let visitor = shop.visitor(user);
    recommend(&visitor, shop.lists(), shop.rules(), START_MS + after_ms)
}

/// What the clicks say, computed the plain way: of every way from one item to another, and of every item, what weighs most
/// among a user's clicks of a period.
fn counted_plainly(rules: &Rules, clicks: &[Click]) -> BTreeMap<Anchor, BTreeMap<String, Decayed>> {
    let learning = &rules.learning;
    let period = |click: &Click| learning.fading(true).period(click.at_ms);
    let mut most: BTreeMap<(Anchor, &str, &str, i64), BTreeMap<i64, u64>> = BTreeMap::new();
    let mut add = |anchor: Anchor, name, of: &Click, user, weight: u64| {
        let own = learning.fading(anchor.is_popularity()).period(of.at_ms);
        let periods = most.entry((anchor, name, user, period(of))).or_default();
        // All clicks of a period of popularity are of one period of what is seen together, in these tests.
        let most = periods.entry(own).or_default();
        *most = weight.max(*most);
    };
    // A user counts once for a way from an item to another, which adds to both.
    let mut ways: BTreeMap<(&str, &str, &str, i64), (u64, &Click)> = BTreeMap::new();
    for (place, later) in clicks.iter().enumerate() {
        let weight = |apart: i64| {
            decayed::units(learning.weights.of(later.action) / (1.0 + apart as f64 / learning.pair_delay_ms as f64))
        };
        let before = clicks[..place].iter().filter(|earlier| earlier.event.user == later.event.user);
        for earlier in before.filter(|earlier| later.at_ms - earlier.at_ms <= learning.pair_window_ms) {
            if earlier.event.item == later.event.item {
                continue;
            }
            let weight = weight(later.at_ms - earlier.at_ms);
            let way = (&*later.event.user, &*earlier.event.item, &*later.event.item, period(later));
            let most = ways.entry(way).or_insert((weight, later));
            *most = if weight > most.0 { (weight, later) } else { *most };
        }
        let (item, user) = (&*later.event.item, &*later.event.user);
        add(Anchor::Shop, item, later, user, weight(0));
        if let Some(category) = &later.event.category {
            add(Anchor::category(category), item, later, user, weight(0));
        }
    }
    let mut counts: BTreeMap<Anchor, BTreeMap<String, Decayed>> = BTreeMap::new();
    let mut sum = |anchor: Anchor, name: &str, period: i64, weight: u64| {
        counts.entry(anchor).or_default().entry(name.to_owned()).or_default().add(period, weight);
    };
    for ((anchor, name, _, _), periods) in most {
        periods.into_iter().for_each(|(period, weight)| sum(anchor.clone(), name, period, weight));
    }
    for ((_, from, to, _), (weight, later)) in ways {
        let reverse = decayed::units(weight as f64 / decayed::UNIT * learning.reverse_weight);
        let period = learning.fading(false).period(later.at_ms);
        sum(Anchor::item(from), to, period, weight);
        sum(Anchor::item(to), from, period, reverse);
    }
    for names in counts.values_mut() {
        let newest = names.values().map(Decayed::newest).max().unwrap_or_default();
        names.values_mut().for_each(|weight| weight.forget(newest));
        names.retain(|_, weight| !weight.is_empty());
    }
    counts
}

fn counted(anchored: owner::Anchored) -> BTreeMap<String, Decayed> {
    let counted = anchored.names.into_iter().filter_map(|kept| kept.counted);
    let text = |name: bytes::Bytes| String::from_utf8(name.to_vec()).unwrap();
    counted.map(|counted| (text(counted.name), counted.weight.unwrap_or_default())).collect()
}

/// Clicks in the order of their times: who, what, minutes since the one before.
fn any_clicks() -> impl Strategy<Value = Vec<Click>> {
    prop::collection::vec((0u8..5, 0u8..9, 0u8..4, 0i64..90), 1..60).prop_map(|parts| {
        let actions = [v1::Action::View, v1::Action::Cart, v1::Action::Favourite, v1::Action::Purchase];
        let mut at_ms = 0;
        let click = |(user, item, action, minutes): (u8, u8, u8, i64)| {
            at_ms += minutes * 60_000;
            let (user, item, category) = (format!("u{user}"), format!("i{item}"), format!("c{}", item % 3));
            click_of(&user, &item, &category, actions[usize::from(action)], at_ms)
        };
        parts.into_iter().map(click).collect()
    })
}

/// So many that no pair is left out for want of room.
fn roomy() -> Rules {
    let mut rules = rules();
    rules.learning.pair_clicks_max = 64;
    rules.learning.neighbours_max = 64;
    rules
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counts_are_exact_over_partitions_and_owners(
        clicks in any_clicks(), partitions in 1usize..5, owners in 1usize..4, epoch in 1usize..20,
        publish_ms in 0i64..7_200_000,
    ) {
        let mut rules = roomy();
        rules.learning.publish_ms = publish_ms;
        let shop = Shop::new(rules.clone(), partitions, owners, 0).epochs_of(epoch);
        let mut shop = settled_by(shop, &clicks);
        for (anchor, expected) in counted_plainly(&rules, &clicks) {
            let anchored = shop.anchored(&anchor).unwrap_or_default();
            let mut total = Decayed::default();
            expected.values().for_each(|weight| total.merge(weight));
            prop_assert_eq!(anchored.total.as_ref(), Some(&total), "{:?}", anchor);
            prop_assert_eq!(anchored.missed, None);
            prop_assert_eq!(counted(anchored), expected, "{:?}", anchor);
        }
    }

    #[test]
    fn late_clicks_are_paired_as_if_they_had_come_in_time(clicks in any_clicks(), seed in any::<u64>()) {
        let rules = roomy();
        let mut shuffled = clicks.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        // Of clicks at the same time the order is that of arrival, and says which of two is the earlier.
        shuffled.sort_by_key(|click| click.at_ms / (6 * HOUR_MS));
        let key = |click: &Click| (click.at_ms, click.event.user.clone());
        let distinct: BTreeSet<_> = clicks.iter().map(key).collect();
        prop_assume!(distinct.len() == clicks.len());
        let mut in_order = settled(rules.clone(), 2, 2, &clicks);
        let mut late = settled(rules.clone(), 3, 1, &shuffled);
        for anchor in counted_plainly(&rules, &clicks).into_keys() {
            prop_assert_eq!(in_order.anchored(&anchor), late.anchored(&anchor), "{:?}", anchor);
        }
    }

    /// Of one user, whatever they click in whatever order: the items' weights of an hour, and with clicks in order those of
    /// pairs.
    #[test]
    fn what_one_user_adds_is_bounded(
        parts in prop::collection::vec((0u8..6, 0u8..4, 0i64..9_000), 1..400), in_order in any::<bool>(),
    ) {
        let actions = [v1::Action::View, v1::Action::Cart, v1::Action::Favourite, v1::Action::Purchase];
        let mut clicks: Vec<Click> = parts.into_iter().map(|(item, action, seconds)| {
            click_of("u", &format!("i{item}"), "c", actions[usize::from(action)], seconds * 1000)
        }).collect();
        if in_order {
            clicks.sort_by_key(|click| click.at_ms);
        }
        let rules = rules();
        let mut shop = settled(rules.clone(), 1, 1, &clicks);
        let most = decayed::units(rules.learning.weights.purchase);
        for anchor in [Anchor::Shop, Anchor::category("c")] {
            for (name, weight) in counted(shop.anchored(&anchor).unwrap()) {
                prop_assert!(weight.by_period().all(|(_, weight)| weight <= most), "{:?}: {} {:?}", anchor, name, weight);
            }
        }
        // A period of what is seen together is longer than all of the test, which lies in three of popularity.
        let both = 2 * decayed::units(rules.learning.weights.purchase);
        for item in 0..6 {
            let Some(anchored) = shop.anchored(&Anchor::item(&format!("i{item}"))).filter(|_| in_order) else { continue };
            for (name, weight) in counted(anchored) {
                let weight: u64 = weight.by_period().map(|(_, weight)| weight).sum();
                prop_assert!(weight <= 3 * both, "i{}: {} {}", item, name, weight);
            }
        }
    }

    #[test]
    fn what_a_full_list_misses_is_known(clicks in any_clicks(), neighbours_max in 1usize..3) {
        let mut rules = roomy();
        rules.learning.neighbours_max = neighbours_max;
        // Parts of few names, so that names come and go.
        rules.learning.publish_ms = 0;
        let mut shop = settled(rules.clone(), 3, 2, &clicks);
        let room = owner::KEPT * neighbours_max;
        for (anchor, expected) in counted_plainly(&rules, &clicks) {
            let anchored = shop.anchored(&anchor).unwrap_or_default();
            prop_assert!(anchored.names.len() <= room + room / 4);
            let newest = anchored.total.clone().unwrap_or_default().newest();
            let list = anchored.list(rules.learning.fading(anchor.is_popularity()), usize::MAX);
            let kept = counted(anchored);
            for (name, weight) in expected {
                let there = kept.get(&name).map_or(0.0, |weight| weight.value(newest));
                let exact = weight.value(newest);
                prop_assert!(there <= exact + 1e-9 && exact <= there + list.missed + 1e-9, "{:?}: {}", anchor, name);
            }
        }
    }

    #[test]
    fn what_is_recommended_keeps_the_rules(clicks in any_clicks(), items_max in 1usize..6, share in 0.1f64..1.0) {
        let mut rules = rules();
        rules.ranking.items_max = items_max;
        rules.ranking.category_share_max = share;
        rules.business.blocked_items = ["i1".to_owned()].into();
        rules.business.blocked_categories = ["c2".to_owned()].into();
        rules.business.boosted_items = [("i3".to_owned(), 0.0)].into();
        let mut shop = shop(rules.clone());
        for click in &clicks {
            let outcome = shop.click(click);
            let visitor = shop.visitor(&click.event.user);
            let Some(recommended) = outcome.recommended else { continue };
            let items = names(&recommended.items);
            let distinct: BTreeSet<_> = items.iter().collect();
            prop_assert!(distinct.len() == items.len() && items.len() <= items_max);
            for item in &recommended.items {
                prop_assert!(item.score > 0.0 && !["i1", "i3"].contains(&item.item.as_str()) && item.category != "c2");
                let seen = visitor.visits.iter().filter(|visit| visit.item == item.item);
                prop_assert!(seen.map(|visit| visit.at_ms).all(|at| click.at_ms - at >= rules.ranking.seen_left_out_ms));
                prop_assert!(visitor.bought.iter().all(|bought| bought.item != item.item));
            }
        }
        prop_assert_eq!(shop.fault().map(ToString::to_string), None);
    }
}

#[test]
fn what_was_seen_together_is_recommended_with_its_reason() {
    let clicks = [view("a", "p", 0), view("a", "q", 60_000), view("b", "p", 120_000)];
    let mut shop = settled(rules(), 2, 2, &clicks);
    let items = recommended(&mut shop, "b", 130_000);
    assert_eq!(names(&items), ["q"], "p was seen just now");
    assert_eq!(items[0].reason, Reason::SeenTogether("p".into()));
    assert_eq!(items[0].category, "c");
}

#[test]
fn seen_and_bought_items_come_back_in_their_time() {
    let clicks = [
        view("a", "p", 0),
        click_of("a", "q", "c", v1::Action::Purchase, 60_000),
        click_of("a", "r", "d", v1::Action::View, 120_000),
    ];
    let mut shop = settled(rules(), 1, 1, &clicks);
    assert_eq!(names(&recommended(&mut shop, "a", 130_000)), [""; 0]);
    let later = recommended(&mut shop, "a", HOUR_MS);
    assert_eq!(names(&later).iter().collect::<BTreeSet<_>>(), ["p", "r"].iter().collect());
    let bought_ms = shop.rules().ranking.bought_left_out_ms;
    assert!(names(&recommended(&mut shop, "a", 60_000 + bought_ms)).contains(&"q"));
    assert!(!names(&recommended(&mut shop, "a", 59_999 + bought_ms)).contains(&"q"));
}

#[test]
fn a_new_user_is_shown_what_is_popular_and_a_new_item_is_found_after_one_click() {
    let mut clicks: Vec<Click> = (0..5).map(|user| view(&format!("u{user}"), "hit", user * 1000)).collect();
    clicks.push(view("u0", "new", 6000));
    let mut shop = settled(rules(), 3, 3, &clicks);
    let items = recommended(&mut shop, "nobody", 7000);
    assert_eq!((names(&items), &items[0].reason), (vec!["hit", "new"], &Reason::Popular { now: true }));
    let later = recommended(&mut shop, "nobody", 7000 + 2 * HOUR_MS);
    assert_eq!(later[0].reason, Reason::Popular { now: false });

    // Somebody else looks into the category of the new item, at an item that nobody has looked at.
    shop.click(&view("u9", "unknown", 8000));
    let items = recommended(&mut shop, "u9", 8000);
    assert_eq!(names(&items), ["hit", "new"]);
    assert_eq!(items[0].reason, Reason::PopularIn { category: "c".into(), now: true });
}

#[test]
fn what_is_out_of_stock_is_left_out_until_it_is_back() {
    let mut rules = rules();
    rules.business.stock_attribute = Some("in_stock".into());
    let with_stock = |mut click: Click, there: bool| {
        let value = prost_types::Value { kind: Some(ValueKind::BoolValue(there)) };
        click.event.attributes = Some(prost_types::Struct { fields: [("in_stock".to_owned(), value)].into() });
        click
    };
    let mut clicks = vec![view("a", "p", 0), with_stock(view("a", "q", 1000), false), view("b", "p", 2000)];
    let mut shop = settled(rules.clone(), 2, 2, &clicks);
    assert_eq!(names(&recommended(&mut shop, "b", 3000)), [""; 0]);
    clicks.push(with_stock(view("c", "q", 4000), true));
    let mut shop = settled(rules, 2, 2, &clicks);
    assert_eq!(names(&recommended(&mut shop, "b", 5000)), ["q"]);
}

#[test]
fn a_boost_moves_an_item_and_one_category_does_not_fill_the_list() {
    let mut clicks: Vec<Click> = (0..8).map(|item| view("a", &format!("c{item}"), item * 1000)).collect();
    clicks.extend((0..2).map(|item| click_of("a", &format!("d{item}"), "d", v1::Action::View, 9000 + item * 600_000)));
    clicks.push(view("b", "c7", 700_000));
    let mut rules = rules();
    rules.ranking.items_max = 4;
    rules.ranking.category_share_max = 0.5;
    let mut shop = settled(rules.clone(), 1, 1, &clicks);
    let items = recommended(&mut shop, "b", 700_000);
    let of = |category: &str, items: &[Candidate]| items.iter().filter(|item| item.category == category).count();
    assert_eq!([of("c", &items), of("d", &items)], [2, 2], "{items:?}");
    rules.business.boosted_items = [("d1".to_owned(), 100.0)].into();
    let mut shop = settled(rules.clone(), 1, 1, &clicks);
    assert_eq!(recommended(&mut shop, "b", 700_000)[0].item, "d1");
    rules.business.blocked_categories = ["d".to_owned()].into();
    let mut shop = settled(rules, 1, 1, &clicks);
    let items = recommended(&mut shop, "b", 700_000);
    assert_eq!(of("c", &items), 4, "a list that would stay short is filled: {items:?}");
}

#[test]
fn actions_that_say_nothing_are_not_counted() {
    let clicks = [
        view("a", "p", 0),
        click_of("a", "q", "c", v1::Action::Impression, 1000),
        click_of("a", "r", "c", v1::Action::Remove, 2000),
    ];
    let mut shop = settled(rules(), 1, 1, &clicks);
    assert_eq!(shop.anchored(&Anchor::item("p")), None);
    assert_eq!(shop.anchored(&Anchor::Shop).unwrap().names.len(), 1);
    assert_eq!(shop.visitor("a").visits.len(), 1);
}

#[test]
fn what_is_remembered_of_a_user_is_bounded() {
    let mut shop = shop(rules());
    for item in 0..200 {
        shop.click(&click_of("a", &format!("i{item}"), "c", v1::Action::Purchase, item * 1000));
    }
    let visitor = shop.visitor("a");
    assert_eq!([visitor.visits.len(), visitor.bought.len()], [visitor::VISITS_MAX, visitor::BOUGHT_MAX]);
    assert!(visitor.bought.iter().any(|bought| bought.item == "i199"));
    assert!(visitor.shown.len() <= visitor::SHOWN_MAX);
}

/// Whoever clicks without end counts as one user who comes back every hour.
#[test]
fn one_user_alone_makes_nothing_popular_and_no_neighbour() {
    let bot = |number: i64| match number % 3 {
        0 => click_of("bot", "junk", "c", v1::Action::Purchase, number * 1000),
        1 => view("bot", "hit", number * 1000),
        _ => click_of("bot", &format!("junk{}", number % 60), "c", v1::Action::Purchase, number * 1000),
    };
    let mut clicks: Vec<Click> = (0..3000).map(bot).collect();
    for user in 0..8 {
        clicks.push(view(&format!("u{user}"), "hit", 3_000_000 + user * 1000));
        clicks.push(view(&format!("u{user}"), "other", 3_010_000 + user * 1000));
    }
    clicks.sort_by_key(|click| click.at_ms);
    let rules = rules();
    let mut shop = settled(rules.clone(), 2, 2, &clicks);
    assert_eq!(names(&recommended(&mut shop, "nobody", 3_020_000))[..2], ["hit", "other"]);
    let of = |shop: &mut Shop, anchor: Anchor, name: &str| {
        let weight = counted(shop.anchored(&anchor).unwrap()).remove(name).unwrap_or_default();
        weight.by_period().map(|(_, weight)| weight).sum::<u64>()
    };
    let most = decayed::units(rules.learning.weights.purchase);
    let hours = 1;
    for anchor in [Anchor::Shop, Anchor::category("c")] {
        assert_eq!(of(&mut shop, anchor, "junk"), hours * most);
    }
    // There and back.
    let both = most + decayed::units(rules.learning.weights.purchase * rules.learning.reverse_weight);
    assert!((1..=hours * both).contains(&of(&mut shop, Anchor::item("hit"), "junk")));
    assert!(of(&mut shop, Anchor::item("hit"), "other") > of(&mut shop, Anchor::item("hit"), "junk"));
    let whole = shop.anchored(&Anchor::Shop).unwrap().total.unwrap();
    let whole: u64 = whole.by_period().map(|(_, weight)| weight).sum();
    assert!(whole <= 64 * most + 16 * decayed::UNIT as u64, "of an hour 64 clicks count: {whole}");
}

/// One message holds no more anchors, and no more names of one, than it may; all that was said is in one of them.
#[test]
fn parcels_are_bounded_and_hold_everything() {
    let rules = rules();
    let mut state: InMemory = State::in_memory(&kinds(), 0);
    let (lists, mut gathered) = (offline::Table::default(), Gathered::new(&rules.learning));
    for number in 0..3000 {
        // Of no user more than count in an hour.
        let new = view(&format!("u{}", number % 70), &format!("i{number}"), number);
        state.observe(|tables| tables.advance(new.at_ms));
        let seen = Seen::new(&new, &rules.business);
        gathered.add(state.conclude(|tables| click(tables, &lists, &rules, &seen)).said);
    }
    let mut popular = BTreeSet::new();
    for (key, parcel) in gathered.parcels() {
        assert!(parcel.parts.len() <= said::PARTS_MAX, "{} parts", parcel.parts.len());
        for part in parcel.parts {
            assert_eq!(said::way(&part.key), key, "all of an anchor go the same way");
            let counts = <Counts as prost::Message>::decode(part.counts).unwrap();
            assert!(counts.names.len() <= said::NAMES_MAX, "{} names", counts.names.len());
            if Anchor::from_key(&part.key) == Some(Anchor::Shop) {
                popular.extend(counts.names.into_iter().map(|counted| counted.name));
            }
        }
    }
    assert_eq!(popular.len(), 3000);
}

/// Names as long as they may be give records that a broker takes, on the way, in the owner's state and in the table.
#[test]
fn the_longest_names_stay_below_what_a_broker_takes() {
    const RECORD_BYTES_MAX: usize = 1 << 20;
    let mut rules = rules();
    rules.learning.neighbours_max = 1000;
    let long = |letter: &str, number: i64| format!("{number:04}{}", letter.repeat(1020));
    let click_on = |number: i64| {
        let user = format!("u{}", number % 20);
        click_of(&user, &long("i", number), &long("c", number % 9), v1::Action::Purchase, number * 1000)
    };
    let mut gathered = Gathered::new(&rules.learning);
    let (mut state, lists): (InMemory, _) = (State::in_memory(&kinds(), 0), offline::Table::default());
    for number in 0..700 {
        let new = click_on(number);
        state.observe(|tables| tables.advance(new.at_ms));
        let seen = Seen::new(&new, &rules.business);
        gathered.add(state.conclude(|tables| click(tables, &lists, &rules, &seen)).said);
    }
    let parcels = gathered.parcels().into_iter().map(|(_, parcel)| prost::Message::encoded_len(&parcel));
    assert!(parcels.max() <= Some(RECORD_BYTES_MAX / 2), "parcels");
    let clicks: Vec<Click> = (0..700).map(click_on).collect();
    let mut shop = settled(rules, 1, 1, &clicks);
    let visitor = prost::Message::encoded_len(&shop.visitor("u1"));
    assert!((64 * 1024..RECORD_BYTES_MAX / 2).contains(&visitor), "{visitor} bytes of a visitor");
    for anchor in [Anchor::Shop, Anchor::category(&long("c", 1)), Anchor::item(&long("i", 1))] {
        let anchored = shop.anchored(&anchor).unwrap_or_default();
        let bytes = prost::Message::encoded_len(&anchored);
        assert!(!anchored.names.is_empty() && bytes < 3 * RECORD_BYTES_MAX / 4, "{bytes} bytes of {anchor:?}");
    }
    let list = shop.lists().list(&Anchor::Shop).unwrap_or_default();
    assert!(prost::Message::encoded_len(&*list) < 3 * RECORD_BYTES_MAX / 4, "the shop's list");
}

/// What an earlier version had counted and not handed on yet is handed on.
#[test]
fn what_an_earlier_version_kept_is_handed_on() {
    let rules = rules();
    let mut state: InMemory = State::in_memory(&kinds(), 0);
    let mut kept = Gathered::new(&rules.learning);
    kept.add(Said::of(&rules.learning, &Visitor::default(), &Visit::from(&view("a", "p", 0))));
    let part = kept.parcels().into_iter().flat_map(|(_, parcel)| parcel.parts);
    let part = part.into_iter().find(|part| part.key == Anchor::Shop.key()).unwrap();
    let counts = <Counts as prost::Message>::decode(part.counts.clone()).unwrap();
    state.observe(|tables| tables.advance(START_MS));
    state.conclude(|tables| partial::PARTIALS.put_until(tables, &part.key, counts, START_MS + 1000));
    let new = click_of("b", "q", "c", v1::Action::Impression, 1000);
    state.observe(|tables| tables.advance(new.at_ms));
    let (seen, lists) = (Seen::new(&new, &rules.business), offline::Table::default());
    let said = state.conclude(|tables| click(tables, &lists, &rules, &seen)).said;
    assert_eq!(said.parts, [part]);
}

/// What was counted last is published without another click, after `idle_ms` of the clock on the wall, and that clock
/// never carries event time beyond what waits.
#[test]
fn lists_of_a_quiet_shop_are_published_without_another_click() {
    const WALL_MS: i64 = START_MS + 5_000_000_000;
    let rules = rules();
    let (wait, idle) = (rules.learning.publish_ms, rules.learning.idle_ms);
    let stage = OwnerStage { learning: rules.learning.clone(), lists_topic: "lists".into() };
    let mut state = State::in_memory(&owner_kinds(), 0);
    let mut heard = |parcel: said::Parcel| {
        let payload = Some(prost::Message::encode_to_vec(&parcel).into());
        let origin = crate::event::Origin { topic: "counts".into(), partition: 0, offset: 0 };
        let record = crate::event::RawRecord { origin, key: None, headers: vec![], timestamp_ms: None, payload };
        let crate::stages::Prepare::Ready(handed) = stage.prepare(&record, jiff::Timestamp::UNIX_EPOCH).unwrap() else {
            panic!("no schema is needed")
        };
        state.observe(|tables| (stage.observe(tables, handed).0.len(), tables.stream_time()))
    };
    let counted = |item: &str, clock_ms: i64| {
        let mut gathered = Gathered::new(&rules.learning);
        let visit = Visit::from(&view("a", item, 0));
        gathered.add(Said { clock_ms, ..Said::of(&rules.learning, &Visitor::default(), &visit) });
        gathered.parcels().into_iter().map(|(_, parcel)| parcel)
    };
    assert_eq!(heard(said::Parcel::clock(WALL_MS)), (0, i64::MIN), "nothing was ever counted");
    for parcel in counted("p", START_MS) {
        assert_eq!(heard(parcel), (0, START_MS));
    }
    for quiet_ms in [0, idle, idle + wait - 1] {
        assert_eq!(heard(said::Parcel::clock(WALL_MS + quiet_ms)).0, 0, "after {quiet_ms} ms");
    }
    assert_eq!(heard(said::Parcel::clock(WALL_MS + idle + wait)), (2, START_MS + wait), "the shop and the category");
    assert_eq!(heard(said::Parcel::clock(WALL_MS + HOUR_MS)), (0, START_MS + wait), "nothing waits any more");
    // From the next counts on the quiet begins anew.
    for parcel in counted("q", START_MS + wait) {
        assert_eq!(heard(parcel), (0, START_MS + wait));
    }
    assert_eq!(heard(said::Parcel::clock(WALL_MS + 2 * HOUR_MS)), (0, START_MS + wait));
    assert_eq!(heard(said::Parcel::clock(WALL_MS + 2 * HOUR_MS + idle + wait)), (2, START_MS + 2 * wait));
}

/// A list of which little is new waits longer than one of which much is.
#[test]
fn lists_are_published_when_much_of_them_is_new() {
    let rules = rules();
    let wait = rules.learning.publish_ms;
    let mut shop = shop(rules);
    let published = |shop: &Shop| shop.lists().list(&Anchor::item("p")).map_or(0, |list| list.neighbours.len());
    for user in 0..8 {
        shop.click(&view(&format!("u{user}"), "p", 0));
        shop.click(&view(&format!("u{user}"), &format!("i{user}"), 0));
    }
    shop.click(&view("clock", "x", wait));
    assert_eq!(published(&shop), 8, "all of it is new");
    shop.click(&view("u9", "p", wait));
    shop.click(&view("u9", "i9", wait));
    shop.click(&view("clock2", "x", 3 * wait));
    assert_eq!(published(&shop), 8, "little is");
    shop.click(&view("clock3", "x", 40 * wait));
    assert_eq!(published(&shop), 9, "little by little");
}

#[test]
fn what_came_of_recommendations_is_told_with_each_click() {
    let mut shop = shop(rules());
    let first = shop.click(&view("u", "a", 0));
    assert_eq!(first.response, Some(v1::RecommendationResponse { made: 1, ..Default::default() }));
    let id = first.recommended.map(|made| id_name(made.id));
    let mut bought = click_of("u", "b", "c", v1::Action::Purchase, 1000);
    bought.event.recommendation_id = id;
    let second = shop.click(&bought);
    assert_eq!(second.response, Some(v1::RecommendationResponse { made: 2, seen: 1, clicked: 1, converted: 1 }));
    let other = shop.click(&click_of("v", "a", "c", v1::Action::Remove, 2000));
    assert_eq!(other.response, None, "nothing was made for this user");
}
