use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Outcome;
use super::settings::ConfigArgs;
use super::stages::{self, StageName, Stages};
use super::stop;
use crate::api;
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::telemetry::{self, Health, Metrics, Started, Stopped};

/// How often the end of a stage is looked for.
const WATCH: Duration = Duration::from_millis(100);
const UPKEEP: Duration = Duration::from_secs(5);
/// The exit code of a process that a second signal ends: 128 + SIGTERM, as a shell counts.
pub(super) const KILLED: i32 = 143;

/// Run the pipeline.
///
/// SIGTERM or Ctrl-C finishes what is under way and commits it, within delivery.shutdown_ms_max; a second one leaves at
/// once, which is safe: what is not committed is read again.
///
/// Example: groundswell run --config groundswell.toml --set instance.name=a
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    config: ConfigArgs,

    /// Stages to run in this process, so that each can be scaled apart; by default all that have an input.
    #[arg(long, value_delimiter = ',', value_name = "STAGES")]
    stages: Vec<StageName>,
}

impl Run {
    pub fn run(self) -> Result<Outcome, Error> {
        let settings = self.config.load()?;
        let stages = stages::chosen(&self.stages, &settings)?;
        telemetry::init(&settings.log)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::new(Fault::Bug, format!("cannot listen for signals: {e}")))?;
        let ended = runtime.block_on(serve(&settings, &stages));
        // Models that still load when a signal ends the process are not waited for.
        runtime.shutdown_background();
        Stopped { error: ended.as_ref().err() }.emit();
        ended.map(|()| Outcome::Done)
    }
}

async fn serve(settings: &Settings, stages: &[StageName]) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let health = Arc::new(health(settings, stages));
    let metrics = telemetry::recorder()?;
    let names: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    Started { instance: &settings.instance, stages: &names }.emit();
    let look_ups = Arc::new(api::LookUps::new(&settings.http)?);
    let serve = |listen| api::serve(listen, health.clone(), metrics.clone(), look_ups.clone());
    let _server = settings.http.listen.map(serve).transpose()?;
    tokio::spawn(keep_up(metrics));
    let running = tokio::select! {
        running = start(settings, stages, health.clone()) => running?,
        // Nothing is under way yet.
        () = signals.next() => return Ok(()),
    };
    running.answer(&look_ups);
    tokio::select! {
        () = ended(&running, false) => running.stop(),
        () = signals.next() => running.stop(),
    }
    tokio::select! {
        () = ended(&running, true) => running.join(),
        () = signals.next() => stop::at_once(KILLED),
        // Something hangs, the broker perhaps: what it keeps is left to the next owner, as after a crash.
        () = tokio::time::sleep(settings.delivery.shutdown_max) => {
            running.leave()?;
            Stopped { error: None }.emit();
            stop::at_once(0)
        }
    }
}

/// What has to be there before the process is of use.
pub(super) fn health(settings: &Settings, stages: &[StageName]) -> Health {
    let commit_age_max = settings.delivery.transaction_timeout * 3;
    let names = stages.iter().map(|stage| stage.name());
    Health::new(stages::models(stages, settings), names, commit_age_max, Instant::now())
}

/// Loading models blocks; health is served meanwhile.
pub(super) async fn start(settings: &Settings, stages: &[StageName], health: Arc<Health>) -> Result<Stages, Error> {
    let (settings, stages) = (settings.clone(), stages.to_vec());
    let started = tokio::task::spawn_blocking(move || Stages::start(&stages, &settings, &health));
    started.await.map_err(|e| Error::new(Fault::Bug, format!("starting failed: {e}")))?
}

/// Recorded values are kept one by one until somebody asks for the metrics, and perhaps nobody does.
async fn keep_up(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.upkeep();
    }
}

/// Until one of the stages ends by itself, or, once they have been stopped, all have ended.
pub(super) async fn ended(running: &Stages, stopped: bool) {
    while !running.is_finished(stopped) {
        tokio::time::sleep(WATCH).await;
    }
}

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Signals, Error> {
        let listen = |kind| signal(kind).map_err(|e| Error::new(Fault::Bug, format!("cannot listen for signals: {e}")));
        Ok(Signals { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
