//! One pipeline on topics of its own, warm, and what it does with a load.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use groundswell::event::{Encoding, HeadAnswer, ModelId, Prediction};
use groundswell::infer::{Activation, Backend, Factory, Head, HeadKind, Inputs, ModelError};
use groundswell::runtime::{self, Loaded, Models, Running};
use groundswell::telemetry::{self, Health, Metrics};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS, Supply};
use super::progress::Progress;
use super::texts::review;

/// Enough for the broker's Java to have compiled what is hot.
const WARM_RECORDS: usize = 3000;
const STUCK_AFTER: Duration = Duration::from_secs(120);

pub struct Trial<'a> {
    broker: &'a Broker,
    progress: Progress,
    output: String,
    running: Running,
}

/// What went through the models, all trials of this process together.
pub struct Effort {
    pub tokens_used: f64,
    pub tokens_computed: f64,
    pub runs: f64,
    /// Of all workers together.
    pub model_seconds: f64,
}

impl Effort {
    pub fn since(&self, before: &Effort) -> Effort {
        Effort {
            tokens_used: self.tokens_used - before.tokens_used,
            tokens_computed: self.tokens_computed - before.tokens_computed,
            runs: self.runs - before.runs,
            model_seconds: self.model_seconds - before.model_seconds,
        }
    }
}

impl<'a> Trial<'a> {
    /// Starts the pipeline with the default settings but for the overrides, and sends a few records through it.
    pub fn start(broker: &'a Broker, name: &str, overrides: &[&str], models: Option<Models>) -> Outcome<Trial<'a>> {
        metrics();
        let settings = broker.settings(name, overrides)?;
        let input = settings.inputs.iter().find(|i| i.name == "reviews").ok_or("no reviews")?.topics[0].clone();
        let topics = ["reviews", "chats", "scored", "chats-scored", "dead"].map(|t| format!("{name}-{t}"));
        broker.create_topics(&topics)?;
        let models = match models {
            Some(models) => models,
            None => Models::load(&settings)?,
        };
        let names = models.loaded.iter().map(|model| model.name.clone());
        let health = Arc::new(Health::new(names, ["text"], Duration::from_secs(30), Instant::now()));
        let running = runtime::start_text(&settings, &models, health)?;
        let progress = Progress::new(broker, &format!("{name}-text"), &input)?;
        let mut trial = Trial { broker, progress, output: settings.outputs.reviews, running };
        let warm: Vec<String> = (0..WARM_RECORDS).map(|n| format!("warm {n}")).collect();
        trial.rate(&warm, Supply::Live)?;
        Ok(trial)
    }

    /// Texts a second, until the last of them is committed, which is when its result is visible.
    pub fn rate(&mut self, texts: &[String], supply: Supply) -> Outcome<f64> {
        self.progress.rate(self.broker, texts, supply, || self.running.is_finished())
    }

    /// Seconds from writing to visible, of each event, at a steady rate.
    pub fn latency(&mut self, texts: &[String], rate: f64, time: Duration) -> Outcome<Vec<f64>> {
        let count = (rate * time.as_secs_f64()) as usize;
        let producer = self.broker.producer()?;
        let reader = self.broker.reader(&self.output)?;
        let input = self.progress.topic().to_owned();
        let mut seconds = Vec::with_capacity(count);
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || {
                let started = Instant::now();
                for number in 0..count {
                    let at = started + Duration::from_secs_f64(number as f64 / rate);
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    let payload = review(number, &format!("{number} {}", texts[number % texts.len()]));
                    let record: BaseRecord<'_, (), [u8]> =
                        BaseRecord::to(&input).payload(payload.as_slice()).partition(number as i32 % PARTITIONS);
                    producer.send(record).map_err(|(error, _)| error)?;
                }
                producer.flush(Duration::from_secs(10))
            });
            self.read(&reader, count, |event_time_ms| seconds.push((now_ms() - event_time_ms) as f64 / 1000.0))?;
            sender.join().map_err(|_| "the sender panicked")??;
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        })?;
        Ok(seconds)
    }

    pub fn effort(&self) -> Effort {
        let page = metrics().render();
        let sum = |name: &str| sum_of(&page, name);
        Effort {
            tokens_used: sum("groundswell_batch_used_tokens_total"),
            tokens_computed: sum("groundswell_batch_computed_tokens_total"),
            runs: sum("groundswell_inference_seconds_count"),
            model_seconds: sum("groundswell_inference_seconds_sum"),
        }
    }

    pub fn stop(self) -> Outcome<()> {
        self.running.stop();
        Ok(self.running.join()?)
    }

    /// Reads so many scored events; tells of each when it was written, which the pipeline takes as its event time.
    fn read(&self, reader: &BaseConsumer, count: usize, mut each: impl FnMut(i64)) -> Outcome<()> {
        let mut last = Instant::now();
        let mut seen = 0;
        while seen < count {
            if self.running.is_finished() {
                return Err("the pipeline ended by itself".into());
            }
            if last.elapsed() > STUCK_AFTER {
                return Err(format!("{seen} of {count} events are visible, and no more come").into());
            }
            let Some(message) = reader.poll(Duration::from_millis(20)) else { continue };
            let message = message?;
            each(event_time_ms(message.payload().unwrap_or_default()));
            seen += 1;
            last = Instant::now();
        }
        Ok(())
    }
}

fn event_time_ms(payload: &[u8]) -> i64 {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        event_time: &'a str,
    }
    let event = serde_json::from_slice::<Event<'_>>(payload).ok();
    event.and_then(|event| event.event_time.parse::<jiff::Timestamp>().ok()).map_or(0, |at| at.as_millisecond())
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}

/// One recorder for the whole process.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::recorder().expect("metrics are started once"))
}

/// A model that costs nothing: everything is neutral.
pub fn free_model() -> Models {
    let heads = vec![Head {
        name: "label".into(),
        output: "label".into(),
        activation: Activation::Softmax,
        labels: vec!["any".into()],
        threshold: 0.0,
        top: 1,
        none: None,
        kind: HeadKind::Labels,
    }];
    let loaded = Loaded {
        name: "free".into(),
        version: "0".into(),
        kinds: vec![groundswell::config::Kind::Review],
        heads,
        unused: Vec::new(),
        tokens_max: 16,
        rows_max: None,
        warning: None,
        tokenise: Arc::new(|text| Ok(Encoding { ids: vec![1; text.len() % 16 + 1].into(), truncated: false })),
    };
    let factory: Factory = Arc::new(|| Ok(Box::new(Free) as Box<dyn Backend>));
    Models { loaded: vec![loaded], factory }
}

struct Free;

impl Backend for Free {
    fn run(&mut self, _: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
        let answer = || Prediction { heads: vec![HeadAnswer { values: vec![1.0].into() }].into() };
        Ok((0..inputs.len()).map(|_| answer()).collect())
    }
}

/// Of a metric over all its labels, in what [`metrics`] renders.
pub fn sum_of(page: &str, name: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
