//! Personal data of nobody: numbers and addresses that are set aside for examples where there are such, and made up
//! where there are none. All of it has a valid form, so that redaction has something to find.

use fastrand::Rng;

use super::speech::fill as fill_slots;
use super::{Language, pick};

/// Fills the slots of a line with personal data.
pub fn fill(line: &str, language: Language, rng: &mut Rng) -> String {
    fill_slots(line, |slot| match slot {
        "phone" => Some(phone(language, rng)),
        "email" => Some(format!(
            "{}{}@example.{}",
            pick(rng, &["lin", "sam", "mei", "jo"]),
            rng.u32(10..999),
            pick(rng, &["com", "org"])
        )),
        // A test number of the card schemes.
        "card" => Some("4111 1111 1111 1111".to_owned()),
        // RFC 5737.
        "ip" => Some(format!("203.0.113.{}", rng.u32(1..255))),
        "link" => Some(format!("https://shop.example/reset?token={:016x}", rng.u64(..))),
        _ => None,
    })
}

/// Numbers for drama and fiction in English; in Chinese, where none are set aside, all in one block.
fn phone(language: Language, rng: &mut Rng) -> String {
    let last = rng.u32(..10_000);
    match (language, rng.u32(..2)) {
        (Language::Zh, 0) => format!("1990000{last:04}"),
        (Language::Zh, _) => format!("199 0000 {last:04}"),
        (Language::En, 0) => format!("+44 7700 900{:03}", last % 1000),
        (Language::En, _) => format!("(415) 555-01{:02}", last % 100),
    }
}
