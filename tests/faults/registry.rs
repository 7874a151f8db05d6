//! The schema registry: away for a while, with strangers' schemas, and as the keeper of ours.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use groundswell::event::v1;
use prost::Message;

use crate::support::{Fate, Kafka, Outcome, Record, Registry, Stand, framed, review, reviews};

/// As our own writers have it, and a field that we do not know yet.
const OURS_WITH_MORE: &str = r#"
syntax = "proto3";
package groundswell.v1;
message Review {
  string event_id = 1;
  string text = 3;
  optional string product = 4;
  string shop_floor = 77;
}
"#;

/// Messages within messages, under names of their own.
const FOREIGN: &str = r#"
syntax = "proto3";
package shop;
message Unused { string a = 1; }
message Page {
  message Comment { string body = 1; int64 likes = 2; }
  message Thread { message Reply { string body = 1; Comment quoted = 2; } }
  string title = 1;
}
"#;

#[derive(Clone, PartialEq, Message)]
struct Comment {
    #[prost(string, tag = "1")]
    body: String,
    #[prost(int64, tag = "2")]
    likes: i64,
}

/// What was written while the registry is away waits; it is no dead letter, and what was read before goes on.
#[test]
fn records_wait_for_a_registry_that_is_away() -> Outcome<()> {
    let registry = Registry::start()?;
    let inputs = framed_input("away", &registry, "") + &reviews("away");
    let mut stand = Stand::bare(Kafka::shared()?, "away", &inputs)?;
    for topic in ["framed", "reviews", "reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 1, &[])?;
    }
    let known = registry.register("away-known-value", "PROTOBUF", OURS_WITH_MORE, &[])?;
    let late = registry.register("away-late-value", "PROTOBUF", &OURS_WITH_MORE.replace("77", "78"), &[])?;
    let mut instance = stand.start_with_http("a", &["registry.timeout_ms=500"], &[])?;
    stand.write("framed", &framed_reviews(known, &[0], 0), Fate::Scored)?;
    stand.wait_until_processed(&mut [&mut instance])?;

    registry.kill()?;
    let before = stand.written().len();
    stand.write("framed", &framed_reviews(known, &[0], 100), Fate::Scored)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.write("framed", &framed_reviews(late, &[0], 200), Fate::Scored)?;
    let json: Vec<Record> = (0..20).map(|number| review(number, "in JSON")).collect();
    stand.write("reviews", &json, Fate::Scored)?;
    thread::sleep(Duration::from_secs(3));
    instance.check_alive()?;
    let committed = stand.committed()?;
    assert!(committed < stand.written().len(), "records of an unknown schema were committed");
    assert!(committed >= before + 20, "what the registry is not needed for stood still: {committed} of {before} + 20");
    let letters = stand.kafka.read_committed(&stand.name("dead-letters"))?;
    assert!(letters.is_empty(), "dead letters of what is only unreachable: {}", letters.len());
    registry.restart()?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

#[test]
fn a_stop_does_not_wait_for_a_registry_that_is_away() -> Outcome<()> {
    let registry = Registry::start()?;
    let mut stand = Stand::bare(Kafka::shared()?, "awaystop", &framed_input("awaystop", &registry, ""))?;
    for topic in ["framed", "reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 1, &[])?;
    }
    let schema = registry.register("awaystop-framed-value", "PROTOBUF", OURS_WITH_MORE, &[])?;
    let sets = ["registry.timeout_ms=500", "delivery.shutdown_ms_max=1500"];
    registry.kill()?;
    stand.write("framed", &framed_reviews(schema, &[0], 0), Fate::Scored)?;
    let mut instance = stand.start_with_http("a", &sets, &[])?;
    stand.wait_until_ready(true)?;
    thread::sleep(Duration::from_secs(1));
    let asked = std::time::Instant::now();
    let status = instance.stop()?;
    assert_eq!(status.code(), Some(0), "{}", instance.log_tail());
    assert!(asked.elapsed() < Duration::from_secs(8), "took {:?}", asked.elapsed());
    registry.restart()?;
    let mut instance = stand.start("a", &sets)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()
}

#[test]
fn a_strangers_nested_message_is_mapped_and_ours_may_have_more_fields() -> Outcome<()> {
    let registry = Registry::shared()?;
    let mapping = "[inputs.framed.fields]\ntext = \"/body\"\nrating = \"/likes\"\n";
    let ours = "[inputs.ours]\nkind = \"review\"\ntopics = [\"foreign-ours\"]\nformat = \"protobuf_framed\"\n";
    let inputs = framed_input("foreign", registry, mapping) + ours;
    let mut stand = Stand::bare(Kafka::shared()?, "foreign", &inputs)?;
    for topic in ["framed", "ours", "reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 1, &[])?;
    }
    let foreign = registry.register("foreign-framed-value", "PROTOBUF", FOREIGN, &[])?;
    let more = registry.register("foreign-ours-value", "PROTOBUF", OURS_WITH_MORE, &[])?;
    let comment = Comment { body: "good enough".into(), likes: 4 }.encode_to_vec();
    // Page is the second message, Comment its first; Thread its second, and Reply the first of that.
    // A reply has the comment's body, and something else than likes behind it.
    let body = &comment[..comment.len() - 2];
    let rows: [(&[u8], &[u8], Fate); 4] = [
        (&[4, 2, 0], &comment, Fate::Scored),
        (&[6, 2, 2, 0], body, Fate::Scored),
        (&[4, 2, 10], &comment, Fate::DeadLettered),
        (&[0], b"", Fate::DeadLettered),
    ];
    for (index, message, fate) in rows {
        stand.write("framed", &[Record::new(framed(foreign, index, message))], fate)?;
    }
    stand.write("ours", &framed_reviews(more, &[0], 0), Fate::Scored)?;
    let mut instance = stand.start("a", &[])?;
    stand.wait_until_processed(&mut [&mut instance])?;
    stand.judge()?;
    let scored = stand.kafka.read_committed(&stand.name("reviews.scored"))?;
    let ratings = scored.iter().filter(|record| record.text().contains("\"rating\":4.0")).count();
    assert_eq!(ratings, 1, "the likes of the stranger's comment");
    Ok(())
}

/// Without leave to register, a schema that is missing ends the start; with it, readers find the schema by its id.
#[test]
fn framed_outputs_name_a_schema_that_the_registry_holds() -> Outcome<()> {
    let registry = Registry::start()?;
    let extra = format!("[registry]\nurl = \"{}\"\n", registry.url());
    let mut stand = Stand::new(Kafka::shared()?, "output", 1, &extra)?;
    let sets = ["outputs.format=protobuf_framed"];
    let mut refused = stand.start("refused", &sets)?;
    let status = refused.wait()?;
    assert_eq!(status.code(), Some(3), "{}", refused.log_tail());
    assert!(refused.log().contains("output-reviews.scored-value"), "{}", refused.log_tail());

    let mut instance = stand.start("a", &[sets[0], "registry.register=true"])?;
    stand.write_reviews(0, 20)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    let scored = stand.kafka.read_committed(&stand.name("reviews.scored"))?;
    assert_eq!(scored.len(), 20);
    let mut known: HashMap<u32, String> = HashMap::new();
    for record in scored {
        let bytes = record.payload.ok_or("a scored event without a value")?;
        let (frame, message) = bytes.split_at(6);
        let id = u32::from_be_bytes(frame[1..5].try_into()?);
        if let std::collections::hash_map::Entry::Vacant(entry) = known.entry(id) {
            entry.insert(registry.schema(id)?["schema"].as_str().unwrap_or_default().to_owned());
        }
        assert_eq!((frame[0], frame[5]), (0, 0), "the magic byte, and the path of the file's first message");
        assert!(known[&id].contains("message Scored"), "{}", known[&id]);
        check_scored(&v1::Scored::decode(message)?, "output-reviews");
    }
    // Started again, without leave: it is there now.
    instance.stop()?;
    let mut instance = stand.start("a", &sets)?;
    stand.write_reviews(20, 5)?;
    stand.wait_until_processed(&mut [&mut instance])
}

#[test]
fn protobuf_goes_in_and_comes_out_without_a_registry() -> Outcome<()> {
    let input = "[inputs.reviews]\nkind = \"review\"\ntopics = [\"plain-reviews\"]\nformat = \"protobuf\"\n";
    let mut stand = Stand::bare(Kafka::shared()?, "plain", input)?;
    for topic in ["reviews", "reviews.scored", "chats.scored", "dead-letters"] {
        stand.topic(topic, 1, &[])?;
    }
    let records: Vec<Record> = (0..20).map(|number| Record::new(ours(number))).collect();
    stand.write("reviews", &records, Fate::Scored)?;
    let mut instance = stand.start("a", &["outputs.format=protobuf"])?;
    stand.wait_until_processed(&mut [&mut instance])?;
    let scored = stand.kafka.read_committed(&stand.name("reviews.scored"))?;
    assert_eq!(scored.len(), 20);
    for (record, offset) in scored.iter().zip(0..) {
        let event = v1::Scored::decode(record.payload.as_deref().unwrap_or_default())?;
        check_scored(&event, "plain-reviews");
        assert_eq!(event.origin.as_ref().map(|origin| origin.offset), Some(offset));
        assert_eq!(record.key.as_deref(), Some(b"p-7".as_slice()));
    }
    Ok(())
}

fn check_scored(event: &v1::Scored, topic: &str) {
    let sum: f64 = event.sentiment.iter().flat_map(|sentiment| sentiment.probabilities.values()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{event:?}");
    assert_eq!(event.origin.as_ref().map(|origin| origin.topic.as_str()), Some(topic));
    assert_eq!(event.kind(), v1::Kind::Review);
}

fn framed_input(tag: &str, registry: &Registry, more: &str) -> String {
    format!(
        "[registry]\nurl = \"{}\"\n[inputs.framed]\nkind = \"review\"\ntopics = [\"{tag}-framed\"]\n\
         format = \"protobuf_framed\"\n{more}",
        registry.url()
    )
}

fn framed_reviews(schema: u32, index: &[u8], first: usize) -> Vec<Record> {
    (first..first + 20).map(|number| Record::new(framed(schema, index, &ours(number)))).collect()
}

fn ours(number: usize) -> Vec<u8> {
    let text = format!("good enough, would buy again ({number})");
    v1::Review { text, product: Some("p-7".into()), ..v1::Review::default() }.encode_to_vec()
}
