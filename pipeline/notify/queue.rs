//! What one receiver is still to be told, and when: the deciding half of delivery, without I/O and with the time handed
//! in.
//!
//! An alert waits once, as its newest revision: what it was meanwhile is never told. Alerts are told in the order in which
//! they came to wait. A receiver that cannot be reached is left alone for a while, longer each time; an alert that it
//! refuses is tried a few times among the others and then given up.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;

use crate::event::v1;

/// Alerts that wait; beyond them nothing is read until some are delivered.
pub const WAITING_MAX: usize = 1_000;
/// Alerts that the receiver was told of and that are not over. Beyond them the oldest is forgotten: its end is not told.
const STANDING_MAX: usize = 10_000;
/// Waits between tries double from here …
const BACK_OFF_MIN_MS: i64 = 500;
/// … up to here, a receiver's own wish (`Retry-After`) included.
const BACK_OFF_MAX_MS: i64 = 60_000;
/// An alert that the receiver refuses is given up after so many tries.
const REFUSALS_MAX: u32 = 5;

/// Where a record lies.
pub type Place = (i32, i64);

/// An alert that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub alert: v1::Alert,
    pub place: Place,
    /// When the first revision that was not told came to wait, in milliseconds since 1970: the record's own time.
    pub since_ms: i64,
    /// Tries that failed.
    pub tries: u32,
    refusals: u32,
    not_before_ms: i64,
    turn: u64,
}

/// What has become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Waits,
    /// In the place of an earlier revision.
    Supersedes,
    /// Nobody is to be told of it.
    Passed,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Deliver(Box<Waiting>),
    /// Milliseconds; `None`: until something comes.
    Wait(Option<i64>),
}

/// How a try has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The receiver takes nothing now, and asks to be left alone for so long.
    Unreachable { retry_after_ms: Option<i64> },
    /// It answers, and does not take this one.
    Refused,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It is tried again in so many milliseconds.
    Again(i64),
    GivenUp,
}

#[derive(Debug)]
pub struct Queue {
    waiting: BTreeMap<String, Waiting>,
    /// What the receiver was told last of alerts that are not over, and when.
    standing: BTreeMap<String, Standing>,
    forgotten: VecDeque<String>,
    /// By partition, what was read last.
    read_to: BTreeMap<i32, i64>,
    /// Tries in a row that did not reach the receiver.
    failures: u32,
    not_before_ms: i64,
    give_up_ms: i64,
    turns: u64,
    rng: Rng,
}

/// An alert as the receiver knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub alert: v1::Alert,
    pub told_ms: i64,
}

impl Queue {
    /// `give_up_ms`: an alert that has waited for longer is no news any more.
    pub fn new(give_up_ms: i64, seed: u64) -> Queue {
        Queue {
            waiting: BTreeMap::new(),
            standing: BTreeMap::new(),
            forgotten: VecDeque::new(),
            read_to: BTreeMap::new(),
            failures: 0,
            not_before_ms: i64::MIN,
            give_up_ms,
            turns: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// A partition is read from here on.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        self.read_to.insert(partition, offset);
    }

    /// A partition is another's: what waits of it is told by that one.
    pub fn leave(&mut self, partition: i32) {
        self.read_to.remove(&partition);
        self.waiting.retain(|_, waiting| waiting.place.0 != partition);
    }

    /// An alert that was told of before this process was there: it is known to stand, or to be over.
    pub fn remember(&mut self, alert: v1::Alert) {
        self.stand(alert, i64::MIN);
    }

    /// Takes a record in.
    pub fn push(&mut self, alert: v1::Alert, place: Place, at_ms: i64, wanted: bool) -> Taken {
        self.read_to.insert(place.0, place.1 + 1);
        let known = self.standing.get(&alert.id);
        if known.is_some_and(|known| known.alert.revision >= alert.revision) {
            return Taken::Passed;
        }
        let told = alert.is_told() && wanted;
        // Whoever was told of it is told of its end, also where another one has taken it in since.
        if !told && known.is_none() {
            // It may wait for a receiver that has not heard of it: then there is nothing left to hear.
            return if self.waiting.remove(&alert.id).is_some() { Taken::Supersedes } else { Taken::Passed };
        }
        match self.waiting.get_mut(&alert.id) {
            Some(waiting) => {
                (waiting.alert, waiting.place) = (alert, place);
                (waiting.refusals, waiting.not_before_ms) = (0, i64::MIN);
                Taken::Supersedes
            }
            None => {
                self.turns += 1;
                let (turn, not_before_ms) = (self.turns, i64::MIN);
                let waiting = Waiting { alert, place, since_ms: at_ms, tries: 0, refusals: 0, not_before_ms, turn };
                self.waiting.insert(waiting.alert.id.clone(), waiting);
                Taken::Waits
            }
        }
    }

    /// A record that is no alert.
    pub fn pass(&mut self, (partition, offset): Place) {
        self.read_to.insert(partition, offset + 1);
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    pub fn next(&self, now_ms: i64) -> Next {
        let first = self.waiting.values().min_by_key(|waiting| (waiting.not_before_ms.max(now_ms), waiting.turn));
        let Some(first) = first else { return Next::Wait(None) };
        match first.not_before_ms.max(self.not_before_ms).saturating_sub(now_ms) {
            ..=0 => Next::Deliver(Box::new(first.clone())),
            wait_ms => Next::Wait(Some(wait_ms)),
        }
    }

    /// Alerts that go on and that the receiver was told of so long ago, those longest ago first; none while it is left alone.
    pub fn due_again(&self, now_ms: i64, every_ms: i64, most: usize) -> Vec<v1::Alert> {
        if now_ms < self.not_before_ms {
            return Vec::new();
        }
        let due = |standing: &&Standing| now_ms.saturating_sub(standing.told_ms) >= every_ms;
        let mut due: Vec<&Standing> = self.standing.values().filter(due).collect();
        due.sort_by_key(|standing| standing.told_ms);
        due.into_iter().take(most).map(|standing| standing.alert.clone()).collect()
    }

    /// As the receiver was told of it last.
    pub fn standing(&self, id: &str) -> Option<&v1::Alert> {
        self.standing.get(id).map(|standing| &standing.alert)
    }

    /// The receiver has it.
    pub fn delivered(&mut self, waiting: &Waiting, now_ms: i64) {
        self.reached();
        // A newer revision may have come meanwhile.
        if self.waiting.get(&waiting.alert.id).is_some_and(|known| known.place == waiting.place) {
            self.waiting.remove(&waiting.alert.id);
        }
        self.stand(waiting.alert.clone(), now_ms);
    }

    /// The receiver was told again.
    pub fn told_again(&mut self, alerts: &[v1::Alert], now_ms: i64) {
        self.reached();
        for alert in alerts {
            if let Some(standing) = self.standing.get_mut(&alert.id) {
                standing.told_ms = now_ms;
            }
        }
    }

    pub fn failed(&mut self, waiting: &Waiting, failed: Failed, now_ms: i64) -> After {
        let Some(mut known) = self.waiting.remove(&waiting.alert.id) else { return After::GivenUp };
        known.tries += 1;
        let delay_ms = match failed {
            Failed::Unreachable { retry_after_ms } => self.unreachable(retry_after_ms, now_ms),
            Failed::Refused => {
                self.reached();
                known.refusals += 1;
                let delay_ms = self.delay_ms(known.refusals);
                known.not_before_ms = now_ms.saturating_add(delay_ms);
                delay_ms
            }
        };
        if known.refusals >= REFUSALS_MAX || now_ms.saturating_sub(known.since_ms) >= self.give_up_ms {
            return After::GivenUp;
        }
        self.waiting.insert(known.alert.id.clone(), known);
        After::Again(delay_ms)
    }

    /// The receiver takes nothing now. Gives the milliseconds for which it is left alone.
    pub fn unreachable(&mut self, retry_after_ms: Option<i64>, now_ms: i64) -> i64 {
        self.failures = self.failures.saturating_add(1);
        let own_ms = self.delay_ms(self.failures);
        let delay_ms = retry_after_ms.map_or(own_ms, |asked_ms| own_ms.max(asked_ms.min(BACK_OFF_MAX_MS)));
        self.not_before_ms = now_ms.saturating_add(delay_ms);
        delay_ms
    }

    /// What may be committed: by partition, before what it still waits for.
    pub fn committable(&self) -> BTreeMap<i32, i64> {
        let mut positions = self.read_to.clone();
        for waiting in self.waiting.values() {
            let (partition, offset) = waiting.place;
            if let Some(position) = positions.get_mut(&partition) {
                *position = (*position).min(offset);
            }
        }
        positions
    }

    /// Alerts that wait, those among them that have failed, and since when the first one waits.
    pub fn backlog(&self) -> (usize, usize, Option<i64>) {
        let retrying = self.waiting.values().filter(|waiting| waiting.tries > 0).count();
        (self.waiting.len(), retrying, self.waiting.values().map(|waiting| waiting.since_ms).min())
    }

    fn stand(&mut self, alert: v1::Alert, told_ms: i64) {
        if !alert.is_told() || alert.is_over() {
            self.standing.remove(&alert.id);
            return;
        }
        let id = alert.id.clone();
        if self.standing.insert(id.clone(), Standing { alert, told_ms }).is_none() {
            self.forgotten.push_back(id);
        }
        while self.forgotten.len() > STANDING_MAX {
            if let Some(oldest) = self.forgotten.pop_front() {
                self.standing.remove(&oldest);
            }
        }
    }

    fn reached(&mut self) {
        (self.failures, self.not_before_ms) = (0, i64::MIN);
    }

    /// Twice as long each time; of it the second half by chance, so that many instances do not come back at once.
    fn delay_ms(&mut self, failures: u32) -> i64 {
        let doubled = BACK_OFF_MIN_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACK_OFF_MAX_MS);
        doubled / 2 + self.rng.i64(0..=doubled / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::time;

    fn alert(id: &str, revision: u32, state: v1::AlertState) -> v1::Alert {
        let firing_time = (state != v1::AlertState::Pending).then(|| time::from_ms(1_000)).flatten();
        v1::Alert { id: id.into(), revision, state: state.into(), firing_time, ..v1::Alert::default() }
    }

    fn firing(id: &str, revision: u32) -> v1::Alert {
        alert(id, revision, v1::AlertState::Firing)
    }

    fn queue() -> Queue {
        let mut queue = Queue::new(3_600_000, 7);
        queue.begin(0, 0);
        queue
    }

    fn first(queue: &Queue, now_ms: i64) -> Waiting {
        match queue.next(now_ms) {
            Next::Deliver(waiting) => *waiting,
            Next::Wait(wait) => panic!("waits for {wait:?} ms"),
        }
    }

    #[test]
    fn only_what_somebody_is_told_of_waits_and_its_end_with_it() {
        let mut queue = queue();
        assert_eq!(queue.push(alert("a", 1, v1::AlertState::Pending), (0, 0), 0, true), Taken::Passed);
        let inhibited = v1::Alert { inhibited_by: Some("b".into()), ..firing("c", 1) };
        assert_eq!(queue.push(inhibited, (0, 1), 0, true), Taken::Passed);
        assert_eq!(queue.push(firing("d", 1), (0, 2), 0, false), Taken::Passed);
        assert_eq!(queue.push(firing("a", 2), (0, 3), 0, true), Taken::Waits);
        let told = first(&queue, 0);
        queue.delivered(&told, 10);
        assert_eq!(queue.next(10), Next::Wait(None));
        // Taken in by another one since: who was told of it is told.
        let taken_in = v1::Alert { inhibited_by: Some("b".into()), ..firing("a", 3) };
        assert_eq!(queue.push(taken_in, (0, 4), 20, true), Taken::Waits);
        let told = first(&queue, 20);
        queue.delivered(&told, 20);
        assert_eq!(queue.push(alert("a", 4, v1::AlertState::Resolved), (0, 5), 20, true), Taken::Waits);
    }

    #[test]
    fn the_newest_revision_is_told_and_the_offset_stays_before_it() {
        let mut queue = queue();
        queue.push(firing("a", 1), (0, 5), 100, true);
        queue.push(firing("b", 1), (0, 6), 110, true);
        assert_eq!(queue.push(firing("a", 2), (0, 7), 120, true), Taken::Supersedes);
        queue.push(alert("x", 1, v1::AlertState::Pending), (0, 8), 120, true);
        assert_eq!(queue.committable(), [(0, 6)].into());
        // First come, first told, with what it is by now and the time since which it waits.
        let told = first(&queue, 200);
        assert_eq!((told.alert.revision, told.since_ms), (2, 100));
        // One that comes while it is told stays.
        queue.push(firing("a", 3), (0, 9), 210, true);
        queue.delivered(&told, 220);
        assert_eq!(queue.committable(), [(0, 6)].into());
        let told = first(&queue, 220);
        queue.delivered(&told, 220);
        let told = first(&queue, 220);
        queue.delivered(&told, 220);
        assert_eq!((queue.committable(), queue.next(220)), ([(0, 10)].into(), Next::Wait(None)));
        assert_eq!(queue.push(firing("a", 3), (0, 9), 230, true), Taken::Passed, "read again");
    }

    #[test]
    fn a_receiver_out_of_reach_is_left_alone_for_longer_each_time() {
        let mut queue = queue();
        queue.push(firing("a", 1), (0, 0), 0, true);
        let mut now_ms = 0;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let told = first(&queue, now_ms);
            let After::Again(delay_ms) = queue.failed(&told, Failed::Unreachable { retry_after_ms: None }, now_ms)
            else {
                panic!("given up")
            };
            assert_eq!(queue.next(now_ms), Next::Wait(Some(delay_ms)));
            now_ms += delay_ms;
            waits.push(delay_ms);
        }
        assert!(waits[0] >= 250 && waits[0] <= 500, "{waits:?}");
        assert!(waits[11] >= 30_000 && waits[11] <= 60_000, "{waits:?}");
        let asked = queue.unreachable(Some(7_200_000), now_ms);
        assert_eq!(asked, BACK_OFF_MAX_MS, "not for as long as it likes");
        let told = first(&queue, now_ms + asked);
        queue.delivered(&told, now_ms + asked);
        assert_eq!(queue.failures, 0);
    }

    #[test]
    fn what_is_refused_lets_the_others_pass_and_is_given_up() {
        let mut queue = queue();
        queue.push(firing("a", 1), (0, 0), 0, true);
        queue.push(firing("b", 1), (0, 1), 0, true);
        let told = first(&queue, 0);
        assert!(matches!(queue.failed(&told, Failed::Refused, 0), After::Again(_)));
        assert_eq!(first(&queue, 0).alert.id, "b");
        let told = first(&queue, 0);
        queue.delivered(&told, 0);
        assert_eq!(queue.committable(), [(0, 0)].into());
        let mut now_ms = 0;
        let mut tries = 1;
        loop {
            now_ms += 60_000;
            tries += 1;
            let told = first(&queue, now_ms);
            if queue.failed(&told, Failed::Refused, now_ms) == After::GivenUp {
                break;
            }
        }
        assert_eq!((tries, queue.committable()), (REFUSALS_MAX, [(0, 2)].into()));
    }

    #[test]
    fn old_news_is_given_up() {
        let mut queue = queue();
        queue.push(firing("a", 1), (0, 0), 0, true);
        let told = first(&queue, 3_600_000);
        assert_eq!(queue.failed(&told, Failed::Unreachable { retry_after_ms: None }, 3_600_000), After::GivenUp);
        assert_eq!(queue.backlog(), (0, 0, None));
    }

    #[test]
    fn what_goes_on_is_told_again_until_it_is_over() {
        let mut queue = queue();
        queue.push(firing("a", 1), (0, 0), 0, true);
        let told = first(&queue, 0);
        queue.delivered(&told, 1_000);
        queue.remember(firing("b", 5));
        let ids = |alerts: Vec<v1::Alert>| alerts.into_iter().map(|alert| alert.id).collect::<Vec<_>>();
        assert_eq!(ids(queue.due_again(2_000, 60_000, 10)), ["b"], "not since this process is there");
        queue.told_again(&[firing("b", 5)], 2_000);
        assert_eq!(ids(queue.due_again(62_000, 60_000, 10)), ["a", "b"]);
        assert_eq!(ids(queue.due_again(62_000, 60_000, 1)), ["a"]);
        queue.push(alert("a", 2, v1::AlertState::Retracted), (0, 1), 62_000, true);
        let told = first(&queue, 62_000);
        queue.delivered(&told, 62_000);
        assert_eq!(ids(queue.due_again(200_000, 60_000, 10)), ["b"]);
    }

    #[test]
    fn a_partition_that_is_left_takes_what_waits_with_it() {
        let mut queue = queue();
        queue.begin(1, 0);
        queue.push(firing("a", 1), (0, 0), 0, true);
        queue.push(firing("b", 1), (1, 0), 0, true);
        queue.leave(0);
        assert_eq!((first(&queue, 0).alert.id.as_str(), queue.committable()), ("b", [(1, 0)].into()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut queue = queue();
        (0..STANDING_MAX + 50).for_each(|i| queue.remember(firing(&i.to_string(), 1)));
        assert_eq!(queue.standing.len(), STANDING_MAX);
        // What is over makes room too.
        (0..STANDING_MAX + 50).for_each(|i| queue.remember(alert(&i.to_string(), 2, v1::AlertState::Resolved)));
        (0..STANDING_MAX * 3).for_each(|i| {
            queue.remember(firing(&format!("n{i}"), 1));
            queue.remember(alert(&format!("n{i}"), 2, v1::AlertState::Resolved));
        });
        assert!(queue.standing.is_empty() && queue.forgotten.len() <= STANDING_MAX);
    }
}
