//! One request to a receiver, and what its answer means.
//!
//! Nothing that is logged holds a header, a query or a path: in the address of a webhook they are often the secret. Of an
//! answer a few words are shown, since they say what is wrong.

use std::io::Read;

use bytes::Bytes;

use super::queue::Failed;
use crate::config::{Receiver, Secret};
use crate::http;

/// Bytes of an answer that are read; the rest goes with the connection.
const ANSWER_BYTES_MAX: u64 = 512;
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
}

impl Client {
    pub fn new(receiver: &Receiver) -> Client {
        let agent = http::agent(receiver.authorities.as_deref(), receiver.identity.clone(), receiver.timeout);
        Client { agent, url: receiver.url.clone(), authorization: receiver.authorization.clone() }
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
        let unreachable = |reason: String| Refusal { failed: Failed::Unreachable { retry_after_ms: None }, reason };
        let mut response = post.send(&request.body[..]).map_err(|error| unreachable(shown_error(&error)))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut said = Vec::new();
        // What cannot be read says nothing.
        let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut said);
        Err(Refusal { failed: judged(status, retry_after.as_deref()), reason: reason(status, &said) })
    }
}

/// Whether it is this alert that is refused, or everything for now: a wrong credential or path, a redirect, an overload.
fn judged(status: u16, retry_after: Option<&str>) -> Failed {
    match status {
        400 | 405 | 406 | 409 | 411 | 413..=418 | 422 | 424 | 431 => Failed::Refused,
        _ => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<i64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.clamp(0, RETRY_AFTER_S_MAX) * 1_000);
            Failed::Unreachable { retry_after_ms }
        }
    }
}

fn reason(status: u16, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let hint = match status {
        300..=399 => ": redirects are not followed, name the address it leads to",
        401 | 403 => ": check the receiver's authorization",
        404 => ": check the path of its url",
        _ => "",
    };
    format!("status {status}{hint} {}", said.trim()).trim_end().to_owned()
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
        let again = |retry_after_ms| Failed::Unreachable { retry_after_ms };
        assert_eq!(judged(400, None), Failed::Refused);
        assert_eq!(judged(413, Some("5")), Failed::Refused);
        for status in [301, 307, 401, 403, 404, 408, 429, 500, 503] {
            assert_eq!(judged(status, None), again(None), "{status}");
        }
        assert_eq!(judged(429, Some("5")), again(Some(5_000)));
        assert_eq!(judged(503, Some("99999999999")), again(Some(3_600_000)));
        assert_eq!(judged(503, Some("Wed, 21 Oct 2026 07:28:00 GMT")), again(None));
    }

    #[test]
    fn a_reason_is_short_and_a_name_holds_no_secret() {
        assert_eq!(reason(400, b"no such\nfield"), "status 400 no such field");
        assert_eq!(reason(302, b""), "status 302: redirects are not followed, name the address it leads to");
        assert_eq!(host("https://hooks.example:8443/T1/secret?key=x"), "https://hooks.example:8443");
    }
}
