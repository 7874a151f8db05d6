//! What is made of digits: identity cards, bank cards, telephone numbers, IPv4 addresses.
//!
//! A text's digits are read as groups, a group being a whole run of digits: so a number inside a longer one (an order number) is never
//! found. Groups that stand one separator apart may be one number (`138-0013-8000`, `6222 0212 3456 7890 128`). From left to right, at each
//! group, the most specific kind that fits is taken, and of one kind the longest: identity card (18 characters, check character, date and
//! region), bank card (Luhn and a network's range), telephone number, IPv4 address.
//!
//! Letters may touch a number, since people write `加wx13800138000同号`, but not when they make it part of a hexadecimal string.

use super::check::{is_card_range, is_identity_15, is_identity_18, is_luhn};
use super::{Find, Kinds, Rule, phone, version};

/// Digits of the longest number that is looked for, 19, and one more, so that a longer one is seen to be longer.
const DIGITS_MAX: usize = 20;

/// How a group of digits hangs on the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glue {
    /// Not at all.
    None,
    Space,
    Dash,
    Dot,
    Parenthesis,
}

impl Glue {
    /// The separators that make a serial number of what they join, so that a part of it is not a number of its own.
    fn is_tight(self) -> bool {
        matches!(self, Glue::Dash | Glue::Dot)
    }
}

#[derive(Clone, Copy, Debug)]
struct Group {
    start: usize,
    end: usize,
    glue: Glue,
}

impl Group {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// Finds the numbers of `text`, of which `first` is the place of the first digit.
pub(super) fn find(text: &str, first: usize, kinds: Kinds, finds: &mut Vec<Find>) {
    let groups = groups(text.as_bytes(), first);
    let (mut index, mut taken) = (0, 0);
    while index < groups.len() {
        let candidate = Candidate::new(text, &groups, index, taken == index && index > 0);
        match candidate.classify(kinds) {
            Some((rule, found)) => {
                finds.push(Find { start: found.start, end: found.end, rule: rule as usize });
                index += found.groups;
                taken = index;
            }
            None => index += 1,
        }
    }
}

fn groups(bytes: &[u8], first: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(8);
    let mut at = first;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let glue = groups.last().map_or(Glue::None, |g| glue(&bytes[g.end..at]));
        groups.push(Group { start: at, end, glue });
        at = end;
    }
    groups
}

fn glue(between: &[u8]) -> Glue {
    match between {
        b" " => Glue::Space,
        b"-" | b" -" | b"- " | b" - " => Glue::Dash,
        [0xE2, 0x80, 0x93 | 0x94] => Glue::Dash, // – and —
        b"." | [0xC2, 0xB7] => Glue::Dot,        // . and ·
        b")" | b") " | b")-" | b"(" | b" (" => Glue::Parenthesis,
        [0xEF, 0xBC, 0x88 | 0x89] | [0xEF, 0xBC, 0x89, b' ' | b'-'] => Glue::Parenthesis, // （ and ）
        _ => Glue::None,
    }
}

/// Where a number lies and how many groups it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) groups: usize,
}

/// The group that is looked at, with as many of those that hang on it as the longest number could take.
pub(super) struct Candidate<'t> {
    pub(super) text: &'t str,
    groups: &'t [Group],
    pub(super) digits: [u8; DIGITS_MAX],
    /// For each group, how many digits there are up to its end.
    cuts: [u8; DIGITS_MAX],
    count: usize,
    /// The group before this one was taken for another number.
    after_find: bool,
}

impl<'t> Candidate<'t> {
    fn new(text: &'t str, all: &'t [Group], index: usize, after_find: bool) -> Self {
        let (mut digits, mut cuts, mut count, mut len) = ([0; DIGITS_MAX], [0; DIGITS_MAX], 0, 0);
        for (i, group) in all[index..].iter().enumerate() {
            if i > 0 && group.glue == Glue::None || len + group.len() > DIGITS_MAX {
                break;
            }
            digits[len..len + group.len()].copy_from_slice(&text.as_bytes()[group.start..group.end]);
            len += group.len();
            cuts[i] = len as u8;
            count = i + 1;
        }
        Self { text, groups: &all[index..index + count.max(1)], digits, cuts, count, after_find }
    }

    fn classify(&self, kinds: Kinds) -> Option<(Rule, Found)> {
        let look = |rule: Rule, find: fn(&Self) -> Option<Found>| {
            let found = if kinds.has(rule) { find(self) } else { None };
            found.map(|found| (rule, found))
        };
        if self.total() < 8 || self.is_entangled() {
            return look(Rule::IpAddress, Self::ipv4);
        }
        look(Rule::IdentityCard, Self::identity)
            .or_else(|| look(Rule::BankCard, Self::bank_card))
            .or_else(|| look(Rule::Phone, phone::find))
            .or_else(|| look(Rule::IpAddress, Self::ipv4))
    }

    fn identity(&self) -> Option<Found> {
        let whole = || self.ending_at(18).filter(|_| is_identity_18(&self.digits[..18]));
        let old = || self.ending_at(15).filter(|f| f.groups == 1 && is_identity_15(&self.digits[..15]));
        whole().or_else(|| self.identity_ending_in_x()).or_else(old)
    }

    fn identity_ending_in_x(&self) -> Option<Found> {
        let found = self.ending_at(17)?;
        let [b'x' | b'X', after @ ..] = &self.text.as_bytes()[found.end..] else { return None };
        let mut number = [b'X'; 18];
        number[..17].copy_from_slice(&self.digits[..17]);
        let ends = !after.first().is_some_and(u8::is_ascii_alphanumeric);
        (ends && is_identity_18(&number)).then_some(Found { end: found.end + 1, ..found })
    }

    fn bank_card(&self) -> Option<Found> {
        (13..=19).rev().find_map(|len| {
            let found = self.ending_at(len)?;
            let number = &self.digits[..len];
            let printed = self.has_card_layout(found.groups) && !self.is_fraction();
            (printed && is_card_range(number) && is_luhn(number)).then_some(found)
        })
    }

    /// Cards are printed in groups of four (`4-4-4-4`, `4-4-4-4-3`), some as `4-6-5`, `6-13` or `6-10`; a list of prices is not a card.
    fn has_card_layout(&self, groups: usize) -> bool {
        let lens = self.lens(groups);
        let (last, others) = (lens[groups - 1], &lens[..groups - 1]);
        let printed = others.iter().all(|&l| l == 4 || l == 6) && (last <= 7 || groups == 2 && others[0] == 6);
        let spelled = lens[..groups].iter().all(|&l| l == 1);
        groups == 1 || self.is_evenly_glued(groups) && (printed || spelled)
    }

    /// Four groups of 0 to 255 without leading zeros, one dot apart, and no fifth. `1.2.3.4` may be a version or a section as well; it is
    /// taken for an address unless the word before it says otherwise, because an address shown is worse than a version hidden.
    fn ipv4(&self) -> Option<Found> {
        let first = self.groups[0];
        if self.count < 4 || first.glue == Glue::Dot && !self.after_find {
            return None;
        }
        let quad = &self.groups[..4];
        let valid = quad.iter().all(|g| is_octet(&self.text.as_bytes()[g.start..g.end]));
        let dotted = quad.windows(2).all(|pair| &self.text[pair[0].end..pair[1].start] == ".");
        let found = Found { start: first.start, end: quad[3].end, groups: 4 };
        let alone = !self.goes_on_after(found.end) && !version::is_version(&self.text[..first.start]);
        (valid && dotted && alone).then_some(found)
    }

    fn goes_on_after(&self, end: usize) -> bool {
        matches!(self.text.as_bytes()[end..], [b'.', b'[' | b'0'..=b'9', ..])
    }

    /// The groups from the first on that make up exactly `len` digits, if they do.
    pub(super) fn ending_at(&self, len: usize) -> Option<Found> {
        let last = self.cuts[..self.count].iter().position(|&cut| usize::from(cut) == len)?;
        Some(Found { start: self.groups[0].start, end: self.groups[last].end, groups: last + 1 })
    }

    pub(super) fn total(&self) -> usize {
        self.count.checked_sub(1).map_or(0, |last| usize::from(self.cuts[last]))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Digits up to the end of the group.
    pub(super) fn cut(&self, group: usize) -> usize {
        usize::from(self.cuts[group])
    }

    /// The lengths of the groups; those after the first `groups` mean nothing.
    pub(super) fn lens(&self, groups: usize) -> [usize; DIGITS_MAX] {
        let mut lens = [0; DIGITS_MAX];
        for (len, group) in lens.iter_mut().zip(&self.groups[..groups]) {
            *len = group.len();
        }
        lens
    }

    /// How the group hangs on the one before.
    pub(super) fn glue(&self, group: usize) -> Glue {
        self.groups[group].glue
    }

    pub(super) fn is_evenly_glued(&self, groups: usize) -> bool {
        self.groups[1..groups].iter().all(|g| g.glue == self.groups[1].glue)
    }

    /// Whether the first group continues a serial number: then several groups from here on are not a number of their own.
    pub(super) fn is_continuation(&self) -> bool {
        self.groups[0].glue.is_tight() && !self.after_find
    }

    /// Whether the first group is what follows `0.`.
    pub(super) fn is_fraction(&self) -> bool {
        let before = &self.text.as_bytes()[..self.groups[0].start];
        matches!(before, [.., b'0', b'.']) && !matches!(before, [.., b'0'..=b'9', b'0', b'.'])
    }

    /// Whether hexadecimal letters tie the first group to further digits, before or after it: then it is part of a hash or a UUID.
    fn is_entangled(&self) -> bool {
        let bytes = self.text.as_bytes();
        let before = bytes[..self.groups[0].start].iter().rev();
        let after = bytes[self.groups[0].end..].iter();
        is_hex_then_digit(before) || is_hex_then_digit(after)
    }
}

fn is_hex_then_digit<'b>(bytes: impl Iterator<Item = &'b u8>) -> bool {
    let mut letters = 0;
    for b in bytes {
        match b {
            b'a'..=b'f' | b'A'..=b'F' => letters += 1,
            b'0'..=b'9' => return letters > 0,
            _ => return false,
        }
        if letters > 32 {
            return false; // bounds the look; a hash has no 32 letters in a row
        }
    }
    false
}

fn is_octet(digits: &[u8]) -> bool {
    digits.len() <= 3 && (digits.len() == 1 || digits[0] != b'0') && super::check::value(digits) <= 255
}
