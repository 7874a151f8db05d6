//! IPv6 addresses.

use std::net::Ipv6Addr;

use memchr::memchr;

use super::{Find, Rule};

/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255` and a colon on either side.
const LEN_MAX: usize = 47;

pub(super) fn find(text: &str, finds: &mut Vec<Find>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    while let Some(colon) = memchr(b':', &bytes[done..]).map(|at| done + at) {
        let start = colon - bytes[done..colon].iter().rev().take_while(|b| is_part(b)).count();
        let end = colon + bytes[colon..].iter().take_while(|b| is_part(b)).count();
        if let Some((from, to)) = address(bytes, start, end) {
            finds.push(Find { start: from, end: to, rule: Rule::IpAddress as usize });
        }
        done = end;
    }
}

fn is_part(byte: &u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

/// The address in a run of characters that addresses are made of, without the punctuation around it.
fn address(bytes: &[u8], mut start: usize, mut end: usize) -> Option<(usize, usize)> {
    if end - start > LEN_MAX || start > 0 && matches!(bytes[start - 1], b']') || bytes.get(end) == Some(&b'[') {
        return None;
    }
    if bytes[start] == b':' && bytes.get(start + 1) != Some(&b':') {
        start += 1;
    } else if start > 0 && is_word(bytes[start - 1]) {
        return None;
    }
    while end > start && (bytes[end - 1] == b'.' || bytes[end - 1] == b':' && !bytes[start..end].ends_with(b"::")) {
        end -= 1;
    }
    if bytes.get(end).is_some_and(|b| is_word(*b)) {
        return None;
    }
    let text = std::str::from_utf8(&bytes[start..end]).ok()?;
    (says_enough(text) && text.parse::<Ipv6Addr>().is_ok()).then_some((start, end))
}

/// `a::b` is a path in a programming language, `::1` nobody's address.
fn says_enough(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_hexdigit).count() >= 5 && text.bytes().any(|b| b.is_ascii_digit())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
