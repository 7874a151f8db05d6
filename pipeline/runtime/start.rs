use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Sender, bounded, unbounded};

use super::cores;
use super::engine::{Engine, Parts, Signal, source_starter};
use super::look_up::{Asked, UserLookUps};
use super::models::Served;
use super::owners::Holdings;
use super::prepare::PreparePool;
use super::report::{CommitReport, Report};
use super::restore::{Keeper, KeeperOptions, Restored, unusable};
use super::schemas::Registered;
use crate::config::{Settings, State};
use crate::event::{Error, Fault};
use crate::sink::{DeadLetters, Sink, SinkEvent, SinkOptions};
use crate::source::{Room, Subscription};
use crate::stages::Stage;
use crate::state::{Kinds, Local};
use crate::telemetry::{Health, LocalCopiesDiscarded, ModelWarm};

/// Questions that wait for an engine: as many as are let in over HTTP at a time. One that finds no room is dropped with its
/// reply.
const QUESTIONS_MAX: usize = 32;

/// A stage at work.
pub struct Running {
    stop: Box<dyn Fn() + Send + Sync>,
    thread: JoinHandle<Result<(), Error>>,
    /// What works for it on threads of its own, and ends with it.
    beside: Vec<Running>,
    ask: Option<Ask>,
    held: Arc<Holdings>,
    look_ups: Option<UserLookUps>,
}

/// Puts a question to a stage's engine. Where it has ended or has too many, the question is dropped with its reply.
pub(super) type Ask = Arc<dyn Fn(Asked) + Send + Sync>;

impl Running {
    /// A thread that goes on until it is told to stop.
    pub(super) fn new(stop: impl Fn() + Send + Sync + 'static, thread: JoinHandle<Result<(), Error>>) -> Running {
        Running { stop: Box::new(stop), thread, beside: Vec::new(), ask: None, held: Arc::default(), look_ups: None }
    }

    pub(super) fn with(mut self, other: Running) -> Running {
        self.beside.push(other);
        self
    }

    pub(super) fn answering(self, look_ups: Option<UserLookUps>) -> Running {
        Running { look_ups, ..self }
    }

    /// Answers what is asked about users; none where nothing is remembered of them.
    pub fn look_ups(&self) -> Option<UserLookUps> {
        self.look_ups.clone()
    }

    /// The partitions that a stage has.
    pub(super) fn held(&self) -> Arc<Holdings> {
        self.held.clone()
    }

    /// The way to ask a stage what it remembers; none where it is no stage.
    pub(super) fn ask(&self) -> Option<Ask> {
        self.ask.clone()
    }

    /// It and what works for it, one by one.
    pub fn apart(mut self) -> Vec<Running> {
        let beside = std::mem::take(&mut self.beside);
        std::iter::once(self).chain(beside.into_iter().flat_map(Running::apart)).collect()
    }

    /// Finishes what is under way within `delivery.shutdown_ms_max`, then ends.
    pub fn stop(&self) {
        (self.stop)();
        self.beside.iter().for_each(Running::stop);
    }

    /// It has ended, or something that works for it has.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished() || self.beside.iter().any(Running::is_finished)
    }

    /// Waits for the end: `Ok` after a stop, otherwise why it could not go on.
    pub fn join(self) -> Result<(), Error> {
        let name = self.thread.thread().name().unwrap_or("without a name").to_owned();
        let panicked = |_| Err(Error::new(Fault::Bug, format!("the thread {name} panicked")));
        let ended = self.thread.join().unwrap_or_else(panicked);
        self.beside.iter().for_each(Running::stop);
        let beside: Vec<Result<(), Error>> = self.beside.into_iter().map(Running::join).collect();
        std::iter::once(ended).chain(beside).collect()
    }
}

/// Starts a stage that reads these topics and asks these models: warms the models, finishes what a former life of this
/// instance left open, joins the group. Returns when the models are warm; brokers may still be out of reach then.
pub fn start_stage<S: Stage>(
    settings: &Settings,
    models: &Served,
    stage: Arc<S>,
    registered: &Registered,
    topics: Vec<String>,
    health: Arc<Health>,
) -> Result<Running, Error> {
    // Unbounded in form only: what passes through it is bounded by `Room`.
    let (signals, inbox) = unbounded::<Signal<S>>();
    let (ask, questions) = bounded(QUESTIONS_MAX);
    let room = Arc::new(Room::new(settings.delivery.in_flight_records_max, settings.delivery.in_flight_bytes_max));
    let letters = DeadLetters::new(&settings.outputs.dead_letters, S::NAME, settings.dead_letters.payload.clone());
    let inferred = sender(&signals, Signal::Inferred);
    let loading = Instant::now();
    let scoring = models.scoring(&settings.batch, inferred)?;
    for model in &models.models {
        ModelWarm { model: &model.name, version: &model.version, took: loading.elapsed() }.emit();
        health.model_warm(&model.name);
    }
    let prepare = PreparePool::start(cores(), &stage, &registered.resolver(), sender(&signals, Signal::Prepared))?;
    let group = format!("{}-{}", settings.kafka.group_prefix, S::NAME);
    let kinds = Kinds::new(&stage.kinds());
    let keeper = keeper(settings, &*stage, &kinds, &group, sender(&signals, Signal::Restored))?;
    let sink = SinkOptions {
        kafka: settings.kafka.clone(),
        mode: settings.delivery.mode,
        transaction_timeout: settings.delivery.transaction_timeout,
        id: format!("{group}-{}", settings.instance),
        group: group.clone(),
        stage: S::NAME,
        dead_letters: letters.clone(),
        changelog: !kinds.is_empty(),
    };
    let sink = Sink::start(sink, reported(CommitReport::new(S::NAME, health.clone(), &settings.outputs), &signals))?;
    let subscription = Subscription {
        stage: S::NAME,
        kafka: settings.kafka.clone(),
        group,
        instance: settings.instance.clone(),
        topics,
        revoke_max: settings.delivery.transaction_timeout * 2,
    };
    let held = Arc::new(Holdings::default());
    let engine = Engine::new(Parts {
        stage,
        room: room.clone(),
        prepare,
        scoring,
        sink,
        letters,
        delivery: settings.delivery.clone(),
        inbox,
        questions,
        start_source: source_starter(subscription, room, signals.clone()),
        report: Report::new(S::NAME, health),
        keeper,
        held: held.clone(),
    });
    let thread = thread::Builder::new()
        .name(format!("engine-{}", S::NAME))
        .spawn(move || engine.run())
        .map_err(|e| Error::new(Fault::Bug, format!("cannot start the engine thread: {e}")))?;
    let ask = asker(ask, sender(&signals, |()| Signal::Asked));
    let stop = move || {
        // An engine that has ended needs no stop.
        let _ = signals.send(Signal::Stop);
    };
    Ok(Running { ask: Some(ask), held, ..Running::new(stop, thread) })
}

/// What a stage with state needs beside the others: none where it has no kinds.
fn keeper<S: Stage>(
    settings: &Settings,
    stage: &S,
    kinds: &Kinds,
    group: &str,
    emit: impl Fn(Restored) + Clone + Send + 'static,
) -> Result<Option<Keeper>, Error> {
    if kinds.is_empty() {
        return Ok(None);
    }
    if let Some((one, other)) = kinds.duplicate() {
        let why = format!("state kinds {} and {} have the same id ({})", one.name(), other.name(), one.id());
        return Err(Error::new(Fault::Bug, why));
    }
    let State { directory, memory_bytes_max } = settings.state.clone();
    let directory = directory.join(format!("{group}-{}", settings.instance));
    let (local, discarded) = Local::open(&directory, (memory_bytes_max / 8) as u64).map_err(|e| unusable(&e))?;
    if let Some(why) = discarded {
        LocalCopiesDiscarded { stage: S::NAME, why: &why }.emit();
    }
    let options = KeeperOptions {
        stage: S::NAME,
        kafka: settings.kafka.clone(),
        group: group.to_owned(),
        kinds: kinds.clone(),
        grace_ms: stage.grace_ms(),
        memory_bytes_max,
        local,
    };
    Keeper::start(options, emit).map(Some)
}

/// The sink's callback: tells of what has become visible, and frees it, on the sink's thread.
fn reported<S: Stage>(report: CommitReport, signals: &Sender<Signal<S>>) -> impl Fn(SinkEvent) + Send + 'static {
    let to_engine = sender(signals, Signal::Sink);
    move |mut event| {
        if let SinkEvent::Committed { epoch, seconds } = &mut event {
            report.committed(epoch, *seconds);
            epoch.entries = Vec::new();
        }
        to_engine(event);
    }
}

/// Hands a question over, then wakes the engine.
fn asker(questions: Sender<Asked>, wake: impl Fn(()) + Send + Sync + 'static) -> Ask {
    Arc::new(move |asked| {
        if questions.try_send(asked).is_ok() {
            wake(());
        }
    })
}

/// A callback that turns what a part says into a signal. The engine may have ended: then nobody needs to know.
fn sender<S: Stage, T>(
    signals: &Sender<Signal<S>>,
    wrap: impl Fn(T) -> Signal<S> + Clone + Send + Sync + 'static,
) -> impl Fn(T) + Clone + Send + Sync + 'static {
    let signals = signals.clone();
    move |value| {
        let _ = signals.send(wrap(value));
    }
}
