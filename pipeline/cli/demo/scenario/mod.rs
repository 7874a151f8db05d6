//! What the demo's customers write: reviews and chats about a shop that does not exist, in two languages, with
//! something going wrong half-way; and what its shoppers click. Seeded: the same seed tells the same story.

mod catalogue;
mod en;
mod personal;
mod phrases;
mod poison;
mod shoppers;
mod speech;
mod talk;
mod timeline;
mod zh;

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use catalogue::{PRODUCTS, Product};
pub use shoppers::Shoppers;
pub use timeline::{CAUSE, PRODUCT as INCIDENT_PRODUCT, Phase, Timeline};

use crate::config::InputKind;
use phrases::{Lines, Phrases};
use speech::{Mood, Speech};
use talk::Talks;

/// How many of a hundred events are Chinese.
const CHINESE: f64 = 55.0;
/// How many of a hundred events are reviews; the others are turns of chats.
const REVIEWS: f64 = 60.0;
/// How many of a hundred reviews neither praise nor complain.
const QUESTIONS: f64 = 14.0;
/// How many of a hundred texts hold personal data.
const PERSONAL: f64 = 3.0;
/// How many of a hundred ratings say the opposite of the text.
const WRONG_RATINGS: f64 = 3.0;
/// One event in so many cannot be read.
const POISON_EVERY: u64 = 97;
const USERS: u32 = 500;
const CHANNELS: [&str; 4] = ["app", "web", "store", "partner"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    En,
    Zh,
}

/// A record for one of the input topics.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: InputKind,
    /// The product, the conversation or the user.
    pub key: String,
    /// `None`: a record without a value.
    pub payload: Option<Vec<u8>>,
}

/// The story, event by event.
pub struct Scenario {
    rng: Rng,
    timeline: Timeline,
    talks: Talks,
    count: u64,
}

impl Scenario {
    pub fn new(seed: u64, timeline: Timeline) -> Self {
        Self { rng: Rng::with_seed(seed), timeline, talks: Talks::default(), count: 0 }
    }

    /// What is written `elapsed_s` seconds after the beginning, which is `now`.
    pub fn next(&mut self, elapsed_s: f64, now: Timestamp) -> Event {
        self.count += 1;
        let incident = self.is_incident(elapsed_s);
        let (kind, key, event) =
            if chance(&mut self.rng, REVIEWS) { self.review(incident, now) } else { self.chat(incident, now) };
        let payload = if self.count % POISON_EVERY == POISON_EVERY / 2 {
            poison::spoil(event, &mut self.rng, now)
        } else {
            Some(event.to_string().into_bytes())
        };
        Event { kind, key, payload }
    }

    /// Complaints that the incident adds come on top of the usual ones, in the proportion that the timeline says.
    fn is_incident(&mut self, elapsed_s: f64) -> bool {
        let usual = incident_product().popularity / 100.0 * incident_product().complaints / 100.0;
        let added = usual * (self.timeline.complaints_times(elapsed_s) - 1.0).max(0.0);
        self.rng.f64() < added / (1.0 + added)
    }

    fn review(&mut self, incident: bool, now: Timestamp) -> (InputKind, String, Value) {
        let product = if incident { incident_product() } else { any_product(&mut self.rng) };
        let mood = if incident { Mood::Complaint } else { self.mood(product) };
        let speech = self.speech(Some(product));
        let text = self.review_text(&speech, product, mood, incident);
        let event = json!({
            "event_id": format!("r-{}", self.count),
            "event_time": format!("{now:.3}"),
            "text": text,
            "product": product.id,
            "brand": product.brand,
            "channel": CHANNELS[self.rng.usize(..CHANNELS.len())],
            "user": self.user(),
            "rating": self.rating(mood),
        });
        (InputKind::Review, product.id.to_owned(), event)
    }

    fn review_text(&mut self, speech: &Speech, product: &Product, mood: Mood, incident: bool) -> String {
        let phrases = Phrases::of(speech.language);
        let rng = &mut self.rng;
        if incident {
            let line = pick(rng, phrases.incident);
            return self.with_personal(speech, line, mood);
        }
        let lines = match rng.u32(..20) {
            0..=2 => &phrases.short,
            3..=6 => &phrases.any,
            _ => phrases.about(product.category),
        };
        let first = pick(rng, of_mood(lines, mood));
        if !std::ptr::eq(lines, &phrases.short) && rng.u32(..4) == 0 {
            let second = pick(rng, of_mood(phrases.about(product.category), mood));
            let space = if speech.language == Language::En { " " } else { "" };
            return self.with_personal(speech, &format!("{first}{space}{second}"), mood);
        }
        self.with_personal(speech, first, mood)
    }

    fn chat(&mut self, incident: bool, now: Timestamp) -> (InputKind, String, Value) {
        let product = if incident { incident_product() } else { any_product(&mut self.rng) };
        let (language, user) = (self.language(), self.user());
        let turn = self.talks.next(&mut self.rng, talk::Opening { incident, product, language, user });
        let speech = Speech { language: turn.language, product: Some(turn.product) };
        let text = match turn.by_customer() {
            true => self.with_personal(&speech, turn.line, Mood::Question),
            false => speech.say(turn.line, &mut self.rng),
        };
        let mut event = json!({
            "event_id": format!("c-{}", self.count),
            "event_time": format!("{now:.3}"),
            "text": text,
            "conversation": turn.conversation,
            "turn": turn.number,
            "speaker": turn.speaker,
            "channel": "chat",
            "user": turn.user,
        });
        if turn.about_product {
            event["product"] = json!(turn.product.id);
            event["brand"] = json!(turn.product.brand);
        }
        (InputKind::Chat, turn.conversation, event)
    }

    fn with_personal(&mut self, speech: &Speech, line: &str, mood: Mood) -> String {
        let text = speech.write(line, mood, &mut self.rng);
        if !chance(&mut self.rng, PERSONAL) {
            return text;
        }
        let contact = pick(&mut self.rng, Phrases::of(speech.language).contact);
        format!("{text} {}", personal::fill(contact, speech.language, &mut self.rng))
    }

    fn speech(&mut self, product: Option<&'static Product>) -> Speech {
        Speech { language: self.language(), product }
    }

    fn language(&mut self) -> Language {
        if chance(&mut self.rng, CHINESE) { Language::Zh } else { Language::En }
    }

    fn mood(&mut self, product: &Product) -> Mood {
        match self.rng.f64() * 100.0 {
            r if r < product.complaints => Mood::Complaint,
            r if r < product.complaints + QUESTIONS => Mood::Question,
            _ => Mood::Praise,
        }
    }

    fn rating(&mut self, mood: Mood) -> u32 {
        let rating = match mood {
            Mood::Praise => 4 + u32::from(self.rng.u32(..3) > 0),
            Mood::Question => 3 + self.rng.u32(..2),
            Mood::Complaint => 1 + u32::from(self.rng.u32(..4) == 0),
        };
        if chance(&mut self.rng, WRONG_RATINGS) { 6 - rating } else { rating }
    }

    fn user(&mut self) -> String {
        format!("u-{:03}", self.rng.u32(..USERS))
    }
}

fn of_mood(lines: &'static Lines, mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Praise => lines.praise,
        Mood::Complaint => lines.complaint,
        Mood::Question => lines.question,
    }
}

pub fn incident_product() -> &'static Product {
    PRODUCTS.iter().find(|product| product.id == INCIDENT_PRODUCT).unwrap_or(&PRODUCTS[0])
}

fn any_product(rng: &mut Rng) -> &'static Product {
    let total: f64 = PRODUCTS.iter().map(|product| product.popularity).sum();
    let mut rest = rng.f64() * total;
    for product in PRODUCTS {
        rest -= product.popularity;
        if rest < 0.0 {
            return product;
        }
    }
    &PRODUCTS[0]
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// True so many times in a hundred.
fn chance(rng: &mut Rng, percent: f64) -> bool {
    rng.f64() * 100.0 < percent
}

#[cfg(test)]
mod tests;
