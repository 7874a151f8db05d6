//! Holds what was written against the shapes of `raw.rs`: unknown keys, wrong types, values out of range. What is faulty is reported and taken out, so that the rest can still be judged.

use std::collections::BTreeMap;

use super::fault::{Faults, Place};
use super::key::Key;
use super::shape::{Entry, Shape};
use super::tree::{Content, Node, Table};

/// Reports all that does not fit and leaves in `node` what does. False: nothing of it fits.
pub fn check(shape: &Shape, node: &mut Node, key: &Key, faults: &mut Faults) -> bool {
    take_words(shape, node);
    match (shape, &mut node.content) {
        (Shape::Section(entries), Content::Table(table)) => {
            table.entries.retain(|name, child| match entries.iter().find(|entry| entry.name == *name) {
                Some(entry) => check(&entry.shape, child, &key.child(name), faults),
                None => unknown(entries, &key.child(name), name, child, faults),
            });
            true
        }
        (Shape::Map(value), Content::Table(table)) => {
            join_dotted(value, table);
            table.entries.retain(|name, child| check(value, child, &key.child(name), faults));
            true
        }
        (Shape::List(item), Content::List(children)) => {
            children.retain_mut(|child| check(item, child, key, faults));
            true
        }
        (shape, content) if fits(shape, content) => true,
        _ => mismatch(shape, node, key, faults),
    }
}

/// Lays `over` on `base`: tables key by key where a shape has keys, everything else whole.
pub fn lay_over(shape: Option<&Shape>, base: &mut Node, over: Node) {
    let joins = matches!(shape, Some(Shape::Section(_) | Shape::Map(_)));
    match (&mut base.content, over.content) {
        (Content::Table(below), Content::Table(above)) if joins => {
            if base.place == Place::Default {
                base.place = over.place;
            }
            for (name, child) in above.entries {
                match below.entries.get_mut(&name) {
                    Some(old) => lay_over(shape.and_then(|shape| shape.get(&name)), old, child),
                    None => drop(below.entries.insert(name, child)),
                }
            }
        }
        (below, above) => {
            *below = above;
            base.place = over.place;
        }
    }
}

/// Where a string is wanted, an override's words are the string, even if they could be read as a number or a date.
fn take_words(shape: &Shape, node: &mut Node) {
    let wants_text = matches!(shape, Shape::Text | Shape::Choice(_));
    let scalar = !matches!(node.content, Content::Text(_) | Content::Table(_) | Content::List(_));
    match &node.words {
        Some(words) if wants_text && scalar => node.content = Content::Text(words.clone()),
        _ => {}
    }
}

/// TOML reads `fetch.min.bytes = 1` as tables in tables; where names may hold dots and values are no tables, it is one name.
fn join_dotted(value: &Shape, table: &mut Table) {
    if matches!(value, Shape::Section(_) | Shape::Map(_)) {
        return;
    }
    let mut joined = BTreeMap::new();
    for (name, node) in std::mem::take(&mut table.entries) {
        join_into(&mut joined, name, node);
    }
    table.entries = joined;
}

fn join_into(joined: &mut BTreeMap<String, Node>, name: String, node: Node) {
    match node.content {
        Content::Table(inner) if !inner.braced => {
            for (rest, child) in inner.entries {
                join_into(joined, format!("{name}.{rest}"), child);
            }
        }
        _ => drop(joined.insert(name, node)),
    }
}

fn fits(shape: &Shape, content: &Content) -> bool {
    match (shape, content) {
        (Shape::Text, Content::Text(_)) | (Shape::Flag, Content::Flag(_)) => true,
        (Shape::Choice(choices), Content::Text(text)) => choices.iter().any(|choice| choice.name == *text),
        (Shape::Whole { min, max }, Content::Whole(number)) => {
            min.is_none_or(|min| min <= *number) && max.is_none_or(|max| *number <= max)
        }
        (Shape::Number { min, max }, Content::Whole(_) | Content::Number(_)) => number(content).is_some_and(|number| {
            number.is_finite() && min.is_none_or(|min| min <= number) && max.is_none_or(|max| number <= max)
        }),
        (Shape::Either(shapes), content) => shapes.iter().any(|shape| fits(shape, content)),
        (Shape::Section(entries), Content::Table(table)) => fits_section(entries, table),
        _ => false,
    }
}

/// What can stand where a number is wanted.
fn number(content: &Content) -> Option<f64> {
    match content {
        Content::Whole(number) => Some(*number as f64),
        Content::Number(number) => Some(*number),
        _ => None,
    }
}

/// As a way among others to write a value: exactly the keys that it has.
fn fits_section(entries: &[Entry], table: &Table) -> bool {
    let known = |(name, node): (&String, &Node)| {
        entries.iter().any(|entry| entry.name == *name && fits(&entry.shape, &node.content))
    };
    let there = |entry: &Entry| !entry.required || table.entries.contains_key(&entry.name);
    table.entries.iter().all(known) && entries.iter().all(there)
}

fn mismatch(shape: &Shape, node: &Node, key: &Key, faults: &mut Faults) -> bool {
    let (message, hint) = match (shape, &node.content) {
        // What can be written in several ways may be a secret: its value is not shown.
        (Shape::Either(_), content) => (format!("{key} is {}, not {shape}", content.kind()), None),
        (Shape::Whole { min: Some(min), .. }, Content::Whole(n)) if n < min => {
            (format!("{key} ({n}) is below {min}"), None)
        }
        (Shape::Whole { max: Some(max), .. }, Content::Whole(n)) => (format!("{key} ({n}) is above {max}"), None),
        (Shape::Number { min, max }, content) if number(content).is_some_and(f64::is_finite) => {
            let written = number(content).unwrap_or_default();
            let bound = match min.filter(|min| written < *min) {
                Some(min) => format!("below {min}"),
                None => format!("above {}", max.unwrap_or(f64::INFINITY)),
            };
            (format!("{key} ({content}) is {bound}"), None)
        }
        (Shape::Choice(choices), Content::Text(text)) => {
            let hint = nearest(text, choices.iter().map(|choice| choice.name.as_str()));
            (format!("{key} ({text:?}) is not {shape}"), hint.map(|name| format!("did you mean {name:?}?")))
        }
        (Shape::List(_), Content::Text(text)) => {
            (format!("{key} ({}) is a string, not a list", node.content), Some(format!("write [{text:?}]")))
        }
        (shape, content @ (Content::Table(_) | Content::List(_))) => (format!("{key} is {content}, not {shape}"), None),
        (shape, content) => (format!("{key} ({content}) is {}, not {shape}", content.kind()), None),
    };
    faults.report(node.place.clone(), key.clone(), message, hint);
    false
}

fn unknown(entries: &[Entry], key: &Key, name: &str, node: &Node, faults: &mut Faults) -> bool {
    let hint = match nearest(name, entries.iter().map(|entry| entry.name.as_str())) {
        Some(known) => format!("did you mean {known}?"),
        None => {
            let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
            format!("known here: {}", names.join(", "))
        }
    };
    faults.report(node.place.clone(), key.clone(), format!("{key} is unknown"), Some(hint));
    false
}

/// The name that a slip of the finger or the memory most likely meant, if any is near.
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase().replace('-', "_");
    let beginning = |name: &str| name.chars().take(written.chars().count()).collect::<String>();
    let distance = |name: &str| {
        let whole = strsim::damerau_levenshtein(&written, name);
        match written.len() {
            ..3 => whole,
            _ => whole.min(1 + strsim::damerau_levenshtein(&written, &beginning(name))),
        }
    };
    known
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= (written.len() * 2 / 5).max(1))
        .min()
        .map(|(_, name)| name)
}
