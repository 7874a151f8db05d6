//! The harness itself: what the other tests take for granted about the real parts holds.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::support::{Kafka, Outcome, Record, Reference, Registry};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_thousand_records_come_back_as_they_were_written() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    kafka.create_topic("harness-thousand", 3, &[("max.message.bytes", "20000")])?;
    let written: Vec<Record> = (0..1000)
        .map(|i| Record::new(format!("payload {i}")).key(format!("key {i}")).header("n", i.to_string()).at(1_000 + i))
        .chain([Record { payload: None, headers: vec![("none".into(), None)], ..Record::new("").key("tombstone") }])
        .collect();
    let places = kafka.produce("harness-thousand", &written)?;

    let mut expected: Vec<Record> = written
        .into_iter()
        .zip(places)
        .map(|(record, (partition, offset))| Record { partition: Some(partition), offset, ..record })
        .collect();
    expected.sort_by_key(|record| (record.partition, record.offset));
    let mut seen = kafka.read_committed("harness-thousand")?;
    let tombstone = seen.iter_mut().find(|record| record.payload.is_none()).ok_or("the tombstone is lost")?;
    assert!(tombstone.timestamp_ms.take().is_some_and(|now| now > 1_700_000_000_000), "stamped when written");
    assert_eq!(seen, expected);
    assert_eq!(kafka.ends("harness-thousand")?.values().sum::<i64>(), 1001);

    let too_large = kafka.produce("harness-thousand", &[Record::new(vec![b'x'; 30_000])]);
    assert!(too_large.is_err_and(|error| error.to_string().contains("MessageSizeTooLarge")));
    Ok(())
}

#[test]
fn what_a_transaction_aborted_is_not_seen() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    kafka.create_topic("harness-abort", 1, &[])?;
    kafka.produce("harness-abort", &[Record::new("before")])?;
    let producer: ThreadedProducer<DefaultProducerContext> =
        kafka.client().set("transactional.id", "harness-abort").create()?;
    producer.init_transactions(SOON)?;
    for (payload, commit) in [("aborted", false), ("committed", true)] {
        producer.begin_transaction()?;
        producer.send(BaseRecord::<(), str>::to("harness-abort").payload(payload)).map_err(|(error, _)| error)?;
        producer.flush(SOON)?;
        if commit { producer.commit_transaction(SOON)? } else { producer.abort_transaction(SOON)? }
    }

    let seen = kafka.read_committed("harness-abort")?;
    assert_eq!(seen.iter().map(|record| record.text()).collect::<Vec<_>>(), ["before", "committed"]);
    assert_eq!(kafka.ends("harness-abort")?[&0], 5, "three records and the markers of two transactions");
    Ok(())
}

#[test]
fn committed_offsets_are_those_that_a_group_committed() -> Outcome<()> {
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

    let kafka = Kafka::shared()?;
    kafka.create_topic("harness-offsets", 2, &[])?;
    kafka.produce("harness-offsets", &[Record::new("a").partition(1), Record::new("b").partition(1)])?;
    let member: BaseConsumer = kafka.client().set("group.id", "harness-offsets").create()?;
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets.add_partition_offset("harness-offsets", 1, rdkafka::Offset::Offset(2))?;
    member.commit(&offsets, CommitMode::Sync)?;

    let committed = kafka.committed_offsets("harness-offsets", "harness-offsets")?;
    assert_eq!(committed.into_iter().collect::<Vec<_>>(), [(1, 2)]);
    Ok(())
}

#[test]
fn a_broker_keeps_its_port_and_data_through_stop_kill_and_pause() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    kafka.create_topic("harness-restart", 2, &[])?;
    let texts = |kafka: &Kafka| -> Outcome<Vec<String>> {
        Ok(kafka.read_committed("harness-restart")?.iter().map(|record| record.text().into_owned()).collect())
    };
    kafka.produce("harness-restart", &[Record::new("first").partition(0)])?;
    kafka.stop(1)?;
    assert!(kafka.stop(1).is_err(), "it is gone");
    kafka.restart(1)?;
    kafka.produce("harness-restart", &[Record::new("second").partition(1)])?;
    kafka.kill(1)?;
    kafka.restart(1)?;
    assert_eq!(texts(&kafka)?, ["first", "second"]);

    kafka.pause(1)?;
    thread::scope(|scope| {
        let reading = scope.spawn(|| texts(&kafka));
        thread::sleep(Duration::from_millis(500));
        let waited = !reading.is_finished();
        kafka.resume(1)?;
        let read = reading.join().map_err(|_| "the reader panicked")??;
        assert!(waited, "a paused broker answered");
        assert_eq!(read, ["first", "second"]);
        Ok(())
    })
}

#[test]
fn three_nodes_go_on_without_one() -> Outcome<()> {
    let kafka = Kafka::start(3)?;
    kafka.create_topic("harness-three", 3, &[])?;
    kafka.produce("harness-three", &[Record::new("with all")])?;
    kafka.kill(2)?;
    kafka.produce("harness-three", &[Record::new("with two")])?;
    let mut texts: Vec<String> = kafka.read_committed("harness-three")?.iter().map(|r| r.text().into_owned()).collect();
    texts.sort();
    assert_eq!(texts, ["with all", "with two"]);
    kafka.restart(2)
}

#[test]
fn a_registry_gives_back_what_was_registered_and_keeps_it() -> Outcome<()> {
    let registry = Registry::start()?;
    let brand = r#"syntax = "proto3"; package shop; message Brand { string name = 1; }"#;
    let item = r#"syntax = "proto3"; package shop; import "brand.proto"; message Item { Brand brand = 1; }"#;
    let brand_id = registry.register("brand-value", "PROTOBUF", brand, &[])?;
    let reference = Reference { name: "brand.proto", subject: "brand-value", version: 1 };
    let item_id = registry.register("item-value", "PROTOBUF", item, &[reference])?;
    assert_ne!(brand_id, item_id);
    assert_eq!(registry.register("brand-value", "PROTOBUF", brand, &[])?, brand_id, "registered once");

    registry.kill()?;
    assert!(registry.schema(item_id).is_err(), "it is gone");
    registry.restart()?;
    let schema = registry.schema(item_id)?;
    assert_eq!(schema["schemaType"], "PROTOBUF");
    assert_eq!(schema["references"][0]["subject"], "brand-value");
    assert!(schema["schema"].as_str().is_some_and(|text| text.contains("message Item")), "{schema}");
    Ok(())
}

#[test]
fn the_shared_registry_answers() -> Outcome<()> {
    let registry = Registry::shared()?;
    let schema = r#"syntax = "proto3"; message Harness { int64 n = 1; }"#;
    let id = registry.register("harness-value", "PROTOBUF", schema, &[])?;
    assert_eq!(registry.schema(id)?["schema"], schema);
    let refused = registry.register("harness-value", "PROTOBUF", "message {", &[]);
    assert!(refused.is_err_and(|error| error.to_string().contains("422")), "not a schema");
    Ok(())
}

/// Neither destructors nor signal handlers run in a process that is killed; the broker must not stay behind.
#[test]
fn a_broker_ends_with_the_process_that_started_it() -> Outcome<()> {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(["--exact", "kafka::harness::hold_a_broker", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(holder.stdout.take().ok_or("no stdout")?).lines().map_while(Result::ok);
    let address = lines.filter_map(|line| Some(line.split_once("holding ")?.1.to_owned())).next();
    let address = address.ok_or("the holder ended without a broker")?;
    TcpStream::connect(&address)?;
    holder.kill()?;
    holder.wait()?;
    let deadline = Instant::now() + SOON;
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "a broker still answers at {address} {SOON:?} after its test was killed");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
#[ignore = "the process that a_broker_ends_with_the_process_that_started_it kills"]
fn hold_a_broker() -> Outcome<()> {
    let kafka = Kafka::start(1)?;
    println!("holding {}", kafka.bootstrap());
    thread::sleep(2 * SOON);
    Ok(())
}
