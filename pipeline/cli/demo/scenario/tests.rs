use std::collections::BTreeSet;

use super::phrases::Turn;
use super::*;
use crate::config;
use crate::text::Redactor;

const PLANTED: [&str; 8] =
    ["1990000", "199 0000", "7700 900", "555-01", "@example.", "4111 1111", "203.0.113.", "token="];

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn told(seed: u64, elapsed_s: f64, count: usize) -> Vec<Event> {
    let mut scenario = Scenario::new(seed, Timeline::new(None));
    (0..count).map(|_| scenario.next(elapsed_s, now())).collect()
}

fn readable(events: &[Event]) -> Vec<Value> {
    events.iter().filter_map(|event| serde_json::from_slice(event.payload.as_deref()?).ok()).collect()
}

fn texts(events: &[Event]) -> Vec<String> {
    readable(events).iter().filter_map(|event| Some(event["text"].as_str()?.to_owned())).collect()
}

#[test]
fn the_same_seed_tells_the_same_story() {
    assert_eq!(told(1, 0.0, 500), told(1, 0.0, 500));
    assert_ne!(told(1, 0.0, 500), told(2, 0.0, 500));
}

#[test]
fn events_are_complete_but_for_those_that_are_spoilt() {
    let events = told(3, 0.0, 5000);
    let texts = texts(&events);
    let spoilt = 5000_usize.div_ceil(POISON_EVERY as usize);
    assert!(texts.len() < 5000 && texts.len() >= 5000 - spoilt, "{}", texts.len());
    assert!(texts.iter().all(|text| !text.contains(['[', ']', '{', '}', '|'])));
    let chinese = texts.iter().filter(|text| !text.is_ascii() && text.contains(|c| ('一'..='鿿').contains(&c))).count();
    assert!((2000..3500).contains(&chinese), "{chinese}");
}

#[test]
fn moods_and_ratings_go_together() {
    let mut scenario = Scenario::new(4, Timeline::new(None));
    let mut mean = |mood| (0..1000).map(|_| scenario.rating(mood)).sum::<u32>() / 100;
    assert!(mean(Mood::Praise) > 43 && mean(Mood::Complaint) < 17);
}

#[test]
fn the_incident_brings_the_complaints_that_the_timeline_says() {
    let complaints = |elapsed_s| {
        let events = readable(&told(5, elapsed_s, 20_000));
        let about = events.iter().filter(|event| event["product"] == INCIDENT_PRODUCT);
        about.filter(|event| event["rating"].as_f64().is_some_and(|rating| rating <= 2.0)).count() as f64
    };
    let times = complaints(60.0) / complaints(0.0);
    assert!((5.0..=10.0).contains(&times), "{times}");
}

#[test]
fn conversations_go_on_turn_by_turn_and_do_not_pile_up() {
    let events = readable(&told(6, 60.0, 20_000));
    let mut turns = std::collections::BTreeMap::<String, u64>::new();
    for event in events.iter().filter(|event| event["conversation"].is_string()) {
        let last = turns.entry(event["conversation"].to_string()).or_default();
        let turn = event["turn"].as_u64().unwrap();
        // Not the next one only where a spoilt turn is missing.
        assert!(turn > *last && turn <= *last + 3, "{event}");
        *last = turn;
    }
    assert!(turns.len() > 1000);
}

/// What is planted is found by the redaction that the program ships with.
#[test]
fn personal_data_is_of_a_form_that_redaction_finds() {
    let settings = config::load(None, &[], std::iter::empty()).unwrap();
    let redactor = Redactor::new(&settings.redaction);
    let texts = texts(&told(7, 0.0, 20_000));
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for text in &texts {
        met.extend(PLANTED.iter().filter(|planted| text.contains(**planted)));
        let normalised = crate::text::normalise(text);
        let redacted = redactor.redact(&normalised).text.into_owned();
        assert!(!PLANTED.iter().any(|planted| redacted.contains(planted)), "{text} → {redacted}");
    }
    assert_eq!(met.len(), PLANTED.len(), "{met:?}");
}

#[test]
fn there_are_hundreds_of_lines_and_every_slot_is_known() {
    let mut lines = Vec::new();
    for language in [Language::En, Language::Zh] {
        let phrases = Phrases::of(language);
        let groups = [
            &phrases.devices,
            &phrases.appliances,
            &phrases.care,
            &phrases.food,
            &phrases.clothing,
            &phrases.any,
            &phrases.short,
        ];
        lines.extend(groups.iter().flat_map(|lines| [lines.praise, lines.complaint, lines.question].concat()));
        lines.extend_from_slice(phrases.incident);
        for turn in phrases.talks.iter().chain(phrases.incident_talks).flat_map(|talk| talk.turns) {
            let (Turn::Customer(said) | Turn::Agent(said) | Turn::Bot(said)) = turn;
            lines.extend_from_slice(said);
        }
    }
    assert!(lines.len() > 400, "{}", lines.len());
    for line in lines {
        let slots = line.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        for (slot, _) in slots {
            assert!(["product", "aspect", "days", "order", "tag"].contains(&slot), "{line}");
        }
    }
}
