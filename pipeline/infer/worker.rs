//! The thread of one of the pool's workers.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::event::{Error, Fault, ModelId, Prediction};

use super::backend::{Backend, ModelError};
use super::pool::{Callback, Done, Factory, Job};
use super::slot::{Slot, State};

pub(super) struct Thread<T> {
    pub index: usize,
    pub factory: Factory,
    pub done: Callback<T>,
    pub slot: Slot<T>,
    pub jobs: Receiver<Job<T>>,
    /// Jobs submitted that have not come back.
    pub open: Arc<AtomicUsize>,
}

impl<T> Thread<T> {
    /// Ends when the pool closes the queue or waits for this thread no longer. `started` is dropped once the slot says
    /// whether there is a backend.
    pub fn run(self, started: Sender<Infallible>) {
        let made = self.make();
        drop(started);
        let Some(mut backend) = made else { return };
        for job in &self.jobs {
            let began = Instant::now();
            let (model, inputs) = (job.model, job.inputs.clone());
            // It lies in the slot while it runs, so that it can be taken back.
            if !self.slot.begin(job, began) {
                return;
            }
            let answer = panic::catch_unwind(AssertUnwindSafe(|| backend.run(model, &inputs)));
            let seconds = began.elapsed().as_secs_f64();
            let panicked = answer.is_err();
            let result = answer
                .unwrap_or_else(|payload| Err(ModelError::Panicked { message: message(payload) }))
                .and_then(|predictions| complete(model, inputs.len(), predictions));
            let next = if panicked { State::Starting { since: Instant::now() } } else { State::Idle };
            let Some(job) = self.slot.finish(next) else { return };
            self.open.fetch_sub(1, Ordering::AcqRel);
            (self.done)(Done { job, result, began, seconds, worker: self.index });
            if panicked {
                // What panicked in the middle may panic again when it is dropped.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(backend)));
                match self.make() {
                    Some(made) => backend = made,
                    None => return,
                }
            }
        }
    }

    /// Says in the slot how it went. `None` where there is no backend, or nobody who waits for it.
    fn make(&self) -> Option<Box<dyn Backend>> {
        let made = panic::catch_unwind(AssertUnwindSafe(|| (self.factory)())).unwrap_or_else(|payload| {
            Err(Error::new(Fault::Model, format!("making a model worker panicked: {}", message(payload))))
        });
        match made {
            Ok(backend) => self.slot.started(State::Idle).then_some(backend),
            Err(error) => {
                self.slot.started(State::Failed(error));
                None
            }
        }
    }
}

/// Holds the backend to its contract: fewer answers would leave texts behind without a word.
fn complete(model: ModelId, asked: usize, predictions: Vec<Prediction>) -> Result<Vec<Prediction>, ModelError> {
    let got = predictions.len();
    match got == asked {
        true => Ok(predictions),
        false => Err(ModelError::Run {
            model: model.0.to_string(),
            message: format!("it gave {got} predictions for a batch of {asked}"),
        }),
    }
}

fn message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().map_or("no message", |text| text).to_owned(),
    }
}
