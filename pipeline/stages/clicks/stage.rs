//! The stage's three steps: decode and validate; sessions and features; the scored click.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::fast::RandomState;
use jiff::Timestamp;
use prost::{Message, Name};
use serde::Serialize;

use super::features::FEATURES;
use super::profile::{Mix, Segments};
use super::{Click, Observed, Rules, SessionSoFar, observe};
use crate::codec::{ClickDecoder, Decoded, Encoder};
use crate::config;
use crate::event::{Answer, Ask, Error, Fault, ModelId, Output, Priority, Question, RawRecord, Reason, Rejection, v1};
use crate::stages::recommend::{self, Recommender, Seen};
use crate::stages::reviewers::SharedOpinions;
use crate::stages::{Prepare, Stage};
use crate::state::{Kind, View};
use crate::telemetry::{ClicksObserved, ClicksWithoutKey, SegmentsMeasured};
use crate::text::Redactor;

/// Probabilities kept for the next report: more than a second's.
const PROBABILITIES_MAX: usize = 1 << 18;

/// Clicks, each with its session and how likely that is to buy.
pub struct ClicksStage {
    /// By topic.
    pub decoders: HashMap<String, ClickDecoder, RandomState>,
    pub settings: config::Clicks,
    pub payload_bytes_max: usize,
    /// Says what becomes of the user's name.
    pub redactor: Redactor,
    pub model: Option<PurchaseModel>,
    pub segments: Option<Segments>,
    pub scored: ClicksOutput<v1::ScoredClick>,
    pub profiles: ClicksOutput<v1::Profile>,
    /// `None`: nothing is recommended.
    pub recommender: Option<Recommender>,
    /// What users say in their reviews; `None`: profiles say nothing of it.
    pub opinions: Option<Arc<SharedOpinions>>,
    /// Not told yet. Engines that share the stage wait for the lock as long as a count takes.
    pub counts: Mutex<ClicksObserved>,
    pub mix: Mutex<Mix>,
    pub keyless: Mutex<Keyless>,
}

/// Clicks whose records have no key. Whoever writes them so spreads a user's clicks over all partitions, and each of these
/// remembers the user by what it sees.
#[derive(Debug, Default)]
pub struct Keyless {
    /// Not told yet.
    clicks: u64,
    /// Where the first one lay.
    first: Option<(Arc<str>, i32)>,
    /// Others lay in other partitions of that topic.
    spread: bool,
}

impl Keyless {
    fn count(&mut self, record: &RawRecord) {
        self.clicks += 1;
        let crate::event::Origin { topic, partition, .. } = &record.origin;
        let (first, at) = self.first.get_or_insert_with(|| (topic.clone(), *partition));
        self.spread |= first == topic && at != partition;
    }

    fn report(&mut self) {
        let spread = self.first.as_ref().filter(|_| self.spread).map(|(topic, _)| &**topic);
        ClicksWithoutKey { clicks: std::mem::take(&mut self.clicks), spread }.emit();
    }
}

/// Where events of one message go, and how they are written.
pub struct ClicksOutput<T> {
    pub topic: Arc<str>,
    pub encoder: Encoder<T>,
}

/// The purchase model as this stage needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseModel {
    pub name: String,
    pub version: String,
    /// By place in the model's input: the place in [`FEATURES`].
    inputs: Vec<usize>,
}

/// A click on its way: the scored click but for its probability.
#[derive(Debug)]
pub struct Waiting {
    scored: v1::ScoredClick,
    profile: Option<Box<v1::Profile>>,
    /// The output's key.
    user: Bytes,
    /// What is recommended by; none where the click was too late.
    noticed: Option<Seen>,
}

impl Stage for ClicksStage {
    type Prepared = Click;
    type Event = Waiting;

    const NAME: &'static str = "clicks";

    fn kinds(&self) -> Vec<Kind> {
        // Those of recommendations too, where none are made: what was remembered while they were can be read back.
        [super::kinds(), recommend::kinds()].concat()
    }

    fn grace_ms(&self) -> i64 {
        milliseconds(self.settings.grace)
    }

    fn report(&self) {
        let counts = std::mem::take(&mut *self.counts());
        counts.emit(self.model.as_ref().map_or("", |model| &model.name));
        self.keyless().report();
        if let Some(drift) = self.segments.as_ref().and_then(|segments| self.mix().drift(segments)) {
            SegmentsMeasured { drift }.emit();
        }
        self.recommender.iter().for_each(Recommender::report);
    }

    fn prepare(&self, record: &RawRecord, now: Timestamp) -> Result<Prepare<Click>, Rejection> {
        let mut event = match self.decode(record)? {
            Decoded::Event(event) => event,
            Decoded::NeedsSchema(id) => return Ok(Prepare::NeedsSchema(id)),
        };
        // State and outputs know a user by the pseudonym alone where one is asked for.
        if let Some(user) = self.redactor.user(&event.user) {
            event.user = user;
        }
        let click = Click::new(event);
        refuse_future(&click, now, milliseconds(self.settings.future_max))?;
        Ok(Prepare::Ready(click))
    }

    fn observe(&self, state: &mut View<'_>, click: Click) -> (Waiting, Vec<Ask>) {
        let mut row = Vec::with_capacity(FEATURES.len());
        let observed = observe(state, &Rules::from(&self.settings), &click, &mut row);
        let user = Bytes::copy_from_slice(click.event.user.as_bytes());
        let mut noticed = self.recommender.as_ref().map(|recommender| Seen::new(&click, &recommender.rules.business));
        let mut scored = skeleton(click.event);
        let (mut asks, mut profile) = (Vec::new(), None);
        match observed {
            Observed::TooLate { .. } => {
                self.counts().too_late += 1;
                scored.too_late = true;
                noticed = None;
            }
            Observed::Counted(session, seen) => {
                self.count(&session);
                let segment = self.segments.as_ref().and_then(|segments| segments.nearest(&seen.row));
                scored.segment = self.segment_name(segment);
                profile = seen.profile.map(|profile| self.completed(profile, segment));
                scored.session = Some(session.into());
                if self.settings.include_features {
                    scored.features = named(&row);
                }
                asks.extend(self.model.as_ref().map(|model| model.ask(&row)));
            }
        }
        (Waiting { scored, profile, user, noticed }, asks)
    }

    fn conclude(
        &self,
        state: &mut View<'_>,
        record: &RawRecord,
        Waiting { mut scored, profile, user, noticed }: Waiting,
        answers: &[Answer],
        now: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        if record.key.is_none() {
            self.keyless().count(record);
        }
        scored.origin = Some(origin(record));
        scored.scored_time = Some(prost_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() });
        if let (Some(model), Some(answer)) = (&self.model, answers.first()) {
            let probability = probability(model, answer)?;
            self.said(probability);
            scored.purchase_probability = Some(probability);
            scored.model = Some(v1::Model { name: model.name.clone(), version: model.version.clone() });
        }
        let mut outputs = vec![self.scored.output(user.clone(), &scored)];
        let mut response = None;
        if let (Some(recommender), Some(noticed)) = (&self.recommender, &noticed) {
            response = recommender.conclude(state, record, noticed, now, &mut outputs);
        }
        if let Some(mut profile) = profile {
            profile.origin = scored.origin;
            profile.recommendations = response;
            profile.reviews = self.reviews_of(&profile.user);
            outputs.push(self.profiles.output(user, &profile));
        }
        Ok(outputs)
    }

    fn gather(&self, clicks: &mut dyn Iterator<Item = &mut Vec<Output>>) -> Vec<Output> {
        self.recommender.as_ref().map_or_else(Vec::new, |recommender| recommender.gather(clicks))
    }
}

impl<T: Message + Name + Serialize> ClicksOutput<T> {
    fn output(&self, user: Bytes, event: &T) -> Output {
        Output {
            topic: self.topic.clone(),
            partition: None,
            key: Some(user),
            payload: Some(self.encoder.encode(event)),
            headers: Vec::new(),
        }
    }
}

impl ClicksStage {
    fn counts(&self) -> MutexGuard<'_, ClicksObserved> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyless(&self) -> MutexGuard<'_, Keyless> {
        self.keyless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, probability: f64) {
        let probabilities = &mut self.counts().probabilities;
        // Where nobody asks for reports, the first ones stand for all.
        if probabilities.len() < PROBABILITIES_MAX {
            probabilities.push(probability);
        }
    }

    fn count(&self, session: &SessionSoFar) {
        let mut counts = self.counts();
        counts.counted += 1;
        counts.opened += u64::from(session.tally.clicks() == 1);
        counts.revised += u64::from(session.late);
        counts.merged += u64::from(session.merged.is_some());
    }

    pub(super) fn reviews_of(&self, user: &str) -> Option<v1::ReviewOpinions> {
        self.opinions.as_ref()?.of(user)
    }

    fn segment_name(&self, segment: Option<usize>) -> String {
        let known = self.segments.as_ref().zip(segment).and_then(|(segments, place)| segments.segments.get(place));
        known.map(|segment| segment.name.clone()).unwrap_or_default()
    }

    fn completed(&self, mut profile: Box<v1::Profile>, segment: Option<usize>) -> Box<v1::Profile> {
        self.name_segment(&mut profile, segment);
        *self.counts().profiles.entry(profile.segment.clone()).or_default() += 1;
        if let Some(segment) = segment {
            self.mix().count(segment);
        }
        profile
    }

    pub(super) fn name_segment(&self, profile: &mut v1::Profile, segment: Option<usize>) {
        profile.segment = self.segment_name(segment);
        if let (Some(segments), Some(_)) = (&self.segments, segment) {
            profile.segment_model = Some(v1::Model { name: segments.name.clone(), version: segments.version.clone() });
        }
    }

    fn mix(&self) -> MutexGuard<'_, Mix> {
        self.mix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, record: &RawRecord) -> Result<Decoded<v1::Click>, Rejection> {
        let size = record.payload.as_ref().map_or(0, Bytes::len);
        if size > self.payload_bytes_max {
            let message = format!("{size} bytes are more than text.payload_bytes_max ({})", self.payload_bytes_max);
            return Err(Rejection::new(Reason::TooLarge, message));
        }
        let Some(decoder) = self.decoders.get(&*record.origin.topic) else {
            let message = format!("no input is configured for topic {}", record.origin.topic);
            return Err(Rejection::new(Reason::Malformed, message));
        };
        decoder.decode(record)
    }
}

impl PurchaseModel {
    /// `features`: the names of the model's inputs, in their order, as its card lists them. Fails on one that this
    /// program does not compute.
    pub fn new(name: &str, version: &str, features: &[String]) -> Result<Self, Error> {
        let place = |wanted: &String| {
            FEATURES.iter().position(|feature| feature.name == *wanted).ok_or_else(|| {
                Error::new(Fault::Config, format!("model {name} reads the feature {wanted:?}, which is not computed"))
                    .hint("docs/features.md lists those that are")
            })
        };
        let inputs = features.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name: name.to_owned(), version: version.to_owned(), inputs })
    }

    fn ask(&self, features: &[f32]) -> Ask {
        let row = self.inputs.iter().map(|place| features[*place]).collect();
        Ask { model: ModelId(0), priority: Priority::Normal, question: Question::Row(row) }
    }
}

/// One of them would carry all windows of the partition along.
pub fn refuse_future(click: &Click, now: Timestamp, ahead_ms_max: i64) -> Result<(), Rejection> {
    let ahead = click.at_ms.saturating_sub(now.as_millisecond());
    if ahead <= ahead_ms_max {
        return Ok(());
    }
    let message = format!("event_time is {ahead} ms ahead, more than clicks.future_ms_max ({ahead_ms_max})");
    Err(Rejection::new(Reason::Future, message))
}

/// What the model says, that a purchase follows later in the session.
fn probability(model: &PurchaseModel, answer: &Answer) -> Result<f64, Rejection> {
    let refused =
        |why: &str| Rejection::new(Reason::Model, format!("model {} failed on this session alone: {why}", model.name));
    let prediction = answer.as_ref().map_err(|why| refused(why))?;
    match prediction.heads.first().and_then(|head| head.values.first()) {
        Some(probability) if (0.0..=1.0).contains(probability) => Ok(f64::from(*probability)),
        Some(other) => Err(refused(&format!("{other} is no probability"))),
        None => Err(refused("it gave no answer")),
    }
}

fn origin(record: &RawRecord) -> v1::Origin {
    let crate::event::Origin { topic, partition, offset } = &record.origin;
    v1::Origin { topic: topic.to_string(), partition: *partition, offset: *offset }
}

fn skeleton(click: v1::Click) -> v1::ScoredClick {
    v1::ScoredClick {
        event_id: click.event_id,
        event_time: click.event_time,
        user: Some(click.user),
        item: click.item,
        category: click.category,
        action: click.action,
        recommendation_id: click.recommendation_id,
        ..v1::ScoredClick::default()
    }
}

fn named(row: &[f32]) -> BTreeMap<String, f64> {
    FEATURES.iter().zip(row).map(|(feature, value)| (feature.name.clone(), f64::from(*value))).collect()
}

fn milliseconds(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl From<&config::Clicks> for Rules {
    fn from(settings: &config::Clicks) -> Self {
        Rules {
            gap_ms: milliseconds(settings.session_gap),
            grace_ms: milliseconds(settings.grace),
            utc_offset_minutes: settings.utc_offset_minutes,
            interest_half_life_ms: milliseconds(settings.interest_half_life),
            profile_interval_ms: milliseconds(settings.profile_interval),
        }
    }
}

impl From<SessionSoFar> for v1::ClickSession {
    fn from(session: SessionSoFar) -> Self {
        let time = |ms: i64| {
            let nanos = (ms.rem_euclid(1000) * 1_000_000) as i32;
            Some(prost_types::Timestamp { seconds: ms.div_euclid(1000), nanos })
        };
        let tally = session.tally;
        v1::ClickSession {
            id: session.name(),
            revision: session.revision,
            merged: session.merged.map(|id| format!("{id:016x}")),
            first_time: time(session.first_ms),
            last_time: time(session.last_ms),
            clicks: tally.clicks(),
            views: tally.views,
            carts: tally.carts,
            favourites: tally.favourites,
            purchases: tally.purchases,
            impressions: tally.impressions,
            removes: tally.removes,
            items: session.items,
            categories: session.categories,
            cart_items: session.cart_items,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{FieldSource, Input, InputFormat, InputKind, OutputFormat, Redaction, UserRedaction};
    use crate::event::{HeadAnswer, Origin, Prediction, Record};
    use crate::state::State;

    const NOW_S: i64 = 1_795_341_600;

    impl<T: Message + Name + Serialize> ClicksOutput<T> {
        fn json(topic: &str) -> Self {
            ClicksOutput { topic: topic.into(), encoder: Encoder::new(OutputFormat::Json, None).unwrap() }
        }
    }

    fn stage(model: &[&str]) -> ClicksStage {
        let fields = [("user", "/user_id"), ("item", "/item_id"), ("event_time", "/ts")];
        let fields = fields.map(|(name, at)| (name.to_owned(), FieldSource::Pointer(at.to_owned()))).into();
        let (name, topics) = ("clicks".to_owned(), vec!["clicks".to_owned()]);
        let input = Input { name, kind: InputKind::Click, topics, format: InputFormat::Json, fields };
        let model: Vec<String> = model.iter().map(|name| name.to_string()).collect();
        let redaction = Redaction { kinds: Vec::new(), patterns: Vec::new(), user: UserRedaction::Keep };
        ClicksStage {
            decoders: [("clicks".to_owned(), ClickDecoder::new(&input, None).unwrap())].into_iter().collect(),
            settings: config::Clicks {
                engines: 1,
                session_gap: Duration::from_secs(1800),
                grace: Duration::from_secs(600),
                utc_offset_minutes: 0,
                future_max: Duration::from_secs(3600),
                include_features: true,
                purchase_model: None,
                interest_half_life: Duration::from_secs(14 * 86_400),
                profile_interval: Duration::from_secs(60),
                segment_model: None,
                include_reviews: false,
                reviews_bytes_max: 1 << 20,
            },
            payload_bytes_max: 4000,
            redactor: Redactor::new(&redaction),
            model: (!model.is_empty()).then(|| PurchaseModel::new("purchase", "v1", &model).unwrap()),
            segments: None,
            scored: ClicksOutput::json("clicks.scored"),
            profiles: ClicksOutput::json("profiles"),
            recommender: None,
            opinions: None,
            counts: Mutex::default(),
            mix: Mutex::default(),
            keyless: Mutex::default(),
        }
    }

    fn record(json: &str) -> RawRecord {
        let origin = Origin { topic: "clicks".into(), partition: 3, offset: 42 };
        let payload = Some(Bytes::copy_from_slice(json.as_bytes()));
        Record { origin, key: None, headers: Vec::new(), timestamp_ms: Some(NOW_S * 1000), payload }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW_S).unwrap()
    }

    fn prepared(stage: &ClicksStage, json: &str) -> Result<Click, String> {
        match stage.prepare(&record(json), now()).map_err(|rejection| rejection.to_string())? {
            Prepare::Ready(click) => Ok(click),
            Prepare::NeedsSchema(id) => Err(format!("needs schema {id}")),
        }
    }

    #[test]
    fn a_click_is_taken_or_refused() {
        let stage = stage(&[]);
        let click = prepared(&stage, r#"{"user_id": 7, "item_id": "p", "action": "CART", "ts": 1795341600}"#).unwrap();
        assert_eq!((click.event.user.as_str(), click.action, click.at_ms), ("7", v1::Action::Cart, NOW_S * 1000));
        assert_eq!((click.event.event_id.as_str(), click.category), ("clicks/3/42", None));
        let check = |json: &str, expected: &str| assert_eq!(prepared(&stage, json), Err(expected.to_owned()), "{json}");
        check(r#"{"item_id": "p", "action": "cart"}"#, "missing: user is required: missing or empty at /user_id");
        check(r#"{"user_id": "u", "action": "cart"}"#, "missing: item is required: missing or empty at /item_id");
        check(r#"{"user_id": "u", "item_id": "p"}"#, "missing: action is required: missing or empty at /action");
        check(
            r#"{"user_id": "u", "item_id": "p", "action": "click"}"#,
            "invalid: action: expected one of view, cart, favourite, purchase, impression, remove, found a string at /action",
        );
        check(
            r#"{"user_id": "u", "item_id": "p", "action": "view", "price": -2}"#,
            "invalid: price: expected a number from 0 to 1e12, found -2",
        );
        check(
            r#"{"user_id": "u", "item_id": "p", "action": "view", "price": 1.5e12}"#,
            "invalid: price: expected a number from 0 to 1e12, found 1500000000000",
        );
        check(
            r#"{"user_id": "u", "item_id": "p", "action": "view", "ts": 1795345201}"#,
            "future: event_time is 3601000 ms ahead, more than clicks.future_ms_max (3600000)",
        );
    }

    /// State holds names by the hundred in one record, and a record that the broker does not take stops the stage.
    #[test]
    fn a_name_that_is_too_long_to_be_remembered_is_refused() {
        let stage = stage(&[]);
        let click = |field: &str, bytes: usize| {
            let mut click = serde_json::json!({"user_id": "u", "item_id": "p", "action": "view"});
            click[field] = "é".repeat(bytes / 2).into();
            prepared(&stage, &click.to_string()).map(drop)
        };
        let fields = [("user_id", "user"), ("item_id", "item")]
            .into_iter()
            .chain(["event_id", "category", "brand", "recommendation_id"].map(|name| (name, name)));
        for (at, name) in fields {
            assert_eq!(click(at, 1024), Ok(()), "{name}");
            let expected = format!("invalid: {name}: expected 1024 bytes at most, found 1026");
            assert_eq!(click(at, 1026), Err(expected));
        }
    }

    #[test]
    fn clicks_without_a_key_are_noticed_once_they_are_spread() {
        let mut keyless = Keyless::default();
        let mut counted = |topic: &str, partition: i32| {
            let mut record = record("{}");
            record.origin = Origin { topic: topic.into(), partition, offset: 0 };
            keyless.count(&record);
            (keyless.clicks, keyless.spread)
        };
        assert_eq!(counted("clicks", 3), (1, false));
        assert_eq!(counted("clicks", 3), (2, false), "a topic may have one partition");
        assert_eq!(counted("others", 0), (3, false));
        assert_eq!(counted("clicks", 0), (4, true));
        keyless.report();
        assert_eq!((keyless.clicks, keyless.spread), (0, true));
    }

    #[test]
    fn a_click_is_scored_with_its_session() {
        let stage = stage(&["is_cart", "clicks"]);
        let mut state = State::in_memory(&stage.kinds(), stage.grace_ms());
        let said = |value| Ok(Arc::new(Prediction { heads: [HeadAnswer { values: [value].into() }].into() }));
        let mut answer = |json: &str, answers: &[Answer]| {
            let record = record(json);
            let click = prepared(&stage, json).unwrap();
            let (waiting, asks) = state.observe(|view| stage.observe(view, click));
            let outputs = state.conclude(|view| stage.conclude(view, &record, waiting, answers, now()));
            let payload = |outputs: Vec<Output>| serde_json::from_slice(&outputs[0].payload.clone().unwrap()).unwrap();
            let rows: Vec<Question> = asks.into_iter().map(|ask| ask.question).collect();
            (rows, outputs.map(payload).map_err(|rejection| rejection.to_string()))
        };
        let view = r#"{"user_id": "u", "item_id": "p", "action": "view", "ts": 1795341000}"#;
        let (rows, scored): (_, Result<serde_json::Value, _>) = answer(view, &[said(0.25)]);
        assert_eq!(rows, [Question::Row([0.0, 1.0].into())]);
        let scored = scored.unwrap();
        assert_eq!(scored["purchase_probability"], 0.25);
        assert_eq!(scored["model"], serde_json::json!({"name": "purchase", "version": "v1"}));
        assert_eq!([&scored["session"]["clicks"], &scored["session"]["views"]], [1, 1]);
        assert_eq!(scored["features"]["since_cart"], -1.0);

        let cart = r#"{"user_id": "u", "item_id": "p", "action": "cart", "ts": 1795341601}"#;
        let (rows, failed) = answer(cart, &[Err("it broke".into())]);
        assert_eq!(rows, [Question::Row([1.0, 2.0].into())]);
        assert_eq!(failed, Err("model: model purchase failed on this session alone: it broke".to_owned()));
        let (_, failed) = answer(cart, &[said(1.5)]);
        assert_eq!(failed, Err("model: model purchase failed on this session alone: 1.5 is no probability".to_owned()));

        let (rows, late) = answer(r#"{"user_id": "u", "item_id": "p", "action": "cart", "ts": 1795341000}"#, &[]);
        let late = late.unwrap();
        assert_eq!((rows.len(), &late["too_late"]), (0, &serde_json::Value::Bool(true)));
        for absent in ["session", "purchase_probability", "segment", "model"] {
            assert!(late.get(absent).is_none(), "{absent}: {late}");
        }
    }

    #[test]
    fn a_model_that_reads_what_is_not_computed_is_refused() {
        let error = PurchaseModel::new("m", "v", &["clicks".to_owned(), "shoe_size".to_owned()]).unwrap_err();
        assert_eq!(error.message, "model m reads the feature \"shoe_size\", which is not computed");
    }
}
