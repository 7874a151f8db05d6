//! `deterministic`: however a partition's records are cut into chunks, batches and epochs, in whatever order they are
//! prepared and answered, and whatever is aborted and read again, the same comes out and the same is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use jiff::Timestamp;

use super::partition::{Cut, Memory, Partition, Tenure, Ticket};
use super::{Registered, clicks_stage};
use crate::config::DeadLetterPayload;
use crate::event::{Answer, HeadAnswer, Origin, Prediction, Question, RawRecord, TopicPartition};
use crate::sink::{DeadLetters, Entry};
use crate::stages::clicks::{ClicksStage, PurchaseModel};
use crate::stages::{Prepare, Stage};
use crate::state::{Kinds, State};

const CUTS: u64 = 200;
const RECORDS: usize = 250;
/// 2026-01-05.
const START_MS: i64 = 1_767_571_200_000;

/// What became visible: outputs in their order, and the changelog's last word on each key.
#[derive(Default, PartialEq)]
struct Visible {
    outputs: Vec<(Arc<str>, Option<Bytes>)>,
    changelog: BTreeMap<Bytes, Bytes>,
}

/// A partition between a log that can be read again and a sink that commits or aborts.
struct Simulation<'a> {
    stage: &'a ClicksStage,
    letters: DeadLetters,
    records: &'a [RawRecord],
    partition: Partition<ClicksStage>,
    /// The record that is read next, and the one behind what is committed.
    read: usize,
    committed: usize,
    unprepared: Vec<(u64, usize)>,
    open: Vec<(Ticket, Question)>,
    under_way: Option<(Cut, Vec<Entry>)>,
    visible: Visible,
}

#[test]
fn clicks_do_not_depend_on_how_they_are_cut() {
    let stage = stage();
    let records = records(&mut Rng::with_seed(3));
    let expected = Simulation::new(&stage, &records).one_by_one();
    assert!(expected.outputs.iter().any(|(topic, _)| **topic == *"dead-letters"), "some records are poison");
    for seed in 0..CUTS {
        let visible = Simulation::new(&stage, &records).at_random(&mut Rng::with_seed(seed));
        let differs = visible.outputs.iter().zip(&expected.outputs).position(|(seen, expected)| seen != expected);
        assert_eq!(differs.map(|at| (&visible.outputs[at], &expected.outputs[at])), None, "seed {seed}");
        assert_eq!(visible.outputs.len(), expected.outputs.len(), "seed {seed}");
        assert!(visible.changelog == expected.changelog, "seed {seed}: what is remembered differs");
    }
}

impl<'a> Simulation<'a> {
    fn new(stage: &'a ClicksStage, records: &'a [RawRecord]) -> Self {
        let state = State::unbounded(Kinds::new(&stage.kinds()), stage.grace_ms());
        Simulation {
            stage,
            letters: DeadLetters::new("dead-letters", "clicks", DeadLetterPayload::Raw),
            records,
            partition: Partition::new(name(), Memory::Here(Box::new(state))),
            read: 0,
            committed: 0,
            unprepared: Vec::new(),
            open: Vec::new(),
            under_way: None,
            visible: Visible::default(),
        }
    }

    fn one_by_one(mut self) -> Visible {
        while self.committed < self.records.len() {
            self.read(1);
            self.prepare(0);
            self.observe();
            self.answer(self.open.len());
            self.conclude();
            self.cut(1);
            self.commit();
        }
        self.visible
    }

    fn at_random(mut self, rng: &mut Rng) -> Visible {
        while self.committed < self.records.len() {
            match rng.u8(..16) {
                0..2 => self.read(rng.usize(1..60)),
                2..6 if !self.unprepared.is_empty() => self.prepare(rng.usize(..self.unprepared.len())),
                6..8 => self.observe(),
                8..10 => {
                    rng.shuffle(&mut self.open);
                    self.answer(rng.usize(..=self.open.len()));
                }
                10..12 => self.conclude(),
                12..14 => self.cut(rng.usize(1..80)),
                14 if rng.u8(..8) == 0 => self.abort(),
                _ => self.commit(),
            }
        }
        self.visible
    }

    fn read(&mut self, most: usize) {
        let end = (self.read + most).min(self.records.len());
        for at in self.read..end {
            let sequence = self.partition.reserve(self.records[at].origin.offset, 1).expect("offsets rise");
            self.unprepared.push((sequence, at));
        }
        self.read = end;
    }

    fn prepare(&mut self, which: usize) {
        let (sequence, at) = self.unprepared.swap_remove(which);
        let prepared = match self.stage.prepare(&self.records[at], now()) {
            Ok(Prepare::Ready(click)) => Ok(click),
            Ok(Prepare::NeedsSchema(id)) => panic!("JSON needs no schema {id}"),
            Err(rejection) => Err(rejection),
        };
        self.partition.prepared(sequence, self.records[at].clone(), prepared);
    }

    fn observe(&mut self) {
        let open = &mut self.open;
        self.partition.observe(self.stage, |asked| {
            for (ask, question) in asked.asks.into_iter().enumerate() {
                let ticket = Ticket { tenure: Tenure(0), sequence: asked.sequence, ask: ask as u8 };
                open.push((ticket, question.question));
            }
        });
    }

    fn answer(&mut self, most: usize) {
        for (ticket, question) in self.open.drain(..most) {
            self.partition.answer(ticket, answer(&question));
        }
    }

    fn conclude(&mut self) {
        self.partition.conclude(self.stage, &self.letters, now());
    }

    fn cut(&mut self, most: usize) {
        let mut entries = Vec::new();
        if self.under_way.is_none() {
            self.under_way = self.partition.cut(most, &mut entries).map(|cut| (cut, entries));
        }
    }

    fn commit(&mut self) {
        let Some((cut, entries)) = self.under_way.take() else { return };
        self.committed = self.records.iter().take_while(|record| record.origin.offset < cut.next).count();
        let outputs = entries.into_iter().flat_map(|entry| entry.outputs);
        self.visible.outputs.extend(outputs.map(|output| (output.topic, output.payload)));
        for (key, value) in &cut.changes {
            match value {
                Some(value) => drop(self.visible.changelog.insert(key.clone(), value.bytes().clone())),
                None => drop(self.visible.changelog.remove(key)),
            }
        }
        self.partition.set_committed(cut.next, None);
    }

    /// What is not committed is thrown away and read again.
    fn abort(&mut self) {
        let partition = std::mem::replace(&mut self.partition, Partition::new(name(), Memory::Stateless));
        let Memory::Here(mut state) = partition.into_memory() else { panic!("the stage has state") };
        state.abort();
        self.partition = Partition::new(name(), Memory::Here(state));
        self.under_way = None;
        self.unprepared.clear();
        self.open.clear();
        self.read = self.committed;
    }
}

/// A probability that each of the row's numbers moves.
fn answer(question: &Question) -> Answer {
    let Question::Row(row) = question else { panic!("clicks ask about rows") };
    let mixed: f32 = row.iter().enumerate().map(|(place, value)| value * (place as f32 + 0.7).sin()).sum();
    let probability = (mixed.sin() + 1.0) / 2.0;
    Ok(Arc::new(Prediction { heads: Box::new([HeadAnswer { values: Box::new([probability]) }]) }))
}

fn stage() -> ClicksStage {
    let sets =
        ["instance.name=test", "clicks.include_features=true", "clicks.purchase_model=off", "clicks.segment_model=off"];
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let settings = crate::config::load(None, &sets, std::iter::empty()).unwrap();
    let registered = Registered::new(&settings).unwrap();
    let features = ["clicks", "gap", "item_conversion", "user_sessions", "cart_items"].map(str::to_owned);
    let model = PurchaseModel::new("purchase", "test", &features).unwrap();
    ClicksStage { model: Some(model), ..clicks_stage(&settings, None, &registered).unwrap() }
}

/// Few users and items, so that they meet; some late, some too late, some poison; with gaps between offsets.
fn records(rng: &mut Rng) -> Vec<RawRecord> {
    let mut now_ms = START_MS;
    let mut offset = 0;
    (0..RECORDS)
        .map(|_| {
            now_ms += rng.i64(0..60_000);
            offset += rng.i64(1..3);
            let late_ms = if rng.u8(..6) == 0 { rng.i64(0..900_000) } else { 0 };
            let action = rng.choice(["view", "view", "cart", "favourite", "purchase", "yawn"]).unwrap_or_default();
            let (user, item) = (rng.u8(..12), rng.u8(..30));
            let json = serde_json::json!({
                "user": format!("u{user}"), "item": format!("p{item}"), "category": format!("c{}", item % 7),
                "brand": format!("b{}", item % 4), "price": item, "action": action, "event_time": now_ms - late_ms,
            });
            RawRecord {
                origin: Origin { topic: "clicks".into(), partition: 0, offset },
                key: None,
                headers: Vec::new(),
                timestamp_ms: None,
                payload: Some(json.to_string().into()),
            }
        })
        .collect()
}

fn name() -> TopicPartition {
    TopicPartition { topic: "clicks".into(), partition: 0 }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(START_MS + 86_400_000).unwrap()
}
