use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Setup;
use crate::support::{Outcome, Record};

/// What `groundswell.timestamp_ms` says of each letter's record: a time long before the letter's own.
const RECORDED_MS: i64 = 1_700_000_000_000;

/// A letter as the pipeline writes it, of the record at this offset of partition 1.
fn letter(topic: &str, offset: i64, reason: &str, payload: &str) -> Record {
    Record::new(format!("payload {offset}"))
        .key(format!("key {offset}"))
        .header("trace", format!("t-{offset}"))
        .header("groundswell.topic", topic)
        .header("groundswell.partition", "1")
        .header("groundswell.offset", offset.to_string())
        .header("groundswell.stage", "text")
        .header("groundswell.reason", reason)
        .header("groundswell.error", "byte 3 is no JSON")
        .header("groundswell.payload", payload)
        .header("groundswell.timestamp_ms", RECORDED_MS.to_string())
        .partition(0)
}

fn setup(name: &'static str) -> Outcome<(Setup, String)> {
    let setup = Setup::new(name)?;
    setup.groundswell(&["topics", "--create", "--partitions", "2"])?.ended(0);
    let reviews = setup.topic("reviews");
    Ok((setup, reviews))
}

#[test]
fn letters_are_listed_shown_and_replayed_once() -> Outcome<()> {
    let (setup, reviews) = setup("letters")?;
    let said = setup.groundswell(&["dead-letters", "list"])?.ended(0);
    assert_eq!(said.out, "no dead letters\n");
    let worn = Record { headers: vec![], ..letter(&reviews, 3, "model", "raw") };
    let worn = letter(&reviews, 3, "model", "raw")
        .headers
        .into_iter()
        .fold(worn.header("groundswell.attempts", "3"), |record, (name, value)| {
            record.header(&name, value.unwrap_or_default())
        });
    let written = [
        letter(&reviews, 0, "malformed", "raw"),
        letter(&reviews, 1, "missing", "raw").header("groundswell.attempts", "1"),
        letter(&reviews, 2, "malformed", "withheld"),
        worn,
        letter("letters-nowhere", 4, "malformed", "raw"),
        Record::new("not ours").partition(0),
    ];
    setup.kafka.produce(&setup.topic("dead-letters"), &written)?;

    listed(&setup, &reviews)?;
    shown(&setup, &reviews)?;
    replayed(&setup, &reviews)
}

fn listed(setup: &Setup, reviews: &str) -> Outcome<()> {
    let said = setup.groundswell(&["dead-letters", "list"])?.ended(0);
    let mut lines = said.out.lines();
    assert!(lines.next().is_some_and(|head| head.starts_with("position  time")), "{}", said.out);
    assert_eq!(lines.count(), 6, "{}", said.out);
    let list = |filters: &[&str]| -> Outcome<Vec<String>> {
        let said = setup.groundswell(&[&["dead-letters", "list", "--json"], filters].concat())?.ended(0);
        let rows: Vec<Value> = said.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(rows.iter().map(|row| row["position"].as_str().unwrap_or_default().to_owned()).collect())
    };
    assert_eq!(list(&["--reason", "missing,model"])?, ["0/1", "0/3"]);
    assert_eq!(list(&["--topic", reviews, "--limit", "2"])?, ["0/2", "0/3"], "the newest");
    assert_eq!(list(&["--partition", "0"])?, [""; 0], "the record's partition, not the letter's");
    assert_eq!(list(&["--since", "1h"])?.len(), 6);
    assert_eq!(list(&["--since", "2100-01-01T00:00:00Z"])?, [""; 0]);
    Ok(())
}

fn shown(setup: &Setup, reviews: &str) -> Outcome<()> {
    let said = setup.groundswell(&["dead-letters", "show", "0/0"])?.ended(0);
    for expected in [
        &format!("origin     {reviews}/1/0\n"),
        "recorded   2023-11-14T22:13:20Z\n",
        "key        key 0\n",
        "header     trace: t-0\n",
        "payload    9 bytes, text\n\npayload 0\n",
    ] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    let said = setup.groundswell(&["dead-letters", "show", "0/2"])?.ended(0);
    assert!(said.out.ends_with("payload    cannot be shown: its payload was withheld\n"), "{}", said.out);
    let said = setup.groundswell(&["dead-letters", "show", "0/6"])?.ended(1);
    assert!(said.err.contains("partition 0 holds offsets from 0 to 5"), "{}", said.err);
    let said = setup.groundswell(&["dead-letters", "show", "7/0"])?.ended(1);
    assert!(said.err.contains("has no partition 7, only 0 to 1"), "{}", said.err);
    Ok(())
}

fn replayed(setup: &Setup, reviews: &str) -> Outcome<()> {
    let said = setup.groundswell(&["dead-letters", "replay", "--dry-run"])?.ended(1);
    assert!(said.out.contains(&format!("0/1 would go to {reviews}/1, 9 bytes, attempt 2\n")), "{}", said.out);
    assert_eq!(setup.kafka.read_committed(reviews)?, []);

    let said = setup.groundswell(&["dead-letters", "replay", "--reason", "missing,model,malformed"])?.ended(1);
    let summary = "letters-dead-letters: 2 letters replayed, 1 passed over by the filters, 1 left (--attempts-max), 2 not replayable\n";
    assert_eq!(said.out, summary);
    assert!(said.err.contains("0/2 cannot be replayed: its payload was withheld\n"), "{}", said.err);
    assert!(said.err.contains("0/3 is left: it was replayed 3 times before\n"), "{}", said.err);
    assert!(said.err.contains("0/4 cannot be replayed: topic letters-nowhere is not there\n"), "{}", said.err);

    let back = |offset: i64, attempts: &str| Record {
        offset,
        ..Record::new(format!("payload {offset}"))
            .key(format!("key {offset}"))
            .header("trace", format!("t-{offset}"))
            .header("groundswell.attempts", attempts)
            .partition(1)
            .at(RECORDED_MS)
    };
    assert_eq!(setup.kafka.read_committed(reviews)?, [back(0, "1"), back(1, "2")]);
    let group = "letters-dead-letters-replay";
    assert_eq!(setup.kafka.committed_offsets(group, "letters-dead-letters")?, BTreeMap::from([(0, 6)]));

    let said = setup.groundswell(&["dead-letters", "replay"])?.ended(0);
    let behind = "at most 6 older ones were seen by a replay before: --from-beginning\n";
    assert_eq!(said.out, format!("letters-dead-letters: 0 letters replayed\n{behind}"), "each once");
    let again = ["dead-letters", "replay", "--from-beginning", "--reason", "missing"];
    let said = setup.groundswell(&again)?.ended(0);
    assert_eq!(said.out, "letters-dead-letters: 1 letter replayed, 5 passed over by the filters\n");
    assert_eq!(setup.kafka.read_committed(reviews)?.len(), 3);
    Ok(())
}

/// A letter that its topic does not take any more stands alone at the end, and those beside it go.
#[test]
fn a_record_that_the_broker_refuses_fails_alone() -> Outcome<()> {
    let (setup, _) = setup("letters-refused")?;
    setup.kafka.create_topic("letters-refused-small", 2, &[("max.message.bytes", "2000")])?;
    let mut letters: Vec<Record> = (0..9).map(|n| letter("letters-refused-small", n, "model", "raw")).collect();
    letters[4].payload = Some(vec![b'x'; 5000]);
    setup.kafka.produce(&setup.topic("dead-letters"), &letters)?;
    let said = setup.groundswell(&["dead-letters", "replay"])?.ended(1);
    assert_eq!(said.out, "letters-refused-dead-letters: 8 letters replayed, 1 not replayable\n", "{}", said.err);
    assert!(said.err.contains("0/4 cannot be replayed: MessageSizeTooLarge"), "{}", said.err);
    assert_eq!(payloads(&setup, "letters-refused-small")?.len(), 8);
    Ok(())
}

#[test]
fn an_encrypted_letter_without_a_key_ends_the_replay_before_it() -> Outcome<()> {
    let (setup, reviews) = setup("letters-key")?;
    let letters = [letter(&reviews, 0, "model", "raw"), letter(&reviews, 1, "model", "encrypted")];
    setup.kafka.produce(&setup.topic("dead-letters"), &letters)?;
    let said = setup.groundswell(&["dead-letters", "replay"])?.ended(2);
    assert!(said.err.contains("letter 0/1 is encrypted and no key is configured\nhint: "), "{}", said.err);
    assert_eq!(payloads(&setup, &reviews)?, ["payload 0"], "what is ahead of it is replayed");
    let said = setup.groundswell(&["dead-letters", "replay"])?.ended(2);
    let behind = "at most 1 older ones were seen by a replay before: --from-beginning\n";
    assert_eq!(said.out, format!("letters-key-dead-letters: 0 letters replayed\n{behind}"), "once");
    Ok(())
}

/// However often and wherever a replay is killed, each letter goes back once.
#[test]
fn a_replay_that_is_killed_doubles_nothing_and_loses_nothing() -> Outcome<()> {
    const LETTERS: i64 = 8000;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (setup, reviews) = setup("letters-killed")?;
    let letters: Vec<Record> = (0..LETTERS).map(|n| letter(&reviews, n, "model", "raw")).collect();
    setup.kafka.produce(&setup.topic("dead-letters"), &letters)?;

    let mut killed = 0;
    for _ in 0..5 {
        let before = setup.kafka.ends(&reviews)?[&1];
        let arguments = setup.arguments(&["dead-letters", "replay"]);
        let mut child = crate::cli::spawn(&arguments)?;
        while child.try_wait()?.is_none() && setup.kafka.ends(&reviews)?[&1] == before {}
        std::thread::sleep(Duration::from_millis(random.u64(0..40)));
        killed += i32::from(child.try_wait()?.is_none());
        child.kill()?;
        child.wait()?;
    }
    assert!(killed > 0, "every replay was faster than the hand that should kill it");
    setup.groundswell(&["dead-letters", "replay"])?.ended(0);
    let mut seen = payloads(&setup, &reviews)?;
    seen.sort();
    let mut expected: Vec<String> = (0..LETTERS).map(|n| format!("payload {n}")).collect();
    expected.sort();
    assert_eq!(seen.len(), expected.len(), "killed {killed} times, seed {seed}");
    assert_eq!(seen, expected, "killed {killed} times, seed {seed}");
    Ok(())
}

fn payloads(setup: &Setup, topic: &str) -> Outcome<Vec<String>> {
    Ok(setup.kafka.read_committed(topic)?.iter().map(|record| record.text().into_owned()).collect())
}
