use prost_types::Timestamp;

use crate::config::Kind;
use crate::event::json::time;
use crate::event::{RawRecord, Reason, Rejection, v1};

/// A decoded event of the text stage: its text is not empty, it has an id, and a time that can be written.
#[derive(Clone, Debug, PartialEq)]
pub enum TextEvent {
    Review(v1::Review),
    Chat(v1::Chat),
}

impl TextEvent {
    pub fn kind(&self) -> Kind {
        match self {
            TextEvent::Review(_) => Kind::Review,
            TextEvent::Chat(_) => Kind::Chat,
        }
    }

    pub fn event_id(&self) -> &str {
        match self {
            TextEvent::Review(review) => &review.event_id,
            TextEvent::Chat(chat) => &chat.event_id,
        }
    }

    /// Milliseconds since 1970.
    pub fn event_time_ms(&self) -> i64 {
        self.event_time().as_ref().and_then(time::to_ms).unwrap_or_default()
    }

    /// As received: not redacted.
    pub fn text(&self) -> &str {
        match self {
            TextEvent::Review(review) => &review.text,
            TextEvent::Chat(chat) => &chat.text,
        }
    }

    pub fn product(&self) -> Option<&str> {
        match self {
            TextEvent::Review(review) => review.product.as_deref(),
            TextEvent::Chat(chat) => chat.product.as_deref(),
        }
    }

    pub fn brand(&self) -> Option<&str> {
        match self {
            TextEvent::Review(review) => review.brand.as_deref(),
            TextEvent::Chat(chat) => chat.brand.as_deref(),
        }
    }

    pub fn channel(&self) -> Option<&str> {
        match self {
            TextEvent::Review(review) => review.channel.as_deref(),
            TextEvent::Chat(chat) => chat.channel.as_deref(),
        }
    }

    /// As received: not redacted.
    pub fn user(&self) -> Option<&str> {
        match self {
            TextEvent::Review(review) => review.user.as_deref(),
            TextEvent::Chat(chat) => chat.user.as_deref(),
        }
    }

    /// As the writer gives it.
    pub fn language(&self) -> Option<&str> {
        match self {
            TextEvent::Review(review) => review.language.as_deref(),
            TextEvent::Chat(chat) => chat.language.as_deref(),
        }
    }

    fn event_time(&self) -> Option<Timestamp> {
        match self {
            TextEvent::Review(review) => review.event_time,
            TextEvent::Chat(chat) => chat.event_time,
        }
    }

    /// Makes whole what a format let through: the same event whichever format it came in.
    ///
    /// `place` says where the text was looked for, for the message.
    pub(super) fn complete(mut self, record: &RawRecord, place: impl Fn() -> String) -> Result<Self, Rejection> {
        if self.text().is_empty() {
            return Err(Rejection::new(Reason::Missing, format!("text is required: missing or empty {}", place())));
        }
        let event_time = Some(event_time(self.event_time(), record)?);
        let (event_id, attributes) = match &mut self {
            TextEvent::Review(review) => {
                check_rating(review.rating)?;
                review.event_time = event_time;
                (&mut review.event_id, &mut review.attributes)
            }
            TextEvent::Chat(chat) => {
                // A speaker that a newer writer added: unknown to us, and no reason to lose the turn.
                chat.speaker = chat.speaker().into();
                chat.event_time = event_time;
                (&mut chat.event_id, &mut chat.attributes)
            }
        };
        if event_id.is_empty() {
            *event_id = record.origin.to_string();
        }
        attributes.take_if(|attributes| attributes.fields.is_empty());
        Ok(self)
    }
}

/// The event's own time or the record's, cut to milliseconds.
pub(super) fn event_time(own: Option<Timestamp>, record: &RawRecord) -> Result<Timestamp, Rejection> {
    let (ms, whose) = match (&own, record.timestamp_ms) {
        (Some(own), _) => (time::to_ms(own), "event_time"),
        (None, Some(ms)) => (Some(ms), "the record's timestamp"),
        (None, None) => {
            let message = "event_time is missing, and the record has no timestamp either";
            return Err(Rejection::new(Reason::Missing, message));
        }
    };
    let out_of_range = || Rejection::new(Reason::Invalid, format!("{whose}: expected a time in the years 1 to 9999"));
    ms.and_then(time::from_ms).ok_or_else(out_of_range)
}

fn check_rating(rating: Option<f64>) -> Result<(), Rejection> {
    match rating {
        Some(rating) if !rating.is_finite() => {
            Err(Rejection::new(Reason::Invalid, format!("rating: expected a finite number, found {rating}")))
        }
        _ => Ok(()),
    }
}
