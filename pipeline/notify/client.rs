//! One request to a receiver, and what its answer means.
//!
//! Nothing that is logged holds a header, a query or a path: in the address of a webhook they are often the secret. Of an
//! answer a few words are shown, since they say what is wrong, unless it repeats a part of these.

use std::io::{ErrorKind, Read};

use bytes::Bytes;

use super::queue::Failed;
use crate::config::{Receiver, Secret};
use crate::http;

/// Bytes of an answer that are read; the rest goes with the connection.
const ANSWER_BYTES_MAX: u64 = 8_192;
/// Characters of it that are shown: so few, that a secret which begins among them was read to its end.
const SHOWN_CHARS_MAX: usize = 512;
/// A shorter part of an address is no secret, and is found in any answer.
const SECRET_CHARS_MIN: usize = 3;
/// A longer wish counts as this.
const RETRY_AFTER_S_MAX: i64 = 3_600;

/// What is posted.
#[derive(Clone, Debug)]
pub struct Request {
    /// Behind the receiver's address.
    pub path: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// Why it was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub failed: Failed,
    pub reason: String,
}

pub struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Option<Secret>,
    /// What an answer that is shown may not hold, see [`letters`].
    hidden: Vec<String>,
}

impl Client {
    pub fn new(receiver: &Receiver) -> Client {
        let agent = http::agent(receiver.authorities.as_deref(), receiver.identity.clone(), receiver.timeout);
        let authorization = receiver.authorization.clone();
        let hidden = hidden(&receiver.url, authorization.as_ref().map(Secret::expose));
        Client { agent, url: receiver.url.clone(), authorization, hidden }
    }

    /// Waits for the answer, and no longer than the receiver's time-out.
    pub fn post(&self, request: &Request) -> Result<(), Refusal> {
        let mut post = self.agent.post(format!("{}{}", self.url, request.path)).content_type("application/json");
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            post = post.header("authorization", authorization.expose());
        }
        let refusal = |error| Refusal { failed: unanswered(&error), reason: shown_error(&error) };
        let mut response = post.send(&request.body[..]).map_err(refusal)?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut said = Vec::new();
        // What cannot be read says nothing.
        let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut said);
        Err(Refusal { failed: judged(status, retry_after.as_deref()), reason: reason(status, &said, &self.hidden) })
    }
}

/// Whether it is this alert that is refused, or everything for now: a wrong credential or path, a redirect, an overload.
fn judged(status: u16, retry_after: Option<&str>) -> Failed {
    match status {
        400 | 405 | 406 | 409 | 411 | 413..=418 | 422 | 424 | 431 => Failed::Refused,
        _ => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<i64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.clamp(0, RETRY_AFTER_S_MAX) * 1_000);
            Failed::Failing { retry_after_ms }
        }
    }
}

/// Whether nobody was there, or somebody who may have taken it.
fn unanswered(error: &ureq::Error) -> Failed {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Failed::Unreachable,
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Failed::Unreachable,
        _ => Failed::Failing { retry_after_ms: None },
    }
}

fn reason(status: u16, said: &[u8], hidden: &[String]) -> String {
    let said = String::from_utf8_lossy(said);
    let repeated = letters(&said);
    let said: String = if hidden.iter().any(|secret| repeated.contains(secret)) {
        "(its answer repeats a part of the url or of the authorization, and is not shown)".to_owned()
    } else {
        said.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let hint = match status {
        300..=399 => ": redirects are not followed, name the address it leads to",
        401 | 403 => ": check the receiver's authorization",
        404 => ": check the path of its url",
        _ => "",
    };
    format!("status {status}{hint} {}", said.trim()).trim_end().to_owned()
}

/// The parts of path and query, and the credential behind the scheme.
fn hidden(url: &str, authorization: Option<&str>) -> Vec<String> {
    let uri = url.parse::<ureq::http::Uri>().unwrap_or_default();
    let parts = uri.path_and_query().map_or("", |parts| parts.as_str()).split(['/', '?', '&', '=', '%']);
    let credential = authorization.and_then(|value| value.split_whitespace().last());
    let all = parts.chain(credential).map(letters);
    all.filter(|part| part.chars().count() >= SECRET_CHARS_MIN).collect()
}

/// Letters and digits only, in lower case: what is left of a text however it is quoted.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Without the address: it may hold a secret.
fn shown_error(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(part) => format!("no answer in time ({part})"),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        ureq::Error::BadUri(_) => "its url is none".to_owned(),
        error => error.to_string(),
    }
}

/// How a receiver may be named in a message: its scheme, host and port.
pub fn host(url: &str) -> String {
    let uri = url.parse::<ureq::http::Uri>().unwrap_or_default();
    let authority = uri.authority().map_or("?", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_from_what_is_out_of_reach() {
        let again = |retry_after_ms| Failed::Failing { retry_after_ms };
        assert_eq!(judged(400, None), Failed::Refused);
        assert_eq!(judged(413, Some("5")), Failed::Refused);
        for status in [301, 307, 401, 403, 404, 408, 429, 500, 503] {
            assert_eq!(judged(status, None), again(None), "{status}");
        }
        assert_eq!(judged(429, Some("5")), again(Some(5_000)));
        assert_eq!(judged(503, Some("99999999999")), again(Some(3_600_000)));
        assert_eq!(judged(503, Some("Wed, 21 Oct 2026 07:28:00 GMT")), again(None));
        assert_eq!(unanswered(&ureq::Error::ConnectionFailed), Failed::Unreachable);
        assert_eq!(unanswered(&ureq::Error::Io(ErrorKind::ConnectionRefused.into())), Failed::Unreachable);
        assert_eq!(unanswered(&ureq::Error::Io(ErrorKind::ConnectionReset.into())), again(None));
    }

    #[test]
    fn a_reason_is_short_and_a_name_holds_no_secret() {
        assert_eq!(reason(400, b"no such\nfield", &[]), "status 400 no such field");
        assert_eq!(reason(400, "x".repeat(9_000).as_bytes(), &[]).len(), "status 400 ".len() + SHOWN_CHARS_MAX);
        assert_eq!(reason(302, b"", &[]), "status 302: redirects are not followed, name the address it leads to");
        assert_eq!(host("https://hooks.example:8443/T1/secret?key=x"), "https://hooks.example:8443");
    }

    #[test]
    fn an_answer_that_repeats_the_address_is_not_shown() {
        let hidden = hidden("https://hooks.example/services/T1/B-2x%2Fyz-77?key=s3cr3t&v=1", Some("Bearer to-ken"));
        assert_eq!(hidden, ["services", "b2x", "2fyz77", "key", "s3cr3t", "token"]);
        for said in [
            "Cannot POST /services/T1",
            "no route: &#47;SERVICES&#47;",
            "unknown: S3CR3T",
            r#"{"authorization":"Bearer to-ken"}"#,
            &format!("{}s3cr3t", " ".repeat(600)),
        ] {
            let shown = reason(400, said.as_bytes(), &hidden);
            assert!(shown.ends_with("is not shown)"), "{said}: {shown}");
        }
        assert_eq!(reason(422, b"no field of this name", &hidden), "status 422 no field of this name");
    }
}
