//! Takes out of a text what identifies a person or opens a door, and leaves a marker that says what was there: `[phone]`.
//!
//! It reads a normalised text (digits in ASCII, no invisible characters); what normalising folds is not looked for again here.
//!
//! Where finds overlap they are merged, so that nothing that any rule found is left over; the marker is that of the longest, and among
//! equals that of the first in the order url, email, identity card, bank card, phone, IP address, then the operator's patterns as configured.
//! Markers that are in the text already are left alone, and the text is read again until nothing more is found, so redacting twice gives what
//! redacting once gives.
//!
//! In doubt it redacts: a marker too many costs a model nothing, a number too few costs somebody's privacy.

mod check;
mod email;
mod ipv6;
mod number;
mod phone;
mod url;
mod version;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use regex::Regex;
use sha2::Sha256;

use crate::config::{Redaction, RedactionKind, UserRedaction};

/// Readings of one text. The second finds what the first uncovered (a pattern of the operator's that cut into a longer number), the third
/// nothing, but for patterns made to go on for ever.
const READINGS_MAX: usize = 4;

/// Hexadecimal digits of a user's pseudonym: 128 bits, so that no two of a shop's users meet.
const PSEUDONYM_DIGITS: usize = 32;

/// Knows what to take out. Cheap to share: it has no state but its configuration.
pub struct Redactor {
    kinds: Kinds,
    /// The built-in rules in the order of [`Rule`], then the operator's.
    rules: Vec<Named>,
    patterns: Vec<Regex>,
    user: User,
}

/// A text without what was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// Borrowed if nothing was found.
    pub text: Cow<'a, str>,
    /// How much was found, by the name in the marker; only what was found at all.
    pub counts: Vec<(Arc<str>, u32)>,
}

struct Named {
    name: Arc<str>,
    marker: String,
}

enum User {
    Keep,
    Pseudonym(Box<Hmac<Sha256>>),
    Drop,
}

/// The built-in rules: the number is the position in [`Redactor::rules`], and the order among finds of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Url,
    Email,
    IdentityCard,
    BankCard,
    Phone,
    IpAddress,
}

impl Rule {
    const NAMES: [&str; 6] = ["url", "email", "identity_card", "bank_card", "phone", "ip_address"];

    fn of(kind: RedactionKind) -> Self {
        match kind {
            RedactionKind::UrlToken => Rule::Url,
            RedactionKind::Email => Rule::Email,
            RedactionKind::IdentityCard => Rule::IdentityCard,
            RedactionKind::BankCard => Rule::BankCard,
            RedactionKind::Phone => Rule::Phone,
            RedactionKind::IpAddress => Rule::IpAddress,
        }
    }
}

/// A set of built-in rules.
#[derive(Clone, Copy)]
struct Kinds(u8);

impl Kinds {
    fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u8 != 0
    }
}

/// A stretch of text to be replaced, in bytes, and the rule that found it.
#[derive(Clone, Copy, Debug)]
struct Find {
    start: usize,
    end: usize,
    rule: usize,
}

impl Redactor {
    pub fn new(redaction: &Redaction) -> Self {
        let names = Rule::NAMES.into_iter().chain(redaction.patterns.iter().map(|(name, _)| name.as_str()));
        Self {
            kinds: Kinds(redaction.kinds.iter().fold(0, |set, &kind| set | 1 << Rule::of(kind) as u8)),
            rules: names.map(|name| Named { name: name.into(), marker: format!("[{name}]") }).collect(),
            patterns: redaction.patterns.iter().map(|(_, pattern)| pattern.clone()).collect(),
            user: User::new(&redaction.user),
        }
    }

    /// Replaces what the rules find in a normalised text by markers, and counts it.
    ///
    /// Takes time linear in the text; a text without digits, `@`, `:` and `?` costs one look at each byte, and the operator's patterns.
    pub fn redact<'a>(&self, text: &'a str) -> Redacted<'a> {
        let mut text = Cow::Borrowed(text);
        let mut counts = vec![0; self.rules.len()];
        for _ in 0..READINGS_MAX {
            let finds = self.find(&text);
            if finds.is_empty() {
                break;
            }
            text = Cow::Owned(self.replace(&text, &finds, &mut counts));
        }
        let named = self.rules.iter().zip(counts).filter(|(_, count)| *count > 0);
        Redacted { text, counts: named.map(|(rule, count)| (rule.name.clone(), count)).collect() }
    }

    /// What goes out in place of a user's name or number; nothing if the configuration leaves it out.
    ///
    /// The pseudonym is the same for the same user under the same secret, and cannot be computed without it.
    pub fn user(&self, user: &str) -> Option<String> {
        match &self.user {
            User::Keep => Some(user.to_owned()),
            User::Drop => None,
            User::Pseudonym(keyed) => {
                let mac = keyed.as_ref().clone().chain_update(user.as_bytes()).finalize();
                let mut digits = hex::encode(mac.into_bytes());
                digits.truncate(PSEUDONYM_DIGITS);
                Some(digits)
            }
        }
    }

    /// What is to be replaced, in order and without overlaps.
    fn find(&self, text: &str) -> Vec<Find> {
        let mut finds = Vec::new();
        let signs = Signs::of(text);
        if self.kinds.has(Rule::Url) && signs.url {
            url::find(text, &mut finds);
        }
        if self.kinds.has(Rule::Email) && signs.at {
            email::find(text, &mut finds);
        }
        if self.kinds.has(Rule::IpAddress) && signs.colon {
            ipv6::find(text, &mut finds);
        }
        if let Some(first) = signs.first_digit {
            number::find(text, first, self.kinds, &mut finds);
        }
        for (i, pattern) in self.patterns.iter().enumerate() {
            let found = pattern.find_iter(text).filter(|m| !m.is_empty());
            finds.extend(found.map(|m| Find { start: m.start(), end: m.end(), rule: Rule::NAMES.len() + i }));
        }
        if !finds.is_empty() {
            self.spare_markers(text, &mut finds);
        }
        merge(finds)
    }

    /// Drops the finds that touch a marker that is in the text already.
    fn spare_markers(&self, text: &str, finds: &mut Vec<Find>) {
        let opened = memchr::memchr_iter(b'[', text.as_bytes());
        let markers: Vec<_> = opened.filter_map(|at| Some((at, at + self.marker_at(&text[at..])?.len()))).collect();
        finds.retain(|f| {
            let next = markers.partition_point(|&(_, end)| end <= f.start);
            markers.get(next).is_none_or(|&(start, _)| start >= f.end)
        });
    }

    fn marker_at(&self, text: &str) -> Option<&str> {
        self.rules.iter().map(|rule| rule.marker.as_str()).find(|marker| text.starts_with(marker))
    }

    fn replace(&self, text: &str, finds: &[Find], counts: &mut [u32]) -> String {
        let mut out = String::with_capacity(text.len() + finds.len() * 8);
        let mut done = 0;
        for find in finds {
            out.push_str(&text[done..find.start]);
            out.push_str(&self.rules[find.rule].marker);
            counts[find.rule] += 1;
            done = find.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

/// Leaves the patterns out: what they look for can be a secret itself.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.rules.iter().map(|rule| &rule.name).collect();
        f.debug_struct("Redactor").field("rules", &names).finish_non_exhaustive()
    }
}

impl User {
    fn new(redaction: &UserRedaction) -> Self {
        match redaction {
            UserRedaction::Keep => User::Keep,
            UserRedaction::Drop => User::Drop,
            UserRedaction::Pseudonym(secret) => User::Pseudonym(Box::new(
                Hmac::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length"),
            )),
        }
    }
}

/// Sorts finds and merges those that overlap.
fn merge(mut finds: Vec<Find>) -> Vec<Find> {
    finds.sort_unstable_by_key(|f| (f.start, f.rule));
    let mut merged: Vec<Find> = Vec::with_capacity(finds.len());
    let mut longest = 0;
    for find in finds {
        let len = find.end - find.start;
        match merged.last_mut().filter(|last| find.start < last.end) {
            Some(last) => {
                if len > longest || len == longest && find.rule < last.rule {
                    (last.rule, longest) = (find.rule, len);
                }
                last.end = last.end.max(find.end);
            }
            None => {
                longest = len;
                merged.push(find);
            }
        }
    }
    merged
}

/// The bytes without which a rule finds nothing.
struct Signs {
    first_digit: Option<usize>,
    at: bool,
    colon: bool,
    url: bool,
}

impl Signs {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let seen = bytes.iter().fold(0, |seen, &b| seen | SIGNS[usize::from(b)]);
        let first_digit = if seen & DIGIT == 0 { None } else { bytes.iter().position(u8::is_ascii_digit) };
        Self { first_digit, at: seen & AT != 0, colon: seen & COLON != 0, url: seen & (COLON | QUERY) != 0 }
    }
}

const DIGIT: u8 = 1;
const AT: u8 = 2;
const COLON: u8 = 4;
const QUERY: u8 = 8;

const SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        signs[digit as usize] = DIGIT;
        digit += 1;
    }
    signs[b'@' as usize] = AT;
    signs[b':' as usize] = COLON;
    signs[b'?' as usize] = QUERY;
    signs
};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
