//! What users say in their reviews, for their profiles.
//!
//! Scored reviews are keyed by what they are about, and profiles are made where a user's clicks are. So the text stage
//! says of each review what its user felt, in the transaction of the review, in a topic keyed by user; [`ReviewersStage`]
//! adds it up where all of a user's reviews are, and publishes the sums in a compacted table that every instance reads
//! ([`SharedOpinions`]). Sums are whole numbers, so the order of reviews makes no difference to them.

use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use jiff::Timestamp;
use prost::Message;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::{Prepare, Stage};
use crate::event::{Answer, Ask, Output, RawRecord, Rejection, v1};
use crate::state::{Kind, ReadTables, Table, Tables, View};

const DAY_MS: i64 = 86_400_000;
/// A user who has written nothing for a year is forgotten, in the state and in the table.
const FORGOTTEN_MS: i64 = 365 * DAY_MS;

/// By user.
const REVIEWERS: Table<str, Opinions> = Table::new(Kind::new(40, "reviewers").fires());

/// What an entry of the table takes beside its key and the sums.
const ENTRY_BYTES: u64 = 160;

/// What one review says, or all of a user's.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Opinions {
    #[prost(uint64, tag = "1")]
    pub reviews: u64,
    #[prost(uint64, tag = "2")]
    pub positive: u64,
    #[prost(uint64, tag = "3")]
    pub neutral: u64,
    #[prost(uint64, tag = "4")]
    pub negative: u64,
    /// Thousandths, of all of them.
    #[prost(sint64, tag = "5")]
    pub score_milli: i64,
    /// Of the newest, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub last_ms: i64,
}

impl Opinions {
    /// Whose a review is and what it says; `None` where it names no user, or no model gave a sentiment.
    pub fn of(scored: &v1::Scored) -> Option<(&str, Self)> {
        let (user, sentiment) = (scored.user.as_deref()?, scored.sentiment.as_ref()?);
        let is = |label: &str| u64::from(sentiment.label == label);
        let last_ms = scored.event_time.as_ref().map_or(0, |at| at.seconds * 1000 + i64::from(at.nanos) / 1_000_000);
        let opinions = Self {
            reviews: 1,
            positive: is("positive"),
            neutral: is("neutral"),
            negative: is("negative"),
            score_milli: (sentiment.score * 1000.0).round() as i64,
            last_ms,
        };
        (!user.is_empty()).then_some((user, opinions))
    }

    /// For the topic that is keyed by user.
    pub fn output(&self, topic: &Arc<str>, user: &str) -> Output {
        to(topic, user, Some(self.encode_to_vec()))
    }

    fn add(&mut self, other: &Self) {
        self.reviews = self.reviews.saturating_add(other.reviews);
        self.positive = self.positive.saturating_add(other.positive);
        self.neutral = self.neutral.saturating_add(other.neutral);
        self.negative = self.negative.saturating_add(other.negative);
        self.score_milli = self.score_milli.saturating_add(other.score_milli);
        self.last_ms = self.last_ms.max(other.last_ms);
    }
}

impl From<Opinions> for v1::ReviewOpinions {
    fn from(all: Opinions) -> Self {
        let nanos = (all.last_ms.rem_euclid(1000) * 1_000_000) as i32;
        Self {
            reviews: all.reviews,
            positive: all.positive,
            neutral: all.neutral,
            negative: all.negative,
            // Of at most a few thousand reviews, each within -1 and 1.
            score: (all.score_milli as f64 / all.reviews.max(1) as f64).round() / 1000.0,
            last_time: Some(prost_types::Timestamp { seconds: all.last_ms.div_euclid(1000), nanos }),
        }
    }
}

/// Reads what reviews say, keeps each user's sums, publishes them.
pub struct ReviewersStage {
    pub table: Arc<str>,
}

impl Stage for ReviewersStage {
    type Prepared = (String, Opinions);
    /// Sums that have changed; `None` where they are forgotten.
    type Event = Vec<(String, Option<Opinions>)>;

    const NAME: &'static str = "reviewers";

    fn kinds(&self) -> Vec<Kind> {
        vec![REVIEWERS.kind()]
    }

    fn prepare(&self, record: &RawRecord, _: Timestamp) -> Result<Prepare<Self::Prepared>, Rejection> {
        use crate::event::Reason::{Malformed, Tombstone};
        let malformed = |what: &str| Rejection::new(Malformed, format!("{what} of a user's review cannot be read"));
        let payload = record.payload.as_deref();
        let payload = payload.ok_or_else(|| Rejection::new(Tombstone, "a user's review without a payload"))?;
        let user = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let user = user.filter(|user| !user.is_empty()).ok_or_else(|| malformed("the key"))?;
        let opinions = Opinions::decode(payload).map_err(|_| malformed("the payload"))?;
        Ok(Prepare::Ready((user.to_owned(), opinions)))
    }

    fn observe(&self, state: &mut View<'_>, (user, opinions): Self::Prepared) -> (Self::Event, Vec<Ask>) {
        state.advance(opinions.last_ms);
        let mut changed = Vec::new();
        while let Some(due) = state.next_due() {
            changed.extend(REVIEWERS.due(state, &due).map(|(user, _)| (user, None)));
        }
        let mut all = REVIEWERS.get(state, &user).unwrap_or_default();
        all.add(&opinions);
        let due_ms = state.stream_time().saturating_add(FORGOTTEN_MS);
        REVIEWERS.put_until(state, &user, all, due_ms);
        changed.push((user, Some(all)));
        (changed, Vec::new())
    }

    fn conclude(
        &self,
        _: &mut View<'_>,
        _: &RawRecord,
        changed: Self::Event,
        _: &[Answer],
        _: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        let written =
            |(user, all): &(String, Option<Opinions>)| to(&self.table, user, all.map(|all| all.encode_to_vec()));
        Ok(changed.iter().map(written).collect())
    }
}

fn to(topic: &Arc<str>, user: &str, payload: Option<Vec<u8>>) -> Output {
    Output {
        topic: topic.clone(),
        partition: None,
        key: Some(Bytes::copy_from_slice(user.as_bytes())),
        payload: payload.map(Bytes::from),
        headers: Vec::new(),
    }
}

/// The table as one instance reads it. Bounded in bytes: where there are more users than room, those leave that nobody
/// has asked for for long, and their profiles say nothing of reviews until they write another.
pub struct SharedOpinions {
    users: Cache<Arc<str>, Opinions, ByBytes, RandomState>,
    bytes_max: u64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Arc<str>, Opinions> for ByBytes {
    fn weight(&self, user: &Arc<str>, _: &Opinions) -> u64 {
        user.len() as u64 + size_of::<Opinions>() as u64 + ENTRY_BYTES
    }
}

impl SharedOpinions {
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max as u64;
        let users_about = (bytes_max / 256).clamp(16, 1 << 20);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(users_about as usize)
            .weight_capacity(bytes_max)
            .build()
            .expect("both capacities are given");
        let users = Cache::with_options(options, ByBytes, RandomState::default(), DefaultLifecycle::default());
        Self { users, bytes_max }
    }

    /// A record of the table's topic. False where it is none: key or value cannot be read.
    pub fn take(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Ok(user) = std::str::from_utf8(key) else { return false };
        match value.map(Opinions::decode) {
            None => {
                self.users.remove(user);
                true
            }
            Some(Ok(opinions)) => {
                self.users.insert(user.into(), opinions);
                true
            }
            Some(Err(_)) => false,
        }
    }

    /// What the user says in reviews; `None` where there are none, or none that is known here.
    pub fn of(&self, user: &str) -> Option<v1::ReviewOpinions> {
        self.users.get(user).map(Into::into)
    }

    pub fn len(&self) -> usize {
        self.users.len()
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.users.weight()
    }

    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Record};
    use crate::state::{Kinds, State};

    const START_MS: i64 = 1_795_341_600_000;

    fn review(user: &str, label: &str, score: f64, at_ms: i64) -> v1::Scored {
        let sentiment = v1::Sentiment { label: label.into(), score, ..v1::Sentiment::default() };
        v1::Scored {
            user: (!user.is_empty()).then(|| user.to_owned()),
            sentiment: (!label.is_empty()).then_some(sentiment),
            event_time: Some(prost_types::Timestamp { seconds: at_ms / 1000, nanos: 0 }),
            ..v1::Scored::default()
        }
    }

    fn record(key: &[u8], payload: Option<&[u8]>) -> RawRecord {
        Record {
            origin: Origin { topic: "opinions".into(), partition: 0, offset: 0 },
            key: Some(Bytes::copy_from_slice(key)),
            headers: Vec::new(),
            timestamp_ms: None,
            payload: payload.map(Bytes::copy_from_slice),
        }
    }

    /// Through the stage, and into the table that profiles are made with.
    fn after(reviews: &[v1::Scored]) -> SharedOpinions {
        let stage = ReviewersStage { table: "table".into() };
        let table = SharedOpinions::new(1 << 20);
        let mut state = State::unbounded(Kinds::new(&stage.kinds()), stage.grace_ms());
        for (sequence, (user, opinions)) in (0..).zip(reviews.iter().filter_map(Opinions::of)) {
            let Output { key, payload, .. } = opinions.output(&"opinions".into(), user);
            let record = record(&key.unwrap(), payload.as_deref());
            let Ok(Prepare::Ready(said)) = stage.prepare(&record, Timestamp::UNIX_EPOCH) else { panic!("not read") };
            let (changed, _) = state.observe(sequence, |view| stage.observe(view, said));
            let outputs = state
                .conclude(sequence, |view| stage.conclude(view, &record, changed, &[], Timestamp::UNIX_EPOCH))
                .unwrap();
            for output in outputs {
                assert!(table.take(&output.key.unwrap(), output.payload.as_deref()));
            }
            state.cut(sequence);
            state.committed();
        }
        assert_eq!(state.fault().map(ToString::to_string), None);
        table
    }

    #[test]
    fn a_users_reviews_are_summed_up_in_any_order() {
        let mut reviews = vec![
            review("u", "positive", 0.9, START_MS),
            review("u", "negative", -0.5, START_MS + 5000),
            review("u", "", 0.0, START_MS + 6000),
            review("u", "neutral", 0.2, START_MS + 1000),
            review("v", "positive", 1.0, START_MS),
            review("", "positive", 1.0, START_MS),
        ];
        for _ in 0..reviews.len() {
            let table = after(&reviews);
            assert_eq!(table.len(), 2);
            let expected = v1::ReviewOpinions {
                reviews: 3,
                positive: 1,
                neutral: 1,
                negative: 1,
                score: 0.2,
                last_time: Some(prost_types::Timestamp { seconds: START_MS / 1000 + 5, nanos: 0 }),
            };
            assert_eq!(table.of("u"), Some(expected));
            assert_eq!(table.of("nobody"), None);
            reviews.rotate_left(1);
        }
    }

    #[test]
    fn who_writes_nothing_for_a_year_is_forgotten_in_the_table_too() {
        let year = [review("u", "positive", 1.0, START_MS), review("v", "positive", 1.0, START_MS + FORGOTTEN_MS)];
        assert!(after(&year).of("u").is_none());
        let less =
            [review("u", "positive", 1.0, START_MS), review("v", "positive", 1.0, START_MS + FORGOTTEN_MS - 1000)];
        assert!(after(&less).of("u").is_some());
    }

    #[test]
    fn what_is_no_review_is_rejected() {
        let stage = ReviewersStage { table: "table".into() };
        for (key, payload) in [(&b""[..], Some(&b""[..])), (b"\xff", Some(b"")), (b"u", None), (b"u", Some(b"\xff"))] {
            assert!(stage.prepare(&record(key, payload), Timestamp::UNIX_EPOCH).is_err(), "{key:?} {payload:?}");
        }
    }

    /// `bounded`
    #[test]
    fn opinions_stay_within_their_bytes() {
        let table = SharedOpinions::new(100_000);
        for user in 0..10_000 {
            table.take(format!("user-{user}").as_bytes(), Some(&Opinions::default().encode_to_vec()));
            assert!(table.bytes() <= table.bytes_max());
        }
        assert!(table.len() > 10);
    }
}
