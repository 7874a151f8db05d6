//! Values as written, each with the place it was written at: the one form of a file, an environment variable and a `--set`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use toml_edit::{Document, Item, TableLike, Value};

use super::fault::Place;
use super::key::Key;

#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub content: Content,
    /// The words of an override as they came: where a string is wanted, `7` means "7".
    pub words: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Content {
    Table(Table),
    List(Vec<Node>),
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
    Date(String),
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub entries: BTreeMap<String, Node>,
    /// Written as one value in braces, and not by a header or a dotted key.
    pub braced: bool,
}

impl Node {
    pub fn table(place: Place) -> Self {
        Self { place, content: Content::Table(Table::default()), words: None }
    }

    /// A file's text; an error is a syntax error with its place.
    pub fn parse_file(text: &str, path: &Path) -> Result<Self, (Place, String)> {
        let lines = Lines { text, path: Arc::new(path.to_owned()) };
        let document = Document::parse(text)
            .map_err(|error| (lines.place(error.span()), error.message().trim_end().replace('\n', "; ")))?;
        Ok(Self { place: lines.place(None), content: table(document.as_table(), false, &lines), words: None })
    }

    /// The value of an override: TOML if it reads as such, the words as they are otherwise.
    pub fn parse_override(words: &str, place: &Place) -> Self {
        let content = match words.trim().parse::<Value>() {
            Ok(parsed) => value(&parsed, place),
            Err(_) => Content::Text(words.to_owned()),
        };
        Self { place: place.clone(), content, words: Some(words.to_owned()) }
    }

    /// Puts this node below the tables that `key` names.
    pub fn nested(self, key: &Key) -> Self {
        let place = self.place.clone();
        key.parts().iter().rev().fold(self, |inner, name| {
            let entries = BTreeMap::from([(name.clone(), inner)]);
            Self { place: place.clone(), content: Content::Table(Table { entries, braced: false }), words: None }
        })
    }

    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.content {
            Content::Table(table) => table.entries.get(name),
            _ => None,
        }
    }

    /// Where `key` was written, or the nearest table above it.
    pub fn place_of(&self, key: &Key) -> Place {
        let mut node = self;
        for part in key.parts() {
            match node.get(part) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.place.clone()
    }

    /// Makes defaults of the values: a fault that a default takes part in is reported where the user wrote.
    pub fn forget_places(&mut self) {
        self.place = Place::Default;
        match &mut self.content {
            Content::Table(table) => table.entries.values_mut().for_each(Node::forget_places),
            Content::List(items) => items.iter_mut().for_each(Node::forget_places),
            _ => {}
        }
    }

    pub fn to_json(&self) -> Json {
        match &self.content {
            Content::Table(table) => table.entries.iter().map(|(name, node)| (name.clone(), node.to_json())).collect(),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Text(text) | Content::Date(text) => Json::from(text.as_str()),
            Content::Whole(number) => Json::from(*number),
            Content::Number(number) => Json::from(*number),
            Content::Flag(flag) => Json::from(*flag),
        }
    }
}

/// What is there, for a message: the value of a scalar, the kind of everything larger.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Text(text) if text.chars().count() <= 80 => write!(f, "{text:?}"),
            Content::Whole(number) => write!(f, "{number}"),
            Content::Number(number) => write!(f, "{number}"),
            Content::Flag(flag) => write!(f, "{flag}"),
            Content::Date(date) => write!(f, "{date}"),
            Content::Table(_) | Content::List(_) | Content::Text(_) => f.write_str(self.kind()),
        }
    }
}

impl Content {
    /// What is there without its value, which may be a secret.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Table(_) => "a table",
            Content::List(_) => "a list",
            Content::Text(_) => "a string",
            Content::Whole(_) => "a whole number",
            Content::Number(_) => "a number",
            Content::Flag(_) => "a truth value",
            Content::Date(_) => "a date",
        }
    }
}

struct Lines<'a> {
    text: &'a str,
    path: Arc<std::path::PathBuf>,
}

impl Lines<'_> {
    /// Line and column of a span's beginning.
    fn place(&self, span: Option<Range<usize>>) -> Place {
        let end = span.map_or(0, |span| span.start);
        let before = self.text.get(..end).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn table(source: &dyn TableLike, braced: bool, lines: &Lines) -> Content {
    let mut entries = BTreeMap::new();
    for (name, item) in source.iter() {
        let place = lines.place(source.key(name).and_then(|key| key.span()));
        entries.insert(name.to_owned(), Node { content: file_item(item, lines), place, words: None });
    }
    Content::Table(Table { entries, braced })
}

fn file_item(item: &Item, lines: &Lines) -> Content {
    match item {
        Item::None => Content::Table(Table::default()),
        Item::Table(inner) => table(inner, false, lines),
        Item::ArrayOfTables(tables) => {
            let node = |inner: &toml_edit::Table| Node {
                place: lines.place(inner.span()),
                content: table(inner, false, lines),
                words: None,
            };
            Content::List(tables.iter().map(node).collect())
        }
        Item::Value(Value::InlineTable(inner)) => table(inner, !inner.is_dotted(), lines),
        Item::Value(Value::Array(items)) => {
            let node = |item: &Value| {
                let place = lines.place(item.span());
                Node { content: file_item(&Item::Value(item.clone()), lines), place, words: None }
            };
            Content::List(items.iter().map(node).collect())
        }
        Item::Value(scalar) => value(scalar, &Place::Default),
    }
}

/// A value all of which was written at one place.
fn value(source: &Value, place: &Place) -> Content {
    let node = |inner: &Value| Node { place: place.clone(), content: value(inner, place), words: None };
    match source {
        Value::String(text) => Content::Text(text.value().clone()),
        Value::Integer(number) => Content::Whole(*number.value()),
        Value::Float(number) => Content::Number(*number.value()),
        Value::Boolean(flag) => Content::Flag(*flag.value()),
        Value::Datetime(date) => Content::Date(date.value().to_string()),
        Value::Array(items) => Content::List(items.iter().map(node).collect()),
        Value::InlineTable(inner) => {
            let named = |(name, item): (&str, &Value)| (name.to_owned(), node(item));
            Content::Table(Table { entries: inner.iter().map(named).collect(), braced: !inner.is_dotted() })
        }
    }
}
