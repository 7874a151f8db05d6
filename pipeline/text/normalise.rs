//! One spelling for each text: what a reader sees the same, redaction, the cache and the models see the same.
//!
//! The form is NFC, with two of NFKC's foldings added and the rest left out:
//!
//! - decimal digits of every script, full-width letters and the full-width signs that addresses are made of (`＠ ． － ＋ ／ …`)
//!   become ASCII, because `１３８００１３８０００` is a phone number and redaction must find it;
//! - letters and digits of the mathematical alphabets (`𝗛𝗲𝗹𝗹𝗼`) become ASCII, because nobody writes reviews in mathematics.
//!
//! Full NFKC would also turn `，！？（）` into their ASCII cousins, `①` into `1` and `㎡` into `m2`. Models of Chinese were trained on the
//! full-width marks and list marks carry meaning, so those stay.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::LazyLock;

use siphasher::sip128::SipHasher24;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible, is_combining_mark};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text in the one form that everything after this step reads: NFC, digits and full-width letters in ASCII, no control or invisible
/// characters, single spaces, none at the ends. Applying it twice gives what applying it once gives.
///
/// Borrows when nothing changes, which is what most texts cost: one look at each character.
pub fn normalise(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let cleaned = clean(text);
    let composed = if is_nfc(&cleaned) { cleaned } else { cleaned.nfc().collect() };
    if composed == text { Cow::Borrowed(text) } else { Cow::Owned(composed) }
}

/// Identifies a text for the result cache: SipHash-2-4 with 128 bits, keyed by a secret of this process.
///
/// Texts are written by strangers. Who could make two texts with one key could have one answered with the other's score,
/// so a hash that is only fast does not do. SipHash is a pseudo-random function (Aumasson and Bernstein 2012): without the
/// secret, which never leaves the process, nothing is better than guessing; and it takes a third of SHA-256's time.
pub fn text_key(text: &str) -> u128 {
    static HASHER: LazyLock<SipHasher24> = LazyLock::new(|| SipHasher24::new_with_key(&secret()));
    HASHER.hash(text.as_bytes()).as_u128()
}

fn secret() -> [u8; 16] {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).expect("the system gives random bytes");
    secret
}

/// Whether every character is of the kinds that normalising leaves alone whatever stands beside it. May say no to a text that is in its
/// normal form already; never says yes to one that is not.
fn is_plain(text: &str) -> bool {
    let mut last = ' ';
    for c in text.chars() {
        // What nearly every character is, asked first.
        let common = is_unified_han(c) || c.is_ascii_graphic() && c != '/';
        let alone = common || if c == ' ' { last != ' ' } else { is_inert(c) && !begins_address(last, c) };
        if !alone {
            return false;
        }
        last = c;
    }
    last != ' ' || text.is_empty()
}

fn is_unified_han(c: char) -> bool {
    matches!(c, '\u{4E00}'..='\u{9FFF}')
}

fn is_inert(c: char) -> bool {
    matches!(c,
        '!'..='~'
        | '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{3001}'..='\u{3029}' | '，' | '！' | '？' | '：' | '；' | '（' | '）' | '～'
        | '\u{2013}'..='\u{2014}' | '\u{2018}'..='\u{201F}' | '\u{2022}' | '\u{2026}'
        | '\u{C0}'..='\u{24F}' | '\u{391}'..='\u{3A1}' | '\u{3B1}'..='\u{3C9}' | '\u{400}'..='\u{482}'
        | '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FE}' | '\u{AC00}'..='\u{D7A3}'
        | '\u{1F300}'..='\u{1FAFF}')
}

fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    // The last character that is no mark: marks change places when the text is composed, so none of them may decide.
    let mut base = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let Some(c) = replacement(c, last, base, &mut rest) else { continue };
        if c == ' ' && last == ' ' {
            continue;
        }
        if begins_address(last, c) {
            out.pop();
            out.push(':');
        }
        out.push(c);
        last = c;
        if canonical_combining_class(c) == 0 {
            base = c;
        }
    }
    if last == ' ' {
        out.pop();
    }
    out
}

/// What stands for `c` after `last` and before `rest`, on `base`; `None` for what goes.
fn replacement(c: char, last: char, base: char, rest: &mut Peekable<Chars<'_>>) -> Option<char> {
    if c.is_ascii_graphic() {
        return Some(c);
    }
    if c.is_whitespace() {
        return Some(' ');
    }
    if last.is_ascii_digit() && is_combining_mark(c) {
        return None; // a struck-out, underlined or keycap digit is still the digit
    }
    let next = rest.peek().copied();
    match c {
        '\u{FE0F}' => is_pictograph(last).then_some(c),
        '\u{200C}' | '\u{200D}' => joins(c, base, next).then_some(c),
        _ if is_invisible(c) => None,
        _ => Some(fold(c)),
    }
}

/// A full-width colon is a sentence's, but before a stroke it is that of `https：//`.
fn begins_address(last: char, c: char) -> bool {
    last == '：' && c == '/'
}

/// Whether a joiner belongs to the spelling: inside an emoji sequence (👩‍💻), or between letters of the Arabic and Indic scripts.
fn joins(joiner: char, base: char, next: Option<char>) -> bool {
    let Some(next) = next else { return false };
    let in_emoji = joiner == '\u{200D}' && (is_pictograph(base) || base == '\u{FE0F}') && is_pictograph(next);
    let in_word =
        ('\u{600}'..='\u{DFF}').contains(&base) && ('\u{620}'..='\u{DFF}').contains(&next) && next.is_alphabetic();
    in_emoji || in_word
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{A9}' | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2BFF}'
        | '\u{3030}' | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Control characters, and what Unicode calls default-ignorable: characters without a picture of their own, with which a text can be
/// made to look like another.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

fn fold(c: char) -> char {
    match c {
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => full_width(c),
        '＠' | '．' | '－' | '＋' | '／' | '＿' | '＃' | '％' | '＆' | '＝' => full_width(c),
        '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{FE63}' => '-',
        '\u{1D400}'..='\u{1D7FF}' => mathematical(c),
        _ => decimal_digit(c).unwrap_or(c),
    }
}

/// U+FF01 to U+FF5E are the printable characters of ASCII in the same order.
fn full_width(c: char) -> char {
    char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c)
}

fn mathematical(c: char) -> char {
    let mut plain = None;
    decompose_compatible(c, |d| plain = Some(d));
    plain.unwrap_or(c)
}

fn decimal_digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let zero = DIGIT_ZEROS[..DIGIT_ZEROS.partition_point(|&zero| zero <= code)].last()?;
    char::from_digit(code - zero, 10)
}

/// The zero of each script that has decimal digits, other than ASCII's, the full-width and the mathematical ones; one to nine follow
/// each (general category Nd).
const DIGIT_ZEROS: [u32; 69] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20,
    0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0,
    0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50, 0x11D50,
    0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1,
    0x1E950, 0x1FBF0,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn one_form_for_what_looks_the_same() {
        let cases = [
            ("", ""),
            ("   \t\r\n ", ""),
            ("物流很快，包装也好！", "物流很快，包装也好！"),
            ("Great  phone,\n\nfast\tdelivery ", "Great phone, fast delivery"),
            ("\u{3000}很好\u{3000}\u{3000}用\u{A0}的", "很好 用 的"),
            ("１３８００１３８０００", "13800138000"),
            ("ＡＢｃ＠ｑｑ．ｃｏｍ", "ABc@qq.com"),
            ("ｈｔｔｐｓ：／／a.cn", "https://a.cn"),
            ("https：//a.cn", "https://a.cn"),
            ("https：\u{FE0F}／/a.cn", "https://a.cn"),
            ("电话：１３８－００１３", "电话：138-0013"),
            ("１、质量（很）好；①级，50㎡…", "1、质量（很）好；①级，50㎡…"),
            ("٠١٢٣ ۴۵ ०९", "0123 45 09"),
            ("𝗛𝗲𝗹𝗹𝗼 𝟙𝟛𝟠", "Hello 138"),
            ("cafe\u{301}", "café"),
            ("e\u{200B}\u{301}", "é"),
            ("13\u{200B}8\u{200D}00\u{FEFF}1\u{2060}3\u{AD}8", "13800138"),
            ("1\u{FE0F}\u{20E3}3\u{FE0F}\u{20E3}8\u{332}", "138"),
            ("好\0用\u{7}的\u{1B}[0m", "好用的[0m"),
            ("\u{202E}txt\u{202C}", "txt"),
            ("👩\u{200D}💻 👩🏽\u{200D}🚀 ❤\u{FE0F}", "👩\u{200D}💻 👩🏽\u{200D}🚀 ❤\u{FE0F}"),
            ("❤\u{FE0F}\u{200D}🔥", "❤\u{FE0F}\u{200D}🔥"),
            ("好\u{200D}用\u{200D}", "好用"),
            ("می\u{200C}خواهم", "می\u{200C}خواهم"),
            ("138\u{2011}0013\u{2212}8000", "138-0013-8000"),
            ("\u{E0041}a\u{E0042}b", "ab"),
            ("\u{212A}ilo", "Kilo"),
            ("한국어 좋아요", "한국어 좋아요"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text), expected, "{text:?}");
        }
    }

    #[test]
    fn borrows_what_needs_no_change() {
        for text in [
            "",
            "a",
            "物流很快，包装也好！",
            "Great phone, 5 stars.",
            "très bien",
            "👍🏽 好",
            "❤\u{FE0F} ok",
            "ありがとう",
        ] {
            assert!(matches!(normalise(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn every_decimal_digit_of_unicode_becomes_ascii() {
        let decimal = Regex::new(r"^\p{Nd}$").unwrap();
        let mut found = 0;
        for c in ('\u{80}'..=char::MAX).filter(|c| c.is_numeric() && decimal.is_match(&c.to_string())) {
            let folded = normalise(&c.to_string()).into_owned();
            assert!(
                folded.len() == 1 && folded.as_bytes()[0].is_ascii_digit(),
                "{c:?} U+{:X}: {folded:?}",
                u32::from(c)
            );
            found += 1;
        }
        assert!(found >= 660, "{found}");
    }

    #[test]
    fn a_megabyte_of_marks_is_done_in_linear_time() {
        let marks = "\u{301}\u{316}".repeat(250_000);
        assert_eq!(normalise(&format!("a{marks}")).chars().count(), 500_000);
    }

    #[test]
    fn a_text_has_one_key_and_another_text_another() {
        assert_eq!(text_key("好"), text_key("好"));
        assert_ne!(text_key("好"), text_key("好 "));
        // The first vector of the 128-bit variant in SipHash's reference: key 00 01 … 0f, empty message.
        let key: [u8; 16] = std::array::from_fn(|byte| byte as u8);
        let bytes = SipHasher24::new_with_key(&key).hash(b"").as_bytes();
        assert_eq!(
            bytes,
            [0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93]
        );
    }

    #[test]
    fn a_joiner_is_judged_by_what_its_marks_stand_on() {
        let once = normalise("\u{316}\u{94d}\u{200c}\u{958}").into_owned();
        assert_eq!(normalise(&once), once, "composing had put another mark before the joiner");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in any::<String>()) {
            let once = normalise(&text).into_owned();
            prop_assert_eq!(normalise(&once), once.as_str());
        }

        #[test]
        fn twice_is_once_for_what_joins_and_combines(
            text in "[\u{200B}-\u{200F}\u{FE0F}\u{20E3}\u{301}\u{316}\u{332}1-3１-３٠-٣aé가-나ᄀᆨ👩💻🏽❤می\u{94D}\u{915} \u{3000}：／/\u{958}\u{F900}]{0,12}"
        ) {
            let once = normalise(&text).into_owned();
            prop_assert_eq!(normalise(&once), once.as_str());
            prop_assert!(is_nfc(&once));
        }
    }
}
