//! From requests to answers.

use std::time::Duration;

use tracing::{error, info, trace, warn};

use crate::telemetry::{limiter, names};

/// A model is loaded and has run once on each of its shapes.
#[derive(Debug)]
pub struct ModelWarm<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub took: Duration,
}

impl ModelWarm<'_> {
    pub fn emit(&self) {
        let &Self { model, version, took } = self;
        names::MODEL_INFO.set(&[model, version], 1.0);
        info!(model, version, seconds = took.as_secs_f64(), "model ready");
    }
}

/// What waits for a batch. Once an epoch.
#[derive(Debug)]
pub struct QueueMeasured {
    pub stage: &'static str,
    pub requests: usize,
    pub tokens: usize,
}

impl QueueMeasured {
    pub fn emit(&self) {
        let &Self { stage, requests, tokens } = self;
        names::QUEUE_REQUESTS.set(&[stage], requests as f64);
        names::QUEUE_TOKENS.set(&[stage], tokens as f64);
        trace!(stage, requests, tokens, "queue measured");
    }
}

/// A batch went to a worker.
#[derive(Debug)]
pub struct BatchTaken<'a> {
    pub model: &'a str,
    pub rows: usize,
    pub tokens_padded: usize,
    pub tokens_used: usize,
}

impl BatchTaken<'_> {
    pub fn emit(&self) {
        let &Self { model, rows, tokens_padded, tokens_used } = self;
        names::BATCH_ROWS.record(&[model], rows as f64);
        names::BATCH_TOKENS_COMPUTED.add(&[model], tokens_padded as u64);
        names::BATCH_TOKENS_USED.add(&[model], tokens_used as u64);
        trace!(model, rows, tokens_padded, tokens_used, "batch taken");
    }
}

/// A model answered a batch.
#[derive(Debug)]
pub struct InferenceDone<'a> {
    pub model: &'a str,
    pub took: Duration,
    /// The oldest request, until a worker began.
    pub waited: Duration,
}

impl InferenceDone<'_> {
    pub fn emit(&self) {
        let &Self { model, took, waited } = self;
        names::INFERENCE.record(&[model], took.as_secs_f64());
        names::QUEUE_WAIT.record(&[model], waited.as_secs_f64());
        trace!(model, seconds = took.as_secs_f64(), waited_ms = waited.as_millis() as u64, "batch answered");
    }
}

/// A model failed on a batch, which will be tried again or cut in two.
#[derive(Debug)]
pub struct BatchFailed<'a> {
    pub model: &'a str,
    pub rows: usize,
    /// The runtime's words: shapes, nodes, memory.
    pub error: &'a str,
}

impl BatchFailed<'_> {
    pub fn emit(&self) {
        let &Self { model, rows, error } = self;
        names::BATCH_FAILURES.add(&[model], 1);
        if let Some(suppressed) = limiter::admit("batch_failed", model) {
            warn!(model, rows, error, suppressed, "batch failed; trying again");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceCause {
    Panic,
    /// It did not answer within `batch.timeout`.
    Timeout,
}

impl ReplaceCause {
    pub const ALL: [ReplaceCause; 2] = [ReplaceCause::Panic, ReplaceCause::Timeout];

    pub fn name(self) -> &'static str {
        match self {
            ReplaceCause::Panic => "panic",
            ReplaceCause::Timeout => "timeout",
        }
    }
}

/// A model worker was replaced; its batch goes back to the queue.
#[derive(Debug)]
pub struct WorkerReplaced {
    pub worker: usize,
    pub cause: ReplaceCause,
}

impl WorkerReplaced {
    pub fn emit(&self) {
        let &Self { worker, cause } = self;
        names::WORKERS_REPLACED.add(&[cause.name()], 1);
        if let Some(suppressed) = limiter::admit("worker_replaced", cause.name()) {
            error!(worker, cause = cause.name(), suppressed, "model worker replaced");
        }
    }
}

/// The result cache's totals since the start. Once an epoch.
#[derive(Debug)]
pub struct CacheMeasured {
    pub hits: u64,
    pub misses: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

impl CacheMeasured {
    pub fn emit(&self) {
        let &Self { hits, misses, bytes, bytes_max } = self;
        names::CACHE_HITS.absolute(&[], hits);
        names::CACHE_MISSES.absolute(&[], misses);
        names::CACHE_SIZE.set(&[], bytes as f64);
        names::CACHE_LIMIT.set(&[], bytes_max as f64);
        trace!(hits, misses, bytes, bytes_max, "cache measured");
    }
}
