use std::collections::BTreeMap;
use std::path::Path;

use super::fault::{Faults, Place};
use super::key::Key;
use super::raw::SecretFrom;
use super::settings::Secret;
use super::tree::Node;

/// What the sections' checks share: where each key was written, the environment, and the faults found so far.
pub struct Judge<'a> {
    pub tree: &'a Node,
    pub env: &'a BTreeMap<String, String>,
    /// Values that are wrong by themselves.
    pub faults: Faults,
    /// Values that do not go together.
    pub clashes: Faults,
}

impl<'a> Judge<'a> {
    pub fn new(tree: &'a Node, env: &'a BTreeMap<String, String>, faults: Faults) -> Self {
        Self { tree, env, faults, clashes: Faults::default() }
    }

    /// All that is wrong.
    pub fn found(mut self) -> Faults {
        self.faults.0.append(&mut self.clashes.0);
        self.faults.sort();
        self.faults
    }

    /// A value that is wrong by itself; `message` goes on after the key's name.
    pub fn wrong(&mut self, key: impl Into<Key>, message: impl AsRef<str>, hint: Option<&str>) {
        let key = key.into();
        let message = format!("{key} {}", message.as_ref());
        self.faults.add(self.tree.place_of(&key), key, message, hint.map(str::to_owned));
    }

    /// Two values that do not go together; reported where the user wrote one of them, and not at all if one is known to be wrong.
    pub fn clash(&mut self, keys: [&str; 2], message: impl Into<String>, hint: Option<&str>) {
        let keys = keys.map(Key::from);
        if keys.iter().any(|key| self.faults.touches(key)) {
            return;
        }
        let written = keys.iter().position(|key| self.tree.place_of(key) != Place::Default).unwrap_or(0);
        let (place, key) = (self.tree.place_of(&keys[written]), keys[written].clone());
        self.clashes.report(place, key, message, hint.map(str::to_owned));
    }

    /// A key that must be there and is not.
    pub fn missing(&mut self, table: &Key, name: &str, hint: &str) {
        let key = table.child(name);
        let message = format!("{key} is missing");
        self.faults.add(self.tree.place_of(table), key, message, Some(hint.to_owned()));
    }

    /// Fetches a secret. After a fault it is empty, and never used.
    pub fn secret(&mut self, key: impl Into<Key>, from: &SecretFrom) -> Secret {
        let found = match from {
            SecretFrom::Env(name) => self.env.get(name).cloned().ok_or("is not set".to_owned()),
            SecretFrom::File(path) => read_secret(path),
        };
        let filled = found.and_then(|text| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) });
        filled.map(Secret::new).unwrap_or_else(|reason| {
            let place = match from {
                SecretFrom::Env(name) => format!("environment variable {name}"),
                SecretFrom::File(path) => format!("file {}", path.display()),
            };
            self.wrong(key, format!("is to be found in {place}, which {reason}"), None);
            Secret::new("")
        })
    }
}

/// A file's text without the line break that editors put at its end.
fn read_secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
