//! A real schema registry (Apicurio, by its Confluent API).

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::Outcome;
use super::service::Service;

const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A running registry with schemas of its own.
pub struct Registry {
    service: Service,
    http: ureq::Agent,
}

/// A schema that another one imports, as the registry's API names it.
pub struct Reference<'a> {
    /// The path in the importing schema's `import` line.
    pub name: &'a str,
    pub subject: &'a str,
    pub version: i32,
}

impl Registry {
    /// The registry that all tests share; started when the first one asks.
    pub fn shared() -> Outcome<&'static Self> {
        static SHARED: OnceLock<Result<Registry, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| error.clone().into())
    }

    /// A registry of the test's own, to stop and to pause.
    pub fn start() -> Outcome<Self> {
        let service = Service::start("registry.py", &[])?;
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(ANSWER_MAX))
            .http_status_as_error(false)
            .build();
        Ok(Self { service, http: config.new_agent() })
    }

    /// The address that a configuration names, `http://127.0.0.1:PORT/apis/ccompat/v7`.
    pub fn url(&self) -> &str {
        self.service.address()
    }

    /// Registers a schema (`PROTOBUF`, `AVRO` or `JSON`) under a subject and returns its id.
    pub fn register(
        &self,
        subject: &str,
        schema_type: &str,
        schema: &str,
        references: &[Reference<'_>],
    ) -> Outcome<u32> {
        let references: Vec<Value> =
            references.iter().map(|r| json!({"name": r.name, "subject": r.subject, "version": r.version})).collect();
        let body = json!({"schema": schema, "schemaType": schema_type, "references": references});
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let answer = read(self.http.post(&url).send_json(body)?)?;
        let id = answer["id"].as_i64().ok_or_else(|| format!("no id in the registry's answer: {answer}"))?;
        Ok(u32::try_from(id)?)
    }

    /// The registry's own answer for a schema id: `schema`, `schemaType`, `references`.
    pub fn schema(&self, id: u32) -> Outcome<Value> {
        let url = format!("{}/schemas/ids/{id}", self.url());
        read(self.http.get(&url).call()?)
    }

    /// Ends the registry as a power cut would; its schemas stay for [`Registry::restart`].
    pub fn kill(&self) -> Outcome<()> {
        self.service.tell("kill", 1)
    }

    /// Starts it again at the same address with the schemas it had.
    pub fn restart(&self) -> Outcome<()> {
        self.service.tell("start", 1)
    }
}

/// A message in Confluent's framing: the magic byte, the schema's id, the message's index in that schema.
pub fn framed(schema: u32, index: &[u8], message: &[u8]) -> Vec<u8> {
    [&[0], schema.to_be_bytes().as_slice(), index, message].concat()
}

/// The answer's JSON; a refusal's own words are the error.
fn read(mut response: ureq::http::Response<ureq::Body>) -> Outcome<Value> {
    let body: Value = response.body_mut().read_json()?;
    if !response.status().is_success() {
        return Err(format!("the registry answered {}: {body}", response.status()).into());
    }
    Ok(body)
}
