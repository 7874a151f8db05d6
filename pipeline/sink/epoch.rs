use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::DeadLetters;
use super::fences::{Fences, WINDOW};
use super::producer::{Asked, EpochProducer, Trouble, commit_trouble};
use crate::config::{DeliveryMode, Kafka};
use crate::event::{Error, Fault, Output, RawRecord, Reason, Rejection, TopicPartition};
use crate::kafka::{GroupMetadata, Membership, Uses, broker_error, is_refusal};
use crate::telemetry::{AbortCause, BrokerFailed, EpochAborted, ProducerRebuilt};

/// One try of a request to the transaction coordinator.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between tries double from here …
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// … up to here: a broker that comes back is noticed within it.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// librdkafka's default of `batch.size`.
const BATCH_BYTES: usize = 1_000_000;

/// What becomes visible together.
pub struct Epoch {
    pub number: u64,
    /// In each partition's order.
    pub entries: Vec<Entry>,
    /// What the epoch changes in the stage's state, and what its records say together, produced behind the entries'
    /// outputs. None of it can be set aside.
    pub changelog: Vec<Output>,
    /// Once it is committed: the last record of the changelog in each partition of it.
    pub acknowledged: Vec<Acknowledged>,
    /// Last processed offset + 1 of each partition.
    pub offsets: Vec<(TopicPartition, i64)>,
    /// The group's metadata when the epoch was cut.
    pub metadata: GroupMetadata,
    /// With `at_least_once`: the outputs are acknowledged, only the offsets are left to commit.
    pub produced: bool,
}

/// An input record and what came of it.
pub struct Entry {
    pub record: RawRecord,
    pub outputs: Vec<Output>,
    /// Why the record went to the dead letters, if it did.
    pub rejected: Option<Reason>,
}

/// Where a record of an epoch's changelog lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its place in `Epoch::changelog`.
    pub place: usize,
    pub offset: i64,
    /// As the broker has it.
    pub timestamp_ms: i64,
}

/// What became of an epoch.
pub enum SinkEvent {
    /// Ready for epochs: whatever a former holder of the transactional id left open is finished.
    Ready,
    Committed {
        epoch: Epoch,
        seconds: f64,
    },
    Failed {
        epoch: Epoch,
        failure: Failure,
        why: String,
    },
    /// The sink has ended and cannot go on.
    Dead(Error),
}

/// What the runtime must do about a failed epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was committed; the group has moved on. The epoch may be handed in again with fresh metadata if all its
    /// partitions are still owned.
    Stale,
    /// Only the broker knows what was committed: rewind. The sink is ready for the next epoch.
    Unknown,
    /// The sink was told to stop before the epoch was committed.
    Stopped,
}

/// What a sink is made of.
pub struct SinkOptions {
    pub kafka: Kafka,
    pub mode: DeliveryMode,
    pub transaction_timeout: Duration,
    /// `<group_prefix>-<stage>-<instance>`: the transactional id.
    pub id: String,
    /// The group in whose name offsets are committed.
    pub group: String,
    pub stage: &'static str,
    pub dead_letters: DeadLetters,
    /// The stage keeps state: acknowledgements of its changelog's records are wanted.
    pub changelog: bool,
}

/// The thread that owns the producer.
pub struct Sink {
    epochs: Option<Sender<(Epoch, Arc<dyn Membership>)>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    pub fn start(options: SinkOptions, emit: impl Fn(SinkEvent) + Send + 'static) -> Result<Sink, Error> {
        // One epoch waits at most: the runtime hands the next one in when the last has been answered.
        let (epochs, inbox) = bounded(1);
        let stop = Arc::new(AtomicBool::new(false));
        let mut committer = Committer {
            producer: options.producer(None)?,
            options,
            stop: stop.clone(),
            began: Instant::now(),
            fences: Fences::default(),
            batch_bytes: None,
        };
        let thread = thread::Builder::new()
            .name("sink".into())
            .spawn(move || committer.run(&inbox, &emit))
            .map_err(|e| Error::new(Fault::Bug, format!("cannot start the sink thread: {e}")))?;
        Ok(Sink { epochs: Some(epochs), stop, thread: Some(thread) })
    }

    /// Commits the epoch; answered by `Committed` or `Failed`. One at a time.
    pub fn commit(&self, epoch: Epoch, membership: Arc<dyn Membership>) {
        if let Some(epochs) = &self.epochs {
            // A sink that has ended has said so with `Dead`.
            let _ = epochs.send((epoch, membership));
        }
    }

    /// From now on nothing is tried again: an epoch under way comes back after its current try.
    pub fn stop_retrying(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop_retrying();
        self.epochs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl SinkOptions {
    fn producer(&self, batch_bytes: Option<usize>) -> Result<EpochProducer, Error> {
        let transaction = match self.mode {
            DeliveryMode::ExactlyOnce => Some((self.id.as_str(), self.transaction_timeout)),
            DeliveryMode::AtLeastOnce => None,
        };
        EpochProducer::new(&self.kafka, &self.id, transaction, batch_bytes, self.changelog)
    }
}

struct Committer {
    options: SinkOptions,
    producer: EpochProducer,
    stop: Arc<AtomicBool>,
    /// When the transaction under way, or the last one, was begun.
    began: Instant,
    fences: Fences,
    /// What is sent together at most, once a topic has turned out to take less than librdkafka's batches.
    batch_bytes: Option<usize>,
}

/// An epoch that did not become visible.
enum Undone {
    Failed(Failure, String),
    Dead(Error),
}

impl Committer {
    fn run(&mut self, inbox: &Receiver<(Epoch, Arc<dyn Membership>)>, emit: &dyn Fn(SinkEvent)) {
        match self.init() {
            Ok(()) => emit(SinkEvent::Ready),
            Err(Undone::Dead(error)) => return emit(SinkEvent::Dead(error)),
            Err(Undone::Failed(..)) => return,
        }
        while let Ok((mut epoch, membership)) = inbox.recv() {
            let started = Instant::now();
            match self.commit(&mut epoch, &*membership) {
                Ok(()) => {
                    epoch.acknowledged = self.producer.take_acknowledged();
                    emit(SinkEvent::Committed { epoch, seconds: started.elapsed().as_secs_f64() });
                }
                Err(Undone::Failed(failure, why)) => emit(SinkEvent::Failed { epoch, failure, why }),
                Err(Undone::Dead(error)) => return emit(SinkEvent::Dead(error)),
            }
        }
    }

    /// Tries until the epoch is visible or trying again cannot help.
    fn commit(&mut self, epoch: &mut Epoch, membership: &dyn Membership) -> Result<(), Undone> {
        let offsets = offset_list(epoch)?;
        let mut backoff = BACKOFF_MIN;
        loop {
            let tried = match self.options.mode {
                DeliveryMode::ExactlyOnce => self.try_transaction(epoch, &offsets),
                DeliveryMode::AtLeastOnce => self.try_plain(epoch, &offsets, membership),
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(Trouble::TooLarge(positions)) => {
                    self.make_fit(epoch, &positions)?;
                    // librdkafka fails the next transaction of a producer that was refused a batch.
                    self.rebuild("an output, or a batch of them, is too large for its topic")?;
                }
                Err(Trouble::Abort(why) | Trouble::Purged(why)) => {
                    self.abort()?;
                    if self.stopping() {
                        return Err(Undone::Failed(Failure::Stopped, why));
                    }
                    self.tell(epoch, &why);
                    thread::sleep(backoff);
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(Trouble::Refused { why, code, asked }) => {
                    // Readers need not wait for what can never be committed.
                    let _ = self.abort();
                    return Err(Undone::Dead(self.refusal(epoch, why, code, asked)));
                }
                Err(Trouble::Stale(why)) => {
                    self.abort()?;
                    return Err(Undone::Failed(Failure::Stale, why));
                }
                Err(Trouble::Fenced(why)) => {
                    self.count_fence(&why)?;
                    self.rebuild(&why)?;
                    return Err(Undone::Failed(Failure::Unknown, why));
                }
                Err(Trouble::Unknown(why)) => {
                    self.rebuild(&why)?;
                    return Err(Undone::Failed(Failure::Unknown, why));
                }
            }
        }
    }

    fn tell(&self, epoch: &Epoch, why: &str) {
        let stage = self.options.stage;
        if epoch.produced {
            BrokerFailed { stage, error: why }.emit();
        } else {
            EpochAborted { stage, cause: AbortCause::Delivery, epochs: 1, error: Some(why) }.emit();
        }
    }

    fn try_transaction(&mut self, epoch: &Epoch, offsets: &TopicPartitionList) -> Result<(), Trouble> {
        self.began = Instant::now();
        let deadline = self.began + self.options.transaction_timeout;
        self.producer.begin()?;
        let produced = self.producer.produce(outputs(epoch), first_change(epoch), deadline, &self.stop);
        if let Err(purged @ Trouble::Purged(_)) = produced {
            let refused = self.producer.refused_output(offsets, &epoch.metadata, REQUEST_TIMEOUT);
            return Err(refused.unwrap_or(purged));
        }
        produced?;
        self.producer.send_offsets(offsets, &epoch.metadata, REQUEST_TIMEOUT)?;
        self.producer.commit(REQUEST_TIMEOUT.max(self.options.transaction_timeout))
    }

    /// Outputs that are acknowledged are not produced again, however often their offsets are refused.
    fn try_plain(
        &self,
        epoch: &mut Epoch,
        offsets: &TopicPartitionList,
        membership: &dyn Membership,
    ) -> Result<(), Trouble> {
        if !epoch.produced {
            let deadline = Instant::now() + self.options.transaction_timeout;
            self.producer.produce(outputs(epoch), first_change(epoch), deadline, &self.stop)?;
            epoch.produced = true;
        }
        membership.commit(offsets, &epoch.metadata).map_err(|e| commit_trouble(&e))
    }

    /// Names the right that is missing, and on what.
    fn refusal(&self, epoch: &Epoch, why: String, code: RDKafkaErrorCode, asked: Asked) -> Error {
        let mut topics: Vec<&str> = match asked {
            Asked::Write(position) => {
                let all = || outputs(epoch).map(|output| &*output.topic);
                let one = position.and_then(|position| all().nth(position));
                one.map_or_else(|| all().collect(), |topic| vec![topic])
            }
            Asked::Commit => epoch.offsets.iter().map(|(partition, _)| &*partition.topic).collect(),
        };
        topics.sort_unstable();
        topics.dedup();
        let operation = if asked == Asked::Commit { "READ" } else { "WRITE" };
        self.uses(operation, topics).refusal(why, code)
    }

    fn uses<'a>(&'a self, operation: &'static str, topics: Vec<&'a str>) -> Uses<'a> {
        Uses { operation, topics, group: &self.options.group, transactional_id: &self.options.id }
    }

    /// Sets aside what the broker does not take. It refuses whole batches, so an output is to blame only when it was
    /// alone in its own; otherwise smaller batches are tried, now and from now on.
    fn make_fit(&mut self, epoch: &mut Epoch, refused: &[usize]) -> Result<(), Undone> {
        let outputs: Vec<&Output> = outputs(epoch).collect();
        let bytes = |position: &usize| outputs.get(*position).map_or(0, |output| output.bytes());
        let together: usize = refused.iter().map(bytes).sum();
        let most = self.batch_bytes.unwrap_or(BATCH_BYTES).min(together);
        let alone: Vec<usize> =
            refused.iter().copied().filter(|position| refused.len() == 1 || bytes(position) >= most).collect();
        if let Some(change) = alone.iter().find(|position| **position >= first_change(epoch)) {
            return Err(Undone::Dead(change_too_large(outputs[*change])));
        }
        if !alone.is_empty() {
            return self.set_aside(epoch, &alone);
        }
        self.batch_bytes = Some((most / 2).max(1));
        Ok(())
    }

    /// Replaces what the broker does not take by a dead letter, and a dead letter that it does not take by one without its payload.
    fn set_aside(&self, epoch: &mut Epoch, positions: &[usize]) -> Result<(), Undone> {
        let mut position = 0;
        for entry in &mut epoch.entries {
            for output in &mut entry.outputs {
                if positions.contains(&position) {
                    // A letter that is refused keeps the reason for which it was written.
                    let reason = *entry.rejected.get_or_insert(Reason::OutputTooLarge);
                    *output = self.smaller(&entry.record, output, reason)?;
                }
                position += 1;
            }
        }
        Ok(())
    }

    fn smaller(&self, record: &RawRecord, output: &Output, reason: Reason) -> Result<Output, Undone> {
        let letters = &self.options.dead_letters;
        let message = format!("{} bytes for topic {} are more than the broker takes", output.bytes(), output.topic);
        let rejection = Rejection::new(reason, message);
        if output.topic != *letters.topic() {
            return Ok(letters.letter(record, &rejection));
        }
        let letter = letters.letter_without_payload(record, &rejection);
        if *output == letter {
            let message = format!("topic {} does not even take a dead letter without its payload", output.topic);
            return Err(Undone::Dead(Error::new(Fault::Config, message).hint("raise its max.message.bytes")));
        }
        Ok(letter)
    }

    fn abort(&mut self) -> Result<(), Undone> {
        if self.options.mode == DeliveryMode::AtLeastOnce {
            return match self.producer.fatal_error() {
                Some(why) => self.rebuild(&why),
                None => Ok(()),
            };
        }
        match self.producer.abort(REQUEST_TIMEOUT) {
            Ok(()) => Ok(()),
            Err(trouble) => {
                let why = format!("{trouble:?}");
                // Outputs that were purged because of it hide a fence until here.
                if matches!(trouble, Trouble::Fenced(_)) {
                    self.count_fence(&why)?;
                }
                self.rebuild(&why)?;
                // The new producer's start has aborted what the old one left open: nothing of it is visible.
                Ok(())
            }
        }
    }

    /// A new producer under the same id: its start finishes or aborts whatever the old one left open.
    fn rebuild(&mut self, why: &str) -> Result<(), Undone> {
        ProducerRebuilt { stage: self.options.stage, error: why }.emit();
        self.producer = self.options.producer(self.batch_bytes).map_err(Undone::Dead)?;
        self.init()
    }

    fn init(&mut self) -> Result<(), Undone> {
        if self.options.mode == DeliveryMode::AtLeastOnce {
            return Ok(());
        }
        let mut backoff = BACKOFF_MIN;
        loop {
            let Err(error) = self.producer.init_transactions(REQUEST_TIMEOUT) else { return Ok(()) };
            let why = broker_error("cannot start transactions", &error);
            match error.rdkafka_error_code() {
                Some(code) if is_refusal(code) => {
                    return Err(Undone::Dead(self.uses("WRITE", Vec::new()).refusal(why.message, code)));
                }
                Some(RDKafkaErrorCode::InvalidTransactionTimeout) => {
                    let hint =
                        "lower delivery.transaction_timeout_ms to the broker's transaction.max.timeout.ms at most";
                    return Err(Undone::Dead(Error::new(Fault::Config, why.message).hint(hint)));
                }
                _ => {}
            }
            if self.stopping() {
                return Err(Undone::Failed(Failure::Stopped, why.message));
            }
            BrokerFailed { stage: self.options.stage, error: &why.message }.emit();
            thread::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
            if is_fatal(&error) {
                self.producer = self.options.producer(self.batch_bytes).map_err(Undone::Dead)?;
            }
        }
    }

    fn count_fence(&mut self, why: &str) -> Result<(), Undone> {
        let Some(times) = self.fences.count(self.began, self.options.transaction_timeout, Instant::now()) else {
            return Ok(());
        };
        let message = format!("fenced {times} times within {WINDOW:?}: {why}");
        let hint = format!(
            "another instance runs with the transactional id {}; give each its own [instance] name",
            self.options.id
        );
        Err(Undone::Dead(Error::new(Fault::Config, message).hint(hint)))
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn is_fatal(error: &rdkafka::error::KafkaError) -> bool {
    matches!(error, rdkafka::error::KafkaError::Transaction(inner) if inner.is_fatal())
}

fn outputs(epoch: &Epoch) -> impl Iterator<Item = &Output> {
    epoch.entries.iter().flat_map(|entry| &entry.outputs).chain(&epoch.changelog)
}

/// Outputs from this position on are the changelog's.
fn first_change(epoch: &Epoch) -> usize {
    epoch.entries.iter().map(|entry| entry.outputs.len()).sum()
}

/// Without it the state could not be rebuilt.
fn change_too_large(change: &Output) -> Error {
    let (topic, bytes) = (&change.topic, change.bytes());
    Error::new(Fault::Config, format!("a record of {bytes} bytes is larger than topic {topic} takes"))
        .hint(format!("raise max.message.bytes of {topic}"))
}

fn offset_list(epoch: &Epoch) -> Result<TopicPartitionList, Undone> {
    let mut list = TopicPartitionList::with_capacity(epoch.offsets.len());
    for (partition, next) in &epoch.offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*next))
            .map_err(|e| Undone::Dead(Error::new(Fault::Bug, format!("offset {next} of {partition}: {e}"))))?;
    }
    Ok(list)
}
