//! What a field takes from a JSON value: lenient where a writer is merely careless, strict where a guess would lie.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind};
use serde_json::{Number, Value};

use crate::event::json::{INTEGER_EXACT_MAX, time};

/// What a field of one of our messages holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Text,
    Number,
    /// A whole number from 0.
    Count,
    Name {
        names: Vec<String>,
        /// What the values' names start with in the schema, in lower case: `speaker_`.
        prefix: String,
    },
    Time,
    Object,
}

/// Why a value does not fit: the types, never the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub expected: String,
    pub found: &'static str,
}

impl Shape {
    pub(super) fn of(field: &FieldDescriptor) -> Option<Self> {
        match field.kind() {
            _ if field.is_list() || field.is_map() => None,
            Kind::String => Some(Shape::Text),
            Kind::Double => Some(Shape::Number),
            Kind::Uint64 => Some(Shape::Count),
            Kind::Enum(of) => Some(Shape::name(&of)),
            Kind::Message(of) if of.full_name() == "google.protobuf.Timestamp" => Some(Shape::Time),
            Kind::Message(of) if of.full_name() == "google.protobuf.Struct" => Some(Shape::Object),
            _ => None,
        }
    }

    fn name(of: &EnumDescriptor) -> Self {
        let prefix = format!("{}_", of.name().to_ascii_lowercase());
        let names = of.values().filter(|value| value.number() != 0).map(|value| value.name().to_ascii_lowercase());
        let names = names.map(|name| name.strip_prefix(&prefix).unwrap_or(&name).to_string()).collect();
        Shape::Name { names, prefix }
    }

    /// The value as the field's own JSON form; `None` where the writer says that there is none.
    ///
    /// Numbers pass as strings and strings as numbers where nothing is lost by it. A fraction is no id, an object is no
    /// text, and an integer too large to be read exactly is neither.
    pub(super) fn coerce(&self, value: Value) -> Result<Option<Value>, Misfit> {
        let found = type_of(&value);
        let taken = match (self, value) {
            (_, Value::Null) => return Ok(None),
            (Shape::Text, Value::String(text)) => Some(Value::String(text)),
            (Shape::Text, Value::Number(number)) if !number.is_f64() => Some(Value::String(number.to_string())),
            (Shape::Number, Value::Number(number)) => Some(Value::Number(number)),
            (Shape::Number, Value::String(text)) => decimal(&text).map(Value::Number),
            (Shape::Count, Value::Number(number)) => count(&number),
            (Shape::Count, Value::String(text)) => text.trim().parse::<u64>().ok().map(Value::from),
            (Shape::Name { .. } | Shape::Time, Value::String(text)) if text.is_empty() => return Ok(None),
            (Shape::Name { names, prefix }, Value::String(text)) => name(names, prefix, &text),
            (Shape::Time, Value::String(text)) => time::from_text(&text).is_some().then_some(Value::String(text)),
            (Shape::Time, Value::Number(number)) => {
                number.as_f64().and_then(time::from_number).is_some().then_some(Value::Number(number))
            }
            (Shape::Object, Value::Object(object)) => Some(Value::Object(object)),
            _ => None,
        };
        taken.map(Some).ok_or_else(|| Misfit { expected: self.expected(), found })
    }

    fn expected(&self) -> String {
        match self {
            Shape::Text => "a string or an integer".to_string(),
            Shape::Number => "a number".to_string(),
            Shape::Count => "a whole number from 0".to_string(),
            Shape::Name { names, .. } => format!("one of {}", names.join(", ")),
            Shape::Time => time::EXPECTED.to_string(),
            Shape::Object => "an object".to_string(),
        }
    }
}

/// A value's type as a message names it.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction or too large for an integer",
        Value::Number(_) => "an integer",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn decimal(text: &str) -> Option<Number> {
    text.trim().parse().ok().and_then(Number::from_f64)
}

fn count(number: &Number) -> Option<Value> {
    let whole = |n: &f64| n.fract() == 0.0 && (0.0..=INTEGER_EXACT_MAX as f64).contains(n);
    let count = number.as_u64().or_else(|| number.as_f64().filter(whole).map(|n| n as u64));
    count.map(Value::from)
}

fn name(names: &[String], prefix: &str, text: &str) -> Option<Value> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix(prefix).unwrap_or(&text);
    names.iter().any(|name| name == text).then(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::OURS;
    use super::*;
    use crate::event::json::Named;
    use crate::event::v1;

    fn shape(message: &str, field: &str) -> Shape {
        let message = OURS.get_message_by_name(&format!("groundswell.v1.{message}")).unwrap();
        Shape::of(&message.get_field_by_name(field).unwrap()).unwrap()
    }

    #[test]
    fn every_field_of_an_input_has_a_shape() {
        for message in ["Review", "Chat", "Click"] {
            let message = OURS.get_message_by_name(&format!("groundswell.v1.{message}")).unwrap();
            message.fields().for_each(|field| assert!(Shape::of(&field).is_some(), "{}", field.full_name()));
        }
    }

    #[test]
    fn names_in_json_are_those_of_the_schema() {
        fn check<T: Named>(message: &str, field: &str) {
            let Shape::Name { names, .. } = shape(message, field) else { panic!("{field} is no enum") };
            assert_eq!(T::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
            assert_eq!(T::EXPECTED, shape(message, field).expected());
        }
        check::<v1::Speaker>("Chat", "speaker");
        check::<v1::Action>("Click", "action");
        check::<v1::Kind>("Scored", "kind");
    }

    #[test]
    fn values_are_taken_or_refused() {
        let check = |field: &str, value: Value, expected: Result<Value, (&str, &str)>| {
            let message = if field == "rating" { "Review" } else { "Chat" };
            let taken = shape(message, field).coerce(value.clone()).map(Option::unwrap_or_default);
            let expected = expected.map_err(|(e, found)| (e.to_string(), found.to_string()));
            assert_eq!(taken.map_err(|m| (m.expected, m.found.to_string())), expected, "{field} from {value}");
        };
        let text = "a string or an integer";
        check("text", json!("好"), Ok(json!("好")));
        check("text", json!({"a": 1}), Err((text, "an object")));
        check("text", json!(["a"]), Err((text, "an array")));
        check("text", json!(true), Err((text, "a boolean")));
        check("user", json!(null), Ok(json!(null)));
        check("user", json!(18446744073709551615_u64), Ok(json!("18446744073709551615")));
        check("user", json!(-4), Ok(json!("-4")));
        check("user", json!(1e20), Err((text, "a number with a fraction or too large for an integer")));
        check("rating", json!(" 4.5 "), Ok(json!(4.5)));
        check("rating", json!(5), Ok(json!(5)));
        check("rating", json!("five"), Err(("a number", "a string")));
        check("rating", json!("NaN"), Err(("a number", "a string")));
        check("rating", json!("1e999"), Err(("a number", "a string")));
        check("rating", json!(""), Err(("a number", "an empty string")));
        check("turn", json!("12"), Ok(json!(12)));
        check("turn", json!(3.0), Ok(json!(3)));
        check("turn", json!(-1), Err(("a whole number from 0", "an integer")));
        check(
            "turn",
            json!(1e300),
            Err(("a whole number from 0", "a number with a fraction or too large for an integer")),
        );
        check("speaker", json!("Customer"), Ok(json!("customer")));
        check("speaker", json!("SPEAKER_BOT"), Ok(json!("bot")));
        check("speaker", json!(""), Ok(json!(null)));
        check("speaker", json!("unspecified"), Err(("one of customer, agent, bot", "a string")));
        check("speaker", json!(1), Err(("one of customer, agent, bot", "an integer")));
        check("event_time", json!("1795341600"), Ok(json!("1795341600")));
        check("event_time", json!(0), Err((time::EXPECTED, "an integer")));
        check("event_time", json!("yesterday"), Err((time::EXPECTED, "a string")));
        check("attributes", json!("x"), Err(("an object", "a string")));
    }
}
