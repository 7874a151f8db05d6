//! The state against a plain map that takes the same records in order and knows nothing of epochs, disks and restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use tempfile::TempDir;

use super::partition::{Side, full_key};
use super::*;

const PLAIN: Kind = Kind::new(1, "plain");
const SHORT: Kind = Kind::new(2, "short").expires_after(10);
const LONG: Kind = Kind::new(3, "long").expires_after(640);
const TIMER: Kind = Kind::new(4, "timer").fires();
const KINDS: [Kind; 4] = [PLAIN, SHORT, LONG, TIMER];
const GRACE_MS: i64 = 5;
const DUE_MAX: usize = 2;

/// What a record does: the same when it is observed and when it is concluded.
#[derive(Clone, Debug)]
struct Record {
    event_ms: i64,
    steps: Vec<Step>,
    /// `conclude` refuses it in the end.
    rejected: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Get(Kind, u8),
    /// Takes and puts back.
    Take(Kind, u8),
    Put(Kind, u8, u8),
    PutUntil(u8, u8, i64),
    Delete(Kind, u8),
    Fire,
}

/// All that a record could see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Arrival(Arrival),
    Value(Option<Bytes>),
    Due(Option<(u8, Bytes, i64)>),
}

fn play(tables: &mut impl Tables, record: &Record) -> Vec<Seen> {
    let mut seen = vec![Seen::Arrival(tables.advance(record.event_ms))];
    for step in &record.steps {
        match step {
            Step::Get(kind, key) => seen.push(Seen::Value(tables.get(*kind, &[*key]).map(bytes))),
            Step::Take(kind, key) => {
                let taken = tables.take(*kind, &[*key]).map(bytes);
                if let Some(taken) = &taken {
                    tables.put(*kind, &[*key], Arc::new(taken.to_vec()));
                }
                seen.push(Seen::Value(taken));
            }
            Step::Put(kind, key, value) => tables.put(*kind, &[*key], Arc::new(vec![*value; 20])),
            Step::PutUntil(key, value, after) => {
                tables.put_until(TIMER, &[*key], Arc::new(vec![*value; 20]), record.event_ms + after);
            }
            Step::Delete(kind, key) => tables.delete(*kind, &[*key]),
            Step::Fire => {
                seen.push(Seen::Due(tables.next_due().map(|due| (due.kind, due.key, due.due_ms))));
            }
        }
    }
    seen
}

fn made(text: &str) -> Arc<dyn Made> {
    Arc::new(text.to_owned())
}

fn bytes(held: Held) -> Bytes {
    match held {
        Held::Made(made) => made.written().into(),
        Held::Written(value) => value.bytes,
    }
}

/// The plain map, one for each side.
#[derive(Clone, Debug)]
struct Model {
    side: Side,
    highest: i64,
    entries: BTreeMap<Bytes, Stored>,
    fired: usize,
}

impl Model {
    fn new(side: Side) -> Model {
        Model { side, highest: i64::MIN, entries: BTreeMap::new(), fired: 0 }
    }

    fn play(&mut self, record: &Record) -> Vec<Seen> {
        self.fired = 0;
        play(self, record)
    }

    fn due(&self, fires: bool) -> Option<(i64, Bytes)> {
        let due = self.entries.iter().filter(|(key, _)| (key[0] & 0x7f == TIMER.id()) == fires);
        let due = due.filter_map(|(key, stored)| Some((stored.due_ms()?, key.clone())));
        due.min().filter(|(due_ms, _)| *due_ms <= self.stream_time())
    }
}

impl ReadTables for Model {
    fn stream_time(&self) -> i64 {
        self.highest.saturating_sub(GRACE_MS)
    }

    fn get(&mut self, kind: Kind, key: &[u8]) -> Option<Held> {
        let stored = self.entries.get(&full_key(self.side, kind.id(), key))?;
        let gone = kind != TIMER && stored.due_ms().is_some_and(|due_ms| due_ms <= self.stream_time());
        (!gone).then(|| Held::Written(Value { version: stored.version(), bytes: stored.payload() }))
    }

    fn fail(&mut self, why: String) {
        panic!("{why}");
    }
}

impl Tables for Model {
    fn advance(&mut self, event_ms: i64) -> Arrival {
        self.highest = self.highest.max(event_ms);
        for _ in 0..DUE_MAX {
            if let Some((_, key)) = self.due(false) {
                self.entries.remove(&key);
            }
        }
        match self.stream_time() - event_ms {
            by_ms @ 1.. => Arrival::Late { by_ms },
            _ => Arrival::OnTime,
        }
    }

    fn next_due(&mut self) -> Option<Due> {
        if self.fired == DUE_MAX {
            return None;
        }
        let (due_ms, key) = self.due(true)?;
        self.fired += 1;
        let stored = self.entries.remove(&key)?;
        let value = Held::Written(Value { version: stored.version(), bytes: stored.payload() });
        Some(Due { kind: TIMER.id(), key: key.slice(1..), value, due_ms })
    }

    fn put(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>) {
        let stored = Stored::new(1, kind.expiry(self.stream_time()), &value.written());
        self.entries.insert(full_key(self.side, kind.id(), key), stored);
    }

    fn put_until(&mut self, kind: Kind, key: &[u8], value: Arc<dyn Made>, due_ms: i64) {
        self.entries.insert(full_key(self.side, kind.id(), key), Stored::new(1, Some(due_ms), &value.written()));
    }

    fn delete(&mut self, kind: Kind, key: &[u8]) {
        self.entries.remove(&full_key(self.side, kind.id(), key));
    }
}

/// What the plain maps hold after each record, and what each record saw.
struct Expected {
    seen: Vec<[Vec<Seen>; 2]>,
    entries: Vec<BTreeMap<Bytes, Stored>>,
}

fn expected(records: &[Record]) -> Expected {
    let (mut observe, mut conclude) = (Model::new(Side::Observe), Model::new(Side::Conclude));
    let mut expected = Expected { seen: Vec::new(), entries: vec![BTreeMap::new()] };
    for record in records {
        let seen = observe.play(record);
        let before = conclude.clone();
        conclude.highest = observe.highest;
        expected.seen.push([seen, conclude.play(record)]);
        if record.rejected {
            conclude.entries = before.entries;
        }
        let mut entries = observe.entries.clone();
        entries.extend(conclude.entries.clone());
        entries.insert(Bytes::from_static(&[0]), Stored::new(1, None, &observe.highest.to_be_bytes()));
        expected.entries.push(entries);
    }
    expected
}

/// What the runtime may do next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Observe,
    Conclude,
    Cut(usize),
    Commit,
    Abort,
    /// The partition goes and comes back, or with `process` all that is in memory; the local copy is there, or is not.
    Restart {
        process: bool,
        copy: bool,
    },
    Checkpoint,
    ContinueCheckpoint,
}

/// A partition's life: the state, its changelog, and how far the records have come.
struct Life {
    folder: TempDir,
    local: Option<Local>,
    state: Option<State>,
    changelog: Vec<Change>,
    in_epoch: Vec<Change>,
    committed: usize,
    cut: Option<usize>,
    concluded: usize,
    observed: usize,
    budget: usize,
}

impl Life {
    fn new(budget: usize) -> Life {
        let mut life = Life {
            folder: folder(),
            local: None,
            state: None,
            changelog: Vec::new(),
            in_epoch: Vec::new(),
            committed: 0,
            cut: None,
            concluded: 0,
            observed: 0,
            budget,
        };
        life.restart(true, true);
        life
    }

    fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("a state")
    }

    fn act(&mut self, act: Act, records: &[Record], expected: &Expected) {
        match act {
            Act::Observe if self.observed < records.len() => {
                let n = self.observed;
                let seen = self.state().observe(n as u64, |view| play(view, &records[n]));
                assert_eq!(seen, expected.seen[n][0], "record {n}, observed");
                self.observed += 1;
            }
            Act::Conclude if self.concluded < self.observed => {
                let n = self.concluded;
                let mut seen = Vec::new();
                let _ = self.state().conclude(n as u64, |view| {
                    seen = play(view, &records[n]);
                    if records[n].rejected { Err(()) } else { Ok(()) }
                });
                assert_eq!(seen, expected.seen[n][1], "record {n}, concluded");
                self.concluded += 1;
            }
            Act::Cut(most) if self.cut.is_none() && self.cut_end(most) > self.committed => {
                let end = self.cut_end(most);
                self.in_epoch = self.state().cut(end as u64 - 1);
                self.cut = Some(end);
            }
            Act::Commit => {
                if let Some(end) = self.cut.take() {
                    self.changelog.append(&mut self.in_epoch);
                    self.committed = end;
                    let offset = self.changelog.len() as i64;
                    self.state().committed();
                    self.state().set_position(Mark { offset, ..Mark::default() });
                }
            }
            Act::Abort => {
                self.state().abort();
                self.rewind();
            }
            Act::Restart { process, copy } => {
                self.restart(process, copy);
                self.rewind();
            }
            Act::Checkpoint => {
                self.state().begin_checkpoint();
            }
            Act::ContinueCheckpoint => {
                self.state().continue_checkpoint();
            }
            _ => {}
        }
        assert_eq!(self.state().fault(), None);
    }

    fn cut_end(&self, most: usize) -> usize {
        self.concluded.min(self.committed + most)
    }

    fn rewind(&mut self) {
        self.cut = None;
        (self.concluded, self.observed) = (self.committed, self.committed);
    }

    fn restart(&mut self, process: bool, keep: bool) {
        self.state = None;
        if process {
            self.local = None;
        }
        let local = self.local.take().unwrap_or_else(|| {
            let (local, discarded) = Local::open(self.folder.path(), 1 << 20).expect("a directory");
            assert_eq!(discarded, None);
            local
        });
        let copy = local.copy("t-0").expect("a copy");
        if !keep {
            copy.clear().expect("a sound disk");
        }
        let mark = copy.mark().expect("a sound disk");
        if mark.is_none() {
            copy.clear().expect("a sound disk");
        }
        let from = mark.map_or(0, |mark| mark.offset as usize);
        let mut state = State::new(Kinds::new(&KINDS), GRACE_MS, copy, self.budget).expect("a state").tight(DUE_MAX, 3);
        for (key, value) in &self.changelog[from..] {
            state.restore(key.clone(), value.as_ref().map(|v| v.bytes().clone())).expect("a sound changelog");
        }
        state.restored().expect("a sound copy");
        (self.state, self.local) = (Some(state), Some(local));
    }
}

/// In memory where the system has such a folder: the store waits for the disk each time that it is opened.
pub(super) fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder")
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[PLAIN, SHORT, LONG][..])
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u8..6;
    prop_oneof![
        2 => (kind(), key.clone()).prop_map(|(kind, key)| Step::Get(kind, key)),
        1 => key.clone().prop_map(|key| Step::Get(TIMER, key)),
        2 => (kind(), key.clone()).prop_map(|(kind, key)| Step::Take(kind, key)),
        4 => (kind(), key.clone(), any::<u8>()).prop_map(|(kind, key, value)| Step::Put(kind, key, value)),
        2 => (key.clone(), any::<u8>(), -5i64..60).prop_map(|(key, value, after)| Step::PutUntil(key, value, after)),
        1 => (prop::sample::select(&KINDS[..]), key).prop_map(|(kind, key)| Step::Delete(kind, key)),
        2 => Just(Step::Fire),
    ]
}

/// Mostly on time, sometimes late, sometimes after a long silence.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let ahead = prop_oneof![6 => 0i64..4, 2 => -20i64..0, 1 => 20i64..40, 1 => 600i64..700];
    let record = (ahead, prop::collection::vec(step(), 0..6), prop::bool::weighted(0.1));
    prop::collection::vec(record, 1..60).prop_map(|records| {
        let mut now = 0;
        let record = |(ahead, steps, rejected): (i64, Vec<Step>, bool)| {
            let event_ms = now + ahead;
            now = now.max(event_ms);
            Record { event_ms, steps, rejected }
        };
        records.into_iter().map(record).collect()
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => Just(Act::Observe),
        12 => Just(Act::Conclude),
        4 => (1usize..9).prop_map(Act::Cut),
        4 => Just(Act::Commit),
        1 => Just(Act::Abort),
        1 => (prop::bool::weighted(0.03), any::<bool>()).prop_map(|(process, copy)| Act::Restart { process, copy }),
        2 => Just(Act::Checkpoint),
        3 => Just(Act::ContinueCheckpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// state-is-changelog, deterministic: however records are observed ahead, cut, committed, aborted, restarted with
    /// and without the local copy, and however little fits in memory, each record sees what it would see in a plain map
    /// that takes the records in order; what is committed is that map; and the changelog alone gives it back.
    #[test]
    fn any_life_gives_the_state_of_a_plain_map(
        records in records(),
        acts in prop::collection::vec(act(), 0..300),
        budget in prop_oneof![Just(0usize), Just(1_500usize), Just(1usize << 20)],
    ) {
        let expected = expected(&records);
        let mut life = Life::new(budget);
        for act in acts {
            life.act(act, &records, &expected);
            let entries = life.state().entries().expect("a sound disk");
            prop_assert_eq!(&entries, &expected.entries[life.committed], "{:?}", act);
        }
        while life.committed < records.len() {
            for act in [Act::Commit, Act::Observe, Act::Conclude, Act::Cut(usize::MAX >> 1), Act::Commit] {
                life.act(act, &records, &expected);
            }
        }
        let last = expected.entries.last().expect("one at least");
        prop_assert_eq!(&life.state().entries().expect("a sound disk"), last);
        life.restart(false, true);
        prop_assert_eq!(&life.state().entries().expect("a sound disk"), last, "with the local copy");
        life.restart(false, false);
        prop_assert_eq!(&life.state().entries().expect("a sound disk"), last, "from the changelog alone");
    }
}

#[test]
fn an_older_version_is_read_and_a_newer_one_is_refused_by_both_names() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Count {
        #[prost(uint64, tag = "1")]
        n: u64,
    }
    let old: Table<str, Count> = Table::new(Kind::new(1, "counts"));
    let new: Table<str, Count> = Table::new(Kind::new(1, "counts").version(2))
        .upgrading(|_, bytes| Ok(Count { n: Count::decode(bytes)?.n * 10 }));
    let mut before = State::in_memory(&[old.kind()], 0);
    before.observe(|tables| old.put(tables, "a", Count { n: 3 }));

    let mut after = State::in_memory(&[new.kind()], 0);
    for (key, value) in before.entries() {
        after.state.restore(key, Some(value.bytes().clone())).expect("an older version");
    }
    assert_eq!(after.observe(|tables| new.get(tables, "a")), Some(Count { n: 30 }));
    after.observe(|tables| new.put(tables, "a", Count { n: 4 }));
    assert_eq!(after.observe(|tables| new.get(tables, "a")), Some(Count { n: 4 }));

    let mut back = State::in_memory(&[old.kind()], 0);
    let mut refused =
        after.entries().into_iter().map(|(key, value)| back.state.restore(key, Some(value.bytes().clone())));
    let why = refused.find_map(Result::err).map(|error| error.to_string());
    assert_eq!(why.as_deref(), Some("state kind counts is of version 2, and this program knows 1 at most"));

    let unknown = back.state.restore(Bytes::from_static(b"\x07k"), Some(Bytes::from_static(b"\x01\x00")));
    let why = unknown.err().map(|error| error.to_string());
    assert_eq!(why.as_deref(), Some("the state holds entries of kind 7, which this program does not know"));
}

#[test]
fn what_a_stage_does_wrong_is_said() {
    let check = |wrong: fn(&mut View<'_>), expected: &str| {
        let mut state = State::in_memory(&KINDS, 0);
        state.observe(wrong);
        assert_eq!(state.fault().map(ToString::to_string).as_deref(), Some(expected));
    };
    check(|view| view.put(TIMER, b"k", Arc::new(())), "state kind timer fires and is put without a due time");
    check(
        |view| view.put_until(PLAIN, b"k", Arc::new(()), 1),
        "state kind plain does not fire and is put with a due time",
    );
    let undeclared = "state kind other (id 9) is not among those that the stage declares";
    check(|view| view.put(Kind::new(9, "other"), b"k", Arc::new(())), undeclared);
}

/// The partition comes back after another instance has written to its changelog.
#[test]
fn a_state_that_was_kept_shows_what_was_written_meanwhile() {
    let mut kept = State::in_memory(&[PLAIN], 0).state;
    kept.observe(0, |view| view.put(PLAIN, b"k", made("before")));
    kept.cut(0);
    kept.committed();
    kept.restore(full_key(Side::Observe, PLAIN.id(), b"k"), Some(Stored::new(1, None, b"meanwhile").bytes().clone()))
        .expect("a sound changelog");
    kept.restored().expect("a sound state");
    assert_eq!(kept.observe(1, |view| view.get(PLAIN, b"k").map(bytes)), Some(Bytes::from_static(b"meanwhile")));
}

/// What `observe` and `conclude` write under one kind and key are two entries.
#[test]
fn the_two_sides_do_not_see_each_other() {
    let mut state = State::in_memory(&[PLAIN], 0);
    state.observe(|view| view.put(PLAIN, b"k", made("observed")));
    let seen = state.conclude(|view| {
        let seen = view.get(PLAIN, b"k");
        view.put(PLAIN, b"k", made("concluded"));
        seen
    });
    assert!(seen.is_none());
    let seen = state.observe(|view| view.get(PLAIN, b"k").map(bytes));
    assert_eq!(seen, Some(made("observed").written().into()));
}
