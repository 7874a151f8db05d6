//! The records of one partition between poll and commit.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::event::{Answer, Ask, RawRecord, Rejection, TopicPartition};
use crate::sink::{DeadLetters, Entry};
use crate::stages::Stage;
use crate::state::{Change, Mark, State, StateError, View};

/// Changes of the state that may wait for their commit, in bytes: nothing more is observed until some are committed.
const OVERLAY_BYTES_MAX: usize = 32 << 20;

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
    memory: Memory,
}

/// What a partition remembers.
#[derive(Default)]
pub enum Memory {
    /// Nothing: the stage keeps no state.
    #[default]
    Stateless,
    /// It is being read back from its changelog; records wait.
    Restoring,
    Here(Box<State>),
}

/// What was taken for an epoch.
#[derive(Debug, PartialEq)]
pub struct Cut {
    /// The offset behind it.
    pub next: i64,
    pub freed: Freed,
    /// What it has changed in the state.
    pub changes: Vec<Change>,
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
    pub fn new(name: TopicPartition, memory: Memory) -> Self {
        Self {
            name,
            slots: VecDeque::new(),
            first: 0,
            observed: 0,
            done: 0,
            next_offset: 0,
            first_offset: None,
            committed: None,
            memory,
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
            if !self.memory.is_open() {
                return;
            }
            let sequence = self.first + self.observed as u64;
            let Progress::Waiting(record, prepared) = std::mem::replace(&mut slot.stage, Progress::Moving) else {
                return;
            };
            let (event, asks) = match prepared {
                Ok(prepared) => {
                    let (event, asks) = self.memory.observe(sequence, |view| stage.observe(view, prepared));
                    (Outcome::Event(event), asks)
                }
                Err(rejection) => (Outcome::Rejected(rejection), Vec::new()),
            };
            let missing = asks.len();
            slot.stage = Progress::Asking { record, event, answers: vec![None; missing], missing };
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
    pub fn conclude(&mut self, stage: &S, letters: &DeadLetters, now: Timestamp) -> usize {
        let before = self.done;
        while let Some(slot) = self.slots.get_mut(self.done) {
            let Progress::Asking { missing: 0, .. } = slot.stage else { break };
            let Progress::Asking { record, event, answers, .. } = std::mem::replace(&mut slot.stage, Progress::Moving)
            else {
                break;
            };
            let answers: Vec<Answer> = answers.into_iter().flatten().collect();
            let sequence = self.first + self.done as u64;
            let concluded = match event {
                Outcome::Event(event) => {
                    self.memory.conclude(sequence, |view| stage.conclude(view, &record, event, &answers, now))
                }
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

    /// Takes up to `most` concluded records, in order.
    pub fn cut(&mut self, most: usize, entries: &mut Vec<Entry>) -> Option<Cut> {
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
        let next = next?;
        let changes = match &mut self.memory {
            Memory::Here(state) => state.cut(self.first - 1),
            Memory::Stateless | Memory::Restoring => Vec::new(),
        };
        Some(Cut { next, freed, changes })
    }

    /// What was cut last is committed. `position`: the last record of it in the changelog, where there is one.
    pub fn set_committed(&mut self, next: i64, position: Option<Mark>) {
        self.committed = Some(next);
        if let Memory::Here(state) = &mut self.memory {
            state.committed();
            if let Some(position) = position {
                state.set_position(position);
            }
        }
    }

    /// The state has been read back: records that wait for it can be observed.
    pub fn set_restored(&mut self, state: Box<State>) {
        if matches!(self.memory, Memory::Restoring) {
            self.memory = Memory::Here(state);
        }
    }

    pub fn state(&mut self) -> Option<&mut State> {
        match &mut self.memory {
            Memory::Here(state) => Some(state),
            Memory::Stateless | Memory::Restoring => None,
        }
    }

    /// Its name, and what it remembers; `None` while that is being read back, and where it remembers nothing.
    pub fn remembered(&mut self) -> (&TopicPartition, Option<&mut State>) {
        let state = match &mut self.memory {
            Memory::Here(state) => Some(&mut **state),
            Memory::Stateless | Memory::Restoring => None,
        };
        (&self.name, state)
    }

    /// What makes the state unusable, if anything does: nothing of this partition may be cut then.
    pub fn fault(&self) -> Option<&StateError> {
        match &self.memory {
            Memory::Here(state) => state.fault(),
            Memory::Stateless | Memory::Restoring => None,
        }
    }

    pub fn into_memory(self) -> Memory {
        self.memory
    }

    /// The offset behind what was committed; before the first commit, the first offset read.
    pub fn committed(&self) -> Option<i64> {
        self.committed.or(self.first_offset)
    }

    /// What dropping this partition gives back. A record that is being prepared still takes its room; it gives it back
    /// when it returns and finds no home.
    pub fn held(&self) -> Freed {
        let here = self.slots.iter().filter(|slot| !matches!(slot.stage, Progress::Preparing));
        here.fold(Freed::default(), |mut freed, slot| {
            freed.add(slot.bytes);
            freed
        })
    }

    /// True where nothing is under way. Records that wait for the state to be read back are not.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() || matches!(self.memory, Memory::Restoring)
    }

    fn slot(&mut self, sequence: u64) -> Option<&mut Slot<S>> {
        let index = sequence.checked_sub(self.first)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }
}

impl Memory {
    /// Whether another record may be observed.
    fn is_open(&self) -> bool {
        match self {
            Memory::Stateless => true,
            Memory::Restoring => false,
            Memory::Here(state) => state.fault().is_none() && state.overlay_bytes() < OVERLAY_BYTES_MAX,
        }
    }

    fn observe<R>(&mut self, sequence: u64, observe: impl FnOnce(&mut View<'_>) -> R) -> R {
        match self {
            Memory::Here(state) => state.observe(sequence, observe),
            Memory::Stateless | Memory::Restoring => observe(&mut View::stateless()),
        }
    }

    fn conclude<R, E>(&mut self, sequence: u64, conclude: impl FnOnce(&mut View<'_>) -> Result<R, E>) -> Result<R, E> {
        match self {
            Memory::Here(state) => state.conclude(sequence, conclude),
            Memory::Stateless | Memory::Restoring => conclude(&mut View::stateless()),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::config::DeadLetterPayload;
    use crate::event::{Encoding, ModelId, Origin, Output, Prediction, Priority, Question, Reason};
    use crate::stages::Prepare;
    use crate::state::{Kind, Kinds, Table};

    /// Asks as often as the payload's first byte says, and remembers how many records it has seen.
    struct Counting;

    const COUNTS: Table<str, u64> = Table::new(Kind::new(1, "counts"));

    impl Stage for Counting {
        type Prepared = u8;
        type Event = u64;
        const NAME: &'static str = "counting";

        fn prepare(&self, _: &RawRecord, _: Timestamp) -> Result<Prepare<u8>, Rejection> {
            Ok(Prepare::Ready(0))
        }

        fn kinds(&self) -> Vec<Kind> {
            vec![COUNTS.kind()]
        }

        fn observe(&self, state: &mut View<'_>, asks: u8) -> (u64, Vec<Ask>) {
            let seen = COUNTS.get(state, "seen").unwrap_or(0) + 1;
            COUNTS.put(state, "seen", seen);
            let ask = Ask {
                model: ModelId(0),
                priority: Priority::Normal,
                question: Question::Text {
                    encoding: Arc::new(Encoding { ids: Box::new([1]), truncated: false }),
                    key: 0,
                },
            };
            (seen, vec![ask; usize::from(asks)])
        }

        fn conclude(
            &self,
            _: &mut View<'_>,
            _: &RawRecord,
            seen: u64,
            answers: &[Answer],
            _: Timestamp,
        ) -> Result<Vec<Output>, Rejection> {
            let payload = Bytes::from(format!("{seen} {}", answers.len()));
            Ok(vec![Output {
                topic: "out".into(),
                partition: None,
                key: None,
                payload: Some(payload),
                headers: vec![],
            }])
        }
    }

    fn record(offset: i64) -> RawRecord {
        let origin = Origin { topic: "in".into(), partition: 0, offset };
        RawRecord { origin, key: None, headers: vec![], timestamp_ms: None, payload: None }
    }

    fn partition() -> Partition<Counting> {
        let state = State::unbounded(Kinds::new(&Counting.kinds()), 0);
        Partition::new(TopicPartition { topic: "in".into(), partition: 0 }, Memory::Here(Box::new(state)))
    }

    fn letters() -> DeadLetters {
        DeadLetters::new("dead", "counting", DeadLetterPayload::Raw)
    }

    fn answer() -> Answer {
        Ok(Arc::new(Prediction { heads: Box::new([]) }))
    }

    #[test]
    fn an_offset_below_what_was_read_is_a_repetition() {
        let mut partition = partition();
        assert_eq!(partition.reserve(5, 1), Some(0));
        assert_eq!(partition.reserve(5, 1), None);
        assert_eq!(partition.reserve(4, 1), None);
        assert_eq!(partition.reserve(9, 1), Some(1), "gaps are transaction markers or compaction");
    }

    #[test]
    fn a_second_answer_to_the_same_ask_is_ignored() {
        let mut partition = partition();
        let sequence = partition.reserve(0, 1).expect("a place");
        partition.prepared(sequence, record(0), Ok(2));
        partition.observe(&Counting, |_| {});
        let ticket = Ticket { tenure: Tenure(0), sequence, ask: 0 };
        partition.answer(ticket, answer());
        partition.answer(ticket, answer());
        assert_eq!(partition.conclude(&Counting, &letters(), Timestamp::UNIX_EPOCH), 0, "the other ask is open");
    }

    proptest! {
        /// Whatever the order in which records are prepared and answered, and however epochs are cut: every record comes
        /// out once, in offset order, observed in that order, and its bytes are given back.
        #[test]
        fn records_leave_in_order_and_once(
            asks in prop::collection::vec(prop::option::weighted(0.9, 0u8..3), 1..40),
            order in any::<u64>(),
            most in 1usize..8,
        ) {
            let mut rng = fastrand::Rng::with_seed(order);
            let (mut partition, letters) = (partition(), letters());
            let mut to_prepare: Vec<u64> =
                (0..asks.len()).map(|n| partition.reserve(n as i64 * 2, n).expect("offsets rise")).collect();
            rng.shuffle(&mut to_prepare);
            let (mut open, mut entries, mut freed) = (Vec::new(), Vec::new(), Freed::default());
            while entries.len() < asks.len() {
                if let Some(sequence) = to_prepare.pop() {
                    let prepared = asks[sequence as usize].ok_or(Rejection::new(Reason::Malformed, "bad"));
                    partition.prepared(sequence, record(sequence as i64 * 2), prepared);
                }
                partition.observe(&Counting, |asked| {
                    for ask in 0..asked.asks.len() as u8 {
                        open.push(Ticket { tenure: Tenure(0), sequence: asked.sequence, ask });
                    }
                });
                if !open.is_empty() {
                    partition.answer(open.swap_remove(rng.usize(..open.len())), answer());
                }
                partition.conclude(&Counting, &letters, Timestamp::UNIX_EPOCH);
                if let Some(cut) = partition.cut(most, &mut entries) {
                    prop_assert_eq!(cut.next, entries[entries.len() - 1].record.origin.offset + 1);
                    freed += cut.freed;
                    partition.set_committed(cut.next, None);
                }
            }
            prop_assert!(partition.is_empty());
            prop_assert_eq!(freed, Freed { records: asks.len(), bytes: (0..asks.len()).sum() });
            let mut seen = 0;
            for (n, (entry, asks)) in entries.iter().zip(&asks).enumerate() {
                prop_assert_eq!(entry.record.origin.offset, n as i64 * 2);
                let Some(asks) = asks else {
                    prop_assert_eq!(entry.rejected, Some(Reason::Malformed));
                    continue;
                };
                seen += 1;
                prop_assert_eq!(entry.outputs[0].payload.clone(), Some(Bytes::from(format!("{seen} {asks}"))));
            }
        }
    }
}
