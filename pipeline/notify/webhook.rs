//! An alert as a webhook gets it: the same JSON as in the topic, signed.
//!
//! The signature has the form that Stripe's webhooks have: `Groundswell-Signature: t=SECONDS,v1=HEX`, where HEX is the
//! HMAC-SHA256 (RFC 2104) of `SECONDS.BODY` under the shared secret. The time is signed too, so that a receiver can refuse
//! what somebody recorded and sends again. `Idempotency-Key` is the same for every try of one revision and for no other.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::client::Request;
use crate::codec::Encoder;
use crate::config::{OutputFormat, Secret};
use crate::event::{Error, v1};

pub struct Webhook {
    encoder: Encoder<v1::Alert>,
    secret: Option<Secret>,
}

impl Webhook {
    pub fn new(secret: Option<Secret>) -> Result<Webhook, Error> {
        Ok(Webhook { encoder: Encoder::new(OutputFormat::Json, None)?, secret })
    }

    pub fn request(&self, alert: &v1::Alert, now_ms: i64) -> Request {
        let body = self.encoder.encode(alert);
        let mut headers = vec![("idempotency-key", format!("{}-{}", alert.id, alert.revision))];
        if let Some(secret) = &self.secret {
            headers.push(("groundswell-signature", signature(secret, now_ms.div_euclid(1_000), &body)));
        }
        Request { path: "", headers, body }
    }
}

fn signature(secret: &Secret, seconds: i64, body: &Bytes) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1795341600.{}' | openssl dgst -sha256 -hmac key`.
    #[test]
    fn the_signature_is_what_others_work_out() {
        let signed = signature(&Secret::new("key"), 1_795_341_600, &Bytes::from_static(b"{}"));
        let expected = "7ee99f012da9d6806b48b930ac5da4433e9f212b237e5efa79ed0cfe5fbdcd27";
        assert_eq!(signed, format!("t=1795341600,v1={expected}"));
    }

    #[test]
    fn every_try_of_a_revision_has_one_key() {
        let webhook = Webhook::new(None).unwrap();
        let alert = |revision| v1::Alert { id: "a1".into(), revision, ..v1::Alert::default() };
        let key = |revision, now_ms| webhook.request(&alert(revision), now_ms).headers[0].1.clone();
        assert_eq!((key(2, 5), key(2, 9_000), key(3, 9_000)), ("a1-2".into(), "a1-2".into(), "a1-3".into()));
        assert_eq!(webhook.request(&alert(1), 0).headers.len(), 1, "nothing to sign with");
    }
}
