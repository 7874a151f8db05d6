use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;

use super::letter::{Content, Letter, Position, key};
use super::reader::{Bounds, Reader};
use crate::cli::Outcome;
use crate::cli::settings::ConfigArgs;
use crate::cli::table::{count, shown};
use crate::event::{Error, Fault, Header};

/// Bytes in a line of a hex dump.
const DUMP_BYTES: usize = 16;
/// Characters of a header's value or of a key.
const VALUE_CHARS_MAX: usize = 2000;

/// Show one dead letter: its headers, and the record it keeps, opened where it is encrypted and the key is configured.
///
/// The payload is shown as text if it is UTF-8, otherwise as a hex dump. It is the record as it came: nothing in it was
/// redacted.
///
/// Example: groundswell dead-letters show 0/42
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    config: ConfigArgs,

    /// Partition and offset in the dead-letter topic, as `dead-letters list` shows them.
    #[arg(value_name = "PARTITION/OFFSET")]
    position: Position,

    /// Bytes of the payload to show at most.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    payload_bytes: usize,
}

impl Show {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let mut reader = Reader::open(&settings)?;
        let Position { partition, offset } = self.position;
        let topic = &settings.outputs.dead_letters;
        let bounds = *reader.bounds().get(&partition).ok_or_else(|| {
            let message = format!("{topic} has no partition {partition}, only 0 to {}", reader.bounds().len() - 1);
            Error::new(Fault::Input, message)
        })?;
        reader.start(&BTreeMap::from([(partition, offset)]))?;
        match reader.next()? {
            Some(letter) if letter.position() == self.position => {
                let text = describe(&letter, letter.content(key(&settings)).map_err(|u| u.why()), self.payload_bytes);
                print!("{text}");
                Ok(Outcome::Done)
            }
            _ => Err(nothing_there(topic, self.position, bounds)),
        }
    }
}

fn nothing_there(topic: &str, position: Position, bounds: Bounds) -> Error {
    let holds = match bounds.end > bounds.first {
        true => format!("holds offsets from {} to {}", bounds.first, bounds.end - 1),
        false => "is empty".into(),
    };
    let message = format!("no letter lies at {position} of {topic}; partition {} {holds}", position.partition);
    Error::new(Fault::Input, message).hint("groundswell dead-letters list shows where letters lie")
}

fn describe(letter: &Letter, content: Result<Content, &str>, payload_bytes: usize) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("position", &letter.position().to_string());
    line("written", &super::time(letter.0.timestamp_ms));
    line("origin", &letter.origin().map_or_else(|| "unknown".into(), |origin| shown(&origin.to_string(), 300)));
    line("recorded", &super::time(letter.record_timestamp_ms()));
    for name in ["stage", "reason", "error"] {
        line(name, &letter.ours(name).map_or_else(|| "unknown".into(), |value| shown(&value, VALUE_CHARS_MAX)));
    }
    match content {
        Err(why) => line("payload", &format!("cannot be shown: {why}")),
        Ok(content) => {
            line("replayed", &count(content.attempts.into(), "time", "times"));
            line("key", &content.key.as_deref().map_or_else(|| "none".into(), value));
            for Header { name, value: bytes } in &content.headers {
                let value = bytes.as_deref().map_or_else(|| "none".into(), value);
                line("header", &format!("{}: {value}", shown(name, VALUE_CHARS_MAX)));
            }
            match &content.payload {
                None => line("payload", "none: a tombstone"),
                Some(payload) => text.push_str(&describe_payload(payload, payload_bytes)),
            }
        }
    }
    text
}

/// A short value: as text, or in hexadecimal digits.
fn value(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => shown(text, VALUE_CHARS_MAX),
        Err(_) => shown(&format!("0x{}", hex::encode(bytes)), VALUE_CHARS_MAX),
    }
}

fn describe_payload(payload: &[u8], bytes_max: usize) -> String {
    let cut = payload.get(..bytes_max).unwrap_or(payload);
    let (form, body) = match text_of(payload, cut) {
        Some(text) => ("text", text.split('\n').map(|line| shown(line, usize::MAX) + "\n").collect()),
        None => ("not UTF-8", dump(cut)),
    };
    let mut text = format!("{:<10} {} bytes, {form}\n\n{body}", "payload", payload.len());
    if cut.len() < payload.len() {
        text.push_str(&format!("… {} more bytes (--payload-bytes)\n", payload.len() - cut.len()));
    }
    text
}

/// The cut as text, if the whole is text: a cut may go through a character.
fn text_of<'a>(payload: &'a [u8], cut: &[u8]) -> Option<&'a str> {
    let text = std::str::from_utf8(payload).ok()?;
    (0..=cut.len()).rev().find_map(|end| text.get(..end))
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (n, chunk) in bytes.chunks(DUMP_BYTES).enumerate() {
        let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let readable: String =
            chunk.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' }).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:08x}  {:<47}  {readable}", n * DUMP_BYTES, digits.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use crate::config::{DeadLetterPayload, SecretKey};

    #[test]
    fn a_letter_is_shown_with_all_that_it_keeps() {
        let key = SecretKey([7; 32]);
        for payload in [DeadLetterPayload::Raw, DeadLetterPayload::Encrypted(key.clone())] {
            let letter = letter(payload);
            let content = letter.content(Some(&key)).map_err(|u| u.why());
            let expected = "\
position   0/7
written    2023-11-14T22:15:00Z
origin     reviews/3/42
recorded   2023-11-14T22:13:20Z
stage      text
reason     malformed
error      ends after byte 1
replayed   1 time
key        p-7
header     trace: t-1
payload    1 bytes, text

{
";
            assert_eq!(describe(&letter, content, 4096), expected);
        }
    }

    #[test]
    fn what_cannot_be_shown_says_why() {
        let letter = letter(DeadLetterPayload::Withheld);
        let shown = describe(&letter, letter.content(None).map_err(|u| u.why()), 4096);
        assert!(shown.ends_with("payload    cannot be shown: its payload was withheld\n"), "{shown}");
    }

    #[test]
    fn payloads_are_text_or_a_dump_and_bounded() {
        assert_eq!(
            describe_payload("电池".as_bytes(), 4),
            "payload    6 bytes, text\n\n电\n… 2 more bytes (--payload-bytes)\n"
        );
        assert!(describe_payload(b"\x1b[31m", 10).contains("\\u{1b}[31m"), "a terminal is not told what to do");
        let dumped = describe_payload(b"\x00\xffabcdefghijklmnop", 17);
        let expected = "\
00000000  00 ff 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e  ..abcdefghijklmn
00000010  6f                                               o
… 1 more bytes (--payload-bytes)
";
        assert!(dumped.ends_with(expected), "{dumped}");
    }
}
