//! How the types of `schemas/` look in JSON where serde alone would write them otherwise: enums in lower case, times as
//! RFC 3339, open attributes as a plain object. `build.rs` names these helpers on the generated fields.
//!
//! No message here quotes a value: it may be text that was not redacted yet.

use std::fmt;
use std::marker::PhantomData;

use prost_types::value::Kind as ValueKind;
use prost_types::{ListValue, Struct, Timestamp, Value};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

use crate::event::v1;

/// Integers up to here are exact in a `google.protobuf.Struct`, whose numbers are doubles; larger ones are kept as strings.
pub(crate) const INTEGER_EXACT_MAX: u64 = 1 << 53;

/// An enum of `schemas/` with its names in JSON. The unspecified value has none: it is left out.
pub(crate) trait Named: Copy + Into<i32> + TryFrom<i32> + 'static {
    const NAMES: &'static [(&'static str, Self)];
    /// `customer, agent, bot`
    const EXPECTED: &'static str;

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn name_of(number: i32) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, value)| (*value).into() == number).map(|(name, _)| *name)
    }
}

impl Named for v1::Speaker {
    const NAMES: &'static [(&'static str, Self)] =
        &[("customer", Self::Customer), ("agent", Self::Agent), ("bot", Self::Bot)];
    const EXPECTED: &'static str = "one of customer, agent, bot";
}

impl Named for v1::Kind {
    const NAMES: &'static [(&'static str, Self)] = &[("review", Self::Review), ("chat", Self::Chat)];
    const EXPECTED: &'static str = "one of review, chat";
}

impl Named for v1::Action {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("view", Self::View),
        ("cart", Self::Cart),
        ("favourite", Self::Favourite),
        ("purchase", Self::Purchase),
        ("impression", Self::Impression),
        ("remove", Self::Remove),
    ];
    const EXPECTED: &'static str = "one of view, cart, favourite, purchase, impression, remove";
}

impl Named for v1::ReasonKind {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("seen_together", Self::SeenTogether),
        ("seen_before", Self::SeenBefore),
        ("popular_in_category", Self::PopularInCategory),
        ("popular", Self::Popular),
    ];
    const EXPECTED: &'static str = "one of seen_together, seen_before, popular_in_category, popular";
}

impl Named for v1::AlertState {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("pending", Self::Pending),
        ("firing", Self::Firing),
        ("resolved", Self::Resolved),
        ("retracted", Self::Retracted),
    ];
    const EXPECTED: &'static str = "one of pending, firing, resolved, retracted";
}

impl Named for v1::Severity {
    const NAMES: &'static [(&'static str, Self)] =
        &[("info", Self::Info), ("warning", Self::Warning), ("critical", Self::Critical)];
    const EXPECTED: &'static str = "one of info, warning, critical";
}

/// `with` for an enum field. A value that a newer writer added reads as unspecified, and is left out of JSON.
pub(crate) struct Enum<T>(PhantomData<T>);

impl<T: Named> Enum<T> {
    pub(crate) fn is_absent(number: &i32) -> bool {
        T::name_of(*number).is_none()
    }

    pub(crate) fn serialize<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        T::name_of(*number).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        OptionalEnum::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
    }
}

/// `with` for an optional enum field.
pub(crate) struct OptionalEnum<T>(PhantomData<T>);

impl<T: Named> OptionalEnum<T> {
    pub(crate) fn is_absent(number: &Option<i32>) -> bool {
        number.and_then(T::name_of).is_none()
    }

    pub(crate) fn serialize<S: Serializer>(number: &Option<i32>, serializer: S) -> Result<S::Ok, S::Error> {
        number.and_then(T::name_of).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
        deserializer.deserialize_any(EnumVisitor::<T>(PhantomData))
    }
}

struct EnumVisitor<T>(PhantomData<T>);

impl<T: Named> Visitor<'_> for EnumVisitor<T> {
    type Value = Option<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let value = T::from_name(name).ok_or_else(|| E::custom(format_args!("expected {}", T::EXPECTED)))?;
        Ok(Some(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Times: RFC 3339 in UTC with milliseconds on output. On input RFC 3339 with any offset or ` UTC`, or a number of seconds
/// or of milliseconds since 1970, also as a string. Finer parts are cut off, so that JSON and Protobuf say the same.
pub(crate) mod time {
    use super::*;

    /// The first and the last millisecond that can be written: the years 1 to 9999, as far as every library goes.
    const MS_MIN: i64 = -62_135_596_800_000;
    const MS_MAX: i64 = 253_402_207_200_000;
    /// Numbers are told apart by size: seconds from 10^8 up to 10^11, milliseconds from there up to 10^14. Both mean
    /// 1973-03-03 to 5138-11-16. What lies outside (0, 20261122, microseconds) is refused, because a guess would lie.
    const SECONDS_MIN: f64 = 1e8;
    const SECONDS_END: f64 = 1e11;
    const MILLISECONDS_END: f64 = 1e14;

    pub(crate) const EXPECTED: &str = "a time (RFC 3339 with an offset, or seconds or milliseconds since 1970)";

    pub(crate) fn from_ms(ms: i64) -> Option<Timestamp> {
        if !(MS_MIN..=MS_MAX).contains(&ms) {
            return None;
        }
        Some(Timestamp { seconds: ms.div_euclid(1000), nanos: (ms.rem_euclid(1000) * 1_000_000) as i32 })
    }

    /// Milliseconds since 1970; `None` outside the years that can be written.
    pub(crate) fn to_ms(time: &Timestamp) -> Option<i64> {
        let ms = time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos).div_euclid(1_000_000))?;
        (MS_MIN..=MS_MAX).contains(&ms).then_some(ms)
    }

    pub(crate) fn from_number(number: f64) -> Option<Timestamp> {
        match number {
            n if (SECONDS_MIN..SECONDS_END).contains(&n) => from_ms((n * 1000.0).floor() as i64),
            n if (SECONDS_END..MILLISECONDS_END).contains(&n) => from_ms(n.floor() as i64),
            _ => None,
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return from_number(number);
        }
        // As databases export them: `2019-10-01 00:00:00 UTC`.
        let written = text.strip_suffix(" UTC").map(|time| format!("{time}Z"));
        let time: jiff::Timestamp = written.as_deref().unwrap_or(text).parse().ok()?;
        from_ms(i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()?)
    }

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(time) = time else { return serializer.serialize_none() };
        // Decoding refuses what lies outside; a time made by the program stops at the last one that can be written.
        let ms = to_ms(time).unwrap_or(if time.seconds < 0 { MS_MIN } else { MS_MAX });
        let written = written(ms);
        serializer.serialize_str(std::str::from_utf8(&written).map_err(serde::ser::Error::custom)?)
    }

    /// `2026-11-22T10:00:00.000Z`. An event has several times, and a formatter for all forms takes ten times as long as the
    /// digits of this one.
    pub(super) fn written(ms: i64) -> [u8; 24] {
        let (year, month, day) = date(ms.div_euclid(86_400_000));
        let of_day = ms.rem_euclid(86_400_000);
        let mut written = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, of_day / 3_600_000),
            (14, 2, of_day / 60_000 % 60),
            (17, 2, of_day / 1000 % 60),
            (20, 3, of_day % 1000),
        ];
        for (at, digits, mut number) in parts {
            for place in written[at..at + digits].iter_mut().rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        written
    }

    /// Year, month and day of a day since 1970, in the Gregorian calendar. Years that begin in March have their leap day at
    /// the end, and in eras of 400 of them all months lie alike.
    fn date(days: i64) -> (i64, i64, i64) {
        // From 0000-03-01 on.
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        (400 * era + year + i64::from(month <= 2), month, day)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }

    struct TimeVisitor;

    impl Visitor<'_> for TimeVisitor {
        type Value = Option<Timestamp>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(EXPECTED)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            from_text(text).map(Some).ok_or_else(|| E::custom(format_args!("expected {EXPECTED}")))
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
            from_number(number).map(Some).ok_or_else(|| E::custom(format_args!("expected {EXPECTED}")))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            self.visit_f64(number as f64)
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
            self.visit_f64(number as f64)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
}

/// Probabilities and scores: six decimals. They come from 32-bit floats, whose further digits mean nothing.
pub(crate) mod rounded {
    use super::*;

    pub(crate) fn round(number: f64) -> f64 {
        // Adding zero makes a negative zero a plain one.
        (number * 1e6).round() / 1e6 + 0.0
    }

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(round(*number))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

/// As [`rounded`], for an optional number.
pub(crate) mod rounded_option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(rounded::round).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

/// As [`rounded`], for a map.
pub(crate) mod rounded_map {
    use std::collections::BTreeMap;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(label, number)| (label, rounded::round(*number))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

/// A `google.protobuf.Struct` as a plain JSON object. Its numbers are doubles: an integer beyond 2^53 is kept as a string.
pub(crate) mod attributes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(object: &Option<Struct>, serializer: S) -> Result<S::Ok, S::Error> {
        match object {
            Some(object) => serializer.collect_map(object.fields.iter().map(|(name, value)| (name, Plain(value)))),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Struct>, D::Error> {
        match deserializer.deserialize_any(AnyValue)?.kind {
            Some(ValueKind::StructValue(object)) => Ok(Some(object)),
            Some(ValueKind::NullValue(_)) | None => Ok(None),
            _ => Err(D::Error::custom("expected an object")),
        }
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            None | Some(ValueKind::NullValue(_)) => serializer.serialize_unit(),
            Some(ValueKind::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(ValueKind::StringValue(value)) => serializer.serialize_str(value),
            Some(ValueKind::NumberValue(value)) if value.fract() == 0.0 && value.abs() <= INTEGER_EXACT_MAX as f64 => {
                serializer.serialize_i64(*value as i64)
            }
            Some(ValueKind::NumberValue(value)) => serializer.serialize_f64(*value),
            Some(ValueKind::ListValue(list)) => serializer.collect_seq(list.values.iter().map(Plain)),
            Some(ValueKind::StructValue(object)) => {
                serializer.collect_map(object.fields.iter().map(|(name, value)| (name, Plain(value))))
            }
        }
    }
}

/// Reads any JSON value as a `google.protobuf.Value`.
#[derive(Clone, Copy)]
pub(crate) struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(value(ValueKind::NullValue(0)))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(value(ValueKind::BoolValue(v)))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(value(ValueKind::NumberValue(v)))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(value(integer(v <= INTEGER_EXACT_MAX, v as f64, v)))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(value(integer(v.unsigned_abs() <= INTEGER_EXACT_MAX, v as f64, v)))
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Value, E> {
        self.visit_string(v.to_owned())
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(value(ValueKind::StringValue(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(value(ValueKind::ListValue(ListValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Struct::default();
        while let Some(name) = map.next_key()? {
            object.fields.insert(name, map.next_value_seed(self)?);
        }
        Ok(value(ValueKind::StructValue(object)))
    }
}

fn value(kind: ValueKind) -> Value {
    Value { kind: Some(kind) }
}

fn integer(exact: bool, double: f64, digits: impl fmt::Display) -> ValueKind {
    if exact { ValueKind::NumberValue(double) } else { ValueKind::StringValue(digits.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_and_written_in_one() {
        let check = |json: &str, expected: Option<&str>| {
            let read: Result<v1::Chat, _> = serde_json::from_str(&format!(r#"{{"event_time": {json}}}"#));
            let written = read.ok().map(|chat| serde_json::to_value(chat).unwrap()["event_time"].clone());
            assert_eq!(written, expected.map(serde_json::Value::from), "{json}");
        };
        let at = Some("2026-11-22T10:00:00.000Z");
        for json in ["\"2026-11-22T10:00:00Z\"", "\"2026-11-22T18:00:00+08:00\"", "1795341600", "1795341600000"] {
            check(json, at);
        }
        check("\"1795341600\"", at);
        check("\"1795341600000\"", at);
        check("1795341600.25", Some("2026-11-22T10:00:00.250Z"));
        check("\"2026-11-22T10:00:00.123999Z\"", Some("2026-11-22T10:00:00.123Z"));
        check("\"1969-12-31T23:59:59.9999Z\"", Some("1969-12-31T23:59:59.999Z"));
        for json in
            ["0", "20261122", "99999999", "1e14", "-5", "\"2026-11-22T10:00:00\"", "\"NaN\"", "\"\"", "[]", "true"]
        {
            check(json, None);
        }
    }

    #[test]
    fn times_are_written_as_a_calendar_library_writes_them() {
        let expected = |ms| format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap());
        let check = |ms: i64| assert_eq!(std::str::from_utf8(&time::written(ms)).unwrap(), expected(ms), "{ms}");
        // Every day of more than an era, at another time each.
        (-60_000..120_000_i64).for_each(|day| check(day * 86_400_000 + day.rem_euclid(7919) * 10_909));
        [-62_135_596_800_000, 253_402_207_200_000, -1, 0, 951_868_799_999].into_iter().for_each(check);
    }

    #[test]
    fn a_time_outside_the_years_that_can_be_written_is_written_as_the_nearest() {
        let written = |seconds| {
            let chat = v1::Chat { event_time: Some(Timestamp { seconds, nanos: 0 }), ..Default::default() };
            serde_json::to_value(chat).unwrap()["event_time"].as_str().unwrap().to_string()
        };
        assert_eq!(written(i64::MAX), "9999-12-30T22:00:00.000Z");
        assert_eq!(written(i64::MIN), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn attributes_keep_integers_that_a_double_cannot_hold() {
        let json =
            r#"{"attributes":{"a":9007199254740993,"b":-9007199254740993,"c":3,"d":0.5,"e":[null,true,{"f":"x"}]}}"#;
        let chat: v1::Chat = serde_json::from_str(json).unwrap();
        let written = serde_json::to_value(chat).unwrap();
        let expected = serde_json::json!({
            "a": "9007199254740993", "b": "-9007199254740993", "c": 3, "d": 0.5, "e": [null, true, {"f": "x"}]
        });
        assert_eq!(written["attributes"], expected);
    }

    #[test]
    fn probabilities_are_written_with_six_decimals() {
        let label = v1::Label { label: "x".into(), probability: f64::from(0.95_f32) };
        assert_eq!(serde_json::to_string(&label).unwrap(), r#"{"label":"x","probability":0.95}"#);
        let sentiment =
            v1::Sentiment { score: -1e-9, probabilities: [("a".into(), 1.0 / 3.0)].into(), ..Default::default() };
        assert_eq!(
            serde_json::to_string(&sentiment).unwrap(),
            r#"{"label":"","score":0.0,"probabilities":{"a":0.333333}}"#
        );
    }

    #[test]
    fn an_enum_value_that_is_not_known_is_refused_and_not_quoted() {
        let error = serde_json::from_str::<v1::Click>(r#"{"action": "13800138000"}"#).unwrap_err().to_string();
        assert!(error.starts_with("expected one of view, cart, favourite, purchase, impression, remove"), "{error}");
        assert!(!error.contains("13800138000"), "{error}");
        assert!(serde_json::from_str::<v1::Click>(r#"{"action": 4}"#).is_err(), "numbers are ours, not the writer's");
        let newer = v1::Click { action: 99, ..Default::default() };
        assert_eq!(serde_json::to_value(newer).unwrap().get("action"), None);
    }
}
