//! What the cluster says about topics, and making those that are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use tokio::runtime::Runtime;

use super::danger::Role;
use crate::config::{InputKind, Kafka, Settings};
use crate::event::{Error, Fault};
use crate::kafka::{broker_error, client_config};
use crate::runtime::{Purpose, changelog, owners_topic, passages, recommends, remembers, repartition, watched};
use crate::stages::Stage;
use crate::stages::alerts::AlertsStage;

/// A broker that has not answered by then counts as out of reach: a person is waiting.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection for questions and orders about topics.
pub struct Cluster {
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    servers: String,
}

/// A topic's settings by name; `Err`: the broker does not tell, and why.
type TopicConfig = Result<BTreeMap<String, String>, String>;

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: usize,
    /// Replicas of the partition that has the fewest.
    pub replicas: usize,
    pub config: TopicConfig,
}

impl Topic {
    /// A setting as written on the broker; `None` where it does not tell.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config.as_ref().ok()?.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<i64> {
        self.setting(name)?.parse().ok()
    }
}

/// How a missing topic is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub partitions: i32,
    pub replicas: i32,
}

impl Cluster {
    /// Fails within [`ANSWER_MAX`] if no broker answers.
    pub fn connect(kafka: &Kafka) -> Result<Cluster, Error> {
        let admin = client_config(kafka).create().map_err(|e| broker_error("cannot create the admin client", &e))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start a runtime: {e}")))?;
        let cluster = Cluster { admin, runtime, servers: kafka.bootstrap_servers.clone() };
        cluster.brokers().map(|_| cluster)
    }

    pub fn brokers(&self) -> Result<usize, Error> {
        // Metadata of all topics: asking for one by its name could make it.
        let metadata = self.admin.inner().fetch_metadata(None, ANSWER_MAX).map_err(|e| self.unreachable(&e))?;
        Ok(metadata.brokers().len())
    }

    /// Those of the named topics that are there, in the order of the names.
    pub fn topics(&self, names: &[&str]) -> Result<Vec<Topic>, Error> {
        let metadata = self.admin.inner().fetch_metadata(None, ANSWER_MAX).map_err(|e| self.unreachable(&e))?;
        let known: BTreeMap<&str, &MetadataTopic> =
            metadata.topics().iter().filter(|topic| is_there(topic)).map(|topic| (topic.name(), topic)).collect();
        let there: Vec<&str> = names.iter().copied().filter(|name| known.contains_key(name)).collect();
        let mut configs = self.configs(&there)?;
        let topics = there.iter().map(|&name| {
            let partitions = known[name].partitions();
            Topic {
                name: name.to_owned(),
                partitions: partitions.len(),
                replicas: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
                config: configs.remove(name).unwrap_or_else(|| Err("the broker has not answered for it".into())),
            }
        });
        Ok(topics.collect())
    }

    fn configs(&self, names: &[&str]) -> Result<BTreeMap<String, TopicConfig>, Error> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = self.runtime.block_on(self.admin.describe_configs(&asked, &options()));
        let answers = answers.map_err(|e| self.unreachable(&e))?;
        // Answers come in the order of the questions; one that is an error does not say whose it is.
        let configs = names.iter().zip(answers).map(|(name, answer)| {
            let config = answer.map_err(|code| code.to_string()).map(|resource| {
                let entries = resource.entries.into_iter();
                entries.filter_map(|entry| Some((entry.name, entry.value?))).collect::<BTreeMap<_, _>>()
            });
            ((*name).to_owned(), config)
        });
        Ok(configs.collect())
    }

    /// Makes topics and returns which of them it was that made them: another may have been faster.
    pub fn create(&self, names: &[(&str, Role)], plan: Plan) -> Result<BTreeSet<String>, Error> {
        let topics: Vec<NewTopic<'_>> = names.iter().map(|(name, role)| new_topic(name, *role, plan)).collect();
        let results = self.runtime.block_on(self.admin.create_topics(&topics, &options()));
        let mut made = BTreeSet::new();
        for result in results.map_err(|e| self.unreachable(&e))? {
            match result {
                Ok(name) => drop(made.insert(name)),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(refused(&name, code, plan)),
            }
        }
        Ok(made)
    }

    fn unreachable(&self, error: &KafkaError) -> Error {
        unreachable(&self.servers, error)
    }
}

/// The brokers did not answer, or refused to.
pub fn unreachable(servers: &str, error: &KafkaError) -> Error {
    broker_error(format_args!("the brokers at {servers} do not answer as they should"), error).hint(
        "kafka.bootstrap_servers says where they are, kafka.librdkafka how they are spoken to (TLS, SASL); in a clone, \
         `make kafka` runs one at localhost:9092",
    )
}

/// An entry that the broker answers with for a topic that it does not have carries an error.
fn is_there(topic: &MetadataTopic) -> bool {
    topic.error().is_none() && !topic.partitions().is_empty()
}

/// After topics were made: it takes a moment until every broker knows of them.
pub fn await_topics(cluster: &Cluster, names: &[&str]) -> Result<Vec<Topic>, Error> {
    let deadline = Instant::now() + ANSWER_MAX;
    loop {
        let there = cluster.topics(names)?;
        if there.len() == names.len() || Instant::now() >= deadline {
            return Ok(there);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX))
}

/// What was a month ago is no news; where nothing of a key was written for so long, it goes.
const SERIES_RETENTION_MS: &str = "2592000000";

/// With three replicas, two must have a record before it is acknowledged: one broker can go without a loss or a halt.
fn new_topic(name: &str, role: Role, plan: Plan) -> NewTopic<'_> {
    let topic = NewTopic::new(name, plan.partitions, TopicReplication::Fixed(plan.replicas));
    let compacted = matches!(role, Role::Changelog | Role::Table);
    let topic = if compacted { topic.set("cleanup.policy", "compact") } else { topic };
    let topic = match role {
        Role::Series => topic.set("cleanup.policy", "compact,delete").set("retention.ms", SERIES_RETENTION_MS),
        _ => topic,
    };
    match plan.replicas {
        3.. => topic.set("min.insync.replicas", "2").set("unclean.leader.election.enable", "false"),
        _ => topic,
    }
}

fn refused(name: &str, code: RDKafkaErrorCode, plan: Plan) -> Error {
    let Plan { partitions, replicas } = plan;
    let error = |fault| {
        let with = format!("{partitions} partitions and replication factor {replicas}");
        Error::new(fault, format!("topic {name} cannot be made with {with}: {code}"))
    };
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => {
            error(Fault::Config).hint("--replication-factor can be as large as the number of brokers")
        }
        RDKafkaErrorCode::InvalidPartitions | RDKafkaErrorCode::PolicyViolation => error(Fault::Config),
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            error(Fault::Broker).hint("making topics needs the right Create on the topic or on the cluster")
        }
        _ => error(Fault::Broker),
    }
}

/// Every topic that the configuration names, and what for, in the order in which data passes them.
pub fn wanted(settings: &Settings) -> Vec<(String, Role)> {
    let inputs = settings.inputs.iter().flat_map(|input| &input.topics).map(|topic| (topic.clone(), Role::Input));
    let kinds: BTreeSet<_> = settings.inputs.iter().map(|input| input.kind).collect();
    let outputs = kinds.into_iter().map(|kind| (settings.outputs.topic(kind).to_owned(), Role::Output));
    let clicks = settings.inputs.iter().any(|input| input.kind == InputKind::Click);
    let tables = clicks.then(|| (settings.outputs.profiles.clone(), Role::Table));
    let passages = passages(settings);
    let recommendations = recommends(settings).then(|| (settings.outputs.recommendations.clone(), Role::Output));
    let owners = owners_topic(settings).filter(|_| clicks).map(|topic| (topic, Role::Table));
    let passages = passages.into_iter().map(|passage| {
        let role = match passage.purpose {
            Purpose::Repartition { .. } => Role::Passage,
            Purpose::Table => Role::Table,
        };
        (passage.topic, role)
    });
    let changelogs = changelogs(settings).map(|(_, changelog)| (changelog, Role::Changelog));
    let alerts = of_alerts(settings);
    let mut wanted: Vec<(String, Role)> = Vec::new();
    let letters = [(settings.outputs.dead_letters.clone(), Role::DeadLetters)];
    for topic in inputs
        .chain(outputs)
        .chain(tables)
        .chain(recommendations)
        .chain(alerts)
        .chain(letters)
        .chain(passages)
        .chain(owners)
        .chain(changelogs)
    {
        if !wanted.iter().any(|(name, _)| *name == topic.0) {
            wanted.push(topic);
        }
    }
    wanted
}

/// Input topics whose partitions have state, each with the topic that holds it.
pub fn changelogs(settings: &Settings) -> impl Iterator<Item = (String, String)> + '_ {
    let inputs = settings.inputs.iter().filter_map(|input| Some((input, remembers(input.kind)?)));
    let inputs = inputs.flat_map(|(input, stage)| input.topics.iter().map(move |topic| (topic.clone(), stage)));
    let passages = passages(settings).into_iter().filter_map(|passage| match passage.purpose {
        Purpose::Repartition { owner } => Some((passage.topic, owner)),
        Purpose::Table => None,
    });
    let watched = if settings.alerts.enabled { watched(settings) } else { BTreeSet::new() };
    let watched = watched.into_iter().chain(settings.alerts.enabled.then(|| repartition(settings)));
    let watched = watched.map(|topic| (topic, AlertsStage::NAME));
    inputs.chain(passages).chain(watched).map(|(topic, stage)| {
        let changelog = changelog(&format!("{}-{stage}", settings.kafka.group_prefix), &topic);
        (topic, changelog)
    })
}

/// What the alerts stage writes, where it is to run.
fn of_alerts(settings: &Settings) -> Vec<(String, Role)> {
    if !settings.alerts.enabled {
        return Vec::new();
    }
    let outputs = [&settings.outputs.alerts, &settings.outputs.trends];
    let outputs = outputs.into_iter().map(|topic| (topic.clone(), Role::Series));
    outputs.chain([(repartition(settings), Role::Passage)]).collect()
}

/// Says which changelogs have not as many partitions as their inputs; nothing where all have.
pub fn unequal(changelogs: impl Iterator<Item = (String, String)>, there: &[Topic]) -> Option<Error> {
    let partitions = |name: &str| there.iter().find(|topic| topic.name == name).map(|topic| topic.partitions);
    let unequal: Vec<String> = changelogs
        .filter_map(|(input, changelog)| Some((partitions(&input)?, partitions(&changelog)?, input, changelog)))
        .filter(|(wanted, there, ..)| wanted != there)
        .map(|(wanted, there, input, changelog)| format!("{changelog} has {there} partitions, and {input} {wanted}"))
        .collect();
    (!unequal.is_empty()).then(|| {
        Error::new(Fault::Config, unequal.join("; ")).hint(
            "a partition's state is in the changelog's partition of the same number; make the changelog anew, and begin \
             with another kafka.group_prefix or at the beginning of the input",
        )
    })
}

/// Says that the repartition topic has not as many partitions as its owners are counted by; nothing where it has.
pub fn other_width(settings: &Settings, there: &[Topic]) -> Option<Error> {
    let name = repartition(settings);
    let topic = there.iter().find(|topic| topic.name == name)?;
    let wanted = settings.alerts.partitions;
    (usize::try_from(wanted) != Ok(topic.partitions)).then(|| {
        let message = format!("{name} has {} partitions, and alerts.partitions is {wanted}", topic.partitions);
        Error::new(Fault::Config, message).hint("what belongs together would have another owner; set alerts.partitions")
    })
}

/// Says which topics are not there; nothing where all are.
pub fn missing(wanted: &[(String, Role)], there: &[Topic]) -> Option<Error> {
    let missing: Vec<&str> =
        wanted.iter().map(|(name, _)| name.as_str()).filter(|name| !there.iter().any(|t| t.name == *name)).collect();
    let (plural, are) = if missing.len() == 1 { ("topic", "is") } else { ("topics", "are") };
    (!missing.is_empty()).then(|| {
        Error::new(Fault::Config, format!("{plural} {} {are} not there", missing.join(", ")))
            .hint("groundswell topics --create makes what is missing")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(overrides: &[&str]) -> Settings {
        let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
        let env = [("HOSTNAME".to_owned(), "test".to_owned())];
        crate::config::load(None, &overrides, env.into_iter()).expect("settings")
    }

    #[test]
    fn every_topic_is_wanted_once_in_the_order_of_the_data() {
        let wanted = wanted(&settings(&["outputs.chats=reviews.scored", "inputs.reviews.topics=[\"r1\", \"r2\"]"]));
        let names: Vec<_> = wanted.iter().map(|(name, role)| (name.as_str(), *role)).collect();
        let expected = [
            ("chats", Role::Input),
            ("clicks", Role::Input),
            ("r1", Role::Input),
            ("r2", Role::Input),
            ("reviews.scored", Role::Output),
            ("clicks.scored", Role::Output),
            ("profiles", Role::Table),
            ("recommendations", Role::Output),
            ("dead-letters", Role::DeadLetters),
            ("groundswell-recommend-counts", Role::Passage),
            ("groundswell-recommend-lists", Role::Table),
            ("groundswell-clicks-clicks-changelog", Role::Changelog),
            ("groundswell-recommend-groundswell-recommend-counts-changelog", Role::Changelog),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_topics_of_users_reviews_are_wanted_where_profiles_tell_of_them() {
        let of = |sets: &[&str]| {
            let names = wanted(&settings(sets)).into_iter();
            names.filter(|(name, _)| name.contains("reviewers")).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), []);
        let sets = ["clicks.include_reviews=true", "recommendations.enabled=false"];
        let expected = [
            ("groundswell-reviewers-opinions", Role::Passage),
            ("groundswell-reviewers-sums", Role::Table),
            ("groundswell-reviewers-groundswell-reviewers-opinions-changelog", Role::Changelog),
        ];
        assert_eq!(of(&sets), expected.map(|(name, role)| (name.to_owned(), role)));
        assert!(!wanted(&settings(&sets)).iter().any(|(name, _)| name == "recommendations"));
    }

    #[test]
    fn the_topics_of_alerts_are_wanted_where_they_are_enabled() {
        let wanted = wanted(&settings(&["alerts.enabled=true"]));
        let has = |name: &str, role| wanted.contains(&(name.to_owned(), role));
        assert!(has("alerts", Role::Series) && has("trends", Role::Series));
        assert!(has("groundswell-alerts-repartition", Role::Passage));
        for input in ["reviews.scored", "chats.scored", "groundswell-alerts-repartition"] {
            assert!(has(&changelog("groundswell-alerts", input), Role::Changelog), "{input} in {wanted:?}");
        }
    }

    #[test]
    fn three_replicas_are_made_safe_and_one_is_left_as_it_is() {
        let config = |replicas| new_topic("t", Role::Input, Plan { partitions: 6, replicas }).config;
        assert_eq!(config(3), [("min.insync.replicas", "2"), ("unclean.leader.election.enable", "false")]);
        assert_eq!(config(1), []);
    }

    #[test]
    fn a_changelog_is_made_compacted_and_is_as_wide_as_its_input() {
        let made = new_topic("t", Role::Changelog, Plan { partitions: 6, replicas: 1 }).config;
        assert_eq!(made, [("cleanup.policy", "compact")]);
        let table = new_topic("t", Role::Table, Plan { partitions: 6, replicas: 1 }).config;
        assert_eq!(table, made);
        let series = new_topic("t", Role::Series, Plan { partitions: 6, replicas: 1 }).config;
        assert_eq!(series, [("cleanup.policy", "compact,delete"), ("retention.ms", SERIES_RETENTION_MS)]);
        let topic =
            |name: &str, partitions| Topic { name: name.into(), partitions, replicas: 1, config: Ok(BTreeMap::new()) };
        let pairs = || [("in".to_owned(), "g-in-changelog".to_owned())].into_iter();
        let check = |partitions| unequal(pairs(), &[topic("in", 6), topic("g-in-changelog", partitions)]);
        assert_eq!(check(6), None);
        let message = check(3).map(|error| error.message);
        assert_eq!(message.as_deref(), Some("g-in-changelog has 3 partitions, and in 6"));
        assert_eq!(unequal(pairs(), &[topic("in", 6)]), None, "that it is missing is said by another");
    }

    #[test]
    fn what_is_missing_is_named() {
        let wanted = [("a".to_owned(), Role::Input), ("b".to_owned(), Role::Output), ("c".to_owned(), Role::Output)];
        let topic = |name: &str| Topic { name: name.into(), partitions: 1, replicas: 1, config: Ok(BTreeMap::new()) };
        assert_eq!(missing(&wanted, &[topic("a"), topic("b"), topic("c")]), None);
        let message = |there: &[Topic]| missing(&wanted, there).map(|error| error.message);
        assert_eq!(message(&[topic("a"), topic("b")]), Some("topic c is not there".into()));
        assert_eq!(message(&[topic("b")]), Some("topics a, c are not there".into()));
    }
}
