//! JSON text ↔ our messages, straight, without a tree in between.

use std::collections::BTreeMap;
use std::fmt;

use prost_types::{Struct, Value};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use crate::event::json::AnyValue;
use crate::event::{Reason, Rejection};

/// What a straight read came to.
#[derive(Debug)]
pub(super) enum Straight<T> {
    /// The message, and the members that it has no field for.
    Read(T, Struct),
    /// Good JSON that is not exactly in our form: worth the lenient way, which also says what is wrong.
    Misfit,
}

/// The text of a payload. A byte-order mark is passed over: some writers set one, and it means nothing.
pub(super) fn text(payload: &[u8]) -> Result<&str, Rejection> {
    let text = simdutf8::compat::from_utf8(payload).map_err(|error| {
        let at = error.valid_up_to();
        Rejection::new(
            Reason::Malformed,
            format!("expected UTF-8, found other bytes at byte {at} of {}", payload.len()),
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

pub(super) fn read_straight<T: DeserializeOwned>(text: &str) -> Result<Straight<T>, Rejection> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut rest = BTreeMap::new();
    match T::deserialize(KeepRest { json: &mut json, rest: &mut rest }).and_then(|event| json.end().map(|()| event)) {
        Ok(event) => Ok(Straight::Read(event, Struct { fields: rest })),
        Err(error) if error.is_data() => Ok(Straight::Misfit),
        Err(error) => Err(malformed(&error)),
    }
}

/// Reads a tree, for a mapping. Of a name that occurs twice the last counts.
pub(super) fn read_tree(text: &str) -> Result<serde_json::Value, Rejection> {
    serde_json::from_str(text).map_err(|error| malformed(&error))
}

/// A syntax error's own message names what was expected and where, and quotes nothing; an error about a value would.
fn malformed(error: &serde_json::Error) -> Rejection {
    let message = if error.is_data() {
        format!("not JSON: at line {} column {}", error.line(), error.column())
    } else {
        format!("not JSON: {error}")
    };
    Rejection::new(Reason::Malformed, message)
}

/// Hands a struct the members that it knows, and keeps the others.
struct KeepRest<'a, D> {
    json: D,
    rest: &'a mut BTreeMap<String, Value>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for KeepRest<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.json.deserialize_struct(name, fields, KeepRestVisitor { visitor, fields, rest: self.rest })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.json.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct KeepRestVisitor<'a, V> {
    visitor: V,
    fields: &'static [&'static str],
    rest: &'a mut BTreeMap<String, Value>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for KeepRestVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(KeepRestMap { map, fields: self.fields, rest: self.rest })
    }
}

struct KeepRestMap<'a, A> {
    map: A,
    fields: &'static [&'static str],
    rest: &'a mut BTreeMap<String, Value>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for KeepRestMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key_seed(NameIn(self.fields))? {
            match name {
                Ok(known) => {
                    let known: StrDeserializer<'_, A::Error> = known.into_deserializer();
                    return seed.deserialize(known).map(Some);
                }
                Err(other) => {
                    let value = self.map.next_value_seed(AnyValue)?;
                    self.rest.insert(other, value);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Reads a member's name: `Ok` with one of these fields, `Err` with any other.
struct NameIn(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for NameIn {
    type Value = Result<&'static str, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameIn {
    type Value = Result<&'static str, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| *known == name).ok_or_else(|| name.to_string()))
    }
}
