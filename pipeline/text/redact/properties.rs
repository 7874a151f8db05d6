//! What must hold of any text.

use proptest::prelude::*;
use regex::Regex;

use super::tests::{ALL, after, all, redactor};
use super::{Rule, check};
use crate::config::UserRedaction;
use crate::text::normalise;

/// Pieces that numbers and addresses are made of, so that random texts come near to them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "1",
        "13",
        "138",
        "0013",
        "8000",
        "13800138000",
        "86",
        "+",
        "0086",
        "(",
        ")",
        " ",
        "-",
        ".",
        ":",
        "::",
        "/",
        "?",
        "=",
        "&",
        "#",
        "@",
        "0755",
        "62345678",
        "400",
        "110101",
        "19900307",
        "7758",
        "110101199003077758",
        "11010519491231002",
        "X",
        "4111",
        "1111",
        "4111111111111111",
        "415",
        "555",
        "2671",
        "1.2.3.4",
        "fe80::1",
        "a",
        "foo",
        "qq.com",
        "https://",
        "x.com/",
        "token",
        "好",
        "，",
        "[phone]",
        "[",
        "]",
        "[url]",
        "é",
        "１",
        "👍",
        "v",
        "00",
        "9",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|parts| parts.concat())
}

fn marker_count(text: &str) -> usize {
    Rule::NAMES.iter().map(|name| text.matches(&format!("[{name}]")).count()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn twice_is_once(text in pieces()) {
        let redactor = all();
        let once = after(&redactor, &text);
        prop_assert_eq!(after(&redactor, &once), once);
    }

    #[test]
    fn nothing_that_validates_is_left(text in pieces()) {
        let left = after(&all(), &text);
        let card = Regex::new(r"\b\d{13,19}\b").unwrap();
        for number in card.find_iter(&left) {
            let number = number.as_str().as_bytes();
            prop_assert!(!(check::is_card_range(number) && check::is_luhn(number) || check::is_identity_18(number)), "{}", left);
        }
        let mobile = Regex::new(r"(?:^|[^0-9A-Fa-f.])1[3-9]\d{9}(?:[^0-9A-Fa-f.]|$)").unwrap();
        prop_assert!(!mobile.is_match(&left), "{}", left);
    }

    #[test]
    fn counts_are_those_of_the_markers(text in pieces()) {
        let text = normalise(&text);
        let redactor = all();
        let redacted = redactor.redact(&text);
        let counted: u32 = redacted.counts.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(marker_count(&redacted.text), marker_count(&text) + counted as usize);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), pattern in "[a-z0-9]{1,3}") {
        let redactor = redactor(&ALL, &[("own", &pattern)], UserRedaction::Keep);
        redactor.redact(&text);
        after(&redactor, &text);
    }
}
