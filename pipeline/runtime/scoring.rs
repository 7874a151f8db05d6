//! From an ask to its answer: cache, batches, model workers, and what becomes of a batch that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::partition::{Tenure, Ticket};
use crate::batch::{Batch, Batcher, Cache, Request};
use crate::config::Settings;
use crate::event::{Answer, Ask, Encoding, Error, ModelId};
use crate::infer::{Done, Job, ModelError, Pool};
use crate::telemetry::{BatchFailed, BatchTaken, InferenceDone, ReplaceCause, WorkerReplaced};

/// One ask on its way through a model.
#[derive(Clone, Debug)]
pub struct Asking {
    ticket: Ticket,
    encoding: Arc<Encoding>,
    text_key: u128,
}

/// A batch on its way through a model.
pub type Work = Batch<Asking>;

/// An answer and where it belongs.
pub type Answered = (Ticket, Answer);

/// Driven by one thread; answers that come later come through the pool's callback to [`Scoring::finish`].
pub struct Scoring {
    pool: Pool<Work>,
    batcher: Batcher<Asking>,
    cache: Cache,
    cache_bytes_max: usize,
    /// By model.
    limits: Vec<ModelLimit>,
}

/// What must be known of a model to ask it.
#[derive(Clone, Debug)]
pub struct ModelLimit {
    pub name: String,
    /// Texts that one run may take; as many as fit the budget where there is none.
    pub rows_max: Option<usize>,
}

impl Scoring {
    pub fn new(pool: Pool<Work>, settings: &Settings, limits: Vec<ModelLimit>) -> Self {
        let cache_bytes_max = settings.cache_bytes_max;
        let (batcher, cache) = (Batcher::new(&settings.batch), Cache::new(cache_bytes_max));
        Self { pool, batcher, cache, cache_bytes_max, limits }
    }

    /// The answer, where the same text was answered before; otherwise the ask waits for a batch.
    pub fn ask(&mut self, ticket: Ticket, ask: Ask, now: Instant) -> Option<Answer> {
        if let Some(known) = self.cache.get(ask.model, ask.text_key) {
            return Some(Ok(known));
        }
        self.batcher.push(Request {
            model: ask.model,
            priority: ask.priority,
            tokens: ask.encoding.ids.len(),
            rows_max: self.limits.get(usize::from(ask.model.0)).and_then(|limit| limit.rows_max),
            arrived: now,
            tries: 0,
            payload: Asking { ticket, encoding: ask.encoding, text_key: ask.text_key },
        });
        None
    }

    /// Gives every idle worker a batch, as far as batches are worth running now; under a backlog also one ahead, so that
    /// no worker waits for this thread between two.
    #[must_use]
    pub fn dispatch(&mut self, now: Instant) -> Vec<Answered> {
        loop {
            let batch = match (self.pool.idle(), self.pool.places()) {
                (0, 0) => None,
                (0, _) => self.batcher.take_ahead(now),
                _ => self.batcher.take(now),
            };
            let Some(batch) = batch else { return Vec::new() };
            self.taken(&batch, now);
            let texts = batch.requests.iter().map(|r| r.payload.encoding.clone()).collect();
            if let Err(job) = self.pool.submit(Job { model: batch.model, texts, payload: batch }) {
                // A worker died between the look and the hand-over.
                return self.failed(job.payload, "no model worker took the batch");
            }
        }
    }

    /// When `dispatch` or `expire` will next have something to do, if no answer comes before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.pool.idle() > 0 { self.batcher.next_deadline() } else { None }
    }

    #[must_use]
    pub fn finish(&mut self, done: Done<Work>) -> Vec<Answered> {
        let batch = done.job.payload;
        let predictions = match done.result {
            Ok(predictions) => predictions,
            Err(error) => {
                if let ModelError::Panicked { .. } = error {
                    WorkerReplaced { worker: done.worker, cause: ReplaceCause::Panic }.emit();
                }
                return self.failed(batch, &error.to_string());
            }
        };
        InferenceDone { model: self.name(batch.model), took: Duration::from_secs_f64(done.seconds) }.emit();
        let model = batch.model;
        let answers = batch.requests.into_iter().zip(predictions).map(|(request, prediction)| {
            let Asking { ticket, text_key, .. } = request.payload;
            let prediction = Arc::new(prediction);
            self.cache.insert(model, text_key, prediction.clone());
            (ticket, Ok(prediction))
        });
        answers.collect()
    }

    /// Takes back what hung workers hold. An error ends the process: too many hang.
    pub fn expire(&mut self, now: Instant) -> Result<Vec<Answered>, Error> {
        let mut answered = Vec::new();
        for job in self.pool.expire(now)? {
            answered.extend(self.hung(job.payload, "the model did not answer in time"));
        }
        Ok(answered)
    }

    /// Drops what waits for tenures that have ended.
    pub fn retain(&mut self, mut wanted: impl FnMut(Tenure) -> bool) {
        self.batcher.retain(|asking| wanted(asking.ticket.tenure));
    }

    pub fn clear(&mut self) {
        self.batcher.clear();
    }

    /// Asks that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.batcher.len()
    }

    pub fn waiting_tokens(&self) -> usize {
        self.batcher.tokens()
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    pub fn cache_bytes_max(&self) -> usize {
        self.cache_bytes_max
    }

    fn name(&self, model: ModelId) -> &str {
        self.limits.get(usize::from(model.0)).map_or("", |limit| limit.name.as_str())
    }

    fn taken(&self, batch: &Work, now: Instant) {
        let oldest = batch.requests.iter().map(|request| request.arrived).min();
        let waited = oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let Batch { model, requests, tokens_padded, tokens_used } = batch;
        let (tokens_padded, tokens_used) = (*tokens_padded, *tokens_used);
        BatchTaken { model: self.name(*model), rows: requests.len(), tokens_padded, tokens_used, waited }.emit();
    }

    /// Retries a failed batch, cuts it in two, or gives up on a text that failed alone.
    fn failed(&mut self, batch: Work, why: &str) -> Vec<Answered> {
        BatchFailed { model: self.name(batch.model), rows: batch.requests.len(), error: why }.emit();
        refused(self.batcher.fail(batch), why)
    }

    /// Runs the texts of a batch that was not answered alone.
    fn hung(&mut self, batch: Work, why: &str) -> Vec<Answered> {
        BatchFailed { model: self.name(batch.model), rows: batch.requests.len(), error: why }.emit();
        refused(self.batcher.fail_hung(batch), why)
    }
}

fn refused(culprits: Vec<Request<Asking>>, why: &str) -> Vec<Answered> {
    let why: Arc<str> = Arc::from(why);
    culprits.into_iter().map(|culprit| (culprit.payload.ticket, Err(why.clone()))).collect()
}
