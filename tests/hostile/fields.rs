//! Good JSON with a value that its field cannot take, a time that cannot be, a number beyond all numbers.

use groundswell::event::Reason;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Expected::{Dead, Scored};
use super::{Case, Expected, PLANTED, To, header};

const INVALID: Expected = Dead(Reason::Invalid);
const MALFORMED: Expected = Dead(Reason::Malformed);

pub fn cases() -> Vec<Case> {
    [types(), numbers(), times(), record_times(), chats(), mapped()].into_iter().flatten().collect()
}

/// A review with one field more.
fn review(field: &str, value: Value, expected: Expected) -> Case {
    let shown = if value.to_string().contains(PLANTED) { kind_of(&value).to_owned() } else { format!("`{value}`") };
    let mut event = json!({"text": "good"});
    event[field] = value;
    Case::new(To::Review, format!("`{field}` is {shown}"), event.to_string(), expected)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
        _ => "a word",
    }
}

fn types() -> Vec<Case> {
    let mut cases = Vec::new();
    for field in ["text", "event_id", "product", "brand", "channel", "user", "language"] {
        cases.push(review(field, json!([PLANTED]), INVALID));
        cases.push(review(field, json!({"a": PLANTED}), INVALID));
        cases.push(review(field, json!(true), INVALID));
        cases.push(review(field, json!(1.5), INVALID));
        cases.push(review(field, json!(12), Scored));
        cases.push(review(field, json!(null), if field == "text" { Dead(Reason::Missing) } else { Scored }));
    }
    for value in [json!([5]), json!({"stars": 5}), json!(true), json!(""), json!(PLANTED), json!("NaN")] {
        cases.push(review("rating", value, INVALID));
    }
    for value in [json!(PLANTED), json!([1]), json!(7), json!(false)] {
        cases.push(review("attributes", value, INVALID));
    }
    cases.extend([
        review("rating", json!(null), Scored),
        review("rating", json!("4.5"), Scored),
        review("attributes", json!(null), Scored),
        review("attributes", json!({}), Scored),
        review("event_id", json!(""), Scored),
        review("language", json!("not-a-language"), Scored),
    ]);
    cases
}

/// Written by hand: no library would.
fn numbers() -> Vec<Case> {
    let row = |name: &str, field: &str, number: &str, expected| {
        let payload = format!("{{\"text\": \"a\", \"{field}\": {number}}}");
        Case::new(To::Review, name, payload, expected)
    };
    let digits = "9".repeat(1_000);
    vec![
        row("`rating` is 1e400", "rating", "1e400", MALFORMED),
        row("`rating` is -1e400", "rating", "-1e400", MALFORMED),
        row("`rating` is 1e-400", "rating", "1e-400", Scored),
        row("`rating` is \"1e400\"", "rating", "\"1e400\"", INVALID),
        row("`rating` has 1,000 digits", "rating", &digits, MALFORMED),
        row("`rating` has 100,000 digits behind its point", "rating", &format!("0.{}", "9".repeat(100_000)), Scored),
        row("`rating` has an exponent of 1,000 digits", "rating", &format!("1e{digits}"), MALFORMED),
        row("`rating` is -0", "rating", "-0.0", Scored),
        row("`rating` is 1e308", "rating", "1e308", Scored),
        row("an unknown field is 1e400", "x", "1e400", MALFORMED),
        row("an unknown field has 1,000 digits", "x", &digits, MALFORMED),
        row("`user` is 2^64", "user", "18446744073709551616", INVALID),
        row("`user` is 2^64 - 1", "user", "18446744073709551615", Scored),
        row("`user` is -2^63", "user", "-9223372036854775808", Scored),
        row("`event_time` is 1e400", "event_time", "1e400", MALFORMED),
    ]
}

fn times() -> Vec<Case> {
    let future = Dead(Reason::Future);
    let ahead = |hours| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
    let named = |name: &str, value: Value, expected| {
        let payload = json!({"text": "a", "event_time": value}).to_string();
        Case::new(To::Review, format!("`event_time` is {name}"), payload, expected)
    };
    // Times that follow the clock are written with a fixed width, so that the table's bytes stay the same.
    let ms_ahead = json!(Timestamp::now().as_millisecond() + 2 * 3_600_000);
    let mut cases = vec![
        named("two hours ahead", json!(ahead(2)[..19].to_owned() + "Z"), future),
        named("two hours ahead, in milliseconds", ms_ahead, future),
        named("an array", json!([PLANTED]), INVALID),
        named("an object", json!({"a": PLANTED}), INVALID),
        named("a word", json!(PLANTED), INVALID),
        named("100,000 digits", json!("1".repeat(100_000)), INVALID),
        named("100,000 letters", json!("x".repeat(100_000)), INVALID),
    ];
    let rows = [
        (json!("2199-01-01T00:00:00Z"), future),
        (json!("9999-12-30T00:00:00Z"), future),
        (json!("10000-01-01T00:00:00Z"), INVALID),
        (json!("0000-01-01T00:00:00Z"), INVALID),
        (json!("0001-01-01T00:00:00Z"), Scored),
        (json!("1970-01-01T00:00:00Z"), Scored),
        (json!("2026-02-30T00:00:00Z"), INVALID),
        (json!("2026-11-22T25:00:00Z"), INVALID),
        (json!("2026-11-22T10:00:00"), INVALID),
        (json!("2026-11-22 10:00:00 UTC"), Scored),
        (json!("2026-11-22 10:00:00 CET"), INVALID),
        (json!("2026-11-22T10:00:00Z UTC"), INVALID),
        (json!(" UTC"), INVALID),
        (json!("22.11.2026"), INVALID),
        (json!("2016-12-31T23:59:60Z"), Scored),
        (json!("2026-11-22T10:00:00+99:99"), INVALID),
        (json!(""), Scored),
        (json!(null), Scored),
        (json!(true), INVALID),
        (json!(0), INVALID),
        (json!(-1), INVALID),
        (json!(20261122), INVALID),
        (json!(1_795_341_600_000_000_u64), INVALID),
        (json!(u64::MAX), INVALID),
        (json!(1e300), INVALID),
        (json!("NaN"), INVALID),
        (json!("inf"), INVALID),
        (json!("-1e300"), INVALID),
    ];
    cases.extend(rows.map(|(value, expected)| review("event_time", value, expected)));
    cases
}

/// The record's own time, where the event has none.
fn record_times() -> Vec<Case> {
    let rows = [
        ("the record has no time either", None, Dead(Reason::Missing)),
        ("the record's time is before 1970", Some(-5), Scored),
        ("the record's time is the largest number", Some(i64::MAX), INVALID),
        ("the record's time is the smallest number", Some(i64::MIN), INVALID),
        ("the record's time is in the year 5138", Some(99_999_999_999_999), Dead(Reason::Future)),
    ];
    rows.map(|(name, at, expected)| {
        Case::new(To::Review, name, "{\"text\": \"a\"}", expected).with(|record| record.timestamp_ms = at)
    })
    .into()
}

fn chats() -> Vec<Case> {
    let row = |field: &str, value: Value, expected| Case { to: To::Chat, ..review(field, value, expected) };
    let cases = vec![
        row("speaker", json!("manager"), INVALID),
        row("speaker", json!(PLANTED), INVALID),
        row("speaker", json!("unspecified"), INVALID),
        row("speaker", json!(1), INVALID),
        row("speaker", json!(true), INVALID),
        row("speaker", json!(["agent"]), INVALID),
        row("speaker", json!(" Agent "), Scored),
        row("speaker", json!(""), Scored),
        row("speaker", json!(null), Scored),
        row("turn", json!(-1), INVALID),
        row("turn", json!(1.5), INVALID),
        row("turn", json!(3.0), Scored),
        row("turn", json!("3"), Scored),
        row("turn", json!(PLANTED), INVALID),
        row("turn", json!(1e30), INVALID),
        row("turn", json!(u64::MAX), Scored),
        row("turn", json!("18446744073709551616"), INVALID),
        row("turn", json!([PLANTED]), INVALID),
        row("conversation", json!({"id": PLANTED}), INVALID),
        row("conversation", json!(12), Scored),
        row("rating", json!("no chat has one"), Scored),
    ];
    cases.into_iter().map(|case| case.with(|record| record.origin.topic = To::Chat.topic().into())).collect()
}

fn mapped() -> Vec<Case> {
    let row = |name: &str, value: Value, expected| Case::new(To::Mapped, name, value.to_string(), expected);
    let good = || row("", json!({"comment": {"body": "good"}}), Scored);
    let named = |name: &str, expected, case: Case| Case { name: name.to_owned(), expected, ..case };
    vec![
        row("what the pointer passes is a string", json!({"comment": "good"}), Dead(Reason::Missing)),
        row("what the pointer passes is an array", json!({"comment": ["good"]}), Dead(Reason::Missing)),
        row("what the pointer passes is null", json!({"comment": null}), Dead(Reason::Missing)),
        row("the field stands under our name instead", json!({"text": "good"}), Dead(Reason::Missing)),
        row("the text is an object", json!({"comment": {"body": {"a": PLANTED}}}), INVALID),
        row("an item that is not there", json!({"comment": {"body": "a"}, "items": []}), Scored),
        row("an item that is a number", json!({"comment": {"body": "a"}, "items": [1]}), Scored),
        row("an item of the wrong type", json!({"comment": {"body": "a"}, "items": [{"brand": [PLANTED]}]}), INVALID),
        row("an array on top", json!([{"comment": {"body": "a"}}]), MALFORMED),
        named(
            "a key that is no UTF-8",
            INVALID,
            good().with(|record| record.key = Some(b"planted@secret.example\xff".as_slice().into())),
        ),
        named("an empty key", Scored, good().with(|record| record.key = Some(b"".as_slice().into()))),
        named("a key of a megabyte", Scored, good().with(|record| record.key = Some(vec![b'k'; 1_000_000].into()))),
        named(
            "a header that is no UTF-8",
            INVALID,
            good().with(|record| record.headers = vec![header("user", Some(b"\xfe\xff"))]),
        ),
        named("a header without a value", Scored, good().with(|record| record.headers = vec![header("user", None)])),
        named(
            "a header that is no number",
            INVALID,
            good().with(|record| record.headers = vec![header("stars", Some(PLANTED.as_bytes()))]),
        ),
        named(
            "the same header twice: the first counts",
            Scored,
            good().with(|r| r.headers = vec![header("stars", Some(b"5")), header("stars", Some(b"?"))]),
        ),
        named(
            "10,000 headers",
            Scored,
            good().with(|record| record.headers = (0..10_000).map(|_| header("x", Some(b"y"))).collect()),
        ),
    ]
}
