//! What a topic's settings can do to the promise that every record gives one result and none is lost.

use super::admin::Topic;
use crate::config::Settings;

/// Shorter than this, a weekend's outage outlasts what the topic keeps.
const RETENTION_MS_MIN: i64 = 24 * 3600 * 1000;
/// A local copy of the state is used for half as long.
const DELETE_RETENTION_MS_MIN: i64 = 24 * 3600 * 1000;
/// What a dead letter's headers take beside the record itself.
const LETTER_HEADER_BYTES: i64 = 4096;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Input,
    Output,
    DeadLetters,
    /// An output of which only the newest record of a key counts.
    Table,
    /// One of which keys go on being new, as those of buckets and incidents do: old ones are to go.
    Series,
    /// Holds the state of an input's partitions.
    Changelog,
    /// Between two stages, or two halves of one.
    Passage,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Input => "input",
            Role::Output => "output",
            Role::DeadLetters => "dead letters",
            Role::Table => "table",
            Role::Series => "series",
            Role::Changelog => "state",
            Role::Passage => "repartition",
        }
    }
}

/// What can go wrong, and what to set against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    pub topic: String,
    pub what: String,
    pub set: String,
}

/// The dangers of all topics, in their order.
pub fn dangers(topics: &[(Topic, Role)], settings: &Settings) -> Vec<Danger> {
    let largest_input = topics
        .iter()
        .filter(|(_, role)| *role == Role::Input)
        .filter_map(|(topic, _)| topic.number("max.message.bytes"))
        .max();
    let mut found = Vec::new();
    for (topic, role) in topics {
        let mut add = |what: String, set: String| found.push(Danger { topic: topic.name.clone(), what, set });
        if let Err(why) = &topic.config {
            add(
                format!("its settings are not told: {why}"),
                "the right DescribeConfigs on the topic lets them be checked".into(),
            );
        }
        replication(topic, &mut add);
        if !matches!(role, Role::Changelog | Role::Table | Role::Series) {
            retention(topic, *role, &mut add);
        }
        match role {
            Role::Output => output_size(topic, settings, &mut add),
            Role::DeadLetters => letter_size(topic, largest_input, &mut add),
            Role::Table => compaction(topic, "what is known of a key that is not written again is deleted", &mut add),
            Role::Series => series(topic, &mut add),
            Role::Changelog => changelog(topic, &mut add),
            Role::Input | Role::Passage => {}
        }
    }
    found
}

fn replication(topic: &Topic, add: &mut impl FnMut(String, String)) {
    let replicas = i64::try_from(topic.replicas).unwrap_or(i64::MAX);
    let in_sync = topic.number("min.insync.replicas");
    if replicas == 1 {
        add(
            "replication factor 1: one broker lost is the topic lost".into(),
            "replication factor 3 and min.insync.replicas=2".into(),
        );
    } else if let Some(in_sync) = in_sync {
        if in_sync < 2 {
            let what = format!("min.insync.replicas={in_sync}: what is acknowledged may lie on one broker alone");
            let set =
                if replicas > 2 { "min.insync.replicas=2" } else { "replication factor 3 and min.insync.replicas=2" };
            add(what, set.into());
        } else if in_sync >= replicas {
            add(
                format!(
                    "min.insync.replicas={in_sync} with replication factor {replicas}: one broker away stops all writing"
                ),
                format!("replication factor {} or more", in_sync + 1),
            );
        }
    }
    if topic.setting("unclean.leader.election.enable") == Some("true") {
        add(
            "unclean.leader.election.enable=true: a replica that lags behind may become the leader, and what it lacks is lost"
                .into(),
            "unclean.leader.election.enable=false".into(),
        );
    }
}

fn retention(topic: &Topic, role: Role, add: &mut impl FnMut(String, String)) {
    if topic.setting("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        let lost =
            if matches!(role, Role::Input | Role::Passage) { "before they are read" } else { "that share a key" };
        add(
            format!(
                "cleanup.policy={}: records {lost} are lost to newer ones of the same key",
                topic.setting("cleanup.policy").unwrap_or_default()
            ),
            "cleanup.policy=delete".into(),
        );
    }
    if let Some(ms) = topic.number("retention.ms").filter(|ms| (0..RETENTION_MS_MIN).contains(ms)) {
        add(
            format!("retention.ms={ms}: what an outage of {} leaves unread is deleted", hours(ms)),
            format!("retention.ms={RETENTION_MS_MIN} or more"),
        );
    }
    if let Some(bytes) = topic.number("retention.bytes").filter(|bytes| *bytes >= 0) {
        add(
            format!("retention.bytes={bytes}: records beyond it are deleted, read or not"),
            "retention.bytes=-1, or an eye on the lag".into(),
        );
    }
}

/// Only the newest entry of a key counts, and that one for ever.
fn changelog(topic: &Topic, add: &mut impl FnMut(String, String)) {
    compaction(topic, "entries of the state that are not written again are deleted", add);
    if let Some(ms) = topic.number("delete.retention.ms").filter(|ms| *ms < DELETE_RETENTION_MS_MIN) {
        add(
            format!("delete.retention.ms={ms}: an instance that is away longer may bring deleted entries back"),
            format!("delete.retention.ms={DELETE_RETENTION_MS_MIN} or more"),
        );
    }
}

fn compaction(topic: &Topic, deleted: &str, add: &mut impl FnMut(String, String)) {
    if let Some(policy) = topic.setting("cleanup.policy").filter(|policy| *policy != "compact") {
        let what = if policy.contains("delete") { deleted } else { "it grows with every change" };
        add(format!("cleanup.policy={policy}: {what}"), "cleanup.policy=compact".into());
    }
}

/// In either order.
fn is_both(policy: &str) -> bool {
    policy.contains("compact") && policy.contains("delete")
}

fn series(topic: &Topic, add: &mut impl FnMut(String, String)) {
    if let Some(policy) = topic.setting("cleanup.policy").filter(|policy| !is_both(policy)) {
        let what = if policy.contains("delete") {
            "it holds every revision, not the newest alone"
        } else {
            "keys that are not written again stay for ever, and it grows"
        };
        add(format!("cleanup.policy={policy}: {what}"), "cleanup.policy=compact,delete".into());
    }
}

fn output_size(topic: &Topic, settings: &Settings, add: &mut impl FnMut(String, String)) {
    let Some(limit) = topic.number("max.message.bytes") else { return };
    let text = i64::try_from(settings.text.payload_bytes_max).unwrap_or(i64::MAX);
    if settings.text.include_text && limit < text {
        add(
            format!(
                "max.message.bytes={limit} is below text.payload_bytes_max ({text}): a long text's result goes to the dead letters"
            ),
            format!("max.message.bytes={text}, or text.include_text=false"),
        );
    }
}

fn letter_size(topic: &Topic, largest_input: Option<i64>, add: &mut impl FnMut(String, String)) {
    let (Some(limit), Some(input)) = (topic.number("max.message.bytes"), largest_input) else { return };
    if limit < input {
        add(
            format!(
                "max.message.bytes={limit} is below an input's ({input}): a large record's dead letter loses its payload"
            ),
            format!("max.message.bytes={}", input + LETTER_HEADER_BYTES),
        );
    }
}

fn hours(ms: i64) -> String {
    match ms {
        ..60_000 => format!("{} s", ms / 1000),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let env = [("HOSTNAME".to_owned(), "test".to_owned())];
        let overrides = ["text.include_text=true".to_owned()];
        crate::config::load(None, &overrides, env.into_iter()).expect("settings")
    }

    /// What is said of a topic, besides an input that takes up to 2,000,000 bytes.
    fn check(role: Role, replicas: usize, config: &[(&str, &str)], expected: &[&str]) {
        let topic = |name: &str, replicas, config: &[(&str, &str)]| Topic {
            name: name.into(),
            partitions: 6,
            replicas,
            config: Ok(config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        };
        let safe = topic("safe", 3, &[("min.insync.replicas", "2"), ("max.message.bytes", "2000000")]);
        let found = dangers(&[(safe, Role::Input), (topic("t", replicas, config), role)], &settings());
        assert!(found.iter().all(|danger| danger.topic == "t" && !danger.set.is_empty()), "{found:?}");
        let starts: Vec<&str> = found.iter().map(|danger| danger.what.split(':').next().unwrap_or_default()).collect();
        assert_eq!(starts, expected);
    }

    #[test]
    fn dangers_are_named_and_what_is_safe_is_not() {
        let safe = ("min.insync.replicas", "2");
        check(Role::Input, 3, &[safe, ("retention.ms", "604800000"), ("retention.bytes", "-1")], &[]);
        check(Role::Input, 1, &[("min.insync.replicas", "1")], &["replication factor 1"]);
        check(Role::Input, 3, &[("min.insync.replicas", "1")], &["min.insync.replicas=1"]);
        check(Role::Input, 3, &[("min.insync.replicas", "3")], &["min.insync.replicas=3 with replication factor 3"]);
        let unclean = ("unclean.leader.election.enable", "true");
        check(Role::Output, 3, &[safe, unclean], &["unclean.leader.election.enable=true"]);
        check(Role::Input, 3, &[safe, ("cleanup.policy", "compact,delete")], &["cleanup.policy=compact,delete"]);
        check(Role::Input, 3, &[safe, ("retention.ms", "60000")], &["retention.ms=60000"]);
        check(Role::Input, 3, &[safe, ("retention.ms", "-1")], &[]);
        check(Role::Input, 3, &[safe, ("retention.bytes", "1000")], &["retention.bytes=1000"]);
    }

    #[test]
    fn a_series_lets_old_keys_go() {
        check(Role::Series, 3, &[("min.insync.replicas", "2"), ("cleanup.policy", "compact,delete")], &[]);
        check(Role::Series, 3, &[("min.insync.replicas", "2"), ("cleanup.policy", "delete,compact")], &[]);
        for policy in ["compact", "delete"] {
            let written = format!("cleanup.policy={policy}");
            check(Role::Series, 3, &[("min.insync.replicas", "2"), ("cleanup.policy", policy)], &[written.as_str()]);
        }
    }

    #[test]
    fn a_changelog_is_compacted_and_remembers_deletions() {
        let (safe, compact) = (("min.insync.replicas", "2"), ("cleanup.policy", "compact"));
        check(Role::Changelog, 3, &[safe, compact, ("delete.retention.ms", "86400000")], &[]);
        check(Role::Changelog, 3, &[safe, ("cleanup.policy", "delete")], &["cleanup.policy=delete"]);
        check(Role::Changelog, 3, &[safe, ("cleanup.policy", "compact,delete")], &["cleanup.policy=compact,delete"]);
        check(Role::Changelog, 3, &[safe, compact, ("delete.retention.ms", "1000")], &["delete.retention.ms=1000"]);
    }

    #[test]
    fn sizes_are_held_against_what_must_fit() {
        let (safe, small) = (("min.insync.replicas", "2"), ("max.message.bytes", "1000000"));
        let result = "max.message.bytes=1000000 is below text.payload_bytes_max (1048576)";
        check(Role::Output, 3, &[safe, small], &[result]);
        check(Role::DeadLetters, 3, &[safe, small], &["max.message.bytes=1000000 is below an input's (2000000)"]);
        check(Role::Input, 3, &[safe, small], &[]);
    }
}
