//! The broker goes away, stands still, or refuses what is too large.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Fate, Kafka, Outcome, Record, SOON, Stand, review, reviews, wait_until};

/// `delivery.transaction_timeout_ms` of the stand.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(6);

/// Few in flight and few in an epoch: the fault comes in the middle, and between many commits.
const SLOW: [&str; 2] = ["delivery.in_flight_records_max=100", "delivery.epoch_events_max=20"];

#[test]
fn a_broker_that_is_gone_for_a_while_loses_and_doubles_nothing() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    let mut stand = Stand::new(&kafka, "gone", 2, "")?;
    let mut instance = stand.start_with_http("a", &SLOW, &[])?;
    stand.wait_until_ready(true)?;
    stand.write_reviews(0, 4000)?;
    wait_until_some(&stand)?;
    kafka.stop(1)?;
    let since = Instant::now();
    stand.wait_until_ready(false)?;
    thread::sleep(Duration::from_secs(8).saturating_sub(since.elapsed()));
    instance.check_alive()?;
    kafka.restart(1)?;
    stand.wait_until_ready(true)?;
    stand.write_reviews(4000, 500)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

/// Nothing to read must not be taken for a broker that is still gone.
#[test]
fn an_idle_instance_is_ready_again_when_the_broker_is_back() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    let mut stand = Stand::new(&kafka, "idle", 1, "")?;
    let mut instance = stand.start_with_http("a", &[], &[])?;
    stand.write_reviews(0, 5)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.wait_until_ready(true)?;
    kafka.kill(1)?;
    stand.wait_until_ready(false)?;
    kafka.restart(1)?;
    stand.wait_until_ready(true)?;
    instance.check_alive()
}

/// Its connections stay open and nothing answers; meanwhile the broker's own clock gives the transaction up.
#[test]
fn a_broker_that_stands_still_loses_and_doubles_nothing() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    let mut stand = Stand::new(&kafka, "still", 2, "")?;
    let mut instance = stand.start("a", &SLOW)?;
    stand.write_reviews(0, 4000)?;
    wait_until_some(&stand)?;
    kafka.pause(1)?;
    thread::sleep(TRANSACTION_TIMEOUT + Duration::from_secs(3));
    instance.check_alive()?;
    kafka.resume(1)?;
    stand.write_reviews(4000, 500)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

/// A scored event that its topic does not take becomes a dead letter, alone.
#[test]
fn a_result_too_large_for_the_broker_is_set_aside_alone() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let mut stand = Stand::bare(kafka, "large", &reviews("large"))?;
    for (topic, most) in [("reviews", "1048588"), ("reviews.scored", "3000"), ("chats.scored", "3000")] {
        stand.topic(topic, 1, &[("max.message.bytes", most)])?;
    }
    stand.topic("dead-letters", 1, &[("max.message.bytes", "8000")])?;
    // Far more than the 3,000 bytes that a request to the topic may hold, each record of it small.
    stand.write_reviews(0, 300)?;
    let with_product = |bytes: usize| {
        let event = serde_json::json!({"text": "good", "product": "p".repeat(bytes)});
        Record::new(event.to_string())
    };
    let kept = stand.write("reviews", &[with_product(4_000)], Fate::DeadLettered)?;
    stand.write_reviews(300, 100)?;
    let withheld = stand.write("reviews", &[with_product(20_000)], Fate::DeadLettered)?;
    stand.write_reviews(400, 300)?;
    let mut instance = stand.start("a", &["delivery.epoch_ms_max=500"])?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()?;

    let letters = kafka.read_committed(&stand.name("dead-letters"))?;
    let of = |places: &[(i32, i64)]| {
        let offset = places[0].1.to_string();
        letters.iter().find(|letter| header(letter, "offset") == offset).ok_or("no dead letter")
    };
    let (kept, withheld) = (of(&kept)?, of(&withheld)?);
    assert_eq!((header(kept, "reason"), header(kept, "payload")), ("output_too_large".into(), "raw".into()));
    assert_eq!(kept.payload.as_ref().map(|payload| payload.len() > 4_000), Some(true), "the record as it came");
    let found = (header(withheld, "reason"), header(withheld, "payload"), withheld.payload.as_ref().map(Vec::len));
    assert_eq!(found, ("output_too_large".into(), "too_large".into(), Some(0)));
    let status = instance.stop()?;
    assert!(status.success(), "{status}:\n{}", instance.log_tail());
    Ok(())
}

/// A record that only fits its topic uncompressed by a hair, refused for its contents: the letter is larger than it.
#[test]
fn a_dead_letter_too_large_for_the_broker_says_where_the_record_lies() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let mut stand = Stand::bare(kafka, "letter", &reviews("letter"))?;
    for topic in ["reviews", "reviews.scored", "chats.scored"] {
        stand.topic(topic, 1, &[])?;
    }
    stand.topic("dead-letters", 1, &[("max.message.bytes", "2000")])?;
    stand.write("reviews", &[Record::new(format!("{{\"text\": \"{}", "x".repeat(5_000)))], Fate::DeadLettered)?;
    stand.write("reviews", &[review(1, "good")], Fate::Scored)?;
    let mut instance = stand.start("a", &[])?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()?;
    let letters = kafka.read_committed(&stand.name("dead-letters"))?;
    let found = (header(&letters[0], "payload"), letters[0].payload.as_ref().map(Vec::len));
    assert_eq!(found, ("too_large".into(), Some(0)));
    Ok(())
}

pub fn header(letter: &Record, name: &str) -> String {
    let name = format!("groundswell.{name}");
    let value = letter.headers.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.clone());
    String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
}

/// Some, and by far not all: the fault comes in the middle.
fn wait_until_some(stand: &Stand<'_>) -> Outcome<()> {
    wait_until(SOON, "the first commit", || Ok(stand.committed()? > 0))?;
    let committed = stand.committed()?;
    assert!(committed < stand.written().len(), "all {committed} were committed before the fault");
    Ok(())
}
