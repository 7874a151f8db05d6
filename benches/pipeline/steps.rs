//! What a click costs step by step, without Kafka, channels and threads: what no pipeline around these steps can be faster
//! than.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use groundswell::columns::Rows;
use groundswell::config::Settings;
use groundswell::event::{Answer, ModelId, Origin, Question, RawRecord};
use groundswell::infer::Inputs;
use groundswell::runtime::{Purchase, Registered, clicks_stage};
use groundswell::stages::clicks::ClicksStage;
use groundswell::stages::{Prepare, Stage};
use groundswell::state::{Kinds, State};
use jiff::Timestamp;

use super::Outcome;
use super::broker::{PARTITIONS, Record};

/// Rows that the model is given together.
const BATCH: usize = 512;
/// Clicks of an epoch: about what one holds under load.
const EPOCH: usize = 8 * BATCH;

/// Time spent, on one thread.
#[derive(Clone, Copy, Default)]
pub struct Steps {
    pub decode: Duration,
    /// Sessions, features, profiles, and the state that they are made from.
    pub observe: Duration,
    pub model: Duration,
    pub encode: Duration,
    /// The state's changes, written for the changelog and taken into what is committed.
    pub commit: Duration,
}

impl Steps {
    pub fn sum(&self) -> Duration {
        self.decode + self.observe + self.model + self.encode + self.commit
    }

    /// All of them, by name.
    pub fn named(&self) -> [(&'static str, Duration); 5] {
        let Steps { decode, observe, model, encode, commit } = *self;
        [("decode", decode), ("features", observe), ("model", model), ("encode", encode), ("state", commit)]
    }
}

pub fn measure(settings: &Settings, clicks: &[Record]) -> Outcome<Steps> {
    let purchase = Purchase::load(settings)?.ok_or("no purchase model")?;
    let mut backend = purchase.factory()()?;
    let stage = clicks_stage(settings, Some(&purchase), &Registered::new(settings)?)?;
    let topic: Arc<str> =
        settings.inputs.iter().find(|i| i.name == "clicks").ok_or("no clicks")?.topics[0].as_str().into();
    let state = || State::unbounded(Kinds::new(&stage.kinds()), stage.grace_ms());
    let mut partitions: Vec<(State, u64)> = (0..PARTITIONS).map(|_| (state(), 0)).collect();
    let mut steps = Steps::default();
    for epoch in clicks.chunks(EPOCH) {
        let mut through: Vec<Option<u64>> = vec![None; partitions.len()];
        for batch in epoch.chunks(BATCH) {
            let begun = Instant::now();
            let prepared = decoded(&stage, &topic, batch)?;
            let decoded = Instant::now();
            let (mut waiting, mut rows) = (Vec::with_capacity(BATCH), None);
            for (record, click) in prepared {
                let place = record.origin.partition as usize;
                let (state, sequence) = &mut partitions[place];
                let (event, asks) = state.observe(*sequence, |view| stage.observe(view, click));
                for ask in asks {
                    let Question::Row(row) = ask.question else { return Err("a text".into()) };
                    rows.get_or_insert_with(|| Rows::with_capacity(row.len(), BATCH)).push(&row);
                }
                waiting.push((record, *sequence, event));
                *sequence += 1;
            }
            let observed = Instant::now();
            let rows = rows.ok_or("nothing is asked")?;
            let answers = backend.run(ModelId(0), &Inputs::Rows(Arc::new(rows.into_array()?)))?;
            let scored = Instant::now();
            for ((record, sequence, event), answer) in waiting.into_iter().zip(answers) {
                let place = record.origin.partition as usize;
                let answers: [Answer; 1] = [Ok(Arc::new(answer))];
                let now = Timestamp::now();
                let state = &mut partitions[place].0;
                let outputs = state.conclude(sequence, |view| stage.conclude(view, &record, event, &answers, now));
                std::hint::black_box(outputs.map_err(|rejection| rejection.message)?);
                through[place] = Some(sequence);
            }
            steps.decode += decoded - begun;
            steps.observe += observed - decoded;
            steps.model += scored - observed;
            steps.encode += scored.elapsed();
        }
        let begun = Instant::now();
        for ((state, _), through) in partitions.iter_mut().zip(through) {
            if let Some(through) = through {
                std::hint::black_box(state.cut(through));
                state.committed();
            }
        }
        steps.commit += begun.elapsed();
    }
    Ok(steps)
}

type Prepared = (RawRecord, <ClicksStage as Stage>::Prepared);

fn decoded(stage: &ClicksStage, topic: &Arc<str>, batch: &[Record]) -> Outcome<Vec<Prepared>> {
    let mut prepared = Vec::with_capacity(batch.len());
    for (offset, click) in batch.iter().enumerate() {
        let record = RawRecord {
            origin: Origin { topic: topic.clone(), partition: click.partition, offset: offset as i64 },
            key: Some(Bytes::copy_from_slice(&click.key)),
            headers: Vec::new(),
            timestamp_ms: None,
            payload: Some(Bytes::copy_from_slice(&click.payload)),
        };
        match stage.prepare(&record, Timestamp::now()).map_err(|rejection| rejection.message)? {
            Prepare::Ready(click) => prepared.push((record, click)),
            Prepare::NeedsSchema(id) => return Err(format!("schema {id} is asked for").into()),
        }
    }
    Ok(prepared)
}
