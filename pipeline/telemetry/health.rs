//! Whether the process lives and whether it does its work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::events::TableRead;

/// How long a table that is being read keeps a process from being ready. What hangs on it works with what has been read
/// by then, which is better than nothing.
const READING_MAX: Duration = Duration::from_secs(120);

/// What the parts of the program know of their own state, for those who ask from outside. Written a few times a second,
/// read a few times a minute: a small lock serves.
#[derive(Debug)]
pub struct Health {
    commit_age_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Models that are not warm yet.
    cold: BTreeSet<String>,
    /// Stages whose consumer group has not answered yet. Once it has, having no partition to read is as good as any: with
    /// more instances than partitions, some stand by.
    unassigned: BTreeSet<&'static str>,
    /// Tables that have not been read to their ends yet, and since when they are being read.
    reading: BTreeMap<&'static str, Instant>,
    /// By stage: since when its oldest epoch has waited for its commit.
    uncommitted_since: BTreeMap<&'static str, Instant>,
    /// `Err` with the time since when no broker answers.
    broker: Result<(), Instant>,
    fatal: Option<String>,
}

impl Health {
    /// A process that has yet to warm these models and to join the groups of these stages. An epoch whose commit takes
    /// longer than `commit_age_max` is stuck. No broker is taken to have answered yet.
    pub fn new(
        models: impl IntoIterator<Item = String>,
        stages: impl IntoIterator<Item = &'static str>,
        commit_age_max: Duration,
        now: Instant,
    ) -> Self {
        let state = State {
            cold: models.into_iter().collect(),
            unassigned: stages.into_iter().collect(),
            reading: BTreeMap::new(),
            uncommitted_since: BTreeMap::new(),
            broker: Err(now),
            fatal: None,
        };
        Self { commit_age_max, state: Mutex::new(state) }
    }

    pub fn model_warm(&self, model: &str) {
        self.state().cold.remove(model);
    }

    /// All models are warm.
    pub fn models_warm(&self) {
        self.state().cold.clear();
    }

    /// A model's workers are being replaced, or its new version is loading.
    pub fn model_cold(&self, model: &str) {
        self.state().cold.insert(model.to_owned());
    }

    /// The group has said which partitions are this instance's, be it none.
    pub fn assigned(&self, stage: &'static str) {
        self.state().unassigned.remove(stage);
    }

    /// The partitions are lost, or the group was left.
    pub fn unassigned(&self, stage: &'static str) {
        self.state().unassigned.insert(stage);
    }

    /// A table is about to be read from its beginning: what hangs on it says less than it will.
    pub fn reading(&self, table: &'static str, now: Instant) {
        self.state().reading.insert(table, now);
        TableRead { table, complete: false }.emit();
    }

    /// All that was in the table has been read.
    pub fn read(&self, table: &'static str) {
        self.state().reading.remove(table);
        TableRead { table, complete: true }.emit();
    }

    /// Since when the stage's oldest epoch that is not committed has waited; `None` when all are.
    pub fn uncommitted(&self, stage: &'static str, since: Option<Instant>) {
        let mut state = self.state();
        match since {
            Some(since) => drop(state.uncommitted_since.insert(stage, since)),
            None => drop(state.uncommitted_since.remove(stage)),
        }
    }

    pub fn broker_up(&self) {
        self.state().broker = Ok(());
    }

    /// No broker answers; the first call of a row counts.
    pub fn broker_down(&self, now: Instant) {
        let mut state = self.state();
        state.broker = state.broker.and(Err(now));
    }

    /// An error that ends the process; the first one is kept.
    pub fn fatal(&self, error: impl Into<String>) {
        self.state().fatal.get_or_insert_with(|| error.into());
    }

    /// Whether the process should be left running.
    ///
    /// # Errors
    /// What has gone wrong for good.
    pub fn alive(&self) -> Result<(), String> {
        self.state().fatal.clone().map_or(Ok(()), Err)
    }

    /// Whether the process does its work.
    ///
    /// # Errors
    /// All that is missing, a sentence each.
    pub fn ready(&self, now: Instant) -> Result<(), Vec<String>> {
        let state = self.state();
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        let mut missing: Vec<String> = state.fatal.iter().map(|error| format!("fatal: {error}")).collect();
        missing.extend(state.cold.iter().map(|model| format!("model `{model}` is not warm")));
        missing.extend(state.broker.err().map(|since| format!("no broker has answered for {:.1} s", seconds(since))));
        missing.extend(state.unassigned.iter().map(|stage| format!("stage `{stage}` has no assignment yet")));
        let reading = state.reading.iter().map(|(table, since)| (table, seconds(*since)));
        let reading = reading.filter(|(_, seconds)| *seconds < READING_MAX.as_secs_f64());
        missing.extend(reading.map(|(table, seconds)| format!("table `{table}` is being read since {seconds:.1} s")));
        let age_max = self.commit_age_max;
        let oldest = state.uncommitted_since.values().min().copied();
        let stuck = oldest.filter(|since| now.saturating_duration_since(*since) > age_max);
        missing.extend(stuck.map(|since| {
            let (age, age_max) = (seconds(since), age_max.as_secs_f64());
            format!("the oldest epoch has waited {age:.1} s for its commit; at most {age_max:.1} s are usual")
        }));
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn started(now: Instant) -> Health {
        Health::new(["text".to_owned()], ["text"], 30 * SECOND, now)
    }

    fn running(now: Instant) -> Health {
        let health = started(now);
        health.model_warm("text");
        health.broker_up();
        health.assigned("text");
        health
    }

    #[test]
    fn says_all_that_is_missing_at_the_start() {
        let now = Instant::now();
        let missing = started(now).ready(now + 2 * SECOND).unwrap_err();
        assert_eq!(
            missing,
            ["model `text` is not warm", "no broker has answered for 2.0 s", "stage `text` has no assignment yet"]
        );
    }

    #[test]
    fn is_ready_when_nothing_is_missing() {
        let now = Instant::now();
        let health = running(now);
        assert_eq!(health.ready(now), Ok(()));
        health.model_cold("text");
        health.model_cold("other");
        assert_eq!(health.ready(now).unwrap_err().len(), 2);
        health.models_warm();
        health.model_cold("text");
        health.unassigned("text");
        assert_eq!(health.ready(now).unwrap_err().len(), 2);
    }

    #[test]
    fn a_commit_that_takes_too_long_is_stuck() {
        let now = Instant::now();
        let health = running(now);
        health.uncommitted("text", Some(now));
        health.uncommitted("clicks", None);
        assert_eq!(health.ready(now + 30 * SECOND), Ok(()));
        let missing = health.ready(now + 31 * SECOND).unwrap_err();
        assert_eq!(missing, ["the oldest epoch has waited 31.0 s for its commit; at most 30.0 s are usual"]);
        health.uncommitted("text", None);
        assert_eq!(health.ready(now + 31 * SECOND), Ok(()));
    }

    #[test]
    fn a_table_that_is_being_read_is_waited_for_and_not_for_ever() {
        let now = Instant::now();
        let health = running(now);
        health.reading("lists", now);
        assert_eq!(health.ready(now + SECOND).unwrap_err(), ["table `lists` is being read since 1.0 s"]);
        assert_eq!(health.ready(now + READING_MAX), Ok(()));
        health.read("lists");
        assert_eq!(health.ready(now + SECOND), Ok(()));
    }

    #[test]
    fn a_broker_is_down_since_the_first_failure() {
        let now = Instant::now();
        let health = running(now);
        health.broker_down(now);
        health.broker_down(now + 5 * SECOND);
        assert_eq!(health.ready(now + 6 * SECOND).unwrap_err(), ["no broker has answered for 6.0 s"]);
        health.broker_up();
        assert_eq!(health.ready(now + 7 * SECOND), Ok(()));
    }

    #[test]
    fn only_a_fatal_error_ends_its_life() {
        let now = Instant::now();
        let health = started(now);
        assert_eq!(health.alive(), Ok(()));
        health.fatal("transactional id taken over");
        health.fatal("a later one");
        assert_eq!(health.alive(), Err("transactional id taken over".to_owned()));
        assert!(health.ready(now).unwrap_err().contains(&"fatal: transactional id taken over".to_owned()));
    }
}
