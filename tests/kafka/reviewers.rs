//! Profiles that tell of their users' own reviews, on the real Kafka: what reviews say goes by user to those who sum it up,
//! through a kill, each once; and is in the profiles that are made from then on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::remembered::create_changelog;
use crate::support::{Instance, Kafka, Outcome, Record, SOON, Stand, wait_until};

const TAG: &str = "reviewers";
const PARTITIONS: i32 = 2;
const USERS: usize = 5;
/// Before the kill, and again behind it.
const REVIEWS: usize = 200;

#[test]
fn profiles_tell_what_users_said_in_reviews_each_once() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let stand = stand(kafka)?;
    let mut instance = start(&stand)?;
    stand.wait_until_ready(true)?;
    write_reviews(kafka, 0)?;
    // Somewhere on the way of the reviews.
    wait_until(SOON, "the first sums", || Ok(!kafka.read_committed(&stand.name("reviewers-sums"))?.is_empty()))?;
    instance.kill()?;
    write_reviews(kafka, REVIEWS)?;
    let mut instance = start(&stand)?;
    let scored = scored(&stand, &mut instance, 2 * REVIEWS)?;
    // A click each, once all is known: the X.
    let sums = || sums(&stand);
    wait_until(SOON, "all reviews to be summed up", || {
        instance.check_alive()?;
        Ok(sums()?.values().sum::<u64>() >= scored.values().map(|said| said.reviews).sum())
    })?;
    stand.wait_until_ready(true)?;
    // Each purchase makes a profile, of what is known when it comes.
    let mut told = BTreeMap::new();
    wait_until(SOON, "profiles that tell of all reviews", || {
        instance.check_alive()?;
        let clicks: Vec<Record> = (0..=USERS).map(purchase).collect();
        kafka.produce(&stand.name("clicks"), &clicks)?;
        told = profiles(&stand)?;
        let all = scored
            .iter()
            .map(|(user, said)| told.get(user).map(|p| &p["reviews"]["reviews"]) == Some(&json!(said.reviews)));
        Ok(told.len() > USERS && all.into_iter().all(|all| all))
    })?;
    for user in 0..USERS {
        let user = format!("u{user}");
        let (said, expected) = (&told[&user]["reviews"], &scored[&user]);
        let of = |name: &str| said[name].as_u64().unwrap_or_default();
        assert_eq!([of("reviews"), of("positive"), of("neutral"), of("negative")], expected.counts(), "{user}: {said}");
        let score = said["score"].as_f64().ok_or("no score")?;
        assert!((score - expected.mean()).abs() < 2e-3, "{user}: {said}, expected {}", expected.mean());
    }
    assert!(told[&format!("u{USERS}")].get("reviews").is_none(), "who wrote none");
    let letters = kafka.read_committed(&stand.name("dead-letters"))?;
    assert!(letters.is_empty(), "{} dead letters", letters.len());
    assert!(instance.stop()?.success(), "{}", instance.log_tail());
    println!("{} reviews by {USERS} users, in the profile of each, each once", 2 * REVIEWS);
    Ok(())
}

fn start(stand: &Stand<'_>) -> Outcome<Instance> {
    let outputs = ["clicks", "profiles"]
        .map(|output| format!("outputs.{output}={}", stand.name(output).replace("-clicks", "-clicks.scored")));
    stand.start_with_http("a", &outputs.each_ref().map(String::as_str), &[])
}

fn stand(kafka: &Kafka) -> Outcome<Stand<'_>> {
    let state = tempfile::tempdir()?.keep();
    let extra = format!(
        r#"
[inputs.clicks]
kind = "click"
topics = ["{TAG}-clicks"]
[clicks]
include_reviews = true
[recommendations]
enabled = false
[state]
directory = "{}"
"#,
        state.display()
    );
    let stand = Stand::new(kafka, TAG, PARTITIONS, &extra)?;
    for topic in ["clicks", "clicks.scored", "profiles", "reviewers-opinions", "reviewers-sums"] {
        stand.topic(topic, PARTITIONS, &[])?;
    }
    for (group, input) in [("clicks", "clicks"), ("reviewers", "reviewers-opinions")] {
        let changelog = groundswell::runtime::changelog(&stand.name(group), &stand.name(input));
        create_changelog(kafka, &changelog, PARTITIONS)?;
    }
    Ok(stand)
}

/// Of a few users each, and some of nobody.
fn write_reviews(kafka: &Kafka, first: usize) -> Outcome<()> {
    let review = |number: usize| {
        let user = (number % 7 < USERS).then(|| format!("u{}", number % 7));
        let review = json!({"event_id": format!("r-{number}"), "text": format!("it is what it is ({number})"),
            "product": format!("p-{}", number % 11), "user": user});
        Record::new(review.to_string())
    };
    kafka.produce(&format!("{TAG}-reviews"), &(first..first + REVIEWS).map(review).collect::<Vec<_>>())?;
    Ok(())
}

/// What the scored reviews say of a user.
#[derive(Default)]
struct Said {
    reviews: u64,
    labels: BTreeMap<String, u64>,
    score: f64,
}

impl Said {
    fn counts(&self) -> [u64; 4] {
        let of = |label: &str| self.labels.get(label).copied().unwrap_or_default();
        [self.reviews, of("positive"), of("neutral"), of("negative")]
    }

    fn mean(&self) -> f64 {
        self.score / self.reviews as f64
    }
}

fn scored(stand: &Stand<'_>, instance: &mut Instance, count: usize) -> Outcome<BTreeMap<String, Said>> {
    let read = || stand.kafka.read_committed(&stand.name("reviews.scored"));
    wait_until(SOON, "all reviews scored", || {
        instance.check_alive()?;
        Ok(read()?.len() >= count)
    })?;
    let records = read()?;
    assert_eq!(records.len(), count, "scored reviews");
    let mut by_user: BTreeMap<String, Said> = BTreeMap::new();
    for record in records {
        let scored: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
        let (Some(user), Some(score)) = (scored["user"].as_str(), scored["sentiment"]["score"].as_f64()) else {
            continue;
        };
        let said = by_user.entry(user.to_owned()).or_default();
        said.reviews += 1;
        said.score += score;
        let label = scored["sentiment"]["label"].as_str().unwrap_or_default();
        *said.labels.entry(label.to_owned()).or_default() += 1;
    }
    assert_eq!(by_user.len(), USERS, "everybody wrote");
    Ok(by_user)
}

/// How many reviews each user is known to have written, by the table.
fn sums(stand: &Stand<'_>) -> Outcome<BTreeMap<Vec<u8>, u64>> {
    use groundswell::stages::reviewers::Opinions;
    let mut newest = BTreeMap::new();
    for record in stand.kafka.read_committed(&stand.name("reviewers-sums"))? {
        let opinions: Opinions = prost::Message::decode(record.payload.as_deref().unwrap_or_default())?;
        newest.insert(record.key.unwrap_or_default(), opinions.reviews);
    }
    Ok(newest)
}

/// The newest of each user.
fn profiles(stand: &Stand<'_>) -> Outcome<BTreeMap<String, Value>> {
    let mut newest = BTreeMap::new();
    for record in stand.kafka.read_committed(&stand.name("profiles"))? {
        let profile: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
        newest.insert(profile["user"].as_str().ok_or("no user")?.to_owned(), profile);
    }
    Ok(newest)
}

fn purchase(user: usize) -> Record {
    let click =
        json!({"event_time": "2026-01-05T00:00:00Z", "user": format!("u{user}"), "item": "p", "action": "purchase"});
    Record::new(click.to_string()).key(format!("u{user}"))
}
