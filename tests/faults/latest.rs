//! `kafka.start_from = "latest"`: what was there is left out, what comes is not, whoever is there to read it.

use crate::support::{Fate, Kafka, Outcome, Record, SOON, Stand, review, wait_until};

/// Who leaves without a word is waited for by the group for as long as this.
const SHORT_SESSION: [(&str, &str); 1] = [("GROUNDSWELL__KAFKA__LIBRDKAFKA__SESSION_TIMEOUT_MS", "6000")];

#[test]
fn what_arrives_after_a_crash_before_the_first_commit_is_read() -> Outcome<()> {
    crash_before_the_first_commit("latest", "classic", &SHORT_SESSION)
}

#[test]
fn what_arrives_after_a_crash_is_read_with_the_new_group_protocol_too() -> Outcome<()> {
    crash_before_the_first_commit("latest848", "consumer", &[])
}

/// The start is a place in the partition, not a moment of each reader: an instance that dies before it has committed a
/// result leaves it to the next one.
fn crash_before_the_first_commit(tag: &'static str, protocol: &str, environment: &[(&str, &str)]) -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, tag, 2, "")?;
    let old: Vec<Record> = (0..10).map(|number| review(number, "old").partition(0)).collect();
    stand.kafka.produce(&stand.name("reviews"), &old)?;
    let protocol = format!("kafka.group_protocol={protocol}");
    let sets = ["kafka.start_from=latest", protocol.as_str()];
    let mut instance = stand.start_with_http("a", &sets, environment)?;
    stand.wait_until_ready(true)?;
    instance.kill()?;

    let new: Vec<Record> = (10..40).map(|number| review(number, "new").partition((number % 2) as i32)).collect();
    stand.write("reviews", &new, Fate::Scored)?;
    let mut instance = stand.start_with_http("a", &sets, environment)?;
    wait_until(SOON, "what came is committed", || {
        instance.check_alive()?;
        let committed = stand.kafka.committed_offsets(&stand.name("text"), &stand.name("reviews"))?;
        Ok(committed.get(&0) == Some(&25) && committed.get(&1) == Some(&15))
    })
    .map_err(|error| format!("{error}\n{}", instance.log_tail()))?;
    stand.judge()
}
