//! States read back from their changelogs, on threads of their own.
//!
//! A partition's records wait until its state is there. What is read ends where the changelog ended when the partition
//! was assigned, and that is known only in this order:
//! 1. The input's committed offset, asked for in a way that waits until no transaction is deciding about it. From then
//!    on no former owner's epoch can still become visible: what is not decided by now is fenced.
//! 2. The changelog's end, open transactions included: all that a former owner has committed lies before it.
//! 3. That everything before that end is decided. A transaction left open by an instance that died is aborted by the
//!    broker after `delivery.transaction_timeout_ms`, or at once when its name comes back.

mod reader;
mod worker;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};
use foldhash::fast::{FixedState, RandomState};

use self::worker::{Job, Restore, Worker};
use super::partition::Tenure;
use crate::config::Kafka;
use crate::event::{Error, Fault, TopicPartition};
use crate::state::{Kinds, Local, State, StateError};

/// States read back at the same time: one can wait for a transaction to be decided while the other reads.
const THREADS: usize = 2;

/// What is needed to read states back.
pub struct KeeperOptions {
    pub stage: &'static str,
    pub kafka: Kafka,
    /// The stage's consumer group; its changelogs are called after it.
    pub group: String,
    pub kinds: Kinds,
    pub grace_ms: i64,
    pub memory_bytes_max: usize,
    pub local: Local,
}

/// The threads that read states back, and put them away.
pub struct Keeper {
    options: Arc<KeeperOptions>,
    jobs: Vec<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    wanted: HashMap<Tenure, Arc<AtomicBool>, RandomState>,
    changelogs: HashMap<Arc<str>, Arc<str>, RandomState>,
}

/// A state that has been read back, or why it cannot be.
pub struct Restored {
    pub tenure: Tenure,
    pub state: Result<Box<State>, Error>,
}

/// Where a state is read back from.
pub enum From {
    /// What was in memory when it became unknown whether an epoch has committed: it lacks that epoch at most.
    Memory(Box<State>),
    /// The local copy, if it is of use.
    LocalCopy,
    /// The changelog alone: the local copy has turned out to be damaged.
    Changelog,
}

/// The topic that holds the state of an input topic's partitions, a partition for each.
pub fn changelog(group: &str, input: &str) -> String {
    format!("{group}-{input}-changelog")
}

impl Keeper {
    pub fn start(options: KeeperOptions, emit: impl Fn(Restored) + Clone + Send + 'static) -> Result<Keeper, Error> {
        let options = Arc::new(options);
        let mut keeper = Keeper {
            options: options.clone(),
            jobs: Vec::new(),
            threads: Vec::new(),
            wanted: HashMap::default(),
            changelogs: HashMap::default(),
        };
        for n in 0..THREADS {
            let (jobs, inbox) = unbounded();
            let worker = Worker::new(options.clone())?;
            let emit = emit.clone();
            let thread = thread::Builder::new()
                .name(format!("restore-{n}"))
                .spawn(move || worker.run(&inbox, &emit))
                .map_err(|e| Error::new(Fault::Bug, format!("cannot start a restore thread: {e}")))?;
            keeper.jobs.push(jobs);
            keeper.threads.push(thread);
        }
        Ok(keeper)
    }

    /// Answered by [`Restored`], unless it is forgotten before.
    pub fn restore(&mut self, tenure: Tenure, input: TopicPartition, from: From, budget_bytes: usize) {
        let wanted = Arc::new(AtomicBool::new(true));
        self.wanted.insert(tenure, wanted.clone());
        let place = self.place(&input);
        self.send(place, Job::Restore(Restore { tenure, input, from, budget_bytes, wanted }));
    }

    /// Nobody waits for this tenure's state any more.
    pub fn forget(&mut self, tenure: Tenure) {
        if let Some(wanted) = self.wanted.remove(&tenure) {
            wanted.store(false, Ordering::Relaxed);
        }
    }

    /// Brings the local copy of a state that is given up to where it stands.
    pub fn park(&mut self, input: &TopicPartition, state: Box<State>) {
        self.send(self.place(input), Job::Park(state));
    }

    pub fn memory_bytes_max(&self) -> usize {
        self.options.memory_bytes_max
    }

    pub fn local_bytes(&self) -> u64 {
        self.options.local.bytes()
    }

    pub fn changelog(&mut self, input: &Arc<str>) -> Arc<str> {
        let named = || Arc::from(changelog(&self.options.group, input));
        self.changelogs.entry(input.clone()).or_insert_with(named).clone()
    }

    /// All that is done for a partition is done by one thread, in order: there is one local copy of it.
    fn place(&self, input: &TopicPartition) -> usize {
        FixedState::default().hash_one(input) as usize % self.jobs.len().max(1)
    }

    fn send(&self, place: usize, job: Job) {
        if let Some(jobs) = self.jobs.get(place) {
            // A thread ends with its channel only.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.wanted.values().for_each(|wanted| wanted.store(false, Ordering::Relaxed));
        self.jobs.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a person can do about a state that cannot be used.
pub fn unusable(error: &StateError) -> Error {
    let fault = match error {
        StateError::Stage(_) | StateError::Damaged(_) => Fault::Bug,
        StateError::Incompatible(_) | StateError::Directory(_) => Fault::Config,
    };
    let told = Error::new(fault, error.to_string());
    match error {
        StateError::Incompatible(_) => told.hint("run the version that wrote it, or a newer one"),
        StateError::Directory(_) => told.hint("state.directory says where local copies lie"),
        StateError::Stage(_) | StateError::Damaged(_) => told,
    }
}
