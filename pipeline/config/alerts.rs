//! What is watched, and what is an alert: the section `[alerts]`.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::judge::Judge;
use super::key::Key;
use super::matching::{self, Matching};
use super::raw;

/// A third more is what somebody would call more.
const RATIO_MIN: f64 = 1.3;
/// Fewer texts are looked at faster than an alert about them.
const EVENTS_MIN: u64 = 5;
/// One visitor's session is no crowd: of the surges in product and category scopes of 601 users' clicks (Taobao's
/// UserBehavior), four of five were one user.
const CLICK_USERS_MIN: u64 = 3;
/// An alert is over when it was for so many buckets.
const KEEP_BUCKETS: u64 = 5;

/// How scored texts become alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    pub enabled: bool,
    /// Of the repartition topic.
    pub partitions: u32,
    pub bucket: Duration,
    pub grace: Duration,
    /// A source that is further behind is waited for no longer.
    pub idle: Duration,
    pub warm_up: Duration,
    pub new_normal: Duration,
    pub flap: Duration,
    /// Of the alerts, the share that may be false.
    pub false_discovery_rate: f64,
    /// Heads of the model that name a text's topic and intent.
    pub topic_head: String,
    pub intent_head: String,
    pub samples_max: usize,
    pub rules: Vec<AlertRule>,
    pub silences: Vec<Silence>,
    pub inhibitions: Vec<Inhibition>,
}

impl Alerts {
    pub fn bucket_ms(&self) -> i64 {
        milliseconds(self.bucket)
    }

    pub fn grace_ms(&self) -> i64 {
        milliseconds(self.grace)
    }

    /// Every kind of scope in which a rule looks at what is counted.
    pub fn scopes(&self, counted: Counted) -> Vec<ScopeKind> {
        let rules = || self.rules.iter().filter(|rule| rule.signal.counted() == counted);
        ScopeKind::ALL.into_iter().filter(|kind| rules().any(|rule| rule.scopes.contains(kind))).collect()
    }

    /// The rule that tells of a surge in scopes of this kind, where this one has found it in a broader one: itself, or one
    /// that looks for surges of the same.
    pub fn telling_within(&self, rule: &AlertRule, kind: ScopeKind) -> Option<&AlertRule> {
        let counted = rule.signal.counted();
        let itself = self.rules.iter().find(|other| other.name == rule.name && other.scopes.contains(&kind));
        let surges = |other: &&AlertRule| other.looks_for == LooksFor::Surge && other.watches(kind, counted);
        itself.or_else(|| {
            self.rules.iter().filter(surges).find(|other| other.signal.statistic() == rule.signal.statistic())
        })
    }

    /// Whether any rule looks at it.
    pub fn watches(&self, counted: Counted) -> bool {
        !self.scopes(counted).is_empty()
    }
}

/// What is out of the ordinary, of what.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    pub name: String,
    pub signal: Signal,
    pub scopes: Vec<ScopeKind>,
    pub looks_for: LooksFor,
    pub ratio_min: f64,
    pub events_min: u64,
    pub users_min: u64,
    pub pending: Duration,
    pub keep: Duration,
}

impl AlertRule {
    /// Whether it has anything to say of scopes of this kind that count this.
    pub fn watches(&self, kind: ScopeKind, counted: Counted) -> bool {
        self.scopes.contains(&kind) && self.signal.counted() == counted
    }
}

/// What of a series is an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LooksFor {
    /// More than expected, in the last bucket or in the last 5, 15 and 60 together: also small numbers, also little by
    /// little.
    #[default]
    Surge,
    /// Anything out of the ordinary for this series, less as well as more: what `groundswell detect` calls an alert.
    Anomaly,
}

/// Alerts that nobody is told of for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    pub name: String,
    pub matching: Matching,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Alerts that nobody is told of while another fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Inhibition {
    pub name: String,
    pub source: Matching,
    pub target: Matching,
    /// Labels in which both must agree.
    pub equal: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Texts in a bucket.
    Volume,
    /// Of the texts with a sentiment, those that are negative.
    NegativeShare,
    /// How badly customers speak, from the mean score of their texts.
    MeanSentiment,
    /// Different writers in a bucket.
    Users,
    /// Clicks of any kind in a bucket.
    Clicks,
    /// Purchases in a bucket.
    Purchases,
    /// Of the clicks of any kind in a bucket, those that are purchases.
    Conversion,
    /// Of what is put into carts and bought, what is put into carts: it rises where conversion falls.
    CartShare,
    /// Records that could not be processed, in a bucket.
    DeadLetters,
}

/// What a signal counts: each is a series of its own in every scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Texts,
    /// Texts with a sentiment; the hits among them are by how much the mean score is below 1, as a part of 2.
    Sentiment,
    /// Writers of texts.
    Users,
    /// Clicks of any kind; the purchases are the hits among them.
    Clicks,
    Purchases,
    /// Carts and purchases; the carts are the hits among them.
    Checkouts,
    DeadLetters,
}

impl Counted {
    /// Whether it is something that visitors do.
    pub fn is_of_clicks(self) -> bool {
        matches!(self, Counted::Clicks | Counted::Purchases | Counted::Checkouts)
    }

    pub const ALL: [Counted; 7] = [
        Counted::Texts,
        Counted::Sentiment,
        Counted::Users,
        Counted::Clicks,
        Counted::Purchases,
        Counted::Checkouts,
        Counted::DeadLetters,
    ];
    /// What is counted of texts.
    pub const OF_TEXTS: [Counted; 3] = [Counted::Texts, Counted::Sentiment, Counted::Users];

    /// The kinds of scopes that it is ever in.
    pub fn scopes(self) -> &'static [ScopeKind] {
        use ScopeKind::*;
        match self {
            Counted::Texts | Counted::Sentiment | Counted::Users => {
                &[All, Brand, Product, Channel, Topic, Intent, BrandTopic]
            }
            Counted::Clicks | Counted::Purchases | Counted::Checkouts => &[All, Product, Category],
            Counted::DeadLetters => &[All, Input, Reason],
        }
    }

    /// As it stands in a scope.
    pub fn name(self) -> &'static str {
        match self {
            Counted::Texts => "texts",
            Counted::Sentiment => "sentiment",
            Counted::Users => "users",
            Counted::Clicks => "clicks",
            Counted::Purchases => "purchases",
            Counted::Checkouts => "checkouts",
            Counted::DeadLetters => "dead_letters",
        }
    }
}

/// What of it is compared with its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// How many there are.
    Count,
    /// The share of hits among them.
    Share,
}

impl Signal {
    pub fn name(self) -> &'static str {
        match self {
            Signal::Volume => "volume",
            Signal::NegativeShare => "negative_share",
            Signal::MeanSentiment => "mean_sentiment",
            Signal::Users => "users",
            Signal::Clicks => "clicks",
            Signal::Purchases => "purchases",
            Signal::Conversion => "conversion",
            Signal::CartShare => "cart_share",
            Signal::DeadLetters => "dead_letters",
        }
    }

    pub fn counted(self) -> Counted {
        match self {
            Signal::Volume | Signal::NegativeShare => Counted::Texts,
            Signal::MeanSentiment => Counted::Sentiment,
            Signal::Users => Counted::Users,
            Signal::Clicks | Signal::Conversion => Counted::Clicks,
            Signal::Purchases => Counted::Purchases,
            Signal::CartShare => Counted::Checkouts,
            Signal::DeadLetters => Counted::DeadLetters,
        }
    }

    pub fn statistic(self) -> Statistic {
        match self {
            Signal::NegativeShare | Signal::MeanSentiment | Signal::Conversion | Signal::CartShare => Statistic::Share,
            Signal::Volume | Signal::Users | Signal::Clicks | Signal::Purchases | Signal::DeadLetters => {
                Statistic::Count
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Everything.
    All,
    Brand,
    Product,
    Channel,
    Topic,
    Intent,
    /// A topic within a brand.
    BrandTopic,
    /// Of clicks.
    Category,
    /// Of dead letters: the topic in which the record lay.
    Input,
    /// Of dead letters: why it was refused.
    Reason,
}

impl ScopeKind {
    pub const ALL: [ScopeKind; 10] = [
        ScopeKind::All,
        ScopeKind::Brand,
        ScopeKind::Product,
        ScopeKind::Channel,
        ScopeKind::Topic,
        ScopeKind::Intent,
        ScopeKind::BrandTopic,
        ScopeKind::Category,
        ScopeKind::Input,
        ScopeKind::Reason,
    ];

    /// As it is written in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            ScopeKind::All => "all",
            ScopeKind::Brand => "brand",
            ScopeKind::Product => "product",
            ScopeKind::Channel => "channel",
            ScopeKind::Topic => "topic",
            ScopeKind::Intent => "intent",
            ScopeKind::BrandTopic => "brand_topic",
            ScopeKind::Category => "category",
            ScopeKind::Input => "input",
            ScopeKind::Reason => "reason",
        }
    }
}

/// From what is written to what holds.
pub fn alerts(raw: &raw::Alerts, judge: &mut Judge) -> Alerts {
    if raw.idle_ms < raw.grace_ms {
        let message = format!("alerts.idle_ms ({}) is below alerts.grace_ms ({})", raw.idle_ms, raw.grace_ms);
        let hint = "a partition within the grace would be given up";
        judge.clash(["alerts.idle_ms", "alerts.grace_ms"], message, Some(hint));
    }
    let names: Vec<&str> = raw.rules.keys().map(String::as_str).collect();
    Alerts {
        enabled: raw.enabled,
        partitions: raw.partitions,
        bucket: Duration::from_millis(raw.bucket_ms),
        grace: Duration::from_millis(raw.grace_ms),
        idle: Duration::from_millis(raw.idle_ms),
        warm_up: Duration::from_millis(raw.warm_up_ms),
        new_normal: Duration::from_millis(raw.new_normal_ms),
        flap: Duration::from_millis(raw.flap_ms),
        false_discovery_rate: raw.false_discovery_rate,
        topic_head: raw.topic_head.clone(),
        intent_head: raw.intent_head.clone(),
        samples_max: raw.samples_max,
        rules: raw.rules.iter().filter_map(|(name, written)| rule(name, written, raw.bucket_ms, judge)).collect(),
        silences: raw.silences.iter().map(|(name, written)| silence(name, written, &names, judge)).collect(),
        inhibitions: raw.inhibitions.iter().map(|(name, written)| inhibition(name, written, &names, judge)).collect(),
    }
}

fn rule(name: &str, written: &raw::AlertRule, bucket_ms: u64, judge: &mut Judge) -> Option<AlertRule> {
    let key = Key::from("alerts.rules").child(name);
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        judge.wrong(key.clone(), "is not a name", Some("1 to 64 lower-case letters, digits and underscores"));
    }
    let Some(signal) = written.signal else {
        judge.missing(
            &key,
            "signal",
            "\"volume\", \"negative_share\", \"mean_sentiment\", \"users\", \"clicks\", \"purchases\", \"cart_share\" or \
             \"dead_letters\"",
        );
        return None;
    };
    looked_at(&key, signal, written.scopes.as_deref().unwrap_or_default(), judge);
    Some(AlertRule {
        name: name.to_owned(),
        signal,
        scopes: written.scopes.clone().unwrap_or_else(|| ScopeKind::ALL.to_vec()),
        looks_for: written.looks_for.unwrap_or_default(),
        ratio_min: written.ratio_min.unwrap_or(RATIO_MIN),
        events_min: written.events_min.unwrap_or(EVENTS_MIN),
        users_min: written.users_min.unwrap_or(if signal.counted().is_of_clicks() { CLICK_USERS_MIN } else { 1 }),
        pending: Duration::from_millis(written.pending_ms.unwrap_or(bucket_ms)),
        keep: Duration::from_millis(written.keep_ms.unwrap_or(KEEP_BUCKETS * bucket_ms)),
    })
}

/// A scope that nothing of the signal is ever in would be looked at in vain.
fn looked_at(key: &Key, signal: Signal, scopes: &[ScopeKind], judge: &mut Judge) {
    let has = signal.counted().scopes();
    if let Some(vain) = scopes.iter().find(|kind| !has.contains(kind)) {
        let key = key.child("scopes");
        let names: Vec<&str> = has.iter().map(|kind| kind.name()).collect();
        let message = format!("({:?}) is no scope of signal {:?}", vain.name(), signal.name());
        judge.wrong(key, message, Some(&format!("it has {}", names.join(", "))));
    }
}

fn silence(name: &str, written: &raw::Silence, rules: &[&str], judge: &mut Judge) -> Silence {
    let key = Key::from("alerts.silences").child(name);
    let mut time = |part: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let parsed = text.parse::<Timestamp>().ok();
        if parsed.is_none() {
            judge.wrong(key.child(part), format!("({text:?}) is not a time"), Some("as in \"2026-11-22T10:00:00Z\""));
        }
        parsed
    };
    let (from, until) = (time("from", &written.from), time("until", &written.until));
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        let (from, until) = (written.from.as_deref().unwrap_or_default(), written.until.as_deref().unwrap_or_default());
        judge.wrong(key.child("until"), format!("({until:?}) is not after {} ({from:?})", key.child("from")), None);
    }
    let matching =
        matching::chosen(&key.child("matching"), &written.matching, rules, "every alert would be silenced", judge);
    Silence { name: name.to_owned(), matching, from, until }
}

fn inhibition(name: &str, written: &raw::Inhibition, rules: &[&str], judge: &mut Judge) -> Inhibition {
    let key = Key::from("alerts.inhibitions").child(name);
    matching::labels(&key.child("equal"), &written.equal, judge);
    let mut side = |side: &str, matching, empty| matching::chosen(&key.child(side), matching, rules, empty, judge);
    let source = side("source", &written.source, "every alert would inhibit");
    let target = side("target", &written.target, "every alert would be inhibited");
    Inhibition { name: name.to_owned(), source, target, equal: written.equal.clone() }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
