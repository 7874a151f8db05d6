use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::admin::{self, Cluster, Plan, Topic, changelogs, missing, other_width, unequal, wanted};
use super::danger::{Danger, Role, dangers};
use super::out;
use super::settings::ConfigArgs;
use super::table::table;
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::runtime::repartition;

/// Replicas of a topic that is made, where there are as many brokers: one can be away and another be lost.
const REPLICAS: usize = 3;

/// Show the topics of the configuration, say what is set dangerously, make what is missing.
///
/// A topic that is there is never changed, so that running this again does no harm. Topics with three replicas or more
/// are made with min.insync.replicas=2. Exit code 2 if a topic is missing at the end, 3 if no broker answers.
///
/// Example: groundswell topics --config groundswell.toml --create --partitions 12
#[derive(Debug, Args)]
pub struct Topics {
    #[command(flatten)]
    config: ConfigArgs,

    /// Make the topics that are missing.
    #[arg(long)]
    create: bool,

    /// Partitions of a topic that is made; no more instances than that can share its work.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..), requires = "create")]
    partitions: i32,

    /// Replicas of a topic that is made; by default 3, or as many as there are brokers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), requires = "create")]
    replication_factor: Option<i32>,

    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Topics {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let cluster = Cluster::connect(&settings.kafka)?;
        let wanted = wanted(&settings);
        let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let mut there = cluster.topics(&names)?;
        let mut made = BTreeSet::new();
        if self.create {
            for (partitions, topics) in absent(&wanted, &there, &settings, self.partitions) {
                made.extend(cluster.create(&topics, Plan { partitions, ..self.plan(&cluster)? })?);
            }
            if !made.is_empty() {
                there = admin::await_topics(&cluster, &names)?;
            }
        }
        let report = Report::new(&wanted, &there, made, &settings);
        out::print(&if self.json { report.json() } else { report.text() })?;
        missing(&wanted, &there)
            .or_else(|| unequal(changelogs(&settings), &there))
            .or_else(|| other_width(&settings, &there))
            .map_or(Ok(Outcome::Done), Err)
    }

    fn plan(&self, cluster: &Cluster) -> Result<Plan, Error> {
        let usual = || -> Result<i32, Error> {
            i32::try_from(cluster.brokers()?.clamp(1, REPLICAS))
                .map_err(|e| Error::new(Fault::Bug, format!("a count of brokers that is none: {e}")))
        };
        Ok(Plan { partitions: self.partitions, replicas: self.replication_factor.map_or_else(usual, Ok)? })
    }
}

/// Topics to be made, by their number of partitions: a changelog has as many as its input has, or is to have.
fn absent<'a>(
    wanted: &'a [(String, Role)],
    there: &[Topic],
    settings: &Settings,
    usual: i32,
) -> BTreeMap<i32, Vec<(&'a str, Role)>> {
    let partitions = |name: &str| there.iter().find(|topic| topic.name == name).map(|topic| topic.partitions);
    let inputs: BTreeMap<String, String> = changelogs(settings).map(|(input, changelog)| (changelog, input)).collect();
    let mut absent: BTreeMap<i32, Vec<(&str, Role)>> = BTreeMap::new();
    for (name, role) in wanted.iter().filter(|(name, _)| partitions(name).is_none()) {
        let between = repartition(settings);
        let configured = || usize::try_from(settings.alerts.partitions).ok();
        let count = match inputs.get(name) {
            // As wide as the configuration says, there or to be made.
            Some(input) if *input == between => configured(),
            None if *name == between => configured(),
            input => input.and_then(|input| partitions(input)),
        };
        let count = count.and_then(|count| i32::try_from(count).ok()).unwrap_or(usual);
        absent.entry(count).or_default().push((name, *role));
    }
    absent
}

/// What is there, what was made, and what of it is dangerous.
pub struct Report {
    rows: Vec<Row>,
    dangers: Vec<Danger>,
}

struct Row {
    name: String,
    role: Role,
    /// `None`: it is missing.
    topic: Option<Topic>,
    made: bool,
}

impl Report {
    pub fn new(wanted: &[(String, Role)], there: &[Topic], made: BTreeSet<String>, settings: &Settings) -> Report {
        let rows: Vec<Row> = wanted
            .iter()
            .map(|(name, role)| Row {
                name: name.clone(),
                role: *role,
                topic: there.iter().find(|topic| topic.name == *name).cloned(),
                made: made.contains(name),
            })
            .collect();
        let known: Vec<(Topic, Role)> = rows.iter().filter_map(|row| Some((row.topic.clone()?, row.role))).collect();
        let dangers = dangers(&known, settings);
        Report { rows, dangers }
    }

    pub fn text(&self) -> String {
        let head = [
            "topic",
            "for",
            "state",
            "partitions",
            "replicas",
            "min in sync",
            "cleanup",
            "retention",
            "largest record",
        ];
        let rows: Vec<Vec<String>> = self.rows.iter().map(Row::cells).collect();
        let mut text = table(&head, &rows);
        for (n, (topics, what, set)) in self.grouped().into_iter().enumerate() {
            let gap = if n == 0 { "\n" } else { "" };
            text.push_str(&format!("{gap}warning: {}: {what}\n    set: {set}\n", topics.join(", ")));
        }
        text
    }

    /// What is the same for several topics is said once.
    fn grouped(&self) -> Vec<(Vec<&str>, &str, &str)> {
        let mut groups: Vec<(Vec<&str>, &str, &str)> = Vec::new();
        for Danger { topic, what, set } in &self.dangers {
            match groups.iter_mut().find(|(_, known, remedy)| known == what && remedy == set) {
                Some((topics, _, _)) => topics.push(topic),
                None => groups.push((vec![topic], what, set)),
            }
        }
        groups
    }

    fn json(&self) -> String {
        let topics: Vec<_> = self.rows.iter().map(Row::json).collect();
        let dangers: Vec<_> =
            self.dangers.iter().map(|d| json!({"topic": d.topic, "what": d.what, "set": d.set})).collect();
        format!("{}\n", json!({"topics": topics, "dangers": dangers}))
    }
}

impl Row {
    fn state(&self) -> &'static str {
        match (&self.topic, self.made) {
            (None, _) => "missing",
            (Some(_), true) => "made",
            (Some(_), false) => "there",
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.clone(), self.role.name().to_owned(), self.state().to_owned()];
        if let Some(topic) = &self.topic {
            let setting = |name| topic.setting(name).unwrap_or("?").to_owned();
            cells.extend([topic.partitions.to_string(), topic.replicas.to_string(), setting("min.insync.replicas")]);
            cells.extend([setting("cleanup.policy"), retention(topic), setting("max.message.bytes")]);
        }
        cells
    }

    fn json(&self) -> serde_json::Value {
        let topic = self.topic.as_ref();
        json!({
            "name": self.name,
            "for": self.role.name(),
            "state": self.state(),
            "partitions": topic.map(|t| t.partitions),
            "replication_factor": topic.map(|t| t.replicas),
            "min_insync_replicas": topic.and_then(|t| t.number("min.insync.replicas")),
            "cleanup_policy": topic.and_then(|t| t.setting("cleanup.policy")),
            "retention_ms": topic.and_then(|t| t.number("retention.ms")),
            "record_bytes_max": topic.and_then(|t| t.number("max.message.bytes")),
        })
    }
}

fn retention(topic: &Topic) -> String {
    match topic.number("retention.ms") {
        None => "?".into(),
        Some(..0) => "for ever".into(),
        Some(ms @ 0..3_600_000) => format!("{} min", ms / 60_000),
        Some(ms @ 3_600_000..172_800_000) => format!("{} h", ms / 3_600_000),
        Some(ms) => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let env = [("HOSTNAME".to_owned(), "test".to_owned())];
        let settings = crate::config::load(None, &[], env.into_iter()).expect("settings");
        let config = [
            ("min.insync.replicas", "1"),
            ("cleanup.policy", "delete"),
            ("retention.ms", "604800000"),
            ("max.message.bytes", "1048588"),
        ];
        let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let topic = Topic { name: "reviews".into(), partitions: 6, replicas: 1, config: Ok(config) };
        let chats = Topic { name: "chats".into(), ..topic.clone() };
        let names = [("reviews", Role::Input), ("chats", Role::Input), ("dead-letters", Role::DeadLetters)];
        let wanted = names.map(|(name, role)| (name.to_owned(), role));
        Report::new(&wanted, &[topic, chats], BTreeSet::from(["reviews".to_owned()]), &settings)
    }

    #[test]
    fn the_table_shows_what_is_there_and_what_is_not() {
        let expected = "\
topic         for           state    partitions  replicas  min in sync  cleanup  retention  largest record
reviews       input         made     6           1         1            delete   7 d        1048588
chats         input         there    6           1         1            delete   7 d        1048588
dead-letters  dead letters  missing

warning: reviews, chats: replication factor 1: one broker lost is the topic lost
    set: replication factor 3 and min.insync.replicas=2
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn the_json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).expect("JSON");
        assert_eq!(json["topics"][0]["retention_ms"], 604_800_000);
        assert_eq!(json["topics"][2]["state"], "missing");
        assert_eq!(json["dangers"][0]["topic"], "reviews");
    }
}
