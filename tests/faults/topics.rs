//! Topics that are not there yet, and topics that grow.

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

use crate::support::{Fate, Kafka, Outcome, Record, SOON, Stand, review, reviews, wait_until};

#[test]
fn an_input_that_is_made_later_is_read_from_its_beginning() -> Outcome<()> {
    let inputs = reviews("later").replace("\"later-reviews\"", "\"later-reviews\", \"later-more\"");
    let mut stand = Stand::bare(Kafka::shared()?, "later", &inputs)?;
    for topic in ["reviews", "reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 2, &[])?;
    }
    let mut instance = stand.start("a", &[])?;
    stand.write_reviews(0, 100)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.topic("more", 2, &[])?;
    let records: Vec<Record> = (0..100).map(|number| review(number, "late")).collect();
    stand.write("more", &records, Fate::Scored)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

#[test]
fn an_instance_whose_only_input_is_missing_waits_for_it() -> Outcome<()> {
    let mut stand = Stand::bare(Kafka::shared()?, "missing", &reviews("missing"))?;
    for topic in ["reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 1, &[])?;
    }
    let mut instance = stand.start_with_http("a", &[], &[])?;
    stand.wait_until_ready(false)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    instance.check_alive()?;
    stand.topic("reviews", 1, &[])?;
    stand.write_reviews(0, 50)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.wait_until_ready(true)?;
    stand.judge()
}

/// What was written to the new partitions before they were discovered is read too.
#[test]
fn partitions_that_are_added_are_read_from_their_beginning() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "grow", 1, "")?;
    let mut instance = stand.start("a", &[])?;
    stand.write_reviews(0, 100)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    let admin: AdminClient<DefaultClientContext> = stand.kafka.client().create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topic = stand.name("reviews");
    let (grown, options) = ([NewPartitions::new(&topic, 3)], AdminOptions::new());
    for answer in runtime.block_on(admin.create_partitions(&grown, &options))? {
        answer.map_err(|(topic, error)| format!("{topic} does not grow: {error}"))?;
    }
    wait_until(SOON, "three partitions", || Ok(stand.kafka.ends(&topic)?.len() == 3))?;
    let records: Vec<Record> =
        (100..400).map(|number| review(number, "good").partition(i32::try_from(number % 3).unwrap_or(0))).collect();
    stand.write("reviews", &records, Fate::Scored)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}
