use std::fs;

use fastrand::Rng;
use serde_json::{Value, json};

use super::super::backtest::{START_S, texts};
use super::super::groundswell;
use crate::support::{Kafka, Outcome, Record};

/// What matters of a result: which alerts, how they went on, and over how many texts.
fn found(path: &std::path::Path) -> Outcome<(Value, Vec<Value>, Value)> {
    let all: Value = serde_json::from_slice(&fs::read(path)?)?;
    let run = &all["runs"][0];
    let alerts = run["alerts"].as_array().ok_or("no alerts")?;
    let shown =
        |alert: &Value| json!([alert["id"], alert["state"], alert["scope"], alert["since"], alert["summary_en"]]);
    Ok((run["texts"].clone(), alerts.iter().map(shown).collect(), run["history"].clone()))
}

#[test]
fn a_topic_gives_what_a_file_in_order_gives() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let topic = "backtest-topic-scored";
    // One partition stays empty.
    kafka.create_topic(topic, 4, &[])?;
    let (folder, mut rng) = (tempfile::tempdir()?, Rng::with_seed(5));
    let texts = texts();
    let lines: Vec<String> = texts.iter().map(|(_, text)| text.to_string()).collect();
    fs::write(folder.path().join("scored.jsonl"), lines.join("\n"))?;
    // Partition after partition: whoever reads them as they come meets hours out of order.
    let mut records: Vec<Record> =
        lines.iter().map(|line| Record::new(line.as_bytes()).partition(rng.i32(0..3))).collect();
    records.insert(70, Record::new(&b"{"[..]).partition(1));
    records.sort_by_key(|record| record.partition);
    kafka.produce(topic, &records)?;
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, format!("[kafka]\nbootstrap_servers = \"{}\"\n", kafka.bootstrap()))?;

    let path = |name: &str| folder.path().join(name).display().to_string();
    let (rules, file) = (rules.display().to_string(), path("scored.jsonl"));
    groundswell(&["backtest", "--rules", &rules, "--from", &file, "--json", &path("file.json")])?.ended(0);
    let said = groundswell(&["backtest", "--rules", &rules, "--topic", topic, "--json", &path("topic.json")])?.ended(1);
    assert!(said.err.contains("backtest-topic-scored/1@") && said.err.lines().count() == 1, "{}", said.err);
    let (expected, seen) = (found(&folder.path().join("file.json"))?, found(&folder.path().join("topic.json"))?);
    assert_eq!(seen, expected);
    assert_eq!(seen.0, json!(texts.len()));
    assert!(!seen.1.is_empty(), "there is a wave to find");

    let time = |minute: i64| format!("{}", jiff::Timestamp::from_second(START_S + minute * 60).unwrap_or_default());
    let (since, until) = (time(30), time(60));
    let span =
        ["--topic", topic, "--since", &since, "--until", &until, "--json", &path("span.json")].map(str::to_owned);
    let arguments: Vec<&str> =
        ["backtest", "--rules", &rules].into_iter().chain(span.iter().map(String::as_str)).collect();
    groundswell(&arguments)?;
    let within = texts.iter().filter(|(at_s, _)| (30..60).contains(&((at_s - START_S) / 60))).count();
    let (count, alerts, _) = found(&folder.path().join("span.json"))?;
    assert_eq!((count, alerts), (json!(within), Vec::new()));
    Ok(())
}

/// Clicks are known by what they are, dead letters by their headers: their payload is whatever was refused.
#[test]
fn clicks_and_dead_letters_are_replayed_from_their_topics() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let (clicks, letters) = ("backtest-clicks-scored", "backtest-letters");
    [clicks, letters].iter().try_for_each(|topic| kafka.create_topic(topic, 2, &[]))?;
    let time = |second: i64| jiff::Timestamp::from_second(START_S + second).unwrap_or_default();
    let click = |i: i64| {
        let click = json!({"event_id": i.to_string(), "event_time": time(i).to_string(), "user": "u", "item": "p", "action": "cart"});
        Record::new(click.to_string()).partition((i % 2) as i32)
    };
    let letter = |i: i64| {
        let record = Record::new(&b"{\"kind\""[..]).partition((i % 2) as i32).at(time(i).as_millisecond());
        record.header("groundswell.topic", "reviews").header("groundswell.reason", "malformed")
    };
    kafka.produce(clicks, &(0..30).map(click).collect::<Vec<_>>())?;
    let foreign = Record::new("{}").partition(0).at(time(20).as_millisecond());
    kafka.produce(letters, &(0..20).map(letter).chain([foreign]).collect::<Vec<_>>())?;
    let folder = tempfile::tempdir()?;
    let (rules, out) = (folder.path().join("rules.toml"), folder.path().join("out.json").display().to_string());
    let watched = "[alerts.rules.refused]\nsignal = \"dead_letters\"\n";
    let kafka = format!("[kafka]\nbootstrap_servers = \"{}\"\n", kafka.bootstrap());
    fs::write(&rules, format!("{kafka}[outputs]\ndead_letters = \"{letters}\"\n{watched}"))?;
    let rules = rules.display().to_string();
    let counted = |topic: &str, code| -> Outcome<(Value, Value, Value, String)> {
        let said = groundswell(&["backtest", "--rules", &rules, "--topic", topic, "--json", &out])?.ended(code);
        let all: Value = serde_json::from_slice(&fs::read(&out)?)?;
        let run = &all["runs"][0];
        Ok((run["clicks"].clone(), run["dead_letters"].clone(), run["unread"].clone(), said.err))
    };
    assert_eq!(counted(clicks, 0)?, (json!(30), json!(0), json!(0), String::new()));
    let (clicks, letters, unread, said) = counted(letters, 1)?;
    assert_eq!((clicks, letters, unread), (json!(0), json!(20), json!(1)));
    assert!(said.trim_end().ends_with("@10: the dead letter is not of this program"), "{said}");
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_named() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, format!("[kafka]\nbootstrap_servers = \"{}\"\n", kafka.bootstrap()))?;
    let rules = rules.display().to_string();
    let said = groundswell(&["backtest", "--rules", &rules, "--topic", "backtest-nowhere"])?.ended(2);
    assert!(said.err.contains("topic backtest-nowhere is not there"), "{}", said.err);
    Ok(())
}
