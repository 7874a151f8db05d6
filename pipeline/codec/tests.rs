//! JSON and Protobuf say the same, for every field of every message.

use bytes::Bytes;
use fastrand::Rng;
use proptest::prelude::*;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value as Dynamic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::json::{Straight, read_straight};
use super::schema::OURS;
use super::*;
use crate::config::OutputFormat;
use crate::event::v1;

/// Any message, made from its descriptor so that a field added to a schema is tested too. Values are those that JSON can
/// say exactly: milliseconds, six decimals for what is rounded, finite numbers.
fn any(message: &MessageDescriptor, rng: &mut Rng, every_field: bool) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if !every_field && rng.bool() {
            continue;
        }
        let count = if every_field { 1..3 } else { 0..3 };
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!("a map's kind is its entry") };
            let value = entry.map_entry_value_field();
            Dynamic::Map(
                (0..rng.usize(count)).map(|_| (MapKey::String(text(rng)), one(&value, rng, every_field))).collect(),
            )
        } else if field.is_list() {
            Dynamic::List((0..rng.usize(count)).map(|_| one(&field, rng, every_field)).collect())
        } else {
            one(&field, rng, every_field)
        };
        made.set_field(&field, value);
    }
    made
}

fn one(field: &FieldDescriptor, rng: &mut Rng, every_field: bool) -> Dynamic {
    match field.kind() {
        Kind::String => Dynamic::String(text(rng)),
        Kind::Bool => Dynamic::Bool(true),
        Kind::Double if ["score", "probability", "purchase_probability", "value"].contains(&field.name()) => {
            Dynamic::F64((rng.i32(-1_000_000..1_000_000) as f64) / 1e6)
        }
        Kind::Double => Dynamic::F64(f64::from_bits(rng.u64(..) & !(1 << 62))),
        Kind::Float => Dynamic::F32(f32::from_bits(rng.u32(..) & !(1 << 30))),
        Kind::Uint32 => Dynamic::U32(rng.u32(..)),
        Kind::Uint64 => Dynamic::U64(rng.u64(..)),
        Kind::Int32 => Dynamic::I32(rng.i32(..)),
        Kind::Int64 => Dynamic::I64(rng.i64(..)),
        Kind::Enum(of) => Dynamic::EnumNumber(rng.i32(1..of.values().len() as i32)),
        Kind::Message(of) => Dynamic::Message(match of.full_name() {
            "google.protobuf.Timestamp" => {
                let (seconds, nanos) = (rng.i64(-62_135_596_800..253_402_207_200), rng.i32(0..1000) * 1_000_000);
                transcode(&prost_types::Timestamp { seconds, nanos }, of)
            }
            "google.protobuf.Struct" => transcode(&attributes(rng, 3), of),
            _ => any(&of, rng, every_field),
        }),
        other => panic!("no values for {other:?}: add some"),
    }
}

fn transcode(message: &impl Message, of: MessageDescriptor) -> DynamicMessage {
    DynamicMessage::decode(of, message.encode_to_vec().as_slice()).unwrap()
}

fn attributes(rng: &mut Rng, depth: u32) -> prost_types::Struct {
    prost_types::Struct { fields: (0..rng.usize(1..4)).map(|_| (text(rng), attribute(rng, depth))).collect() }
}

fn attribute(rng: &mut Rng, depth: u32) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match rng.u32(0..if depth == 0 { 4 } else { 6 }) {
        0 => Kind::NullValue(0),
        1 => Kind::BoolValue(rng.bool()),
        2 => Kind::NumberValue(if rng.bool() { f64::from(rng.i32(..)) } else { rng.f64() }),
        3 => Kind::StringValue(text(rng)),
        4 => Kind::ListValue(prost_types::ListValue { values: (0..3).map(|_| attribute(rng, depth - 1)).collect() }),
        _ => Kind::StructValue(attributes(rng, depth - 1)),
    };
    prost_types::Value { kind: Some(kind) }
}

fn text(rng: &mut Rng) -> String {
    (0..rng.usize(1..8)).map(|_| if rng.bool() { rng.char('一'..'龥') } else { rng.char('\0'..='\u{2ff}') }).collect()
}

/// Protobuf → JSON → Protobuf → JSON gives the same messages and the same text.
fn survives<T>(seed: u64, every_field: bool)
where
    T: Message + Name + Default + PartialEq + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let descriptor = OURS.get_message_by_name(&T::full_name()).unwrap();
    let made = any(&descriptor, &mut Rng::with_seed(seed), every_field);
    let first = T::decode(made.encode_to_vec().as_slice()).unwrap();
    let json = serde_json::to_string(&first).unwrap();
    let read: T = serde_json::from_str(&json).unwrap();
    assert_eq!(first, read, "{json}");
    let again = T::decode(read.encode_to_vec().as_slice()).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), json);
    let Straight::Read(straight, rest) = read_straight::<T>(&json).unwrap() else { panic!("{json}") };
    assert_eq!((straight, rest.fields.len()), (first, 0));
    if every_field {
        let json: Value = serde_json::from_str(&json).unwrap();
        descriptor
            .fields()
            .for_each(|field| assert!(json.get(field.name()).is_some(), "{} is not in {json}", field.name()));
    }
}

proptest! {
    #[test]
    fn every_field_survives_json_and_protobuf(seed: u64, every_field: bool) {
        survives::<v1::Review>(seed, every_field);
        survives::<v1::Chat>(seed, every_field);
        survives::<v1::Click>(seed, every_field);
        survives::<v1::Scored>(seed, every_field);
        survives::<v1::ScoredClick>(seed, every_field);
        survives::<v1::Profile>(seed, every_field);
        survives::<v1::Recommendations>(seed, every_field);
    }

    #[test]
    fn the_straight_way_and_the_lenient_way_agree(seed: u64, every_field: bool) {
        let descriptor = OURS.get_message_by_name("groundswell.v1.Review").unwrap();
        let made = any(&descriptor, &mut Rng::with_seed(seed), every_field);
        let mut json = serde_json::to_value(v1::Review::decode(made.encode_to_vec().as_slice()).unwrap()).unwrap();
        json["text"] = Value::from("好");
        json["more"] = serde_json::json!([1, {"a": 9_007_199_254_740_993_u64}]);
        let straight = decode(json.to_string().into_bytes(), false);
        prop_assert!(matches!(straight, Ok(Decoded::Event(_))), "{straight:?}");
        prop_assert_eq!(straight, decode(json.to_string().into_bytes(), true));
    }

    #[test]
    fn no_payload_makes_a_decoder_panic(payload: Vec<u8>) {
        let _ = decode(payload, false);
    }
}

/// Decodes a review; with a mapping that maps a field to its own name where the lenient way is wanted.
fn decode(payload: Vec<u8>, lenient: bool) -> Result<Decoded, crate::event::Rejection> {
    use crate::config::{FieldSource, Input, InputFormat, InputKind};
    let own_name = ("text".to_string(), FieldSource::Pointer("/text".to_string()));
    let input = Input {
        name: "in".to_string(),
        kind: InputKind::Review,
        topics: Vec::new(),
        format: InputFormat::Json,
        fields: lenient.then_some(own_name).into_iter().collect(),
    };
    let origin = crate::event::Origin { topic: "in".into(), partition: 0, offset: 0 };
    let payload = Some(Bytes::from(payload));
    let record = crate::event::Record { origin, key: None, headers: Vec::new(), timestamp_ms: Some(0), payload };
    Decoder::new(&input, None).unwrap().decode(&record)
}

#[test]
fn samples_hold_every_field_and_survive() {
    fn check<T: Message + Name + Default + Serialize + DeserializeOwned>(sample: &str) {
        let sample: Value = serde_json::from_str(sample).unwrap();
        let message: T = serde_json::from_value(sample.clone()).unwrap();
        let again = T::decode(message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), sample);
        let descriptor = OURS.get_message_by_name(&T::full_name()).unwrap();
        descriptor
            .fields()
            .for_each(|field| assert!(sample.get(field.name()).is_some(), "{} is missing", field.name()));
    }
    check::<v1::Review>(include_str!("../../schemas/samples/review.json"));
    check::<v1::Chat>(include_str!("../../schemas/samples/chat.json"));
    check::<v1::Click>(include_str!("../../schemas/samples/click.json"));
    check::<v1::Scored>(include_str!("../../schemas/samples/scored.json"));
    check::<v1::ScoredClick>(include_str!("../../schemas/samples/scored-click.json"));
    check::<v1::Profile>(include_str!("../../schemas/samples/profile.json"));
    check::<v1::Recommendations>(include_str!("../../schemas/samples/recommendations.json"));
    check::<v1::Alert>(include_str!("../../schemas/samples/alert.json"));
    check::<v1::Trend>(include_str!("../../schemas/samples/trend.json"));
}

#[test]
fn scored_events_are_encoded_as_configured() {
    let scored: v1::Scored = serde_json::from_str(include_str!("../../schemas/samples/scored.json")).unwrap();
    let encode = |format, schema| Encoder::<v1::Scored>::new(format, schema).unwrap().encode(&scored);
    let json: Value = serde_json::from_slice(&encode(OutputFormat::Json, None)).unwrap();
    assert_eq!(json, serde_json::from_str::<Value>(include_str!("../../schemas/samples/scored.json")).unwrap());
    let plain = encode(OutputFormat::Protobuf, None);
    assert_eq!(v1::Scored::decode(plain.clone()).unwrap(), scored);
    let framed = encode(OutputFormat::ProtobufFramed, Some(258));
    assert_eq!((&framed[..6], &framed[6..]), (&[0, 0, 0, 1, 2, 0][..], &plain[..]));
    assert!(Encoder::<v1::Scored>::new(OutputFormat::ProtobufFramed, None).is_err());
}
