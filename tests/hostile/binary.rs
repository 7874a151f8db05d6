//! Bytes that should be a Protobuf message, bare or framed.

use groundswell::event::{Reason, v1};
use prost::Message;
use prost_types::Timestamp;

use super::Expected::{Dead, Scored};
use super::{AVRO, Case, Expected, FOREIGN, OURS, PLANTED, To, UNKNOWN};
use crate::support::framed;

const MALFORMED: Expected = Dead(Reason::Malformed);
const INVALID: Expected = Dead(Reason::Invalid);
const MISSING: Expected = Dead(Reason::Missing);

/// As our own writers would register it, with a field that we do not have.
pub const OUR_SCHEMA: &str = r#"
syntax = "proto3";
package groundswell.v1;
message Other { string a = 1; }
message Review {
  string event_id = 1;
  string text = 3;
  optional string product = 4;
  string newer = 99;
}
"#;

/// A shop's own: messages within messages, one that holds itself, and a text under our name.
pub const FOREIGN_SCHEMA: &str = r#"
syntax = "proto3";
package shop;
message Post { string text = 1; double stars = 2; Post reply = 3; bytes picture = 4; repeated int64 likes = 5; }
message Page { message Comment { string text = 1; message Deep { string text = 1; } } string title = 1; }
"#;

pub fn cases() -> Vec<Case> {
    [wire(), values(), cut_bare(), frames(), cut_framed()].into_iter().flatten().collect()
}

fn bare(name: &str, payload: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case::new(To::Protobuf, name, payload, expected)
}

fn good() -> v1::Review {
    v1::Review { text: "good".into(), ..v1::Review::default() }
}

/// Before any field is read.
fn wire() -> Vec<Case> {
    let behind = |bytes: &[u8]| [good().encode_to_vec(), bytes.to_vec()].concat();
    vec![
        bare("no bytes: a message without fields", "", MISSING),
        bare("JSON", "{\"text\": \"good\"}", MALFORMED),
        bare("gzip", b"\x1f\x8b\x08\0\0\0\0\0".as_slice(), MALFORMED),
        bare("a million zero bytes", vec![0; 1_000_000], MALFORMED),
        bare("a million bytes 0xff", vec![0xff; 1_000_000], MALFORMED),
        bare("a megabyte and more", vec![0x1a; 2_000_000], Dead(Reason::TooLarge)),
        bare("the field number 0", behind(&[0x02, 0x01, b'a']), MALFORMED),
        bare("the wire type 6", behind(&[0x1e, 0x00]), MALFORMED),
        bare("the wire type 7", behind(&[0x1f, 0x00]), MALFORMED),
        bare("a group never closed", behind(&[0xfb, 0x01]), MALFORMED),
        bare("a group closed and never opened", behind(&[0xfc, 0x01]), MALFORMED),
        bare("groups 1,000 deep", behind(&[0xfb, 0x01].repeat(1_000)), MALFORMED),
        bare("a tag of eleven bytes", behind(&[0xff; 11]), MALFORMED),
        bare("a tag beyond 32 bits", behind(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00]), MALFORMED),
        bare("a length beyond the end", behind(&[0x22, 0x7f, b'a']), MALFORMED),
        bare("a length of 2^63", behind(&[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), MALFORMED),
        bare("text as a number", [0x18, 0x05], MALFORMED),
        bare("rating as a string", behind(&[0x42, 0x01, b'5']), MALFORMED),
        bare("an unknown field", behind(&[0xfa, 0x06, 0x01, b'x']), Scored),
        bare("the largest field number", behind(&[0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01]), Scored),
        bare("text twice: the last counts", [good().encode_to_vec(), good().encode_to_vec()].concat(), Scored),
        bare("text that is no UTF-8", [0x1a, 0x03, b'a', 0xff, b'b'], MALFORMED),
        bare("Confluent framing where none is expected", framed(OURS, &[0], &good().encode_to_vec()), MALFORMED),
    ]
}

/// Fields that were read and hold what they cannot mean.
fn values() -> Vec<Case> {
    let timed = |seconds, nanos| v1::Review { event_time: Some(Timestamp { seconds, nanos }), ..good() };
    let rated = |rating| v1::Review { rating: Some(rating), ..good() };
    let texted = |text: &str| v1::Review { text: text.into(), ..good() };
    let row = |name, review: v1::Review, expected| bare(name, review.encode_to_vec(), expected);
    vec![
        row("no text", v1::Review { product: Some(PLANTED.into()), ..v1::Review::default() }, MISSING),
        row("white space", texted(" \t "), Dead(Reason::EmptyText)),
        row("NUL", texted("\0"), Dead(Reason::EmptyText)),
        row("the largest time", timed(i64::MAX, 0), INVALID),
        row("the smallest time", timed(i64::MIN, 0), INVALID),
        row("the largest nanoseconds", timed(0, i32::MAX), Scored),
        row("negative nanoseconds", timed(1_795_341_600, -1), Scored),
        row("the year 2199", timed(7_226_582_400, 0), Dead(Reason::Future)),
        row("rating NaN", rated(f64::NAN), INVALID),
        row("rating infinite", rated(f64::INFINITY), INVALID),
        row("rating 1e308", rated(1e308), Scored),
        bare("attributes 20 deep", deep(20), Scored),
        bare("attributes 1,000 deep", deep(1_000), MALFORMED),
        bare("attributes 10,000 deep", deep(10_000), MALFORMED),
    ]
}

/// A review whose attributes are lists within lists.
fn deep(levels: usize) -> Vec<u8> {
    // Value { list_value = 6: ListValue { values = 1: Value … } }
    let value = (0..levels).fold(Vec::new(), |inner, _| field(6, &field(1, &inner)));
    let entry = [field(1, b"a"), field(2, &value)].concat();
    [good().encode_to_vec(), field(10, &field(1, &entry))].concat()
}

/// A field of the wire type that carries its length.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    prost::encoding::encode_varint(number << 3 | 2, &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// At a field's end a cut cannot be seen: what was written by then counts.
fn cut_bare() -> Vec<Case> {
    let whole = v1::Review {
        event_id: "r-1".into(),
        event_time: Some(Timestamp { seconds: 1_795_341_600, nanos: 0 }),
        text: "good 好".into(),
        product: Some("p-7".into()),
        rating: Some(4.5),
        ..v1::Review::default()
    };
    let until_time = v1::Review { text: String::new(), product: None, rating: None, ..whole.clone() };
    let until_id = v1::Review { event_time: None, ..until_time.clone() };
    let until_text = v1::Review { text: whole.text.clone(), ..until_time.clone() };
    let until_product = v1::Review { product: whole.product.clone(), ..until_text.clone() };
    let missing = [0, until_id.encoded_len(), until_time.encoded_len()];
    let scored = [until_text.encoded_len(), until_product.encoded_len()];
    let bytes = whole.encode_to_vec();
    let cut = |at: usize| match at {
        at if missing.contains(&at) => MISSING,
        at if scored.contains(&at) => Scored,
        _ => MALFORMED,
    };
    (0..bytes.len()).map(|at| bare("cut off before each byte", &bytes[..at], cut(at))).collect()
}

fn frames() -> Vec<Case> {
    let text = |number: u64| field(number, b"good");
    let row = |name: &str, payload: Vec<u8>, expected| Case::new(To::Framed, name, payload, expected);
    // The zig-zag of n is 2n.
    let ours = |index: &[u8]| framed(OURS, index, &text(3));
    let foreign = |index: &[u8], message: &[u8]| framed(FOREIGN, index, message);
    let replies = (0..1_000).fold(text(1), |inner, _| [text(1), field(3, &inner)].concat());
    vec![
        row("no bytes", Vec::new(), MALFORMED),
        row("JSON", b"{\"text\": \"good\"}".to_vec(), MALFORMED),
        row("bare Protobuf", text(3), MALFORMED),
        row("the magic byte 1", [&[1], &ours(&[2, 2])[1..]].concat(), MALFORMED),
        row("the magic byte 0xff", [&[0xff], &ours(&[2, 2])[1..]].concat(), MALFORMED),
        row("an id that the registry does not know", framed(UNKNOWN, &[0], &text(3)), Dead(Reason::UnknownSchema)),
        row("an id of an Avro schema", framed(AVRO, &[0], &text(3)), Dead(Reason::UnknownSchema)),
        row("our message", ours(&[2, 2]), Scored),
        row("a message of ours that is no review", ours(&[0]), MISSING),
        row("an index beyond the file's messages", ours(&[2, 40]), MALFORMED),
        row("an index into a message without messages", ours(&[4, 2, 0]), MALFORMED),
        row("a negative index", ours(&[2, 3]), MALFORMED),
        row("a negative count", ours(&[1]), MALFORMED),
        row("an index of 33 steps", ours(&[&[66], [0; 33].as_slice()].concat()), MALFORMED),
        row("an index of 2^62 steps", ours(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]), MALFORMED),
        row("a count that never ends", ours(&[0xff; 11]), MALFORMED),
        row("a count of ten bytes, too large", ours(&[&[0xff; 9], [0x7f].as_slice()].concat()), MALFORMED),
        row("a step that never ends", ours(&[&[2], [0xff; 11].as_slice()].concat()), MALFORMED),
        row("our message that is none", framed(OURS, &[2, 2], &[0x1a, 0x7f]), MALFORMED),
        row("nothing behind the index", framed(OURS, &[2, 2], &[]), MISSING),
        row("a field that only the writer knows", framed(OURS, &[2, 2], &[text(3), text(99)].concat()), Scored),
        row("a stranger's message with a text", foreign(&[0], &text(1)), Scored),
        row("a stranger's message without one", foreign(&[2, 2], &text(1)), MISSING),
        row("a stranger's nested message", foreign(&[4, 2, 0], &text(1)), Scored),
        row("a stranger's message two levels down", foreign(&[6, 2, 0, 0], &text(1)), Scored),
        row("a stranger's message that is none", foreign(&[0], &[0x0a, 0x7f]), MALFORMED),
        row("a stranger's text that is no UTF-8", foreign(&[0], &[0x0a, 0x01, 0xff]), MALFORMED),
        row("a stranger's messages 1,000 deep", foreign(&[0], &replies), MALFORMED),
        row(
            "a stranger's number that is none",
            foreign(&[0], &[text(1), [&[0x11], f64::NAN.to_le_bytes().as_slice()].concat()].concat()),
            Scored,
        ),
        row("a stranger's bytes", foreign(&[0], &[text(1), field(4, &[0xff; 100])].concat()), Scored),
    ]
}

fn cut_framed() -> Vec<Case> {
    let whole = framed(OURS, &[2, 2], &field(3, b"good"));
    let cut = |at: usize| if at == 7 { MISSING } else { MALFORMED };
    (0..whole.len()).map(|at| Case::new(To::Framed, "cut off before each byte", &whole[..at], cut(at))).collect()
}
