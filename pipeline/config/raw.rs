//! The configuration as written: what the keys mean, in which unit, and what they trade.
//!
//! These types are the one list of keys. The checks, the defaults' test and the reference page are made from them; the default values and the reasons for them stand in `default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::alerts::{LooksFor, ScopeKind, Signal};
use super::http;
use super::recommendations;
use super::settings::{
    DeliveryMode, GroupProtocol, InputFormat, InputKind, Kind, LogFormat, OutputFormat, RedactionKind, StartFrom,
};

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Raw {
    /// This running copy of the program.
    pub instance: Instance,
    /// The brokers, and how this instance joins its consumer groups.
    pub kafka: Kafka,
    /// What is promised of each record, and how much is read ahead of the promise.
    pub delivery: Delivery,
    /// What is read: a table for each source of events, under a name of your own. A file that names any input replaces the default ones; environment variables and `--set` change those that are there.
    pub inputs: BTreeMap<String, Input>,
    /// What is written.
    pub outputs: Outputs,
    /// A schema registry that speaks the Confluent API; needed only by framed formats.
    pub registry: Registry,
    /// What happens to a text before a model sees it.
    pub text: Text,
    /// How clicks become sessions.
    pub clicks: Clicks,
    /// What users are shown next. Whatever changes how clicks are counted must be the same for all instances: from `weight_view` to `idle_ms`.
    pub recommendations: recommendations::Written,
    /// What is watched in the scored texts, and what of it is an alert.
    pub alerts: Alerts,
    /// Who is told of alerts by a POST of their JSON: a table for each, under a name of your own. Told is whatever fires and is neither inhibited nor silenced, each revision, and its end. Each request has the header `Idempotency-Key`, the alert's id and revision.
    pub webhooks: BTreeMap<String, Webhook>,
    /// Alertmanagers that are told of alerts: a table for each, under a name of your own. Each is told by itself, so a cluster's members all stand here.
    pub alertmanagers: BTreeMap<String, Alertmanager>,
    /// What is removed from every text before anything else sees it.
    pub redaction: Redaction,
    /// How texts are gathered for a model.
    pub batch: Batch,
    /// The cache of answers: a text that was scored is not scored again.
    pub cache: Cache,
    /// The models: a table for each, under a name of your own that appears in every scored event. A file that names any model replaces the default ones; environment variables and `--set` change those that are there.
    pub models: BTreeMap<String, Model>,
    /// Where the models run.
    pub inference: Inference,
    /// What stages remember between records. The changelog topics in Kafka hold all of it.
    pub state: State,
    /// What is kept of a record that could not be processed.
    pub dead_letters: DeadLetters,
    /// Health, metrics, and what can be looked up.
    pub http: http::Written,
    /// What the program says of itself, on standard error.
    pub log: Log,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Instance {
    /// A name that stays the same over restarts and that no other running instance has: letters, digits, `.`, `_` and `-`. The transactional ids are derived from it, so that a restarted instance fences what it left open and readers need not wait for `delivery.transaction_timeout_ms`. Two instances of one name fence each other for ever. Absent: the host's name, which stays in a Kubernetes StatefulSet and changes with every pod of a Deployment.
    pub name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Kafka {
    /// Brokers to ask first, `host:port` separated by commas. One that answers is enough; two or three survive the loss of one.
    pub bootstrap_servers: String,
    /// First word of the consumer groups (`PREFIX-text`) and the transactional ids. Another prefix is another application: it begins where `kafka.start_from` says and shares nothing.
    pub group_prefix: String,
    /// How the group shares out partitions.
    pub group_protocol: GroupProtocol,
    /// Where a group without committed offsets begins. `latest` leaves out what is there when a partition is first assigned, and so what arrives between its creation and its discovery; that place is committed at once, and all that arrives later is read.
    pub start_from: StartFrom,
    /// The instance keeps its partitions over a restart that is shorter than `session.timeout.ms` (then 45 s by default, otherwise 10 s), and nobody else is given them meanwhile, after a crash either.
    pub static_membership: bool,
    /// Handed to librdkafka as they are, for consumers and producers: TLS, SASL, fetch sizes, compression. Write secrets as `{ env = "NAME" }` or `{ file = "PATH" }`. Refused are the properties that would break a promise or that have a key of their own. As an environment variable, `fetch.min.bytes` is `GROUNDSWELL__KAFKA__LIBRDKAFKA__FETCH_MIN_BYTES`.
    pub librdkafka: BTreeMap<String, Property>,
}

/// A librdkafka property's value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    Secret(SecretFrom),
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

/// Where a secret is found; a secret itself is never written into a configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretFrom {
    /// An environment variable's name.
    Env(String),
    /// A file's path; a line break at its end does not count.
    File(PathBuf),
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Delivery {
    /// What a reader sees after a crash.
    pub mode: DeliveryMode,
    /// An epoch is committed at most this many milliseconds after its first result is ready, eight times as many while more than half of what may be in flight is: a backlog waits longer than that anyway, and fewer commits leave more to the models. A commit costs 5 to 10 ms: longer epochs spend less on commits, shorter ones show results earlier. At most half of `transaction_timeout_ms`.
    #[schemars(range(min = 1, max = 10_000))]
    pub epoch_ms_max: u64,
    /// Results in one epoch, and so in one transaction. More is less work a record, and more to do again after an abort.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub epoch_events_max: usize,
    /// Milliseconds after which the broker aborts a transaction that nobody ends. Until then an instance that died for good holds `read_committed` readers of its partitions back; too short, and a slow broker aborts epochs that were sound. Not above the broker's `transaction.max.timeout.ms`, and below half of `max.poll.interval.ms` (5 minutes): a partition that is taken away may take that long to be committed.
    #[schemars(range(min = 1000, max = 900_000))]
    pub transaction_timeout_ms: u64,
    /// Records read and not yet committed. Reading pauses there. More lets batches form across more texts; under full load it is the length of the queue that every record waits in.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub in_flight_records_max: usize,
    /// Bytes of records read and not yet committed. Reading pauses there. Holds at least one record of `text.payload_bytes_max`.
    #[schemars(range(min = 65_536, max = 68_719_476_736_u64))]
    pub in_flight_bytes_max: usize,
    /// Milliseconds from SIGTERM to exit, at most. What is in flight is finished and committed within them, the rest is left to the next instance. Keep it below Kubernetes' `terminationGracePeriodSeconds`.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub shutdown_ms_max: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Input {
    /// What the records are. Required.
    pub kind: Option<InputKind>,
    /// The topics, by their exact names; a topic belongs to one input. Required.
    pub topics: Option<Vec<String>>,
    /// How the records are written.
    #[serde(default)]
    pub format: InputFormat,
    /// Where each of our fields is found in a record that is not written as ours are. A field that is not named here is looked up under its own name. A string is a JSON pointer into the record's value and begins with `/`; the tables are `{ header = "NAME" }`, `{ record = "key" }`, `{ record = "timestamp" }` and `{ constant = "VALUE" }`.
    #[serde(default)]
    pub fields: Fields,
}

/// The fields of all kinds; each may be found elsewhere than under its own name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Fields {
    /// Unique within the input. Absent: `topic/partition/offset`.
    pub event_id: Option<Source>,
    /// When it was written: RFC 3339, or seconds or milliseconds since 1970. Absent: the record's timestamp.
    pub event_time: Option<Source>,
    /// What is scored; every review and chat has it.
    pub text: Option<Source>,
    /// What it is about; reviews and chats only.
    pub product: Option<Source>,
    /// Who makes the product.
    pub brand: Option<Source>,
    /// Where it was written: app, web, shop, social network; reviews and chats only.
    pub channel: Option<Source>,
    /// Who wrote or clicked; `redaction.user` says what becomes of it. Every click has it.
    pub user: Option<Source>,
    /// The writer's own rating, a number on the shop's own scale; reviews only.
    pub rating: Option<Source>,
    /// BCP 47 tag; reviews and chats only. Absent: recognised from the text.
    pub language: Option<Source>,
    /// The conversation that the turn belongs to; chats only.
    pub conversation: Option<Source>,
    /// The turn's position within the conversation; chats only.
    pub turn: Option<Source>,
    /// `customer`, `agent` or `bot`; chats only.
    pub speaker: Option<Source>,
    /// What was clicked; clicks only, and each has it.
    pub item: Option<Source>,
    /// The item's category; clicks only.
    pub category: Option<Source>,
    /// The item's price in the shop's currency, a number; clicks only.
    pub price: Option<Source>,
    /// `view`, `cart`, `favourite`, `purchase`, `impression` or `remove`; clicks only, and each has it.
    pub action: Option<Source>,
    /// The recommendation that led to the click; clicks only.
    pub recommendation_id: Option<Source>,
}

/// Where a field's value is found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Source {
    /// RFC 6901 pointer into the record's value, such as `/comment/body`.
    Pointer(String),
    Header {
        /// A header's name.
        header: String,
    },
    Record {
        /// A part of the record itself.
        record: RecordPart,
    },
    Constant {
        /// The same for every record.
        constant: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordPart {
    /// The record's key, as UTF-8.
    Key,
    /// The record's timestamp; for `event_time` only.
    Timestamp,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Outputs {
    /// Topic of the scored reviews.
    pub reviews: String,
    /// Topic of the scored chats.
    pub chats: String,
    /// Topic of the scored clicks.
    pub clicks: String,
    /// Topic of the users' profiles, keyed by user; compacted, so that it holds the last one of each.
    pub profiles: String,
    /// Topic of the recommendations.
    pub recommendations: String,
    /// Topic of the alerts, compacted: the last record of an id is how the alert stands.
    pub alerts: String,
    /// Topic of the trends, compacted: a record for each scope and bucket, keyed by both; of a product that is named with a brand the brand is in the key too.
    pub trends: String,
    /// Topic of the records that could not be processed.
    pub dead_letters: String,
    /// How scored events are written. Protobuf is smaller; JSON can be read by eye.
    pub format: OutputFormat,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Registry {
    /// Base address, `http://` or `https://`, without name and password. Absent: no registry.
    pub url: Option<String>,
    /// Name for HTTP basic authentication. Absent: none.
    pub username: Option<String>,
    /// Password for HTTP basic authentication, `{ env = "NAME" }` or `{ file = "PATH" }`. Absent: none.
    pub password: Option<SecretFrom>,
    /// A PEM file with the certificates of the authorities that may have signed the registry's own; then no others are believed. Absent: the public ones, as Mozilla lists them.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that this client shows, and those between it and its authority. Needs `registry.key`. Absent: none is shown.
    pub certificate: Option<PathBuf>,
    /// The private key of `registry.certificate`, as PEM without a passphrase, `{ env = "NAME" }` or `{ file = "PATH" }`. Absent: none.
    pub key: Option<SecretFrom>,
    /// Registers the schemas of the outputs at start. Off, they must be there already, as where only a build pipeline may register.
    pub register: bool,
    /// Milliseconds that one request may take; an unreachable registry is asked again, and reading waits.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Text {
    /// Puts the redacted text into the scored event: larger records, and readers need not look the text up.
    pub include_text: bool,
    /// Puts the text's embedding into the scored event, a vector of length 1: what lies close means alike. A model of the kind must have one.
    pub include_embedding: bool,
    /// Bytes of a record's value; a larger one goes to the dead letters.
    #[schemars(range(min = 1, max = 104_857_600))]
    pub payload_bytes_max: usize,
    /// Milliseconds that an event may be dated ahead of the clock; one further ahead goes to the dead letters, since it would carry every window of event time with it.
    #[schemars(range(min = 0, max = 31_536_000_000_u64))]
    pub future_ms_max: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Clicks {
    /// Engines of the stage in this process: each is a member of the group, reads partitions of its own and commits them by itself, on a thread of its own, with its share of `delivery.in_flight_records_max`, `delivery.in_flight_bytes_max` and `state.memory_bytes_max`. One engine fills about a core; more take more where cores and partitions are there for them. Local copies of the state lie in a directory for each.
    #[schemars(range(min = 1, max = 64))]
    pub engines: u32,
    /// Milliseconds without a click of the user after which the next one opens a new session. Shorter cuts visits with a pause in two; longer makes one of two visits, and a late click reaches further back. A purchase ends no session.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub session_gap_ms: u64,
    /// Milliseconds that a click may be behind the newest of its partition and still be taken into its session, which revises what was said of it. Later ones are scored by no model and counted. More forgives phones that were offline; it keeps more sessions open in state.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub grace_ms: u64,
    /// Minutes that the shop's clocks are ahead of UTC, for the hour and the day of the week that features tell: 480 in Shanghai, -300 in New York in winter.
    #[schemars(range(min = -840, max = 840))]
    pub utc_offset_minutes: i32,
    /// Milliseconds that a click may be dated ahead of the clock; one further ahead goes to the dead letters, since it would carry the partition's sessions with it.
    #[schemars(range(min = 0, max = 31_536_000_000_u64))]
    pub future_ms_max: u64,
    /// Puts the features into the scored click, by name: some three kilobytes a click in JSON.
    pub include_features: bool,
    /// A directory with `model.onnx`, which gives a probability for each row of features, and `config.json`, which names the features in their order; or `off`. It is asked at each click, always on the CPU, how likely a purchase is to follow later in the session.
    pub purchase_model: String,
    /// Milliseconds after which a click weighs half as much in what a profile says of a user's interests. Shorter follows moods, longer habits.
    #[schemars(range(min = 3_600_000, max = 31_536_000_000_u64))]
    pub interest_half_life_ms: u64,
    /// Milliseconds of event time between two profiles of a user; a purchase and the first click of a session bring one about whenever they come. Shorter is fresher and writes more.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub profile_interval_ms: u64,
    /// A directory with `segments.json`, which holds the centres that a user's numbers are compared with, and their names; or `off`: nobody is in a segment.
    pub segment_model: String,
    /// Has profiles say what their users' own reviews say, where a review names its user as clicks do. The text stage then writes a topic more, in the transaction of the scored review, and it has to be given topics: `groundswell topics --create` makes them.
    pub include_reviews: bool,
    /// Bytes of memory for what this instance knows of users' reviews: some two hundred for each user who has written one. Those that nobody asks for leave first.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64))]
    pub reviews_bytes_max: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Alerts {
    /// Runs the stage, where no stages are named, and wants its topics. It reads the topics of the scored texts, which may be those of another process.
    pub enabled: bool,
    /// Partitions of the repartition topic, `PREFIX-alerts-repartition`: no more instances than that can share what comes behind it. A state is kept for each, so the number stays as it is.
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: u32,
    /// Milliseconds of event time that are counted together. Shorter sees a surge earlier; longer needs fewer texts a minute to tell one from chance, and less state.
    #[schemars(range(min = 1000, max = 3_600_000))]
    pub bucket_ms: u64,
    /// Milliseconds of event time that a bucket waits for late texts behind its end. An alert is shown before, as provisional, and confirmed or retracted then; what comes later still is counted and left out.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub grace_ms: u64,
    /// Milliseconds of event time that an input partition may be behind the one that is furthest and still be waited for. Shorter confirms sooner when a partition has fallen silent; longer loses nothing where partitions are read at different speeds, as after a long halt. Not below `grace_ms`. Also milliseconds of the clock on the wall: where nothing at all comes for so long, event time goes on with that clock until every alert under way has ended.
    #[schemars(range(min = 1000, max = 604_800_000))]
    pub idle_ms: u64,
    /// Milliseconds of a scope's life in which it is only got to know. A topic, an intent or a topic of a brand that grows within it is an alert all the same, if everything else is known for longer: `emerging`.
    #[schemars(range(min = 0, max = 604_800_000))]
    pub warm_up_ms: u64,
    /// Milliseconds after which what still fires becomes the new normal, and is learned.
    #[schemars(range(min = 60_000, max = 604_800_000))]
    pub new_normal_ms: u64,
    /// Milliseconds after its end within which an alert that comes back is the same one. It is then kept up for twice as long as the time before, at most eight times.
    #[schemars(range(min = 0, max = 604_800_000))]
    pub flap_ms: u64,
    /// The share of the alerts that may be false, over all scopes of a partition of the repartition topic. Lower asks more of each test.
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub false_discovery_rate: f64,
    /// The head of the text model that names a text's topic.
    pub topic_head: String,
    /// The head of the text model that names a text's intent.
    pub intent_head: String,
    /// Texts shown with an alert. They are there only where the scored texts carry their text (`text.include_text`).
    #[schemars(range(min = 0, max = 10))]
    pub samples_max: usize,
    /// What is an alert: a table for each rule, under a name of your own.
    pub rules: BTreeMap<String, AlertRule>,
    /// Alerts that nobody is to be told of for a while: a table for each silence, under a name of your own. They are written all the same.
    pub silences: BTreeMap<String, Silence>,
    /// Alerts that nobody is to be told of while another one fires: a table for each rule, under a name of your own. Both are of one brand, or both of none; without a brand, texts, clicks with purchases, and carts are apart.
    pub inhibitions: BTreeMap<String, Inhibition>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct AlertRule {
    /// What is compared with its past: `volume`, the texts in a bucket; `negative_share`, the negative ones among those with a sentiment; `mean_sentiment`, the mean score of those, which is an alert where it falls; `users`, different writers in a bucket; `clicks` and `purchases` in a bucket; `conversion`, the purchases among all clicks; `cart_share`, the carts among carts and purchases, which rises where carts are not bought; `dead_letters`, records that could not be processed. Required.
    pub signal: Option<Signal>,
    /// Where it is looked at: `all`, `brand`, `product`, `channel`, `topic`, `intent` and `brand_topic`, a topic within a brand; clicks have `all`, `product` and `category`, dead letters `all`, `input` (the topic in which the record lay) and `reason`. An empty list turns the rule off. Absent: everywhere.
    pub scopes: Option<Vec<ScopeKind>>,
    /// What of it is an alert. `surge`: more than expected (of `mean_sentiment`, worse), in the last bucket or in the last 5, 15 and 60 together, also of small numbers. `anomaly`: anything out of the ordinary for this series, less as well as more, as `groundswell detect` has it, in a single bucket: that nothing comes shows at once where some forty a bucket are usual, and where fewer are, of what is counted, in the last 5, 15 and 60 together, once two days have shown the hours; it takes 150 buckets to know the series, about a kilobyte for each scope, and says nothing before a bucket's grace has passed. Absent: `surge`.
    pub looks_for: Option<LooksFor>,
    /// How many times as much as expected it must be, at least; of a share, how many times the odds: from 15 % to 19 %, from 60 % to 66 %; of `mean_sentiment`, likewise for its distance from 1 as a part of 2. For an anomaly, also how many times as little. Absent: 1.3.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub ratio_min: Option<f64>,
    /// Texts, negative texts, clicks or whatever the signal counts, that the window must hold beyond what is expected, or below it for an anomaly. Absent: 5.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub events_min: Option<u64>,
    /// Different users that it takes before it fires, where users are named: what a few people do is no crowd. Of anomalies, of those that are more. Absent: 3 of clicks, purchases and carts, 1 of others.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub users_min: Option<u64>,
    /// Milliseconds that it must last before it fires. Absent: as long as a bucket.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub pending_ms: Option<u64>,
    /// Milliseconds that it must be over before it is resolved. Absent: five buckets.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub keep_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Webhook {
    /// `http://` or `https://`, without name and password. Required. It is not shown in messages; where it is a secret itself, set it by the environment.
    pub url: Option<String>,
    /// What requests are signed with, `{ env = "NAME" }` or `{ file = "PATH" }`: the header `Groundswell-Signature` is then `t=SECONDS,v1=HEX`, with the HMAC-SHA256 of `SECONDS.BODY`. Absent: they are not signed.
    pub secret: Option<SecretFrom>,
    /// The value of the header `Authorization`, as in `Bearer …`, `{ env = "NAME" }` or `{ file = "PATH" }`. Absent: none.
    pub authorization: Option<SecretFrom>,
    /// Which alerts, as in silences. Absent: all.
    #[serde(default)]
    pub matching: BTreeMap<String, String>,
    /// A PEM file with the certificates of the authorities that may have signed the receiver's own; then no others are believed. Absent: the public ones, as Mozilla lists them.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate that this client shows, and those between it and its authority. Needs `key`. Absent: none is shown.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, as PEM without a passphrase, `{ env = "NAME" }` or `{ file = "PATH" }`. Absent: none.
    pub key: Option<SecretFrom>,
    /// Milliseconds that one request may take. Absent: 10 000.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: Option<u64>,
    /// Milliseconds after which an alert that could not be told is given up. Until then it is tried again, at most a minute apart; one that the receiver refuses, five times, and one at which it fails while it takes others, some twenty times. Absent: a day.
    #[schemars(range(min = 1000, max = 604_800_000))]
    pub give_up_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Alertmanager {
    /// `http://` or `https://`, without name, password and query; `/api/v2/alerts` comes behind it. Required.
    pub url: Option<String>,
    /// As of webhooks.
    pub authorization: Option<SecretFrom>,
    /// Which alerts, as in silences. Absent: all.
    #[serde(default)]
    pub matching: BTreeMap<String, String>,
    /// Labels of every alert, on top of `alertname` (the rule), `signal`, `scope`, `severity` and the scope's own: `brand`, `product`, `channel`, `topic`, `intent`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where a person looks at an alert, for its `generatorURL`; `{id}` stands for its id. Absent: none.
    pub link: Option<String>,
    /// Milliseconds after which an alert that goes on is told again. It is taken for over when four rounds have failed. Absent: 60 000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub resend_ms: Option<u64>,
    /// As of webhooks.
    pub ca: Option<PathBuf>,
    /// As of webhooks.
    pub certificate: Option<PathBuf>,
    /// As of webhooks.
    pub key: Option<SecretFrom>,
    /// Milliseconds that one request may take. Absent: 10 000.
    #[schemars(range(min = 10, max = 60_000))]
    pub timeout_ms: Option<u64>,
    /// As of webhooks.
    #[schemars(range(min = 1000, max = 604_800_000))]
    pub give_up_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Silence {
    /// Which alerts: `rule`, `brand`, `product`, `channel`, `topic`, `intent`, `category`, `input`, `reason` and, but for texts, `of` (`clicks`, `purchases`, `checkouts`, `dead_letters`, `users`, `sentiment`), each as it must be: `b-1`, `!=b-1`, or `=~b-[0-9]+` and `!~b-[0-9]+` for a regular expression (Rust's `regex` syntax) of the whole value. `*` is any value, an empty one stands for none; for the others a label that is absent is the empty text, as in Alertmanager. At least one must be named; `rule = "*"` is every alert.
    #[serde(default)]
    pub matching: BTreeMap<String, String>,
    /// RFC 3339. Absent: from the beginning.
    pub from: Option<String>,
    /// RFC 3339. Absent: for ever.
    pub until: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Inhibition {
    /// The alert that must fire, as in a silence.
    #[serde(default)]
    pub source: BTreeMap<String, String>,
    /// The alerts that nobody is told of then. One that is a source as well is inhibited by those only that are not both.
    #[serde(default)]
    pub target: BTreeMap<String, String>,
    /// Labels in which both must be alike, as `brand`.
    #[serde(default)]
    pub equal: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Redaction {
    /// What is recognised and removed. Each costs one look at the text; an empty list removes nothing but your own patterns.
    pub kinds: Vec<RedactionKind>,
    /// Your own: name = regular expression (Rust's `regex` syntax). The name stands in the text's place and in the counts.
    pub patterns: BTreeMap<String, String>,
    /// What becomes of the `user` field.
    pub user: User,
    /// The key of the pseudonym, `{ env = "NAME" }` or `{ file = "PATH" }`, at least 16 bytes. Whoever has it can tell whether a pseudonym is a given user's; a new one breaks the link to earlier events. Absent: no pseudonyms.
    pub user_secret: Option<SecretFrom>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// Passes as it came.
    Keep,
    /// Replaced by a keyed hash: the same user is the same word, and nobody without the key knows whose.
    Pseudonym,
    /// Left out.
    Drop,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Batch {
    /// Padded tokens of a batch: the longest text's times the number of texts. Large batches serve a GPU, small ones a CPU's caches. Not below the longest input of any model.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub tokens_max: usize,
    /// Milliseconds that a text may wait for company of its length. More fills batches under light load; it is added to every latency.
    #[schemars(range(min = 0, max = 1000))]
    pub queue_delay_ms_max: u64,
    /// Tries of a batch before it is cut in two, and of a single text before it goes to the dead letters. More outlasts a passing fault of a device; each costs a whole run.
    #[schemars(range(min = 1, max = 10))]
    pub tries_max: u32,
    /// Milliseconds after which a model worker that has not answered is replaced and its batch tried again. Too short kills workers that are only slow.
    #[schemars(range(min = 100, max = 600_000))]
    pub timeout_ms: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Cache {
    /// Bytes of answers kept, least recently used out first. Pays where texts repeat ("good", "thanks"); 0 turns it off.
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub bytes_max: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Model {
    /// A directory with `model.onnx`, `tokenizer.json` and `config.json`, as Hugging Face's exporters write it. Required.
    pub path: Option<PathBuf>,
    /// Which events it is asked about. Required.
    pub kinds: Option<Vec<Kind>>,
    /// By the name of a head: the probability, from 0 to 1, below which its best label is not given. Higher gives fewer and surer labels. Absent: what the model's own card says.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Inference {
    /// `cpu`, `cuda` (the first GPU) or `cuda:N`. A device that cannot be had stops the start; there is no falling back.
    pub device: String,
    /// Model sessions that run at the same time. Each holds the model's weights and, on a CPU, one core. Absent: one a core on a CPU, two on a GPU, so that one batch is copied while the other is computed.
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<usize>,
    /// The ONNX Runtime shared library. Absent: the one that `ORT_DYLIB_PATH` names, otherwise looked for below `.local/onnxruntime` and beside the program.
    pub library: Option<PathBuf>,
    /// Handed to ONNX Runtime's session options as they are: name = value, both strings.
    pub session_options: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct State {
    /// Where each instance makes a directory for its local copies: a cache that spares a restart most of the changelog, and holds what memory has no room for. It can be lost, or be thrown away while the program does not run. Only stages that remember something use it.
    pub directory: PathBuf,
    /// Bytes of a stage's state in memory, shared out equally among the partitions that the instance reads. What is beyond it is on disk, and costs a read when it is needed. On top come the changes that wait for their commit (32 MiB for each partition at most), what is due soon (4 MiB), and an eighth of this for blocks of the disk.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub memory_bytes_max: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeadLetters {
    /// What becomes of the record's bytes.
    pub payload: Payload,
    /// The key for `encrypted`, `{ env = "NAME" }` or `{ file = "PATH" }`: 32 bytes in hexadecimal or Base64. Who loses it has lost those payloads. Absent: no encryption.
    pub key: Option<SecretFrom>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// As received, with whatever redaction would have removed.
    Raw,
    /// Not written; the record's origin says where to find it while its topic holds it.
    Withheld,
    /// Under `dead_letters.key`, by ChaCha20-Poly1305.
    Encrypted,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Log {
    /// How log lines look.
    pub format: LogFormat,
    /// Which lines: `error`, `warn`, `info`, `debug`, `trace`, also by module, as in `info,groundswell::sink=debug`.
    pub filter: String,
}
