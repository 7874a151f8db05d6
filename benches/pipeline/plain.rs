//! The limit of the raw path: consume, produce the same bytes, commit the offsets in the transaction; one thread,
//! written as fast as librdkafka allows.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Supplied, Supply};

const TRANSACTION_FOR: Duration = Duration::from_millis(25);
const TRANSACTION_RECORDS_MAX: usize = 10_000;
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Records a second, given as they are to the pipeline.
pub fn rate<T: Supplied>(broker: &Broker, trial: &str, texts: &[T], supply: Supply) -> Outcome<f64> {
    let (input, output) = (format!("{trial}-in"), format!("{trial}-out"));
    broker.create_topics(&[input.clone(), output.clone()])?;
    let warm = texts.len() / 20;
    broker.feed(&input, &texts[..warm], Supply::Live, || Ok(()))?;
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", trial)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let producer: BaseProducer = broker
        .client()
        .set("transactional.id", trial)
        .set("linger.ms", "1")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.init_transactions(ANSWER_MAX)?;
    consumer.subscribe(&[&input])?;
    forward(&consumer, &producer, &output, warm)?;
    let took = broker.feed(&input, texts, supply, || forward(&consumer, &producer, &output, texts.len()))?;
    Ok(texts.len() as f64 / took.as_secs_f64())
}

fn forward(consumer: &BaseConsumer, producer: &BaseProducer, output: &str, records: usize) -> Outcome<()> {
    let mut left = records;
    while left > 0 {
        left -= transaction(consumer, producer, output, left.min(TRANSACTION_RECORDS_MAX))?;
    }
    Ok(())
}

fn transaction(consumer: &BaseConsumer, producer: &BaseProducer, output: &str, most: usize) -> Outcome<usize> {
    let mut next = [None; PARTITIONS as usize];
    let mut topic = String::new();
    let mut taken = 0;
    producer.begin_transaction()?;
    let mut until = Instant::now() + TRANSACTION_FOR;
    while taken < most && Instant::now() < until {
        let Some(message) = consumer.poll(Duration::from_millis(1)) else { continue };
        let message = message?;
        if taken == 0 {
            until = Instant::now() + TRANSACTION_FOR;
            topic = message.topic().to_owned();
        }
        let mut record: BaseRecord<'_, (), [u8]> =
            BaseRecord::to(output).payload(message.payload().unwrap_or_default());
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::error::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(1));
            record = back;
        }
        next[message.partition() as usize] = Some(message.offset() + 1);
        taken += 1;
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_micros(300));
    }
    if taken > 0 {
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in next.iter().enumerate() {
            if let Some(offset) = offset {
                offsets.add_partition_offset(&topic, partition as i32, Offset::Offset(*offset))?;
            }
        }
        let metadata = consumer.group_metadata().ok_or("no group")?;
        producer.send_offsets_to_transaction(&offsets, &metadata, ANSWER_MAX)?;
    }
    producer.commit_transaction(ANSWER_MAX)?;
    Ok(taken)
}
