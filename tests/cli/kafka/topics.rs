use serde_json::Value;

use super::Setup;
use crate::cli::groundswell;
use crate::support::{Kafka, Outcome};

/// Every topic of the defaults, in the order in which data passes them, without the test's prefix.
const ALL: [&str; 13] = [
    "chats",
    "clicks",
    "reviews",
    "reviews.scored",
    "chats.scored",
    "clicks.scored",
    "profiles",
    "recommendations",
    "dead-letters",
    "recommend-counts",
    "recommend-lists",
    "clicks-topics-clicks-changelog",
    "recommend-topics-recommend-counts-changelog",
];

#[test]
fn what_is_missing_is_told_made_once_and_shown() -> Outcome<()> {
    let setup = Setup::new("topics")?;
    setup.kafka.create_topic("topics-reviews", 2, &[("cleanup.policy", "compact"), ("retention.ms", "60000")])?;

    let said = setup.groundswell(&["topics"])?.ended(2);
    let chats = ["topics-chats", "input", "missing"];
    assert!(said.out.lines().any(|line| line.split_whitespace().eq(chats)), "{}", said.out);
    let missing: Vec<String> =
        ALL.iter().filter(|name| **name != "reviews").map(|name| format!("topics-{name}")).collect();
    assert!(said.err.contains(&format!("topics {} are not there", missing.join(", "))), "{}", said.err);
    assert!(said.err.contains("hint: groundswell topics --create"), "{}", said.err);

    let states = |json: &str| -> Outcome<Vec<(String, String, u64)>> {
        let json: Value = serde_json::from_str(json)?;
        let topics = json["topics"].as_array().ok_or("no topics")?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Ok(topics
            .iter()
            .map(|t| (text(&t["name"]), text(&t["state"]), t["partitions"].as_u64().unwrap_or_default()))
            .collect())
    };
    let expected = |state: &str| {
        ALL.map(|name| match name {
            "reviews" => ("topics-reviews".to_owned(), "there".to_owned(), 2),
            _ => (format!("topics-{name}"), state.to_owned(), 3),
        })
    };
    let said = setup.groundswell(&["topics", "--create", "--partitions", "3", "--json"])?.ended(0);
    assert_eq!(states(&said.out)?, expected("made"));
    let said = setup.groundswell(&["topics", "--create", "--partitions", "9", "--json"])?.ended(0);
    assert_eq!(states(&said.out)?, expected("there"), "what is there is left as it is");

    let said = setup.groundswell(&["topics"])?.ended(0);
    let all = ALL.map(|name| format!("topics-{name}")).join(", ");
    for danger in [
        &*format!("warning: {all}: replication factor 1"),
        "warning: topics-reviews: cleanup.policy=compact",
        "warning: topics-reviews: retention.ms=60000",
    ] {
        assert!(said.out.contains(danger), "{danger}: {}", said.out);
    }
    Ok(())
}

/// With three brokers, what is made is as safe as the delivery promise needs it.
#[test]
fn topics_made_on_three_brokers_are_safe() -> Outcome<()> {
    let kafka = Kafka::start(3)?;
    let server = format!("kafka.bootstrap_servers={}", kafka.bootstrap());
    let said = groundswell(&["topics", "--set", &server, "--create", "--json"])?.ended(0);
    let json: Value = serde_json::from_str(&said.out)?;
    assert_eq!(json["dangers"], Value::Array(vec![]));
    for topic in json["topics"].as_array().ok_or("no topics")? {
        assert_eq!((&topic["replication_factor"], &topic["min_insync_replicas"]), (&3.into(), &2.into()), "{topic}");
    }
    Ok(())
}

#[test]
fn more_replicas_than_brokers_are_refused_with_both_numbers() -> Outcome<()> {
    let setup = Setup::new("topics-refused")?;
    let said = setup.groundswell(&["topics", "--create", "--replication-factor", "3"])?.ended(2);
    assert!(said.err.contains("cannot be made with 6 partitions and replication factor 3"), "{}", said.err);
    assert!(said.err.contains("hint: --replication-factor can be as large as the number of brokers"), "{}", said.err);
    Ok(())
}

#[test]
fn check_asks_the_brokers() -> Outcome<()> {
    let setup = Setup::new("check")?;
    let said = setup.groundswell(&["check", "--connect"])?.ended(2);
    assert!(said.out.contains("1 answer"), "{}", said.out);
    assert!(said.err.contains("check-dead-letters, ") && said.err.contains("-changelog are not there"), "{}", said.err);
    setup.groundswell(&["topics", "--create"])?.ended(0);
    let said = setup.groundswell(&["check", "--connect"])?.ended(0);
    assert!(said.out.contains("set: replication factor 3 and min.insync.replicas=2"), "{}", said.out);
    Ok(())
}

#[test]
fn a_registry_that_does_not_answer_is_exit_code_3() -> Outcome<()> {
    let setup = Setup::new("check-registry")?.set("registry.url=http://127.0.0.1:1");
    setup.groundswell(&["topics", "--create"])?.ended(0);
    let said = setup.groundswell(&["check", "--connect"])?.ended(3);
    assert!(said.err.contains("schema registry http://127.0.0.1:1"), "{}", said.err);
    assert!(said.out.contains("1 answer"), "the brokers are asked all the same: {}", said.out);
    Ok(())
}
