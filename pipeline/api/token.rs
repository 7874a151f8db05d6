//! Who may look things up: whoever carries the configured token.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Seen, refuse};
use crate::config::Secret;
use crate::event::{Error, Fault};

/// The token, to be compared with what clients present and never to be shown.
///
/// What is compared are hashes under a key that only this process knows, so how long it takes tells nothing of the token.
pub struct Token {
    keyed: Hmac<Sha256>,
    expected: Vec<u8>,
}

impl Token {
    /// # Errors
    /// A bug's, if the system gives no random bytes.
    pub fn new(secret: &Secret) -> Result<Token, Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| Error::new(Fault::Bug, format!("the system gives no random bytes: {error}")))?;
        let keyed = Hmac::new_from_slice(&key)
            .map_err(|error| Error::new(Fault::Bug, format!("a key of 32 bytes is refused: {error}")))?;
        let expected = keyed.clone().chain_update(secret.expose()).finalize().into_bytes().to_vec();
        Ok(Token { keyed, expected })
    }

    fn is(&self, presented: &[u8]) -> bool {
        self.keyed.clone().chain_update(presented).verify_slice(&self.expected).is_ok()
    }
}

/// Lets through who carries the token, where there is one.
pub(super) async fn ask_for_token(State(seen): State<Seen>, request: Request, next: Next) -> Response {
    let Some(token) = &seen.look_ups.token else { return next.run(request).await };
    match bearer(request.headers().get(AUTHORIZATION)) {
        Some(presented) if token.is(presented) => next.run(request).await,
        Some(_) => unauthorized("Bearer realm=\"groundswell\", error=\"invalid_token\"", "the token is another"),
        None => unauthorized("Bearer realm=\"groundswell\"", "a token is asked for: Authorization: Bearer TOKEN"),
    }
}

fn bearer(header: Option<&HeaderValue>) -> Option<&[u8]> {
    let bytes = header?.as_bytes();
    let (scheme, rest) = bytes.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

fn unauthorized(challenge: &'static str, why: &str) -> Response {
    let mut response = refuse(StatusCode::UNAUTHORIZED, why);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new(&Secret::new("0123456789abcdef")).unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_token_is_found_behind_its_scheme() {
        let check = |header: &[u8], expected: Option<&[u8]>| {
            assert_eq!(bearer(Some(&HeaderValue::from_bytes(header).unwrap())), expected);
        };
        check(b"Bearer abc", Some(b"abc"));
        check(b"bearer  abc ", Some(b"abc"));
        check(b"Bearer \xff", Some(b"\xff"));
        check(b"Bearer", None);
        check(b"Basic abc", None);
        check(b"", None);
        assert_eq!(bearer(None), None);
    }
}
