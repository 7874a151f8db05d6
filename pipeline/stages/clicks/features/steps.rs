//! The last clicks one by one, for models that read sequences.

use super::super::view::{STEPS, Step};
use super::{Feature, Value, Window};

/// Name, meaning, unit, and the number.
type Part = (&'static str, &'static str, &'static str, fn(&Step) -> f64);

/// What is told of each step.
const PARTS: [Part; 6] = [
    ("action", "what was done: 1 view, 2 cart, 3 favourite, 4 purchase, 5 impression, 6 remove", "code", |step| {
        f64::from(i32::from(step.action))
    }),
    ("ago", "how long before the last click", "seconds", |step| step.ago),
    ("same_item", "on the last click's item", "0 or 1", |step| flag(step.same_item)),
    ("same_category", "in the last click's category", "0 or 1", |step| flag(step.same_category)),
    ("new_item", "on an item that was new in the session", "0 or 1", |step| flag(step.new_item)),
    ("new_category", "in a category that was new in the session", "0 or 1", |step| flag(step.new_category)),
];

pub fn features() -> Vec<Feature> {
    let named = |step: usize| {
        PARTS.iter().map(move |(part, meaning, unit, of)| Feature {
            name: format!("step_{step}_{part}"),
            meaning,
            unit,
            window: Window::Step,
            value: Value::OfStep(step, *of),
        })
    };
    (0..STEPS).flat_map(named).collect()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
