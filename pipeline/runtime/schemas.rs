use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::prepare::ResolveSchema;
use crate::codec::registry::{Client, RegistryError, Resolved, subject};
use crate::codec::{SchemaFile, Schemas};
use crate::config::{OutputFormat, Settings};
use crate::event::{Error, Fault};
use crate::telemetry::RegistryRetried;

/// Writers' schemas held at a time: far more than the topics of one pipeline ever see.
const SCHEMAS_MAX: usize = 1024;
/// An id that the registry does not know is asked for again after this long: it may be registered yet.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// Waits between tries double from here …
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// … up to here.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// At the start an unreachable registry is waited for this long before the process ends.
const START_MAX: Duration = Duration::from_secs(60);

/// The schema registry, as far as one is configured, and what was fetched from it.
pub struct Registered {
    client: Option<Arc<Client>>,
    schemas: Arc<Schemas>,
}

impl Registered {
    pub fn new(settings: &Settings) -> Result<Registered, Error> {
        let client = settings.registry.as_ref().map(Client::new).transpose()?.map(Arc::new);
        Ok(Registered { client, schemas: Arc::new(Schemas::new(SCHEMAS_MAX, UNKNOWN_FOR)) })
    }

    /// The cache that decoders read; none without a registry.
    pub fn schemas(&self) -> Option<Arc<Schemas>> {
        self.client.is_some().then(|| self.schemas.clone())
    }

    /// Fetches a writer's schema, trying again for as long as the registry cannot be reached. The records behind it
    /// wait meanwhile, and the source stops when there is no more room: what is only unreachable is never refused.
    pub fn resolver(&self) -> ResolveSchema {
        let Some(client) = self.client.clone() else {
            // Without a registry no decoder asks.
            return Arc::new(|_, _| Ok(()));
        };
        let schemas = self.schemas.clone();
        Arc::new(move |id, stop| {
            let mut backoff = BACKOFF_MIN;
            for attempt in 1.. {
                match client.resolve(&schemas, id, Instant::now()) {
                    Ok(Resolved::Ready) => return Ok(()),
                    Ok(Resolved::Rejected(rejection)) => return Err(rejection),
                    Err(error) => RegistryRetried { attempt, delay: backoff, error: &error.to_string() }.emit(),
                }
                if !wait(backoff, stop) {
                    break;
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            Ok(())
        })
    }

    /// The schema id that framed outputs to this topic carry: of these files, registered now where the configuration asks
    /// for it.
    pub fn output_schema(&self, settings: &Settings, topic: &str, files: &[SchemaFile]) -> Result<Option<u32>, Error> {
        if settings.outputs.format != OutputFormat::ProtobufFramed {
            return Ok(None);
        }
        let (Some(client), Some(registry)) = (&self.client, &settings.registry) else {
            return Err(Error::new(Fault::Config, "outputs.format protobuf_framed needs a [registry]"));
        };
        let subject = subject(topic);
        let deadline = Instant::now() + START_MAX;
        let mut backoff = BACKOFF_MIN;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let id = match registry.register {
                true => client.register(&subject, files),
                false => client.lookup(&subject, files),
            };
            match id {
                Ok(id) => return Ok(Some(id)),
                Err(error @ RegistryError::Unreachable { .. }) if Instant::now() < deadline => {
                    RegistryRetried { attempt, delay: backoff, error: &error.to_string() }.emit();
                }
                Err(error) => return Err(Error::from(error).context(format_args!("output schema {subject}"))),
            }
            thread::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

/// False as soon as the flag is set.
fn wait(time: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    !stop.load(Ordering::Relaxed)
}
