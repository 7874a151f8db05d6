//! The configuration once validated: types that cannot be wrong. The parts of the program read these and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, ClientCert};

use super::alerts::Alerts;
use super::http::Http;
use super::receivers::Receiver;
use super::recommendations::Recommendations;

/// Everything the program needs to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Stable name of this instance; the transactional ids are derived from it.
    pub instance: String,
    pub kafka: Kafka,
    pub delivery: Delivery,
    pub inputs: Vec<Input>,
    pub outputs: Outputs,
    pub registry: Option<Registry>,
    pub text: Text,
    pub clicks: Clicks,
    pub recommendations: Recommendations,
    pub alerts: Alerts,
    /// Who is told of alerts.
    pub receivers: Vec<Receiver>,
    pub redaction: Redaction,
    pub batch: Batch,
    pub cache_bytes_max: usize,
    pub models: Vec<Model>,
    pub inference: Inference,
    pub state: State,
    pub dead_letters: DeadLetters,
    pub http: Http,
    pub log: Log,
}

/// A value that must never be printed: `Debug` and `Display` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Clone, Debug)]
pub struct Kafka {
    pub bootstrap_servers: String,
    /// Consumer groups are `<group_prefix>-<stage>`, transactional ids `<group_prefix>-<stage>-<instance>`.
    pub group_prefix: String,
    pub group_protocol: GroupProtocol,
    /// Where a group without committed offsets begins.
    pub start_from: StartFrom,
    /// `group.instance.id` is set to the instance's name: a restart within the session time-out moves no partitions.
    pub static_membership: bool,
    /// Passed to librdkafka for consumers and producers as they are; secrets already resolved.
    pub librdkafka: BTreeMap<String, Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The classic protocol with the cooperative-sticky assignor.
    Classic,
    /// KIP-848.
    Consumer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartFrom {
    /// The oldest record that the topic still holds.
    Earliest,
    /// Only what arrives from now on.
    Latest,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub mode: DeliveryMode,
    /// An epoch is committed at most this long after its first result is ready.
    pub epoch_ms_max: Duration,
    /// Results in one epoch.
    pub epoch_events_max: usize,
    pub transaction_timeout: Duration,
    /// Records read and not yet committed.
    pub in_flight_records_max: usize,
    /// Bytes of records read and not yet committed.
    pub in_flight_bytes_max: usize,
    /// From SIGTERM to exit.
    pub shutdown_max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    /// Results, dead letters and offsets of an epoch in one transaction.
    ExactlyOnce,
    /// Results first, offsets after their acknowledgement: faster to appear, doubled after a crash.
    AtLeastOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What a customer wrote about a product.
    Review,
    /// One turn of a conversation.
    Chat,
}

/// What the records of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// What a customer wrote about a product.
    Review,
    /// One turn of a conversation.
    Chat,
    /// What a user did to an item of a shop.
    Click,
}

impl InputKind {
    /// `None` for clicks.
    pub fn text(self) -> Option<Kind> {
        match self {
            InputKind::Review => Some(Kind::Review),
            InputKind::Chat => Some(Kind::Chat),
            InputKind::Click => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            InputKind::Review => "review",
            InputKind::Chat => "chat",
            InputKind::Click => "click",
        }
    }
}

impl From<Kind> for InputKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Review => InputKind::Review,
            Kind::Chat => InputKind::Chat,
        }
    }
}

/// One kind of event from one or several topics.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub kind: InputKind,
    pub topics: Vec<String>,
    pub format: InputFormat,
    /// Where each of our fields is found in the writer's record; a field that is not named here is looked up under its own name.
    pub fields: BTreeMap<String, FieldSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputFormat {
    /// One JSON object a record.
    #[default]
    Json,
    /// A bare message of `schemas/`.
    Protobuf,
    /// Confluent framing: magic byte, schema id, message index; needs a registry.
    ProtobufFramed,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FieldSource {
    /// RFC 6901 JSON pointer into the record's value.
    Pointer(String),
    /// A record header by name.
    Header(String),
    /// The record's key, as UTF-8.
    Key,
    /// The record's timestamp.
    Timestamp,
    /// The same for every record.
    Constant(String),
}

#[derive(Clone, Debug)]
pub struct Outputs {
    pub reviews: String,
    pub chats: String,
    pub clicks: String,
    pub profiles: String,
    pub recommendations: String,
    pub alerts: String,
    pub trends: String,
    pub dead_letters: String,
    pub format: OutputFormat,
}

impl Outputs {
    pub fn topic(&self, kind: InputKind) -> &str {
        match kind {
            InputKind::Review => &self.reviews,
            InputKind::Chat => &self.chats,
            InputKind::Click => &self.clicks,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// One JSON object a record.
    Json,
    /// A bare message of `schemas/`.
    Protobuf,
    /// Confluent framing; needs a registry.
    ProtobufFramed,
}

#[derive(Clone, Debug)]
pub struct Registry {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Whose signatures are believed instead of those of the public authorities.
    pub authorities: Option<Vec<Certificate<'static>>>,
    /// What this client shows of itself, where it is asked to.
    pub identity: Option<ClientCert>,
    /// Register the output schemas at start; otherwise they must be there.
    pub register: bool,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Text {
    /// The redacted text goes into the scored event.
    pub include_text: bool,
    /// The text's embedding goes into the scored event.
    pub include_embedding: bool,
    /// A record with a larger value is refused.
    pub payload_bytes_max: usize,
    /// An event dated further ahead than this is refused.
    pub future_max: Duration,
}

#[derive(Clone, Debug)]
pub struct Clicks {
    /// A click this long after the last one opens a new session.
    pub session_gap: Duration,
    /// A click older than the newest of its partition by more than this is in no session.
    pub grace: Duration,
    /// What the shop's clocks show ahead of UTC.
    pub utc_offset_minutes: i32,
    /// A click dated further ahead than this is refused.
    pub future_max: Duration,
    /// The features go into the scored click.
    pub include_features: bool,
    /// The directory of the purchase model; `None`: no click is scored.
    pub purchase_model: Option<PathBuf>,
    /// Until a click weighs half as much in a profile.
    pub interest_half_life: Duration,
    /// Event time between two profiles of a user.
    pub profile_interval: Duration,
    /// The directory of the segments' centres; `None`: nobody is in a segment.
    pub segment_model: Option<PathBuf>,
    /// Profiles tell of their users' reviews.
    pub include_reviews: bool,
    /// Memory for what is known of them.
    pub reviews_bytes_max: usize,
}

#[derive(Clone, Debug)]
pub struct Redaction {
    /// Built-in kinds that are on.
    pub kinds: Vec<RedactionKind>,
    /// The operator's own: kind name → pattern.
    pub patterns: Vec<(String, Regex)>,
    pub user: UserRedaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedactionKind {
    /// Numbers of mainland China and international ones.
    Phone,
    Email,
    /// Mainland China's, with a check digit that is right.
    IdentityCard,
    /// With a Luhn check digit that is right.
    BankCard,
    /// A URL that carries a token.
    UrlToken,
    IpAddress,
}

#[derive(Clone, Debug)]
pub enum UserRedaction {
    /// The user field passes as it came.
    Keep,
    /// Replaced by an HMAC-SHA-256 under this secret, hexadecimal, first 32 digits.
    Pseudonym(Secret),
    /// Left out.
    Drop,
}

#[derive(Clone, Debug)]
pub struct Batch {
    /// Padded tokens of a batch: longest × count.
    pub tokens_max: usize,
    /// A request waits at most this long for company.
    pub queue_delay_max: Duration,
    /// Tries of a batch before it is cut in two; a text that fails alone this often is refused.
    pub tries_max: u32,
    /// A model worker that has not answered by then is replaced.
    pub timeout: Duration,
}

/// A model directory as Hugging Face's exporters write it.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    pub path: PathBuf,
    /// Which texts it is asked about.
    pub kinds: Vec<Kind>,
    /// Overrides of what the directory's `config.json` says; by head name.
    pub thresholds: BTreeMap<String, f32>,
}

#[derive(Clone, Debug)]
pub struct Inference {
    pub device: Device,
    /// Sessions that run at the same time; by default the number of cores (CPU) or two (CUDA).
    pub workers: usize,
    /// The ONNX Runtime shared library; looked for where `default.toml` says if absent.
    pub library: Option<PathBuf>,
    /// Passed to ONNX Runtime's session options as they are.
    pub session_options: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    Cuda { id: u32 },
}

#[derive(Clone, Debug)]
pub struct State {
    /// Each instance makes a directory of its own in it.
    pub directory: PathBuf,
    /// Of a stage's state in memory.
    pub memory_bytes_max: usize,
}

#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub payload: DeadLetterPayload,
}

#[derive(Clone, Debug)]
pub enum DeadLetterPayload {
    /// The bytes as received.
    Raw,
    /// Empty; the origin says where the record can be found.
    Withheld,
    /// ChaCha20-Poly1305 under this 32-byte key.
    Encrypted(SecretKey),
}

/// A 256-bit key that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 32]);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Clone, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing` filter directive, such as `info` or `groundswell=debug`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// Lines for a person, in colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}
