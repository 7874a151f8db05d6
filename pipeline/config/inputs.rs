//! `[inputs]`, `[outputs]` and `[models]`: what is read, what is written, and who is asked about it.

use std::collections::{BTreeMap, BTreeSet};

use super::check::nearest;
use super::judge::Judge;
use super::kafka::name;
use super::key::Key;
use super::raw::{self, RecordPart, Source};
use super::settings::{FieldSource, Input, InputFormat, InputKind, Model, OutputFormat, Outputs};

/// The fields that each kind of event has.
const REVIEW: [&str; 9] =
    ["event_id", "event_time", "text", "product", "brand", "channel", "user", "rating", "language"];
const CHAT: [&str; 11] = [
    "event_id",
    "event_time",
    "text",
    "product",
    "brand",
    "channel",
    "user",
    "language",
    "conversation",
    "turn",
    "speaker",
];
const CLICK: [&str; 9] =
    ["event_id", "event_time", "user", "brand", "item", "category", "price", "action", "recommendation_id"];

const SPEAKERS: [&str; 3] = ["customer", "agent", "bot"];
const ACTIONS: [&str; 6] = ["view", "cart", "favourite", "purchase", "impression", "remove"];

pub fn inputs(raw: &raw::Raw, judge: &mut Judge) -> Vec<Input> {
    if raw.inputs.is_empty() {
        judge.wrong("inputs", "is empty", Some("name at least one, as in [inputs.reviews]"));
    }
    let found = raw.inputs.iter().filter_map(|(name, written)| input(name, written, judge)).collect();
    distinct_topics(raw, judge);
    users_of_clicks(raw, judge);
    found
}

/// A session is one user's.
fn users_of_clicks(raw: &raw::Raw, judge: &mut Judge) {
    let clicks = raw.inputs.iter().filter(|(_, input)| input.kind == Some(InputKind::Click));
    for (name, _) in clicks.filter(|_| raw.redaction.user == raw::User::Drop) {
        let message = format!("redaction.user (\"drop\") leaves no user to make sessions of inputs.{name} by");
        let hint = "with \"pseudonym\" a user is told from others and is not named";
        judge.clash(["redaction.user", &format!("inputs.{name}.kind")], message, Some(hint));
    }
}

pub fn outputs(raw: &raw::Raw, judge: &mut Judge) -> Outputs {
    let outputs = &raw.outputs;
    name("outputs.reviews", &outputs.reviews, judge);
    name("outputs.chats", &outputs.chats, judge);
    name("outputs.clicks", &outputs.clicks, judge);
    name("outputs.profiles", &outputs.profiles, judge);
    name("outputs.recommendations", &outputs.recommendations, judge);
    name("outputs.alerts", &outputs.alerts, judge);
    name("outputs.trends", &outputs.trends, judge);
    name("outputs.dead_letters", &outputs.dead_letters, judge);
    let results = [
        ("outputs.reviews", &outputs.reviews),
        ("outputs.chats", &outputs.chats),
        ("outputs.clicks", &outputs.clicks),
        ("outputs.profiles", &outputs.profiles),
        ("outputs.recommendations", &outputs.recommendations),
        ("outputs.alerts", &outputs.alerts),
        ("outputs.trends", &outputs.trends),
    ];
    for (key, topic) in results {
        if *topic == outputs.dead_letters {
            let message = format!("{key} ({topic:?}) and outputs.dead_letters ({topic:?}) are the same topic");
            judge.clash(["outputs.dead_letters", key], message, Some("a reader of one could not read the other"));
        }
    }
    Outputs {
        reviews: outputs.reviews.clone(),
        chats: outputs.chats.clone(),
        clicks: outputs.clicks.clone(),
        profiles: outputs.profiles.clone(),
        recommendations: outputs.recommendations.clone(),
        alerts: outputs.alerts.clone(),
        trends: outputs.trends.clone(),
        dead_letters: outputs.dead_letters.clone(),
        format: outputs.format,
    }
}

pub fn models(raw: &raw::Raw, judge: &mut Judge) -> Vec<Model> {
    let found: Vec<Model> = raw.models.iter().filter_map(|(name, written)| model(name, written, judge)).collect();
    if raw.models.is_empty() {
        judge.wrong("models", "is empty", Some("name at least one, as in [models.text]"));
        return found;
    }
    for (name, input) in &raw.inputs {
        let text = input.kind.and_then(InputKind::text);
        if let Some(kind) = text.filter(|kind| !found.iter().any(|model| model.kinds.contains(kind))) {
            let kind = InputKind::from(kind).name();
            let message = format!("inputs.{name}.kind ({kind:?}) is not among the kinds of any model");
            let hint = format!("add {kind:?} to the kinds of a model");
            judge.clash([&format!("inputs.{name}.kind"), "models"], message, Some(&hint));
        }
    }
    found
}

fn input(name: &str, written: &raw::Input, judge: &mut Judge) -> Option<Input> {
    let key = own_name("inputs", name, judge);
    if written.kind.is_none() {
        judge.missing(&key, "kind", "one of \"review\", \"chat\", \"click\"");
    }
    match &written.topics {
        None => judge.missing(&key, "topics", "as in topics = [\"reviews\"]"),
        Some(topics) if topics.is_empty() => judge.wrong(key.child("topics"), "is empty", None),
        Some(_) => {}
    }
    let kind = written.kind?;
    Some(Input {
        name: name.to_owned(),
        kind,
        topics: written.topics.clone()?,
        format: written.format,
        fields: fields(&key.child("fields"), kind, &written.fields, judge),
    })
}

/// A name of the user's own: it labels metrics, and environment variables reach it where it has no hyphen.
fn own_name(table: &str, name: &str, judge: &mut Judge) -> Key {
    let key = Key::from(table).child(name);
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        judge.wrong(key.clone(), "is not a name", Some("1 to 64 lower-case letters, digits, underscores and hyphens"));
    }
    key
}

fn fields(table: &Key, kind: InputKind, written: &raw::Fields, judge: &mut Judge) -> BTreeMap<String, FieldSource> {
    let mut found = BTreeMap::new();
    for (field, source) in written.named() {
        let Some(source) = source else { continue };
        let key = table.child(field);
        match field_fault(kind, field, source) {
            Some((reason, hint)) => judge.wrong(key, reason, hint.as_deref()),
            None => drop(found.insert(field.to_owned(), source.clone().into())),
        }
    }
    found
}

fn field_fault(kind: InputKind, field: &str, source: &Source) -> Option<(String, Option<String>)> {
    let known = match kind {
        InputKind::Review => REVIEW.contains(&field),
        InputKind::Chat => CHAT.contains(&field),
        InputKind::Click => CLICK.contains(&field),
    };
    if !known {
        return Some((format!("is not a field of a {}", kind.name()), None));
    }
    match source {
        Source::Pointer(pointer) => pointer_fault(pointer),
        Source::Header { header } if header.is_empty() => Some(("names no header".to_owned(), None)),
        Source::Record { record: RecordPart::Timestamp } if field != "event_time" => {
            Some(("is not a time, but is taken from the record's timestamp".to_owned(), None))
        }
        Source::Constant { constant } => constant_fault(field, constant),
        Source::Header { .. } | Source::Record { .. } => None,
    }
}

/// RFC 6901: empty for the whole value, otherwise each part begins with `/`, and `~` only stands in `~0` and `~1`.
fn pointer_fault(pointer: &str) -> Option<(String, Option<String>)> {
    let escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
    if !pointer.starts_with('/') {
        let hint = format!("write \"/{pointer}\", or {{ constant = {pointer:?} }} if that is meant");
        return Some((format!("({pointer:?}) is not a JSON pointer"), Some(hint)));
    }
    let wrong = !pointer.split('~').skip(1).all(escaped);
    let hint = "~ is written ~0 and / within a name ~1".to_owned();
    wrong.then(|| (format!("({pointer:?}) is not a JSON pointer"), Some(hint)))
}

fn constant_fault(field: &str, constant: &str) -> Option<(String, Option<String>)> {
    let reason = match field {
        "event_id" | "event_time" | "text" | "item" => Some("cannot be the same for every record".to_owned()),
        "rating" | "price" if !constant.parse::<f64>().is_ok_and(f64::is_finite) => {
            Some(format!("({constant:?}) is not a number"))
        }
        "turn" if constant.parse::<u64>().is_err() => Some(format!("({constant:?}) is not a whole number")),
        "speaker" if !SPEAKERS.contains(&constant) => Some(format!("({constant:?}) is not {}", SPEAKERS.join(" or "))),
        "action" if !ACTIONS.contains(&constant) => Some(format!("({constant:?}) is not {}", ACTIONS.join(" or "))),
        _ => None,
    };
    let hint = match field {
        "speaker" => nearest(constant, SPEAKERS.into_iter()),
        "action" => nearest(constant, ACTIONS.into_iter()),
        _ => None,
    };
    reason.map(|reason| (reason, hint.map(|name| format!("did you mean {name:?}?"))))
}

/// A topic belongs to one input, and none is both read and written.
fn distinct_topics(raw: &raw::Raw, judge: &mut Judge) {
    let outputs = &raw.outputs;
    let written = [
        ("reviews", &outputs.reviews),
        ("chats", &outputs.chats),
        ("clicks", &outputs.clicks),
        ("profiles", &outputs.profiles),
        ("recommendations", &outputs.recommendations),
        ("dead_letters", &outputs.dead_letters),
    ];
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (input, topic) in raw.inputs.iter().flat_map(|(input, i)| i.topics.iter().flatten().map(move |t| (input, t))) {
        let key = Key::from("inputs").child(input).child("topics");
        name(key.clone(), topic, judge);
        if let Some(first) = owners.insert(topic, input) {
            let message = match first == input {
                true => format!("{key} names {topic:?} twice"),
                false => format!("{key} names {topic:?}, and so does inputs.{first}.topics"),
            };
            let keys = [&format!("inputs.{input}.topics") as &str, &format!("inputs.{first}.topics")];
            judge.clash(keys, message, Some("a topic belongs to one input"));
        }
        for (output, _) in written.iter().filter(|(_, output)| *output == topic) {
            let message = format!("{key} and outputs.{output} both name {topic:?}");
            let hint = "the program would read what it writes";
            judge.clash([&format!("inputs.{input}.topics"), &format!("outputs.{output}")], message, Some(hint));
        }
    }
}

fn model(name: &str, written: &raw::Model, judge: &mut Judge) -> Option<Model> {
    let key = own_name("models", name, judge);
    if written.path.as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        judge.missing(&key, "path", "a directory with model.onnx, tokenizer.json and config.json");
    }
    match &written.kinds {
        None => judge.missing(&key, "kinds", "as in kinds = [\"review\", \"chat\"]"),
        Some(kinds) if kinds.is_empty() => judge.wrong(key.child("kinds"), "is empty", None),
        Some(kinds) => distinct(key.child("kinds"), kinds, judge),
    }
    for (head, threshold) in written.thresholds.iter().filter(|(_, threshold)| !(0.0..=1.0).contains(*threshold)) {
        judge.wrong(key.child("thresholds").child(head), format!("({threshold}) is not from 0 to 1"), None);
    }
    Some(Model {
        name: name.to_owned(),
        path: written.path.clone()?,
        kinds: written.kinds.clone()?,
        thresholds: written.thresholds.iter().map(|(head, threshold)| (head.clone(), *threshold as f32)).collect(),
    })
}

pub fn distinct<T: Ord>(key: Key, items: &[T], judge: &mut Judge) {
    let mut seen = BTreeSet::new();
    if !items.iter().all(|item| seen.insert(item)) {
        judge.wrong(key, "names one of its items twice", None);
    }
}

/// The keys of the formats that need a registry.
pub fn framed(raw: &raw::Raw) -> Vec<String> {
    let inputs = raw.inputs.iter().filter(|(_, input)| input.format == InputFormat::ProtobufFramed);
    let output = (raw.outputs.format == OutputFormat::ProtobufFramed).then(|| "outputs.format".to_owned());
    inputs.map(|(name, _)| format!("inputs.{name}.format")).chain(output).collect()
}

impl raw::Fields {
    /// Every field with its name; taken apart, so that a field added there is not forgotten here.
    pub(super) fn named(&self) -> [(&'static str, &Option<Source>); 17] {
        let raw::Fields {
            event_id,
            event_time,
            text,
            product,
            brand,
            channel,
            user,
            rating,
            language,
            conversation,
            turn,
            speaker,
            item,
            category,
            price,
            action,
            recommendation_id,
        } = self;
        [
            ("event_id", event_id),
            ("event_time", event_time),
            ("text", text),
            ("product", product),
            ("brand", brand),
            ("channel", channel),
            ("user", user),
            ("rating", rating),
            ("language", language),
            ("conversation", conversation),
            ("turn", turn),
            ("speaker", speaker),
            ("item", item),
            ("category", category),
            ("price", price),
            ("action", action),
            ("recommendation_id", recommendation_id),
        ]
    }
}

impl From<Source> for FieldSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Pointer(pointer) => FieldSource::Pointer(pointer),
            Source::Header { header } => FieldSource::Header(header),
            Source::Record { record: RecordPart::Key } => FieldSource::Key,
            Source::Record { record: RecordPart::Timestamp } => FieldSource::Timestamp,
            Source::Constant { constant } => FieldSource::Constant(constant),
        }
    }
}
