//! URLs, of which the harmless part stays: it says what the text is about.
//!
//! Of `https://ann:pw@shop.example/reset/9f8a7c6b5d4e3f2a1b0c?token=x#y` remains `https://[url]@shop.example/reset/[url]?[url]`: scheme, host
//! and path are kept; user information, everything after the first `?`, `#` or `;`, and path segments that look made by a machine are taken
//! out, whatever their names, since nobody can list the names that secrets go by. Digits in the kept part are looked at like any others.
//! Without a scheme a query is recognised after something like a host (`shop.example/reset?token=x`).

use memchr::memchr_iter;
use memchr::memmem;

use super::{Find, Rule};

/// Adds what it finds to `finds`, which must be empty, in the order of the text.
pub(super) fn find(text: &str, finds: &mut Vec<Find>) {
    let mut done = 0;
    for separator in memmem::find_iter(text.as_bytes(), "://") {
        if separator >= done && has_scheme(&text[..separator]) {
            done = inspect(text, separator + 3, finds);
        }
    }
    without_scheme(text, finds);
    finds.sort_unstable_by_key(|f| f.start);
}

fn has_scheme(before: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Looks at a URL from its authority on; gives the place where the URL ends.
fn inspect(text: &str, authority: usize, finds: &mut Vec<Find>) -> usize {
    let end = authority + url_len(&text[authority..]);
    let url = &text[..end];
    let path = find_from(url, authority, &['/', '?', '#', ';']);
    if let Some(at) = url[authority..path].rfind('@') {
        push(finds, text, authority, authority + at);
    }
    let tail = find_from(url, path, &['?', '#', ';']);
    let mut segment = path;
    for part in url[path..tail].split('/') {
        if is_machine_made(part) {
            push(finds, text, segment, segment + part.len());
        }
        segment += part.len() + 1;
    }
    push(finds, text, (tail + 1).min(end), end);
    end
}

/// What was taken out before is not taken out again.
fn push(finds: &mut Vec<Find>, text: &str, start: usize, end: usize) {
    if start < end && !text[start..].starts_with('[') {
        finds.push(Find { start, end, rule: Rule::Url as usize });
    }
}

fn find_from(url: &str, from: usize, any: &[char]) -> usize {
    url[from..].find(any).map_or(url.len(), |at| from + at)
}

/// Up to where a text that begins within a URL belongs to it. Chinese follows a URL without a space, so a character beyond ASCII ends it,
/// unless the same stretch of letters goes on with a sign that only a query has (`?q=手机&token=x`). Punctuation at the end is the
/// sentence's.
fn url_len(text: &str) -> usize {
    let mut end = 0;
    loop {
        end += text[end..].bytes().take_while(is_url_byte).count();
        let letters = text[end..].find(|c: char| c.is_ascii() || !c.is_alphanumeric()).unwrap_or(text.len() - end);
        match text.as_bytes().get(end + letters) {
            Some(b'&' | b'=' | b'%' | b'+') if letters > 0 => end += letters,
            _ => break,
        }
    }
    text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '*']).len()
}

fn is_url_byte(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"<>\"'`{}|\\^".contains(byte)
}

/// Whether a path segment is a key and not a word: a UUID, or sixteen characters on end with letters and digits mixed.
fn is_machine_made(segment: &str) -> bool {
    let is_uuid = segment.len() == 36
        && segment.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        && segment.matches('-').count() == 4;
    is_uuid || segment.split(|c: char| !c.is_ascii_alphanumeric()).any(is_key)
}

fn is_key(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    word.len() >= 16 && digits > 0 && digits < word.len()
}

fn without_scheme(text: &str, finds: &mut Vec<Find>) {
    let mut done = 0;
    for query in memchr_iter(b'?', text.as_bytes()) {
        let near = &text.as_bytes()[done.min(query)..query];
        let before = near.iter().rev().take_while(|b| is_address_byte(b)).count();
        if query < done || !is_host(&text[query - before..query]) {
            continue;
        }
        let end = query + 1 + url_len(&text[query + 1..]);
        if text[query + 1..end].contains('=') {
            push(finds, text, query + 1, end);
        }
        done = end; // a query inside this one has nothing that this one has not
    }
}

fn is_address_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_~/%:".contains(byte)
}

/// A name with a dot and a top-level domain, before any path.
fn is_host(address: &str) -> bool {
    let host = address.split(['/', ':']).next().unwrap_or_default();
    let Some((name, top)) = host.rsplit_once('.') else { return false };
    !name.is_empty() && top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic())
}
