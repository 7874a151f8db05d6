//! What was written, what came out, and whether the two agree: the invariants of ARCHITECTURE.md as checks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Kafka, Outcome, Record};

/// Where an input record lies.
pub type Place = (String, i32, i64);

/// What a read_committed reader sees of one input record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Scored,
    DeadLettered,
}

/// Everything visible downstream, in the order of its partitions.
#[derive(Default)]
pub struct Ledger {
    /// By input place: each result that is visible.
    pub results: BTreeMap<Place, Vec<Fate>>,
    /// Results that stand behind a later one of the same input partition in the same output partition.
    pub disorder: Vec<(Place, Place)>,
}

impl Ledger {
    /// Reads the output topics to their ends.
    pub fn read(kafka: &Kafka, scored: &[String], dead_letters: &str) -> Outcome<Ledger> {
        let mut ledger = Ledger::default();
        for topic in scored {
            ledger.add(&kafka.read_committed(topic)?, Fate::Scored, scored_place)?;
        }
        ledger.add(&kafka.read_committed(dead_letters)?, Fate::DeadLettered, letter_place)?;
        Ok(ledger)
    }

    fn add(&mut self, records: &[Record], fate: Fate, place: fn(&Record) -> Outcome<Place>) -> Outcome<()> {
        // The last place seen, by output partition and input partition.
        let mut last: BTreeMap<(Option<i32>, String, i32), Place> = BTreeMap::new();
        for record in records {
            let place = place(record)?;
            self.results.entry(place.clone()).or_default().push(fate);
            let lane = (record.partition, place.0.clone(), place.1);
            if let Some(before) = last.insert(lane, place.clone()).filter(|before| before.2 >= place.2) {
                self.disorder.push((before, place));
            }
        }
        Ok(())
    }

    /// `delivered-once`: faults as sentences, none if all is well.
    pub fn faults_against(&self, written: &BTreeMap<Place, Fate>, at_least_once: bool) -> Vec<String> {
        let lost = written.keys().filter(|place| !self.results.contains_key(*place)).map(|p| format!("lost: {p:?}"));
        let strange =
            self.results.keys().filter(|place| !written.contains_key(*place)).map(|p| format!("never written: {p:?}"));
        let doubled = self
            .results
            .iter()
            .filter(|(_, fates)| !at_least_once && fates.len() > 1)
            .map(|(place, fates)| format!("{} results: {place:?}", fates.len()));
        let wrong = self.results.iter().filter_map(|(place, fates)| {
            let expected = written.get(place)?;
            let fates: BTreeSet<_> = fates.iter().map(|f| format!("{f:?}")).collect();
            (fates != BTreeSet::from([format!("{expected:?}")]))
                .then(|| format!("expected {expected:?}, got {fates:?}: {place:?}"))
        });
        let disorder =
            self.disorder.iter().filter(|_| !at_least_once).map(|(a, b)| format!("order: {b:?} behind {a:?}"));
        lost.chain(strange).chain(doubled).chain(wrong).chain(disorder).collect()
    }
}

fn scored_place(record: &Record) -> Outcome<Place> {
    let event: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
    let origin = &event["origin"];
    let topic = origin["topic"].as_str().ok_or_else(|| format!("no origin in {event}"))?;
    let number = |name: &str| origin[name].as_i64().ok_or_else(|| format!("no {name} in {event}"));
    Ok((topic.to_owned(), i32::try_from(number("partition")?)?, number("offset")?))
}

fn letter_place(record: &Record) -> Outcome<Place> {
    let header = |name: &str| -> Outcome<String> {
        let name = format!("groundswell.{name}");
        let value = record.headers.iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.clone());
        Ok(String::from_utf8(value.ok_or_else(|| format!("a dead letter without the header {name}"))?)?)
    };
    Ok((header("topic")?, header("partition")?.parse()?, header("offset")?.parse()?))
}
