//! What a model learns from: whether a purchase followed later in the session, for every row that a file gave.
//!
//! A row is held back until nothing can change its label any more: its purchase came, or the partition's clock has passed
//! its session's last click by more than the gap. So what is held is what came within gap and grace of event time, however
//! long the file.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::session::Rules;
use super::{Click, SessionSoFar};
use crate::event::v1::Action;

/// Rows on their way to their labels, in the order of the file.
pub struct Labels<T> {
    gap_ms: i64,
    /// The first row that waits has this number.
    first: u64,
    waiting: VecDeque<Waiting<T>>,
    sessions: HashMap<u64, Open, RandomState>,
}

struct Waiting<T> {
    session: u64,
    followed: bool,
    row: T,
}

/// A session with rows that wait.
#[derive(Default)]
struct Open {
    last_ms: i64,
    /// Rows whose purchase has not come, with the time from which it counts.
    rows: Vec<(u64, i64)>,
}

impl<T> Labels<T> {
    pub fn new(rules: &Rules) -> Self {
        Self { gap_ms: rules.gap_ms, first: 0, waiting: VecDeque::new(), sessions: HashMap::default() }
    }

    /// Takes the row of a click. A purchase answers for the rows of its session that came before it and are not dated
    /// after it.
    pub fn push(&mut self, click: &Click, session: &SessionSoFar, row: T) {
        if let Some(merged) = session.merged {
            self.merge(merged, session.id);
        }
        if click.action == Action::Purchase {
            self.answer(session.id, click.at_ms);
        }
        let number = self.first + self.waiting.len() as u64;
        let open = self.sessions.entry(session.id).or_default();
        open.last_ms = session.last_ms;
        open.rows.push((number, session.last_ms));
        self.waiting.push_back(Waiting { session: session.id, followed: false, row });
    }

    /// The next row in the file's order whose label is sure, given the partition's clock; `i64::MAX` at the end.
    pub fn next(&mut self, clock_ms: i64) -> Option<(T, bool)> {
        let front = self.waiting.front()?;
        let open =
            self.sessions.get(&front.session).is_some_and(|open| open.last_ms.saturating_add(self.gap_ms) >= clock_ms);
        if !front.followed && open && clock_ms < i64::MAX {
            return None;
        }
        let Waiting { session, followed, row } = self.waiting.pop_front()?;
        self.first += 1;
        if !open {
            self.sessions.remove(&session);
        }
        Some((row, followed))
    }

    fn answer(&mut self, session: u64, at_ms: i64) {
        let (first, waiting) = (self.first, &mut self.waiting);
        let Some(open) = self.sessions.get_mut(&session) else { return };
        open.rows.retain(|(number, from_ms)| {
            let follows = at_ms >= *from_ms;
            let row = number.checked_sub(first).and_then(|place| waiting.get_mut(place as usize));
            if let Some(row) = row.filter(|_| follows) {
                row.followed = true;
            }
            !follows
        });
    }

    fn merge(&mut self, from: u64, into: u64) {
        let Some(mut taken) = self.sessions.remove(&from) else { return };
        self.waiting.iter_mut().filter(|row| row.session == from).for_each(|row| row.session = into);
        let open = self.sessions.entry(into).or_default();
        open.last_ms = open.last_ms.max(taken.last_ms);
        open.rows.append(&mut taken.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::click;
    use super::*;

    fn session(id: u64, last_ms: i64, merged: Option<u64>) -> SessionSoFar {
        SessionSoFar { id, last_ms, merged, ..SessionSoFar::default() }
    }

    #[test]
    fn a_purchase_answers_for_the_rows_before_it_in_its_session() {
        let mut labels = Labels::new(&Rules { gap_ms: 100, ..Rules::default() });
        labels.push(&click("u", 0, "view", "a"), &session(1, 0, None), "view");
        labels.push(&click("v", 5, "view", "a"), &session(2, 5, None), "other session");
        labels.push(&click("u", 10, "purchase", "a"), &session(1, 10, None), "purchase");
        assert_eq!(labels.next(0), Some(("view", true)), "its purchase came");
        assert_eq!(labels.next(105), None, "a purchase may still come");
        assert_eq!(labels.next(106), Some(("other session", false)));
        assert_eq!(labels.next(106), None);
        assert_eq!(labels.next(i64::MAX), Some(("purchase", false)), "it does not follow itself");
        assert_eq!(labels.next(i64::MAX), None);
    }

    #[test]
    fn a_late_purchase_answers_only_for_what_was_not_dated_after_it() {
        let mut labels = Labels::new(&Rules::default());
        labels.push(&click("u", 0, "view", "a"), &session(1, 0, None), 0);
        labels.push(&click("u", 20, "view", "a"), &session(1, 20, None), 20);
        labels.push(&click("u", 10, "purchase", "a"), &session(1, 20, None), 10);
        let rest: Vec<_> = std::iter::from_fn(|| labels.next(i64::MAX)).collect();
        assert_eq!(rest, [(0, true), (20, false), (10, false)]);
    }

    #[test]
    fn rows_of_a_session_that_was_taken_in_go_with_it() {
        let mut labels = Labels::new(&Rules { gap_ms: 100, ..Rules::default() });
        labels.push(&click("u", 0, "view", "a"), &session(1, 0, None), "first");
        labels.push(&click("u", 150, "view", "a"), &session(2, 150, None), "second");
        labels.push(&click("u", 75, "view", "a"), &session(1, 150, Some(2)), "between");
        assert_eq!(labels.next(200), None, "the session goes on to 150");
        labels.push(&click("u", 180, "purchase", "a"), &session(1, 180, None), "purchase");
        let rest: Vec<_> = std::iter::from_fn(|| labels.next(i64::MAX)).collect();
        assert_eq!(rest, [("first", true), ("second", true), ("between", true), ("purchase", false)]);
    }
}
