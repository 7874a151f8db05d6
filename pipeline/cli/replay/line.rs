use std::str::FromStr;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::event::json::time;

/// Where an event's time is looked for if nobody says where.
const TIME_FIELDS: [&str; 2] = ["/event_time", "/ts"];

/// An RFC 6901 JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Pointer, String> {
        match text.starts_with('/') {
            true => Ok(Pointer(text.to_owned())),
            false => Err(format!("expected a JSON pointer, as in /{text}")),
        }
    }
}

/// What is looked for in a line.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub key: Option<Pointer>,
    /// Look for a time: there, or where it usually is.
    pub time: Option<Option<Pointer>>,
}

/// What was found in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub key: Option<Vec<u8>>,
    pub time_ms: Option<i64>,
}

impl Wanted {
    /// Fails on what is no JSON, and says where.
    pub fn find(&self, line: &[u8]) -> Result<Found, String> {
        if self.key.is_none() && self.time.is_none() {
            // Nothing is kept of the line, so nothing is allocated for it.
            return serde_json::from_slice::<IgnoredAny>(line).map(|_| Found::default()).map_err(|e| fault(&e));
        }
        let value: Value = serde_json::from_slice(line).map_err(|e| fault(&e))?;
        let key = self.key.as_ref().and_then(|pointer| value.pointer(&pointer.0)).and_then(key);
        let time_ms = self.time.as_ref().and_then(|pointer| match pointer {
            Some(pointer) => value.pointer(&pointer.0).and_then(ms),
            None => TIME_FIELDS.iter().find_map(|pointer| value.pointer(pointer).and_then(ms)),
        });
        Ok(Found { key, time_ms })
    }
}

/// The place counts in the line, which is all there is; serde's own line number would mislead.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {what} at column {}", error.column())
}

/// A string as it is, a number or a boolean as JSON writes it. Nothing else is a key.
fn key(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into_bytes()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn ms(value: &Value) -> Option<i64> {
    let time = match value {
        Value::String(text) => time::from_text(text),
        Value::Number(number) => number.as_f64().and_then(time::from_number),
        _ => None,
    };
    time.as_ref().and_then(time::to_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        text.parse().expect("a pointer")
    }

    fn check(wanted: &Wanted, line: &str, key: Option<&str>, time_ms: Option<i64>) {
        let expected = Found { key: key.map(|k| k.as_bytes().to_vec()), time_ms };
        assert_eq!(wanted.find(line.as_bytes()), Ok(expected), "{line}");
    }

    #[test]
    fn keys_and_times_are_found_where_they_are() {
        let usual = Wanted { key: Some(pointer("/user/id")), time: Some(None) };
        check(&usual, r#"{"user": {"id": "u-1"}, "event_time": "1970-01-01T00:00:01Z"}"#, Some("u-1"), Some(1000));
        check(&usual, r#"{"user": {"id": 7}, "ts": 1700000000}"#, Some("7"), Some(1_700_000_000_000));
        check(&usual, r#"{"user": {"id": null}, "ts": "soon"}"#, None, None);
        check(&usual, r#"[1, 2]"#, None, None);
        let named = Wanted { key: None, time: Some(Some(pointer("/at"))) };
        check(&named, r#"{"at": 1700000000000, "event_time": "1970-01-01T00:00:01Z"}"#, None, Some(1_700_000_000_000));
        check(&Wanted::default(), r#"{"event_time": "1970-01-01T00:00:01Z"}"#, None, None);
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_and_not_quoted() {
        for wanted in [Wanted::default(), Wanted { key: Some(pointer("/k")), time: None }] {
            let message = wanted.find(br#"{"a": 13800138000x}"#).expect_err("no JSON");
            assert_eq!(message, "not JSON: expected `,` or `}` at column 18");
            assert!(wanted.find(b"\xff").is_err());
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        assert_eq!("user".parse::<Pointer>(), Err("expected a JSON pointer, as in /user".into()));
    }
}
