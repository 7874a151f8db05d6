//! E-mail addresses, as RFC 5321 has them and people write them.
//!
//! Not found: addresses that hide from machines (`name at example dot com`), quoted local parts, and domains in other scripts than ASCII.

use memchr::memchr_iter;

use super::{Find, Rule};

/// Adds what it finds to `finds`, where the URLs are already: the sign after a URL's user information is no address's.
pub(super) fn find(text: &str, finds: &mut Vec<Find>) {
    let urls = finds.len();
    for at in memchr_iter(b'@', text.as_bytes()) {
        if finds[..urls].binary_search_by_key(&at, |url| url.end).is_ok() {
            continue;
        }
        let start = local_start(&text[..at]);
        if let (true, Some(len)) = (start < at, domain_len(&text.as_bytes()[at + 1..])) {
            finds.push(Find { start, end: at + 1 + len, rule: Rule::Email as usize });
        }
    }
}

/// Where the part before the sign begins; the end of `before` if there is none.
fn local_start(before: &str) -> usize {
    let rest = before.trim_end_matches(is_local);
    let local = before[rest.len()..].trim_start_matches(['.', '-', '\'', '*']);
    before.len() - local.len()
}

/// Marks that RFC 5321 allows and that in running text rather stand before an address than in it (`mail=`, `/`, `{`) are left out, and so
/// are Chinese characters (`我的邮箱foo@example.com`); letters of other alphabets are in.
fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".!#$%&'*+^_~-".contains(c) || ('\u{C0}'..'\u{590}').contains(&c) && c.is_alphabetic()
}

/// The length of the domain at the beginning: labels with dots between them, up to the last that can be a top-level domain.
fn domain_len(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut end) = (label_len(bytes), None);
    if at == 0 {
        return None;
    }
    while bytes.get(at) == Some(&b'.') {
        let label = &bytes[at + 1..];
        let letters = label.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let len = label_len(label);
        if len == 0 {
            break;
        }
        if label.starts_with(b"xn--") {
            end = Some(at + 1 + len);
        } else if letters >= 2 {
            end = Some(at + 1 + letters);
        }
        at += 1 + len;
    }
    end
}

fn label_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count()
}
