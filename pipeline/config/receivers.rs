//! Who is told of alerts: the sections `[webhooks]` and `[alertmanagers]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert};

use super::judge::Judge;
use super::key::Key;
use super::matching::{self, Matching};
use super::raw::{self, Raw};
use super::{Secret, tls};

/// A receiver that has not answered by then hangs.
const TIMEOUT_MS: u64 = 10_000;
/// What is a day old is no news.
const GIVE_UP_MS: u64 = 86_400_000;
/// As Prometheus does it.
const RESEND_MS: u64 = 60_000;

/// Somebody who is told of alerts over HTTP.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub name: String,
    /// A webhook's as it is written, an Alertmanager's without a slash at its end.
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<Secret>,
    /// Which alerts; nothing named: all.
    pub matching: Matching,
    /// Whose signatures are believed instead of those of the public authorities.
    pub authorities: Option<Vec<Certificate<'static>>>,
    /// What this client shows of itself, where it is asked to.
    pub identity: Option<ClientCert>,
    /// For one request.
    pub timeout: Duration,
    /// An alert that could not be told for so long is given up.
    pub give_up: Duration,
    pub kind: ReceiverKind,
}

#[derive(Clone, Debug)]
pub enum ReceiverKind {
    Webhook {
        /// Requests are signed with it.
        secret: Option<Secret>,
    },
    Alertmanager {
        /// On top of an alert's own.
        labels: BTreeMap<String, String>,
        /// Where a person looks at an alert.
        link: Option<String>,
        /// What goes on is told again after so long.
        resend: Duration,
    },
}

impl ReceiverKind {
    pub fn name(&self) -> &'static str {
        match self {
            ReceiverKind::Webhook { .. } => "webhook",
            ReceiverKind::Alertmanager { .. } => "alertmanager",
        }
    }
}

/// From what is written to what holds.
pub fn receivers(raw: &Raw, judge: &mut Judge) -> Vec<Receiver> {
    let rules: Vec<&str> = raw.alerts.rules.keys().map(String::as_str).collect();
    let webhooks = raw.webhooks.iter().filter_map(|(name, written)| webhook(name, written, &rules, judge));
    let webhooks = webhooks.collect::<Vec<_>>();
    let managers = raw.alertmanagers.iter().filter_map(|(name, written)| alertmanager(name, written, &rules, judge));
    let all: Vec<Receiver> = webhooks.into_iter().chain(managers.collect::<Vec<_>>()).collect();
    if let Some(first) = all.first().filter(|_| !raw.alerts.enabled) {
        let key = format!("{}s.{}", first.kind.name(), first.name);
        let message = format!("{key} is told of nothing while alerts.enabled is false");
        judge.clash([key.as_str(), "alerts.enabled"], message, Some("set alerts.enabled = true"));
    }
    all
}

fn webhook(name: &str, written: &raw::Webhook, rules: &[&str], judge: &mut Judge) -> Option<Receiver> {
    let key = Key::from("webhooks").child(name);
    let secret = written.secret.as_ref().map(|from| judge.secret(key.child("secret"), from));
    let common = Common::of_webhook(written);
    receiver(&key, name, &common, ReceiverKind::Webhook { secret }, rules, judge)
}

fn alertmanager(name: &str, written: &raw::Alertmanager, rules: &[&str], judge: &mut Judge) -> Option<Receiver> {
    let key = Key::from("alertmanagers").child(name);
    for label in written.labels.keys().filter(|label| !is_label(label)) {
        let hint = "letters, digits and underscores, the first no digit";
        judge.wrong(key.child("labels").child(label), "is no name of a label", Some(hint));
    }
    let kind = ReceiverKind::Alertmanager {
        labels: written.labels.clone(),
        link: written.link.clone(),
        resend: Duration::from_millis(written.resend_ms.unwrap_or(RESEND_MS)),
    };
    if written.url.as_ref().is_some_and(|url| url.contains(['?', '#'])) {
        let hint = "the path of its interface comes behind the address; for a credential use authorization";
        judge.wrong(key.child("url"), "carries a query", Some(hint));
    }
    let common = Common::of_alertmanager(written);
    let receiver = receiver(&key, name, &common, kind, rules, judge)?;
    Some(Receiver { url: receiver.url.trim_end_matches('/').to_owned(), ..receiver })
}

/// What is written alike of all receivers.
struct Common<'a> {
    url: Option<&'a String>,
    authorization: Option<&'a raw::SecretFrom>,
    matching: &'a BTreeMap<String, String>,
    ca: Option<&'a PathBuf>,
    certificate: Option<&'a PathBuf>,
    key: Option<&'a raw::SecretFrom>,
    timeout_ms: Option<u64>,
    give_up_ms: Option<u64>,
}

impl<'a> Common<'a> {
    fn of_webhook(written: &'a raw::Webhook) -> Self {
        let raw::Webhook { url, secret: _, authorization, matching, ca, certificate, key, timeout_ms, give_up_ms } =
            written;
        Common {
            url: url.as_ref(),
            authorization: authorization.as_ref(),
            matching,
            ca: ca.as_ref(),
            certificate: certificate.as_ref(),
            key: key.as_ref(),
            timeout_ms: *timeout_ms,
            give_up_ms: *give_up_ms,
        }
    }

    fn of_alertmanager(written: &'a raw::Alertmanager) -> Self {
        let raw::Alertmanager { url, authorization, matching, ca, certificate, key, timeout_ms, give_up_ms, .. } =
            written;
        Common {
            url: url.as_ref(),
            authorization: authorization.as_ref(),
            matching,
            ca: ca.as_ref(),
            certificate: certificate.as_ref(),
            key: key.as_ref(),
            timeout_ms: *timeout_ms,
            give_up_ms: *give_up_ms,
        }
    }
}

fn receiver(
    key: &Key,
    name: &str,
    written: &Common,
    kind: ReceiverKind,
    rules: &[&str],
    judge: &mut Judge,
) -> Option<Receiver> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        let hint = "1 to 64 lower-case letters, digits, `_` and `-`: it is part of the consumer group's name";
        judge.wrong(key.clone(), "is not a name", Some(hint));
    }
    let Some(url) = written.url else {
        judge.missing(key, "url", "where to post to");
        return None;
    };
    address(key, url, judge);
    tls::clear_text(key, url, written.ca.is_some(), written.certificate.is_some(), judge);
    Some(Receiver {
        name: name.to_owned(),
        url: url.clone(),
        authorization: written.authorization.map(|from| judge.secret(key.child("authorization"), from)),
        matching: matching::matching(&key.child("matching"), written.matching, rules, judge),
        authorities: written.ca.map(|path| tls::certificates(key.child("ca"), path, judge)),
        identity: tls::identity(key, written.certificate, written.key, judge),
        timeout: Duration::from_millis(written.timeout_ms.unwrap_or(TIMEOUT_MS)),
        give_up: Duration::from_millis(written.give_up_ms.unwrap_or(GIVE_UP_MS)),
        kind,
    })
}

/// The address is not quoted: a webhook's is often its secret.
fn address(key: &Key, url: &str, judge: &mut Judge) {
    let parsed = url.parse::<ureq::http::Uri>().ok();
    let host = parsed.as_ref().and_then(|uri| uri.authority());
    if host.is_some_and(|host| host.as_str().contains('@')) {
        judge.wrong(key.child("url"), "carries a name or a password", Some("use authorization"));
    } else if host.is_none() || !parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
        judge.wrong(key.child("url"), "is not an http:// or https:// address", None);
    }
}

/// As Prometheus has them.
fn is_label(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
