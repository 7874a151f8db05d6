//! What the types of `raw.rs` allow, in a form that a check can walk and a page can be written from.

use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

/// What may stand at a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A fixed set of keys.
    Section(Vec<Entry>),
    /// Keys of the user's own, with values of one shape.
    Map(Box<Shape>),
    List(Box<Shape>),
    Choice(Vec<Choice>),
    Either(Vec<Shape>),
    Text,
    Whole {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Flag,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub meaning: String,
    pub shape: Shape,
    pub required: bool,
    /// The value where nothing is written, for keys below a name of the user's own.
    pub default: Option<Json>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub name: String,
    pub meaning: String,
}

impl Shape {
    pub fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        shape(settings.into_generator().into_root_schema_for::<T>().as_value())
    }

    /// The shape below a key, with the user's own names passed over.
    pub fn get(&self, name: &str) -> Option<&Shape> {
        match self {
            Shape::Section(entries) => entries.iter().find(|entry| entry.name == name).map(|entry| &entry.shape),
            Shape::Map(shape) => Some(shape),
            _ => None,
        }
    }
}

/// What is wanted, for a message.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Section(_) | Shape::Map(_) => f.write_str("a table"),
            Shape::List(item) if **item == Shape::Text => f.write_str("a list of strings"),
            Shape::List(_) => f.write_str("a list"),
            Shape::Choice(choices) => {
                let names: Vec<_> = choices.iter().map(|choice| format!("{:?}", choice.name)).collect();
                match names.len() {
                    ..=2 => f.write_str(&names.join(" or ")),
                    _ => write!(f, "one of {}", names.join(", ")),
                }
            }
            Shape::Either(shapes) => {
                let all: Vec<_> = shapes.iter().map(branch).collect();
                f.write_str(&all.join(" or "))
            }
            Shape::Text => f.write_str("a string"),
            Shape::Whole { min: Some(min), max: Some(max) } => write!(f, "a whole number from {min} to {max}"),
            Shape::Whole { .. } => f.write_str("a whole number"),
            Shape::Number { min: Some(min), max: Some(max) } => write!(f, "a finite number from {min} to {max}"),
            Shape::Number { .. } => f.write_str("a finite number"),
            Shape::Flag => f.write_str("true or false"),
        }
    }
}

/// A table that is one way among others to write a value is shown as it is written.
fn branch(shape: &Shape) -> String {
    match shape {
        Shape::Section(entries) => {
            let value = |shape: &Shape| if *shape == Shape::Text { "\"…\"".to_owned() } else { shape.to_string() };
            let pairs: Vec<_> =
                entries.iter().map(|entry| format!("{} = {}", entry.name, value(&entry.shape))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn shape(schema: &Json) -> Shape {
    if let Some(branches) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return either(branches);
    }
    if let Some(names) = schema["enum"].as_array() {
        return Shape::Choice(names.iter().filter_map(|name| choice(name, "")).collect());
    }
    if let Some(name) = choice(&schema["const"], meaning(schema)) {
        return Shape::Choice(vec![name]);
    }
    match kind(schema) {
        "object" if schema["properties"].is_object() => section(schema),
        "object" => Shape::Map(Box::new(shape(&schema["additionalProperties"]))),
        "array" => Shape::List(Box::new(shape(&schema["items"]))),
        "integer" => Shape::Whole { min: schema["minimum"].as_i64(), max: schema["maximum"].as_i64() },
        "number" => Shape::Number { min: schema["minimum"].as_f64(), max: schema["maximum"].as_f64() },
        "boolean" => Shape::Flag,
        _ => Shape::Text,
    }
}

/// Branches that are all named values are one choice; `null`, which only says that a key may be absent, is left out.
fn either(branches: &[Json]) -> Shape {
    let mut shapes: Vec<_> = branches.iter().filter(|branch| kind(branch) != "null").map(shape).collect();
    if shapes.iter().all(|shape| matches!(shape, Shape::Choice(_))) {
        let choices = shapes.into_iter().flat_map(|shape| match shape {
            Shape::Choice(choices) => choices,
            _ => Vec::new(),
        });
        return Shape::Choice(choices.collect());
    }
    match shapes.len() {
        1 => shapes.remove(0),
        _ => Shape::Either(shapes),
    }
}

fn section(schema: &Json) -> Shape {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let entry = |(name, property): (&String, &Json)| Entry {
        name: name.clone(),
        meaning: meaning(property).to_owned(),
        shape: shape(property),
        required: required(name),
        default: property.get("default").cloned(),
    };
    Shape::Section(properties.map(entry).collect())
}

fn choice(name: &Json, meaning: &str) -> Option<Choice> {
    name.as_str().map(|name| Choice { name: name.to_owned(), meaning: meaning.to_owned() })
}

fn meaning(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The JSON type that is not `null`.
fn kind(schema: &Json) -> &str {
    match &schema["type"] {
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    }
}
