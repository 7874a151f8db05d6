//! Which texts go through a model together, and which answers are known already.
//!
//! The promise: a request that was pushed leaves through [`Batcher::take`] in one batch, or is dropped by
//! [`Batcher::retain`] or [`Batcher::clear`]; nothing else loses it, nothing doubles it. A batch never costs more than
//! `tokens_max` padded tokens (longest × count), unless it holds a single request that is longer than that.
//!
//! Three things, apart: how requests are kept (`queue`), which of them go and together with which (`policy`), and when
//! (here: [`Batcher::take`] and [`Batcher::next_deadline`]). What a failed batch becomes is in `retry`. One thread
//! drives it all and hands in the time; there is no I/O and no lock.
//!
//! Bounds: the batcher holds what is pushed, and what is pushed is bounded by the records and bytes in flight
//! (`runtime`); the arrival lists hold at most twice as many places as requests. The cache is bounded in bytes.

mod cache;
mod policy;
mod queue;
mod retry;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config;
use crate::event::{ModelId, Priority};

pub use cache::{Cache, CacheStats};
use policy::{Fill, Turns};
use queue::Queue;

/// Full batches that must wait for a model before one is taken ahead of its turn.
const AHEAD_BATCHES: usize = 4;

/// One text that waits for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<T> {
    pub model: ModelId,
    pub priority: Priority,
    /// Length as the model reads it; counts as at least one.
    pub tokens: usize,
    /// Rows that the model can take in a batch: 1 for a model that scores a text by the company it keeps. The same for
    /// every request of a model; the smallest seen counts.
    pub rows_max: Option<usize>,
    pub arrived: Instant,
    /// Runs that failed with this request in them: since it was pushed, or since it has been alone.
    pub tries: u32,
    pub payload: T,
}

/// Requests that go through a model in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T> {
    pub model: ModelId,
    /// Never empty when it comes from [`Batcher::take`].
    pub requests: Vec<Request<T>>,
    /// What the model computes: longest × count.
    pub tokens_padded: usize,
    /// What the texts hold.
    pub tokens_used: usize,
}

impl<T> Batch<T> {
    fn new(model: ModelId, requests: Vec<Request<T>>) -> Self {
        let longest = requests.iter().map(|r| r.tokens).max().unwrap_or(0);
        let tokens_used = requests.iter().map(|r| r.tokens).sum();
        Self { model, tokens_padded: longest.saturating_mul(requests.len()), tokens_used, requests }
    }
}

/// Requests in, batches out.
#[derive(Debug)]
pub struct Batcher<T> {
    tokens_max: usize,
    queue_delay_max: Duration,
    tries_max: u32,
    /// A handful: found by a walk.
    queues: Vec<(ModelId, Queue<T>)>,
    /// Batches that failed, as they will be run again: not to be mixed with others. They go first.
    retries: VecDeque<Batch<T>>,
    turns: Turns,
}

impl<T> Batcher<T> {
    pub fn new(settings: &config::Batch) -> Self {
        Self {
            tokens_max: settings.tokens_max,
            queue_delay_max: settings.queue_delay_max,
            tries_max: settings.tries_max,
            queues: Vec::new(),
            retries: VecDeque::new(),
            turns: Turns::default(),
        }
    }

    pub fn push(&mut self, request: Request<T>) {
        let model = request.model;
        let at = self.queues.iter().position(|(id, _)| *id == model).unwrap_or_else(|| {
            self.queues.push((model, Queue::default()));
            self.queues.len() - 1
        });
        self.queues[at].1.push(request);
    }

    /// The next batch, for a worker that is idle; `None` while waiting for company is worth more.
    ///
    /// A request goes once it has waited `queue_delay_max`, or at once when its model has enough waiting for a full
    /// batch. Of those that may go, [`Turns`] names the one that must be in; the rest of the batch is what lies nearest
    /// to it in length.
    pub fn take(&mut self, now: Instant) -> Option<Batch<T>> {
        if let Some(batch) = self.retries.pop_front() {
            return Some(batch);
        }
        let (priority, at) = self.lead(now)?;
        let (model, queue) = &mut self.queues[at];
        Some(Batch::new(*model, queue.cut(priority, self.tokens_max)?))
    }

    /// The next batch, for a worker that is still busy: `None` unless so much waits for its model that neither the fill
    /// of the batches after it nor a chat that comes meanwhile would notice.
    pub fn take_ahead(&mut self, now: Instant) -> Option<Batch<T>> {
        let turns = self.turns;
        let (priority, at) = if self.retries.is_empty() { self.lead(now)? } else { return None };
        let (model, queue) = &mut self.queues[at];
        if !queue.fills(AHEAD_BATCHES, self.tokens_max) {
            // Nobody had the turn.
            self.turns = turns;
            return None;
        }
        Some(Batch::new(*model, queue.cut(priority, self.tokens_max)?))
    }

    /// When [`take`](Self::take) will next have something to give, if nothing is pushed until then; in the past if it
    /// has something already.
    pub fn next_deadline(&self) -> Option<Instant> {
        let retry = self.retries.front().and_then(|batch| batch.requests.first()).map(|request| request.arrived);
        let waiting = self.queues.iter().flat_map(|(_, queue)| {
            let delay = if queue.is_full(self.tokens_max) { Duration::ZERO } else { self.queue_delay_max };
            [Priority::High, Priority::Normal].into_iter().filter_map(move |p| Some(queue.oldest(p)? + delay))
        });
        retry.into_iter().chain(waiting).min()
    }

    /// Requests that wait, retries included.
    pub fn len(&self) -> usize {
        let queued: usize = self.queues.iter().map(|(_, queue)| queue.len()).sum();
        queued + self.retries.iter().map(|batch| batch.requests.len()).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that wait, retries included, without padding.
    pub fn tokens(&self) -> usize {
        let queued: usize = self.queues.iter().map(|(_, queue)| queue.tokens()).sum();
        queued + self.retries.iter().map(|batch| batch.tokens_used).sum::<usize>()
    }

    /// Drops every request whose payload is not wanted any more: of a revoked partition, of an aborted generation.
    pub fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        for (_, queue) in &mut self.queues {
            queue.retain(&mut wanted);
        }
        for batch in std::mem::take(&mut self.retries) {
            let kept: Vec<_> = batch.requests.into_iter().filter(|request| wanted(&request.payload)).collect();
            if !kept.is_empty() {
                self.retries.push_back(Batch::new(batch.model, kept));
            }
        }
    }

    /// Drops every request.
    pub fn clear(&mut self) {
        self.queues.clear();
        self.retries.clear();
    }

    /// Which request must be in the next batch: the oldest of this priority in this queue. Takes the turn.
    fn lead(&mut self, now: Instant) -> Option<(Priority, usize)> {
        let (high, normal) = (self.oldest_due(Priority::High, now), self.oldest_due(Priority::Normal, now));
        let priority = self.turns.next(high.is_some(), normal.is_some())?;
        Some((priority, if priority == Priority::High { high? } else { normal? }))
    }

    /// The queue whose oldest request of this priority may go and has waited longest.
    fn oldest_due(&self, priority: Priority, now: Instant) -> Option<usize> {
        let due = self.queues.iter().enumerate().filter_map(|(at, (_, queue))| {
            let arrived = queue.oldest(priority)?;
            let may_go = queue.is_full(self.tokens_max) || now >= arrived + self.queue_delay_max;
            may_go.then_some((arrived, at))
        });
        due.min().map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests;
