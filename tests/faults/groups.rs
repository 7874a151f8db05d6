//! The two other ways to be a member of a group.

use std::time::{Duration, Instant};

use crate::support::{Instance, Kafka, Outcome, SOON, Stand, wait_until};

/// Another instance is there all along: a static member's restart moves nothing to it.
#[test]
fn a_static_member_keeps_its_partitions_over_a_restart() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "static", 4, "")?;
    let sets = ["kafka.static_membership=true"];
    let mut first = stand.start("a", &sets)?;
    let mut second = stand.start("b", &sets)?;
    stand.write_reviews(0, 200)?;
    stand.wait_until_processed(&mut [&mut first, &mut second])?;
    let shared = || Ok([&first, &second].iter().all(|i| i.log().contains("\"assigned\":2")));
    wait_until(SOON, "two partitions each", shared)?;
    let before = rebalances(&second);
    let asked = Instant::now();
    let status = first.stop()?;
    assert!(status.success(), "{status}:\n{}", first.log_tail());
    let mut first = stand.start("a", &sets)?;
    stand.write_reviews(200, 400)?;
    stand.wait_until_processed(&mut [&mut first, &mut second])?;
    assert!(asked.elapsed() < Duration::from_secs(30), "longer than the session: took {:?}", asked.elapsed());
    assert_eq!(rebalances(&second), before, "partitions moved:\n{}", second.log_tail());
    stand.judge()
}

#[test]
fn the_new_group_protocol_shares_and_hands_over() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "kip848-smoke", 4, "")?;
    let sets = ["kafka.group_protocol=consumer"];
    let mut first = stand.start("a", &sets)?;
    stand.write_reviews(0, 200)?;
    stand.wait_until_processed(&mut [&mut first])?;
    let mut second = stand.start("b", &sets)?;
    wait_until(SOON, "a share for the second", || Ok(rebalances(&second) > 0))?;
    stand.write_reviews(200, 400)?;
    stand.wait_until_processed(&mut [&mut first, &mut second])?;
    let status = first.stop()?;
    assert!(status.success(), "{status}:\n{}", first.log_tail());
    stand.write_reviews(600, 200)?;
    stand.wait_until_processed(&mut [&mut second])?;
    stand.judge()
}

/// The group knows the name, so it need not be guessed from fenced transactions.
#[test]
fn of_two_static_members_of_one_name_one_ends_and_says_why() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "static-twin", 2, "")?;
    let sets = ["kafka.static_membership=true", "delivery.mode=at_least_once"];
    let mut first = stand.start("a", &sets)?;
    stand.write_reviews(0, 50)?;
    stand.wait_until_processed(&mut [&mut first])?;
    let mut second = stand.start("a", &sets)?;
    let status = first.wait()?;
    assert_eq!(status.code(), Some(2), "{}", first.log_tail());
    let why = "another member of group static-twin-text has joined as a";
    assert!(first.log().contains(why), "{}", first.log_tail());
    stand.write_reviews(50, 50)?;
    stand.wait_until_processed(&mut [&mut second])
}

/// With KIP-848 the broker keeps a dead static member's name until its session is over.
#[test]
fn a_static_member_back_too_early_says_what_it_waits_for() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "static848", 2, "")?;
    let sets = ["kafka.static_membership=true", "kafka.group_protocol=consumer"];
    let mut first = stand.start("a", &sets)?;
    stand.write_reviews(0, 50)?;
    stand.wait_until_processed(&mut [&mut first])?;
    first.kill()?;
    let mut early = stand.start("a", &sets)?;
    let status = early.wait()?;
    assert_eq!(status.code(), Some(3), "{}", early.log_tail());
    assert!(early.log().contains("group.consumer.session.timeout.ms"), "{}", early.log_tail());
    stand.write_reviews(50, 50)?;
    let mut later = stand.start("a", &sets)?;
    wait_until(SOON, "what came is committed", || {
        // As whoever looks after the process would: again, until the broker has let go of the name.
        if later.check_alive().is_err() {
            later = stand.start("a", &sets)?;
        }
        Ok(stand.committed()? == 100)
    })
    .map_err(|error| format!("{error}\n{}", later.log_tail()))?;
    stand.judge()
}

/// Changes of what an instance reads, as its log counts them.
fn rebalances(instance: &Instance) -> usize {
    instance.log().matches("partitions changed").count()
}
