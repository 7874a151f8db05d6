use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};

use super::{Room, SourceCommand, SourceEvent};
use crate::config::{GroupProtocol, Kafka, StartFrom};
use crate::event::{Error, Fault, Header, Origin, RawRecord, TopicPartition};
use crate::kafka::{self, GroupMetadata, Membership, Uses, broker_error, commit_starts, is_over, is_refusal};
use crate::telemetry::{BrokerFailed, SourcePaused};

/// Records handed over at once: enough to make a channel's cost vanish, few enough to keep every core fed.
const CHUNK_RECORDS_MAX: usize = 128;
/// How long a poll waits when nothing is there; also how late a command is seen.
const POLL_WAIT: Duration = Duration::from_millis(20);
/// How long to wait for room before looking for commands.
const ROOM_WAIT: Duration = Duration::from_millis(10);
/// How long the source stands still for want of room before it pauses its partitions and polls on, so that rebalances
/// are served. A pause makes librdkafka throw its prefetched records away, so a short wait is cheaper.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// One look-up of committed offsets.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(2);
/// Waits between tries to commit where partitions begin.
const START_RETRY: Duration = Duration::from_millis(200);
/// How long closing the consumer may take before the process goes on without it.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// Payload memory is allocated in blocks of this size and shared by the records in it.
const ARENA_BYTES: usize = 64 * 1024;

/// The poll thread's handle. It ends with `SourceCommand::Stop`, or when it is dropped.
pub struct Source {
    commands: Sender<SourceCommand>,
    membership: Arc<GroupMembership>,
    thread: Option<JoinHandle<()>>,
}

/// How the group is joined and read.
pub struct Subscription {
    pub stage: &'static str,
    pub kafka: Kafka,
    pub group: String,
    pub instance: String,
    pub topics: Vec<String>,
    /// How long a revocation may wait for the runtime.
    pub revoke_max: Duration,
}

impl Source {
    /// Joins the group and starts to read. Unreachable brokers are no error here: the source keeps trying and says so.
    pub fn start(
        subscription: Subscription,
        room: Arc<Room>,
        emit: impl Fn(SourceEvent) -> bool + Send + Sync + 'static,
    ) -> Result<Source, Error> {
        let emit: Emit = Arc::new(emit);
        let context = Context {
            emit: emit.clone(),
            rebalanced: AtomicBool::new(false),
            reachable: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            subscription,
        };
        let consumer: BaseConsumer<Context> = consumer_config(&context.subscription)
            .create_with_context(context)
            .map_err(|e| broker_error("cannot create the consumer", &e))?;
        let topics = consumer.context().subscription.topics.clone();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|e| broker_error("cannot subscribe", &e))?;

        let membership = Arc::new(GroupMembership { consumer });
        let (commands, inbox) = unbounded();
        let poller = Poller {
            membership: membership.clone(),
            room,
            emit,
            inbox,
            topics: topics.into_iter().map(Arc::from).collect(),
            first_offsets: HashMap::default(),
            chunk: Vec::with_capacity(CHUNK_RECORDS_MAX),
            arena: BytesMut::with_capacity(ARENA_BYTES),
            paused: false,
            held: HashSet::new(),
            full_since: None,
        };
        let thread = thread::Builder::new()
            .name("source".into())
            .spawn(move || poller.run())
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start the source thread: {e}")))?;
        Ok(Source { commands, membership, thread: Some(thread) })
    }

    /// Commands are few: at most one rewind is under way at a time.
    pub fn send(&self, command: SourceCommand) {
        if matches!(command, SourceCommand::Stop) {
            // The thread may be in a callback, where it sees no commands.
            self.membership.consumer.context().stopping.store(true, Ordering::Relaxed);
        }
        // A source that has ended has said why in an event.
        let _ = self.commands.send(command);
    }

    pub fn membership(&self) -> Arc<GroupMembership> {
        self.membership.clone()
    }

    /// Waits until the thread has left the group.
    pub fn join(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.send(SourceCommand::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop();
    }
}

fn consumer_config(subscription: &Subscription) -> rdkafka::ClientConfig {
    let kafka = &subscription.kafka;
    let mut config = kafka::client_config(kafka);
    config
        .set("group.id", &subscription.group)
        .set("client.id", format!("{}-{}", subscription.group, subscription.instance))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "false")
        .set(
            "auto.offset.reset",
            match kafka.start_from {
                StartFrom::Earliest => "earliest",
                StartFrom::Latest => "latest",
            },
        );
    let mut default = |key: &str, value: &str| {
        if config.get(key).is_none() {
            config.set(key, value);
        }
    };
    // The default of a second stalls a small queue each time it has been full.
    default("fetch.queue.backoff.ms", "10");
    // While partitions are paused the broker is asked for nothing, and answers after this time; who resumes waits for it.
    // The default of half a second stood still for a third of the time under a backlog of clicks.
    default("fetch.wait.max.ms", "50");
    // Prefetched records are bounded too: librdkafka's default is 64 MiB.
    default("queued.max.messages.kbytes", "16384");
    default("statistics.interval.ms", "5000");
    match kafka.group_protocol {
        GroupProtocol::Classic => {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            // A dead instance's partitions move after this long. A static member is meant to come back: it keeps
            // librdkafka's 45 s.
            if !kafka.static_membership && config.get("session.timeout.ms").is_none() {
                config.set("session.timeout.ms", "10000");
            }
        }
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer");
        }
    }
    if kafka.static_membership {
        config.set("group.instance.id", &subscription.instance);
    }
    config
}

type Emit = Arc<dyn Fn(SourceEvent) -> bool + Send + Sync>;

/// The consumer as a member of its group.
pub struct GroupMembership {
    consumer: BaseConsumer<Context>,
}

impl GroupMembership {
    fn generation(&self) -> i32 {
        use rdkafka::bindings::{
            rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
            rd_kafka_consumer_group_metadata_generation_id,
        };
        // SAFETY: the client outlives the call; the metadata is owned here, read once and destroyed. rust-rdkafka
        // hands the metadata out but not its generation.
        unsafe {
            let metadata = rd_kafka_consumer_group_metadata(self.consumer.client().native_ptr());
            if metadata.is_null() {
                return -1;
            }
            let generation = rd_kafka_consumer_group_metadata_generation_id(metadata);
            rd_kafka_consumer_group_metadata_destroy(metadata);
            generation
        }
    }
}

impl Membership for GroupMembership {
    fn metadata(&self) -> Option<GroupMetadata> {
        // Read before the metadata: if the group moves on in between, the commit is refused, and tried again.
        let before = self.generation();
        let native = self.consumer.group_metadata()?;
        // Read after the metadata: if the membership was lost in between, this says so.
        (self.generation() >= 0).then_some(GroupMetadata { generation: before, native })
    }

    fn commit(&self, offsets: &TopicPartitionList, metadata: &GroupMetadata) -> KafkaResult<()> {
        // librdkafka commits in the name of the generation that it has now, whoever owns the partitions in it.
        if self.generation() != metadata.generation {
            return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::IllegalGeneration));
        }
        self.consumer.commit(offsets, CommitMode::Sync)
    }
}

/// What librdkafka calls back; turned into events and nothing else.
struct Context {
    subscription: Subscription,
    emit: Emit,
    /// A rebalance happened within the last poll: what was paused must be paused anew.
    rebalanced: AtomicBool,
    reachable: AtomicBool,
    stopping: AtomicBool,
}

impl Context {
    fn stage(&self) -> &'static str {
        self.subscription.stage
    }

    /// Lets the runtime finish what it has of these partitions.
    fn revoke(&self, partitions: Vec<TopicPartition>, lost: bool) {
        let (done, answered) = bounded(1);
        if (self.emit)(SourceEvent::Revoked { partitions, lost, done }) {
            // Either an answer, or the sender dropped, or too late: a commit after that is fenced by its generation.
            let _ = answered.recv_timeout(self.subscription.revoke_max);
        }
    }

    /// Commits where new partitions begin, before they are read. Without it nothing would be read right, so it is tried
    /// for as long as the membership lasts and the broker may answer.
    fn begin(&self, consumer: &BaseConsumer<Self>, assigned: &TopicPartitionList) {
        while !self.stopping.load(Ordering::Relaxed) {
            let Err(error) = commit_starts(consumer, assigned) else { return };
            if let Some(refusal) = self.refusal("cannot commit where partitions begin", &error) {
                (self.emit)(SourceEvent::Failed(refusal));
                return;
            }
            let message = format!("cannot commit where partitions begin: {error}");
            BrokerFailed { stage: self.stage(), error: &message }.emit();
            if is_over(&error) {
                return;
            }
            thread::sleep(START_RETRY);
        }
    }

    /// The error as one that ends the process, if a right is missing.
    fn refusal(&self, doing: &str, error: &KafkaError) -> Option<Error> {
        let code = error.rdkafka_error_code().filter(|code| is_refusal(*code))?;
        let Subscription { topics, group, .. } = &self.subscription;
        let topics = topics.iter().map(String::as_str).collect();
        let uses = Uses { operation: "READ", topics, group, transactional_id: "" };
        Some(uses.refusal(broker_error(doing, error).message, code))
    }

    /// Tells when it changes.
    fn set_reachable(&self, reachable: bool) {
        if self.reachable.swap(reachable, Ordering::Relaxed) != reachable {
            (self.emit)(SourceEvent::Reachable(reachable));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.set_reachable(false);
        }
        BrokerFailed { stage: self.stage(), error: &format!("{error}: {reason}") }.emit();
    }

    fn stats(&self, statistics: Statistics) {
        // Where nothing is written, no record ever tells that the brokers are back.
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.set_reachable(true);
        }
        let mut ends = Vec::new();
        for (topic, stats) in &statistics.topics {
            let topic: Arc<str> = Arc::from(topic.as_str());
            for partition in stats.partitions.values().filter(|p| p.partition >= 0 && p.fetch_state == "active") {
                let end = if partition.ls_offset >= 0 { partition.ls_offset } else { partition.hi_offset };
                if end >= 0 {
                    ends.push((TopicPartition { topic: topic.clone(), partition: partition.partition }, end));
                }
            }
        }
        if !ends.is_empty() {
            (self.emit)(SourceEvent::Ends(ends));
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.rebalanced.store(true, Ordering::Relaxed);
        match rebalance {
            Rebalance::Revoke(list) => self.revoke(partitions_of(list), consumer.assignment_lost()),
            Rebalance::Assign(list) if self.subscription.kafka.start_from == StartFrom::Latest => {
                self.begin(consumer, list);
            }
            Rebalance::Assign(_) | Rebalance::Error(_) => {}
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                (self.emit)(SourceEvent::Assigned(partitions_of(list)));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => BrokerFailed { stage: self.stage(), error: &error.to_string() }.emit(),
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|e| TopicPartition { topic: Arc::from(e.topic()), partition: e.partition() }).collect()
}

struct Poller {
    membership: Arc<GroupMembership>,
    room: Arc<Room>,
    emit: Emit,
    inbox: Receiver<SourceCommand>,
    /// Topic names, shared by all records of a topic.
    topics: Vec<Arc<str>>,
    /// The first offset read of each assigned partition: where a rewind goes if nothing was ever committed.
    first_offsets: HashMap<TopicPartition, i64, foldhash::fast::RandomState>,
    chunk: Vec<RawRecord>,
    arena: BytesMut,
    paused: bool,
    /// Partitions that librdkafka holds paused. It keeps them so when they are given up and come back.
    held: HashSet<TopicPartition>,
    full_since: Option<Instant>,
}

/// Why the poll loop ends.
enum End {
    Stopped,
    Failed(Error),
}

impl Poller {
    fn run(mut self) {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        if let End::Failed(error) = end {
            (self.emit)(SourceEvent::Failed(error));
        }
        self.close();
    }

    fn turn(&mut self) -> Result<(), End> {
        match self.inbox.try_recv() {
            Ok(SourceCommand::Rewind) => self.rewind()?,
            Ok(SourceCommand::Stop) => return Err(End::Stopped),
            Err(crossbeam_channel::TryRecvError::Disconnected) => return Err(End::Stopped),
            Err(crossbeam_channel::TryRecvError::Empty) => {}
        }
        if self.has_room() {
            self.poll()
        } else {
            self.flush();
            self.room.wait(ROOM_WAIT);
            Ok(())
        }
    }

    /// With none for long, pauses the partitions so that polling can go on.
    fn has_room(&mut self) -> bool {
        if self.paused {
            if self.room.is_ample() {
                self.set_paused(false);
            }
            return true;
        }
        if !self.room.is_full() {
            self.full_since = None;
            return true;
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PAUSE_AFTER {
            self.set_paused(true);
            return true;
        }
        false
    }

    fn set_paused(&mut self, paused: bool) {
        let consumer = &self.membership.consumer;
        let changed = consumer.assignment().and_then(|assigned| {
            let changed = if paused { consumer.pause(&assigned) } else { consumer.resume(&assigned) };
            changed.map(|()| partitions_of(&assigned))
        });
        match changed {
            Ok(partitions) => {
                self.held.retain(|partition| !partitions.contains(partition));
                if paused {
                    self.held.extend(partitions);
                }
                self.paused = paused;
                self.full_since = None;
                SourcePaused { stage: self.stage(), paused }.emit();
            }
            Err(error) => self.trouble(&format!("cannot pause or resume: {error}")),
        }
    }

    fn poll(&mut self) -> Result<(), End> {
        let membership = self.membership.clone();
        let wait = if self.chunk.is_empty() { POLL_WAIT } else { Duration::ZERO };
        match membership.consumer.poll(wait) {
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => {
                self.flush();
                self.failed(error)?;
            }
            None => self.flush(),
        }
        if self.membership.consumer.context().rebalanced.swap(false, Ordering::Relaxed) {
            self.after_rebalance();
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let record = self.copy(message);
        self.note_first(message);
        self.room.take(record.bytes());
        self.chunk.push(record);
        self.membership.consumer.context().set_reachable(true);
        if self.chunk.len() >= CHUNK_RECORDS_MAX {
            self.flush();
        }
    }

    /// Where a partition started in this assignment: where it goes back to as long as nothing is committed.
    fn note_first(&mut self, message: &BorrowedMessage<'_>) {
        let partition = TopicPartition { topic: self.topic(message.topic()), partition: message.partition() };
        self.first_offsets.entry(partition).or_insert(message.offset());
    }

    fn copy(&mut self, message: &BorrowedMessage<'_>) -> RawRecord {
        let topic = self.topic(message.topic());
        RawRecord {
            origin: Origin { topic, partition: message.partition(), offset: message.offset() },
            key: message.key().map(|key| self.bytes(key)),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                headers
                    .iter()
                    .map(|h| Header { name: h.key.to_owned(), value: h.value.map(Bytes::copy_from_slice) })
                    .collect()
            }),
            timestamp_ms: message.timestamp().to_millis(),
            payload: message.payload().map(|payload| self.bytes(payload)),
        }
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        match self.topics.iter().find(|topic| &***topic == name) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Arc<str> = Arc::from(name);
                self.topics.push(topic.clone());
                topic
            }
        }
    }

    /// A copy in the arena: a few large allocations instead of two small ones a record.
    fn bytes(&mut self, from: &[u8]) -> Bytes {
        if from.len() > ARENA_BYTES / 4 {
            return Bytes::copy_from_slice(from);
        }
        if self.arena.capacity() - self.arena.len() < from.len() {
            self.arena = BytesMut::with_capacity(ARENA_BYTES);
        }
        self.arena.extend_from_slice(from);
        self.arena.split().freeze()
    }

    fn flush(&mut self) {
        if !self.chunk.is_empty() {
            let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_RECORDS_MAX));
            (self.emit)(SourceEvent::Records(chunk));
        }
    }

    fn failed(&mut self, error: KafkaError) -> Result<(), End> {
        let code = error.rdkafka_error_code();
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(End::Failed(self.fatal(&error)));
        }
        if let Some(refusal) = self.refusal("cannot read", &error) {
            return Err(End::Failed(refusal));
        }
        let unreachable = matches!(
            code,
            Some(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve
            )
        );
        if unreachable {
            self.membership.consumer.context().set_reachable(false);
        }
        self.trouble(&format!("cannot read: {error}"));
        Ok(())
    }

    /// Why the consumer can do nothing any more. librdkafka's event says only that it is so.
    fn fatal(&self, error: &KafkaError) -> Error {
        let Some((code, why)) = self.membership.consumer.client().fatal_error() else {
            return broker_error("cannot read", error);
        };
        let Subscription { instance, group, .. } = &self.membership.consumer.context().subscription;
        fatal(code, &why, instance, group)
            .or_else(|| self.refusal("cannot read", &KafkaError::MessageConsumption(code)))
            .unwrap_or_else(|| Error::new(Fault::Broker, format!("cannot read: {why}")))
    }

    fn refusal(&self, doing: &str, error: &KafkaError) -> Option<Error> {
        self.membership.consumer.context().refusal(doing, error)
    }

    fn stage(&self) -> &'static str {
        self.membership.consumer.context().stage()
    }

    /// Something that is tried again.
    fn trouble(&self, error: &str) {
        BrokerFailed { stage: self.stage(), error }.emit();
    }

    fn after_rebalance(&mut self) {
        let Ok(assignment) = self.membership.consumer.assignment() else { return };
        let assigned = partitions_of(&assignment);
        self.first_offsets.retain(|partition, _| assigned.contains(partition));
        if self.paused || assigned.iter().any(|partition| self.held.contains(partition)) {
            self.set_paused(self.paused);
        }
    }

    /// Puts every assigned partition back to where its group committed last.
    fn rewind(&mut self) -> Result<(), End> {
        self.discard_chunk();
        loop {
            match self.try_rewind() {
                Ok(()) => break,
                Err(error) => match self.refusal("cannot read committed offsets", &error) {
                    Some(refusal) => return Err(End::Failed(refusal)),
                    None => self.trouble(&format!("cannot rewind: {error}")),
                },
            }
            // Rebalances go on being served. Records polled now will come again, if it is known where they were.
            match self.membership.clone().consumer.poll(POLL_WAIT) {
                Some(Ok(message)) => self.note_first(&message),
                Some(Err(error)) => self.failed(error)?,
                None => {}
            }
            if matches!(self.inbox.try_recv(), Ok(SourceCommand::Stop)) {
                return Err(End::Stopped);
            }
        }
        if self.paused {
            self.set_paused(false);
        }
        (self.emit)(SourceEvent::Rewound);
        Ok(())
    }

    fn discard_chunk(&mut self) {
        let bytes = self.chunk.iter().map(RawRecord::bytes).sum();
        self.room.give_back(self.chunk.len(), bytes);
        self.chunk.clear();
    }

    fn try_rewind(&mut self) -> KafkaResult<()> {
        let consumer = &self.membership.consumer;
        let assignment = consumer.assignment()?;
        if assignment.count() == 0 {
            return Ok(());
        }
        let committed = consumer.committed_offsets(assignment, COMMITTED_TIMEOUT)?;
        let mut targets = TopicPartitionList::new();
        for element in committed.elements() {
            element.error()?;
            let partition = TopicPartition { topic: Arc::from(element.topic()), partition: element.partition() };
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => self.first_offsets.get(&partition).copied(),
            };
            // A partition of which nothing was committed and nothing was read stands where it started.
            if let Some(offset) = offset {
                targets.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset))?;
            }
        }
        if targets.count() == 0 {
            return Ok(());
        }
        for element in consumer.seek_partitions(targets, COMMITTED_TIMEOUT)?.elements() {
            element.error()?;
        }
        Ok(())
    }

    /// Leaves the group now, not when the last handle is dropped.
    fn close(self) {
        let consumer = &self.membership.consumer;
        let deadline = Instant::now() + CLOSE_MAX;
        if let Err(error) = consumer.close_queue() {
            tracing::debug!(error = %error, "closing the consumer");
            return;
        }
        while !consumer.closed() && Instant::now() < deadline {
            consumer.poll(Duration::from_millis(50));
        }
    }
}

/// What the group's end of a static membership means.
fn fatal(code: RDKafkaErrorCode, why: &str, instance: &str, group: &str) -> Option<Error> {
    match code {
        RDKafkaErrorCode::FencedInstanceId => {
            let message = format!("another member of group {group} has joined as {instance}: {why}");
            let hint = "another instance runs under the same name; give each its own [instance] name";
            Some(Error::new(Fault::Config, message).hint(hint))
        }
        RDKafkaErrorCode::UnreleasedInstanceId => {
            let message = format!("group {group} still counts a former life of {instance} as a member: {why}");
            let hint = "it is forgotten group.consumer.session.timeout.ms (of the broker) after its end; start again \
                        then, or give the instance another name if the other one runs";
            Some(Error::new(Fault::Broker, message).hint(hint))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_static_membership_says_whose_name_it_is() {
        let check = |code, fault, part: &str| {
            let error = fatal(code, "as the broker says", "shop-1", "shop-text").unwrap();
            assert!(error.to_string().contains(part) && error.message.contains("shop-1"), "{error}");
            assert_eq!(error.fault, fault);
        };
        check(RDKafkaErrorCode::FencedInstanceId, Fault::Config, "another instance runs under the same name");
        check(RDKafkaErrorCode::UnreleasedInstanceId, Fault::Broker, "group.consumer.session.timeout.ms");
        assert_eq!(fatal(RDKafkaErrorCode::GroupAuthorizationFailed, "", "shop-1", "shop-text"), None);
    }
}
