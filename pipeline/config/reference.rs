//! The reference page: the keys with their meaning from `raw.rs`, the defaults with their reasons from `default.toml`.

use std::fmt::Write;

use super::kafka::REFUSED;
use super::layers::DEFAULTS;
use super::raw::Raw;
use super::shape::{Choice, Entry, Shape};

const HEAD: &str = "\
# Configuration

<!-- Made from pipeline/config/raw.rs and pipeline/config/default.toml by `groundswell check --print-reference`. -->

Every key has a default, so that a file holds only what differs. Four layers are laid over each other, the last word winning:

1. the defaults below, compiled in;
2. the file given with `--config`, in TOML;
3. environment variables: `GROUNDSWELL__SECTION__KEY`, two underscores between levels;
4. `--set section.key=value`.

A value in a variable or a `--set` is TOML if it reads as such (`[\"a\", \"b\"]`, `{ env = \"NAME\" }`, `25`), and otherwise a string as it stands. Unknown keys are refused, and `groundswell check` reports all faults at once, each with its place.

Secrets are never written into the configuration: `{ env = \"NAME\" }` names an environment variable that holds one, `{ file = \"PATH\" }` a file. Relative paths begin at the directory that the program is started in.
";

/// The page `docs/configuration.md`, in Markdown.
pub fn reference() -> String {
    let defaults = Default::all();
    let mut page = HEAD.to_owned();
    for entry in in_order(&Shape::of::<Raw>(), "", &defaults) {
        section(&mut page, &entry, &defaults);
    }
    page
}

/// A line of `default.toml`.
struct Default<'a> {
    table: &'a str,
    name: &'a str,
    value: &'a str,
    /// Commented out: the key has no default, and this is an example.
    example: bool,
    reason: String,
}

impl Default<'_> {
    fn all() -> Vec<Default<'static>> {
        let (mut table, mut reason) = ("", String::new());
        let mut found = Vec::new();
        for line in DEFAULTS.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                reason = format!("{reason} {comment}").trim_start().to_owned();
                continue;
            }
            let reason = std::mem::take(&mut reason);
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                table = name;
            } else if let Some((name, value)) = line.split_once(" = ") {
                let (example, name) = (name.starts_with('#'), name.trim_start_matches('#'));
                found.push(Default { table, name, value, example, reason });
            }
        }
        found
    }
}

fn section(page: &mut String, entry: &Entry, defaults: &[Default]) {
    let (path, shape) = match &entry.shape {
        Shape::Map(inner) => (format!("{}.NAME", entry.name), inner.as_ref()),
        shape => (entry.name.clone(), shape),
    };
    put(page, format_args!("\n## `[{path}]`\n\n{}\n", entry.meaning));
    if matches!(entry.shape, Shape::Map(_)) {
        put(page, format_args!("\nThe default:\n\n```toml\n{}```\n", excerpt(&entry.name)));
    }
    for entry in in_order(shape, &path, defaults) {
        key(page, &path, &entry, defaults);
    }
}

fn key(page: &mut String, table: &str, entry: &Entry, defaults: &[Default]) {
    let path = format!("{table}.{}", entry.name);
    put(page, format_args!("\n### `{path}`\n\n{}\n\n{}\n", facts(table, entry, defaults), entry.meaning));
    match innermost(&entry.shape) {
        Shape::Choice(choices) => choices.iter().for_each(|choice| item(page, choice)),
        Shape::Section(fields) => {
            for field in fields {
                let field = Choice { name: field.name.clone(), meaning: field.meaning.clone() };
                item(page, &field);
            }
        }
        _ => {}
    }
    let below = format!("{path}.");
    let is_there = |default: &Default| default.table == path || default.table.starts_with(&below);
    if matches!(entry.shape, Shape::Map(_)) && defaults.iter().any(is_there) {
        put(page, format_args!("\nFor example:\n\n```toml\n{}```\n", uncommented(&excerpt(&path))));
    }
    if path == "kafka.librdkafka" {
        put(page, format_args!("\nRefused are:\n\n"));
        REFUSED.iter().for_each(|(name, reason)| put(page, format_args!("- `{name}`: {reason}\n")));
    }
    if let Some(default) = written(table, entry, defaults).filter(|default| !default.reason.is_empty()) {
        put(page, format_args!("\nWhy this default: {}\n", default.reason));
    }
}

/// Examples as they are to be written; sentences stay comments.
fn uncommented(toml: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    toml.lines().map(line).collect()
}

/// Type, default or example, and the environment variable.
fn facts(table: &str, entry: &Entry, defaults: &[Default]) -> String {
    let kind = match innermost(&entry.shape) {
        Shape::Choice(_) if matches!(entry.shape, Shape::List(_)) => "list of names".to_owned(),
        Shape::Choice(_) => "one of the names below".to_owned(),
        Shape::Section(_) => "table".to_owned(),
        _ if matches!(entry.shape, Shape::Map(_)) => "table".to_owned(),
        _ => entry.shape.to_string(),
    };
    let default = match (written(table, entry, defaults), &entry.default) {
        (Some(default), _) if default.example => format!(" · for example `{}`", default.value),
        (Some(default), _) => format!(" · default `{}`", default.value),
        (None, Some(json)) => format!(" · default `{json}`"),
        (None, None) => String::new(),
    };
    let variable = format!("{table}.{}", entry.name).to_uppercase().replace('.', "__");
    format!("{kind}{default} · `GROUNDSWELL__{variable}`")
}

fn item(page: &mut String, choice: &Choice) {
    let gap = if page.ends_with("\n\n") || page.lines().last().is_some_and(|line| line.starts_with("- ")) {
        ""
    } else {
        "\n"
    };
    match choice.meaning.as_str() {
        "" => put(page, format_args!("{gap}- `{}`\n", choice.name)),
        meaning => put(page, format_args!("{gap}- `{}`: {meaning}\n", choice.name)),
    }
}

/// What a list holds, or a table of tables, or else the shape itself.
fn innermost(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(item) => item,
        Shape::Map(item) if matches!(**item, Shape::Section(_)) => item,
        shape => shape,
    }
}

fn written<'a>(table: &str, entry: &Entry, defaults: &'a [Default]) -> Option<&'a Default<'a>> {
    defaults.iter().find(|default| default.table == table && default.name == entry.name)
}

/// A table's keys as `default.toml` has them, those below a name of the user's own as the alphabet has them.
fn in_order(shape: &Shape, table: &str, defaults: &[Default]) -> Vec<Entry> {
    let Shape::Section(entries) = shape else { return Vec::new() };
    let place = |entry: &Entry| {
        let below = if table.is_empty() { entry.name.clone() } else { format!("{table}.{}", entry.name) };
        let holds = |default: &Default| {
            let whole = format!("{}.{}", default.table, default.name);
            whole == below || whole.starts_with(&format!("{below}."))
        };
        defaults.iter().position(holds).unwrap_or(usize::MAX)
    };
    let mut entries = entries.clone();
    entries.sort_by_key(place);
    entries
}

/// The part of `default.toml` that fills a table and the tables below it.
fn excerpt(table: &str) -> String {
    let mut inside = false;
    let mut found = String::new();
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            let rest = name.strip_prefix(table);
            inside = rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with(']'));
        }
        if inside {
            put(&mut found, format_args!("{line}\n"));
        }
    }
    found.trim_end().to_owned() + "\n"
}

/// Writing to a string cannot fail.
fn put(page: &mut String, text: std::fmt::Arguments) {
    let _ = page.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_fresh() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"));
        let fresh = page.is_ok_and(|page| page == reference());
        assert!(fresh, "docs/configuration.md is stale: groundswell check --print-reference > docs/configuration.md");
    }

    #[test]
    fn every_key_stands_in_the_defaults_with_a_meaning() {
        let defaults = Default::all();
        let Shape::Section(sections) = Shape::of::<Raw>() else { panic!("the configuration is a table") };
        for section in &sections {
            let Shape::Section(entries) = &section.shape else { continue };
            for entry in entries {
                let path = format!("{}.{}", section.name, entry.name);
                let below = format!("{path}.");
                let table = defaults.iter().any(|d| d.table == path || d.table.starts_with(&below));
                let line = written(&section.name, entry, &defaults);
                assert!(table || line.is_some(), "{path} is not in default.toml");
                assert!(!entry.meaning.is_empty(), "{path} has no meaning");
                assert_eq!(line.is_some_and(|line| line.example), !entry.required, "{path}: default or example");
            }
        }
    }
}
