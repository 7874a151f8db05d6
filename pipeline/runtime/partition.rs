//! The records of one partition between poll and commit.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::event::{Answer, Ask, RawRecord, Rejection, TopicPartition};
use crate::sink::{DeadLetters, Entry};
use crate::stages::Stage;

/// An assignment of a partition. A partition that is given up and comes back, or is rewound, gets a new one: whatever
/// is still under way for the old one finds no home and is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure(pub u32);

/// Where an answer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub tenure: Tenure,
    pub sequence: u64,
    /// Position among the record's asks.
    pub ask: u8,
}

/// What `prepare` came to.
pub type Prepared<S> = Result<<S as Stage>::Prepared, Rejection>;

/// Records in offset order, each as far as it has come. Three marks move from left to right: records before `done` are
/// concluded, records before `observed` have been observed, records behind it are being prepared or wait for their turn.
pub struct Partition<S: Stage> {
    pub name: TopicPartition,
    slots: VecDeque<Slot<S>>,
    /// Sequence number of the first slot.
    first: u64,
    observed: usize,
    done: usize,
    /// The next offset that may arrive; anything below is a repetition.
    next_offset: i64,
    first_offset: Option<i64>,
    /// The offset behind what this tenure has committed.
    committed: Option<i64>,
    state: S::State,
}

struct Slot<S: Stage> {
    bytes: usize,
    stage: Progress<S>,
}

enum Progress<S: Stage> {
    Preparing,
    Waiting(RawRecord, Prepared<S>),
    Asking {
        record: RawRecord,
        event: Outcome<S>,
        answers: Vec<Option<Answer>>,
        missing: usize,
    },
    Done(Entry),
    /// While a slot is taken apart to become the next.
    Moving,
}

/// What is to be concluded: an event, or the reason why there is none.
enum Outcome<S: Stage> {
    Event(S::Event),
    Rejected(Rejection),
}

/// What `observe` asked for one record.
pub struct Asked {
    pub sequence: u64,
    pub asks: Vec<Ask>,
}

/// Records thrown away, for the room they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    pub records: usize,
    pub bytes: usize,
}

impl<S: Stage> Partition<S> {
    pub fn new(name: TopicPartition) -> Self {
        Self {
            name,
            slots: VecDeque::new(),
            first: 0,
            observed: 0,
            done: 0,
            next_offset: 0,
            first_offset: None,
            committed: None,
            state: S::State::default(),
        }
    }

    /// Takes a place for a record in offset order. `None`: the offset was seen before in this tenure.
    pub fn reserve(&mut self, offset: i64, bytes: usize) -> Option<u64> {
        if offset < self.next_offset {
            return None;
        }
        self.next_offset = offset + 1;
        self.first_offset.get_or_insert(offset);
        self.slots.push_back(Slot { bytes, stage: Progress::Preparing });
        Some(self.first + self.slots.len() as u64 - 1)
    }

    pub fn prepared(&mut self, sequence: u64, record: RawRecord, prepared: Prepared<S>) {
        if let Some(slot) = self.slot(sequence) {
            slot.stage = Progress::Waiting(record, prepared);
        }
    }

    /// Observes, in order, all records whose turn has come.
    pub fn observe(&mut self, stage: &S, mut asked: impl FnMut(Asked)) {
        while let Some(slot) = self.slots.get_mut(self.observed) {
            let Progress::Waiting(..) = slot.stage else { return };
            let Progress::Waiting(record, prepared) = std::mem::replace(&mut slot.stage, Progress::Moving) else {
                return;
            };
            let (event, asks) = match prepared {
                Ok(prepared) => {
                    let (event, asks) = stage.observe(&mut self.state, prepared);
                    (Outcome::Event(event), asks)
                }
                Err(rejection) => (Outcome::Rejected(rejection), Vec::new()),
            };
            let missing = asks.len();
            slot.stage = Progress::Asking { record, event, answers: vec![None; missing], missing };
            let sequence = self.first + self.observed as u64;
            self.observed += 1;
            if missing > 0 {
                asked(Asked { sequence, asks });
            }
        }
    }

    /// Files an answer; a second answer to the same ask is ignored.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        let Some(Slot { stage: Progress::Asking { answers, missing, .. }, .. }) = self.slot(ticket.sequence) else {
            return;
        };
        if let Some(place) = answers.get_mut(usize::from(ticket.ask)).filter(|place| place.is_none()) {
            *place = Some(answer);
            *missing -= 1;
        }
    }

    /// Concludes, in order, all records whose answers are complete. Returns how many.
    pub fn conclude(&mut self, stage: &S, letters: &DeadLetters, now: impl Fn() -> Timestamp) -> usize {
        let before = self.done;
        while let Some(slot) = self.slots.get_mut(self.done) {
            let Progress::Asking { missing: 0, .. } = slot.stage else { break };
            let Progress::Asking { record, event, answers, .. } = std::mem::replace(&mut slot.stage, Progress::Moving)
            else {
                break;
            };
            let answers: Vec<Answer> = answers.into_iter().flatten().collect();
            let concluded = match event {
                Outcome::Event(event) => stage.conclude(&record, event, &answers, now()),
                Outcome::Rejected(rejection) => Err(rejection),
            };
            slot.stage = Progress::Done(entry(record, concluded, letters));
            self.done += 1;
        }
        self.done - before
    }

    /// Records concluded and not yet cut.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Takes up to `most` concluded records, in order, and the offset behind them.
    pub fn cut(&mut self, most: usize, entries: &mut Vec<Entry>) -> Option<(i64, Freed)> {
        let count = self.done.min(most);
        let mut next = None;
        let mut freed = Freed::default();
        for slot in self.slots.drain(..count) {
            freed.add(slot.bytes);
            if let Progress::Done(entry) = slot.stage {
                next = Some(entry.record.origin.offset + 1);
                entries.push(entry);
            }
        }
        self.first += count as u64;
        self.observed -= count;
        self.done -= count;
        next.map(|next| (next, freed))
    }

    pub fn set_committed(&mut self, next: i64) {
        self.committed = Some(next);
    }

    /// The offset behind what was committed; before the first commit, the first offset read.
    pub fn committed(&self) -> Option<i64> {
        self.committed.or(self.first_offset)
    }

    /// What dropping this partition gives back.
    pub fn held(&self) -> Freed {
        self.slots.iter().fold(Freed::default(), |mut freed, slot| {
            freed.add(slot.bytes);
            freed
        })
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn slot(&mut self, sequence: u64) -> Option<&mut Slot<S>> {
        let index = sequence.checked_sub(self.first)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }
}

impl Freed {
    pub fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }
}

impl std::ops::AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

fn entry(record: RawRecord, concluded: Result<Vec<crate::event::Output>, Rejection>, letters: &DeadLetters) -> Entry {
    match concluded {
        Ok(outputs) => Entry { record, outputs, rejected: None },
        Err(rejection) => {
            let letter = letters.letter(&record, &rejection);
            Entry { record, outputs: vec![letter], rejected: Some(rejection.reason) }
        }
    }
}
