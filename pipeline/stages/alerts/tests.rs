//! The stage's promises, from texts to alerts: order and cuts make no difference, quiet data is silent, surges are found
//! and told of once, with what is behind them.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::seen::tests::settings;
use super::*;
use crate::config::Alerts;
use crate::event::json::time;
use crate::event::v1;

const MINUTE: i64 = 60_000;
const START: i64 = 1_795_341_600_000;

/// A shop: its texts of one minute after another.
struct Shop {
    rng: Rng,
    next: u64,
    products: usize,
    texts_per_minute: f64,
}

/// What is on top of the usual.
#[derive(Clone, Copy, Default)]
struct Surge {
    product: Option<usize>,
    texts: f64,
    negative: bool,
    says: &'static str,
}

const WORDS: [&str; 12] = [
    "battery",
    "screen",
    "delivery",
    "price",
    "colour",
    "camera",
    "charger",
    "packaging",
    "keyboard",
    "sound",
    "manual",
    "warranty",
];

impl Shop {
    fn new(seed: u64, products: usize, texts_per_minute: f64) -> Shop {
        Shop { rng: Rng::with_seed(seed), next: 0, products, texts_per_minute }
    }

    fn minute(&mut self, minute: i64, surge: Surge) -> Vec<v1::Scored> {
        let usual = self.poisson(self.texts_per_minute);
        let mut texts: Vec<v1::Scored> = (0..usual)
            .map(|_| {
                let (product, negative) = (self.rng.usize(0..self.products), self.rng.f64() < 0.2);
                let says = format!("{} {}", WORDS[self.rng.usize(0..12)], WORDS[self.rng.usize(0..12)]);
                self.text(minute, product, negative, &says)
            })
            .collect();
        for _ in 0..self.poisson(surge.texts) {
            let product = surge.product.unwrap_or_else(|| self.rng.usize(0..self.products));
            let says = format!("{} {}", surge.says, WORDS[self.rng.usize(0..12)]);
            texts.push(self.text(minute, product, surge.negative, &says));
        }
        texts.sort_by_key(|text| time::to_ms(&text.event_time.unwrap()));
        texts
    }

    fn text(&mut self, minute: i64, product: usize, negative: bool, says: &str) -> v1::Scored {
        self.next += 1;
        let label = if negative { "negative" } else { "positive" };
        // Nothing that one text has in common with another.
        let noise: String = (0..12).map(|_| self.rng.lowercase()).collect();
        let turned = |by: u8| noise.bytes().map(move |letter| char::from(b'a' + (letter - b'a') * by % 26));
        let noise: String = [1, 3, 5, 7, 9].into_iter().flat_map(turned).collect();
        v1::Scored {
            event_id: format!("e{}", self.next),
            event_time: time::from_ms(START + minute * MINUTE + self.rng.i64(0..MINUTE)),
            brand: Some(format!("brand{}", product % 3)),
            product: Some(format!("p{product}")),
            channel: Some(["app", "web"][self.rng.usize(0..2)].into()),
            user: Some(format!("u{}", self.rng.u32(..))),
            text: Some(format!("{says} {noise}")),
            sentiment: Some(v1::Sentiment { label: label.into(), score: -0.5, ..v1::Sentiment::default() }),
            origin: Some(v1::Origin { topic: "reviews".into(), partition: 0, offset: self.next as i64 }),
            ..v1::Scored::default()
        }
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        let (mut k, mut p, limit) = (0, self.rng.f64(), (-mean).exp());
        while p > limit {
            k += 1;
            p *= self.rng.f64();
        }
        k
    }
}

/// So many minutes, with a surge from one of them on for a while.
fn texts(shop: &mut Shop, minutes: i64, from: i64, lasts: i64, surge: Surge) -> Vec<v1::Scored> {
    let all = (0..minutes).flat_map(|minute| {
        let surge = if (from..from + lasts).contains(&minute) { surge } else { Surge::default() };
        shop.minute(minute, surge)
    });
    all.collect()
}

fn seen(texts: &[v1::Scored], settings: &Alerts) -> Vec<Seen> {
    texts.iter().filter_map(|text| Seen::new(text, settings)).collect()
}

/// How every alert and every trend stands in the end.
#[derive(Debug, Default, PartialEq)]
struct Ended {
    alerts: BTreeMap<String, v1::Alert>,
    trends: BTreeMap<(String, i64), v1::Trend>,
    written: usize,
}

impl Ended {
    fn of(out: Vec<Emit>) -> Ended {
        let mut ended = Ended::default();
        for emit in out {
            match emit {
                Emit::Alert(alert) => {
                    ended.written += 1;
                    ended.alerts.insert(alert.id.clone(), *alert);
                }
                Emit::Trend(trend) => {
                    let start = time::to_ms(&trend.start_time.unwrap()).unwrap();
                    ended.trends.insert((trend.scope.clone(), start), trend);
                }
            }
        }
        ended
    }

    /// Alerts that somebody was told of.
    fn told(&self) -> Vec<&v1::Alert> {
        self.alerts.values().filter(|alert| alert.is_told()).collect()
    }

    /// Without what tells how often and when something was written, and without what was never confirmed.
    fn lasting(mut self) -> Ended {
        self.written = 0;
        self.alerts.retain(|_, alert| alert.state() != v1::AlertState::Retracted);
        self.alerts.values_mut().for_each(|alert| alert.revision = 0);
        self
    }
}

/// Every alert that somebody was told of, as it stands in the end.
pub fn told(out: Vec<Emit>) -> Vec<v1::Alert> {
    Ended::of(out).told().into_iter().cloned().collect()
}

fn run(settings: &Alerts, texts: &[Seen], inputs: usize, owners: usize) -> Ended {
    let (mut history, mut out) = (History::new(settings.clone(), inputs, owners), Vec::new());
    for (i, text) in texts.iter().enumerate() {
        history.text(i % inputs, text, &mut out);
    }
    history.pass(30 * MINUTE, &mut out);
    assert_eq!(history.fault(), None);
    Ended::of(out)
}

fn surge(product: Option<usize>, texts: f64) -> Surge {
    Surge { product, texts, negative: true, says: "payment page broken" }
}

#[test]
fn quiet_data_is_silent() {
    for seed in 0..2 {
        let texts = texts(&mut Shop::new(seed, 6, 12.0), 500, 0, 0, Surge::default());
        let ended = run(&settings(), &seen(&texts, &settings()), 1, 1);
        assert!(
            ended.alerts.is_empty(),
            "seed {seed}: {:?}",
            ended.alerts.values().map(|a| &a.summary_en).collect::<Vec<_>>()
        );
        assert!(ended.trends.len() > 500 * 6);
    }
}

#[test]
fn a_surge_in_a_product_is_one_alert_with_what_is_behind_it() {
    let texts = texts(&mut Shop::new(1, 12, 30.0), 300, 200, 20, surge(Some(4), 12.0));
    let ended = run(&settings(), &seen(&texts, &settings()), 1, 1);
    let told = ended.told();
    assert_eq!(told.len(), 1, "{:#?}", told.iter().map(|alert| (&alert.scope, &alert.rule)).collect::<Vec<_>>());
    let alert = told[0];
    assert!(["brand=brand1", "product=p4"].contains(&alert.scope.as_str()), "{}", alert.scope);
    assert_eq!(alert.state(), v1::AlertState::Resolved);
    let since = time::to_ms(&alert.since.unwrap()).unwrap();
    assert!((199..=202).contains(&((since - START) / MINUTE)), "{:?}", alert.since);
    let delay = (time::to_ms(&alert.firing_time.unwrap()).unwrap() - START) / MINUTE - 200;
    assert!(delay <= 4, "{delay} minutes");
    let evidence = alert.evidence.as_ref().unwrap();
    assert!(evidence.terms.iter().any(|term| term.name.contains("payment")), "{:?}", evidence.terms);
    assert!(!evidence.samples.is_empty() && evidence.samples.iter().all(|sample| sample.origin.is_some()));
    assert!((16..=40).contains(&evidence.series.len()) && evidence.users > 5);
    // From before it began until it was over.
    let begins = |point: &v1::Point| time::to_ms(&point.time.unwrap()).unwrap();
    let (first, last) = (&evidence.series[0], evidence.series.last().unwrap());
    assert_eq!(begins(first), since - 15 * MINUTE);
    assert_eq!(begins(last) + last.covers_ms, time::to_ms(&alert.updated_time.unwrap()).unwrap());
    assert!(alert.summary_en.contains("expected") && alert.summary_zh.contains("预期"), "{}", alert.summary_en);
}

/// A topic that nobody spoke of before: no alarm because it is new, one when it becomes more than what it began with, at once
/// or little by little.
#[test]
fn a_new_topic_that_grows_is_emerging() {
    let settings = settings();
    const NEW: i64 = 300;
    let about = |texts_of: fn(i64) -> i64| {
        let (mut shop, mut out) = (Shop::new(7, 6, 12.0), Vec::new());
        let mut history = History::new(settings.clone(), 1, 1);
        for minute in 0..NEW + 90 {
            let mut said = shop.minute(minute, Surge::default());
            let new = if minute < NEW { 0 } else { texts_of(minute - NEW) };
            said.extend((0..new).map(|i| {
                let words = |i: i64| WORDS[(minute + i).rem_euclid(WORDS.len() as i64) as usize];
                shop.text(minute, 0, false, &format!("{} {} recall", words(i), words(3 * i + 5)))
            }));
            for mut text in said {
                let topic = if text.text().contains("recall") { "recall" } else { "quality" };
                let label = v1::Label { label: topic.into(), probability: 0.9 };
                text.labels = [("topic".to_owned(), v1::Labels { labels: vec![label] })].into();
                history.text(0, &Seen::new(&text, &settings).unwrap(), &mut out);
            }
        }
        history.pass(30 * MINUTE, &mut out);
        let mut alerts = Ended::of(out).alerts;
        alerts.retain(|_, alert| alert.scope == "topic=recall" && alert.firing_time.is_some());
        alerts
    };
    for same in [|_| 8, |minute| (minute % 3) / 2] {
        assert_eq!(about(same).len(), 0, "as often as from the first minute on");
    }
    let growing: [fn(i64) -> i64; 5] = [
        |minute| if minute < 20 { 1 } else { 8 },
        |minute| 1 + minute.min(60) / 5,
        |minute| minute.min(60) / 10,
        |minute| 1 + 3 * minute.min(10),
        |minute| (0.5 * (minute.min(50) as f64 / 10.0).exp2()) as i64,
    ];
    for (how, texts_of) in growing.into_iter().enumerate() {
        let alerts = about(texts_of);
        let alert =
            alerts.values().next().unwrap_or_else(|| panic!("no alert of the topic that grows the {how}th way"));
        assert!(alert.emerging && alert.signal == "volume", "{how}: {alert:?}");
        assert!(
            alert.summary_en.contains(" It is new.") && alert.summary_zh.contains("此前未见。"),
            "{}",
            alert.summary_en
        );
    }
}

/// Reviews name a product's brand and chats do not: it is in two groups, and each counts its own.
#[test]
fn a_product_that_is_named_with_its_brand_and_without_is_counted_whole() {
    let settings = settings();
    let (mut shop, mut out) = (Shop::new(3, 1, 20.0), Vec::new());
    let mut history = History::new(settings.clone(), 1, 2);
    let mut sent = 0;
    for minute in 0..10 {
        for (number, mut text) in shop.minute(minute, Surge::default()).into_iter().enumerate() {
            if number % 3 == 0 {
                text.brand = None;
            }
            sent += 1;
            history.text(0, &Seen::new(&text, &settings).unwrap(), &mut out);
        }
    }
    history.pass(30 * MINUTE, &mut out);
    let closed: BTreeMap<String, u64> = out
        .iter()
        .filter_map(|emit| match emit {
            Emit::Trend(trend) if trend.scope == "product=p0" && !trend.provisional => Some((trend.key(), trend.count)),
            _ => None,
        })
        .collect();
    assert_eq!(closed.values().sum::<u64>(), sent, "no record takes the place of another: {closed:?}");
    assert!(closed.contains_key(&format!("product=p0 brand=brand0 {START}")), "{closed:?}");
}

#[test]
fn a_surge_everywhere_is_one_alert_of_everything() {
    let texts = texts(&mut Shop::new(2, 12, 30.0), 300, 200, 20, surge(None, 60.0));
    let ended = run(&settings(), &seen(&texts, &settings()), 1, 1);
    let scopes: Vec<&str> = ended.told().iter().map(|alert| alert.scope.as_str()).collect();
    assert!(scopes.contains(&"all"), "{scopes:?}");
    let global = scopes.iter().filter(|scope| !scope.starts_with("brand") && !scope.starts_with("product"));
    assert_eq!(global.count(), 1, "{scopes:?}");
}

#[test]
fn copies_are_no_surge() {
    let mut texts = texts(&mut Shop::new(3, 12, 30.0), 300, 0, 0, Surge::default());
    let mut copies = Shop::new(4, 12, 0.0);
    for minute in 200..215 {
        for _ in 0..40 {
            let mut copy = copies.text(minute, 5, true, "");
            copy.text = Some(format!("Boycott this shop now, they stole order {}", copies.next));
            texts.push(copy);
        }
    }
    texts.sort_by_key(|text| time::to_ms(&text.event_time.unwrap()));
    let ended = run(&settings(), &seen(&texts, &settings()), 1, 1);
    assert_eq!(ended.told().len(), 0, "{:?}", ended.told().iter().map(|alert| &alert.summary_en).collect::<Vec<_>>());
}

#[test]
fn partitions_and_their_order_make_no_difference() {
    let settings = settings();
    let texts = seen(&texts(&mut Shop::new(5, 9, 25.0), 220, 150, 15, surge(Some(4), 14.0)), &settings);
    let one = run(&settings, &texts, 1, 1).lasting();
    assert_eq!(one.told().len(), 1);
    // Spread over three partitions, whose texts come in bursts now of one and now of another.
    let mut history = History::new(settings.clone(), 3, 4);
    let (mut out, mut rng) = (Vec::new(), Rng::with_seed(6));
    let mut waiting: [Vec<&Seen>; 3] = Default::default();
    texts.iter().enumerate().for_each(|(i, text)| waiting[i % 3].push(text));
    let mut at = [0; 3];
    while (0..3).any(|i| at[i] < waiting[i].len()) {
        let i = rng.usize(0..3);
        // None is further ahead of another than a source is waited for.
        let slowest = (0..3).filter(|j| at[*j] < waiting[*j].len()).map(|j| waiting[j][at[j]].at_ms).min().unwrap();
        for _ in 0..rng.usize(1..60) {
            let Some(text) = waiting[i].get(at[i]).filter(|text| text.at_ms < slowest + 10 * MINUTE) else { break };
            history.text(i, text, &mut out);
            at[i] += 1;
        }
    }
    history.pass(30 * MINUTE, &mut out);
    assert_eq!((history.fault(), history.too_late()), (None, 0));
    let other = Ended::of(out).lasting();
    assert_eq!(one.alerts.keys().collect::<Vec<_>>(), other.alerts.keys().collect::<Vec<_>>());
    for (id, alert) in &one.alerts {
        let other = &other.alerts[id];
        let same =
            |alert: &v1::Alert| (alert.state, alert.since, alert.scope.clone(), alert.severity, alert.resolved_time);
        assert_eq!(same(alert), same(other));
        let (one, other) = (alert.evidence.as_ref().unwrap(), other.evidence.as_ref().unwrap());
        assert_eq!((one.observed, one.expected, &one.series), (other.observed, other.expected, &other.series));
    }
    let counts = |ended: &Ended| ended.trends.iter().map(|(key, trend)| (key.clone(), trend.count)).collect::<Vec<_>>();
    assert_eq!(counts(&one), counts(&other));
}

#[test]
fn a_message_that_comes_twice_changes_nothing() {
    let settings = settings();
    let texts = seen(&texts(&mut Shop::new(8, 5, 20.0), 120, 90, 10, surge(None, 50.0)), &settings);
    let mut input = crate::state::State::in_memory(&kinds(), 0);
    let mut handed_on = Vec::new();
    for text in &texts {
        input.observe(|tables| sum(tables, &settings, "i", text, &mut handed_on));
    }
    let ended = |times: usize| {
        let (mut owner, mut out) = (crate::state::State::in_memory(&kinds(), 0), Vec::new());
        for HandedOn { group, message } in &handed_on {
            let group = group.clone().unwrap_or_default();
            for _ in 0..times {
                owner.observe(|tables| own(tables, &settings, 1, &group, message.clone(), &mut out));
            }
        }
        Ended::of(out)
    };
    assert_eq!(ended(1).lasting().trends, ended(2).lasting().trends);
    assert_eq!(ended(1).lasting().alerts, ended(2).lasting().alerts);
    assert!(!ended(1).alerts.is_empty());
}

/// Sums that come bit by bit are looked at many times before their bucket is closed, those that come whole at its end once:
/// what is confirmed is the same, whatever somebody was told too early.
#[test]
fn what_is_confirmed_does_not_depend_on_what_was_seen_before() {
    let settings = settings();
    let confirmed = |alerts: BTreeMap<String, v1::Alert>| {
        let lasting = alerts.into_iter().filter(|(_, alert)| alert.state() != v1::AlertState::Retracted);
        lasting.map(|(id, alert)| (id, v1::Alert { revision: 0, ..alert })).collect::<Vec<_>>()
    };
    let mut told_of_others = 0;
    for seed in 20..23 {
        let mut shop = Shop::new(seed, 9, 8.0);
        // Two surges, so that what comes back is there too; of products of one brand, so that there is something to lead.
        let mut texts = texts(&mut shop, 105, 70, 6, surge(Some(4), 9.0));
        for minute in [73, 74, 75, 87, 88, 89] {
            texts.extend(shop.minute(minute, surge(Some(7), 9.0)));
        }
        texts.sort_by_key(|text| time::to_ms(&text.event_time.unwrap()));
        let texts = seen(&texts, &settings);
        let ended = |bits: bool| {
            let mut input = crate::state::State::in_memory(&kinds(), 0);
            let (mut owner, mut out) = (crate::state::State::in_memory(&kinds(), 0), Vec::new());
            let mut rng = Rng::with_seed(seed);
            let mut revised = BTreeMap::new();
            let mut tell = |group: &str, message: v1::Repartitioned| {
                owner.observe(|tables| own(tables, &settings, 1, group, message, &mut out));
            };
            for text in &texts {
                let mut handed_on = Vec::new();
                input.observe(|tables| sum(tables, &settings, "i", text, &mut handed_on));
                // Towards the end nobody is in haste, so that everything is decided.
                if bits && text.at_ms < START + 95 * MINUTE {
                    // Sums that later ones take the place of: too few texts, or the same one more than once.
                    for scope in &text.scopes {
                        if rng.u32(0..3) > 0 {
                            continue;
                        }
                        let at = text.at_ms.div_euclid(MINUTE) * MINUTE;
                        let partial: &mut v1::Partial = revised.entry((scope.name.clone(), at)).or_default();
                        (partial.scope, partial.start_ms) = (scope.name.clone(), at);
                        partial.revision += 1;
                        (0..rng.usize(1..4)).for_each(|_| super::partial::add(partial, text));
                        let partial = Some(partial.clone());
                        let message = v1::Repartitioned { source: "i".into(), partial, ..Default::default() };
                        tell(&scope.group, message);
                    }
                }
                for HandedOn { group, mut message } in handed_on {
                    message.partial.iter_mut().for_each(|partial| partial.revision += 10_000);
                    tell(&group.unwrap_or_default(), message);
                }
            }
            Ended::of(out)
        };
        let (hasty, patient) = (ended(true), ended(false));
        told_of_others += usize::from(hasty.written > patient.written);
        let (hasty, patient) = (confirmed(hasty.alerts), confirmed(patient.alerts));
        for ((_, hasty), (_, patient)) in hasty.iter().zip(&patient) {
            let says = |alert: &v1::Alert| (alert.scope.clone(), alert.rule.clone(), alert.inhibited_by.clone());
            assert_eq!(says(hasty), says(patient), "seed {seed}");
        }
        assert!(hasty == patient, "seed {seed}");
    }
    assert!(told_of_others > 0);
}

/// Plays texts with these times, as minute and second, in this order.
fn play_at(times: &[(i64, i64)]) -> (History, Vec<Emit>) {
    let settings = settings();
    let (mut history, mut out) = (History::new(settings.clone(), 1, 1), Vec::new());
    let mut shop = Shop::new(9, 1, 0.0);
    for (minute, second) in times {
        let mut text = shop.text(*minute, 0, false, "battery");
        text.event_time = time::from_ms(START + minute * MINUTE + second * 1000);
        history.text(0, &Seen::new(&text, &settings).unwrap(), &mut out);
    }
    history.pass(10 * MINUTE, &mut out);
    (history, out)
}

#[test]
fn late_texts_within_the_grace_revise_their_bucket() {
    let (history, out) = play_at(&[(0, 10), (1, 5), (0, 50), (1, 50), (2, 1), (2, 30), (9, 0), (0, 30)]);
    let ended = Ended::of(out);
    let trend = &ended.trends[&("all".to_owned(), START)];
    assert_eq!((trend.count, trend.provisional), (2, false));
    assert_eq!(history.too_late(), 1);
}

#[test]
fn sums_that_come_after_their_bucket_was_closed_are_counted() {
    // Bucket 0 is closed at minute 2, and its sums are kept until minute 4: those of everything, brand, product and channel.
    let (history, out) = play_at(&[(0, 10), (2, 10), (3, 10), (0, 30), (9, 0)]);
    assert_eq!((history.too_late(), history.late_sums()), (0, 4));
    assert_eq!(Ended::of(out).trends[&("all".to_owned(), START)].count, 1);
}

#[test]
fn state_is_bounded_and_small() {
    let settings = settings();
    let mut history = History::new(settings.clone(), 1, 1);
    let mut out = Vec::new();
    let mut shop = Shop::new(10, 60, 20.0);
    for minute in 0..400 {
        for text in seen(&shop.minute(minute, Surge::default()), &settings) {
            history.text(0, &text, &mut out);
        }
        out.clear();
    }
    // 60 products, 3 brands, 2 channels, everything.
    let bytes = history.owned_bytes() / 66;
    assert!(bytes < 6_000, "{bytes} bytes a scope");
}

#[test]
fn silence_ends_what_fires_and_live_texts_are_not_too_late_after_it() {
    let settings = settings();
    let mut shop = Shop::new(6, 12, 30.0);
    let before = texts(&mut shop, 300, 280, 20, surge(Some(4), 12.0));
    let (mut history, mut out) = (History::new(settings.clone(), 2, 3), Vec::new());
    seen(&before, &settings).iter().enumerate().for_each(|(i, text)| history.text(i % 2, text, &mut out));
    let firing = |out: &[Emit]| {
        let ended = Ended::of(out.to_vec());
        ended.alerts.values().filter(|alert| alert.state() == v1::AlertState::Firing).count()
    };
    assert!(firing(&out) > 0);
    let idle = settings.idle.as_millis() as i64 / MINUTE;
    let clock = |minute: i64| START + (300 + minute) * MINUTE;
    (0..=idle).for_each(|minute| history.clock(clock(minute), &mut out));
    assert!(firing(&out) > 0, "not before the time-out");
    (idle + 1..=idle + 60).for_each(|minute| history.clock(clock(minute), &mut out));
    assert_eq!(firing(&out), 0);
    // Nothing is left to be done, and the clock does not go on for its own sake.
    let written = out.len();
    (idle + 61..=idle + 600).for_each(|minute| history.clock(clock(minute), &mut out));
    assert_eq!(out.len(), written);

    let again = shop.minute(300 + idle + 60, Surge::default());
    seen(&again, &settings).iter().for_each(|text| history.text(0, text, &mut out));
    history.pass(30 * MINUTE, &mut out);
    assert_eq!((history.fault(), history.too_late()), (None, 0));
    let all = &Ended::of(out).trends[&("all".to_owned(), clock(idle + 60))];
    assert_eq!((all.count, all.provisional), (again.len() as u64, false));
}

/// As many texts as ever, but more and more of them speak of the same.
#[test]
fn words_that_rise_are_hot_topics_of_their_scope_without_any_alert() {
    let settings = settings();
    let mut shop = Shop::new(31, 6, 30.0);
    let mut all = texts(&mut shop, 240, 0, 0, Surge::default());
    for text in all.iter_mut().filter(|text| text.product.as_deref() == Some("p2")) {
        let minute = (time::to_ms(&text.event_time.unwrap()).unwrap() - START) / MINUTE;
        if minute >= 200 && shop.rng.f64() < 0.6 {
            let (said, own) = (text.text.clone().unwrap(), shop.rng.u32(..));
            text.text = Some(format!("退款一直没到账 {own} refund pending {said}"));
        }
    }
    let ended = run(&settings, &seen(&all, &settings), 1, 1);
    let hot = |scope: &str, minutes: std::ops::Range<i64>| -> Vec<&v1::Trend> {
        let at = |trend: &v1::Trend| (time::to_ms(&trend.start_time.unwrap()).unwrap() - START) / MINUTE;
        let of = ended.trends.values().filter(|trend| trend.scope == scope && minutes.contains(&at(trend)));
        of.filter(|trend| !trend.terms.is_empty()).collect()
    };
    let told = hot("product=p2", 205..225);
    assert!(told.len() >= 15, "{} of 20 buckets", told.len());
    let names: Vec<&str> = told[5].terms.iter().map(|term| term.name.as_str()).collect();
    assert!(names.iter().any(|name| name.contains("退款")), "{names:?}");
    assert!(names.iter().any(|name| name.contains("refund")), "{names:?}");
    assert!(told[5].terms[0].lift > 2.0, "{:?}", told[5].terms);
    let samples: Vec<&v1::Sample> = told.iter().flat_map(|trend| &trend.samples).collect();
    assert!(!samples.is_empty() && samples.iter().all(|sample| sample.text.contains("refund")), "{samples:?}");
    assert!(samples.iter().all(|sample| sample.origin.is_some()));
    for quiet in ["product=p1", "product=p4"] {
        let told = hot(quiet, 70..240);
        assert!(told.len() <= 2, "{quiet}: {:?}", told[0].terms);
    }
}
