use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::config::{DeadLetterPayload, SecretKey, Settings};
use crate::event::{Header, Origin, RawRecord};
use crate::sink::{HEADER_PREFIX, open};

/// The header that counts how often a record was replayed.
pub const ATTEMPTS: &str = "groundswell.attempts";

/// A letter's place in the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Position, String> {
        let parsed = text.split_once('/').and_then(|(partition, offset)| {
            Some(Position { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        });
        parsed
            .filter(|position| position.partition >= 0 && position.offset >= 0)
            .ok_or_else(|| "expected PARTITION/OFFSET, as in 0/42; `groundswell dead-letters list` shows them".into())
    }
}

/// A record of the dead-letter topic.
#[derive(Clone, Debug)]
pub struct Letter(pub RawRecord);

/// The record that a letter keeps, without our headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
    /// How often it was replayed before it became this letter.
    pub attempts: u32,
}

/// Why a letter's record cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The configuration of that time kept it back.
    Withheld,
    /// It did not fit the dead-letter topic.
    TooLarge,
    /// It is encrypted, and no key is configured.
    NoKey,
    /// It is encrypted under another key, or was tampered with.
    OtherKey,
    /// Not written by this program.
    Foreign,
}

impl Unreadable {
    pub fn why(self) -> &'static str {
        match self {
            Unreadable::Withheld => "its payload was withheld",
            Unreadable::TooLarge => "its payload was too large for the dead-letter topic",
            Unreadable::NoKey => "it is encrypted and no key is configured",
            Unreadable::OtherKey => "it does not open with the configured key",
            Unreadable::Foreign => "it says not where it comes from",
        }
    }
}

impl Letter {
    pub fn position(&self) -> Position {
        Position { partition: self.0.origin.partition, offset: self.0.origin.offset }
    }

    /// A header of ours by its name without the prefix. Ours stand behind those that the record came with.
    pub fn ours(&self, name: &str) -> Option<Cow<'_, str>> {
        let is_it = |header: &&Header| header.name.strip_prefix(HEADER_PREFIX) == Some(name);
        let value = self.0.headers.iter().rev().find(is_it)?.value.as_ref()?;
        Some(String::from_utf8_lossy(value))
    }

    /// Where the record lay.
    pub fn origin(&self) -> Option<Origin> {
        Some(Origin {
            topic: self.ours("topic")?.as_ref().into(),
            partition: self.ours("partition")?.parse().ok()?,
            offset: self.ours("offset")?.parse().ok()?,
        })
    }

    /// The record's own timestamp, not the letter's.
    pub fn record_timestamp_ms(&self) -> Option<i64> {
        self.ours("timestamp_ms")?.parse().ok()
    }

    /// The record as it came, opened where it is encrypted.
    pub fn content(&self, key: Option<&SecretKey>) -> Result<Content, Unreadable> {
        let origin = self.origin().ok_or(Unreadable::Foreign)?;
        match self.ours("payload").as_deref() {
            Some("raw") => Ok(Content::of(self.0.key.clone(), self.0.payload.clone(), &self.0.headers)),
            Some("encrypted") => {
                let key = key.ok_or(Unreadable::NoKey)?;
                let sealed = self.0.payload.as_deref().unwrap_or_default();
                let opened = open(sealed, &origin.to_string(), key).ok_or(Unreadable::OtherKey)?;
                Ok(Content::of(opened.key, opened.payload, &opened.headers))
            }
            Some("withheld") => Err(Unreadable::Withheld),
            Some("too_large") => Err(Unreadable::TooLarge),
            _ => Err(Unreadable::Foreign),
        }
    }
}

impl Content {
    fn of(key: Option<Bytes>, payload: Option<Bytes>, headers: &[Header]) -> Content {
        let attempts = headers.iter().rev().find(|header| header.name == ATTEMPTS);
        let attempts = attempts.and_then(|h| std::str::from_utf8(h.value.as_ref()?).ok()?.parse().ok());
        let theirs = headers.iter().filter(|header| !header.name.starts_with(HEADER_PREFIX));
        Content { key, payload, headers: theirs.cloned().collect(), attempts: attempts.unwrap_or(0) }
    }
}

/// The key that letters are opened with.
pub fn key(settings: &Settings) -> Option<&SecretKey> {
    match &settings.dead_letters.payload {
        DeadLetterPayload::Encrypted(key) => Some(key),
        DeadLetterPayload::Raw | DeadLetterPayload::Withheld => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::event::{Reason, Rejection};
    use crate::sink::DeadLetters;

    /// The letter that the pipeline writes for a record replayed once before.
    pub fn letter(payload: DeadLetterPayload) -> Letter {
        let header = |name: &str, value: &'static str| Header { name: name.into(), value: Some(Bytes::from(value)) };
        let record = RawRecord {
            origin: Origin { topic: "reviews".into(), partition: 3, offset: 42 },
            key: Some(Bytes::from_static(b"p-7")),
            headers: vec![header("trace", "t-1"), header(ATTEMPTS, "1")],
            timestamp_ms: Some(1_700_000_000_000),
            payload: Some(Bytes::from_static(b"{")),
        };
        let rejection = Rejection::new(Reason::Malformed, "ends after byte 1");
        let output = DeadLetters::new("dead-letters", "text", payload).letter(&record, &rejection);
        Letter(RawRecord {
            origin: Origin { topic: output.topic, partition: 0, offset: 7 },
            key: output.key,
            headers: output.headers,
            timestamp_ms: Some(1_700_000_100_000),
            payload: output.payload,
        })
    }

    #[test]
    fn a_letter_gives_back_the_record_and_counts_its_attempts() {
        let key = SecretKey([7; 32]);
        for payload in [DeadLetterPayload::Raw, DeadLetterPayload::Encrypted(key.clone())] {
            let letter = letter(payload);
            let content = letter.content(Some(&key)).expect("opens");
            assert_eq!((content.key.as_deref(), content.payload.as_deref()), (Some(&b"p-7"[..]), Some(&b"{"[..])));
            assert_eq!(content.headers.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["trace"]);
            assert_eq!(content.attempts, 1);
            assert_eq!(letter.origin().map(|o| o.to_string()), Some("reviews/3/42".into()));
            assert_eq!(letter.record_timestamp_ms(), Some(1_700_000_000_000));
        }
    }

    #[test]
    fn a_letter_that_cannot_be_read_says_why() {
        let other = SecretKey([8; 32]);
        let encrypted = || letter(DeadLetterPayload::Encrypted(SecretKey([7; 32])));
        assert_eq!(letter(DeadLetterPayload::Withheld).content(None), Err(Unreadable::Withheld));
        assert_eq!(encrypted().content(None), Err(Unreadable::NoKey));
        assert_eq!(encrypted().content(Some(&other)), Err(Unreadable::OtherKey));
        let mut foreign = letter(DeadLetterPayload::Raw);
        foreign.0.headers.retain(|header| header.name != "groundswell.topic");
        assert_eq!(foreign.content(None), Err(Unreadable::Foreign));
    }

    #[test]
    fn the_last_header_of_a_name_is_ours() {
        let mut letter = letter(DeadLetterPayload::Raw);
        let theirs = Header { name: "groundswell.reason".into(), value: Some(Bytes::from_static(b"theirs")) };
        letter.0.headers.insert(0, theirs);
        assert_eq!(letter.ours("reason").as_deref(), Some("malformed"));
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        assert_eq!("3/42".parse::<Position>().map(|p| p.to_string()), Ok("3/42".into()));
        for bad in ["3", "3/", "-1/2", "1/-2", "reviews/3/42"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
