//! From an ask to its answer: cache, batches, model workers, and what becomes of a batch that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::partition::{Tenure, Ticket};
use crate::batch::{Batch, Batcher, Cache, Request};
use crate::columns::Rows;
use crate::config;
use crate::event::{Answer, Ask, Error, Fault, ModelId, Question};
use crate::infer::{Done, Inputs, Job, ModelError, Pool};
use crate::telemetry::{BatchFailed, BatchTaken, InferenceDone, ReplaceCause, WorkerReplaced};

/// Rows that one run may take: beyond some hundred, a row gets no cheaper, and what fits a core's second-level cache wins.
const ROWS_MAX: usize = 512;

/// One ask on its way through a model.
#[derive(Clone, Debug)]
pub struct Asking {
    ticket: Ticket,
    question: Question,
}

/// A batch on its way through a model.
pub type Work = Batch<Asking>;

/// An answer and where it belongs.
pub type Answered = (Ticket, Answer);

/// Driven by one thread; answers that come later come through the pool's callback to [`Scoring::finish`].
pub struct Scoring {
    pool: Pool<Work>,
    batcher: Batcher<Asking>,
    /// Only texts have one: no two rows are likely to be equal.
    cache: Cache,
    cache_bytes_max: usize,
    /// By model.
    models: Vec<ServedModel>,
}

/// What must be known of a model to ask it.
#[derive(Clone, Debug)]
pub struct ServedModel {
    pub name: String,
    pub version: String,
    /// Texts or rows that one run may take; as many as fit the budget where there is none.
    pub rows_max: Option<usize>,
}

impl Scoring {
    pub fn new(pool: Pool<Work>, settings: &config::Batch, cache_bytes_max: usize, models: Vec<ServedModel>) -> Self {
        let (batcher, cache) = (Batcher::new(settings), Cache::new(cache_bytes_max));
        Self { pool, batcher, cache, cache_bytes_max, models }
    }

    /// The answer, where the same text was answered before; otherwise the ask waits for a batch.
    pub fn ask(&mut self, ticket: Ticket, ask: Ask, now: Instant) -> Option<Answer> {
        let rows_max = self.models.get(usize::from(ask.model.0)).and_then(|model| model.rows_max);
        let (tokens, rows_max) = match &ask.question {
            Question::Text { encoding, key } => {
                if let Some(known) = self.cache.get(ask.model, *key) {
                    return Some(Ok(known));
                }
                (encoding.ids.len(), rows_max)
            }
            // All rows of a model are as long, so one counts as one token.
            Question::Row(_) => (1, Some(rows_max.unwrap_or(ROWS_MAX))),
        };
        self.batcher.push(Request {
            model: ask.model,
            priority: ask.priority,
            tokens,
            rows_max,
            arrived: now,
            tries: 0,
            payload: Asking { ticket, question: ask.question },
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
            self.taken(&batch);
            let inputs = match inputs(&batch) {
                Ok(inputs) => inputs,
                Err(error) => return self.failed(batch, &error.message),
            };
            if let Err(job) = self.pool.submit(Job { model: batch.model, inputs, payload: batch }) {
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
        let oldest = batch.requests.iter().map(|request| request.arrived).min();
        let waited = oldest.map_or(Duration::ZERO, |at| done.began.saturating_duration_since(at));
        let took = Duration::from_secs_f64(done.seconds);
        InferenceDone { model: self.name(batch.model), took, waited }.emit();
        let model = batch.model;
        let answers = batch.requests.into_iter().zip(predictions).map(|(request, prediction)| {
            let Asking { ticket, question } = request.payload;
            let prediction = Arc::new(prediction);
            if let Question::Text { key, .. } = question {
                self.cache.insert(model, key, prediction.clone());
            }
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
        self.models.get(usize::from(model.0)).map_or("", |model| model.name.as_str())
    }

    fn taken(&self, batch: &Work) {
        let Batch { model, requests, tokens_padded, tokens_used } = batch;
        let (tokens_padded, tokens_used) = (*tokens_padded, *tokens_used);
        BatchTaken { model: self.name(*model), rows: requests.len(), tokens_padded, tokens_used }.emit();
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

/// A batch as its model reads it: texts, or rows one behind the other.
fn inputs(batch: &Work) -> Result<Inputs, Error> {
    let questions = || batch.requests.iter().map(|request| &request.payload.question);
    let Some(Question::Row(first)) = questions().next() else {
        let texts = questions().filter_map(|question| match question {
            Question::Text { encoding, .. } => Some(encoding.clone()),
            Question::Row(_) => None,
        });
        return whole(Inputs::Texts(texts.collect()), batch);
    };
    let mut rows = Rows::with_capacity(first.len(), batch.requests.len());
    for question in questions() {
        if let Question::Row(row) = question {
            rows.push(row);
        }
    }
    whole(Inputs::Rows(Arc::new(rows.into_array()?)), batch)
}

/// One input a request: texts and rows in one batch, or rows of unlike width, would lose some.
fn whole(inputs: Inputs, batch: &Work) -> Result<Inputs, Error> {
    let (fit, asked) = (inputs.len(), batch.requests.len());
    match fit == asked {
        true => Ok(inputs),
        false => Err(Error::new(Fault::Bug, format!("{fit} of a batch of {asked} are of one form and width"))),
    }
}

fn refused(culprits: Vec<Request<Asking>>, why: &str) -> Vec<Answered> {
    let why: Arc<str> = Arc::from(why);
    culprits.into_iter().map(|culprit| (culprit.payload.ticket, Err(why.clone()))).collect()
}
