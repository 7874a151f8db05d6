//! What could not be processed, kept with everything needed to look at it and to try it again.

use std::sync::Arc;

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use prost::Message;

use crate::config::{DeadLetterPayload, SecretKey};
use crate::event::{Header, Output, RawRecord, Reason, Rejection};

/// Our headers start so; the record's own headers keep their names.
pub const HEADER_PREFIX: &str = "groundswell.";
const NONCE_BYTES: usize = 12;

/// Makes dead letters of one stage.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    topic: Arc<str>,
    stage: &'static str,
    payload: DeadLetterPayload,
}

impl DeadLetters {
    pub fn new(topic: &str, stage: &'static str, payload: DeadLetterPayload) -> Self {
        Self { topic: Arc::from(topic), stage, payload }
    }

    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The record as it came, or what the configuration leaves of it, with where it lay and why it was refused.
    pub fn letter(&self, record: &RawRecord, rejection: &Rejection) -> Output {
        match &self.payload {
            DeadLetterPayload::Raw => self.raw(record, rejection),
            DeadLetterPayload::Withheld => self.withheld(record, rejection, "withheld"),
            DeadLetterPayload::Encrypted(key) => self.encrypted(record, rejection, key),
        }
    }

    /// For a record whose dead letter is itself too large for the broker: its origin says where to find it.
    pub fn letter_without_payload(&self, record: &RawRecord, rejection: &Rejection) -> Output {
        self.withheld(record, rejection, "too_large")
    }

    fn raw(&self, record: &RawRecord, rejection: &Rejection) -> Output {
        let mut headers = record.headers.clone();
        headers.extend(self.provenance(record, rejection, "raw"));
        self.output(record.key.clone(), record.payload.clone(), headers)
    }

    /// Key and headers may hold as much as the value does: they are left out with it.
    fn withheld(&self, record: &RawRecord, rejection: &Rejection, why: &'static str) -> Output {
        self.output(None, Some(Bytes::new()), self.provenance(record, rejection, why))
    }

    fn encrypted(&self, record: &RawRecord, rejection: &Rejection, key: &SecretKey) -> Output {
        match seal(record, key) {
            Some(sealed) => self.output(None, Some(sealed), self.provenance(record, rejection, "encrypted")),
            None => self.withheld(record, rejection, "withheld"),
        }
    }

    fn output(&self, key: Option<Bytes>, payload: Option<Bytes>, headers: Vec<Header>) -> Output {
        Output { topic: self.topic.clone(), partition: None, key, payload, headers }
    }

    fn provenance(&self, record: &RawRecord, rejection: &Rejection, payload: &'static str) -> Vec<Header> {
        let origin = &record.origin;
        let mut headers = vec![
            ours("topic", origin.topic.to_string()),
            ours("partition", origin.partition.to_string()),
            ours("offset", origin.offset.to_string()),
            ours("stage", self.stage),
            ours("reason", rejection.reason.name()),
            ours("error", rejection.message.clone()),
            ours("payload", payload),
        ];
        if let Some(timestamp) = record.timestamp_ms {
            headers.push(ours("timestamp_ms", timestamp.to_string()));
        }
        if rejection.reason == Reason::Tombstone {
            headers.push(ours("tombstone", "true"));
        }
        headers
    }
}

fn ours(name: &str, value: impl Into<String>) -> Header {
    Header { name: format!("{HEADER_PREFIX}{name}"), value: Some(Bytes::from(value.into())) }
}

/// What an encrypted dead letter holds: nonce, then the ciphertext of this message; the origin is authenticated with it.
#[derive(Clone, PartialEq, Message)]
struct Sealed {
    #[prost(bytes = "bytes", optional, tag = "1")]
    key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    payload: Option<Bytes>,
    #[prost(message, repeated, tag = "3")]
    headers: Vec<SealedHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct SealedHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", optional, tag = "2")]
    value: Option<Bytes>,
}

fn seal(record: &RawRecord, key: &SecretKey) -> Option<Bytes> {
    let headers =
        record.headers.iter().map(|h| SealedHeader { name: h.name.clone(), value: h.value.clone() }).collect();
    let sealed = Sealed { key: record.key.clone(), payload: record.payload.clone(), headers };
    let origin = record.origin.to_string();
    let mut nonce = [0u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let message = sealed.encode_to_vec();
    let ciphertext =
        cipher(key).encrypt(&Nonce::from(nonce), Payload { msg: &message, aad: origin.as_bytes() }).ok()?;
    Some([nonce.as_slice(), &ciphertext].concat().into())
}

/// A record's key, value and headers, taken out of an encrypted dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Decrypts a dead letter's value. `None`: the key is another, or the letter was tampered with.
pub fn open(value: &[u8], origin: &str, key: &SecretKey) -> Option<Opened> {
    let (nonce, ciphertext) = value.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let message = cipher(key).decrypt(&Nonce::from(nonce), Payload { msg: ciphertext, aad: origin.as_bytes() }).ok()?;
    let sealed = Sealed::decode(message.as_slice()).ok()?;
    let headers = sealed.headers.into_iter().map(|h| Header { name: h.name, value: h.value }).collect();
    Some(Opened { key: sealed.key, payload: sealed.payload, headers })
}

fn cipher(key: &SecretKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(key.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;

    fn record() -> RawRecord {
        RawRecord {
            origin: Origin { topic: "reviews".into(), partition: 3, offset: 42 },
            key: Some(Bytes::from_static(b"p-7")),
            headers: vec![Header { name: "trace".into(), value: Some(Bytes::from_static(b"13800138000")) }],
            timestamp_ms: Some(1_700_000_000_000),
            payload: Some(Bytes::from_static(b"call 13800138000")),
        }
    }

    fn letter(payload: DeadLetterPayload) -> Output {
        let rejection = Rejection::new(Reason::Malformed, "byte 3 is no JSON");
        DeadLetters::new("dead-letters", "text", payload).letter(&record(), &rejection)
    }

    fn header<'a>(output: &'a Output, name: &str) -> &'a str {
        let name = format!("{HEADER_PREFIX}{name}");
        let header = output.headers.iter().find(|h| h.name == name).expect("header is there");
        std::str::from_utf8(header.value.as_ref().expect("header has a value")).expect("header is text")
    }

    fn shows_secret(output: &Output) -> bool {
        format!("{output:?}").contains("13800138000")
    }

    #[test]
    fn a_raw_letter_is_the_record_and_where_it_came_from() {
        let letter = letter(DeadLetterPayload::Raw);
        assert_eq!((letter.key.clone(), letter.payload.clone()), (record().key, record().payload));
        assert_eq!(letter.headers[0], record().headers[0]);
        let shown = ["topic", "partition", "offset", "stage", "reason", "error", "payload", "timestamp_ms"]
            .map(|name| header(&letter, name).to_owned());
        let expected =
            ["reviews", "3", "42", "text", "malformed", "byte 3 is no JSON", "raw", "1700000000000"].map(str::to_owned);
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_withheld_letter_shows_nothing_of_the_record() {
        let letter = letter(DeadLetterPayload::Withheld);
        assert!(!shows_secret(&letter));
        assert_eq!(header(&letter, "offset"), "42");
    }

    #[test]
    fn an_encrypted_letter_opens_with_its_key_and_origin_only() {
        let key = SecretKey([7; 32]);
        let letter = letter(DeadLetterPayload::Encrypted(key.clone()));
        assert!(!shows_secret(&letter));
        let value = letter.payload.expect("a value");
        let opened = open(&value, "reviews/3/42", &key).expect("opens");
        assert_eq!(opened, Opened { key: record().key, payload: record().payload, headers: record().headers });
        assert_eq!(open(&value, "reviews/3/43", &key), None, "another origin");
        assert_eq!(open(&value, "reviews/3/42", &SecretKey([8; 32])), None, "another key");
        assert_eq!(open(&value[..8], "reviews/3/42", &key), None, "cut short");
    }
}
