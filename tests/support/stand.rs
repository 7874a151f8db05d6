//! Topics, a configuration and instances of one test, and the comparison of what went in with what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::kafka::{Group, Writer};
use super::ledger::{Fate, Ledger, Place};
use super::{Instance, Kafka, Outcome, Record, wait_until};

/// What everything that is waited for may take, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// One test's own corner of a cluster. Topics and the group carry its tag.
pub struct Stand<'a> {
    pub kafka: &'a Kafka,
    pub tag: &'static str,
    pub folder: TempDir,
    pub config: PathBuf,
    /// Where the instances' HTTP listens; one at a time may.
    pub http: String,
    writer: Writer,
    group: Group,
    /// What each input record should come to.
    written: BTreeMap<Place, Fate>,
}

impl<'a> Stand<'a> {
    /// An input `reviews` of JSON, and all topics with this many partitions. `extra` is more of the configuration.
    pub fn new(kafka: &'a Kafka, tag: &'static str, partitions: i32, extra: &str) -> Outcome<Self> {
        let stand = Self::bare(kafka, tag, &format!("{}{extra}", reviews(tag)))?;
        for topic in ["reviews", "reviews.scored", "chats.scored", "dead-letters"] {
            stand.topic(topic, partitions, &[])?;
        }
        Ok(stand)
    }

    /// Without topics and inputs.
    pub fn bare(kafka: &'a Kafka, tag: &'static str, extra: &str) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("groundswell.toml");
        fs::write(&config, format!("{}{extra}", base(tag, kafka)))?;
        let group = kafka.group(&format!("{tag}-text"))?;
        let writer = kafka.writer()?;
        Ok(Self { kafka, tag, folder, config, http: free_address()?, writer, group, written: BTreeMap::new() })
    }

    pub fn name(&self, topic: &str) -> String {
        format!("{}-{topic}", self.tag)
    }

    pub fn topic(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome<()> {
        self.kafka.create_topic(&self.name(topic), partitions, config)
    }

    /// An instance without HTTP.
    pub fn start(&self, name: &str, sets: &[&str]) -> Outcome<Instance> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Instance::start(self.folder.path(), name, &self.config, &sets, &[])
    }

    /// An instance that answers at [`Stand::http`].
    pub fn start_with_http(&self, name: &str, sets: &[&str], environment: &[(&str, &str)]) -> Outcome<Instance> {
        let listen = format!("http.listen={}", self.http);
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).chain([listen]).collect();
        Instance::start(self.folder.path(), name, &self.config, &sets, environment)
    }

    /// Writes records and remembers what each should come to.
    pub fn write(&mut self, topic: &str, records: &[Record], fate: Fate) -> Outcome<Vec<(i32, i64)>> {
        let topic = self.name(topic);
        let places = self.writer.write(&topic, records)?;
        self.written.extend(places.iter().map(|(partition, offset)| ((topic.clone(), *partition, *offset), fate)));
        Ok(places)
    }

    /// Reviews to be scored, numbered from `first`.
    pub fn write_reviews(&mut self, first: usize, count: usize) -> Outcome<()> {
        let records: Vec<Record> = (first..first + count).map(|n| review(n, "good enough, would buy again")).collect();
        self.write("reviews", &records, Fate::Scored).map(drop)
    }

    pub fn written(&self) -> &BTreeMap<Place, Fate> {
        &self.written
    }

    /// Records that the group has committed, of all topics written to.
    pub fn committed(&self) -> Outcome<usize> {
        let topics: BTreeSet<&String> = self.written.keys().map(|(topic, ..)| topic).collect();
        let mut sum = 0;
        for topic in topics {
            sum += self.group.committed(topic)?.values().sum::<i64>();
        }
        Ok(usize::try_from(sum)?)
    }

    /// Waits until the group has committed all that was written; the instances must live meanwhile.
    pub fn wait_until_processed(&self, instances: &mut [&mut Instance]) -> Outcome<()> {
        let all = self.written.len();
        let mut at = 0;
        let processed = wait_until(SOON, "the commit of all", || {
            for instance in instances.iter_mut() {
                instance.check_alive()?;
            }
            at = self.committed()?;
            Ok(at >= all)
        });
        processed.map_err(|error| {
            let logs: Vec<String> = instances.iter().map(|instance| instance.log_tail()).collect();
            format!("{error}: {at} of {all} committed\n{}", logs.join("\n---\n")).into()
        })
    }

    /// `delivered-once` and `order-per-key` against all that was written.
    pub fn judge(&self) -> Outcome<()> {
        let faults = self.ledger()?.faults_against(&self.written, false);
        if faults.is_empty() {
            return Ok(());
        }
        let shown = faults[..faults.len().min(10)].join("\n");
        Err(format!("{} faults of {} records, the first:\n{shown}", faults.len(), self.written.len()).into())
    }

    /// All that is visible downstream.
    pub fn ledger(&self) -> Outcome<Ledger> {
        let topics = [self.name("reviews.scored"), self.name("chats.scored")];
        Ledger::read(self.kafka, &topics, &self.name("dead-letters"))
    }

    /// Status and body of a page of the instance that was started with HTTP.
    pub fn get(&self, path: &str) -> Outcome<(u16, String)> {
        let config =
            ureq::Agent::config_builder().proxy(None).timeout_global(Some(SOON)).http_status_as_error(false).build();
        let mut response = config.new_agent().get(format!("http://{}{path}", self.http)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Waits until `/readyz` says yes, or no.
    pub fn wait_until_ready(&self, ready: bool) -> Outcome<()> {
        let mut last = String::new();
        let status = if ready { 200 } else { 503 };
        let waited = wait_until(SOON, &format!("{status} from /readyz"), || match self.get("/readyz") {
            Ok((found, body)) => {
                last = body;
                Ok(found == status)
            }
            // Not listening yet.
            Err(error) => {
                last = error.to_string();
                Ok(false)
            }
        });
        waited.map_err(|error| format!("{error}; it last said: {last}").into())
    }
}

/// Reads a numbered review back from its text alone: equal texts would come from the cache.
pub fn review(number: usize, text: &str) -> Record {
    let payload = serde_json::json!({"event_id": format!("r-{number}"), "text": format!("{text} ({number})")});
    Record::new(payload.to_string()).key(format!("k-{}", number % 7))
}

fn free_address() -> Outcome<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn base(tag: &str, kafka: &Kafka) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert");
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."topic.metadata.refresh.interval.ms" = 1000
[delivery]
transaction_timeout_ms = 6000
[outputs]
reviews = "{tag}-reviews.scored"
chats = "{tag}-chats.scored"
dead_letters = "{tag}-dead-letters"
[models.text]
path = "{model}"
kinds = ["review", "chat"]
[inference]
workers = 1
[http]
listen = "off"
"#,
        bootstrap = kafka.bootstrap(),
        model = model.display(),
    )
}

/// An input of JSON.
pub fn reviews(tag: &str) -> String {
    format!("[inputs.reviews]\nkind = \"review\"\ntopics = [\"{tag}-reviews\"]\n")
}
