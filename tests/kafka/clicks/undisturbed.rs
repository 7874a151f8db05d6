//! One pass over a partition's records, without Kafka, by the same stage and the same model.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use groundswell::columns::Rows;
use groundswell::config;
use groundswell::event::{Answer, Ask, ModelId, Origin, Question, RawRecord};
use groundswell::infer::{Backend, Inputs};
use groundswell::runtime::{Purchase, Registered, ResolveSchema, clicks_stage};
use groundswell::stages::clicks::ClicksStage;
use groundswell::stages::{Prepare, Stage};
use groundswell::state::{State, Stored};
use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Outcome, Record};

/// The stage and its model.
pub struct Undisturbed {
    stage: ClicksStage,
    model: Box<dyn Backend>,
    resolve: ResolveSchema,
}

/// What a partition's records come to.
#[derive(Default)]
pub struct Expected {
    /// By input offset, without the time at which each was concluded.
    pub scored: Vec<(i64, String)>,
    /// By the offset of the click that each was made at.
    pub profiles: Vec<(i64, String)>,
    pub rejected: usize,
    /// What is handed to the owners of items and categories.
    pub counts: Vec<Bytes>,
    pub entries: BTreeMap<Bytes, Stored>,
}

/// The input record that a result stands for.
pub struct Place {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl Undisturbed {
    pub fn new(config: &Path) -> Outcome<Undisturbed> {
        let sets = ["instance.name=undisturbed".to_owned()];
        let settings = config::load(Some(config), &sets, std::iter::empty()).map_err(|e| format!("{e:?}"))?;
        let purchase = Purchase::load(&settings)?.ok_or("a purchase model is configured")?;
        let registered = Registered::new(&settings)?;
        Ok(Undisturbed {
            stage: clicks_stage(&settings, Some(&purchase), &registered)?,
            model: (purchase.factory())()?,
            resolve: registered.resolver(),
        })
    }

    pub fn pass(&mut self, topic: &str, partition: i32, records: &[(i64, Record)]) -> Outcome<Expected> {
        let mut expected = Expected::default();
        let mut state = State::in_memory(&self.stage.kinds(), self.stage.grace_ms());
        for (offset, record) in records {
            let record = raw(topic, partition, *offset, record);
            let Some(click) = self.prepare(&record)? else {
                expected.rejected += 1;
                continue;
            };
            let (waiting, asks) = state.observe(|view| self.stage.observe(view, click));
            let answers = asks.iter().map(|ask| self.answer(ask)).collect::<Outcome<Vec<_>>>()?;
            let now = Timestamp::now();
            let outputs = state.conclude(|view| self.stage.conclude(view, &record, waiting, &answers, now));
            let mut outputs = outputs.map_err(|rejection| rejection.to_string())?;
            // Each click as an epoch of its own: sums are the same however it is cut.
            let gathered = self.stage.gather(&mut std::iter::once(&mut outputs));
            expected.counts.extend(gathered.into_iter().filter_map(|output| output.payload));
            for output in outputs {
                let payload = output.payload.ok_or("an output without a payload")?;
                if output.topic == self.stage.scored.topic {
                    expected.scored.push((*offset, without_time(&Record::new(payload))?.1));
                } else if output.topic == self.stage.profiles.topic {
                    expected.profiles.push((*offset, as_written(&Record::new(payload))?.1));
                }
            }
        }
        if let Some(fault) = state.fault() {
            return Err(format!("the state is broken: {fault}").into());
        }
        expected.entries = state.entries();
        Ok(expected)
    }

    fn prepare(&self, record: &RawRecord) -> Outcome<Option<<ClicksStage as Stage>::Prepared>> {
        for _ in 0..2 {
            match self.stage.prepare(record, Timestamp::now()) {
                Ok(Prepare::Ready(click)) => return Ok(Some(click)),
                Ok(Prepare::NeedsSchema(id)) => {
                    (self.resolve)(id, &AtomicBool::new(false)).map_err(|rejection| rejection.to_string())?;
                }
                Err(_) => return Ok(None),
            }
        }
        Err("the registry does not know a schema that was registered".into())
    }

    /// Alone: no answer depends on its neighbours.
    fn answer(&mut self, ask: &Ask) -> Outcome<Answer> {
        let Question::Row(row) = &ask.question else { return Err("a question of text".into()) };
        let mut rows = Rows::new(row.len());
        rows.push(row);
        let inputs = Inputs::Rows(Arc::new(rows.into_array()?));
        let prediction = self.model.run(ModelId(0), &inputs)?.pop().ok_or("no answer")?;
        Ok(Ok(Arc::new(prediction)))
    }
}

/// A scored click, but for the time at which it was concluded, and the record that it stands for.
pub fn without_time(record: &Record) -> Outcome<(Place, String)> {
    let mut scored: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
    let time = scored.as_object_mut().and_then(|scored| scored.remove("scored_time"));
    time.ok_or("a result without the time of its conclusion")?;
    Ok((place_of(&scored)?, scored.to_string()))
}

/// A profile, and the record that it was made at.
pub fn as_written(record: &Record) -> Outcome<(Place, String)> {
    let profile: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
    Ok((place_of(&profile)?, profile.to_string()))
}

fn place_of(event: &Value) -> Outcome<Place> {
    let origin = &event["origin"];
    let number = |name: &str| origin[name].as_i64().ok_or_else(|| format!("no {name} in {event}"));
    let topic = origin["topic"].as_str().unwrap_or_default().to_owned();
    Ok(Place { topic, partition: i32::try_from(number("partition")?)?, offset: number("offset")? })
}

fn raw(topic: &str, partition: i32, offset: i64, record: &Record) -> RawRecord {
    RawRecord {
        origin: Origin { topic: topic.into(), partition, offset },
        key: record.key.clone().map(Bytes::from),
        headers: Vec::new(),
        timestamp_ms: record.timestamp_ms,
        payload: record.payload.clone().map(Bytes::from),
    }
}
