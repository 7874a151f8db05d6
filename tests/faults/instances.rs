//! Instances that are stopped, told to hurry, or share a name.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Instance, Kafka, Outcome, Patience, SOON, Stand, wait_until};

/// Who leaves without a word is waited for by the group for as long as this.
const SHORT_SESSION: [(&str, &str); 1] = [("GROUNDSWELL__KAFKA__LIBRDKAFKA__SESSION_TIMEOUT_MS", "6000")];

#[test]
fn a_stop_under_load_commits_what_is_under_way_and_the_next_start_goes_on() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "term", 2, "")?;
    stand.write_reviews(0, 4000)?;
    // What is in flight is finished; a bound on it leaves something for the next start.
    let mut instance = stand.start("a", &["delivery.shutdown_ms_max=15000", "delivery.in_flight_records_max=300"])?;
    wait_until_some(&stand)?;
    let asked = Instant::now();
    let status = instance.stop()?;
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0), "{}", instance.log_tail());
    assert!(took < Duration::from_secs(16), "took {took:?}");
    let committed = stand.committed()?;
    assert!(committed > 0 && committed < 4000, "{committed} of 4000 were committed: the stop came under load");
    let mut instance = stand.start("a", &[])?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

/// Whatever moment of loading the models the signal meets, ONNX Runtime is not taken apart under its threads.
#[test]
fn a_stop_while_models_load_ends_in_order() -> Outcome<()> {
    let stand = Stand::new(Kafka::shared()?, "early", 1, "")?;
    for wait in 0..40 {
        let mut instance = stand.start(&format!("early-{wait}"), &[])?;
        wait_until(SOON, "the line that says started", || Ok(instance.log().contains("started")))?;
        thread::sleep(Duration::from_millis(4 * wait));
        let status = instance.stop()?;
        assert_eq!(status.code(), Some(0), "after {} ms: {status}\n{}", 4 * wait, instance.log_tail());
    }
    Ok(())
}

/// Nothing that is unfinished when time is up keeps the process.
#[test]
fn a_stop_ends_in_time_even_when_its_work_does_not() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    let mut stand = Stand::new(&kafka, "deadline", 1, "")?;
    stand.write_reviews(0, 3000)?;
    let mut instance = stand.start_with_http("a", &["delivery.shutdown_ms_max=2000"], &SHORT_SESSION)?;
    wait_until_some(&stand)?;
    kafka.pause(1)?;
    thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    let status = instance.stop()?;
    let took = asked.elapsed();
    kafka.resume(1)?;
    assert_eq!(status.code(), Some(0), "{}", instance.log_tail());
    // The transaction under way, which the broker does not answer, would take 5 to 20 s more.
    assert!(took < Duration::from_secs(4), "took {took:?}:\n{}", instance.log_tail());
    let mut instance = stand.start_with_http("a", &[], &SHORT_SESSION)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

#[test]
fn a_second_signal_leaves_at_once_and_doubles_nothing() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "twice", 2, "")?;
    stand.write_reviews(0, 4000)?;
    let mut instance = stand.start_with_http("a", &[], &SHORT_SESSION)?;
    wait_until_some(&stand)?;
    instance.signal("TERM")?;
    thread::sleep(Duration::from_millis(30));
    let asked = Instant::now();
    let status = instance.stop()?;
    assert!(asked.elapsed() < Duration::from_secs(2), "took {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(143), "{}", instance.log_tail());
    let mut instance = stand.start_with_http("a", &[], &SHORT_SESSION)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

/// Which of the two goes on is Kafka's choice; that one of them does, and that the other says why, is ours.
#[test]
fn of_two_instances_of_one_name_one_ends_and_says_why() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "namesake", 4, "")?;
    let mut first = stand.start("a", &[])?;
    stand.write_reviews(0, 200)?;
    wait_until_some(&stand)?;
    let mut second = stand.start("a", &[])?;
    let mut patience = Patience::of(SOON);
    let mut number = 200;
    while first.check_alive().is_ok() && second.check_alive().is_ok() {
        assert!(!patience.is_over(), "both live on:\n{}", first.log_tail());
        stand.write_reviews(number, 50)?;
        number += 50;
        thread::sleep(Duration::from_millis(200));
    }
    let (ended, left) = if first.check_alive().is_ok() { (second, first) } else { (first, second) };
    expect_fenced(ended)?;
    let mut left = left;
    stand.wait_until_processed(&mut [&mut left])?;
    stand.judge()
}

fn expect_fenced(mut ended: Instance) -> Outcome<()> {
    let status = ended.wait()?;
    let log = ended.log();
    assert_eq!(status.code(), Some(2), "{}", ended.log_tail());
    assert!(log.contains("another instance runs with the transactional id namesake-text-a"), "{}", ended.log_tail());
    Ok(())
}

fn wait_until_some(stand: &Stand<'_>) -> Outcome<()> {
    wait_until(SOON, "the first commit", || Ok(stand.committed()? > 0))
}
