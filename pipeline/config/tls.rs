//! Certificates of HTTP clients, read and taken apart at the start.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use super::judge::Judge;
use super::key::Key;
use super::raw;

/// The certificates of a PEM file; at least one is there unless a fault was found.
pub fn certificates(key: impl Into<Key>, path: &Path, judge: &mut Judge) -> Vec<Certificate<'static>> {
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

/// What the client shows of itself: certificate and key together, or neither. `table`: where they are written.
pub fn identity(
    table: &Key,
    certificate: Option<&PathBuf>,
    key: Option<&raw::SecretFrom>,
    judge: &mut Judge,
) -> Option<ClientCert> {
    match (certificate, key) {
        (None, None) => None,
        (None, Some(_)) => {
            judge.missing(table, "certificate", &format!("{table}.key is there, but not what it is the key of"));
            None
        }
        (Some(_), None) => {
            judge.missing(table, "key", "a certificate proves nothing without its private key");
            None
        }
        (Some(path), Some(from)) => {
            let chain = certificates(table.child("certificate"), path, judge);
            let secret = judge.secret(table.child("key"), from);
            match PrivateKey::from_pem(secret.expose().as_bytes()) {
                Ok(key) => Some(ClientCert::new_with_certs(&chain, key)),
                Err(_) if secret.expose().is_empty() => None,
                Err(_) => {
                    let hint = "PKCS#8, PKCS#1 or SEC1 in PEM form, without a passphrase";
                    judge.wrong(table.child("key"), "is not a private key", Some(hint));
                    None
                }
            }
        }
    }
}

/// Certificates without TLS would protect nothing.
pub fn clear_text(table: &Key, url: &str, ca: bool, certificate: bool, judge: &mut Judge) {
    for (name, _) in [("ca", ca), ("certificate", certificate)].into_iter().filter(|(_, there)| *there) {
        if url.starts_with("http://") {
            let key = format!("{}", table.child(name));
            let message = format!("{key} is of no use with {table}.url, which begins with http://");
            judge.clash([key.as_str(), &format!("{}", table.child("url"))], message, Some("use https://"));
        }
    }
}
