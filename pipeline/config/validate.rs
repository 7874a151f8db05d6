//! From what is written to what holds: the values by themselves and in relation to each other.

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::Regex;
use tracing_subscriber::EnvFilter;

use super::alerts::alerts;
use super::http::http;
use super::inputs::{distinct, framed, inputs, models, outputs};
use super::judge::Judge;
use super::kafka::{kafka, name};
use super::key::Key;
use super::raw::{self, Payload, Raw, User};
use super::receivers::receivers;
use super::recommendations::recommendations;
use super::settings::*;
use super::tls;

/// Bytes of a pseudonym's secret: 128 bits cannot be guessed.
const USER_SECRET_BYTES_MIN: usize = 16;

/// The settings, which hold only if no fault was found.
pub fn validate(raw: &Raw, judge: &mut Judge) -> Settings {
    Settings {
        instance: instance(&raw.instance, judge),
        kafka: kafka(raw, judge),
        delivery: delivery(raw, judge),
        inputs: inputs(raw, judge),
        outputs: outputs(raw, judge),
        registry: registry(raw, judge),
        text: Text {
            include_text: raw.text.include_text,
            include_embedding: raw.text.include_embedding,
            payload_bytes_max: raw.text.payload_bytes_max,
            future_max: Duration::from_millis(raw.text.future_ms_max),
        },
        clicks: clicks(&raw.clicks, judge),
        recommendations: recommendations(&raw.recommendations, judge),
        alerts: alerts(&raw.alerts, judge),
        receivers: receivers(raw, judge),
        redaction: redaction(&raw.redaction, judge),
        batch: batch(&raw.batch, judge),
        cache_bytes_max: raw.cache.bytes_max,
        models: models(raw, judge),
        inference: inference(&raw.inference, judge),
        state: State { directory: raw.state.directory.clone(), memory_bytes_max: raw.state.memory_bytes_max },
        dead_letters: DeadLetters { payload: payload(&raw.dead_letters, judge) },
        http: http(&raw.http, judge),
        log: log(&raw.log, judge),
    }
}

fn clicks(raw: &raw::Clicks, judge: &mut Judge) -> Clicks {
    let mut model = |key: &str, written: &str| {
        if written.is_empty() {
            judge.wrong(key, "is empty", Some("a model's directory, or \"off\""));
        }
        (written != "off").then(|| PathBuf::from(written))
    };
    let purchase_model = model("clicks.purchase_model", &raw.purchase_model);
    let segment_model = model("clicks.segment_model", &raw.segment_model);
    Clicks {
        session_gap: Duration::from_millis(raw.session_gap_ms),
        grace: Duration::from_millis(raw.grace_ms),
        utc_offset_minutes: raw.utc_offset_minutes,
        future_max: Duration::from_millis(raw.future_ms_max),
        include_features: raw.include_features,
        purchase_model,
        interest_half_life: Duration::from_millis(raw.interest_half_life_ms),
        profile_interval: Duration::from_millis(raw.profile_interval_ms),
        segment_model,
        include_reviews: raw.include_reviews,
        reviews_bytes_max: raw.reviews_bytes_max,
    }
}

fn instance(raw: &raw::Instance, judge: &mut Judge) -> String {
    let found = raw.name.clone().or_else(|| host_name(judge));
    match found {
        Some(instance) => {
            name("instance.name", &instance, judge);
            instance
        }
        None => {
            judge.wrong(
                "instance.name",
                "is missing, and the host has no name to take",
                Some("give the instance a name"),
            );
            String::new()
        }
    }
}

/// As the environment has it, otherwise as the kernel has it.
fn host_name(judge: &Judge) -> Option<String> {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let named = judge.env.get("HOSTNAME").cloned().into_iter().chain(files.into_iter().filter_map(read));
    named.into_iter().find(|name| !name.is_empty())
}

fn delivery(raw: &Raw, judge: &mut Judge) -> Delivery {
    let d = &raw.delivery;
    if d.epoch_ms_max > d.transaction_timeout_ms / 2 {
        let (epoch, timeout) = (d.epoch_ms_max, d.transaction_timeout_ms);
        let message =
            format!("delivery.epoch_ms_max ({epoch}) is above half of delivery.transaction_timeout_ms ({timeout})");
        let hint = "the broker could abort an epoch while it is still being filled";
        judge.clash(["delivery.epoch_ms_max", "delivery.transaction_timeout_ms"], message, Some(hint));
    }
    if d.shutdown_ms_max < d.epoch_ms_max {
        let (shutdown, epoch) = (d.shutdown_ms_max, d.epoch_ms_max);
        let message = format!("delivery.shutdown_ms_max ({shutdown}) is below delivery.epoch_ms_max ({epoch})");
        let hint = "the last epoch could never be committed";
        judge.clash(["delivery.shutdown_ms_max", "delivery.epoch_ms_max"], message, Some(hint));
    }
    if raw.text.payload_bytes_max > d.in_flight_bytes_max {
        let (payload, in_flight) = (raw.text.payload_bytes_max, d.in_flight_bytes_max);
        let message = format!("text.payload_bytes_max ({payload}) is above delivery.in_flight_bytes_max ({in_flight})");
        let hint = "a record of that size would never be read";
        judge.clash(["text.payload_bytes_max", "delivery.in_flight_bytes_max"], message, Some(hint));
    }
    Delivery {
        mode: d.mode,
        epoch_ms_max: Duration::from_millis(d.epoch_ms_max),
        epoch_events_max: d.epoch_events_max,
        transaction_timeout: Duration::from_millis(d.transaction_timeout_ms),
        in_flight_records_max: d.in_flight_records_max,
        in_flight_bytes_max: d.in_flight_bytes_max,
        shutdown_max: Duration::from_millis(d.shutdown_ms_max),
    }
}

fn registry(raw: &Raw, judge: &mut Judge) -> Option<Registry> {
    let r = &raw.registry;
    if r.password.is_some() && r.username.is_none() {
        judge.missing(&Key::from("registry"), "username", "registry.password is there, but not whose it is");
    }
    let Some(url) = &r.url else {
        for format in framed(raw) {
            let message = format!("{format} (\"protobuf_framed\") needs a registry, and registry.url is missing");
            judge.clash([&format, "registry.url"], message, Some("set registry.url, or use the format \"protobuf\""));
        }
        if r.username.is_some() || r.register || r.ca.is_some() || r.certificate.is_some() {
            judge.missing(&Key::from("registry"), "url", "[registry] is of no use without it");
        }
        return None;
    };
    address(url, judge);
    tls::clear_text(&Key::from("registry"), url, r.ca.is_some(), r.certificate.is_some(), judge);
    Some(Registry {
        url: url.trim_end_matches('/').to_owned(),
        username: r.username.clone(),
        password: r.password.as_ref().map(|from| judge.secret("registry.password", from)),
        authorities: r.ca.as_ref().map(|path| tls::certificates("registry.ca", path, judge)),
        identity: tls::identity(&Key::from("registry"), r.certificate.as_ref(), r.key.as_ref(), judge),
        register: r.register,
        timeout: Duration::from_millis(r.timeout_ms),
    })
}

/// An address with a password in it is not shown.
fn address(url: &str, judge: &mut Judge) {
    let parsed = url.parse::<ureq::http::Uri>().ok();
    if url.contains('@') {
        let hint = "use registry.username and registry.password";
        judge.wrong("registry.url", "carries a name or a password", Some(hint));
    } else if !parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
        judge.wrong("registry.url", format!("({url:?}) is not an http:// or https:// address"), None);
    }
}

fn redaction(raw: &raw::Redaction, judge: &mut Judge) -> Redaction {
    distinct("redaction.kinds".into(), &raw.kinds, judge);
    let patterns = raw.patterns.iter().filter_map(|(name, written)| pattern(name, written, judge)).collect();
    let secret = raw.user_secret.as_ref().map(|from| judge.secret("redaction.user_secret", from));
    let user = match (raw.user, secret) {
        (User::Keep, _) => UserRedaction::Keep,
        (User::Drop, _) => UserRedaction::Drop,
        (User::Pseudonym, Some(secret)) => {
            long_enough(&secret, judge);
            UserRedaction::Pseudonym(secret)
        }
        (User::Pseudonym, None) => {
            let message = "redaction.user (\"pseudonym\") needs redaction.user_secret, which is missing";
            let hint = "add user_secret = { env = \"NAME\" } or { file = \"PATH\" }";
            judge.clash(["redaction.user", "redaction.user_secret"], message, Some(hint));
            UserRedaction::Drop
        }
    };
    Redaction { kinds: raw.kinds.clone(), patterns, user }
}

fn long_enough(secret: &Secret, judge: &mut Judge) {
    let bytes = secret.expose().len();
    if bytes < USER_SECRET_BYTES_MIN {
        judge.wrong(
            "redaction.user_secret",
            format!("has {bytes} bytes, fewer than {USER_SECRET_BYTES_MIN}"),
            Some("a short secret can be guessed, and every pseudonym with it; `openssl rand -hex 32` makes one"),
        );
    }
}

fn pattern(name: &str, written: &str, judge: &mut Judge) -> Option<(String, Regex)> {
    let key = Key::from("redaction.patterns").child(name);
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        judge.wrong(key.clone(), "is not a name", Some("1 to 64 lower-case letters, digits and underscores"));
    }
    if serde_json::from_value::<RedactionKind>(name.into()).is_ok() {
        judge.wrong(key.clone(), "has the name of a built-in kind", Some("counts of the two could not be told apart"));
    }
    match Regex::new(written) {
        Ok(regex) if regex.is_match("") => {
            judge.wrong(key, format!("({written:?}) matches nothing at all, and so everywhere"), None);
            None
        }
        Ok(regex) => Some((name.to_owned(), regex)),
        Err(error) => {
            let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            judge.wrong(key, format!("({written:?}) is not a regular expression: {reason}"), None);
            None
        }
    }
}

fn batch(raw: &raw::Batch, judge: &mut Judge) -> Batch {
    if raw.queue_delay_ms_max >= raw.timeout_ms {
        let (delay, timeout) = (raw.queue_delay_ms_max, raw.timeout_ms);
        let message = format!("batch.queue_delay_ms_max ({delay}) is not below batch.timeout_ms ({timeout})");
        judge.clash(["batch.queue_delay_ms_max", "batch.timeout_ms"], message, None);
    }
    Batch {
        tokens_max: raw.tokens_max,
        queue_delay_max: Duration::from_millis(raw.queue_delay_ms_max),
        tries_max: raw.tries_max,
        timeout: Duration::from_millis(raw.timeout_ms),
    }
}

fn inference(raw: &raw::Inference, judge: &mut Judge) -> Inference {
    let device = device(&raw.device).unwrap_or_else(|| {
        let hint = "\"cpu\", \"cuda\" or, for a certain GPU, \"cuda:1\"";
        judge.wrong("inference.device", format!("({:?}) is not a device", raw.device), Some(hint));
        Device::Cpu
    });
    let usual = match device {
        Device::Cpu => available_parallelism().map_or(1, |cores| cores.get()),
        Device::Cuda { .. } => 2,
    };
    Inference {
        device,
        workers: raw.workers.unwrap_or(usual),
        library: raw.library.clone(),
        session_options: raw.session_options.clone(),
    }
}

fn device(written: &str) -> Option<Device> {
    match written.split_once(':') {
        None if written == "cpu" => Some(Device::Cpu),
        None if written == "cuda" => Some(Device::Cuda { id: 0 }),
        Some(("cuda", id)) => id.parse().ok().map(|id| Device::Cuda { id }),
        _ => None,
    }
}

fn payload(raw: &raw::DeadLetters, judge: &mut Judge) -> DeadLetterPayload {
    let secret = raw.key.as_ref().map(|from| judge.secret("dead_letters.key", from));
    match (raw.payload, secret) {
        (Payload::Raw, _) => DeadLetterPayload::Raw,
        (Payload::Withheld, _) => DeadLetterPayload::Withheld,
        (Payload::Encrypted, Some(secret)) => match key_of(&secret) {
            Some(key) => DeadLetterPayload::Encrypted(key),
            None => {
                let hint = "`openssl rand -hex 32` makes one";
                judge.wrong("dead_letters.key", "is not 32 bytes in hexadecimal or Base64", Some(hint));
                DeadLetterPayload::Withheld
            }
        },
        (Payload::Encrypted, None) => {
            let message = "dead_letters.payload (\"encrypted\") needs dead_letters.key, which is missing";
            let hint = "add key = { env = \"NAME\" } or { file = \"PATH\" }";
            judge.clash(["dead_letters.payload", "dead_letters.key"], message, Some(hint));
            DeadLetterPayload::Withheld
        }
    }
}

fn key_of(secret: &Secret) -> Option<SecretKey> {
    let text = secret.expose().trim();
    let bytes = hex::decode(text).ok().or_else(|| BASE64.decode(text).ok())?;
    bytes.try_into().ok().map(SecretKey)
}

fn log(raw: &raw::Log, judge: &mut Judge) -> Log {
    if let Err(error) = EnvFilter::builder().parse(&raw.filter) {
        judge.wrong("log.filter", format!("({:?}) is not a filter: {error}", raw.filter), Some("as in \"info\""));
    }
    Log { format: raw.format, filter: raw.filter.clone() }
}
