//! From a line of the tables to what a person would type.

use fastrand::Rng;

use super::catalogue::Product;
use super::{Language, chance, pick};

/// How many of a hundred texts have a slip in them, end with an emoji, or shout.
const TYPOS: f64 = 8.0;
const EMOJI: f64 = 15.0;
const SHOUTS: f64 = 6.0;

/// Characters that are typed for one another, because they sound alike.
const CONFUSED: [(char, char); 5] = [('的', '得'), ('在', '再'), ('了', '勒'), ('做', '作'), ('很', '狠')];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Praise,
    Complaint,
    Question,
}

/// Who speaks, of what.
#[derive(Clone, Copy)]
pub struct Speech {
    pub language: Language,
    pub product: Option<&'static Product>,
}

impl Speech {
    /// The line with its choices made and its slots filled.
    pub fn say(&self, line: &str, rng: &mut Rng) -> String {
        fill(&choose(line, rng), |slot| self.slot(slot, rng))
    }

    /// As [`say`](Self::say), and as a customer types it.
    pub fn write(&self, line: &str, mood: Mood, rng: &mut Rng) -> String {
        let mut text = self.say(line, rng);
        if chance(rng, TYPOS) {
            text = slip(&text, self.language, rng);
        }
        if chance(rng, SHOUTS) && mood != Mood::Question {
            text.push_str(if self.language == Language::Zh { "！！！" } else { "!!!" });
        }
        if chance(rng, EMOJI) {
            text.push_str(pick(rng, emoji(mood)));
        }
        text
    }

    fn slot(&self, slot: &str, rng: &mut Rng) -> Option<String> {
        match slot {
            "product" => self.product.map(|product| product.name.of(self.language).to_owned()),
            "aspect" => self.product.map(|product| pick(rng, product.aspects).of(self.language).to_owned()),
            "days" => Some(rng.u32(2..30).to_string()),
            "order" => Some(format!("GW{:05}", rng.u32(..100_000))),
            "tag" => Some(pick(rng, agents(self.language)).to_owned()),
            _ => None,
        }
    }
}

/// Makes the choices: `[a|b]` becomes `a` or `b`.
pub fn choose(line: &str, rng: &mut Rng) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let (choices, behind) = after.split_once(']').unwrap_or((after, ""));
        text.push_str(before);
        let count = choices.split('|').count();
        text.push_str(choices.split('|').nth(rng.usize(..count)).unwrap_or_default());
        rest = behind;
    }
    text.push_str(rest);
    text
}

/// Fills the slots: `{name}` becomes what `value` says of it.
pub fn fill(line: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, behind) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&value(slot).unwrap_or_default());
        rest = behind;
    }
    text.push_str(rest);
    text
}

fn emoji(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Praise => &["👍", "😍", "🎉", "😊", "👏"],
        Mood::Complaint => &["😡", "👎", "😤", "🤦", "💔"],
        Mood::Question => &["🤔", "🙏", "😅"],
    }
}

fn agents(language: Language) -> &'static [&'static str] {
    match language {
        Language::En => &["Robin", "Sam", "Alex", "Kim"],
        Language::Zh => &["小荷", "小川", "阿岚", "小麦"],
    }
}

/// One slip of the fingers.
fn slip(text: &str, language: Language, rng: &mut Rng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    match language {
        Language::Zh => {
            let (right, wrong) = pick(rng, &CONFUSED);
            if let Some(at) = chars.iter().position(|c| *c == right) {
                chars[at] = wrong;
            }
        }
        Language::En => {
            let pairs = chars.windows(2).enumerate().filter(|(_, pair)| pair.iter().all(char::is_ascii_lowercase));
            let places: Vec<usize> = pairs.map(|(at, _)| at).collect();
            if !places.is_empty() {
                let at = pick(rng, &places);
                chars.swap(at, at + 1);
            }
        }
    }
    chars.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_made_and_slots_filled() {
        let mut rng = Rng::with_seed(1);
        let said: std::collections::BTreeSet<_> = (0..50).map(|_| choose("a [b|c] d[e|f]", &mut rng)).collect();
        assert_eq!(said.into_iter().collect::<Vec<_>>(), ["a b de", "a b df", "a c de", "a c df"]);
        assert_eq!(fill("{a} and {b}", |slot| Some(slot.to_uppercase())), "A and B");
    }

    #[test]
    fn a_slip_changes_a_character_or_two_and_no_more() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(slip("好的", Language::Zh, &mut Rng::with_seed(0)).chars().count(), 2);
        for _ in 0..50 {
            let wrong = slip("Never again", Language::En, &mut rng);
            let moved = wrong.chars().zip("Never again".chars()).filter(|(a, b)| a != b).count();
            assert!(wrong.len() == 11 && moved <= 2, "{wrong}");
        }
    }
}
