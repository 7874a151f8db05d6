//! The same steps without Kafka: records in, entries out in the same order. `score` and `detect` are made of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use jiff::Timestamp;

use super::Served;
use super::partition::{Asked, Memory, Partition, Tenure, Ticket};
use super::prepare::{PreparePool, Ready, ResolveSchema, Unprepared};
use super::scoring::{Answered, Scoring, Work};
use crate::config::Settings;
use crate::event::{Error, Fault, RawRecord, TopicPartition};
use crate::infer::Done;
use crate::sink::{DeadLetters, Entry};
use crate::source::Room;
use crate::stages::Stage;
use crate::state::{Kinds, State};

/// Records under way at a time: enough for batches of equal lengths, few enough for constant memory.
const WINDOW_RECORDS: usize = 2048;
/// And their bytes, for lines as long as books.
const WINDOW_BYTES: usize = 16 << 20;
/// Records handed to a prepare thread at a time.
const CHUNK_RECORDS: usize = 32;
const TICK: Duration = Duration::from_millis(250);

/// There is one partition and nobody takes it away.
const ONLY: Tenure = Tenure(0);

enum Signal<S: Stage> {
    Prepared(Vec<Ready<S>>),
    Inferred(Done<Work>),
}

/// One partition that nobody commits.
pub struct Offline<S: Stage> {
    stage: Arc<S>,
    partition: Partition<S>,
    prepare: PreparePool,
    scoring: Scoring,
    letters: DeadLetters,
    inbox: Receiver<Signal<S>>,
    /// What is under way, against its bounds.
    room: Room,
}

impl<S: Stage> Offline<S> {
    pub fn new(settings: &Settings, stage: Arc<S>, models: &Served, resolve: &ResolveSchema) -> Result<Self, Error> {
        let (signals, inbox) = unbounded();
        let prepared = signals.clone();
        let prepare = PreparePool::start(super::cores(), &stage, resolve, move |ready| {
            // Nobody listens any more once the run has ended.
            let _ = prepared.send(Signal::Prepared(ready));
        })?;
        let scoring = models.scoring(&settings.batch, move |done| {
            let _ = signals.send(Signal::Inferred(done));
        })?;
        Ok(Self {
            partition: Partition::new(TopicPartition { topic: "input".into(), partition: 0 }, memory(&*stage)),
            stage,
            prepare,
            scoring,
            letters: DeadLetters::new(&settings.outputs.dead_letters, S::NAME, settings.dead_letters.payload.clone()),
            inbox,
            room: Room::new(WINDOW_RECORDS, WINDOW_BYTES),
        })
    }

    /// Reads all records, whose offsets must rise, and emits what comes of each, in their order. Holds a bounded number.
    /// `emit` ends the run with its error.
    pub fn run(
        &mut self,
        mut records: impl Iterator<Item = Result<RawRecord, Error>>,
        mut emit: impl FnMut(Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut more = true;
        while more || self.room.records() > 0 {
            while more && !self.room.is_full() {
                more = self.feed(&mut records)?;
                self.take_signals();
                self.dispatch();
                self.emit_done(&mut emit)?;
            }
            self.wait()?;
            self.dispatch();
            self.emit_done(&mut emit)?;
        }
        Ok(())
    }

    /// False at the end of the records.
    fn feed(&mut self, records: &mut impl Iterator<Item = Result<RawRecord, Error>>) -> Result<bool, Error> {
        let mut chunk = Vec::with_capacity(CHUNK_RECORDS);
        let mut more = true;
        while more && chunk.len() < CHUNK_RECORDS && !self.room.is_full() {
            match records.next() {
                Some(record) => chunk.push(self.take(record?)?),
                None => more = false,
            }
        }
        if !chunk.is_empty() {
            self.prepare.submit(chunk);
        }
        Ok(more)
    }

    fn take(&mut self, record: RawRecord) -> Result<Unprepared, Error> {
        let bytes = record.bytes();
        let Some(sequence) = self.partition.reserve(record.origin.offset, bytes) else {
            return Err(Error::new(Fault::Bug, format!("offset {} came twice", record.origin.offset)));
        };
        self.room.take(bytes);
        Ok(Unprepared { tenure: ONLY, sequence, record })
    }

    fn wait(&mut self) -> Result<(), Error> {
        if self.room.records() == 0 {
            return Ok(());
        }
        let until = Instant::now() + TICK;
        let until = self.scoring.next_deadline().map_or(until, |at| at.min(until));
        if let Ok(signal) = self.inbox.recv_deadline(until) {
            self.handle(signal);
            self.take_signals();
        }
        let given_up = self.scoring.expire(Instant::now())?;
        self.answer(given_up);
        Ok(())
    }

    fn take_signals(&mut self) {
        while let Ok(signal) = self.inbox.try_recv() {
            self.handle(signal);
        }
    }

    fn handle(&mut self, signal: Signal<S>) {
        match signal {
            Signal::Prepared(ready) => {
                for Ready { sequence, record, prepared, .. } in ready {
                    self.partition.prepared(sequence, record, prepared);
                }
                let mut asked = Vec::new();
                self.partition.observe(&self.stage, |record| asked.push(record));
                for Asked { sequence, asks } in asked {
                    for (position, ask) in asks.into_iter().enumerate() {
                        let ticket = Ticket { tenure: ONLY, sequence, ask: position as u8 };
                        if let Some(known) = self.scoring.ask(ticket, ask, Instant::now()) {
                            self.partition.answer(ticket, known);
                        }
                    }
                }
            }
            Signal::Inferred(done) => {
                let answered = self.scoring.finish(done);
                self.answer(answered);
            }
        }
    }

    fn answer(&mut self, answered: Vec<Answered>) {
        for (ticket, answer) in answered {
            self.partition.answer(ticket, answer);
        }
    }

    fn dispatch(&mut self) {
        let refused = self.scoring.dispatch(Instant::now());
        self.answer(refused);
    }

    fn emit_done(&mut self, emit: &mut impl FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        self.partition.conclude(&self.stage, &self.letters, Timestamp::now());
        let mut entries = Vec::new();
        if let Some(cut) = self.partition.cut(usize::MAX, &mut entries) {
            self.partition.set_committed(cut.next, None);
        }
        self.room.give_back(entries.len(), entries.iter().map(|entry| entry.record.bytes()).sum());
        entries.into_iter().try_for_each(emit)
    }
}

/// There is no changelog: what is remembered is gone with the run.
fn memory<S: Stage>(stage: &S) -> Memory {
    match stage.kinds() {
        kinds if kinds.is_empty() => Memory::Stateless,
        kinds => Memory::Here(Box::new(State::unbounded(Kinds::new(&kinds), stage.grace_ms()))),
    }
}
