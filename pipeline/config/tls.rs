//! `[registry]`: certificates, read and taken apart at the start.

use std::path::Path;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use super::judge::Judge;
use super::key::Key;
use super::raw;

/// The certificates of a PEM file; at least one is there unless a fault was found.
pub fn certificates(key: &str, path: &Path, judge: &mut Judge) -> Vec<Certificate<'static>> {
    match read(path) {
        Ok(found) => found,
        Err(reason) => {
            judge.wrong(key, format!("({}) {reason}", path.display()), None);
            Vec::new()
        }
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(format!("is not a PEM file: {error}")),
        }
    }
    if found.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

/// What the client shows of itself: certificate and key together, or neither.
pub fn identity(registry: &raw::Registry, judge: &mut Judge) -> Option<ClientCert> {
    let table = Key::from("registry");
    match (&registry.certificate, &registry.key) {
        (None, None) => None,
        (None, Some(_)) => {
            judge.missing(&table, "certificate", "registry.key is there, but not what it is the key of");
            None
        }
        (Some(_), None) => {
            judge.missing(&table, "key", "a certificate proves nothing without its private key");
            None
        }
        (Some(path), Some(from)) => {
            let chain = certificates("registry.certificate", path, judge);
            let secret = judge.secret("registry.key", from);
            match PrivateKey::from_pem(secret.expose().as_bytes()) {
                Ok(key) => Some(ClientCert::new_with_certs(&chain, key)),
                Err(_) if secret.expose().is_empty() => None,
                Err(_) => {
                    let hint = "PKCS#8, PKCS#1 or SEC1 in PEM form, without a passphrase";
                    judge.wrong("registry.key", "is not a private key", Some(hint));
                    None
                }
            }
        }
    }
}

/// Certificates without TLS would protect nothing.
pub fn clear_text(url: &str, registry: &raw::Registry, judge: &mut Judge) {
    let keys = [("registry.ca", registry.ca.is_some()), ("registry.certificate", registry.certificate.is_some())];
    for (key, _) in keys.into_iter().filter(|(_, there)| *there && url.starts_with("http://")) {
        let message = format!("{key} is of no use with registry.url ({url:?})");
        judge.clash([key, "registry.url"], message, Some("use https://"));
    }
}
