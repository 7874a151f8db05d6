//! Rules that look for anomalies, and those that count writers and how they feel: what stops is told of, and what is usual
//! is not.

use fastrand::Rng;

use super::seen::tests::settings;
use super::tests::told;
use super::*;
use crate::config::{AlertRule, Alerts, LooksFor, ScopeKind, Signal};
use crate::event::json::time;
use crate::event::v1;

const MINUTE: i64 = 60_000;
const START: i64 = 1_795_341_600_000;
/// Longer than the detector's warm-up of 150 buckets.
const CALM: i64 = 240;
const LENGTH: i64 = CALM + 60;
const LASTS: i64 = 15;

fn watching(signal: Signal, looks_for: LooksFor, scopes: &[ScopeKind]) -> Alerts {
    let base = settings();
    let rule =
        AlertRule { name: signal.name().into(), signal, looks_for, scopes: scopes.to_vec(), ..base.rules[0].clone() };
    Alerts { rules: vec![rule], ..base }
}

fn incident(minute: i64) -> bool {
    (CALM..CALM + LASTS).contains(&minute)
}

/// Texts of a minute: how many, by how many writers, and how they feel on average.
fn play(settings: &Alerts, seed: u64, minutes: impl Fn(i64) -> (u32, u32, f64)) -> Vec<v1::Alert> {
    play_for(LENGTH, settings, seed, minutes)
}

fn play_for(length: i64, settings: &Alerts, seed: u64, minutes: impl Fn(i64) -> (u32, u32, f64)) -> Vec<v1::Alert> {
    let mut rng = Rng::with_seed(seed);
    let (mut history, mut out, mut number) = (History::new(settings.clone(), 1, 1), Vec::new(), 0);
    for minute in 0..length {
        let (count, writers, mean) = minutes(minute);
        let count = (0..count * 2).filter(|_| rng.bool()).count();
        let mut times: Vec<i64> = (0..count).map(|_| START + minute * MINUTE + rng.i64(0..MINUTE)).collect();
        // One voice of another brand goes on, so that time does.
        times.push(START + (minute + 1) * MINUTE - 1);
        times.sort_unstable();
        for at_ms in times {
            number += 1;
            let other = at_ms == START + (minute + 1) * MINUTE - 1;
            let score = (mean + rng.f64() - 0.5).clamp(-1.0, 1.0);
            let text = v1::Scored {
                event_id: format!("e{number}"),
                event_time: time::from_ms(at_ms),
                brand: Some(if other { "other" } else { "own" }.into()),
                user: Some(format!("u{}-{}", minute, rng.u32(..writers.max(1)))),
                text: Some((0..24).map(|_| rng.lowercase()).collect()),
                sentiment: Some(v1::Sentiment {
                    label: if score < 0.0 { "negative" } else { "positive" }.into(),
                    score,
                    ..v1::Sentiment::default()
                }),
                ..v1::Scored::default()
            };
            history.text(0, &Seen::new(&text, settings).unwrap(), &mut out);
        }
    }
    assert_eq!(history.fault(), None);
    told(out)
}

fn minutes_after(alert: &v1::Alert) -> i64 {
    (time::to_ms(&alert.firing_time.unwrap()).unwrap() - START) / MINUTE - CALM
}

#[test]
fn what_stops_is_told_of_and_ends_when_it_is_back() {
    let settings = watching(Signal::Volume, LooksFor::Anomaly, &[ScopeKind::Brand]);
    for usual in [40, 80] {
        let told = play(&settings, 1, |minute| (if incident(minute) { 0 } else { usual }, 1_000, 0.4));
        let [alert] = told.as_slice() else { panic!("{usual}: {told:?}") };
        assert!(minutes_after(alert) <= 4, "{usual}: after {} min", minutes_after(alert));
        let back = (time::to_ms(&alert.resolved_time.unwrap()).unwrap() - START) / MINUTE - CALM - LASTS;
        assert!((1..=7).contains(&back), "{usual}: it ended {back} min after all was well again");
    }
    let told = play(&settings, 1, |minute| (if incident(minute) { 0 } else { 40 }, 1_000, 0.4));
    let [alert] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((alert.scope.as_str(), alert.state()), ("brand=own", v1::AlertState::Resolved));
    let evidence = alert.evidence.as_ref().unwrap();
    assert_eq!(evidence.observed, 0.0);
    assert!(evidence.expected_low > 10.0 && (30.0..50.0).contains(&evidence.expected), "{evidence:?}");
    assert_eq!((evidence.terms.len(), evidence.parts.len()), (0, 0), "what is not there has no words");
    assert_eq!(evidence.parameters["looks_for"], "anomaly");
    assert!(alert.summary_en.starts_with("Brand own: 0 texts in 1 min, "), "{}", alert.summary_en);
    assert!(alert.summary_zh.starts_with("品牌 own：1 分钟内有 0 条文本，预期 "), "{}", alert.summary_zh);
}

/// A small shop: of no minute is much expected, and an evening is no outage.
#[test]
fn what_stops_is_told_of_where_little_is_usual() {
    const DAY: i64 = 24 * 60;
    let settings = watching(Signal::Volume, LooksFor::Anomaly, &[ScopeKind::Brand]);
    let began = 3 * DAY + 120;
    let usual = |minute: i64| if (minute % DAY) < 14 * 60 { 3 } else { 1 };
    let calm = play_for(4 * DAY, &settings, 4, |minute| (usual(minute), 1_000, 0.4));
    assert_eq!(calm, []);
    let stops = |minute| if (began..began + 90).contains(&minute) { 0 } else { usual(minute) };
    let told = play_for(4 * DAY, &settings, 4, |minute| (stops(minute), 1_000, 0.4));
    let [alert] = told.as_slice() else { panic!("{told:?}") };
    let minute = |time: Option<prost_types::Timestamp>| (time::to_ms(&time.unwrap()).unwrap() - START) / MINUTE - began;
    let since = minute(alert.since);
    assert!((-2..=1).contains(&since), "since {since} min after the stop");
    assert!(minute(alert.firing_time) <= 20, "told of after {} min", minute(alert.firing_time));
    assert_eq!(alert.state(), v1::AlertState::Resolved);
    let back = minute(alert.resolved_time) - 90;
    assert!((1..=40).contains(&back), "it ended {back} min after all was well again");
    let evidence = alert.evidence.as_ref().unwrap();
    assert!(evidence.window_ms > MINUTE && evidence.observed * 4.0 <= evidence.expected, "{}", alert.summary_en);
}

#[test]
fn what_is_usual_is_no_anomaly() {
    for (seed, signal) in (0..).zip([Signal::Volume, Signal::NegativeShare, Signal::Users, Signal::MeanSentiment]) {
        let settings = watching(signal, LooksFor::Anomaly, &[ScopeKind::All, ScopeKind::Brand]);
        let told = play(&settings, seed, |_| (30, 500, 0.3));
        assert_eq!(told, [], "{} seed {seed}", signal.name());
    }
}

#[test]
fn a_scope_that_nobody_speaks_of_any_more_is_left_alone() {
    let settings = watching(Signal::Volume, LooksFor::Anomaly, &[ScopeKind::Brand]);
    let mut history = History::new(settings.clone(), 1, 1);
    let text = v1::Scored { event_time: time::from_ms(START), brand: Some("own".into()), ..v1::Scored::default() };
    let mut out = Vec::new();
    history.text(0, &Seen::new(&text, &settings).unwrap(), &mut out);
    history.pass(30 * 24 * 60 * MINUTE, &mut out);
    history.pass(MINUTE, &mut out);
    let before = history.owned_bytes();
    history.pass(24 * 60 * MINUTE, &mut out);
    assert_eq!(history.owned_bytes(), before, "no bucket is closed any more");
}

#[test]
fn a_crowd_is_told_of_where_as_many_texts_of_few_are_not() {
    let settings = watching(Signal::Users, LooksFor::Surge, &[ScopeKind::All]);
    let crowd = play(&settings, 2, |minute| (if incident(minute) { 120 } else { 30 }, 100_000, 0.3));
    let [alert] = crowd.as_slice() else { panic!("{crowd:?}") };
    assert_eq!((alert.scope.as_str(), alert.signal.as_str()), ("of=users", "users"));
    assert!(alert.summary_en.contains(" writers, counted by bucket, in "), "{}", alert.summary_en);
    assert!(alert.summary_zh.contains(" 位用户（逐桶计数）"), "{}", alert.summary_zh);
    let few = play(&settings, 2, |minute| if incident(minute) { (120, 15, 0.3) } else { (30, 100_000, 0.3) });
    assert_eq!(few, [], "fifteen who write eight times each");
}

#[test]
fn a_mood_that_falls_is_told_of_in_scores() {
    let settings = watching(Signal::MeanSentiment, LooksFor::Surge, &[ScopeKind::Brand]);
    // Hardly a text becomes negative: it is praise that turns into a shrug.
    let told = play(&settings, 3, |minute| (40, 1_000, if incident(minute) { 0.05 } else { 0.7 }));
    let [alert] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(alert.scope, "of=sentiment,brand=own");
    let evidence = alert.evidence.as_ref().unwrap();
    assert!(evidence.observed < 0.4 && evidence.expected > 0.5, "{evidence:?}");
    assert!(evidence.expected_low < evidence.expected && evidence.expected < evidence.expected_high, "{evidence:?}");
    assert!(alert.summary_en.starts_with("Brand own: the mean sentiment of "), "{}", alert.summary_en);
    assert!(alert.summary_zh.contains("平均情感为"), "{}", alert.summary_zh);
    let better = play(&settings, 3, |minute| (40, 1_000, if incident(minute) { 0.7 } else { 0.05 }));
    assert_eq!(better, [], "praise is no alert");
}

/// One bad text, sent again and again by many accounts.
#[test]
fn copies_do_not_make_the_mood() {
    let settings = watching(Signal::MeanSentiment, LooksFor::Surge, &[ScopeKind::All]);
    let mut rng = Rng::with_seed(8);
    let (mut history, mut out) = (History::new(settings.clone(), 1, 1), Vec::new());
    for minute in 0..LENGTH {
        let copies = if incident(minute) { 40 } else { 0 };
        let mut times: Vec<i64> = (0..20 + copies).map(|_| START + minute * MINUTE + rng.i64(0..MINUTE)).collect();
        times.sort_unstable();
        for (number, at_ms) in times.into_iter().enumerate() {
            let copy = number % 3 > 0 && copies > 0;
            let own: String = (0..24).map(|_| rng.lowercase()).collect();
            let text = v1::Scored {
                event_id: format!("{minute}-{number}"),
                event_time: time::from_ms(at_ms),
                user: Some(format!("u{}", rng.u32(..))),
                text: Some(if copy { "worst shop ever, never again".into() } else { own }),
                sentiment: Some(v1::Sentiment {
                    label: if copy { "negative" } else { "positive" }.into(),
                    score: if copy { -0.9 } else { 0.5 },
                    ..v1::Sentiment::default()
                }),
                ..v1::Scored::default()
            };
            history.text(0, &Seen::new(&text, &settings).unwrap(), &mut out);
        }
    }
    let alerts: Vec<&Emit> = out.iter().filter(|emit| matches!(emit, Emit::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
}

/// A pipeline that is down must not make its owner's time go on without it: what comes then would be too late.
#[test]
fn an_expectation_alone_does_not_move_the_clock() {
    let settings = watching(Signal::Volume, LooksFor::Anomaly, &[ScopeKind::All]);
    let mut history = History::new(settings.clone(), 1, 1);
    let mut out = Vec::new();
    let say = |history: &mut History, minute: i64, out: &mut Vec<Emit>| {
        for number in 0..40 {
            let at_ms = START + minute * MINUTE + number * 1_000;
            let text = v1::Scored {
                event_id: format!("{minute}-{number}"),
                event_time: time::from_ms(at_ms),
                ..v1::Scored::default()
            };
            history.text(0, &Seen::new(&text, &settings).unwrap(), out);
        }
    };
    (0..CALM).for_each(|minute| say(&mut history, minute, &mut out));
    (0..240).for_each(|minute| history.clock(START + (CALM + minute) * MINUTE, &mut out));
    out.clear();
    (CALM..CALM + 5).for_each(|minute| say(&mut history, minute, &mut out));
    let told = |at: i64| {
        out.iter().any(|emit| match emit {
            Emit::Trend(trend) => {
                time::to_ms(&trend.start_time.unwrap()) == Some(START + at * MINUTE) && trend.count == 40
            }
            Emit::Alert(_) => false,
        })
    };
    assert!((CALM..CALM + 3).all(told), "the backlog is counted");
    assert!(!out.iter().any(|emit| matches!(emit, Emit::Alert(_))), "{out:?}");
}
