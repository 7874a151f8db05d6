//! A schema registry that speaks Confluent's HTTP API: Confluent's own, Apicurio, Karapace, Redpanda.
//!
//! Calls block, and end within the configured time-out. What comes back is bounded in bytes, files and depth, because a
//! schema is written by whoever may register one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cache::Schemas;
use super::schema::{SchemaFile, WriterSchema};
use crate::config::Registry;
use crate::event::{Error, Fault, Reason, Rejection};
use crate::http;

/// One answer of the registry; the largest schemas in use are some hundred kilobytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Files that one schema may import, directly or not, and what they may hold together.
const IMPORTS_MAX: usize = 64;
const IMPORTS_BYTES_MAX: usize = 4 << 20;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Confluent's codes for what is not there: a subject, a version, a schema.
const NOT_FOUND_CODES: [u32; 3] = [40401, 40402, 40403];

/// The subject of a topic's values, by the strategy that is every serialiser's default.
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

/// Why the registry did not do what was asked. No message holds a password: it travels in a header alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Trying again can help: no connection, time-out, 429, 5xx, or an answer that is not a registry's.
    #[error("schema registry {url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// It answered, and trying again gives the same: credentials, permissions, incompatible schema, wrong path.
    #[error("schema registry {url} refuses with status {status}: {reason}")]
    Refused { url: String, status: u16, reason: String },
    /// It says that it does not have this.
    #[error("the schema registry does not know {what}")]
    NotFound { what: String },
    /// It has the schema, but we cannot read it: not Protobuf, not valid, or too large.
    #[error("{what} cannot be used: {reason}")]
    Unusable { what: String, reason: String },
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let hint = match &error {
            RegistryError::Refused { status: 401 | 403, .. } => Some("check registry.username and registry.password"),
            RegistryError::Refused { status: 404, .. } => Some("check the path in registry.url"),
            RegistryError::Unreachable { reason, .. } if reason.contains("UnknownIssuer") => {
                Some("name the certificate of the authority that signed the registry's in registry.ca")
            }
            RegistryError::Refused { status: 409, .. } => {
                Some("the schema there is not compatible with ours; schemas/README.md has the rules")
            }
            _ => None,
        };
        let error = Error::new(Fault::Broker, error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What to do with a record that waited for its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The schema is in the cache: decode again.
    Ready,
    /// No schema can be had: the record goes to the dead letters.
    Rejected(Rejection),
}

/// A client of one registry.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

/// A schema as the registry gives it, by id or by subject and version.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    /// Left out for Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Clone, Deserialize)]
struct Reference {
    /// As the importing file names it.
    name: String,
    subject: String,
    version: u32,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Version {
    id: u32,
    version: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error_code: u32,
    message: String,
}

impl Client {
    /// Fails on an address that is none, or that holds a password: addresses are shown.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let agent = http::agent(registry.authorities.as_deref(), registry.identity.clone(), registry.timeout);
        let authorization = registry.username.as_ref().map(|username| {
            let password = registry.password.as_ref().map_or("", |password| password.expose());
            format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
        });
        Ok(Self { agent, url: base(&registry.url)?, authorization })
    }

    /// Asks whether the registry answers and takes our credentials.
    pub fn ping(&self) -> Result<(), RegistryError> {
        let _: Vec<String> = self.get("schemas/types", "the list of schema types")?;
        Ok(())
    }

    /// Brings a schema into the cache, unless the registry said not long ago that it cannot be had.
    ///
    /// An error says nothing of the record: unreachable, try again and hold the record back meanwhile; refused, tell a
    /// person.
    pub fn resolve(&self, schemas: &Schemas, id: u32, now: Instant) -> Result<Resolved, RegistryError> {
        let rejected = |why: &str| Resolved::Rejected(Rejection::new(Reason::UnknownSchema, why));
        if let Some(why) = schemas.unknown(id, now) {
            return Ok(rejected(&why));
        }
        match self.fetch(id) {
            Ok(schema) => {
                schemas.insert(id, Arc::new(schema));
                Ok(Resolved::Ready)
            }
            Err(error @ (RegistryError::NotFound { .. } | RegistryError::Unusable { .. })) => {
                let why = error.to_string();
                schemas.insert_unknown(id, why.as_str(), now);
                Ok(rejected(&why))
            }
            Err(error) => Err(error),
        }
    }

    /// Fetches a schema with all that it imports, and compiles it.
    pub fn fetch(&self, id: u32) -> Result<WriterSchema, RegistryError> {
        let what = format!("schema {id}");
        let answer: Answer = self.get(&format!("schemas/ids/{id}"), &what)?;
        let schema_type = answer.schema_type.as_deref().unwrap_or("AVRO");
        if schema_type != "PROTOBUF" {
            return Err(unusable(&what, format!("expected type PROTOBUF, found {}", shown(schema_type))));
        }
        let imports = self.fetch_imports(answer.references, &what)?;
        WriterSchema::compile(&answer.schema, imports).map_err(|reason| unusable(&what, shown(&reason)))
    }

    fn fetch_imports(&self, first: Vec<Reference>, what: &str) -> Result<HashMap<String, String>, RegistryError> {
        let mut files = HashMap::new();
        let (mut left, mut bytes) = (first, 0);
        while let Some(reference) = left.pop() {
            if files.contains_key(&reference.name) {
                continue;
            }
            if files.len() == IMPORTS_MAX {
                return Err(unusable(what, format!("it imports more than {IMPORTS_MAX} files")));
            }
            let Reference { name, subject, version } = reference;
            let path = format!("subjects/{}/versions/{version}", escape(&subject));
            let answer: Answer =
                self.get(&path, &format!("version {version} of {}, imported by {what}", shown(&subject)))?;
            bytes += answer.schema.len();
            if bytes > IMPORTS_BYTES_MAX {
                return Err(unusable(what, format!("it imports more than {IMPORTS_BYTES_MAX} bytes")));
            }
            left.extend(answer.references);
            files.insert(name, answer.schema);
        }
        Ok(files)
    }

    /// Registers a schema under a subject, after the files that it imports, each under its own name as subject. Files
    /// stand in the order of [`super::SCORED_FILES`]; what is registered already keeps its id.
    pub fn register(&self, subject: &str, files: &[SchemaFile]) -> Result<u32, RegistryError> {
        self.each_file(subject, files, |subject, body, what| {
            let path = format!("subjects/{}/versions", escape(subject));
            let Registered { id } = self.post(&path, body, what)?;
            Ok(id)
        })
    }

    /// The id of a schema that has to be registered under the subject already.
    pub fn lookup(&self, subject: &str, files: &[SchemaFile]) -> Result<u32, RegistryError> {
        self.each_file(subject, files, |subject, body, what| Ok(self.version(subject, body, what)?.id))
    }

    fn each_file(
        &self,
        subject: &str,
        files: &[SchemaFile],
        id_of: impl Fn(&str, &Value, &str) -> Result<u32, RegistryError>,
    ) -> Result<u32, RegistryError> {
        let Some((root, imported)) = files.split_last() else {
            return Err(unusable(subject, "it has no files".to_string()));
        };
        let mut references: HashMap<&str, Value> = HashMap::new();
        for file in imported {
            let (body, what) = (body(file, &references), format!("{} under subject {}", file.name, file.name));
            id_of(file.name, &body, &what)?;
            let Version { version, .. } = self.version(file.name, &body, &what)?;
            references.insert(file.name, json!({"name": file.name, "subject": file.name, "version": version}));
        }
        id_of(subject, &body(root, &references), &format!("{} under subject {subject}", root.name))
    }

    fn version(&self, subject: &str, body: &Value, what: &str) -> Result<Version, RegistryError> {
        self.post(&format!("subjects/{}", escape(subject)), body, what)
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, path: &str, what: &str) -> Result<T, RegistryError> {
        let mut request = self.agent.get(format!("{}/{path}", self.url)).header("accept", CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.read(request.call(), what)
    }

    fn post<T: for<'de> Deserialize<'de>>(&self, path: &str, body: &Value, what: &str) -> Result<T, RegistryError> {
        let mut request = self.agent.post(format!("{}/{path}", self.url)).header("accept", CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.read(request.content_type(CONTENT_TYPE).send(body.to_string()), what)
    }

    fn read<T: for<'de> Deserialize<'de>>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        what: &str,
    ) -> Result<T, RegistryError> {
        let mut response = response.map_err(|error| self.unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let bytes = match response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec() {
            Ok(bytes) => bytes,
            Err(ureq::Error::BodyExceedsLimit(limit)) => {
                return Err(unusable(what, format!("the answer is larger than {limit} bytes")));
            }
            Err(error) => return Err(self.unreachable(error.to_string())),
        };
        if !(200..300).contains(&status) {
            return Err(self.refusal(status, &bytes, what));
        }
        // A proxy's page with status 200 is not an answer of the registry.
        serde_json::from_slice(&bytes)
            .map_err(|_| self.unreachable("the answer is not a schema registry's".to_string()))
    }

    fn refusal(&self, status: u16, body: &[u8], what: &str) -> RegistryError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        match status {
            // Only the registry's own word makes a schema unknown: a wrong path gives 404 too.
            404 if NOT_FOUND_CODES.contains(&refusal.error_code) => RegistryError::NotFound { what: what.to_string() },
            408 | 429 | 500.. => self.unreachable(format!("status {status} {}", shown(&refusal.message))),
            _ => RegistryError::Refused { url: self.url.clone(), status, reason: shown(&refusal.message) },
        }
    }

    fn unreachable(&self, reason: String) -> RegistryError {
        RegistryError::Unreachable { url: self.url.clone(), reason: reason.trim_end().to_string() }
    }
}

fn unusable(what: &str, reason: String) -> RegistryError {
    RegistryError::Unusable { what: what.to_string(), reason }
}

/// The address without a slash at its end.
fn base(url: &str) -> Result<String, Error> {
    if url.contains('@') {
        let message = "registry.url: an address is shown in messages, so it must not hold credentials";
        return Err(Error::new(Fault::Config, message).hint("use registry.username and registry.password"));
    }
    match url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(url.trim_end_matches('/').to_string()),
        _ => {
            let message =
                format!("registry.url: expected an address that starts with http:// or https://, found `{url}`");
            Err(Error::new(Fault::Config, message))
        }
    }
}

fn body(file: &SchemaFile, references: &HashMap<&str, Value>) -> Value {
    let references: Vec<_> = file.imports.iter().filter_map(|import| references.get(import)).collect();
    json!({"schemaType": "PROTOBUF", "schema": file.text, "references": references})
}

/// Percent-encodes one step of a path: subjects hold slashes.
fn escape(step: &str) -> String {
    let mut escaped = String::with_capacity(step.len());
    for byte in step.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What others wrote, fit for one line of a message.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
