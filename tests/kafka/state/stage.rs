//! A small stage that remembers: it counts, it expires, its timers fire, and on both sides. And the same without Kafka,
//! for what must come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use groundswell::event::{Answer, Ask, Encoding, ModelId, Output, Priority, Question, RawRecord, Reason, Rejection};
use groundswell::stages::{Prepare, Stage};
use groundswell::state::{InMemory, Key, Kind, State, Stored, Table, Tables, View};
use jiff::Timestamp;

const TOTALS: Table<str, u64> = Table::new(Kind::new(1, "totals"));
const RECENT: Table<str, u64> = Table::new(Kind::new(2, "recent").expires_after(3_000));
const SESSIONS: Table<str, u64> = Table::new(Kind::new(3, "sessions").fires());
const SESSION_GAP_MS: i64 = 500;
const GRACE_MS: i64 = 100;
/// One record in so many asks a model, so that records behind it are observed before it is concluded.
const ASKS_ONE_IN: u64 = 5;

/// A record is a user's name as its key and a time in milliseconds as its payload.
pub struct Counting {
    pub output: Arc<str>,
}

/// What a record makes known of its user, and the sessions that it has closed.
pub struct Counted {
    user: String,
    total: u64,
    recent: u64,
    session: u64,
    closed: Vec<(String, u64)>,
}

impl Stage for Counting {
    type Prepared = (String, i64);
    type Event = Counted;

    const NAME: &'static str = "counting";

    fn kinds(&self) -> Vec<Kind> {
        vec![TOTALS.kind(), RECENT.kind(), SESSIONS.kind()]
    }

    fn grace_ms(&self) -> i64 {
        GRACE_MS
    }

    fn prepare(&self, record: &RawRecord, _: Timestamp) -> Result<Prepare<(String, i64)>, Rejection> {
        let read = |bytes: &Option<Bytes>| bytes.as_ref().and_then(|bytes| str::read(bytes));
        let user = read(&record.key).ok_or_else(|| Rejection::new(Reason::Missing, "no user"))?;
        let event_ms = read(&record.payload).and_then(|text| text.parse().ok());
        event_ms
            .map(|event_ms| Prepare::Ready((user, event_ms)))
            .ok_or_else(|| Rejection::new(Reason::Invalid, "no time"))
    }

    fn observe(&self, state: &mut View<'_>, (user, event_ms): (String, i64)) -> (Counted, Vec<Ask>) {
        let counted = count(state, user, event_ms);
        let ask = Ask {
            model: ModelId(0),
            priority: Priority::Normal,
            question: Question::Text {
                encoding: Arc::new(Encoding { ids: Box::new([2, 3]), truncated: false }),
                key: u128::from(counted.total),
            },
        };
        let asks = if counted.total.is_multiple_of(ASKS_ONE_IN) { vec![ask] } else { Vec::new() };
        (counted, asks)
    }

    fn conclude(
        &self,
        state: &mut View<'_>,
        record: &RawRecord,
        counted: Counted,
        _: &[Answer],
        _: Timestamp,
    ) -> Result<Vec<Output>, Rejection> {
        let payload = conclude(state, &counted);
        Ok(vec![Output {
            topic: self.output.clone(),
            partition: Some(record.origin.partition),
            key: record.key.clone(),
            payload: Some(payload.into()),
            headers: Vec::new(),
        }])
    }
}

fn count(state: &mut impl Tables, user: String, event_ms: i64) -> Counted {
    state.advance(event_ms);
    let mut closed = Vec::new();
    while let Some(due) = state.next_due() {
        closed.extend(SESSIONS.due(state, &due));
    }
    let mut add = |table: &Table<str, u64>| {
        let sum = table.get(state, &user).unwrap_or(0) + 1;
        match table.kind() == SESSIONS.kind() {
            true => table.put_until(state, &user, sum, event_ms + SESSION_GAP_MS),
            false => table.put(state, &user, sum),
        }
        sum
    };
    let (total, recent, session) = (add(&TOTALS), add(&RECENT), add(&SESSIONS));
    Counted { user, total, recent, session, closed }
}

/// Counts on its own side, under the same kind and key.
fn conclude(state: &mut impl Tables, counted: &Counted) -> String {
    let Counted { user, total, recent, session, closed } = counted;
    let concluded = TOTALS.get(state, user).unwrap_or(0) + 1;
    TOTALS.put(state, user, concluded);
    format!("{user} {total} {concluded} {recent} {session} {closed:?}")
}

/// What must come out of one partition, in its order, and what must be remembered in the end.
pub fn expected(records: impl Iterator<Item = (String, String)>) -> (Vec<String>, BTreeMap<Bytes, Stored>) {
    let stage = Counting { output: "".into() };
    let mut state: InMemory = State::in_memory(&stage.kinds(), GRACE_MS);
    let outputs = records.filter_map(|(user, event_ms)| {
        let event_ms = event_ms.parse().ok()?;
        let counted = state.observe(|view| count(view, user, event_ms));
        Some(state.conclude(|view| conclude(view, &counted)))
    });
    (outputs.collect(), state.entries())
}
