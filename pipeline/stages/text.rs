//! Reviews and chats, scored. Stateless: what a text gets depends on that text alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use jiff::Timestamp;

use super::reviewers::Opinions;
use super::{Prepare, Stage};
use crate::codec::{Decoded, Decoder, Encoder, TextEvent};
use crate::config::{self, Kind};
use crate::event::{
    Answer, Ask, Encoding, Error, ModelId, Output, Prediction, Priority, Question, RawRecord, Reason, Rejection, v1,
};
use crate::infer::{Head, HeadKind};
use crate::state::View;
use crate::telemetry::{Redacted, TextsTruncated};
use crate::text::{self, Language, Redactor};

/// Makes token ids of a text; cheap to share.
pub type Tokenise = Arc<dyn Fn(&str) -> Result<Encoding, Error> + Send + Sync>;

/// A model as this stage needs it.
#[derive(Clone)]
pub struct TextModel {
    pub name: String,
    pub version: String,
    /// Which texts it is asked about.
    pub kinds: Vec<Kind>,
    /// In the order of a prediction's heads.
    pub heads: Vec<Head>,
    pub tokenise: Tokenise,
}

/// Where the scored events of one kind go, and how they are written.
pub struct TextOutput {
    pub topic: Arc<str>,
    pub encoder: Encoder,
}

/// Decode, validate, redact, tokenise; ask; answer.
pub struct TextStage {
    /// By topic.
    pub decoders: HashMap<String, Decoder, RandomState>,
    pub redactor: Redactor,
    pub settings: config::Text,
    /// By [`ModelId`].
    pub models: Vec<TextModel>,
    pub reviews: TextOutput,
    pub chats: TextOutput,
    /// Where it is told what users feel, by user; `None`: nowhere.
    pub opinions: Option<Arc<str>>,
}

/// A text on its way: the scored event but for its scores.
pub struct Waiting {
    kind: Kind,
    /// Boxed: it is handed from thread to thread and from slot to slot, and is large.
    scored: Box<v1::Scored>,
    asked: Vec<ModelId>,
}

impl Stage for TextStage {
    type Prepared = (Waiting, Vec<Ask>);
    type Event = Waiting;

    const NAME: &'static str = "text";

    fn prepare(&self, record: &RawRecord, now: Timestamp) -> Result<Prepare<Self::Prepared>, Rejection> {
        match self.decode(record)? {
            Decoded::Event(event) => self.clean(record, event, now).map(Prepare::Ready),
            Decoded::NeedsSchema(id) => Ok(Prepare::NeedsSchema(id)),
        }
    }

    fn observe(&self, _: &mut View<'_>, (waiting, asks): Self::Prepared) -> (Waiting, Vec<Ask>) {
        (waiting, asks)
    }

    fn conclude(
        &self,
        _: &mut View<'_>,
        record: &RawRecord,
        waiting: Waiting,
        answers: &[Answer],
        now: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        let Waiting { kind, mut scored, asked } = waiting;
        scored.scored_time = Some(proto_time(now));
        for (id, answer) in asked.iter().zip(answers) {
            let model = &self.models[usize::from(id.0)];
            let prediction = answer.as_ref().map_err(|why| refused_by(model, why))?;
            add_answer(&mut scored, model, prediction);
        }
        let output = self.output(kind);
        let mut outputs = vec![Output {
            topic: output.topic.clone(),
            partition: None,
            key: key(kind, &scored, record),
            payload: Some(output.encoder.encode(&scored)),
            headers: Vec::new(),
        }];
        if let (Some(topic), Kind::Review) = (&self.opinions, kind) {
            outputs.extend(Opinions::of(&scored).map(|(user, opinions)| opinions.output(topic, user)));
        }
        Ok(outputs)
    }
}

impl TextStage {
    fn decode(&self, record: &RawRecord) -> Result<Decoded, Rejection> {
        let Some(payload) = &record.payload else {
            return Err(Rejection::new(Reason::Tombstone, "the record has no value"));
        };
        let most = self.settings.payload_bytes_max;
        if payload.len() > most {
            let message = format!("{} bytes are more than text.payload_bytes_max ({most})", payload.len());
            return Err(Rejection::new(Reason::TooLarge, message));
        }
        let Some(decoder) = self.decoders.get(&*record.origin.topic) else {
            let message = format!("no input is configured for topic {}", record.origin.topic);
            return Err(Rejection::new(Reason::Malformed, message));
        };
        decoder.decode(record)
    }

    /// Nothing behind this sees the text as it came.
    fn clean(&self, record: &RawRecord, event: TextEvent, now: Timestamp) -> Result<(Waiting, Vec<Ask>), Rejection> {
        self.refuse_future(event.event_time_ms(), now)?;
        let normalised = text::normalise(event.text());
        if normalised.is_empty() {
            return Err(Rejection::new(
                Reason::EmptyText,
                "nothing is left of text without white space and control characters",
            ));
        }
        let text::Redacted { text, counts } = self.redactor.redact(&normalised);
        let text = text.into_owned();
        let kind = event.kind();
        let mut scored = Box::new(self.skeleton(record, event, &text));
        for (name, count) in counts {
            Redacted { kind: &name, count: u64::from(count) }.emit();
            scored.redacted.insert(name.to_string(), count);
        }
        let asks = self.asks(kind, &text)?;
        scored.truncated =
            asks.iter().any(|ask| matches!(&ask.question, Question::Text { encoding, .. } if encoding.truncated));
        let asked = asks.iter().map(|ask| ask.model).collect();
        Ok((Waiting { kind, scored, asked }, asks))
    }

    fn refuse_future(&self, event_time_ms: i64, now: Timestamp) -> Result<(), Rejection> {
        let most = i64::try_from(self.settings.future_max.as_millis()).unwrap_or(i64::MAX);
        let ahead = event_time_ms.saturating_sub(now.as_millisecond());
        if ahead <= most {
            return Ok(());
        }
        let message = format!("event_time is {ahead} ms ahead, more than text.future_ms_max ({most})");
        Err(Rejection::new(Reason::Future, message))
    }

    fn skeleton(&self, record: &RawRecord, event: TextEvent, text: &str) -> v1::Scored {
        let language = language(event.language(), text).as_str().to_owned();
        let user = event.user().and_then(|user| self.redactor.user(user));
        let origin = v1::Origin {
            topic: record.origin.topic.to_string(),
            partition: record.origin.partition,
            offset: record.origin.offset,
        };
        let scored = v1::Scored {
            language,
            user,
            text: self.settings.include_text.then(|| text.to_owned()),
            origin: Some(origin),
            ..v1::Scored::default()
        };
        match event {
            TextEvent::Review(review) => from_review(scored, review),
            TextEvent::Chat(chat) => from_chat(scored, chat),
        }
    }

    fn asks(&self, kind: Kind, text: &str) -> Result<Vec<Ask>, Rejection> {
        let key = text::text_key(text);
        let priority = match kind {
            Kind::Chat => Priority::High,
            Kind::Review => Priority::Normal,
        };
        let models = self.models.iter().enumerate().filter(|(_, model)| model.kinds.contains(&kind));
        models
            .map(|(id, model)| {
                let encoding = (model.tokenise)(text).map_err(|e| refused_by(model, &e.message))?;
                if encoding.truncated {
                    TextsTruncated { model: &model.name, count: 1 }.emit();
                }
                // More models than this are refused at start.
                let question = Question::Text { encoding: Arc::new(encoding), key };
                Ok(Ask { model: ModelId(id as u16), priority, question })
            })
            .collect()
    }

    fn output(&self, kind: Kind) -> &TextOutput {
        match kind {
            Kind::Review => &self.reviews,
            Kind::Chat => &self.chats,
        }
    }
}

fn from_review(scored: v1::Scored, review: v1::Review) -> v1::Scored {
    v1::Scored {
        event_id: review.event_id,
        kind: v1::Kind::Review.into(),
        event_time: review.event_time,
        product: review.product,
        brand: review.brand,
        channel: review.channel,
        rating: review.rating,
        ..scored
    }
}

fn from_chat(scored: v1::Scored, chat: v1::Chat) -> v1::Scored {
    v1::Scored {
        event_id: chat.event_id,
        kind: v1::Kind::Chat.into(),
        event_time: chat.event_time,
        conversation: chat.conversation,
        turn: chat.turn,
        speaker: (chat.speaker != 0).then_some(chat.speaker),
        product: chat.product,
        brand: chat.brand,
        channel: chat.channel,
        ..scored
    }
}

/// The writer's tag where it is one of ours; what the text looks like otherwise.
fn language(tag: Option<&str>, text: &str) -> Language {
    let primary = tag.and_then(|tag| tag.split(['-', '_']).next());
    match primary.map(str::to_ascii_lowercase).as_deref() {
        Some("zh") => Language::Zh,
        Some("en") => Language::En,
        _ => text::language(text),
    }
}

fn refused_by(model: &TextModel, why: &str) -> Rejection {
    Rejection::new(Reason::Model, format!("model {} failed on this text alone: {why}", model.name))
}

fn add_answer(scored: &mut v1::Scored, model: &TextModel, prediction: &Prediction) {
    let named = || Some(v1::Model { name: model.name.clone(), version: model.version.clone() });
    for (head, answer) in model.heads.iter().zip(&prediction.heads) {
        match &head.kind {
            HeadKind::Sentiment(polarity) => {
                let [negative, neutral, positive] = polarity.distribution(&answer.values);
                scored.sentiment = Some(sentiment(head, negative, neutral, positive));
                scored.model = named();
            }
            HeadKind::Labels => {
                let labels = head.chosen(&answer.values).into_iter();
                let labels = labels
                    .map(|(label, probability)| v1::Label {
                        label: label.to_owned(),
                        probability: f64::from(probability),
                    })
                    .collect();
                scored.labels.insert(head.name.clone(), v1::Labels { labels });
            }
            HeadKind::Embedding { .. } => scored.embedding = unit(&answer.values),
        }
    }
    if scored.model.is_none() {
        scored.model = named();
    }
}

/// Of length 1, so that the product of two is their cosine.
fn unit(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    // Only nothing at all has no direction.
    let scale = if length > 0.0 { length } else { 1.0 };
    values.iter().map(|v| (f64::from(*v) / scale) as f32).collect()
}

fn sentiment(head: &Head, negative: f32, neutral: f32, positive: f32) -> v1::Sentiment {
    let named = [("negative", negative), ("neutral", neutral), ("positive", positive)];
    let (label, best) = named.into_iter().fold(("", f32::MIN), |best, next| if next.1 > best.1 { next } else { best });
    let label = if best >= head.threshold { label } else { "" };
    let probabilities: BTreeMap<String, f64> =
        named.into_iter().map(|(name, probability)| (name.to_owned(), f64::from(probability))).collect();
    v1::Sentiment {
        label: label.to_owned(),
        score: f64::from(positive) - f64::from(negative),
        probabilities: probabilities.into_iter().collect(),
    }
}

/// The product or the conversation; the input's own key where the event names neither.
fn key(kind: Kind, scored: &v1::Scored, record: &RawRecord) -> Option<Bytes> {
    let entity = match kind {
        Kind::Review => &scored.product,
        Kind::Chat => &scored.conversation,
    };
    entity.as_ref().map(|entity| Bytes::copy_from_slice(entity.as_bytes())).or_else(|| record.key.clone())
}

fn proto_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}
