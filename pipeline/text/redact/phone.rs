//! Telephone numbers.
//!
//! Found: mobile numbers of mainland China (with 86, 0086, +86 or 0 before them), its landlines with area code and extension, its 400 and
//! 800 numbers, North American numbers in their usual grouping, and any number written internationally (+ or 00, 8 to 15 digits, ITU-T
//! E.164). Not found: landlines without area code and other countries' numbers without country code, which look like any other number, and
//! numbers spelled in words or Chinese numerals.

use super::check::value;
use super::number::{Candidate, Found, Glue};

/// The telephone number that begins at the candidate's first group, with the sign or parenthesis before it.
pub(super) fn find(candidate: &Candidate<'_>) -> Option<Found> {
    let lead = Lead::of(candidate);
    let found = match lead.plus {
        true => china_after_plus(candidate).or_else(|| international(candidate, 0)).or_else(|| national(candidate)),
        false => national(candidate).or_else(|| after_double_zero(candidate)),
    };
    found.map(|f| Found { start: lead.start, ..f })
}

fn national(candidate: &Candidate<'_>) -> Option<Found> {
    mobile(candidate, 0)
        .or_else(|| prefixed(candidate, b"86").and_then(|skip| mobile(candidate, skip)))
        .or_else(|| {
            prefixed(candidate, b"0086")
                .and_then(|skip| mobile(candidate, skip).or_else(|| landline_abroad(candidate, skip)))
        })
        .or_else(|| {
            prefixed(candidate, b"0").filter(|&zero| candidate.cut(0) > zero).and_then(|skip| mobile(candidate, skip))
        })
        .or_else(|| landline(candidate))
        .or_else(|| hotline(candidate))
        .or_else(|| north_american(candidate, 0))
        .or_else(|| prefixed(candidate, b"1").and_then(|skip| north_american(candidate, skip)))
}

fn china_after_plus(candidate: &Candidate<'_>) -> Option<Found> {
    let skip = prefixed(candidate, b"86")?;
    mobile(candidate, skip).or_else(|| landline_abroad(candidate, skip))
}

fn prefixed(candidate: &Candidate<'_>, prefix: &[u8]) -> Option<usize> {
    candidate.digits.starts_with(prefix).then_some(prefix.len())
}

/// What stands before the digits and belongs to the number.
struct Lead {
    start: usize,
    plus: bool,
}

impl Lead {
    fn of(candidate: &Candidate<'_>) -> Self {
        let first = candidate.ending_at(candidate.cut(0)).map_or(0, |f| f.start);
        let before = &candidate.text[..first];
        let unsigned =
            before.strip_suffix('+').filter(|b| !b.ends_with(|c: char| c == '+' || c.is_ascii_alphanumeric()));
        let rest = unsigned.unwrap_or(before);
        let closes = candidate.count() > 1 && candidate.glue(1) == Glue::Parenthesis;
        let opened = rest.strip_suffix(['(', '（']).filter(|_| closes);
        Self { start: opened.unwrap_or(rest).len(), plus: unsigned.is_some() }
    }
}

/// Eleven digits from 13 to 19, after `skip` digits of a prefix.
fn mobile(candidate: &Candidate<'_>, skip: usize) -> Option<Found> {
    let found = candidate.ending_at(skip + 11)?;
    let number = &candidate.digits[skip..skip + 11];
    let in_range = number[0] == b'1' && number[1] >= b'3';
    (in_range && is_spoken_grouping(candidate, found.groups, skip)).then_some(found)
}

/// One group, or groups as people speak them (`138 0013 8000`), or every digit for itself, with the prefix in the first group or before it.
fn is_spoken_grouping(candidate: &Candidate<'_>, groups: usize, skip: usize) -> bool {
    if groups == 1 {
        return !candidate.is_fraction();
    }
    let lens = candidate.lens(groups);
    let spelled = lens[..groups].iter().all(|&l| l == 1);
    let prefix_groups = (0..groups).position(|g| candidate.cut(g) == skip).map_or(0, |g| g + 1);
    let number = &lens[prefix_groups..groups];
    let attached = if prefix_groups == 0 { skip } else { 0 };
    let spoken = number[0] - attached.min(number[0]) >= 3 && number[1..].iter().all(|&l| l >= 2);
    !candidate.is_continuation() && (spelled || spoken)
}

/// Area code and local number of mainland China: `010-62345678`, `(0755) 8888 8888`, `02162345678`, with an extension of up to six digits.
fn landline(candidate: &Candidate<'_>) -> Option<Found> {
    let found = match candidate.digits[..3] {
        [b'0', b'1', b'0'] | [b'0', b'2', _] => local(candidate, 3, &[8]),
        [b'0', b'3'..=b'9', _] => local(candidate, 4, &[8, 7]),
        _ => None,
    };
    found.map(|f| with_extension(candidate, f))
}

/// The same without the area code's zero, after the country code.
fn landline_abroad(candidate: &Candidate<'_>, skip: usize) -> Option<Found> {
    match candidate.digits[skip..skip + 2] {
        [b'1', b'0'] | [b'2', _] => local(candidate, skip + 2, &[8]),
        [b'3'..=b'9', _] => local(candidate, skip + 3, &[8, 7]),
        _ => None,
    }
}

/// A local number from 2 to 8 of one of these lengths, after an area code that ends at `area` digits and, if there are several groups,
/// with its group.
fn local(candidate: &Candidate<'_>, area: usize, lens: &[usize]) -> Option<Found> {
    let found = lens.iter().find_map(|len| candidate.ending_at(area + len))?;
    let whole = found.groups == 1 && !candidate.is_fraction();
    let grouped =
        found.groups > 1 && !candidate.is_continuation() && (0..found.groups).any(|g| candidate.cut(g) == area);
    let spoken = candidate.lens(found.groups)[1..found.groups].iter().all(|&l| l >= 2);
    ((b'2'..=b'8').contains(&candidate.digits[area]) && (whole || grouped && spoken)).then_some(found)
}

fn with_extension(candidate: &Candidate<'_>, found: Found) -> Found {
    let next = found.groups;
    if next >= candidate.count() || candidate.glue(next) != Glue::Dash || candidate.lens(next + 1)[next] > 6 {
        return found;
    }
    candidate.ending_at(candidate.cut(next)).map_or(found, |f| Found { start: found.start, ..f })
}

/// `400` or `800` and seven digits, in groups of three and more.
fn hotline(candidate: &Candidate<'_>) -> Option<Found> {
    let found = candidate.ending_at(10)?;
    let lens = candidate.lens(found.groups);
    let grouped = lens[..found.groups].iter().all(|&l| l >= 3) && !candidate.is_continuation();
    let free = matches!(&candidate.digits[..3], b"400" | b"800");
    (free && (found.groups == 1 && !candidate.is_fraction() || grouped)).then_some(found)
}

/// `(415) 555-2671`, `415.555.2671`, `1-415-555-2671`: area code and exchange from 2 to 9, in groups of 3, 3 and 4. Ten digits without
/// separators look like any other number and are left.
fn north_american(candidate: &Candidate<'_>, skip: usize) -> Option<Found> {
    let found = candidate.ending_at(skip + 10)?;
    let lens = candidate.lens(found.groups);
    let grouped = lens[..found.groups] == [3, 3, 4] || lens[..found.groups] == [1, 3, 3, 4];
    let (area, exchange) = (value(&candidate.digits[skip..skip + 3]), value(&candidate.digits[skip + 3..skip + 6]));
    let in_range = (200..1000).contains(&area) && (200..1000).contains(&exchange) && (area % 100 != 0 || area == 800);
    (grouped && in_range && !candidate.is_continuation()).then_some(found)
}

/// `0044 7911 123456`: without a separator after the country code it would be any long number.
fn after_double_zero(candidate: &Candidate<'_>) -> Option<Found> {
    let country = candidate.cut(0);
    let written = candidate.digits.starts_with(b"00") && (3..=5).contains(&country) && candidate.digits[2] != b'0';
    if written { international(candidate, 2) } else { None }
}

/// The longest number of 8 to 15 digits, country code included, after `skip` digits. It ends at a space once it is as long as most are.
fn international(candidate: &Candidate<'_>, skip: usize) -> Option<Found> {
    let north_american = candidate.digits[skip] == b'1';
    if candidate.digits[skip] == b'0' {
        return None;
    }
    let mut found = None;
    for group in 0..candidate.count() {
        let len = candidate.cut(group).saturating_sub(skip);
        let single = group > 1 && candidate.lens(group + 1)[group] < 2;
        let complete = len > 11 && group > 0 && candidate.glue(group) == Glue::Space && found.is_some();
        if len > 15 || single || complete && candidate.cut(group - 1) >= skip + 10 {
            break;
        }
        let fits = if north_american { len == 11 } else { len >= 8 };
        found = if fits { candidate.ending_at(candidate.cut(group)) } else { found };
    }
    found
}
