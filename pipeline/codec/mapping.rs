//! From a writer's JSON to ours: where each field of ours is found, and what becomes of the rest.

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value};

use super::coerce::{Misfit, Shape, type_of};
use crate::config::{FieldSource, Input};
use crate::event::{Error, Fault, RawRecord, Reason, Rejection};

const ATTRIBUTES: &str = "attributes";

/// Every field of one message with the place where it is looked for.
#[derive(Debug)]
pub(super) struct Mapping {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    shape: Shape,
    source: Source,
}

/// A [`FieldSource`] once understood.
#[derive(Debug)]
enum Source {
    Pointer(Vec<String>),
    Header(String),
    Key,
    /// The record's timestamp, which an event without a time gets anyway.
    Timestamp,
    Constant(Value),
}

impl Mapping {
    /// Fails on a field that the message has not, on a pointer that is none, and on a source that cannot fill its field.
    pub(super) fn new(message: &MessageDescriptor, input: &Input) -> Result<Self, Error> {
        let mut fields = Vec::new();
        for field in message.fields() {
            let Some(shape) = Shape::of(&field) else { continue };
            let name = field.name().to_string();
            let source = match input.fields.get(&name) {
                Some(configured) => Source::new(configured, &name, &shape).map_err(|message| {
                    Error::new(Fault::Config, format!("inputs.{}.fields.{name}: {message}", input.name))
                })?,
                None => Source::Pointer(vec![name.clone()]),
            };
            fields.push(Field { name, shape, source });
        }
        if let Some(unknown) = input.fields.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
            let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            let message = format!("inputs.{}.fields.{unknown}: no such field", input.name);
            return Err(Error::new(Fault::Config, message).hint(format!("known fields: {}", names.join(", "))));
        }
        Ok(Self { fields })
    }

    /// The event in our own JSON form. What no field took goes to `attributes`; a member of the writer's own
    /// `attributes` stays where the names meet.
    pub(super) fn apply(&self, root: Map<String, Value>, record: &RawRecord) -> Result<Map<String, Value>, Rejection> {
        let mut root = Value::Object(root);
        let mut event = Map::new();
        for field in &self.fields {
            let Some(value) = field.source.find(&root, record).map_err(|misfit| field.refuse(misfit))? else {
                continue;
            };
            if let Some(value) = field.shape.coerce(value).map_err(|misfit| field.refuse(misfit))? {
                event.insert(field.name.clone(), value);
            }
        }
        for field in &self.fields {
            if let Source::Pointer(path) = &field.source {
                remove(&mut root, path);
            }
        }
        keep_rest(&mut event, root);
        Ok(event)
    }

    /// Where a field is looked for, for messages: `at /comment/body`.
    pub(super) fn place(&self, name: &str) -> String {
        self.fields.iter().find(|field| field.name == name).map(|field| field.source.place()).unwrap_or_default()
    }
}

impl Field {
    fn refuse(&self, Misfit { expected, found }: Misfit) -> Rejection {
        let message = format!("{}: expected {expected}, found {found} {}", self.name, self.source.place());
        Rejection::new(Reason::Invalid, message)
    }
}

impl Source {
    fn new(configured: &FieldSource, name: &str, shape: &Shape) -> Result<Self, String> {
        match configured {
            FieldSource::Pointer(pointer) => parse_pointer(pointer).map(Source::Pointer),
            _ if name == ATTRIBUTES => Err("only a JSON pointer can name an object".to_string()),
            FieldSource::Header(header) => Ok(Source::Header(header.clone())),
            FieldSource::Key => Ok(Source::Key),
            FieldSource::Timestamp if *shape == Shape::Time => Ok(Source::Timestamp),
            FieldSource::Timestamp => Err("the record's timestamp can fill event_time only".to_string()),
            FieldSource::Constant(text) => {
                let value = shape.coerce(Value::String(text.clone()));
                let value = value.map_err(|misfit| format!("expected {}, found `{text}`", misfit.expected))?;
                Ok(Source::Constant(value.unwrap_or_default()))
            }
        }
    }

    fn find(&self, root: &Value, record: &RawRecord) -> Result<Option<Value>, Misfit> {
        let utf8 = |bytes: &[u8]| {
            let misfit = Misfit { expected: "UTF-8".to_string(), found: "other bytes" };
            std::str::from_utf8(bytes).map(Value::from).map_err(|_| misfit)
        };
        match self {
            Source::Pointer(path) => Ok(get(root, path).cloned()),
            Source::Header(name) => record.header(name).map(|bytes| utf8(bytes)).transpose(),
            Source::Key => record.key.as_ref().map(|bytes| utf8(bytes)).transpose(),
            Source::Timestamp => Ok(None),
            Source::Constant(value) => Ok(Some(value.clone())),
        }
    }

    fn place(&self) -> String {
        match self {
            Source::Pointer(path) => {
                let escaped = path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
                format!("at {}", escaped.collect::<String>())
            }
            Source::Header(name) => format!("in the header {name}"),
            Source::Key => "in the key".to_string(),
            Source::Timestamp => "in the timestamp".to_string(),
            Source::Constant(_) => "in the configuration".to_string(),
        }
    }
}

/// Takes a payload's top level for the object that it has to be.
pub(super) fn object(value: Value) -> Result<Map<String, Value>, Rejection> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(Rejection::new(Reason::Malformed, format!("expected an object, found {}", type_of(&other)))),
    }
}

/// The steps of an RFC 6901 pointer.
fn parse_pointer(pointer: &str) -> Result<Vec<String>, String> {
    let Some(steps) = pointer.strip_prefix('/') else {
        return Err(format!("expected a JSON pointer that starts with `/`, found `{pointer}`"));
    };
    let step = |step: &str| {
        let escapes_hold = step.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        escapes_hold.then(|| step.replace("~1", "/").replace("~0", "~"))
    };
    steps.split('/').map(step).collect::<Option<_>>().ok_or_else(|| {
        format!("expected a JSON pointer in which `~` is written `~0` and `/` in a name `~1`, found `{pointer}`")
    })
}

fn get<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, step| match value {
        Value::Object(object) => object.get(step),
        Value::Array(items) => items.get(position(step)?),
        _ => None,
    })
}

/// Takes a value out, and the objects that are empty without it. An item of an array becomes null, so that the others
/// keep their places.
fn remove(value: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    match value {
        Value::Object(object) => {
            let Some(child) = object.get_mut(step) else { return };
            remove(child, rest);
            if rest.is_empty() || child.as_object().is_some_and(Map::is_empty) {
                object.remove(step);
            }
        }
        Value::Array(items) => {
            let Some(child) = position(step).and_then(|index| items.get_mut(index)) else { return };
            if rest.is_empty() {
                *child = Value::Null;
            } else {
                remove(child, rest);
            }
        }
        _ => {}
    }
}

/// RFC 6901 allows no sign and no leading zero.
fn position(step: &str) -> Option<usize> {
    let plain = step == "0" || step.starts_with(|c: char| ('1'..='9').contains(&c));
    plain.then(|| step.parse().ok()).flatten()
}

fn keep_rest(event: &mut Map<String, Value>, rest: Value) {
    let Value::Object(rest) = rest else { return };
    if rest.is_empty() {
        return;
    }
    let kept = event.entry(ATTRIBUTES).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(kept) = kept else { return };
    for (name, value) in rest {
        kept.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_parsed_or_refused() {
        let check = |pointer: &str, expected: Option<&[&str]>| {
            let parsed = parse_pointer(pointer).ok();
            assert_eq!(parsed, expected.map(|steps| steps.iter().map(|s| s.to_string()).collect()), "{pointer}");
        };
        check("/comment/body", Some(&["comment", "body"]));
        check("/a~1b/~0~01", Some(&["a/b", "~~1"]));
        check("/", Some(&[""]));
        check("", None);
        check("comment", None);
        check("/a~2", None);
        check("/a~", None);
    }

    #[test]
    fn a_value_is_found_and_taken_out() {
        let check = |pointer: &str, expected: Option<Value>, rest: Value| {
            let mut root = json!({"c": {"b": {"text": "t"}}, "l": [1, {"x": 2, "y": 3}], "n": null, "a/b": 4});
            let path = parse_pointer(pointer).unwrap();
            assert_eq!(get(&root, &path).cloned(), expected, "{pointer}");
            remove(&mut root, &path);
            assert_eq!(root, rest, "{pointer}");
        };
        let l = json!([1, {"x": 2, "y": 3}]);
        check("/c/b/text", Some(json!("t")), json!({"l": l, "n": null, "a/b": 4}));
        check(
            "/l/0",
            Some(json!(1)),
            json!({"c": {"b": {"text": "t"}}, "l": [null, {"x": 2, "y": 3}], "n": null, "a/b": 4}),
        );
        check("/l/1/x", Some(json!(2)), json!({"c": {"b": {"text": "t"}}, "l": [1, {"y": 3}], "n": null, "a/b": 4}));
        let whole = json!({"c": {"b": {"text": "t"}}, "l": l, "n": null, "a/b": 4});
        for missing in ["/l/01", "/l/-1", "/l/2", "/c/text", "/n/x", "/a/b"] {
            check(missing, None, whole.clone());
        }
    }
}
