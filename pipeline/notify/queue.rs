//! What one receiver is still to be told, and when: the deciding half of delivery, without I/O and with the time handed
//! in.
//!
//! An alert waits once, as its newest revision: what it was meanwhile is never told. Alerts are told in the order in which
//! they came to wait. A receiver that cannot be reached is left alone for a while, longer each time; an alert that it
//! refuses is tried a few times among the others and then given up. So is, much later, one at which it fails while it
//! takes others.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::event::v1;

/// Alerts that wait; beyond them nothing is read until some are delivered.
pub const WAITING_MAX: usize = 1_000;
/// Alerts that the receiver was told of and that are not over. Beyond them the one told longest ago is forgotten: its end
/// is not told.
const STANDING_MAX: usize = 10_000;
/// Alerts in one request that tells them again.
const AGAIN_MAX: usize = 64;
/// Waits between tries double from here …
const BACK_OFF_MIN_MS: i64 = 500;
/// … up to here, a receiver's own wish (`Retry-After`) included.
const BACK_OFF_MAX_MS: i64 = 60_000;
/// An alert that the receiver refuses is given up after so many tries.
const REFUSALS_MAX: u32 = 5;
/// An alert at which the receiver fails so often goes behind the others: it may be the alert.
const FIRST_TRIES: u32 = 3;
/// An alert at which the receiver fails while it takes others is given up after so many tries, a quarter of an hour: far
/// more than of a receiver that fails at every other request.
const FAILURES_ALONE_MAX: u32 = 20;

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
    /// Tries of this revision at which the receiver failed.
    setbacks: u32,
    /// Those among them before which it had taken another one since the try before.
    alone: u32,
    /// What it had taken when it failed last.
    taken: u64,
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
    /// Nobody is there.
    Unreachable,
    /// Somebody is there who fails, at this one or at any, or who asks to be left alone for so long.
    Failing { retry_after_ms: Option<i64> },
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

/// A moment by two clocks: waits are measured by the one that is never put right, ages by the one that records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the receiver was started.
    pub up_ms: i64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
}

/// Times are those of [`Moment::up_ms`] where nothing else is said.
#[derive(Debug)]
pub struct Queue {
    waiting: BTreeMap<String, Waiting>,
    /// What the receiver was told last of alerts that are not over.
    standing: BTreeMap<String, Standing>,
    /// Their ids by when they were told, longest ago first.
    told: BTreeSet<(i64, String)>,
    /// By partition.
    read: BTreeMap<i32, Read>,
    /// Tries in a row that did not reach the receiver.
    failures: u32,
    not_before_ms: i64,
    give_up_ms: i64,
    turns: u64,
    /// Requests that the receiver has taken.
    taken: u64,
    /// What was remembered, counted.
    remembered: i64,
    /// Alerts in the next request that tells them again: fewer while one among them is refused.
    again_max: usize,
    rng: Rng,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug)]
struct Read {
    to: i64,
    /// What the receiver knows of it is known. Before, an alert that stands may have ended in a record still to come.
    known: bool,
}

/// An alert as the receiver knows it.
#[derive(Clone, Debug, PartialEq)]
struct Standing {
    alert: v1::Alert,
    partition: i32,
    told_ms: i64,
}

impl Queue {
    /// `give_up_ms`: an alert that has waited for longer is no news any more.
    pub fn new(give_up_ms: i64, seed: u64) -> Queue {
        Queue {
            waiting: BTreeMap::new(),
            standing: BTreeMap::new(),
            told: BTreeSet::new(),
            read: BTreeMap::new(),
            failures: 0,
            not_before_ms: i64::MIN,
            give_up_ms,
            turns: 0,
            taken: 0,
            remembered: 0,
            again_max: AGAIN_MAX,
            rng: Rng::with_seed(seed),
        }
    }

    /// A partition is read from here on.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        self.read.insert(partition, Read { to: offset, known: false });
    }

    /// A partition was read up to where it begins.
    pub fn catch_up(&mut self, partition: i32) {
        if let Some(read) = self.read.get_mut(&partition) {
            read.known = true;
        }
    }

    /// A partition is another's: what waits of it is told by that one, and what stands is told again by that one.
    pub fn leave(&mut self, partition: i32) {
        self.read.remove(&partition);
        self.waiting.retain(|_, waiting| waiting.place.0 != partition);
        let left = |standing: &Standing| standing.partition == partition;
        self.told.retain(|(_, id)| !self.standing.get(id).is_some_and(left));
        self.standing.retain(|_, standing| !left(standing));
    }

    /// An alert that was told of before this process was there: it is known to stand, or to be over.
    pub fn remember(&mut self, alert: v1::Alert, partition: i32) {
        self.remembered += 1;
        // Before all that this process has told, in the order of the records.
        self.stand(alert, partition, i64::MIN + self.remembered);
    }

    /// Takes a record in.
    pub fn push(&mut self, alert: v1::Alert, place: Place, at_ms: i64, wanted: bool) -> Taken {
        self.pass(place);
        let known = self.standing.get(&alert.id);
        if known.is_some_and(|known| known.alert.revision >= alert.revision) {
            return Taken::Passed;
        }
        let told = alert.is_told() && wanted;
        // Whoever was told of it is told of its end, also where another one has taken it in since.
        if !told && known.is_none() {
            // It may wait for a receiver that has not heard of it: then there is nothing left to hear. After a try that
            // failed nobody knows whether it has heard: one without an answer may have been taken.
            match self.waiting.get(&alert.id) {
                None => return Taken::Passed,
                Some(waiting) if waiting.tries == 0 => {
                    self.waiting.remove(&alert.id);
                    return Taken::Supersedes;
                }
                Some(_) => {}
            }
        }
        match self.waiting.get_mut(&alert.id) {
            Some(waiting) => {
                (waiting.alert, waiting.place) = (alert, place);
                (waiting.refusals, waiting.setbacks, waiting.alone) = (0, 0, 0);
                waiting.not_before_ms = i64::MIN;
                Taken::Supersedes
            }
            None => {
                let waiting = Waiting {
                    alert,
                    place,
                    since_ms: at_ms,
                    tries: 0,
                    refusals: 0,
                    setbacks: 0,
                    alone: 0,
                    taken: self.taken,
                    not_before_ms: i64::MIN,
                    turn: self.turn(),
                };
                self.waiting.insert(waiting.alert.id.clone(), waiting);
                Taken::Waits
            }
        }
    }

    /// A record that is no alert.
    pub fn pass(&mut self, (partition, offset): Place) {
        self.read.insert(partition, Read { to: offset + 1, known: true });
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    pub fn next(&self, now_ms: i64) -> Next {
        let order = |waiting: &&Waiting| {
            let hindered = waiting.setbacks >= FIRST_TRIES;
            (waiting.not_before_ms.max(now_ms), hindered, waiting.turn)
        };
        let first = self.waiting.values().min_by_key(order);
        let Some(first) = first else { return Next::Wait(None) };
        match first.not_before_ms.max(self.not_before_ms).saturating_sub(now_ms) {
            ..=0 => Next::Deliver(Box::new(first.clone())),
            wait_ms => Next::Wait(Some(wait_ms)),
        }
    }

    /// Alerts that go on and that the receiver was told of so long ago, those longest ago first: as many as go into one
    /// request; none while it is left alone, and none of which there is news.
    pub fn due_again(&self, now_ms: i64, every_ms: i64) -> Vec<v1::Alert> {
        if now_ms < self.not_before_ms {
            return Vec::new();
        }
        let due = self.told.iter().take_while(|(told_ms, _)| now_ms.saturating_sub(*told_ms) >= every_ms);
        let standing = due.filter_map(|(_, id)| self.standing.get(id));
        let known = |partition| self.read.get(partition).is_some_and(|read| read.known);
        let quiet = standing.filter(|one| known(&one.partition) && !self.waiting.contains_key(&one.alert.id));
        quiet.take(self.again_max).map(|one| one.alert.clone()).collect()
    }

    /// As the receiver was told of it last.
    pub fn standing(&self, id: &str) -> Option<&v1::Alert> {
        self.standing.get(id).map(|standing| &standing.alert)
    }

    /// The receiver has it.
    pub fn delivered(&mut self, waiting: &Waiting, now_ms: i64) {
        self.reached();
        self.taken += 1;
        // A newer revision may have come meanwhile.
        if self.waiting.get(&waiting.alert.id).is_some_and(|known| known.place == waiting.place) {
            self.waiting.remove(&waiting.alert.id);
        }
        self.stand(waiting.alert.clone(), waiting.place.0, now_ms);
    }

    /// The receiver was told again.
    pub fn told_again(&mut self, alerts: &[v1::Alert], now_ms: i64) {
        self.reached();
        self.taken += 1;
        self.again_max = (self.again_max * 2).min(AGAIN_MAX);
        for alert in alerts {
            if let Some(Standing { alert, partition, .. }) = self.standing.get(&alert.id).cloned() {
                self.stand(alert, partition, now_ms);
            }
        }
    }

    /// The receiver refuses to be told of these again: there is one among them that it does not take. Fewer are tried
    /// then, and one that is refused by itself is forgotten. True for that one.
    pub fn refused_again(&mut self, alerts: &[v1::Alert]) -> bool {
        self.reached();
        self.again_max = (alerts.len() / 2).max(1);
        let [alert] = alerts else { return false };
        self.forget(&alert.id);
        true
    }

    pub fn failed(&mut self, waiting: &Waiting, failed: Failed, now: Moment) -> After {
        let Some(mut known) = self.waiting.remove(&waiting.alert.id) else { return After::GivenUp };
        known.tries += 1;
        let delay_ms = match failed {
            Failed::Unreachable => self.unreachable(None, now.up_ms),
            Failed::Failing { retry_after_ms } => {
                let delay_ms = self.unreachable(retry_after_ms, now.up_ms);
                delay_ms.max(self.set_back(&mut known, now.up_ms))
            }
            Failed::Refused => {
                self.reached();
                known.refusals += 1;
                let delay_ms = self.delay_ms(known.refusals);
                known.not_before_ms = now.up_ms.saturating_add(delay_ms);
                delay_ms
            }
        };
        let hopeless = known.refusals >= REFUSALS_MAX || known.alone >= FAILURES_ALONE_MAX;
        if hopeless || now.wall_ms.saturating_sub(known.since_ms) >= self.give_up_ms {
            if !goes_on(&known.alert) {
                // It is not said to go on for ever because its end could not be told.
                self.forget(&known.alert.id);
            }
            return After::GivenUp;
        }
        self.waiting.insert(known.alert.id.clone(), known);
        After::Again(delay_ms)
    }

    /// The receiver has failed at this one. Gives the milliseconds for which others go before it.
    fn set_back(&mut self, waiting: &mut Waiting, now_ms: i64) -> i64 {
        let alone = waiting.setbacks > 0 && self.taken > waiting.taken;
        (waiting.setbacks, waiting.taken) = (waiting.setbacks + 1, self.taken);
        if waiting.setbacks >= FIRST_TRIES {
            waiting.turn = self.turn();
        }
        if !alone {
            return 0;
        }
        waiting.alone += 1;
        let delay_ms = self.delay_ms(waiting.alone);
        waiting.not_before_ms = now_ms.saturating_add(delay_ms);
        delay_ms
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
        let mut positions: BTreeMap<i32, i64> =
            self.read.iter().map(|(partition, read)| (*partition, read.to)).collect();
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

    fn stand(&mut self, alert: v1::Alert, partition: i32, told_ms: i64) {
        self.forget(&alert.id);
        if !goes_on(&alert) {
            return;
        }
        if self.standing.len() >= STANDING_MAX
            && let Some((_, oldest)) = self.told.pop_first()
        {
            self.standing.remove(&oldest);
        }
        self.told.insert((told_ms, alert.id.clone()));
        self.standing.insert(alert.id.clone(), Standing { alert, partition, told_ms });
    }

    fn forget(&mut self, id: &str) {
        if let Some(standing) = self.standing.remove(id) {
            self.told.remove(&(standing.told_ms, standing.alert.id));
        }
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
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

fn goes_on(alert: &v1::Alert) -> bool {
    alert.is_told() && !alert.is_over()
}

#[cfg(test)]
mod tests;
