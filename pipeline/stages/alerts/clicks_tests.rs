//! What clicks and dead letters give rise to: a sudden run, a payment page that is broken, records that cannot be read.

use fastrand::Rng;

use super::seen::tests::settings;
use super::tests::told;
use super::*;
use crate::config::{AlertRule, Alerts, Counted, LooksFor, Signal};
use crate::event::json::time;
use crate::event::v1;

const MINUTE: i64 = 60_000;
const START: i64 = 1_795_341_600_000;
const PRODUCTS: usize = 8;
/// The usual is known after so long.
const CALM: i64 = 180;
const LENGTH: i64 = CALM + 30;

fn watching() -> Alerts {
    let base = settings();
    let rule = |signal: Signal| AlertRule { name: signal.name().into(), signal, ..base.rules[0].clone() };
    let signals = [Signal::CartShare, Signal::Clicks, Signal::DeadLetters, Signal::Purchases];
    Alerts { rules: signals.map(rule).into(), ..base }
}

/// A minute of the shop: views, and people who put something into the cart, most of whom buy it.
struct Shop {
    rng: Rng,
    users: u32,
}

impl Shop {
    fn minute(&mut self, minute: i64, run_on: Option<usize>, paying_works: bool) -> Vec<v1::ScoredClick> {
        let mut clicks = Vec::new();
        for _ in 0..self.about(40) {
            let product = self.rng.usize(0..PRODUCTS);
            self.click(&mut clicks, minute, product, v1::Action::View);
        }
        for _ in 0..self.about(12) {
            let product = self.rng.usize(0..PRODUCTS);
            self.click(&mut clicks, minute, product, v1::Action::Cart);
            if paying_works && self.rng.f64() < 0.8 {
                self.click(&mut clicks, minute, product, v1::Action::Purchase);
            }
        }
        if let Some(product) = run_on {
            (0..self.about(40)).for_each(|_| self.click(&mut clicks, minute, product, v1::Action::View));
        }
        clicks.sort_by_key(|click| time::to_ms(&click.event_time.unwrap()));
        clicks
    }

    fn click(&mut self, clicks: &mut Vec<v1::ScoredClick>, minute: i64, product: usize, action: v1::Action) {
        self.users += 1;
        clicks.push(v1::ScoredClick {
            event_id: format!("k{}", self.users),
            event_time: time::from_ms(START + minute * MINUTE + self.rng.i64(0..MINUTE)),
            user: Some(format!("u{}", self.users)),
            item: format!("p{product}"),
            category: Some(format!("c{}", product % 2)),
            action: action.into(),
            ..v1::ScoredClick::default()
        });
    }

    /// Some more, some fewer.
    fn about(&mut self, mean: u32) -> u32 {
        (0..mean * 2).filter(|_| self.rng.bool()).count() as u32
    }
}

fn play(seed: u64, what: impl Fn(&mut Shop, i64) -> Vec<v1::ScoredClick>) -> Vec<v1::Alert> {
    play_by(watching(), seed, what)
}

fn play_by(settings: Alerts, seed: u64, what: impl Fn(&mut Shop, i64) -> Vec<v1::ScoredClick>) -> Vec<v1::Alert> {
    let mut history = History::new(settings.clone(), 1, 1);
    let (mut shop, mut out) = (Shop { rng: Rng::with_seed(seed), users: 0 }, Vec::new());
    for minute in 0..LENGTH {
        for click in what(&mut shop, minute) {
            Seen::of_click(&click, &settings).iter().for_each(|seen| history.text(0, seen, &mut out));
        }
    }
    assert_eq!(history.fault(), None);
    told(out)
}

#[test]
fn a_usual_day_is_silent() {
    for seed in 0..3 {
        assert_eq!(play(seed, |shop, minute| shop.minute(minute, None, true)), [], "seed {seed}");
    }
}

#[test]
fn a_sudden_run_on_a_product_is_told_of_once() {
    let run = |minute: i64| (CALM..CALM + 12).contains(&minute).then_some(3);
    let told = play(5, |shop, minute| shop.minute(minute, run(minute), true));
    let shown: Vec<(&str, &str)> = told.iter().map(|alert| (alert.scope.as_str(), alert.signal.as_str())).collect();
    assert_eq!(shown, [("of=clicks,product=p3", "clicks")]);
    assert!(told[0].summary_en.starts_with("Product p3: ") && told[0].summary_en.contains(" clicks in "), "{told:?}");
    assert!(told[0].summary_zh.starts_with("商品 p3：") && told[0].summary_zh.contains(" 次点击"), "{told:?}");
    assert_eq!(told[0].labels["of"], "clicks");
}

/// People go on putting things into the cart, and nobody buys.
#[test]
fn a_broken_payment_page_shows_though_nothing_becomes_more() {
    let told = play(6, |shop, minute| shop.minute(minute, None, !(CALM..CALM + 12).contains(&minute)));
    let everything = told.iter().find(|alert| alert.scope == "of=checkouts").expect("everything's carts");
    assert_eq!(everything.signal, "cart_share");
    let found = time::to_ms(&everything.firing_time.unwrap()).unwrap() - START - CALM * MINUTE;
    assert!(found <= 8 * MINUTE, "{} s", found / 1000);
    assert!(everything.summary_en.contains("carts, not purchases"), "{}", everything.summary_en);
    assert!(told.iter().all(|alert| alert.signal == "cart_share"), "{told:?}");
}

/// Of what people do, less is bought than usual, or more.
#[test]
fn conversion_is_watched_either_way() {
    let base = watching();
    let signal = Signal::Conversion;
    let rule = AlertRule { name: "c".into(), signal, looks_for: LooksFor::Anomaly, ..base.rules[0].clone() };
    let settings = Alerts { rules: vec![rule], ..base };
    let odd = CALM..CALM + 12;
    let quiet = play_by(settings.clone(), 7, |shop, minute| shop.minute(minute, None, true));
    assert_eq!(quiet, []);
    let fallen = play_by(settings.clone(), 7, |shop, minute| shop.minute(minute, None, !odd.contains(&minute)));
    assert_eq!(fallen.iter().map(|alert| alert.scope.as_str()).collect::<Vec<_>>(), ["of=clicks"]);
    assert!(
        fallen[0].summary_en.contains(" clicks in ") && fallen[0].summary_en.contains(" purchases, "),
        "{fallen:?}"
    );
    assert!(fallen[0].summary_zh.contains("次点击中有") && fallen[0].summary_zh.contains("为购买"), "{fallen:?}");
    let below = |alert: &v1::Alert| alert.evidence.as_ref().is_some_and(|seen| seen.observed < seen.expected_low);
    assert!(below(&fallen[0]), "{fallen:?}");
    let risen = play_by(settings, 7, |shop, minute| {
        let mut clicks = shop.minute(minute, None, true);
        if odd.contains(&minute) {
            (0..30).for_each(|i| shop.click(&mut clicks, minute, i % PRODUCTS, v1::Action::Purchase));
            clicks.sort_by_key(|click| time::to_ms(&click.event_time.unwrap()));
        }
        clicks
    });
    assert_eq!(risen.iter().map(|alert| alert.scope.as_str()).collect::<Vec<_>>(), ["of=clicks"]);
    assert!(!below(&risen[0]), "{risen:?}");
}

#[test]
fn a_click_counts_where_rules_look() {
    let click = |action: v1::Action| v1::ScoredClick {
        event_time: time::from_ms(START),
        item: "p".into(),
        action: action.into(),
        ..v1::ScoredClick::default()
    };
    let scopes = |action| -> Vec<String> {
        let seen = Seen::of_click(&click(action), &watching());
        seen.into_iter().flat_map(|seen| seen.scopes).map(|scope| scope.name).collect()
    };
    assert_eq!(scopes(v1::Action::View), ["of=clicks", "of=clicks,product=p"]);
    assert_eq!(scopes(v1::Action::Cart)[2..], ["of=checkouts", "of=checkouts,product=p"]);
    assert_eq!(scopes(v1::Action::Purchase).len(), 6);
    assert_eq!(Seen::of_click(&click(v1::Action::View), &settings()), [], "texts alone are looked at");
    assert!(!settings().watches(Counted::Clicks));
}

#[test]
fn records_that_cannot_be_read_are_told_of_by_topic_and_reason() {
    let settings = watching();
    let mut history = History::new(settings.clone(), 1, 1);
    let (mut rng, mut out) = (Rng::with_seed(9), Vec::new());
    for minute in 0..LENGTH {
        let bad = if (CALM..CALM + 12).contains(&minute) { 60 } else { 6 };
        let mut times: Vec<i64> = (0..bad).map(|_| START + minute * MINUTE + rng.i64(0..MINUTE)).collect();
        times.sort_unstable();
        for (i, at_ms) in times.into_iter().enumerate() {
            let (input, reason) = if i < 6 { ("reviews", "missing") } else { ("chats", "malformed") };
            history.text(0, &Seen::of_dead_letter(at_ms, input, reason, &settings), &mut out);
        }
    }
    let told = told(out);
    assert!(!told.is_empty() && told.len() <= 2, "{told:?}");
    assert!(told.iter().all(|alert| alert.signal == "dead_letters"), "{told:?}");
    let all = told.iter().any(|alert| alert.summary_en.contains("chats") || alert.summary_en.contains("malformed"));
    assert!(all, "{told:?}");
}
