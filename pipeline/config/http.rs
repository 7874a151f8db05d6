//! The section `[http]`: as written, and as it holds.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::judge::Judge;
use super::raw::SecretFrom;
use super::settings::Secret;

/// Bytes of a token: 128 bits cannot be guessed.
const TOKEN_BYTES_MIN: usize = 16;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Written {
    /// `ADDRESS:PORT`, or `off`. Beyond loopback, set `http.token`, or put it where only those who may look can reach it.
    pub listen: String,
    /// What look-ups (`/v1/…`) must carry as `Authorization: Bearer TOKEN`, `{ env = "NAME" }` or `{ file = "PATH" }`; at least 16 bytes, the same for all instances. Probes and metrics ask for none. Absent: nobody is asked for one.
    pub token: Option<SecretFrom>,
    /// Where other instances, and clients that they redirect, reach this one: `http://HOST:PORT` or `https://HOST:PORT`. With it, instances tell each other in the topic `PREFIX-owners` which partitions of clicks they have, and a look-up finds its user whichever of them is asked. Absent: this instance answers for the partitions that it has, and knows of no others.
    pub advertised_url: Option<String>,
    /// What becomes of a look-up whose user another instance has.
    pub elsewhere: Elsewhere,
    /// How those who write the clicks choose a partition by the record's key, which must be the user as in the field `user`.
    pub partitioner: Partitioner,
    /// Bytes of alerts, overhead included, that this instance reads back to answer `/v1/alerts`: all that are open and the last of those that have ended, of all instances. An alert takes some 5 KB. Only where `alerts.enabled` is set.
    #[schemars(range(min = 65_536, max = 17_179_869_184_u64))]
    pub alerts_bytes_max: usize,
    /// The same of trends, for `/v1/trends`: the newest buckets of all scopes. A bucket of a scope takes some 500 bytes.
    #[schemars(range(min = 65_536, max = 17_179_869_184_u64))]
    pub trends_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Elsewhere {
    /// This instance asks that one and hands its answer on: clients need to reach one address only. Needs an `advertised_url` of `http://`.
    Proxy,
    /// The client is sent there, with status 307: no instance works for another. Clients must reach every instance, and many do not take a token along.
    Redirect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partitioner {
    /// Kafka's own, as Java's clients have it, and `groundswell replay`; librdkafka's `murmur2` and `murmur2_random`.
    Murmur2,
    /// What clients over librdkafka do unless told otherwise, in Python, Go, .NET and Node: `consistent` and `consistent_random`.
    Crc32,
}

/// What is said over HTTP, and to whom.
#[derive(Clone, Debug)]
pub struct Http {
    /// `None`: no HTTP at all.
    pub listen: Option<SocketAddr>,
    /// What look-ups must carry.
    pub token: Option<Secret>,
    /// Without a slash at its end. `None`: instances do not know of each other.
    pub advertised_url: Option<String>,
    pub elsewhere: Elsewhere,
    pub partitioner: Partitioner,
    pub alerts_bytes_max: usize,
    pub trends_bytes_max: usize,
}

pub fn http(written: &Written, judge: &mut Judge) -> Http {
    let token = written.token.as_ref().map(|from| judge.secret("http.token", from));
    if let Some(token) = &token {
        token_can_be_sent(token, judge);
    }
    if let Some(url) = &written.advertised_url {
        advertised(url, written.elsewhere, judge);
    }
    Http {
        listen: listen(&written.listen, judge),
        token,
        advertised_url: written.advertised_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
        elsewhere: written.elsewhere,
        partitioner: written.partitioner,
        alerts_bytes_max: written.alerts_bytes_max,
        trends_bytes_max: written.trends_bytes_max,
    }
}

fn listen(written: &str, judge: &mut Judge) -> Option<SocketAddr> {
    if written == "off" {
        return None;
    }
    let parsed = written.parse();
    if parsed.is_err() {
        let hint = "\"127.0.0.1:9464\" for this machine alone, \"0.0.0.0:9464\" for all that can reach it, or \"off\"";
        judge.wrong("http.listen", format!("({written:?}) is not address:port"), Some(hint));
    }
    parsed.ok()
}

fn token_can_be_sent(token: &Secret, judge: &mut Judge) {
    let token = token.expose();
    // A secret that could not be fetched is a fault already.
    if token.is_empty() {
        return;
    }
    if token.len() < TOKEN_BYTES_MIN {
        let hint = "a short token can be guessed; `openssl rand -hex 32` makes one";
        judge.wrong("http.token", format!("has {} bytes, fewer than {TOKEN_BYTES_MIN}", token.len()), Some(hint));
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        judge.wrong("http.token", "has characters that a header cannot carry", Some("letters, digits and punctuation"));
    }
}

fn advertised(url: &str, elsewhere: Elsewhere, judge: &mut Judge) {
    let parsed = url.parse::<ureq::http::Uri>().ok();
    let is_base = |uri: &ureq::http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none()
    };
    if url.contains('@') {
        judge.wrong("http.advertised_url", "carries a name or a password", Some("use http.token"));
    } else if !parsed.as_ref().is_some_and(is_base) {
        let hint =
            "as in \"http://10.0.0.7:9464\"; in a pod, GROUNDSWELL__HTTP__ADVERTISED_URL can hold its own address";
        judge.wrong(
            "http.advertised_url",
            format!("({url:?}) is not http://HOST:PORT or https://HOST:PORT"),
            Some(hint),
        );
    } else if elsewhere == Elsewhere::Proxy && !url.starts_with("http://") {
        let message = format!("http.elsewhere (\"proxy\") needs an http.advertised_url of http://, found {url:?}");
        let hint = "instances speak to each other without TLS: \"redirect\", or an address inside the network";
        judge.clash(["http.advertised_url", "http.elsewhere"], message, Some(hint));
    }
}
