//! `prepare` on every core: chunks of records in, the same records prepared out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use jiff::Timestamp;

use super::partition::{Prepared, Tenure};
use crate::event::{Error, Fault, RawRecord, Reason, Rejection};
use crate::stages::{Prepare, Stage};

/// A record on its way to be prepared.
pub struct Unprepared {
    pub tenure: Tenure,
    pub sequence: u64,
    pub record: RawRecord,
}

/// A record on its way back.
pub struct Ready<S: Stage> {
    pub tenure: Tenure,
    pub sequence: u64,
    pub record: RawRecord,
    pub prepared: Prepared<S>,
}

/// Fetches a writer's schema; blocks, trying again for as long as the registry cannot be reached, and gives up only when
/// the flag is set. Afterwards the stage knows the schema; a rejection says that there is none to be had.
pub type ResolveSchema = Arc<dyn Fn(u32, &AtomicBool) -> Result<(), Rejection> + Send + Sync>;

/// Threads that prepare. What waits for them is bounded by the room that the source keeps to.
pub struct PreparePool {
    inbox: Option<Sender<Vec<Unprepared>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl PreparePool {
    pub fn start<S: Stage>(
        threads: usize,
        stage: &Arc<S>,
        resolve: &ResolveSchema,
        emit: impl Fn(Vec<Ready<S>>) + Clone + Send + 'static,
    ) -> Result<PreparePool, Error> {
        let (inbox, outbox) = unbounded::<Vec<Unprepared>>();
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads)
            .map(|n| {
                let (stage, resolve, emit) = (stage.clone(), resolve.clone(), emit.clone());
                let (stop, outbox) = (stop.clone(), outbox.clone());
                thread::Builder::new()
                    .name(format!("prepare-{n}"))
                    .spawn(move || work(&*stage, &resolve, &outbox, &stop, &emit))
                    .map_err(|e| Error::new(Fault::Bug, format!("cannot start a prepare thread: {e}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(PreparePool { inbox: Some(inbox), stop, threads })
    }

    pub fn submit(&self, chunk: Vec<Unprepared>) {
        if let Some(inbox) = &self.inbox {
            // Fails only when every thread has ended, which they do when the pool is dropped.
            let _ = inbox.send(chunk);
        }
    }
}

impl Drop for PreparePool {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.inbox = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work<S: Stage>(
    stage: &S,
    resolve: &ResolveSchema,
    inbox: &Receiver<Vec<Unprepared>>,
    stop: &AtomicBool,
    emit: &dyn Fn(Vec<Ready<S>>),
) {
    while let Ok(chunk) = inbox.recv() {
        let mut ready = Vec::with_capacity(chunk.len());
        for Unprepared { tenure, sequence, record } in chunk {
            let Some(prepared) = prepare(stage, resolve, &record, stop) else { return };
            ready.push(Ready { tenure, sequence, record, prepared });
        }
        emit(ready);
    }
}

/// `None`: told to stop while waiting for the registry.
fn prepare<S: Stage>(stage: &S, resolve: &ResolveSchema, record: &RawRecord, stop: &AtomicBool) -> Option<Prepared<S>> {
    loop {
        match prepare_caught(stage, record) {
            Ok(Prepare::Ready(prepared)) => return Some(Ok(prepared)),
            Err(rejection) => return Some(Err(rejection)),
            Ok(Prepare::NeedsSchema(id)) => {
                if let Err(rejection) = resolve_caught(resolve, id, stop) {
                    return Some(Err(rejection));
                }
            }
        }
        if stop.load(Ordering::Relaxed) {
            return None;
        }
    }
}

/// Somebody else's schema is compiled here: a panic over it must not end the thread, and with it the partition.
fn resolve_caught(resolve: &ResolveSchema, id: u32, stop: &AtomicBool) -> Result<(), Rejection> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| resolve(id, stop)));
    caught.unwrap_or_else(|_| {
        let message = format!("reading schema {id} failed inside the program");
        Err(Rejection::new(Reason::UnknownSchema, message))
    })
}

/// A panic on one record is a fault of ours, yet no reason to lose the record or to stop the others.
fn prepare_caught<S: Stage>(stage: &S, record: &RawRecord) -> Result<Prepare<S::Prepared>, Rejection> {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.prepare(record, Timestamp::now())));
    caught.unwrap_or_else(|_| {
        tracing::error!(origin = %record.origin, "preparing a record panicked; it goes to the dead letters");
        Err(Rejection::new(Reason::Malformed, "preparing this record failed inside the program"))
    })
}
