//! Bytes that should be a JSON object and are not, or not quite.

use groundswell::event::Reason;

use super::Expected::{Dead, Scored};
use super::{Case, Expected, PAYLOAD_MAX, To};

const MALFORMED: Expected = Dead(Reason::Malformed);

pub fn cases() -> Vec<Case> {
    [syntax(), other_formats(), encodings(), escapes(), depths(), sizes()].into_iter().flatten().collect()
}

fn rows(rows: Vec<(&str, Vec<u8>, Expected)>) -> Vec<Case> {
    rows.into_iter().map(|(name, payload, expected)| Case::new(To::Review, name, payload, expected)).collect()
}

fn syntax() -> Vec<Case> {
    let row = |name, text: &str, expected| (name, text.as_bytes().to_vec(), expected);
    rows(vec![
        row("no bytes", "", MALFORMED),
        row("white space", " \n\t ", MALFORMED),
        row("an open brace", "{", MALFORMED),
        row("a string never closed", "{\"text\": \"never closed", MALFORMED),
        row("an object never closed", "{\"text\": \"a\"", MALFORMED),
        row("a comma before the brace", "{\"text\": \"a\",}", MALFORMED),
        row("single quotes", "{'text': 'a'}", MALFORMED),
        row("a comment", "{\"text\": \"a\" /* why not */}", MALFORMED),
        row("a name without quotes", "{text: \"a\"}", MALFORMED),
        row("a name without a value", "{\"text\"}", MALFORMED),
        row("two commas", "{\"text\": \"a\",, \"product\": \"p\"}", MALFORMED),
        row("two lines of JSON in one record", "{\"text\": \"a\"}\n{\"text\": \"b\"}", MALFORMED),
        row("words behind the object", "{\"text\": \"a\"} and more", MALFORMED),
        row("a line break behind the object", "{\"text\": \"a\"}\r\n", Scored),
        row("an array of events", "[{\"text\": \"a\"}]", MALFORMED),
        row("an empty array", "[]", MALFORMED),
        row("a string", "\"a review\"", MALFORMED),
        row("a number", "42", MALFORMED),
        row("true", "true", MALFORMED),
        row("null", "null", MALFORMED),
        row("an empty object", "{}", Dead(Reason::Missing)),
        row("the same name twice: the last counts", "{\"text\": \"\", \"text\": \"a\"}", Scored),
        row("an unknown name twice", "{\"text\": \"a\", \"x\": 1, \"x\": 2}", Scored),
        row("an empty name", "{\"text\": \"a\", \"\": 1}", Scored),
        row("__proto__", "{\"text\": \"a\", \"__proto__\": {\"polluted\": true}}", Scored),
        row("a name in capitals", "{\"TEXT\": \"a\"}", Dead(Reason::Missing)),
        row("NaN for a number", "{\"text\": \"a\", \"rating\": NaN}", MALFORMED),
        row("Infinity for a number", "{\"text\": \"a\", \"rating\": -Infinity}", MALFORMED),
        row("a hexadecimal number", "{\"text\": \"a\", \"rating\": 0x1F}", MALFORMED),
        row("a number with a leading zero", "{\"text\": \"a\", \"rating\": 007}", MALFORMED),
        row("a number that ends with its point", "{\"text\": \"a\", \"rating\": 5.}", MALFORMED),
    ])
}

fn other_formats() -> Vec<Case> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, b"{\"text\": \"a\"}").expect("a vector takes all bytes");
    let gzip = gzip.finish().expect("a vector takes all bytes");
    rows(vec![
        ("gzip", gzip, MALFORMED),
        ("zstd's magic number", b"\x28\xb5\x2f\xfd\x04\x00".to_vec(), MALFORMED),
        ("a PNG's first bytes", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), MALFORMED),
        ("a program's first bytes", b"\x7fELF\x02\x01\x01\0".to_vec(), MALFORMED),
        ("a serialised Java object", b"\xac\xed\x00\x05sr\x00\x0ejava.util.Date".to_vec(), MALFORMED),
        ("Confluent framing before JSON", b"\0\0\0\0\x01{\"text\": \"a\"}".to_vec(), MALFORMED),
        ("Protobuf", b"\x1a\x04good".to_vec(), MALFORMED),
        ("XML", b"<review><text>a</text></review>".to_vec(), MALFORMED),
        ("CSV", b"r-1,a review,5".to_vec(), MALFORMED),
        ("YAML", b"text: a review".to_vec(), MALFORMED),
        ("MessagePack", b"\x81\xa4text\xa1a".to_vec(), MALFORMED),
        ("a million zero bytes", vec![0; 1_000_000], MALFORMED),
        ("a million bytes 0xff", vec![0xff; 1_000_000], MALFORMED),
    ])
}

fn encodings() -> Vec<Case> {
    let within = |bytes: &[u8]| [b"{\"text\": \"good ".as_slice(), bytes, b" good\"}"].concat();
    let json = "{\"text\": \"好\"}";
    let utf16 = |unit: fn(u16) -> [u8; 2]| json.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let mut cases = rows(vec![
        ("a byte-order mark", [b"\xef\xbb\xbf".as_slice(), json.as_bytes()].concat(), Scored),
        ("two byte-order marks", [b"\xef\xbb\xbf\xef\xbb\xbf".as_slice(), json.as_bytes()].concat(), MALFORMED),
        ("a byte-order mark alone", b"\xef\xbb\xbf".to_vec(), MALFORMED),
        ("UTF-16, low byte first", utf16(u16::to_le_bytes), MALFORMED),
        ("UTF-16, high byte first", utf16(u16::to_be_bytes), MALFORMED),
        ("UTF-32", json.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(), MALFORMED),
        ("Latin-1", within(b"caf\xe9"), MALFORMED),
        ("GBK", within(b"\xba\xc3"), MALFORMED),
        ("a continuation byte alone", within(b"\x80"), MALFORMED),
        ("a character cut off", within(b"\xe5\xa5"), MALFORMED),
        ("an overlong slash", within(b"\xc0\xaf"), MALFORMED),
        ("an overlong NUL", within(b"\xc0\x80"), MALFORMED),
        ("a surrogate in UTF-8", within(b"\xed\xa0\x80"), MALFORMED),
        ("a pair of surrogates in UTF-8", within(b"\xed\xa0\xbd\xed\xb8\x80"), MALFORMED),
        ("beyond U+10FFFF", within(b"\xf4\x90\x80\x80"), MALFORMED),
        ("a sequence of five bytes", within(b"\xf8\x88\x80\x80\x80"), MALFORMED),
        ("bad UTF-8 in a name", b"{\"text\": \"a\", \"\xff\": 1}".to_vec(), MALFORMED),
        ("bad UTF-8 in a field that nobody reads", b"{\"text\": \"a\", \"x\": \"\xff\"}".to_vec(), MALFORMED),
    ]);
    let good = "{\"text\": \"good 好\"}".as_bytes();
    cases.extend((0..good.len()).map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] = 0xff;
        Case::new(To::Review, "a byte 0xff in place of each byte", bytes, MALFORMED)
    }));
    cases
}

fn escapes() -> Vec<Case> {
    let row = |name, text: &str, expected| (name, format!("{{\"text\": \"{text}\"}}").into_bytes(), expected);
    rows(vec![
        row("a high surrogate alone", "\\ud83d", MALFORMED),
        row("a low surrogate alone", "\\ude00", MALFORMED),
        row("a pair of surrogates the wrong way round", "\\ude00\\ud83d", MALFORMED),
        row("a high surrogate before a letter", "\\ud83da", MALFORMED),
        row("a pair of surrogates", "\\ud83d\\ude00", Scored),
        row("an escape cut off", "\\u12", MALFORMED),
        row("an unknown escape", "\\x41", MALFORMED),
        row("an escaped NUL within a text", "a\\u0000b", Scored),
        row("a NUL as it is", "a\0b", MALFORMED),
        row("a line break as it is", "a\nb", MALFORMED),
        row("a tab as it is", "a\tb", MALFORMED),
        row("escaped quotes", "\\\"a\\\" \\\\ \\/", Scored),
        row("a million backslashes", &"\\\\".repeat(500_000), Scored),
    ])
}

/// Arrays and objects within each other, in a field that nobody reads.
fn depths() -> Vec<Case> {
    let arrays = |depth: usize| format!("{{\"text\": \"a\", \"x\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects =
        |depth: usize| format!("{{\"text\": \"a\", \"x\": {}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let attributes = |depth: usize| {
        format!("{{\"text\": \"a\", \"attributes\": {}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth))
    };
    rows(vec![
        ("arrays 100 deep", arrays(100).into(), Scored),
        ("arrays 1,000 deep", arrays(1_000).into(), MALFORMED),
        ("arrays 100,000 deep", arrays(100_000).into(), MALFORMED),
        ("objects 100 deep", objects(100).into(), Scored),
        ("objects 1,000 deep", objects(1_000).into(), MALFORMED),
        ("objects 100,000 deep", objects(100_000).into(), MALFORMED),
        ("attributes 1,000 deep", attributes(1_000).into(), MALFORMED),
        ("a million open brackets", "[".repeat(1_000_000).into(), MALFORMED),
        ("200,000 open objects", "{\"a\":".repeat(200_000).into(), MALFORMED),
    ])
}

fn sizes() -> Vec<Case> {
    let sized = |bytes: usize| {
        let frame = "{\"text\": \"\"}".len();
        format!("{{\"text\": \"{}\"}}", "a".repeat(bytes - frame)).into_bytes()
    };
    let members = |count: usize| {
        let members: String = (0..count).map(|n| format!(",\"{n}\":{n}")).collect();
        format!("{{\"text\": \"a\"{members}}}").into_bytes()
    };
    let named = |bytes: usize| format!("{{\"text\": \"a\", \"{}\": 1}}", "n".repeat(bytes)).into_bytes();
    let mut cases = rows(vec![
        ("as large as `text.payload_bytes_max`", sized(PAYLOAD_MAX), Scored),
        ("a byte larger", sized(PAYLOAD_MAX + 1), Dead(Reason::TooLarge)),
        ("ten megabytes", sized(10_000_000), Dead(Reason::TooLarge)),
        ("50,000 unknown fields", members(50_000), Scored),
        ("a name of a megabyte", named(1_000_000), Scored),
        ("a megabyte of white space before the brace", [vec![b' '; 1_000_000], sized(100)].concat(), Scored),
        (
            "an array of 500,000 items",
            format!("{{\"text\": \"a\", \"x\": [1{}]}}", ",1".repeat(499_999)).into(),
            Scored,
        ),
    ]);
    cases.extend(
        [To::Review, To::Chat, To::Protobuf, To::Framed]
            .map(|to| Case::new(to, "a tombstone", "", Dead(Reason::Tombstone)).with(|record| record.payload = None)),
    );
    cases
}
