use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::key::Key;
use crate::event;

/// Everything that is wrong with a configuration, in the order of where it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// One thing that is wrong, where it was written, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    pub key: Key,
    /// In lower case, without a full stop, with the key and both values; never with a secret.
    pub message: String,
    pub hint: Option<String>,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: it is a default, or it is missing.
    Default,
    /// Line and column count from 1, columns in characters.
    File { path: Arc<PathBuf>, line: usize, column: usize },
    /// An environment variable's name.
    Env(Arc<str>),
    /// The key of a `--set`; its value is left out, as it may be a secret in the wrong place.
    Set(Arc<str>),
}

impl Faults {
    pub(super) fn report(&mut self, place: Place, key: Key, message: impl Into<String>, hint: Option<String>) {
        self.0.push(Fault { place, key, message: message.into(), hint });
    }

    /// Adds a fault, unless one is known already at this key, above it or below it: the first cause is enough.
    pub(super) fn add(&mut self, place: Place, key: Key, message: impl Into<String>, hint: Option<String>) {
        if !self.touches(&key) {
            self.report(place, key, message, hint);
        }
    }

    /// By where they were written.
    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
    }

    /// A fault is known at this key, above it or below it. One of a whole file is not: it says nothing of any key.
    pub(super) fn touches(&self, key: &Key) -> bool {
        let related = |known: &Key| known.contains(key) || key.contains(known);
        self.0.iter().any(|fault| !fault.key.is_root() && related(&fault.key))
    }

    /// A whole file could not be read: what is known of the rest says little.
    pub(super) fn lost_file(&self) -> bool {
        self.0.iter().any(|fault| fault.key.is_root())
    }
}

impl From<Faults> for event::Error {
    fn from(faults: Faults) -> Self {
        event::Error::new(event::Fault::Config, faults.to_string())
    }
}

impl std::error::Error for Faults {}

/// A line a fault, as a compiler writes them, and its hint on a line below.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("configuration"),
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::Env(name) => f.write_str(name),
            Place::Set(key) => write!(f, "--set {key}"),
        }
    }
}
