//! The two halves at work: what is emitted at a click, and the stage that owns the anchors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;

use super::anchor::Anchor;
use super::candidates::{Candidate, Lists, Reason};
use super::owner::{self, Came, List};
use super::rules::{Learning, Rules};
use super::said::{Gathered, Parcel, Said};
use super::shared::SharedLists;
use super::{Effect, Outcome, Recommended, Seen, Visitor, click, id_name, owner_kinds, recommend};
use crate::codec::Encoder;
use crate::event::{Answer, Ask, Output, RawRecord, Rejection, v1};
use crate::stages::{Prepare, Stage};
use crate::state::{Kind, View};
use crate::telemetry::Recommending;

/// How far what is known may lie behind the wall clock before what is asked for is answered as of its own time.
const BEHIND_MS: i64 = 86_400_000;

/// Recommends at clicks, as a part of the stage that concludes them.
pub struct Recommender {
    pub rules: Rules,
    pub lists: Arc<SharedLists>,
    /// Where recommendations go.
    pub topic: Arc<str>,
    /// Where counts go on their way to the owners of their anchors.
    pub counts_topic: Arc<str>,
    pub encoder: Encoder<v1::Recommendations>,
    /// What one period of popularity is called: `this hour`.
    pub period: String,
    /// Not told yet. One thread concludes, so nobody waits for the lock.
    pub told: Mutex<Recommending>,
}

impl Recommender {
    /// Appends to `outputs`; returns what the user has made of recommendations, where any were made.
    pub fn conclude(
        &self,
        tables: &mut View<'_>,
        record: &RawRecord,
        seen: &Seen,
        now: Timestamp,
        outputs: &mut Vec<Output>,
    ) -> Option<v1::RecommendationResponse> {
        let outcome = click(tables, &*self.lists, &self.rules, seen);
        self.count(&outcome);
        let response = outcome.response;
        if !outcome.said.is_empty() {
            outputs.push(to(&self.counts_topic, None, outcome.said.encode_to_vec()));
        }
        let made = outcome.recommended.filter(|made| !made.items.is_empty());
        outputs.extend(made.map(|made| self.output(record, seen, made, now)));
        response
    }

    /// What the clicks of an epoch have counted, for the owners: taken out of what each has put out for itself.
    pub fn gather(&self, clicks: &mut dyn Iterator<Item = &mut Vec<Output>>) -> Vec<Output> {
        let mut gathered = Gathered::new(&self.rules.learning);
        for outputs in clicks {
            outputs.retain_mut(|output| {
                let said = output.topic == self.counts_topic;
                if said {
                    // By this process, a moment ago.
                    let said = output.payload.take().and_then(|payload| Said::decode(payload).ok());
                    said.into_iter().for_each(|said| gathered.add(said));
                }
                !said
            });
        }
        let parcels = gathered.parcels();
        self.told().handed += parcels.len() as u64;
        parcels.into_iter().map(|(key, parcel)| to(&self.counts_topic, Some(key), parcel.encode_to_vec())).collect()
    }

    /// What is recommended now to a user of whom this is remembered; nothing is counted as made. Where all that is known is
    /// more than a day old, because a backlog is caught up with or a history is replayed, it is as of the newest of it: as
    /// of the wall clock everything would have faded.
    pub fn now(&self, visitor: &Visitor, items_max: usize, now: Timestamp) -> Vec<v1::Recommendation> {
        let mut rules = self.rules.clone();
        rules.ranking.items_max = items_max.min(rules.ranking.items_max);
        let shop = self.lists.list(&Anchor::Shop).map(|list| list.at_ms);
        let newest = visitor.visits.last().map(|visit| visit.at_ms).max(shop);
        let now = now.as_millisecond();
        let at_ms = newest.filter(|newest| now - newest > BEHIND_MS).unwrap_or(now);
        let items = recommend(visitor, &*self.lists, &rules, at_ms);
        items.into_iter().map(|item| written(item, &self.period)).collect()
    }

    pub fn report(&self) {
        let mut told = std::mem::take(&mut *self.told());
        // From the first report on, so that shares of them are numbers and the first of each is not lost to rates.
        for effect in Effect::ALL {
            told.effects.entry(effect.name()).or_default();
        }
        let lists = &self.lists;
        told.emit(lists.len(), lists.bytes(), lists.bytes_max());
    }

    fn told(&self) -> MutexGuard<'_, Recommending> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &Outcome) {
        let mut told = self.told();
        match &outcome.recommended {
            Some(made) if made.items.is_empty() => told.empty += 1,
            Some(_) => told.made += 1,
            None => {}
        }
        outcome.effects.iter().for_each(|effect| *told.effects.entry(effect.name()).or_default() += 1);
    }

    fn output(&self, record: &RawRecord, seen: &Seen, made: Recommended, now: Timestamp) -> Output {
        let time = |ms: i64| {
            let nanos = (ms.rem_euclid(1000) * 1_000_000) as i32;
            Some(prost_types::Timestamp { seconds: ms.div_euclid(1000), nanos })
        };
        let crate::event::Origin { topic, partition, offset } = &record.origin;
        let recommendations = v1::Recommendations {
            id: id_name(made.id),
            event_id: seen.event_id.clone(),
            event_time: time(seen.visit.at_ms),
            made_time: Some(prost_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() }),
            user: Some(seen.user.clone()),
            items: made.items.into_iter().map(|item| written(item, &self.period)).collect(),
            origin: Some(v1::Origin { topic: topic.to_string(), partition: *partition, offset: *offset }),
        };
        Output {
            topic: self.topic.clone(),
            partition: None,
            key: Some(Bytes::copy_from_slice(seen.user.as_bytes())),
            payload: Some(self.encoder.encode(&recommendations)),
            headers: Vec::new(),
        }
    }
}

/// What the last period of popularity is called.
pub fn period_name(learning: &Learning) -> String {
    let minutes = learning.fading(true).start_ms(1) / 60_000;
    match (minutes, minutes % 60) {
        (60, _) => "this hour".into(),
        (61.., 0) => format!("in these {} hours", minutes / 60),
        (1, _) => "this minute".into(),
        _ => format!("in these {minutes} minutes"),
    }
}

/// As it is written for others to read.
pub fn written(candidate: Candidate, period: &str) -> v1::Recommendation {
    let when = |now: bool| if now { format!(" {period}") } else { String::new() };
    let mut reason = v1::Reason::default();
    let (kind, text) = match candidate.reason {
        Reason::SeenTogether(item) => {
            let text = format!("seen together with {item}");
            reason.item = Some(item);
            (v1::ReasonKind::SeenTogether, text)
        }
        Reason::SeenBefore => (v1::ReasonKind::SeenBefore, "seen before".into()),
        Reason::PopularIn { category, now } => {
            let text = format!("popular in {category}{}", when(now));
            (reason.category, reason.now) = (Some(category), now);
            (v1::ReasonKind::PopularInCategory, text)
        }
        Reason::Popular { now } => {
            reason.now = now;
            (v1::ReasonKind::Popular, format!("popular{}", when(now)))
        }
    };
    (reason.kind, reason.text) = (kind.into(), text);
    v1::Recommendation {
        item: candidate.item,
        category: Some(candidate.category).filter(|category| !category.is_empty()),
        score: candidate.score,
        reason: Some(reason),
    }
}

/// Reads counts, keeps the anchors' sums, publishes their lists.
pub struct OwnerStage {
    pub learning: Learning,
    pub lists_topic: Arc<str>,
}

/// What one message hands on.
#[derive(Debug)]
pub struct Handed {
    came: Vec<Came>,
    clock_ms: i64,
    wall_ms: i64,
}

impl Stage for OwnerStage {
    type Prepared = Handed;
    type Event = Vec<(Anchor, List)>;

    const NAME: &'static str = "recommend";

    fn kinds(&self) -> Vec<Kind> {
        owner_kinds()
    }

    fn prepare(&self, record: &RawRecord, _: Timestamp) -> Result<Prepare<Handed>, Rejection> {
        use crate::event::Reason::{Malformed, Tombstone};
        let payload = record.payload.clone().ok_or_else(|| Rejection::new(Tombstone, "counts without a payload"))?;
        let parcel = Parcel::decode(payload).map_err(|error| Rejection::new(Malformed, format!("counts: {error}")))?;
        let came = parcel.parts.iter().map(|part| Came::read(&part.key, part.counts.clone()));
        let came = came.collect::<Option<Vec<Came>>>();
        let came = came.ok_or_else(|| Rejection::new(Malformed, "counts of which a part cannot be read"))?;
        let Parcel { clock_ms, wall_ms, .. } = parcel;
        Ok(Prepare::Ready(Handed { came, clock_ms, wall_ms }))
    }

    fn observe(&self, state: &mut View<'_>, Handed { came, clock_ms, wall_ms }: Handed) -> (Self::Event, Vec<Ask>) {
        match wall_ms {
            0 => owner::take(state, &self.learning, clock_ms, &came),
            wall_ms => owner::hear_clock(state, &self.learning, wall_ms),
        }
        (owner::due(state, &self.learning), Vec::new())
    }

    fn conclude(
        &self,
        _: &mut View<'_>,
        _: &RawRecord,
        lists: Self::Event,
        _: &[Answer],
        _: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        let list =
            |(anchor, list): &(Anchor, List)| to(&self.lists_topic, Some(anchor.key().into()), list.encode_to_vec());
        Ok(lists.iter().map(list).collect())
    }
}

fn to(topic: &Arc<str>, key: Option<Bytes>, payload: Vec<u8>) -> Output {
    Output { topic: topic.clone(), partition: None, key, payload: Some(payload.into()), headers: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_it_means() {
        let check = |reason: Reason, expected: serde_json::Value| {
            let (item, category) = ("q".to_owned(), "phones".to_owned());
            let candidate = Candidate { item, category, score: 0.5, reason };
            let json = serde_json::to_value(written(candidate, "this hour")).unwrap();
            assert_eq!(json["reason"], expected);
            assert_eq!((json["item"].as_str(), json["category"].as_str()), (Some("q"), Some("phones")));
        };
        check(
            Reason::SeenTogether("p-7".into()),
            serde_json::json!({"kind": "seen_together", "item": "p-7", "text": "seen together with p-7"}),
        );
        check(Reason::SeenBefore, serde_json::json!({"kind": "seen_before", "text": "seen before"}));
        check(
            Reason::PopularIn { category: "phones".into(), now: true },
            serde_json::json!({"kind": "popular_in_category", "category": "phones", "now": true,
                "text": "popular in phones this hour"}),
        );
        check(Reason::Popular { now: false }, serde_json::json!({"kind": "popular", "text": "popular"}));
    }

    /// A history that is replayed is asked about as of its own time, and what is live as of now.
    #[test]
    fn what_is_asked_of_an_old_history_has_not_faded() {
        const DAY_MS: i64 = 86_400_000;
        let sets = ["instance.name=a".to_owned()];
        let settings = crate::config::load(None, &sets, std::iter::empty()).unwrap();
        let lists = Arc::new(SharedLists::new(1 << 20));
        let recommender = Recommender {
            rules: Rules::from(&settings.recommendations),
            lists: lists.clone(),
            topic: "recommendations".into(),
            counts_topic: "counts".into(),
            encoder: Encoder::new(crate::config::OutputFormat::Json, None).unwrap(),
            period: "this hour".into(),
            told: Mutex::default(),
        };
        let at_ms = 1_511_539_200_000;
        let neighbour = owner::Neighbour { name: "p".into(), weight: 1.0, ..Default::default() };
        let list = List { neighbours: vec![neighbour], total: 1.0, at_ms, ..List::default() };
        assert!(lists.take(&Anchor::Shop.key(), Some(&list.encode_to_vec())));
        let score = |after_ms: i64| {
            let now = Timestamp::from_millisecond(at_ms + after_ms).unwrap();
            recommender.now(&Visitor::default(), 5, now).first().map(|item| item.score)
        };
        let fresh = score(0).unwrap();
        assert!(score(DAY_MS).is_some_and(|faded| faded < fresh / 2.0), "live: three half-lives have passed");
        assert_eq!(score(9 * 365 * DAY_MS), Some(fresh));
    }
}
