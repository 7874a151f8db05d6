//! The stage's three steps. One consumer group reads the scored texts and the repartition topic: each partition of either
//! has a state of its own, and what a record is follows from its topic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;

use super::publish::Emit;
use super::seen::Seen;
use super::sums::HandedOn;
use super::{kinds, owner, owner_of, sums};
use crate::codec::{Encoder, read_written};
use crate::config::{Alerts, OutputFormat};
use crate::event::{Answer, Ask, Output, RawRecord, Reason, Rejection, v1};
use crate::stages::{Prepare, Stage};
use crate::state::time::is_future;
use crate::state::{Kind, View};
use crate::telemetry::AlertsObserved;

/// Scored texts in, trends and alerts out.
pub struct AlertsStage {
    pub settings: Alerts,
    /// The topics of scored texts.
    pub scored: BTreeSet<String>,
    /// How they are written.
    pub format: OutputFormat,
    pub future_ms_max: i64,
    /// Between the two halves, with this many partitions.
    pub repartition: Arc<str>,
    pub partitions: u32,
    /// Partitions of all topics of scored texts.
    pub sources: usize,
    pub alerts: Arc<str>,
    pub alert_encoder: Encoder<v1::Alert>,
    pub trends: Arc<str>,
    pub trend_encoder: Encoder<v1::Trend>,
    pub counts: Mutex<AlertsObserved>,
}

/// A record as the two halves take it.
pub enum Taken {
    Text {
        source: String,
        seen: Box<Seen>,
    },
    /// Nothing that a customer wrote.
    Nothing,
    Handed {
        group: String,
        message: Box<v1::Repartitioned>,
    },
}

impl Stage for AlertsStage {
    type Prepared = Taken;
    type Event = Vec<Output>;

    const NAME: &'static str = "alerts";

    fn kinds(&self) -> Vec<Kind> {
        kinds()
    }

    fn report(&self) {
        std::mem::take(&mut *self.counts()).emit();
    }

    fn prepare(&self, record: &RawRecord, now: Timestamp) -> Result<Prepare<Taken>, Rejection> {
        let Some(payload) = &record.payload else {
            return Err(Rejection::new(Reason::Tombstone, "the record has no value"));
        };
        if *record.origin.topic == *self.repartition {
            return handed(record, payload).map(Prepare::Ready);
        }
        if !self.scored.contains(&*record.origin.topic) {
            let message = format!("no scored texts are expected of topic {}", record.origin.topic);
            return Err(Rejection::new(Reason::Malformed, message));
        }
        let mut scored: v1::Scored = read_written(self.format, payload)?;
        // A sample can be found again where it was scored, whatever became of the record that it was scored from.
        let origin = &record.origin;
        let (topic, partition, offset) = (origin.topic.to_string(), origin.partition, origin.offset);
        scored.origin = Some(v1::Origin { topic, partition, offset });
        if scored.event_time.is_none() {
            return Err(Rejection::new(Reason::Missing, "event_time is missing"));
        }
        let Some(seen) = Seen::new(&scored, &self.settings) else { return Ok(Prepare::Ready(Taken::Nothing)) };
        if is_future(seen.at_ms, now.as_millisecond(), self.future_ms_max) {
            let (ahead, most) = (seen.at_ms.saturating_sub(now.as_millisecond()), self.future_ms_max);
            let message = format!("event_time is {ahead} ms ahead, more than text.future_ms_max ({most})");
            return Err(Rejection::new(Reason::Future, message));
        }
        let source = format!("{}/{}", origin.topic, origin.partition);
        Ok(Prepare::Ready(Taken::Text { source, seen: Box::new(seen) }))
    }

    fn observe(&self, state: &mut View<'_>, taken: Taken) -> (Vec<Output>, Vec<Ask>) {
        let outputs = match taken {
            Taken::Nothing => Vec::new(),
            Taken::Text { source, seen } => {
                let mut out = Vec::new();
                let late = sums::observe(state, &self.settings, &source, &seen, &mut out);
                let mut counts = self.counts();
                counts.texts += 1;
                counts.too_late += u64::from(late.is_some());
                drop(counts);
                out.into_iter().flat_map(|handed_on| self.handed_on(handed_on)).collect()
            }
            Taken::Handed { group, message } => {
                let mut out = Vec::new();
                owner::observe(state, &self.settings, self.sources, &group, *message, &mut out);
                out.into_iter().map(|emit| self.written(&emit)).collect()
            }
        };
        (outputs, Vec::new())
    }

    fn conclude(
        &self,
        _: &mut View<'_>,
        _: &RawRecord,
        outputs: Vec<Output>,
        _: &[Answer],
        _: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        Ok(outputs)
    }
}

fn handed(record: &RawRecord, payload: &Bytes) -> Result<Taken, Rejection> {
    let malformed = |why: String| Rejection::new(Reason::Malformed, why);
    let message = v1::Repartitioned::decode(payload.clone())
        .map_err(|error| malformed(format!("not a message of the repartition topic: {error}")))?;
    let group = record.key.as_ref().map_or(Ok(""), |key| std::str::from_utf8(key));
    let group = group.map_err(|_| malformed("the key is not UTF-8".into()))?.to_owned();
    Ok(Taken::Handed { group, message: Box::new(message) })
}

impl AlertsStage {
    fn counts(&self) -> MutexGuard<'_, AlertsObserved> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To its owner, or to every partition.
    fn handed_on(&self, HandedOn { group, message }: HandedOn) -> Vec<Output> {
        let payload = Bytes::from(message.encode_to_vec());
        let to = |partition: u32, key: Option<Bytes>| Output {
            topic: self.repartition.clone(),
            // Configured as at most some thousands.
            partition: Some(partition as i32),
            key,
            payload: Some(payload.clone()),
            headers: Vec::new(),
        };
        match group {
            Some(group) => vec![to(owner_of(&group, self.partitions), Some(Bytes::from(group.into_bytes())))],
            None => (0..self.partitions).map(|partition| to(partition, None)).collect(),
        }
    }

    /// What a clock on the wall shows, for every partition of the repartition topic.
    pub fn clock(&self, now: Timestamp) -> Vec<Output> {
        self.handed_on(sums::clock(now.as_millisecond()))
    }

    fn written(&self, emit: &Emit) -> Output {
        let output = |topic: &Arc<str>, key: String, payload| Output {
            topic: topic.clone(),
            partition: None,
            key: Some(Bytes::from(key.into_bytes())),
            payload: Some(payload),
            headers: Vec::new(),
        };
        match emit {
            Emit::Alert(alert) => {
                self.counts().alert(alert.state(), alert.provisional);
                output(&self.alerts, alert.id.clone(), self.alert_encoder.encode(alert))
            }
            Emit::Trend(trend) => {
                self.counts().trends += 1;
                let start = trend.start_time.as_ref().and_then(crate::event::json::time::to_ms).unwrap_or_default();
                output(&self.trends, format!("{} {start}", trend.scope), self.trend_encoder.encode(trend))
            }
        }
    }
}
