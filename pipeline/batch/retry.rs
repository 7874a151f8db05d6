//! What becomes of a batch that failed: tried again, cut in two, and at last the culprit is alone.

use super::{Batch, Batcher, Request};

impl<T> Batcher<T> {
    /// Takes a failed batch back and returns the requests that are to blame.
    ///
    /// The batch is run again whole until it has failed `tries_max` times; then it is cut in two, and so are its parts,
    /// each after one failure, for it is known by then that the fault stays. A request that has failed alone
    /// `tries_max` times is a culprit; all others get their answers. With `n` requests and `k` culprits that costs at
    /// most `tries_max × (1 + k) + 2 k ⌈log₂ n⌉` runs.
    ///
    /// What is to be run again goes before everything else and is mixed with nothing.
    pub fn fail(&mut self, mut batch: Batch<T>) -> Vec<Request<T>> {
        batch.requests.iter_mut().for_each(|request| request.tries += 1);
        let tries = batch.requests.iter().map(|request| request.tries).min().unwrap_or(0);
        if !batch.requests.is_empty() && tries < self.tries_max {
            self.retries.push_front(batch);
            return Vec::new();
        }
        if batch.requests.len() < 2 {
            return batch.requests;
        }
        let right = batch.requests.split_off(batch.requests.len() / 2);
        for mut half in [right, batch.requests] {
            if let [alone] = half.as_mut_slice() {
                alone.tries = 0;
            }
            self.retries.push_front(Batch::new(batch.model, half));
        }
        Vec::new()
    }
    /// Takes back a batch that was never answered and returns the requests that are to blame.
    ///
    /// Each hang costs a thread for as long as it lasts, so the culprit is looked for with as few as can be: all requests
    /// are run alone, and the one that hangs then is it. One that was alone from the start is tried `tries_max` times,
    /// since whatever held the machine up may be over.
    pub fn fail_hung(&mut self, mut batch: Batch<T>) -> Vec<Request<T>> {
        if batch.requests.len() < 2 {
            return self.fail(batch);
        }
        for mut request in batch.requests.drain(..).rev() {
            request.tries = self.tries_max.saturating_sub(1);
            self.retries.push_front(Batch::new(batch.model, vec![request]));
        }
        Vec::new()
    }
}
