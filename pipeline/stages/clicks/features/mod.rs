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
pub static FEATURES: LazyLock<Vec<Feature>> = LazyLock::new(|| {
    [click::features(), session::features(), user::features(), context::features(), steps::features()].concat()
});

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

/// The page `docs/features.md`.
pub fn page() -> String {
    let mut page = String::from(PAGE);
    for (place, Feature { name, meaning, unit, window, .. }) in FEATURES.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {place} | `{name}` | {meaning} | {unit} | {} |", window.name());
    }
    page
}

const PAGE: &str = "\
# Features of a session

What the purchase model may read of a session at each of its clicks. Online, in `clicks.scored` where \
`clicks.include_features` is set, and in the files of `groundswell features` they are the same numbers from the same code. \
This page is made from it: `UPDATE_DOCS=1 cargo test --lib features` writes it anew.

All numbers are 0 or more; **-1 stands for what there is none of**: never, none before, not known. A session is seen \
from its last click in event time: \"the item\" is that click's. Times are in seconds of event time before it.

| window | what it holds |
|---|---|
| this click | the last click alone |
| session | the session so far; of one longer than 128 clicks, the earlier ones in sums |
| last clicks | the session's last eight, `step_0` the last one |
| earlier sessions | all of the user's sessions before this one, until 90 days without a click |
| user's memory | the 64 items and 32 categories that the user clicked last |
| partition | all clicks of the input's partition until then, an item's until 30 days and a category's until 90 days without a click |
| partition, 24 hours | those of the last 24 hours, the day before taken to be even |

What is counted over all users is counted in the input's partition: users are spread over partitions by key, so each \
partition sees a fair sample, and none waits for another. Rates are drawn towards the partition's own, as if twenty more \
clicks had behaved like the average. Nothing looks ahead: a click that a purchase follows counts as followed from that \
purchase on.

| | name | meaning | unit | window |
|---|---|---|---|---|
";

fn feature(
    name: &str,
    meaning: &'static str,
    unit: &'static str,
    window: Window,
    of: fn(&View) -> Option<f64>,
) -> Feature {
    Feature { name: name.to_owned(), meaning, unit, window, value: Value::Of(of) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/features.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        // Without a page there is nothing to be fresh.
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/features.md is stale: `UPDATE_DOCS=1 cargo test --lib features`");
    }
}
