use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use jiff::Timestamp;

use super::reader::{Changelog, Reader, Unread};
use super::{From, KeeperOptions, Restored, changelog, unusable};
use crate::event::{Error, TopicPartition};
use crate::runtime::partition::Tenure;
use crate::state::{Copy, Mark, State, StateError};
use crate::telemetry::{LocalCopy, RestoreEnded, RestoreProgressed, RestoreStarted};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// How long to wait before the brokers are asked again.
const RETRY: Duration = Duration::from_millis(500);
/// A local copy older than this is not used: Kafka forgets deletions a day after they were written, unless
/// `delete.retention.ms` says otherwise, and one that is forgotten would be missing from what follows the copy.
const COPY_AGE_MAX: Duration = Duration::from_secs(12 * 3600);

pub(super) enum Job {
    Restore(Restore),
    Park(Box<State>),
}

pub(super) struct Restore {
    pub tenure: Tenure,
    pub input: TopicPartition,
    pub from: From,
    pub budget_bytes: usize,
    pub wanted: Arc<AtomicBool>,
}

pub(super) struct Worker {
    options: Arc<KeeperOptions>,
    reader: Reader,
}

impl Worker {
    pub fn new(options: Arc<KeeperOptions>) -> Result<Worker, Error> {
        let reader = Reader::new(&options)?;
        Ok(Worker { options, reader })
    }

    pub fn run(mut self, inbox: &Receiver<Job>, emit: &dyn Fn(Restored)) {
        while let Ok(job) = inbox.recv() {
            match job {
                Job::Park(mut state) => {
                    state.begin_checkpoint();
                    while !state.continue_checkpoint() {}
                }
                Job::Restore(restore) => {
                    let tenure = restore.tenure;
                    if let Some(state) = self.restore(restore).transpose() {
                        emit(Restored { tenure, state });
                    }
                }
            }
        }
    }

    /// Tries until the state is there, nobody wants it any more, or trying again cannot help.
    fn restore(&mut self, job: Restore) -> Result<Option<Box<State>>, Error> {
        let Restore { input, mut from, budget_bytes, wanted, .. } = job;
        let mut progress = Progress::new(self.options.stage, &input);
        loop {
            match self.try_restore(&input, from, budget_bytes, &wanted, &mut progress) {
                Ok(state) => {
                    progress.ended(true);
                    return Ok(Some(state));
                }
                Err(Unread::Unwanted) => {
                    progress.ended(false);
                    return Ok(None);
                }
                Err(Unread::Broker(error)) => {
                    self.reader.trouble(&error);
                    from = From::LocalCopy;
                    thread::sleep(RETRY);
                }
                Err(Unread::State(StateError::Damaged(_))) => from = From::Changelog,
                Err(Unread::State(error)) => {
                    return Err(unusable(&error).context(format!("the state of {input} cannot be read back")));
                }
                Err(Unread::Refused(error)) => return Err(error),
            }
        }
    }

    fn try_restore(
        &mut self,
        input: &TopicPartition,
        from: From,
        budget_bytes: usize,
        wanted: &AtomicBool,
        progress: &mut Progress<'_>,
    ) -> Result<Box<State>, Unread> {
        self.reader.await_decided_offset(input, wanted)?;
        let topic = changelog(&self.options.group, &input.topic);
        let changelog = self.reader.changelog(&topic, input.partition, wanted)?;
        let (mut state, mark, local_copy) = match from {
            From::Memory(state) => self.keep(state, input, budget_bytes, &changelog, wanted)?,
            From::LocalCopy => self.open(input, budget_bytes, &changelog, wanted)?,
            From::Changelog => self.empty(input, budget_bytes, LocalCopy::Damaged)?,
        };
        let start = mark.map_or(changelog.low, |mark| mark.offset);
        progress.started(changelog.high - start, local_copy);
        let mut last = None;
        self.reader.read(&changelog, start, wanted, |position, key, value| {
            last = Some(position);
            progress.read(changelog.high - position.offset);
            state.restore(key, value)
        })?;
        if let Some(last) = last {
            state.set_position(Mark { set_ms: Timestamp::now().as_millisecond(), ..last });
        }
        state.restored()?;
        Ok(state)
    }

    /// The state as it is in memory, if the place at which it stands is still there.
    fn keep(
        &mut self,
        state: Box<State>,
        input: &TopicPartition,
        budget_bytes: usize,
        changelog: &Changelog<'_>,
        wanted: &AtomicBool,
    ) -> Result<(Box<State>, Option<Mark>, LocalCopy), Unread> {
        match state.position() {
            Some(mark) if self.reader.is_there(changelog, mark, wanted)? => {
                Ok((state, Some(mark), LocalCopy::InMemory))
            }
            _ => {
                drop(state);
                self.empty(input, budget_bytes, LocalCopy::Unknown)
            }
        }
    }

    /// What the local copy holds, if it is of use.
    fn open(
        &mut self,
        input: &TopicPartition,
        budget_bytes: usize,
        changelog: &Changelog<'_>,
        wanted: &AtomicBool,
    ) -> Result<(Box<State>, Option<Mark>, LocalCopy), Unread> {
        let (copy, mark) = match self.copy(input).and_then(|copy| copy.mark().map(|mark| (copy, mark))) {
            Ok((copy, Some(mark))) => (copy, mark),
            Ok((_, None)) => return self.empty(input, budget_bytes, LocalCopy::Missing),
            Err(StateError::Damaged(_)) => return self.empty(input, budget_bytes, LocalCopy::Damaged),
            Err(error) => return Err(error.into()),
        };
        if is_stale(mark, Timestamp::now()) {
            return self.empty(input, budget_bytes, LocalCopy::Stale);
        }
        if !self.reader.is_there(changelog, mark, wanted)? {
            return self.empty(input, budget_bytes, LocalCopy::Unknown);
        }
        Ok((self.state(copy, budget_bytes)?, Some(mark), LocalCopy::Reused))
    }

    /// Nothing: all of it comes from the changelog.
    fn empty(
        &self,
        input: &TopicPartition,
        budget_bytes: usize,
        why: LocalCopy,
    ) -> Result<(Box<State>, Option<Mark>, LocalCopy), Unread> {
        let copy = self.copy(input)?;
        copy.clear()?;
        Ok((self.state(copy, budget_bytes)?, None, why))
    }

    fn copy(&self, input: &TopicPartition) -> Result<Copy, StateError> {
        self.options.local.copy(&format!("{}-{}", input.topic, input.partition))
    }

    fn state(&self, copy: Copy, budget_bytes: usize) -> Result<Box<State>, StateError> {
        State::new(self.options.kinds.clone(), self.options.grace_ms, copy, budget_bytes).map(Box::new)
    }
}

fn is_stale(mark: Mark, now: Timestamp) -> bool {
    let age_ms = now.as_millisecond().saturating_sub(mark.set_ms);
    i128::from(age_ms) > COPY_AGE_MAX.as_millis().cast_signed()
}

/// How far a restore has come, and how it is told.
struct Progress<'a> {
    stage: &'static str,
    input: &'a TopicPartition,
    began: Instant,
    told: Instant,
    records: u64,
    untold: u64,
}

impl<'a> Progress<'a> {
    fn new(stage: &'static str, input: &'a TopicPartition) -> Progress<'a> {
        Progress { stage, input, began: Instant::now(), told: Instant::now(), records: 0, untold: 0 }
    }

    fn started(&self, records: i64, local_copy: LocalCopy) {
        let TopicPartition { topic, partition } = self.input;
        let records = u64::try_from(records).unwrap_or(0);
        RestoreStarted { stage: self.stage, topic, partition: *partition, records, local_copy }.emit();
    }

    fn read(&mut self, remaining: i64) {
        self.records += 1;
        self.untold += 1;
        // A look at the clock for each record would cost more than the record.
        if self.untold.is_multiple_of(1024) && self.told.elapsed() >= PROGRESS {
            self.tell(u64::try_from(remaining).unwrap_or(0));
        }
    }

    fn tell(&mut self, remaining: u64) {
        let TopicPartition { topic, partition } = self.input;
        let records = std::mem::take(&mut self.untold);
        RestoreProgressed { stage: self.stage, topic, partition: *partition, records, remaining }.emit();
        self.told = Instant::now();
    }

    fn ended(&mut self, complete: bool) {
        self.tell(0);
        let TopicPartition { topic, partition } = self.input;
        let (records, took) = (self.records, self.began.elapsed());
        RestoreEnded { stage: self.stage, topic, partition: *partition, records, took, complete }.emit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_day_makes_a_copy_stale() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).expect("a time");
        let mark = Mark { set_ms: at(100).as_millisecond(), ..Mark::default() };
        assert!(!is_stale(mark, at(112)));
        assert!(is_stale(mark, at(113)));
        assert!(!is_stale(mark, at(50)), "a clock that was set back");
    }
}
