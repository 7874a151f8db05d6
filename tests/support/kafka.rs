//! A real Kafka and what tests ask of it: topics, records in, committed records out, a group's offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::service::Service;
use super::{Outcome, Patience, wait_until};

/// A broker that stood still is taken back by its controller only after a while.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(180);
/// Bounds everything that waits for the broker. Longer than a killed producer's transaction can hold readers back
/// in these tests, so that running into it means a fault.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running cluster. Nodes are counted from 1.
pub struct Kafka {
    service: Service,
}

/// A record, to be written or as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `None` when writing leaves the choice to the key.
    pub partition: Option<i32>,
    /// Assigned by the broker; ignored when writing.
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; `None` when writing is the time of writing.
    pub timestamp_ms: Option<i64>,
}

impl Kafka {
    /// The single broker that all tests share; started when the first one asks. Tests keep to topics and groups of
    /// their own and leave it running.
    pub fn shared() -> Outcome<&'static Self> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start(1).map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| error.clone().into())
    }

    /// A cluster of the test's own, to stop, kill and pause.
    pub fn start(nodes: usize) -> Outcome<Self> {
        Ok(Self { service: Service::start("kafka.py", &["--quick", "--nodes", &nodes.to_string()])? })
    }

    /// What a client's `bootstrap.servers` takes.
    pub fn bootstrap(&self) -> &str {
        self.service.address()
    }

    /// Ends a node in order and returns when it is gone.
    pub fn stop(&self, node: usize) -> Outcome<()> {
        self.service.tell("stop", node)
    }

    /// Ends a node as a power cut would.
    pub fn kill(&self, node: usize) -> Outcome<()> {
        self.service.tell("kill", node)
    }

    /// Starts a stopped or killed node at the same port with the data it had, and returns when it answers.
    pub fn restart(&self, node: usize) -> Outcome<()> {
        self.service.tell("start", node)
    }

    /// Freezes a node: its connections stay open and nothing answers.
    pub fn pause(&self, node: usize) -> Outcome<()> {
        self.service.tell("pause", node)
    }

    pub fn resume(&self, node: usize) -> Outcome<()> {
        self.service.tell("resume", node)
    }

    /// A client's configuration with nothing but the address in it.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    /// Makes a topic, replicated as the cluster's size allows, and returns when all its partitions have a leader.
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let nodes = self.bootstrap().split(',').count().min(3);
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(i32::try_from(nodes)?));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_MAX));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for made in runtime.block_on(admin.create_topics([&topic], &options))? {
            made.map_err(|(topic, error)| format!("topic {topic} cannot be made: {error}"))?;
        }
        let reader = self.reader("read_uncommitted")?;
        let what = format!("leaders of {name}");
        wait_until(ANSWER_MAX, &what, || Ok(led_partitions(&reader, name)? == partitions as usize))
    }

    /// Writes records, waits until all are acknowledged by all replicas, and returns where each came to lie, in the
    /// order given.
    pub fn produce(&self, topic: &str, records: &[Record]) -> Outcome<Vec<(i32, i64)>> {
        self.writer()?.write(topic, records)
    }

    /// For a test that writes again and again.
    pub fn writer(&self) -> Outcome<Writer> {
        let deliveries = Deliveries::default();
        let mut config = self.client();
        // How long is too long, the writer itself decides.
        config.set("enable.idempotence", "true").set("linger.ms", "5").set("message.timeout.ms", "0");
        config.set("topic.metadata.refresh.interval.ms", "1000");
        Ok(Writer { producer: config.create_with_context(deliveries.clone())?, deliveries })
    }

    /// All records that a reader with `isolation.level = read_committed` sees, by partition and offset, up to the
    /// end that each partition has when the call begins.
    ///
    /// Waits until no transaction before those ends is open: a commit becomes visible a moment after the producer
    /// has its answer, and a killed producer's transaction only when it times out.
    pub fn read_committed(&self, topic: &str) -> Outcome<Vec<Record>> {
        self.read(topic, "read_committed")
    }

    /// As [`Kafka::read_committed`], with what was aborted.
    pub fn read_uncommitted(&self, topic: &str) -> Outcome<Vec<Record>> {
        self.read(topic, "read_uncommitted")
    }

    fn read(&self, topic: &str, isolation: &str) -> Outcome<Vec<Record>> {
        let ends = self.ends(topic)?;
        let reader = self.reader(isolation)?;
        for (&partition, &end) in &ends {
            let what = format!("the transactions open in {topic}/{partition} before offset {end}");
            wait_until(ANSWER_MAX, &what, || Ok(end_of(&reader, topic, partition)? >= end))?;
        }
        let mut records = read_to_end(&reader, topic, ends.keys().copied())?;
        records.retain(|record| record.partition.is_some_and(|partition| record.offset < ends[&partition]));
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// One past the last offset written, by partition; what open and aborted transactions wrote counts.
    pub fn ends(&self, topic: &str) -> Outcome<BTreeMap<i32, i64>> {
        let reader = self.reader("read_uncommitted")?;
        let partitions = led_partitions(&reader, topic)? as i32;
        if partitions == 0 {
            return Err(format!("topic {topic} is not there").into());
        }
        (0..partitions).map(|partition| Ok((partition, end_of(&reader, topic, partition)?))).collect()
    }

    /// The offsets that a group has committed for a topic; partitions without one are left out.
    pub fn committed_offsets(&self, group: &str, topic: &str) -> Outcome<BTreeMap<i32, i64>> {
        self.group(group)?.committed(topic)
    }

    /// For a test that looks at a group's offsets again and again.
    pub fn group(&self, name: &str) -> Outcome<Group> {
        Ok(Group { reader: self.client().set("group.id", name).create()? })
    }

    /// A consumer that commits nothing and says when it has come to a partition's end.
    fn reader(&self, isolation: &str) -> Outcome<BaseConsumer> {
        let mut config = self.client();
        config.set("group.id", "groundswell-test-reader").set("enable.auto.commit", "false");
        config.set("isolation.level", isolation).set("enable.partition.eof", "true");
        Ok(config.create()?)
    }
}

impl Record {
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: Some(payload.into()), ..Self::default() }
    }

    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    pub fn at(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// The payload as text; empty for a tombstone.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.payload.as_deref().unwrap_or_default())
    }

    fn read(message: &BorrowedMessage<'_>) -> Self {
        let header = |h: Header<'_, &[u8]>| (h.key.to_owned(), h.value.map(<[u8]>::to_vec));
        Self {
            partition: Some(message.partition()),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map(|all| all.iter().map(header).collect()).unwrap_or_default(),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }
}

/// A producer that waits for what it wrote.
pub struct Writer {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
}

impl Writer {
    /// As [`Kafka::produce`].
    pub fn write(&mut self, topic: &str, records: &[Record]) -> Outcome<Vec<(i32, i64)>> {
        self.deliveries.begin(records.len())?;
        for (index, record) in records.iter().enumerate() {
            send(&self.producer, topic, record, index)?;
        }
        let mut patience = Patience::of(ACKNOWLEDGED_MAX);
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(POLL);
            if patience.is_over() {
                return Err(format!("{topic} has not acknowledged all of {} records", records.len()).into());
            }
        }
        self.deliveries.places()
    }
}

/// A group as an onlooker sees it, who joins nothing.
pub struct Group {
    reader: BaseConsumer,
}

impl Group {
    /// As [`Kafka::committed_offsets`].
    pub fn committed(&self, topic: &str) -> Outcome<BTreeMap<i32, i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, led_partitions(&self.reader, topic)? as i32 - 1);
        let known = answered(|| self.reader.committed_offsets(asked.clone(), ANSWER_MAX))?;
        let offset = |offset| if let Offset::Offset(number) = offset { Some(number) } else { None };
        Ok(known.elements().iter().filter_map(|e| Some((e.partition(), offset(e.offset())?))).collect())
    }
}

/// The partition and offset at which a record came to lie, or why it did not.
type Place = Result<(i32, i64), KafkaError>;

/// The place of each record by its index; `None` until the broker has answered.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Option<Place>>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let place = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        if let Ok(mut places) = self.0.lock() {
            places[index] = Some(place);
        }
    }
}

impl Deliveries {
    fn begin(&self, records: usize) -> Outcome<()> {
        *self.0.lock().map_err(|_| "a delivery callback panicked")? = vec![None; records];
        Ok(())
    }

    fn places(&self) -> Outcome<Vec<(i32, i64)>> {
        let places = self.0.lock().map_err(|_| "a delivery callback panicked")?.clone();
        places.into_iter().map(|place| Ok(place.ok_or("a record was neither delivered nor refused")??)).collect()
    }
}

/// Queues a record; waits for room when the producer's queue is full, and for news of a partition that was just added.
fn send(producer: &BaseProducer<Deliveries>, topic: &str, record: &Record, index: usize) -> Outcome<()> {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key: key.as_str(), value: value.as_deref() })
    });
    let mut queued = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, index).headers(headers);
    queued.key = record.key.as_deref();
    queued.payload = record.payload.as_deref();
    queued.partition = record.partition;
    queued.timestamp = record.timestamp_ms;
    let mut patience = Patience::of(ANSWER_MAX);
    loop {
        match producer.send(queued) {
            Ok(()) => return Ok(()),
            Err((error, refused)) => {
                let code = error.rdkafka_error_code();
                let passing = matches!(code, Some(RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::UnknownPartition));
                if !passing || patience.is_over() {
                    return Err(error.into());
                }
                producer.poll(POLL);
                queued = refused;
            }
        }
    }
}

/// The end that a reader of this isolation level sees.
fn end_of(reader: &BaseConsumer, topic: &str, partition: i32) -> Outcome<i64> {
    Ok(answered(|| reader.fetch_watermarks(topic, partition, ANSWER_MAX))?.1)
}

/// The answer to a question that may be asked again: while a partition's leadership moves, or when the machine stood
/// still for longer than the question had.
fn answered<T>(mut ask: impl FnMut() -> KafkaResult<T>) -> Outcome<T> {
    let mut patience = Patience::of(ANSWER_MAX);
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if patience.is_over() => return Err(error.into()),
            Err(_) => thread::sleep(POLL),
        }
    }
}

/// What the client heals by itself: one of its connections is gone.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut))
}

fn led_partitions(reader: &BaseConsumer, topic: &str) -> Outcome<usize> {
    let metadata = answered(|| reader.fetch_metadata(Some(topic), ANSWER_MAX))?;
    let known = metadata.topics().iter().find(|known| known.name() == topic);
    Ok(known.map_or(0, |known| known.partitions().iter().filter(|partition| partition.leader() >= 0).count()))
}

/// Reads from the beginning until each partition has said that its end is reached.
fn read_to_end(reader: &BaseConsumer, topic: &str, partitions: impl Iterator<Item = i32>) -> Outcome<Vec<Record>> {
    let mut open: std::collections::BTreeSet<i32> = partitions.collect();
    let mut assignment = TopicPartitionList::new();
    for &partition in &open {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    reader.assign(&assignment)?;
    let mut records = Vec::new();
    let mut patience = Patience::of(ANSWER_MAX);
    while !open.is_empty() {
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                records.push(Record::read(&message));
                patience.renew();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) if !is_passing(&error) => return Err(error.into()),
            Some(Err(_)) | None if patience.is_over() => {
                return Err(
                    format!("nothing came from {topic} for {ANSWER_MAX:?}, ends of {open:?} not reached").into()
                );
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(records)
}
