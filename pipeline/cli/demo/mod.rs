//! `groundswell demo`: the real pipeline between an embedded broker and a scenario that unfolds, and a screen that
//! shows what flows.
//!
//! `scenario` says what customers write, `load` writes it to the input topics, the pipeline does what it always does,
//! `reader` reads its results back, `tally` sums them up, `screen` and `summary` show the sums.

mod alerts;
mod broker;
mod delivered;
mod latency;
mod line;
mod load;
mod play;
mod reader;
mod scenario;
mod screen;
mod summary;
mod tally;
mod terminal;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::admin::wanted;
use super::run::{Signals, ended, health, start};
use super::stages::{self, Stages};
use super::{Outcome, places};
use crate::api;
use crate::config::{self, Settings};
use crate::event::{Error, Fault};
use crate::telemetry::{self, Health, Metrics};
use broker::Broker;
use load::Plan;
use play::{Play, leave_at_once};
use scenario::Timeline;
use terminal::{Abilities, say};

/// Faster than this the embedded broker, which shares the machine with the models, is what is measured.
const RATE_MAX: f64 = 5000.0;
const FETCH_WAIT_MS: u32 = 5;
/// What a minute is elsewhere is a second here, so that a story of minutes has its alerts.
const ALERTS: [&str; 12] = [
    "alerts.enabled=true",
    "alerts.bucket_ms=1000",
    "alerts.grace_ms=1000",
    // What comes before the story is read fast, and one partition faster than another.
    "alerts.idle_ms=120000",
    "alerts.warm_up_ms=45000",
    "alerts.flap_ms=30000",
    // Shoppers come with the story: what is usual of them is not known in time.
    "alerts.rules.clicks.scopes=[]",
    "alerts.rules.purchases.scopes=[]",
    "alerts.rules.cart_share.scopes=[]",
    "alerts.rules.unusual_purchases.scopes=[]",
    // How much is written is what --rate says.
    "alerts.rules.volume.scopes=[]",
    // A minute is fewer buckets than this one has to see.
    "alerts.rules.unusual_volume.scopes=[]",
];
const READY_LOOK: Duration = Duration::from_millis(50);

/// Show reviews, chats and clicks being scored, with nothing else needed: no Kafka, no configuration.
///
/// Starts a broker inside this process, the pipeline as `run` runs it, and customers who click in a made-up shop and
/// write about it in two languages. First it reads what they wrote in the last minute, then the story begins: a firmware
/// update goes wrong after 15 seconds (sooner in a run shorter than a minute), and an alert says so. Ctrl-C ends it with
/// a summary.
///
/// Example: groundswell demo --seconds 90 --rate 200
#[derive(Debug, Args)]
pub struct Demo {
    /// Ends by itself after so many seconds; 0 goes on until Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,

    /// Events that customers write in a second.
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = rate)]
    rate: f64,

    /// What is written follows from this number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Nothing goes wrong: no update, and no alert.
    #[arg(long)]
    calm: bool,

    /// Sets one configuration key, as in `run`; may be given several times.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    overrides: Vec<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if (1.0..=RATE_MAX).contains(&rate) { Ok(rate) } else { Err(format!("{rate} is not within 1 and {RATE_MAX}")) }
}

impl Demo {
    pub fn run(self) -> Result<Outcome, Error> {
        let abilities = Abilities::here();
        let broker = Broker::start()?;
        let settings = self.settings(&broker, abilities)?;
        let topics: Vec<String> = wanted(&settings).into_iter().map(|(name, _)| name).collect();
        broker.create_topics(&topics)?;
        telemetry::init(&settings.log)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::new(Fault::Bug, format!("cannot listen for signals: {e}")))?;
        let played = runtime.block_on(self.play(&settings, abilities));
        // A model that still loads when a signal ends the demo is not waited for.
        runtime.shutdown_background();
        // Clients of the broker have ended by now; before, they would report that it is gone.
        drop(broker);
        // What the stages remembered ended with the broker. Nobody else knows the folder.
        let _ = std::fs::remove_dir_all(state_folder());
        played.map(|()| Outcome::Done)
    }

    /// The defaults, with what makes them a demo; the environment is left out, so that a configuration for another
    /// Kafka does not get in.
    fn settings(&self, broker: &Broker, abilities: Abilities) -> Result<Settings, Error> {
        let mut overrides = vec!["text.include_text=true".to_owned(), "log.filter=error".to_owned()];
        overrides.extend(ALERTS.map(str::to_owned));
        overrides.extend(self.overrides.iter().cloned());
        overrides.push(format!("alerts.partitions={}", broker::PARTITIONS));
        overrides.push(format!("kafka.bootstrap_servers={}", quoted(&broker.bootstrap_servers())));
        // The embedded broker lets a reader wait its whole time, even if a record comes meanwhile.
        overrides.push(format!("kafka.librdkafka.\"fetch.wait.max.ms\"={FETCH_WAIT_MS}"));
        overrides.push("instance.name=demo".to_owned());
        overrides.push(format!("state.directory={}", quoted(&state_folder().display().to_string())));
        if abilities.drawing && std::io::stderr().is_terminal() {
            // A log line would tear the picture. What ends the demo is said after it.
            overrides.push("log.filter=off".to_owned());
        }
        let settings = config::load(None, &overrides, std::iter::empty()).map_err(Error::from)?;
        Ok(places::locate(settings))
    }

    async fn play(&self, settings: &Settings, abilities: Abilities) -> Result<(), Error> {
        let mut signals = Signals::new()?;
        let stages = stages::chosen(&[], settings)?;
        let health = Arc::new(health(settings, &stages));
        let metrics = telemetry::recorder()?;
        let look_ups = Arc::new(api::LookUps::new(&settings.http)?);
        let server = settings.http.listen.map(|listen| serve(listen, &health, &metrics, &look_ups)).transpose()?;
        say("starting the embedded broker, the model and the pipeline …\n")?;
        let running = tokio::select! {
            running = start(settings, &stages, health.clone()) => running?,
            () = signals.next() => return Ok(()),
        };
        running.answer(&look_ups);
        if !ready(&running, &health, &mut signals).await {
            running.stop();
            return running.join();
        }
        let timeline = if self.calm { Timeline::calm() } else { Timeline::new(self.length_s()) };
        let plan = Plan { seed: self.seed, rate: self.rate, timeline };
        let addresses = addresses(settings, server.as_ref());
        let mut play = Play::start(settings, plan, self.length_s(), metrics, addresses)?;
        let watched = play.watch(abilities, &running, &mut signals).await;
        let ended = tokio::select! {
            ended = play.end(running) => ended,
            () = signals.next() => leave_at_once(abilities),
        };
        watched.and(ended)?;
        play.conclude()
    }

    fn length_s(&self) -> Option<f64> {
        (self.seconds > 0).then_some(self.seconds as f64)
    }
}

/// Another process may listen where metrics usually are: then any free port will do.
fn serve(
    listen: SocketAddr,
    health: &Arc<Health>,
    metrics: &Metrics,
    look_ups: &Arc<api::LookUps>,
) -> Result<api::Server, Error> {
    let at = |listen| api::serve(listen, health.clone(), metrics.clone(), look_ups.clone());
    at(listen).or_else(|_| at(SocketAddr::new(listen.ip(), 0)))
}

/// Waits until the models are warm and the partitions assigned, so that the first latencies are not those of the
/// start. False: the pipeline has ended, or was asked to.
async fn ready(running: &Stages, health: &Health, signals: &mut Signals) -> bool {
    loop {
        if health.ready(Instant::now()).is_ok() {
            return true;
        }
        tokio::select! {
            () = ended(running, false) => return false,
            () = signals.next() => return false,
            () = tokio::time::sleep(READY_LOOK) => {}
        }
    }
}

/// This run's own.
fn state_folder() -> PathBuf {
    std::env::temp_dir().join(format!("groundswell-demo-{}", std::process::id()))
}

fn addresses(settings: &Settings, server: Option<&api::Server>) -> String {
    let metrics = server.map(|server| format!(", metrics http://{}/metrics", server.address())).unwrap_or_default();
    format!("embedded Kafka {}{metrics}", settings.kafka.bootstrap_servers)
}

/// As a TOML string, so that no path is taken for anything else.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_bounds() {
        assert_eq!(rate("60"), Ok(60.0));
        for wrong in ["0", "0.5", "6000", "NaN", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_demo_is_the_defaults_with_a_broker_of_its_own() {
        let broker = Broker::start().unwrap();
        let overrides = vec!["kafka.bootstrap_servers=elsewhere:9092".to_owned(), "batch.tokens_max=1024".to_owned()];
        let demo = Demo { seconds: 0, rate: 60.0, seed: 1, calm: false, overrides };
        let settings = demo.settings(&broker, Abilities { drawing: false, colours: false }).unwrap();
        assert_eq!(settings.kafka.bootstrap_servers, broker.bootstrap_servers());
        assert_eq!(settings.delivery.mode, config::DeliveryMode::ExactlyOnce);
        assert!(settings.alerts.enabled && settings.alerts.bucket_ms() == 1_000);
        assert!(settings.text.include_text && settings.batch.tokens_max == 1024);
        broker.create_topics(&[settings.outputs.profiles]).unwrap();
    }

    #[test]
    fn a_path_stays_as_it_is() {
        assert_eq!(quoted(r#"C:\a "b""#), r#""C:\\a \"b\"""#);
    }
}
