//! The layers of a configuration, from the defaults to `--set`, each checked by itself and laid over the one before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::check::{check, lay_over};
use super::fault::{Faults, Place};
use super::key::Key;
use super::shape::Shape;
use super::tree::{Content, Node};

/// Every default, with the reason for it.
pub const DEFAULTS: &str = include_str!("default.toml");

const ENV_PREFIX: &str = "GROUNDSWELL__";

/// Tables in which a file's own entries replace the default ones: nobody wants to read topics or load models that only an example names.
const REPLACED: [&str; 2] = ["inputs", "models"];

/// What is written, all layers taken together.
pub fn gather(
    shape: &Shape,
    file: Option<&Path>,
    overrides: &[String],
    env: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> Node {
    let mut whole = defaults(shape, faults);
    if let Some(mut layer) = file.and_then(|path| file_layer(path, faults)) {
        check(shape, &mut layer, &Key::root(), faults);
        drop_replaced(&mut whole, &layer);
        lay_over(Some(shape), &mut whole, layer);
    }
    env.keys().for_each(|name| refuse_single_underscores(shape, name, faults));
    let env = env.iter().filter_map(|(name, words)| env_layer(name, words, faults)).collect::<Vec<_>>();
    let set = overrides.iter().filter_map(|argument| set_layer(argument, faults)).collect::<Vec<_>>();
    for mut layer in env.into_iter().chain(set) {
        check(shape, &mut layer, &Key::root(), faults);
        lay_over(Some(shape), &mut whole, layer);
    }
    whole
}

fn defaults(shape: &Shape, faults: &mut Faults) -> Node {
    let mut layer = match Node::parse_file(DEFAULTS, Path::new("default.toml")) {
        Ok(layer) => layer,
        Err((place, message)) => {
            faults.report(place, Key::root(), message, None);
            Node::table(Place::Default)
        }
    };
    check(shape, &mut layer, &Key::root(), faults);
    layer.forget_places();
    layer
}

fn file_layer(path: &Path, faults: &mut Faults) -> Option<Node> {
    let start = || Place::File { path: Arc::new(path.to_owned()), line: 1, column: 1 };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.report(start(), Key::root(), format!("the file cannot be read: {error}"), None);
            return None;
        }
    };
    match Node::parse_file(&text, path) {
        Ok(layer) => Some(layer),
        Err((place, message)) => {
            faults.report(place, Key::root(), format!("not TOML: {message}"), None);
            None
        }
    }
}

fn drop_replaced(whole: &mut Node, layer: &Node) {
    for name in REPLACED {
        let named =
            matches!(layer.get(name).map(|node| &node.content), Some(Content::Table(t)) if !t.entries.is_empty());
        if let (true, Content::Table(table)) = (named, &mut whole.content) {
            table.entries.remove(name);
        }
    }
}

/// `GROUNDSWELL_KAFKA_BOOTSTRAP_SERVERS` would be passed over without a word, and the default stand in its place. Other
/// variables with a single underscore are not ours: Kubernetes sets `GROUNDSWELL_PORT` and the like for a service of that
/// name.
fn refuse_single_underscores(shape: &Shape, name: &str, faults: &mut Faults) {
    let Some(words) = name.strip_prefix("GROUNDSWELL_").filter(|words| !words.starts_with('_')) else { return };
    let Shape::Section(sections) = shape else { return };
    for section in sections {
        let section_name = section.name.to_uppercase();
        let Some(key) = words.strip_prefix(&section_name).and_then(|rest| rest.strip_prefix('_')) else { continue };
        let Shape::Section(entries) = &section.shape else { continue };
        // A secret's own variable is the user's to name.
        let plain = |shape: &Shape| !matches!(shape, Shape::Either(_));
        if entries.iter().any(|entry| entry.name.to_uppercase() == key && plain(&entry.shape)) {
            let hint = format!("{ENV_PREFIX}{section_name}__{key} is: two underscores between levels");
            faults.report(Place::Env(Arc::from(name)), Key::root().child(name), "the variable is not read", Some(hint));
        }
    }
}

/// `GROUNDSWELL__SECTION__KEY`.
fn env_layer(name: &str, words: &str, faults: &mut Faults) -> Option<Node> {
    let parts: Vec<_> = name.strip_prefix(ENV_PREFIX)?.to_lowercase().split("__").map(str::to_owned).collect();
    let place = Place::Env(Arc::from(name));
    if parts.iter().any(String::is_empty) {
        let hint = "a variable is named GROUNDSWELL__SECTION__KEY, two underscores between levels".to_owned();
        faults.report(place, Key::root().child(name), "the variable names no key", Some(hint));
        return None;
    }
    Some(Node::parse_override(words, &place).nested(&property_key(parts)))
}

/// librdkafka's properties have dots and no underscores, a variable's name the other way round.
fn property_key(parts: Vec<String>) -> Key {
    match parts.as_slice() {
        [kafka, librdkafka, rest @ ..] if kafka == "kafka" && librdkafka == "librdkafka" && !rest.is_empty() => {
            Key::from("kafka.librdkafka").child(rest.join(".").replace('_', "."))
        }
        _ => parts.into_iter().collect(),
    }
}

fn set_layer(argument: &str, faults: &mut Faults) -> Option<Node> {
    let hint = || Some("write --set section.key=value".to_owned());
    let Some((written, words)) = argument.split_once('=') else {
        // The whole of it is left out of the message: it may be a secret in the wrong place.
        faults.report(
            Place::Set(Arc::from("…")),
            Key::root().child("--set"),
            "there is no = between key and value",
            hint(),
        );
        return None;
    };
    let place = Place::Set(Arc::from(written.trim()));
    match toml_edit::Key::parse(written) {
        Ok(parts) => {
            let key = parts.iter().map(|part| part.get().to_owned()).collect();
            Some(Node::parse_override(words, &place).nested(&key))
        }
        Err(_) => {
            faults.report(place, Key::root().child(written), format!("{written:?} is not a key"), hint());
            None
        }
    }
}
