//! The features of a session at its last click: one table, in the order in which a model reads them.
//!
//! Each stands with its name, meaning, unit, window and the code that computes it, and nowhere else: online, offline and
//! the page `docs/features.md` all go through [`FEATURES`]. Every value is a number of 0 or more; [`MISSING`] says that
//! there is nothing to count from.

mod click;
mod context;
mod session;
mod steps;
mod user;

use std::fmt::Write;
use std::sync::LazyLock;

use super::view::{Step, View};

/// What stands for "never", "none before" and "not known".
pub const MISSING: f32 = -1.0;

/// One number that says something of a session.
#[derive(Clone, Debug)]
pub struct Feature {
    pub name: String,
    pub meaning: &'static str,
    pub unit: &'static str,
    pub window: Window,
    value: Value,
}

/// How far back a feature looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Click,
    Session,
    /// The session's last clicks one by one, the last one first.
    Step,
    /// The user's earlier sessions, as long as the user is remembered.
    User,
    /// The items and categories that the user clicked last.
    Memory,
    /// All clicks of the partition.
    Partition,
    /// The clicks of the partition's last 24 hours.
    Day,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Of(fn(&View) -> Option<f64>),
    OfStep(usize, fn(&Step) -> f64),
}

/// All features, in a model's order. One may be added at the end of its part; models name those that they read.
pub static FEATURES: LazyLock<Vec<Feature>> =
    LazyLock::new(|| [click::features(), session::features(), user::features(), context::features(), steps::features()].concat());

/// Appends all features of a session to a row.
pub fn append(view: &View, row: &mut Vec<f32>) {
    row.extend(FEATURES.iter().map(|feature| feature.value(view)));
}

impl Feature {
    pub fn value(&self, view: &View) -> f32 {
        let value = match self.value {
            Value::Of(of) => of(view),
            Value::OfStep(step, of) => view.steps[step].as_ref().map(of),
        };
        value.map_or(MISSING, |value| value as f32)
    }
}

impl Window {
    pub fn name(self) -> &'static str {
        match self {
            Window::Click => "this click",
            Window::Session => "session",
            Window::Step => "last clicks",
            Window::User => "earlier sessions",
            Window::Memory => "user's memory",
            Window::Partition => "partition",
            Window::Day => "partition, 24 hours",
        }
    }
}

/// The table of `docs/features.md`.
pub fn table() -> String {
    let mut table = String::from("| | name | meaning | unit | window |\n|---|---|---|---|---|\n");
    for (place, Feature { name, meaning, unit, window, .. }) in FEATURES.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {place} | `{name}` | {meaning} | {unit} | {} |", window.name());
    }
    table
}

fn feature(
    name: &str,
    meaning: &'static str,
    unit: &'static str,
    window: Window,
    of: fn(&View) -> Option<f64>,
) -> Feature {
    Feature { name: name.to_owned(), meaning, unit, window, value: Value::Of(of) }
}
