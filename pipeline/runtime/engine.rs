//! The loop that takes records from poll to commit.
//!
//! One thread owns everything that decides: which records are where, what the models are asked, when an epoch is cut.
//! It never waits for anything but its inbox. Reading, preparing, inference and committing happen on threads of their
//! own and come back as [`Signal`]s.
//!
//! An epoch is cut late: when the sink is free, whatever each partition has concluded, in order, goes into it. So an
//! epoch grows under load, no epoch waits for a slow batch, and the models never wait for the broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use foldhash::fast::RandomState;
use jiff::Timestamp;

use super::look_up::Asked;
use super::owners::Holdings;
use super::partition;
use super::partition::{Freed, Memory, Partition, Tenure, Ticket};
use super::prepare::{PreparePool, Ready, Unprepared};
use super::report::Report;
use super::restore::{From, Keeper, Restored, unusable};
use super::scoring::{Answered, Scoring, Work};
use crate::config::Delivery;
use crate::event::{Error, Fault, Output, RawRecord, TopicPartition};
use crate::infer::Done;
use crate::kafka::Membership;
use crate::sink::{DeadLetters, Epoch, Failure, Sink, SinkEvent};
use crate::source::{Room, Source, SourceCommand, SourceEvent, Subscription};
use crate::stages::Stage;
use crate::state::{Change, Mark, State, StateError, checksum};

/// How often local copies of the state are brought to where it stands: at most so much is read again after a crash.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// How often gauges are set and hung workers looked for.
const TICK: Duration = Duration::from_millis(250);
/// Signals handled before batches are dispatched and an epoch is cut, so that neither waits behind a flood of records.
const SIGNALS_PER_TURN: usize = 64;
/// Epochs are so many times longer while more than half of the room in flight is taken.
const BACKLOG_PATIENCE: u32 = 8;
/// How often an epoch is handed in again after the group has moved on, before everything is read again instead.
const RESUBMITS_MAX: u32 = 20;
/// How much of `delivery.shutdown_ms_max` is kept for ending the transaction under way and leaving the group: a fourth,
/// and at most so long.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How long to wait before handing it in again: about one heartbeat of a group that is rebalancing.
const RESUBMIT_AFTER: Duration = Duration::from_millis(100);

/// What reaches the engine.
pub enum Signal<S: Stage> {
    Source(SourceEvent),
    Prepared(Vec<Ready<S>>),
    Inferred(Done<Work>),
    Sink(SinkEvent),
    Restored(Restored),
    /// There is a question among [`Parts::questions`]: wakes the engine, which looks there before anything else.
    Asked,
    /// Finish what is under way, then end.
    Stop,
}

/// The engine's parts, made by the runtime.
pub struct Parts<S: Stage> {
    pub stage: Arc<S>,
    pub room: Arc<Room>,
    pub prepare: PreparePool,
    pub scoring: Scoring,
    pub sink: Sink,
    pub letters: DeadLetters,
    pub delivery: Delivery,
    pub inbox: Receiver<Signal<S>>,
    /// What somebody outside asks about what is committed. Apart from the inbox, so that it waits behind no backlog.
    pub questions: Receiver<Asked>,
    /// Starts the source once the sink is ready.
    pub start_source: Box<dyn FnOnce() -> Result<Source, Error> + Send>,
    pub report: Report,
    /// `None`: the stage keeps no state.
    pub keeper: Option<Keeper>,
    /// Told which partitions it has.
    pub held: Arc<Holdings>,
}

/// See the module.
pub struct Engine<S: Stage> {
    stage: Arc<S>,
    room: Arc<Room>,
    prepare: PreparePool,
    scoring: Scoring,
    sink: Sink,
    letters: DeadLetters,
    delivery: Delivery,
    inbox: Receiver<Signal<S>>,
    questions: Receiver<Asked>,
    start_source: Option<Box<dyn FnOnce() -> Result<Source, Error> + Send>>,
    source: Option<Source>,
    report: Report,
    keeper: Option<Keeper>,
    held: Arc<Holdings>,
    next_checkpoint: Instant,

    partitions: HashMap<Tenure, Partition<S>, RandomState>,
    tenures: HashMap<TopicPartition, Tenure, RandomState>,
    next_tenure: u32,
    /// Rewinding: what arrives until the source has done it will come again.
    rewinding: bool,
    /// When the first of the concluded records was concluded.
    ready_since: Option<Instant>,
    epoch_number: u64,
    committing: Option<Committing>,
    resubmit: Option<(Instant, Epoch)>,
    revocation: Option<Revocation>,
    stopping: Option<Instant>,
    next_tick: Instant,
}

/// The epoch that the sink has.
struct Committing {
    tenures: Vec<(Tenure, i64)>,
    freed: Freed,
    since: Instant,
    submits: u32,
}

/// Whether it is known what became of the epoch at which everything is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was not committed, or there was none.
    Known,
    /// Only the broker knows: the changelog says what the state is.
    Unknown,
}

/// Partitions to be given up as soon as what they have concluded is committed.
struct Revocation {
    partitions: Vec<TopicPartition>,
    deadline: Instant,
    /// Dropping it lets the source go on.
    _done: Sender<()>,
}

impl<S: Stage> Engine<S> {
    pub fn new(parts: Parts<S>) -> Self {
        Self {
            stage: parts.stage,
            room: parts.room,
            prepare: parts.prepare,
            scoring: parts.scoring,
            sink: parts.sink,
            letters: parts.letters,
            delivery: parts.delivery,
            inbox: parts.inbox,
            questions: parts.questions,
            start_source: Some(parts.start_source),
            source: None,
            report: parts.report,
            keeper: parts.keeper,
            held: parts.held,
            next_checkpoint: Instant::now() + CHECKPOINT,
            partitions: HashMap::default(),
            tenures: HashMap::default(),
            next_tenure: 0,
            rewinding: false,
            ready_since: None,
            epoch_number: 0,
            committing: None,
            resubmit: None,
            revocation: None,
            stopping: None,
            next_tick: Instant::now(),
        }
    }

    /// Runs until told to stop, or until something fails that trying again cannot help.
    pub fn run(mut self) -> Result<(), Error> {
        self.report.bounds(&self.room);
        let ended = self.turns();
        self.report.ended(ended.as_ref().err());
        self.sink.stop_retrying();
        // The group is left only now, after the last commit was answered or given up. Leaving revokes every partition;
        // with the inbox closed nobody waits for an answer to that.
        self.park_all();
        drop(self.revocation);
        drop(self.inbox);
        drop(self.source);
        ended
    }

    fn turns(&mut self) -> Result<(), Error> {
        loop {
            self.receive()?;
            let now = Instant::now();
            let refused = self.scoring.dispatch(now);
            self.answer(refused);
            self.resubmit(now);
            self.check_states()?;
            self.cut(now);
            self.finish_revocation(now);
            self.tick(now)?;
            if self.is_finished(now) {
                return Ok(());
            }
        }
    }

    /// Waits for one signal, then takes what else is there, up to a bound.
    fn receive(&mut self) -> Result<(), Error> {
        match self.inbox.recv_deadline(self.next_deadline()) {
            Ok(signal) => self.handle(signal)?,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::new(Fault::Bug, "the engine's inbox was closed")),
        }
        for _ in 1..SIGNALS_PER_TURN {
            let Ok(signal) = self.inbox.try_recv() else { break };
            self.handle(signal)?;
        }
        Ok(())
    }

    fn next_deadline(&self) -> Instant {
        let batch = self.scoring.next_deadline();
        let cut = if self.committing.is_none() { self.ready_since.map(|at| at + self.patience()) } else { None };
        let resubmit = self.resubmit.as_ref().map(|(at, _)| *at);
        let revocation = self.revocation.as_ref().map(|r| r.deadline);
        [batch, cut, resubmit, revocation, self.stopping].into_iter().flatten().fold(self.next_tick, Instant::min)
    }

    fn handle(&mut self, signal: Signal<S>) -> Result<(), Error> {
        self.answer_questions();
        match signal {
            Signal::Source(event) => self.on_source(event),
            Signal::Prepared(ready) => {
                self.on_prepared(ready);
                Ok(())
            }
            Signal::Inferred(done) => {
                let answered = self.scoring.finish(done);
                self.answer(answered);
                Ok(())
            }
            Signal::Sink(event) => self.on_sink(event),
            Signal::Restored(restored) => self.on_restored(restored),
            // Answered before this was looked at.
            Signal::Asked => Ok(()),
            Signal::Stop => {
                self.begin_stop();
                Ok(())
            }
        }
    }

    /// Somebody waits for each: they go before whatever else waits, and as often as a signal is taken.
    fn answer_questions(&mut self) {
        while let Ok(asked) = self.questions.try_recv() {
            asked.answer(self.partitions.values_mut().map(Partition::remembered));
        }
    }

    // --- from the source

    fn on_source(&mut self, event: SourceEvent) -> Result<(), Error> {
        match event {
            SourceEvent::Records(records) => self.on_records(records),
            SourceEvent::Assigned(partitions) => self.on_assigned(partitions),
            SourceEvent::Revoked { partitions, lost, done } => self.on_revoked(&partitions, lost, done),
            SourceEvent::Rewound => {
                self.rewinding = false;
            }
            SourceEvent::Ends(ends) => self.report_lag(&ends),
            SourceEvent::Reachable(reachable) => self.report.reachable(reachable),
            SourceEvent::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn on_records(&mut self, records: Vec<RawRecord>) {
        self.report.received(&records);
        let mut chunk = Vec::with_capacity(records.len());
        for record in records {
            let bytes = record.bytes();
            match self.reserve(&record, bytes) {
                Some((tenure, sequence)) => chunk.push(Unprepared { tenure, sequence, record }),
                None => self.room.give_back(1, bytes),
            }
        }
        if !chunk.is_empty() {
            self.prepare.submit(chunk);
        }
    }

    /// A place for the record; none while rewinding, after its partition was given up, or if it is a repetition.
    fn reserve(&mut self, record: &RawRecord, bytes: usize) -> Option<(Tenure, u64)> {
        if self.rewinding {
            return None;
        }
        let origin = &record.origin;
        let name = TopicPartition { topic: origin.topic.clone(), partition: origin.partition };
        let tenure = *self.tenures.get(&name)?;
        let sequence = self.partitions.get_mut(&tenure)?.reserve(origin.offset, bytes)?;
        Some((tenure, sequence))
    }

    fn on_assigned(&mut self, partitions: Vec<TopicPartition>) {
        for name in &partitions {
            if let Some(former) = self.tenures.get(name).copied() {
                self.end_tenure(former);
            }
            let from = name.clone();
            self.begin_tenure(name.clone(), |engine, tenure| engine.restore(tenure, &from, From::LocalCopy));
        }
        self.share_memory();
        self.held.set(self.tenures.keys().cloned());
        self.report.assigned(&partitions, self.tenures.len());
    }

    fn begin_tenure(&mut self, name: TopicPartition, memory: impl FnOnce(&mut Self, Tenure) -> Memory) {
        let tenure = Tenure(self.next_tenure);
        self.next_tenure = self.next_tenure.wrapping_add(1);
        let memory = memory(self, tenure);
        self.tenures.insert(name.clone(), tenure);
        self.partitions.insert(tenure, Partition::new(name, memory));
    }

    /// Throws away what a tenure holds. What is under way for it elsewhere finds no home.
    fn end_tenure(&mut self, tenure: Tenure) {
        let Some(partition) = self.take_tenure(tenure) else { return };
        let name = partition.name.clone();
        if let (Some(keeper), Memory::Here(state)) = (&mut self.keeper, partition.into_memory()) {
            keeper.park(&name, state);
        }
    }

    fn take_tenure(&mut self, tenure: Tenure) -> Option<Partition<S>> {
        let partition = self.partitions.remove(&tenure)?;
        let held = partition.held();
        self.room.give_back(held.records, held.bytes);
        if self.tenures.get(&partition.name) == Some(&tenure) {
            self.tenures.remove(&partition.name);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.forget(tenure);
        }
        Some(partition)
    }

    // --- state

    /// Has a partition's state read back; its records wait.
    fn restore(&mut self, tenure: Tenure, name: &TopicPartition, from: From) -> Memory {
        let share = self.memory_share();
        let Some(keeper) = &mut self.keeper else { return Memory::Stateless };
        keeper.restore(tenure, name.clone(), from, share);
        Memory::Restoring
    }

    fn on_restored(&mut self, Restored { tenure, state }: Restored) -> Result<(), Error> {
        let share = self.memory_share();
        let Some(partition) = self.partitions.get_mut(&tenure) else { return Ok(()) };
        let mut state = state?;
        state.set_budget(share);
        state.begin_checkpoint();
        partition.set_restored(state);
        self.advance(Some(tenure));
        Ok(())
    }

    /// The same for every partition that this instance reads.
    fn memory_share(&self) -> usize {
        self.keeper.as_ref().map_or(0, |keeper| keeper.memory_bytes_max() / self.tenures.len().max(1))
    }

    fn share_memory(&mut self) {
        let share = self.memory_share();
        self.partitions.values_mut().filter_map(Partition::state).for_each(|state| state.set_budget(share));
    }

    /// A state that cannot be used ends the process, unless its local copy is to blame: then everything is read again,
    /// as soon as the epoch under way, which was cut before, is decided.
    fn check_states(&mut self) -> Result<(), Error> {
        if self.keeper.is_none() {
            return Ok(());
        }
        let faults = self.partitions.values().filter_map(Partition::fault);
        let Some(fault) = faults.max_by_key(|fault| !matches!(fault, StateError::Damaged(_))) else { return Ok(()) };
        if !matches!(fault, StateError::Damaged(_)) {
            return Err(unusable(fault));
        }
        if self.committing.is_none() {
            self.rewind(Outcome::Known);
        }
        Ok(())
    }

    fn continue_checkpoints(&mut self, now: Instant) {
        let begin = now >= self.next_checkpoint;
        if begin {
            self.next_checkpoint = now + CHECKPOINT;
        }
        for state in self.partitions.values_mut().filter_map(Partition::state) {
            if begin {
                state.begin_checkpoint();
            }
            state.continue_checkpoint();
        }
    }

    /// The process ends: the next one finds what this one remembers.
    fn park_all(&mut self) {
        let tenures: Vec<Tenure> = self.partitions.keys().copied().collect();
        tenures.into_iter().for_each(|tenure| self.end_tenure(tenure));
    }

    fn on_revoked(&mut self, partitions: &[TopicPartition], lost: bool, done: Sender<()>) {
        self.report.revoked(partitions, lost);
        if lost {
            self.give_up(partitions);
            return;
        }
        let deadline = Instant::now() + self.delivery.transaction_timeout;
        self.revocation = Some(Revocation { partitions: partitions.to_vec(), deadline, _done: done });
    }

    /// Lets the source go on once nothing concluded of these partitions is left to commit, or the time for it is up.
    fn finish_revocation(&mut self, now: Instant) {
        let Some(revocation) = &self.revocation else { return };
        let tenures = revocation.partitions.iter().filter_map(|name| self.tenures.get(name));
        let mut open =
            tenures.filter_map(|tenure| self.partitions.get(tenure)).filter(|partition| partition.done() > 0);
        let committed = self.committing.is_none() && (self.rewinding || open.next().is_none());
        if !committed && now < revocation.deadline {
            return;
        }
        if let Some(revocation) = self.revocation.take() {
            self.give_up(&revocation.partitions);
        }
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) {
        for name in partitions {
            if let Some(tenure) = self.tenures.get(name).copied() {
                self.end_tenure(tenure);
            }
        }
        self.share_memory();
        self.held.set(self.tenures.keys().cloned());
        let partitions = &self.partitions;
        self.scoring.retain(|tenure| partitions.contains_key(&tenure));
    }

    fn report_lag(&self, ends: &[(TopicPartition, i64)]) {
        for (name, end) in ends {
            let partition = self.tenures.get(name).and_then(|tenure| self.partitions.get(tenure));
            if let Some(committed) = partition.and_then(Partition::committed) {
                self.report.lag(name, *end, committed);
            }
        }
    }

    // --- prepare, observe, ask, conclude

    fn on_prepared(&mut self, ready: Vec<Ready<S>>) {
        let mut touched: Option<Tenure> = None;
        for Ready { tenure, sequence, record, prepared } in ready {
            let Some(partition) = self.partitions.get_mut(&tenure) else {
                self.room.give_back(1, record.bytes());
                continue;
            };
            partition.prepared(sequence, record, prepared);
            if touched.is_some_and(|last| last != tenure) {
                self.advance(touched);
            }
            touched = Some(tenure);
        }
        self.advance(touched);
    }

    fn advance(&mut self, tenure: Option<Tenure>) {
        let Some(tenure) = tenure else { return };
        self.observe(tenure);
        self.conclude(tenure);
    }

    fn observe(&mut self, tenure: Tenure) {
        let now = Instant::now();
        let Some(partition) = self.partitions.get_mut(&tenure) else { return };
        let mut asked = Vec::new();
        partition.observe(&self.stage, |record| asked.push(record));
        for partition::Asked { sequence, asks } in asked {
            for (position, ask) in asks.into_iter().enumerate() {
                // A record asks each configured model at most once; more than 255 models are refused at start.
                let ticket = Ticket { tenure, sequence, ask: position as u8 };
                if let (Some(known), Some(partition)) =
                    (self.scoring.ask(ticket, ask, now), self.partitions.get_mut(&tenure))
                {
                    partition.answer(ticket, known);
                }
            }
        }
    }

    fn answer(&mut self, answered: Vec<Answered>) {
        let mut touched = Vec::new();
        for (ticket, answer) in answered {
            if let Some(partition) = self.partitions.get_mut(&ticket.tenure) {
                partition.answer(ticket, answer);
                touched.push(ticket.tenure);
            }
        }
        self.conclude_all(touched);
    }

    fn conclude_all(&mut self, mut tenures: Vec<Tenure>) {
        tenures.sort_unstable();
        tenures.dedup();
        for tenure in tenures {
            self.conclude(tenure);
        }
    }

    fn conclude(&mut self, tenure: Tenure) {
        let Some(partition) = self.partitions.get_mut(&tenure) else { return };
        if partition.conclude(&self.stage, &self.letters, Timestamp::now()) > 0 {
            self.ready_since.get_or_insert_with(Instant::now);
        }
    }

    // --- epochs

    fn cut(&mut self, now: Instant) {
        if self.committing.is_some() || self.rewinding || !self.is_due(now) || self.is_faulty() {
            return;
        }
        let Some(metadata) = self.membership().and_then(|m| m.metadata()) else {
            // No member of the group right now: look again after as long as an epoch takes.
            self.ready_since = Some(now);
            return;
        };
        let mut entries = Vec::with_capacity(self.done().min(self.delivery.epoch_events_max));
        let mut offsets = Vec::new();
        let mut tenures = Vec::new();
        let mut freed = Freed::default();
        let mut changelog = Vec::new();
        for (tenure, partition) in &mut self.partitions {
            let most = self.delivery.epoch_events_max - entries.len();
            if let Some(cut) = partition.cut(most, &mut entries) {
                offsets.push((partition.name.clone(), cut.next));
                tenures.push((*tenure, cut.next));
                freed += cut.freed;
                if let Some(keeper) = &mut self.keeper {
                    let topic = keeper.changelog(&partition.name.topic);
                    changelog.extend(cut.changes.into_iter().map(|change| to_output(&topic, &partition.name, change)));
                }
            }
        }
        let left: usize = self.partitions.values().map(Partition::done).sum();
        self.ready_since = (left > 0).then_some(now);
        if entries.is_empty() {
            return;
        }
        changelog.extend(self.stage.gather(&mut entries.iter_mut().map(|entry| &mut entry.outputs)));
        self.epoch_number += 1;
        self.committing = Some(Committing { tenures, freed, since: now, submits: 1 });
        self.submit(Epoch {
            number: self.epoch_number,
            entries,
            changelog,
            acknowledged: Vec::new(),
            offsets,
            metadata,
            produced: false,
        });
    }

    /// Enough is concluded, or the first of it has waited long enough, or somebody waits for the partitions.
    fn is_due(&self, now: Instant) -> bool {
        let Some(since) = self.ready_since else { return false };
        let hurried = self.revocation.is_some() || self.stopping.is_some();
        hurried || now >= since + self.patience() || self.done() >= self.delivery.epoch_events_max
    }

    /// How long concluded records wait for company. With a backlog before the models a record has waited far longer than
    /// an epoch takes; then fewer, larger transactions leave more of the machine to the models and of the broker to others.
    fn patience(&self) -> Duration {
        let backlog = self.stopping.is_none() && !self.room.is_ample() && self.done() * 2 < self.room.records();
        self.delivery.epoch_ms_max * if backlog { BACKLOG_PATIENCE } else { 1 }
    }

    fn is_faulty(&self) -> bool {
        self.keeper.is_some() && self.partitions.values().any(|partition| partition.fault().is_some())
    }

    fn done(&self) -> usize {
        self.partitions.values().map(Partition::done).sum()
    }

    fn membership(&self) -> Option<Arc<dyn Membership>> {
        Some(self.source.as_ref()?.membership())
    }

    fn submit(&mut self, epoch: Epoch) {
        if let Some(membership) = self.membership() {
            self.sink.commit(epoch, membership);
        }
    }

    fn on_sink(&mut self, event: SinkEvent) -> Result<(), Error> {
        match event {
            SinkEvent::Ready => self.start_source()?,
            SinkEvent::Committed { epoch, .. } => self.on_committed(&epoch),
            SinkEvent::Failed { epoch, failure, why } => self.on_failed_epoch(epoch, failure, &why),
            SinkEvent::Dead(error) => return Err(error),
        }
        Ok(())
    }

    fn start_source(&mut self) -> Result<(), Error> {
        if let (Some(start), None) = (self.start_source.take(), self.stopping) {
            self.source = Some(start()?);
        }
        Ok(())
    }

    fn on_committed(&mut self, epoch: &Epoch) {
        let Some(committing) = self.committing.take() else { return };
        self.room.give_back(committing.freed.records, committing.freed.bytes);
        for (tenure, next) in committing.tenures {
            let Some(partition) = self.partitions.get_mut(&tenure) else { continue };
            let position = self.keeper.as_mut().and_then(|keeper| {
                let topic = keeper.changelog(&partition.name.topic);
                position(epoch, &topic, partition.name.partition)
            });
            partition.set_committed(next, position);
            if self.keeper.is_some() {
                // Records may wait for what is not committed to become less.
                self.advance(Some(tenure));
            }
        }
    }

    fn on_failed_epoch(&mut self, epoch: Epoch, failure: Failure, why: &str) {
        self.report.aborted(failure, why);
        let Some(committing) = &self.committing else { return };
        let owned = committing.tenures.iter().all(|(tenure, _)| self.partitions.contains_key(tenure));
        // Read again, outputs that are acknowledged would be written twice.
        let patient = committing.submits < RESUBMITS_MAX || epoch.produced;
        if failure == Failure::Stale && owned && patient {
            self.resubmit = Some((Instant::now() + RESUBMIT_AFTER, epoch));
        } else {
            self.rewind(if failure == Failure::Stale { Outcome::Known } else { Outcome::Unknown });
        }
    }

    /// Hands an epoch in again, in the name of the generation that now owns all its partitions.
    fn resubmit(&mut self, now: Instant) {
        let Some((at, mut epoch)) = self.resubmit.take() else { return };
        if now < at {
            self.resubmit = Some((at, epoch));
            return;
        }
        let owned = self
            .committing
            .as_ref()
            .is_some_and(|c| c.tenures.iter().all(|(tenure, _)| self.partitions.contains_key(tenure)));
        if !owned {
            self.rewind(Outcome::Known);
            return;
        }
        let Some(metadata) = self.membership().and_then(|m| m.metadata()) else {
            self.resubmit = Some((now + RESUBMIT_AFTER, epoch));
            return;
        };
        epoch.metadata = metadata;
        if let Some(committing) = &mut self.committing {
            committing.submits += 1;
        }
        self.submit(epoch);
    }

    /// Throws everything away that is not committed and reads it again.
    fn rewind(&mut self, outcome: Outcome) {
        if let Some(committing) = self.committing.take() {
            self.room.give_back(committing.freed.records, committing.freed.bytes);
        }
        self.resubmit = None;
        self.ready_since = None;
        self.scoring.clear();
        let names: Vec<TopicPartition> = self.tenures.keys().cloned().collect();
        for name in names {
            let former = self.tenures.get(&name).copied();
            let Some(former) = former.and_then(|former| self.take_tenure(former)) else { continue };
            let memory = former.into_memory();
            self.begin_tenure(name.clone(), |engine, tenure| match (memory, outcome) {
                (Memory::Stateless, _) => Memory::Stateless,
                (Memory::Restoring, _) => engine.restore(tenure, &name, From::LocalCopy),
                (Memory::Here(state), _) if state.fault().is_some() => engine.restore(tenure, &name, From::Changelog),
                (Memory::Here(state), Outcome::Known) => Memory::Here(aborted(state)),
                (Memory::Here(state), Outcome::Unknown) => engine.restore(tenure, &name, From::Memory(aborted(state))),
            });
        }
        self.rewinding = true;
        if let Some(source) = &self.source {
            source.send(SourceCommand::Rewind);
        }
    }

    // --- time

    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        if now < self.next_tick {
            return Ok(());
        }
        self.next_tick = now + TICK;
        let given_up = self.scoring.expire(now)?;
        self.answer(given_up);
        self.continue_checkpoints(now);
        if let Some(keeper) = &self.keeper {
            let states = self.partitions.values_mut().filter_map(Partition::state);
            self.report.states(states, keeper.memory_bytes_max(), keeper.local_bytes());
        }
        self.stage.report();
        self.report.tick(&self.room, &self.scoring, self.committing.as_ref().map(|c| c.since));
        Ok(())
    }

    fn begin_stop(&mut self) {
        if self.stopping.is_none() {
            self.report.stopping(self.delivery.shutdown_max);
            let within = self.delivery.shutdown_max;
            self.stopping = Some(Instant::now() + within - LEAVE_MAX.min(within / 4));
            self.room.close();
        }
    }

    fn is_finished(&self, now: Instant) -> bool {
        let Some(deadline) = self.stopping else { return false };
        let drained = self.committing.is_none() && self.partitions.values().all(Partition::is_empty);
        drained || now >= deadline
    }
}

fn aborted(mut state: Box<State>) -> Box<State> {
    state.abort();
    state
}

/// A change of a partition's state as a record of the changelog's partition of the same number.
fn to_output(topic: &Arc<str>, name: &TopicPartition, (key, value): Change) -> Output {
    let payload = value.map(|value| value.bytes().clone());
    Output { topic: topic.clone(), partition: Some(name.partition), key: Some(key), payload, headers: Vec::new() }
}

/// Where the epoch's last change of a partition lies in the changelog.
fn position(epoch: &Epoch, topic: &str, partition: i32) -> Option<Mark> {
    epoch.acknowledged.iter().find_map(|acknowledged| {
        let change = epoch.changelog.get(acknowledged.place)?;
        let found = *change.topic == *topic && change.partition == Some(partition);
        found.then(|| Mark {
            offset: acknowledged.offset,
            timestamp_ms: acknowledged.timestamp_ms,
            checksum: checksum(
                change.key.as_deref().unwrap_or_default(),
                change.payload.as_deref().unwrap_or_default(),
            ),
            set_ms: Timestamp::now().as_millisecond(),
        })
    })
}

/// How the source is started once the sink is ready.
pub fn source_starter<S: Stage>(
    subscription: Subscription,
    room: Arc<Room>,
    signals: Sender<Signal<S>>,
) -> Box<dyn FnOnce() -> Result<Source, Error> + Send> {
    Box::new(move || Source::start(subscription, room, move |event| signals.send(Signal::Source(event)).is_ok()))
}
