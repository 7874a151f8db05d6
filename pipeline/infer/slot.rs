//! What a worker's thread and the pool both see.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::event::{Error, Fault};

use super::pool::Job;

/// From a thread's start until its backend is ready. A large model takes a minute to load from a cold disk.
const START_MAX: Duration = Duration::from_secs(300);

/// Where a worker stands. The job lies here while it runs, and is taken out once: by the thread with its answer, or by
/// the pool that waits no longer. A replaced worker gets a new slot; the old thread finds its own slot
/// abandoned and ends.
pub(super) struct Slot<T>(Arc<Mutex<State<T>>>);

pub(super) enum State<T> {
    /// The backend is being made.
    Starting {
        since: Instant,
    },
    Idle,
    Busy {
        job: Job<T>,
        since: Instant,
    },
    /// The backend could not be made, or the thread is gone.
    Failed(Error),
    /// The pool waits for this thread no longer.
    Abandoned,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Slot(self.0.clone())
    }
}

impl<T> Slot<T> {
    pub fn new(now: Instant) -> Slot<T> {
        Slot(Arc::new(Mutex::new(State::Starting { since: now })))
    }

    /// The job lies here from now on. `false`, and the job is dropped, where the pool no longer waits.
    pub fn begin(&self, job: Job<T>, since: Instant) -> bool {
        let mut state = self.lock();
        let waited = matches!(*state, State::Idle);
        if waited {
            *state = State::Busy { job, since };
        }
        waited
    }

    /// Leaves the next state behind and returns the job that is done, unless the pool took it back.
    pub fn finish(&self, next: State<T>) -> Option<Job<T>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, next) {
            State::Busy { job, .. } => Some(job),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The backend is ready or has failed. `false` where the pool no longer waits.
    pub fn started(&self, next: State<T>) -> bool {
        let mut state = self.lock();
        let waited = matches!(*state, State::Starting { .. });
        if waited {
            *state = next;
        }
        waited
    }

    /// The job that has been running for `timeout`; its worker is then abandoned.
    pub fn overdue(&self, now: Instant, timeout: Duration) -> Result<Option<Job<T>>, Error> {
        let mut state = self.lock();
        match &*state {
            State::Failed(error) => Err(error.clone()),
            State::Starting { since } if now.saturating_duration_since(*since) >= START_MAX => {
                let seconds = START_MAX.as_secs();
                Err(Error::new(Fault::Model, format!("a model worker has not become ready within {seconds} s")))
            }
            State::Busy { since, .. } if now.saturating_duration_since(*since) >= timeout => {
                match std::mem::replace(&mut *state, State::Abandoned) {
                    State::Busy { job, .. } => Ok(Some(job)),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// No code that can panic runs under the lock, so a poisoned one holds a whole state.
    pub fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
