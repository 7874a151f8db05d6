use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use prost_reflect::DynamicMessage;
use serde_json::json;

use super::super::schema::WriterSchema;
use super::*;
use crate::config::FieldSource;
use crate::event::{Header, Origin, Record};

const TIME_MS: i64 = 1_795_341_600_000;
const TIME: &str = "2026-11-22T10:00:00.000Z";

fn input(kind: impl Into<InputKind>, format: InputFormat, fields: &[(&str, FieldSource)]) -> Input {
    let fields = fields.iter().map(|(name, source)| (name.to_string(), source.clone())).collect::<BTreeMap<_, _>>();
    Input { name: "in".to_string(), kind: kind.into(), topics: vec!["in".to_string()], format, fields }
}

fn record(payload: impl Into<Vec<u8>>) -> RawRecord {
    Record {
        origin: Origin { topic: "in".into(), partition: 3, offset: 42 },
        key: Some(Bytes::from_static(b"key-1")),
        headers: vec![
            Header { name: "channel".to_string(), value: Some(Bytes::from_static(b"app")) },
            Header { name: "bad".to_string(), value: Some(Bytes::from_static(&[0xff])) },
            Header { name: "empty".to_string(), value: None },
        ],
        timestamp_ms: Some(TIME_MS),
        payload: Some(Bytes::from(payload.into())),
    }
}

/// The event as JSON, or the rejection as it is shown.
fn outcome(decoder: &Decoder, record: &RawRecord) -> Result<Value, String> {
    match decoder.decode(record) {
        Ok(Decoded::Event(TextEvent::Review(review))) => Ok(serde_json::to_value(review).unwrap()),
        Ok(Decoded::Event(TextEvent::Chat(chat))) => Ok(serde_json::to_value(chat).unwrap()),
        Ok(Decoded::NeedsSchema(id)) => Ok(json!({"needs": id})),
        Err(rejection) => Err(rejection.to_string()),
    }
}

fn pointer(text: &str) -> FieldSource {
    FieldSource::Pointer(text.to_string())
}

fn shop_fields() -> Vec<(&'static str, FieldSource)> {
    vec![
        ("event_id", pointer("/id")),
        ("text", pointer("/comment/body")),
        ("rating", pointer("/comment/stars")),
        ("product", pointer("/sku")),
        ("user", pointer("/buyer/id")),
        ("language", pointer("/comment/lang")),
        ("event_time", pointer("/created")),
        ("brand", FieldSource::Constant("b-1".to_string())),
        ("channel", FieldSource::Header("channel".to_string())),
    ]
}

#[test]
fn json_without_a_mapping() {
    let decoder = Decoder::new(&input(Kind::Review, InputFormat::Json, &[]), None).unwrap();
    let check = |payload: &str, expected: Result<Value, &str>| {
        assert_eq!(outcome(&decoder, &record(payload)), expected.map_err(str::to_string), "{payload}");
    };
    let event = |rest: Value| {
        let mut event = json!({"event_id": "in/3/42", "event_time": TIME, "text": "好"});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Ok(event)
    };
    check(r#"{"text": "好"}"#, event(json!({})));
    check("\u{feff} {\"text\": \"好\"}\n", event(json!({})));
    check(r#"{"text": "\u597d", "event_id": null, "event_time": null, "user": null}"#, event(json!({})));
    check(r#"{"text": "好", "event_id": "", "event_time": ""}"#, event(json!({})));
    check(r#"{"text": "a", "text": "好"}"#, event(json!({})));
    check(r#"{"text": "好", "rating": "4", "user": 12}"#, event(json!({"rating": 4.0, "user": "12"})));
    check(r#"{"text": "好", "rating": 4.35}"#, event(json!({"rating": 4.35})));
    check(
        r#"{"text": "好", "x": {"y": [1, null]}, "attributes": {"x": 2}, "z": 9007199254740993}"#,
        event(json!({"attributes": {"x": 2, "z": "9007199254740993"}})),
    );
    check(
        r#"{"text": "好", "rating": "4", "x": [1], "attributes": {}}"#,
        event(json!({"rating": 4.0, "attributes": {"x": [1]}})),
    );

    check("{}", Err("missing: text is required: missing or empty at /text"));
    check(r#"{"text": ""}"#, Err("missing: text is required: missing or empty at /text"));
    check(r#"{"text": null}"#, Err("missing: text is required: missing or empty at /text"));
    check(
        r#"{"text": {"secret": 1}}"#,
        Err("invalid: text: expected a string or an integer, found an object at /text"),
    );
    check(
        r#"{"text": "好", "rating": "13800138000x"}"#,
        Err("invalid: rating: expected a number, found a string at /rating"),
    );
    check(
        r#"{"text": "好", "attributes": 3}"#,
        Err("invalid: attributes: expected an object, found an integer at /attributes"),
    );
    check("[]", Err("malformed: expected an object, found an array"));
    check("\"secret\"", Err("malformed: expected an object, found a string"));
    check("", Err("malformed: not JSON: EOF while parsing a value at line 1 column 0"));
    check(r#"{"text": "好"} x"#, Err("malformed: not JSON: trailing characters at line 1 column 17"));
    check(r#"{"text": "好""#, Err("malformed: not JSON: EOF while parsing an object at line 1 column 14"));
    check(r#"{"text": "好", "rating": NaN}"#, Err("malformed: not JSON: expected value at line 1 column 27"));
    check(r#"{"text": "好", "rating": 1e999}"#, Err("malformed: not JSON: number out of range at line 1 column 31"));
    check(r#"{"text": "\ud800"}"#, Err("malformed: not JSON: unexpected end of hex escape at line 1 column 17"));
    check(
        "{\"text\": \"a\nb\"}",
        Err("malformed: not JSON: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"),
    );
    let deep = format!(r#"{{"text": "好", "x": {}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    check(&deep, Err("malformed: not JSON: recursion limit exceeded at line 1 column 148"));
    assert_eq!(
        outcome(&decoder, &record(*b"{\"text\": \"\xff\"}")),
        Err("malformed: expected UTF-8, found other bytes at byte 10 of 13".to_string())
    );
    let tombstone = Record { payload: None, ..record("") };
    assert_eq!(outcome(&decoder, &tombstone), Err("tombstone: the record has no payload".to_string()));
}

#[test]
fn times_come_from_the_event_or_from_the_record() {
    let decoder = Decoder::new(&input(Kind::Chat, InputFormat::Json, &[]), None).unwrap();
    let check = |payload: &str, timestamp_ms: Option<i64>, expected: Result<&str, &str>| {
        let found = outcome(&decoder, &Record { timestamp_ms, ..record(payload) });
        let found = found.map(|event| event["event_time"].as_str().unwrap().to_string());
        assert_eq!(found, expected.map(str::to_string).map_err(str::to_string), "{payload}");
    };
    check(r#"{"text": "a", "event_time": "2026-11-22T18:00:00.5+08:00"}"#, None, Ok("2026-11-22T10:00:00.500Z"));
    check(r#"{"text": "a"}"#, Some(1_234), Ok("1970-01-01T00:00:01.234Z"));
    check(r#"{"text": "a"}"#, None, Err("missing: event_time is missing, and the record has no timestamp either"));
    let range = "invalid: the record's timestamp: expected a time in the years 1 to 9999";
    check(r#"{"text": "a"}"#, Some(i64::MAX), Err(range));
    check(r#"{"text": "a"}"#, Some(i64::MIN), Err(range));
    let expected = crate::event::json::time::EXPECTED;
    for (json, found) in [("0", "an integer"), ("\"2026-11-22 10:00:00\"", "a string"), ("{}", "an object")] {
        let message = format!("invalid: event_time: expected {expected}, found {found} at /event_time");
        check(&format!(r#"{{"text": "a", "event_time": {json}}}"#), Some(0), Err(&message));
    }
}

#[test]
fn json_with_a_mapping() {
    let decoder = Decoder::new(&input(Kind::Review, InputFormat::Json, &shop_fields()), None).unwrap();
    let check = |payload: &str, expected: Result<Value, &str>| {
        assert_eq!(outcome(&decoder, &record(payload)), expected.map_err(str::to_string), "{payload}");
    };
    check(
        include_str!("../../../schemas/samples/shop-comment.json"),
        Ok(json!({
            "event_id": "88213", "event_time": TIME, "text": "屏幕很清楚，就是有点重。", "product": "p-7", "brand": "b-1",
            "channel": "app", "user": "4217", "rating": 4.0, "language": "zh", "attributes": {"buyer": {"level": "gold"}}
        })),
    );
    check(
        r#"{"comment": {"body": "好"}, "text": "theirs"}"#,
        Ok(json!({
            "event_id": "in/3/42", "event_time": TIME, "text": "好", "brand": "b-1", "channel": "app",
            "attributes": {"text": "theirs"}
        })),
    );
    check(r#"{"comment": "好"}"#, Err("missing: text is required: missing or empty at /comment/body"));
    check(
        r#"{"comment": {"body": ["好"]}}"#,
        Err("invalid: text: expected a string or an integer, found an array at /comment/body"),
    );
    check("null", Err("malformed: expected an object, found null"));
}

#[test]
fn keys_headers_and_timestamps_fill_fields() {
    let check = |fields: &[(&str, FieldSource)], expected: Result<Value, &str>| {
        let decoder = Decoder::new(&input(Kind::Chat, InputFormat::Json, fields), None).unwrap();
        let payload = r#"{"text": "a", "event_time": 1}"#;
        let expected = expected.map(|rest| {
            let mut event =
                json!({"event_id": "in/3/42", "event_time": TIME, "text": "a", "attributes": {"event_time": 1}});
            event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            event
        });
        assert_eq!(outcome(&decoder, &record(payload)), expected.map_err(str::to_string), "{fields:?}");
    };
    let header = |name: &str| FieldSource::Header(name.to_string());
    let time = ("event_time", FieldSource::Timestamp);
    check(&[time.clone(), ("user", FieldSource::Key)], Ok(json!({"user": "key-1"})));
    check(&[time.clone(), ("channel", header("channel")), ("brand", header("none"))], Ok(json!({"channel": "app"})));
    check(&[time.clone(), ("brand", header("empty"))], Ok(json!({})));
    check(&[time.clone(), ("speaker", FieldSource::Constant("Bot".to_string()))], Ok(json!({"speaker": "bot"})));
    check(
        &[time.clone(), ("user", header("bad"))],
        Err("invalid: user: expected UTF-8, found other bytes in the header bad"),
    );
    check(
        &[time.clone(), ("turn", FieldSource::Key)],
        Err("invalid: turn: expected a whole number from 0, found a string in the key"),
    );
    check(&[time, ("text", header("none"))], Err("missing: text is required: missing or empty in the header none"));
}

#[test]
fn a_mapping_that_cannot_be_is_refused_at_start() {
    let check = |name: &str, source: FieldSource, expected: &str| {
        let error = Decoder::new(&input(Kind::Review, InputFormat::Json, &[(name, source)]), None).unwrap_err();
        assert_eq!((error.fault, error.message.as_str()), (Fault::Config, expected));
    };
    check("turn", pointer("/t"), "inputs.in.fields.turn: no such field");
    check("text", pointer("t"), "inputs.in.fields.text: expected a JSON pointer that starts with `/`, found `t`");
    check("rating", FieldSource::Constant("high".into()), "inputs.in.fields.rating: expected a number, found `high`");
    check("text", FieldSource::Timestamp, "inputs.in.fields.text: the record's timestamp can fill event_time only");
    check("attributes", FieldSource::Key, "inputs.in.fields.attributes: only a JSON pointer can name an object");
    let framed = Decoder::new(&input(Kind::Review, InputFormat::ProtobufFramed, &[]), None).unwrap_err();
    assert_eq!(framed.fault, Fault::Config);
}

#[test]
fn protobuf() {
    let check = |fields: &[(&str, FieldSource)], payload: Vec<u8>, expected: Result<Value, &str>| {
        let decoder = Decoder::new(&input(Kind::Chat, InputFormat::Protobuf, fields), None).unwrap();
        assert_eq!(outcome(&decoder, &record(payload)), expected.map_err(str::to_string));
    };
    let event = json!({"event_id": "in/3/42", "event_time": TIME, "text": "a"});
    let chat = v1::Chat { text: "a".to_string(), ..Default::default() };
    check(&[], chat.encode_to_vec(), Ok(event.clone()));
    // A field and an enum value that a newer writer added.
    let newer = v1::Chat { speaker: 99, ..chat.clone() };
    check(&[], [newer.encode_to_vec(), vec![0xfa, 0x7f, 1, b'x']].concat(), Ok(event));
    let constant = FieldSource::Constant("web".to_string());
    let with_channel = json!({"event_id": "in/3/42", "event_time": TIME, "text": "a", "channel": "web"});
    check(&[("channel", constant)], chat.encode_to_vec(), Ok(with_channel));
    check(&[], vec![], Err("missing: text is required: missing or empty at /text"));
    let far = prost_types::Timestamp { seconds: i64::MAX, nanos: -1 };
    let far = v1::Chat { event_time: Some(far), ..chat };
    check(&[], far.encode_to_vec(), Err("invalid: event_time: expected a time in the years 1 to 9999"));
    for bytes in [&b"{\"text\": \"13800138000\"}"[..], &[0x32, 5, b'a'], &[0x32, 1, 0xff], &[0xff; 20]] {
        let decoder = Decoder::new(&input(Kind::Chat, InputFormat::Protobuf, &[]), None).unwrap();
        let refused = outcome(&decoder, &record(bytes)).unwrap_err();
        assert!(refused.starts_with("malformed: not a Chat: "), "{refused}");
        assert!(!refused.contains("13800138000"), "{refused}");
    }
    let nan = v1::Review { text: "a".to_string(), rating: Some(f64::NAN), ..Default::default() };
    let decoder = Decoder::new(&input(Kind::Review, InputFormat::Protobuf, &[]), None).unwrap();
    let refused = outcome(&decoder, &record(nan.encode_to_vec()));
    assert_eq!(refused, Err("invalid: rating: expected a finite number, found NaN".to_string()));
}

/// A writer's schema, the message that is written, and its values as JSON.
fn framed(id: u32, schema: &str, path: &[usize], values: Value) -> (Arc<Schemas>, Vec<u8>) {
    let schema = WriterSchema::compile(schema, HashMap::new()).unwrap();
    let message = DynamicMessage::deserialize(schema.message(path).unwrap(), values).unwrap();
    let schemas = Arc::new(Schemas::new(4, Duration::from_secs(1)));
    schemas.insert(id, Arc::new(schema));
    (schemas, [framing::prefix(id, path), message.encode_to_vec()].concat())
}

#[test]
fn a_framed_message_is_read_by_its_writers_schema() {
    let check = |schema: &str, path: &[usize], values: Value, fields: &[(&str, FieldSource)], expected: Value| {
        let (schemas, payload) = framed(7, schema, path, values);
        let decoder = Decoder::new(&input(Kind::Review, InputFormat::ProtobufFramed, fields), Some(schemas)).unwrap();
        assert_eq!(outcome(&decoder, &record(payload)), Ok(expected), "{schema}");
    };
    let fewer = "syntax = \"proto3\"; package groundswell.v1; message Review { string text = 3; }";
    check(fewer, &[0], json!({"text": "好"}), &[], json!({"event_id": "in/3/42", "event_time": TIME, "text": "好"}));
    let more = "syntax = \"proto3\"; package groundswell.v1; message Other {}
        message Review { string text = 3; optional double rating = 8; repeated string tags = 99; }";
    check(
        more,
        &[1],
        json!({"text": "好", "rating": 2, "tags": ["x"]}),
        &[],
        json!({"event_id": "in/3/42", "event_time": TIME, "text": "好", "rating": 2.0}),
    );
    let foreign = "syntax = \"proto3\"; package shop; message Envelope {
        message Buyer { int64 id = 1; string level = 2; }
        message Comment { string body = 1; int32 stars = 2; string lang = 3; }
        message Posted { int64 id = 1; Comment comment = 2; Buyer buyer = 3; string sku = 4; int64 created = 5; } }";
    let sample: Value = serde_json::from_str(include_str!("../../../schemas/samples/shop-comment.json")).unwrap();
    check(
        foreign,
        &[0, 2],
        sample,
        &shop_fields(),
        json!({
            "event_id": "88213", "event_time": TIME, "text": "屏幕很清楚，就是有点重。", "product": "p-7", "brand": "b-1",
            "channel": "app", "user": "4217", "rating": 4.0, "language": "zh", "attributes": {"buyer": {"level": "gold"}}
        }),
    );
    let by_name = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\";
        message Post { string text = 9; google.protobuf.Timestamp event_time = 1; map<string, int32> counts = 2; }";
    check(
        by_name,
        &[0],
        json!({"text": "好", "eventTime": TIME, "counts": {"a": 1}}),
        &[],
        json!({"event_id": "in/3/42", "event_time": TIME, "text": "好", "attributes": {"counts": {"a": 1}}}),
    );
    // Files that a serialiser carries itself: no registry names them as references.
    let carried = "syntax = \"proto3\"; import \"confluent/meta.proto\"; import \"confluent/type/decimal.proto\";
        import \"google/type/money.proto\";
        message Order { option (confluent.message_meta) = { doc: \"an order\" };
        string text = 1 [(confluent.field_meta) = { doc: \"what was said\", tags: \"PII\" }];
        google.type.Money paid = 2; confluent.type.Decimal tax = 3; }";
    check(
        carried,
        &[0],
        json!({"text": "好", "paid": {"currencyCode": "CNY", "units": 7}, "tax": {"scale": 2}}),
        &[],
        json!({
            "event_id": "in/3/42", "event_time": TIME, "text": "好",
            "attributes": {"paid": {"currency_code": "CNY", "units": 7}, "tax": {"scale": 2}}
        }),
    );
}

#[test]
fn a_framed_message_that_cannot_be_read_says_why() {
    let schema = "syntax = \"proto3\"; message Post { string text = 1; Post post = 2; }";
    let (schemas, good) = framed(7, schema, &[0], json!({"text": "好"}));
    let decoder = Decoder::new(&input(Kind::Review, InputFormat::ProtobufFramed, &[]), Some(schemas)).unwrap();
    let check = |payload: Vec<u8>, expected: Result<Value, &str>| {
        assert_eq!(outcome(&decoder, &record(payload)), expected.map_err(str::to_string));
    };
    check([vec![0, 0, 0, 0, 8], good[5..].to_vec()].concat(), Ok(json!({"needs": 8})));
    check(
        [vec![0, 0, 0, 0, 7, 2, 6], good[6..].to_vec()].concat(),
        Err("malformed: schema 7 has no message at index [3]"),
    );
    check(vec![0, 0, 0, 0, 7, 0], Err("missing: text is required: missing or empty at /text"));
    check(b"{\"text\": \"a\"}".to_vec(), Err("malformed: expected magic byte 0, found 123"));
    for cut in 0..good.len() - 1 {
        let refused = outcome(&decoder, &record(&good[..cut])).unwrap_err();
        assert!(refused.starts_with("malformed: ") || refused.starts_with("missing: "), "{refused}");
    }
    // Each level is a field 2 that holds the next: deeper than prost follows.
    let deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut outer = vec![0x12];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        [outer, inner].concat()
    });
    let refused = outcome(&decoder, &record([vec![0, 0, 0, 0, 7, 0], deep].concat())).unwrap_err();
    assert!(refused.starts_with("malformed: not a Post: "), "{refused}");
}

/// A click as JSON, or the rejection as it is shown.
fn clicked(decoder: &ClickDecoder, record: &RawRecord) -> Result<Value, String> {
    match decoder.decode(record) {
        Ok(Decoded::Event(click)) => Ok(serde_json::to_value(click).unwrap()),
        Ok(Decoded::NeedsSchema(id)) => Ok(json!({"needs": id})),
        Err(rejection) => Err(rejection.to_string()),
    }
}

#[test]
fn a_click_is_the_same_in_every_format() {
    let fields = vec![
        ("user", FieldSource::Key),
        ("item", pointer("/sku")),
        ("category", pointer("/cat/id")),
        ("event_time", pointer("/ts")),
        ("brand", FieldSource::Constant("b-1".to_string())),
    ];
    let decoder = ClickDecoder::new(&input(InputKind::Click, InputFormat::Json, &fields), None).unwrap();
    let shop =
        r#"{"sku": 17, "cat": {"id": "c-1"}, "ts": 1795341600, "action": "Purchase", "price": "9.5", "page": "x"}"#;
    let expected = json!({
        "event_id": "in/3/42", "event_time": TIME, "user": "key-1", "item": "17", "category": "c-1", "brand": "b-1",
        "price": 9.5, "action": "purchase", "attributes": {"page": "x"}
    });
    assert_eq!(clicked(&decoder, &record(shop)), Ok(expected.clone()));

    let ours: v1::Click = serde_json::from_value(expected.clone()).unwrap();
    let decoder = ClickDecoder::new(&input(InputKind::Click, InputFormat::Protobuf, &[]), None).unwrap();
    assert_eq!(clicked(&decoder, &record(ours.encode_to_vec())), Ok(expected.clone()));

    let schemas = Arc::new(Schemas::new(8, Duration::from_secs(60)));
    let framed = input(InputKind::Click, InputFormat::ProtobufFramed, &[]);
    let decoder = ClickDecoder::new(&framed, Some(schemas.clone())).unwrap();
    let payload = [&[0, 0, 0, 0, 9, 0][..], &ours.encode_to_vec()].concat();
    assert_eq!(clicked(&decoder, &record(payload)), Ok(json!({"needs": 9})));
}

#[test]
fn what_makes_no_click_is_refused() {
    let decoder = ClickDecoder::new(&input(InputKind::Click, InputFormat::Protobuf, &[]), None).unwrap();
    let whole = || v1::Click { user: "u".into(), item: "p".into(), action: 1, ..v1::Click::default() };
    let check = |click: v1::Click, expected: &str| {
        assert_eq!(clicked(&decoder, &record(click.encode_to_vec())), Err(expected.to_string()), "{click:?}");
    };
    check(v1::Click { user: String::new(), ..whole() }, "missing: user is required: missing or empty at /user");
    check(v1::Click { item: String::new(), ..whole() }, "missing: item is required: missing or empty at /item");
    check(v1::Click { action: 0, ..whole() }, "missing: action is required: missing or empty at /action");
    check(
        v1::Click { action: 99, ..whole() },
        "invalid: action: expected one of view, cart, favourite, purchase, impression, remove, found number 99",
    );
    check(
        v1::Click { price: Some(f64::NAN), ..whole() },
        "invalid: price: expected a number from 0 to 1e12, found NaN",
    );
}
