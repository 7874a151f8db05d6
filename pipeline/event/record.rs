use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Where a record lies in Kafka. It travels with whatever is made of the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A topic's partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A record header; Kafka allows one without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// A payload with the place it came from. `map` and `try_map` change the payload and keep the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<T> {
    pub origin: Origin,
    pub key: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Milliseconds since 1970, UTC, as the broker or the producer set it.
    pub timestamp_ms: Option<i64>,
    pub payload: T,
}

/// A record as polled. `None` is Kafka's tombstone.
pub type RawRecord = Record<Option<Bytes>>;

impl<T> Record<T> {
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Record<U> {
        let Record { origin, key, headers, timestamp_ms, payload } = self;
        Record { origin, key, headers, timestamp_ms, payload: f(payload) }
    }

    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Record<U>, E> {
        let Record { origin, key, headers, timestamp_ms, payload } = self;
        Ok(Record { origin, key, headers, timestamp_ms, payload: f(payload)? })
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|h| h.name == name).and_then(|h| h.value.as_ref())
    }
}

impl RawRecord {
    /// What the record holds in memory, in bytes, for the bound on bytes in flight.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len)).sum();
        self.payload.as_ref().map_or(0, Bytes::len) + self.key.as_ref().map_or(0, Bytes::len) + headers
    }
}

/// A record to be produced.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub topic: Arc<str>,
    /// Chosen by the key where absent.
    pub partition: Option<i32>,
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
}

impl Output {
    /// What the output holds in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len) + self.key.as_ref().map_or(0, Bytes::len)
    }
}

/// Why a record went to the dead letters: a closed set, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No payload.
    Tombstone,
    /// More bytes than `text.payload_bytes_max`.
    TooLarge,
    /// Not the format that the input is configured for.
    Malformed,
    /// Framed with a schema that the registry does not know or that is not Protobuf.
    UnknownSchema,
    /// A required field is missing or empty.
    Missing,
    /// A field's value is of the wrong type or out of range.
    Invalid,
    /// Dated further ahead than `text.future_ms_max`.
    Future,
    /// Nothing was left to score after cleaning.
    EmptyText,
    /// The model failed on this text alone.
    Model,
    /// The broker does not take the result.
    OutputTooLarge,
}

impl Reason {
    pub const ALL: [Reason; 10] = [
        Reason::Tombstone,
        Reason::TooLarge,
        Reason::Malformed,
        Reason::UnknownSchema,
        Reason::Missing,
        Reason::Invalid,
        Reason::Future,
        Reason::EmptyText,
        Reason::Model,
        Reason::OutputTooLarge,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Reason::Tombstone => "tombstone",
            Reason::TooLarge => "too_large",
            Reason::Malformed => "malformed",
            Reason::UnknownSchema => "unknown_schema",
            Reason::Missing => "missing",
            Reason::Invalid => "invalid",
            Reason::Future => "future",
            Reason::EmptyText => "empty_text",
            Reason::Model => "model",
            Reason::OutputTooLarge => "output_too_large",
        }
    }
}

/// A record refused, with the reason. The message names the field and both values, and never quotes text that was not redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    pub message: String,
}

impl Rejection {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.message)
    }
}
