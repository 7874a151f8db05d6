//! Backends on threads of their own, one job at a time each, and as many jobs waiting ahead of them as there are threads.
//!
//! What it promises: every job that [`Pool::submit`] takes comes back exactly once, either through the callback or from
//! [`Pool::expire`], never both; unless the pool is dropped first: then what has not come back may. A backend that panics
//! is replaced on its thread; a thread that hangs is abandoned and replaced, and what it answers later is dropped. A job
//! ahead belongs to no worker yet: whichever is free next takes it, so none waits behind one that hangs. What it needs:
//! one thread that submits and calls `expire` at least as often as it wants to notice a hang or a replaced worker that has
//! become ready.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::event::{Error, Fault, ModelId, Prediction};

use super::backend::{Backend, Inputs, ModelError};
use super::slot::{Slot, State};
use super::worker;

/// Threads that hang at the same time before the process gives up: each holds a model's memory and perhaps a core.
const ABANDONED_MAX: usize = 4;

/// Makes a backend, on the thread that will use it: at the start, and again in place of one that panicked or hung.
pub type Factory = Arc<dyn Fn() -> Result<Box<dyn Backend>, Error> + Send + Sync>;

pub(super) type Callback<T> = Arc<dyn Fn(Done<T>) + Send + Sync>;

/// A batch for one model. The payload is the caller's own: what it needs to know when the answers come.
#[derive(Clone, Debug, PartialEq)]
pub struct Job<T> {
    pub payload: T,
    pub model: ModelId,
    pub inputs: Inputs,
}

/// A job that was run, with one prediction for each of its texts or rows, in their order.
#[derive(Debug)]
pub struct Done<T> {
    pub job: Job<T>,
    pub result: Result<Vec<Prediction>, ModelError>,
    /// When its worker began with it.
    pub began: Instant,
    /// From then to its end.
    pub seconds: f64,
    /// The worker's position in the pool.
    pub worker: usize,
}

pub struct Pool<T> {
    factory: Factory,
    done: Callback<T>,
    /// A job that takes longer is taken back.
    timeout: Duration,
    workers: Vec<Worker<T>>,
    /// To whichever worker is free first; twice as many places as workers.
    jobs: Sender<Job<T>>,
    jobs_in: Receiver<Job<T>>,
    /// Jobs submitted that have not come back.
    open: Arc<AtomicUsize>,
    /// Closed when the thread that hung has ended after all.
    abandoned: Vec<Receiver<Infallible>>,
}

struct Worker<T> {
    slot: Slot<T>,
    /// Closed when the thread has ended.
    ended: Receiver<Infallible>,
}

impl<T: Send + 'static> Pool<T> {
    /// Returns when all workers are ready, or with the first error that a factory gives. `done` is called on a worker's
    /// thread, which is idle again by then, unless its backend panicked and is being replaced.
    pub fn start(
        workers: usize,
        timeout: Duration,
        factory: Factory,
        done: impl Fn(Done<T>) + Send + Sync + 'static,
    ) -> Result<Pool<T>, Error> {
        let (jobs, jobs_in) = bounded(2 * workers);
        let mut pool = Pool {
            factory,
            done: Arc::new(done),
            timeout,
            workers: Vec::with_capacity(workers),
            jobs,
            jobs_in,
            open: Arc::default(),
            abandoned: Vec::new(),
        };
        let mut ready = Vec::with_capacity(workers);
        for index in 0..workers {
            let (worker, started) = pool.spawn(index)?;
            pool.workers.push(worker);
            ready.push(started);
        }
        for (worker, started) in pool.workers.iter().zip(ready) {
            // Closed by the thread once its backend is made or has failed; the slot says which.
            let _ = started.recv();
            if let State::Failed(error) = &*worker.slot.lock() {
                return Err(error.clone());
            }
        }
        Ok(pool)
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Jobs that would run at once.
    pub fn idle(&self) -> usize {
        self.ready().saturating_sub(self.open())
    }

    /// Jobs that [`submit`](Self::submit) would take: those that would run at once, and one ahead for each worker.
    pub fn places(&self) -> usize {
        (2 * self.ready()).saturating_sub(self.open())
    }

    /// Gives the job to the worker that is free first, or back where too many wait already.
    pub fn submit(&mut self, job: Job<T>) -> Result<(), Job<T>> {
        if self.places() == 0 {
            return Err(job);
        }
        // Counted before it is sent: the answer may come at once.
        self.open.fetch_add(1, Ordering::AcqRel);
        self.jobs.try_send(job).map_err(|refused| {
            self.open.fetch_sub(1, Ordering::AcqRel);
            refused.into_inner()
        })
    }

    /// Takes back the jobs of workers that have not answered in time, and replaces those workers. An error ends the
    /// process: too many threads hang, or a backend cannot be made again.
    pub fn expire(&mut self, now: Instant) -> Result<Vec<Job<T>>, Error> {
        let mut jobs = Vec::new();
        for index in 0..self.workers.len() {
            if let Some(job) = self.workers[index].slot.overdue(now, self.timeout)? {
                self.open.fetch_sub(1, Ordering::AcqRel);
                jobs.push(job);
                self.replace(index)?;
            }
        }
        Ok(jobs)
    }

    /// Workers that have a backend, busy or not.
    fn ready(&self) -> usize {
        self.workers.iter().filter(|w| matches!(*w.slot.lock(), State::Idle | State::Busy { .. })).count()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn replace(&mut self, index: usize) -> Result<(), Error> {
        self.abandoned.retain(|ended| ended.try_recv() == Err(TryRecvError::Empty));
        if self.abandoned.len() == ABANDONED_MAX {
            return Err(Error::new(
                Fault::Model,
                format!(
                    "worker {index} has not answered within {} s, and {ABANDONED_MAX} others hang already",
                    self.timeout.as_secs_f64()
                ),
            ));
        }
        let (worker, _) = self.spawn(index)?;
        let old = std::mem::replace(&mut self.workers[index], worker);
        self.abandoned.push(old.ended);
        Ok(())
    }

    fn spawn(&self, index: usize) -> Result<(Worker<T>, Receiver<Infallible>), Error> {
        let slot = Slot::new(Instant::now());
        let (ended_out, ended) = bounded(0);
        let (started_out, started) = bounded(0);
        let thread = worker::Thread {
            index,
            factory: self.factory.clone(),
            done: self.done.clone(),
            slot: slot.clone(),
            jobs: self.jobs_in.clone(),
            open: self.open.clone(),
        };
        thread::Builder::new()
            .name(format!("model-{index}"))
            .spawn(move || {
                let _ended: Sender<Infallible> = ended_out;
                thread.run(started_out);
            })
            .map_err(|e| Error::new(Fault::Model, format!("the thread of worker {index} cannot be started: {e}")))?;
        Ok((Worker { slot, ended }, started))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crossbeam_channel::unbounded;

    use super::*;
    use crate::event::{Encoding, HeadAnswer};

    const TIMEOUT: Duration = Duration::from_secs(10);
    /// Ids that make the scripted backend misbehave; any other is answered by itself.
    const PANIC: u32 = 1001;
    const FAIL: u32 = 1002;
    const HANG: u32 = 1003;
    const SHORT: u32 = 1004;

    struct Scripted {
        entered: Sender<()>,
        release: Receiver<()>,
    }

    impl Backend for Scripted {
        fn run(&mut self, _: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
            let Inputs::Texts(texts) = inputs else { panic!("rows") };
            match texts[0].ids[0] {
                PANIC => panic!("scripted"),
                FAIL => return Err(ModelError::UnknownModel { model: 9, models: 0 }),
                HANG => {
                    self.entered.send(()).unwrap();
                    self.release.recv().unwrap();
                }
                SHORT => return Ok(Vec::new()),
                _ => {}
            }
            let answer = |t: &Arc<Encoding>| HeadAnswer { values: [t.ids[0] as f32].into() };
            Ok(texts.iter().map(|t| Prediction { heads: [answer(t)].into() }).collect())
        }
    }

    struct Bench {
        pool: Pool<u32>,
        done: Receiver<Done<u32>>,
        entered: Receiver<()>,
        release: Sender<()>,
        made: Arc<AtomicUsize>,
        start: Instant,
    }

    impl Bench {
        fn new(workers: usize) -> Bench {
            Bench::with(workers, |_| Ok(())).unwrap()
        }

        /// `refuse` is asked with the number of backends made so far.
        fn with(
            workers: usize,
            refuse: impl Fn(usize) -> Result<(), Error> + Send + Sync + 'static,
        ) -> Result<Bench, Error> {
            let (entered_out, entered) = unbounded();
            let (release, release_in) = unbounded();
            let (done_out, done) = unbounded();
            let made = Arc::new(AtomicUsize::new(0));
            let count = made.clone();
            let factory: Factory = Arc::new(move || {
                refuse(count.fetch_add(1, Ordering::SeqCst))?;
                Ok(Box::new(Scripted { entered: entered_out.clone(), release: release_in.clone() }))
            });
            let pool = Pool::start(workers, TIMEOUT, factory, move |d| done_out.send(d).unwrap())?;
            Ok(Bench { pool, done, entered, release, made, start: Instant::now() })
        }

        fn submit(&mut self, payload: u32, ids: &[u32]) -> Result<(), Job<u32>> {
            let texts = ids.iter().map(|&id| Arc::new(Encoding { ids: [id].into(), truncated: false })).collect();
            self.pool.submit(Job { payload, model: ModelId(0), inputs: Inputs::Texts(texts) })
        }

        fn await_idle(&self, idle: usize) {
            let deadline = Instant::now() + Duration::from_secs(60);
            while self.pool.idle() < idle {
                assert!(Instant::now() < deadline, "{} of {idle} workers are idle", self.pool.idle());
                thread::yield_now();
            }
        }
    }

    fn values(done: &Done<u32>) -> Vec<f32> {
        done.result.as_ref().unwrap().iter().map(|p| p.heads[0].values[0]).collect()
    }

    #[test]
    fn answers_keep_the_order_of_the_texts() {
        let mut bench = Bench::new(3);
        for payload in 0..300 {
            bench.await_idle(1);
            bench.submit(payload, &[payload, 2, payload + 1]).unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..300 {
            let done = bench.done.recv().unwrap();
            assert_eq!(values(&done), [done.job.payload as f32, 2.0, (done.job.payload + 1) as f32]);
            seen.push(done.job.payload);
        }
        seen.sort();
        assert!(seen.into_iter().eq(0..300), "each job once");
    }

    #[test]
    fn one_job_a_worker_waits_ahead_and_a_full_pool_gives_the_next_back() {
        let mut bench = Bench::new(1);
        bench.submit(1, &[HANG]).unwrap();
        assert_eq!((bench.pool.idle(), bench.pool.places()), (0, 1));
        bench.submit(2, &[5]).unwrap();
        assert_eq!(bench.pool.places(), 0);
        assert_eq!(bench.submit(3, &[5]).unwrap_err().payload, 3);
        bench.release.send(()).unwrap();
        let done: Vec<u32> = (0..2).map(|_| bench.done.recv().unwrap().job.payload).collect();
        assert_eq!(done, [1, 2]);
        assert_eq!((bench.pool.idle(), bench.pool.places()), (1, 2));
    }

    #[test]
    fn a_job_ahead_does_not_wait_behind_one_that_hangs() {
        let mut bench = Bench::new(2);
        bench.submit(1, &[HANG]).unwrap();
        bench.entered.recv().unwrap();
        for payload in 2..12 {
            while bench.pool.places() == 0 {
                thread::yield_now();
            }
            bench.submit(payload, &[payload]).unwrap();
        }
        let done: Vec<u32> = (0..10).map(|_| bench.done.recv().unwrap().job.payload).collect();
        assert!(done.into_iter().eq(2..12));
        bench.release.send(()).unwrap();
    }

    #[test]
    fn an_error_leaves_the_backend_in_place() {
        let mut bench = Bench::new(1);
        bench.submit(1, &[FAIL]).unwrap();
        let done = bench.done.recv().unwrap();
        assert_eq!(done.result, Err(ModelError::UnknownModel { model: 9, models: 0 }));
        bench.submit(2, &[7]).unwrap();
        assert_eq!(values(&bench.done.recv().unwrap()), [7.0]);
        assert_eq!(bench.made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_panic_is_answered_and_the_backend_replaced() {
        let mut bench = Bench::new(1);
        bench.submit(1, &[PANIC]).unwrap();
        let done = bench.done.recv().unwrap();
        assert_eq!(done.result, Err(ModelError::Panicked { message: "scripted".to_owned() }));
        bench.await_idle(1);
        assert_eq!(bench.made.load(Ordering::SeqCst), 2);
        bench.submit(2, &[7]).unwrap();
        assert_eq!(values(&bench.done.recv().unwrap()), [7.0]);
    }

    #[test]
    fn too_few_answers_are_an_error() {
        let mut bench = Bench::new(1);
        bench.submit(1, &[SHORT, 5]).unwrap();
        let message = bench.done.recv().unwrap().result.unwrap_err().to_string();
        assert!(message.contains("0 predictions for a batch of 2"), "{message}");
    }

    #[test]
    fn a_hang_gives_the_job_back_once() {
        let mut bench = Bench::new(2);
        bench.submit(1, &[HANG]).unwrap();
        bench.entered.recv().unwrap();
        assert_eq!(bench.pool.expire(bench.start + TIMEOUT).unwrap(), []);
        let jobs = bench.pool.expire(Instant::now() + TIMEOUT).unwrap();
        assert_eq!(jobs.iter().map(|j| j.payload).collect::<Vec<_>>(), [1]);
        assert_eq!(bench.pool.expire(Instant::now() + TIMEOUT).unwrap(), [], "once");
        bench.await_idle(2);
        bench.submit(2, &[7]).unwrap();
        assert_eq!(bench.done.recv().unwrap().job.payload, 2);

        bench.release.send(()).unwrap();
        let ended = bench.pool.abandoned.pop().unwrap();
        assert!(ended.recv().is_err(), "the abandoned thread ends");
        assert!(bench.done.try_recv().is_err(), "its late answer is dropped");
    }

    /// An answer that comes in the moment in which its job is taken back goes one way or the other.
    #[test]
    fn an_answer_that_races_with_its_time_out_is_given_once() {
        let mut bench = Bench::new(1);
        for payload in 0..500 {
            bench.await_idle(1);
            bench.submit(payload, &[7]).unwrap();
            (0..payload % 50).for_each(|_| thread::yield_now());
            let back = bench.pool.expire(Instant::now() + TIMEOUT).unwrap();
            match back.as_slice() {
                [] => assert_eq!(bench.done.recv().unwrap().job.payload, payload),
                [job] => {
                    assert_eq!(job.payload, payload);
                    assert!(bench.pool.abandoned.last().unwrap().recv().is_err());
                }
                _ => panic!("one job came back more than once"),
            }
            assert!(bench.done.try_recv().is_err(), "job {payload} was answered after it was taken back");
        }
    }

    #[test]
    fn hanging_threads_are_bounded() {
        let mut bench = Bench::new(1);
        for _ in 0..ABANDONED_MAX {
            bench.submit(1, &[HANG]).unwrap();
            bench.entered.recv().unwrap();
            assert_eq!(bench.pool.expire(Instant::now() + TIMEOUT).unwrap().len(), 1);
            bench.await_idle(1);
        }
        bench.submit(1, &[HANG]).unwrap();
        bench.entered.recv().unwrap();
        let error = bench.pool.expire(Instant::now() + TIMEOUT).unwrap_err();
        assert_eq!(error.fault, Fault::Model);
        assert_eq!(error.message, "worker 0 has not answered within 10 s, and 4 others hang already");
    }

    #[test]
    fn a_thread_that_ends_late_counts_no_longer() {
        let mut bench = Bench::new(1);
        for _ in 0..3 * ABANDONED_MAX {
            bench.submit(1, &[HANG]).unwrap();
            bench.entered.recv().unwrap();
            assert_eq!(bench.pool.expire(Instant::now() + TIMEOUT).unwrap().len(), 1);
            bench.release.send(()).unwrap();
            assert!(bench.pool.abandoned.last().unwrap().recv().is_err());
            bench.await_idle(1);
        }
        assert!(bench.done.try_recv().is_err());
    }

    #[test]
    fn a_factory_that_fails_stops_the_start() {
        let refuse = |made| if made == 1 { Err(Error::new(Fault::Config, "no model")) } else { Ok(()) };
        assert_eq!(Bench::with(2, refuse).err().unwrap().message, "no model");
        let refuse = |_| panic!("bad library");
        assert!(Bench::with(1, refuse).err().unwrap().message.contains("bad library"));
    }

    #[test]
    fn a_backend_that_cannot_be_made_again_ends_the_process() {
        let refuse = |made| if made == 0 { Ok(()) } else { Err(Error::new(Fault::Model, "out of memory")) };
        let mut bench = Bench::with(1, refuse).unwrap();
        bench.submit(1, &[PANIC]).unwrap();
        assert!(bench.done.recv().unwrap().result.is_err(), "the job comes back all the same");
        let deadline = Instant::now() + Duration::from_secs(60);
        let error = loop {
            assert!(Instant::now() < deadline);
            match bench.pool.expire(bench.start) {
                Ok(jobs) => assert_eq!(jobs, []),
                Err(error) => break error,
            }
            thread::yield_now();
        };
        assert_eq!(error.message, "out of memory");
    }
}
