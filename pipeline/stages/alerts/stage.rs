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

/// What the headers of dead letters begin with.
const LETTER_PREFIX: &str = "groundswell.";

/// Scored texts and clicks and dead letters in, trends and alerts out.
pub struct AlertsStage {
    pub settings: Alerts,
    /// The topics of scored texts; those of scored clicks and of dead letters, where a rule looks at them.
    pub scored: BTreeSet<String>,
    pub clicks: Option<String>,
    pub dead_letters: Option<String>,
    /// How they are written.
    pub format: OutputFormat,
    pub future_ms_max: i64,
    /// Between the two halves, with this many partitions.
    pub repartition: Arc<str>,
    pub partitions: u32,
    /// Partitions of all topics of scored texts and clicks.
    pub sources: usize,
    pub alerts: Arc<str>,
    pub alert_encoder: Encoder<v1::Alert>,
    pub trends: Arc<str>,
    pub trend_encoder: Encoder<v1::Trend>,
    pub counts: Mutex<AlertsObserved>,
}

/// A record as the two halves take it.
pub enum Taken {
    Seen {
        source: String,
        seen: Vec<Seen>,
    },
    /// Nothing that is counted.
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
        if self.dead_letters.as_deref() == Some(&*record.origin.topic) {
            return Ok(Prepare::Ready(self.dead_letter(record, now)));
        }
        let Some(payload) = &record.payload else {
            return Err(Rejection::new(Reason::Tombstone, "the record has no value"));
        };
        if *record.origin.topic == *self.repartition {
            return handed(record, payload).map(Prepare::Ready);
        }
        if self.clicks.as_deref() == Some(&*record.origin.topic) {
            return self.click(record, payload, now).map(Prepare::Ready);
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
        self.not_ahead(seen.at_ms, now)?;
        Ok(Prepare::Ready(Taken::Seen { source: source(record), seen: vec![seen] }))
    }

    fn observe(&self, state: &mut View<'_>, taken: Taken) -> (Vec<Output>, Vec<Ask>) {
        let outputs = match taken {
            Taken::Nothing => Vec::new(),
            Taken::Seen { source, seen } => {
                let (mut out, mut late) = (Vec::new(), false);
                for seen in &seen {
                    late |= sums::observe(state, &self.settings, &source, seen, &mut out).is_some();
                }
                let mut counts = self.counts();
                counts.texts += 1;
                counts.too_late += u64::from(late);
                drop(counts);
                // Dead letters come when they come: nobody waits for them, and they hold nobody's time up.
                let waited_for = |handed_on: &HandedOn| handed_on.group.is_some() || !self.is_dead_letters(&source);
                out.into_iter().filter(waited_for).flat_map(|handed_on| self.handed_on(handed_on)).collect()
            }
            Taken::Handed { group, message } => {
                let mut out = Vec::new();
                let taken = owner::observe(state, &self.settings, self.sources, &group, *message, &mut out);
                self.counts().late_sums += u64::from(!taken);
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

impl AlertsStage {
    fn click(&self, record: &RawRecord, payload: &Bytes, now: Timestamp) -> Result<Taken, Rejection> {
        let scored: v1::ScoredClick = read_written(self.format, payload)?;
        let seen = Seen::of_click(&scored, &self.settings);
        if let Some(first) = seen.first() {
            self.not_ahead(first.at_ms, now)?;
        }
        Ok(if seen.is_empty() { Taken::Nothing } else { Taken::Seen { source: source(record), seen } })
    }

    /// Never refused: its own dead letter would come here again.
    fn dead_letter(&self, record: &RawRecord, now: Timestamp) -> Taken {
        let header = |name: &str| {
            let header = record.headers.iter().find(|header| header.name.strip_prefix(LETTER_PREFIX) == Some(name))?;
            Some(String::from_utf8_lossy(header.value.as_deref()?).into_owned())
        };
        let (Some(input), Some(reason), Some(at_ms)) = (header("topic"), header("reason"), record.timestamp_ms) else {
            return Taken::Nothing;
        };
        if self.not_ahead(at_ms, now).is_err() {
            return Taken::Nothing;
        }
        let seen = Seen::of_dead_letter(at_ms, &input, &reason, &self.settings);
        Taken::Seen { source: source(record), seen: vec![seen] }
    }

    fn is_dead_letters(&self, source: &str) -> bool {
        let topic = source.rsplit_once('/').map_or(source, |(topic, _)| topic);
        self.dead_letters.as_deref() == Some(topic)
    }

    fn not_ahead(&self, at_ms: i64, now: Timestamp) -> Result<(), Rejection> {
        if !is_future(at_ms, now.as_millisecond(), self.future_ms_max) {
            return Ok(());
        }
        let (ahead, most) = (at_ms.saturating_sub(now.as_millisecond()), self.future_ms_max);
        let message = format!("event_time is {ahead} ms ahead, more than text.future_ms_max ({most})");
        Err(Rejection::new(Reason::Future, message))
    }
}

fn source(record: &RawRecord) -> String {
    format!("{}/{}", record.origin.topic, record.origin.partition)
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
                output(&self.trends, trend.key(), self.trend_encoder.encode(trend))
            }
        }
    }
}
