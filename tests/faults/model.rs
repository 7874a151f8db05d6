//! Models that panic, hang and fail, put before the real one: each culprit is set aside, everything else is scored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use groundswell::config::{self, Settings};
use groundswell::event::{Encoding, Error, ModelId, Prediction};
use groundswell::infer::{Backend, Inputs, ModelError};
use groundswell::runtime::{self, Models, Running};
use groundswell::telemetry::Health;

use crate::support::{Fate, Kafka, Outcome, Record, SOON, Stand, wait_until};

const PANICS: &str = "this one makes the model panic";
const HANGS: &str = "this one makes the model hang";
const FAILS: &str = "this one makes the model fail";
/// Good texts around each culprit.
const NEIGHBOURS: usize = 30;
/// `batch.timeout_ms` of these tests.
const TIMEOUT: Duration = Duration::from_millis(800);

#[test]
fn texts_that_break_the_model_are_set_aside_and_no_others() -> Outcome<()> {
    // Long enough to be given up, and over before too many threads hang.
    let hang = TIMEOUT * 2;
    let mut test = Broken::new("breaks", hang)?;
    test.write(&[PANICS, HANGS, FAILS])?;
    test.wait_and_judge()?;
    let broken = &test.broken;
    let counts = [&broken.panics, &broken.hangs, &broken.fails].map(|count| count.load(Ordering::Relaxed));
    assert!(counts.iter().all(|count| *count >= 2), "each is tried again before it is given up: {counts:?}");
    test.stop()
}

/// A thread that hangs for good cannot be ended; a text that does it must not end the process over and over.
#[test]
fn a_text_that_hangs_the_model_for_good_is_set_aside_too() -> Outcome<()> {
    let mut test = Broken::new("hangs", SOON * 10)?;
    test.write(&[HANGS])?;
    test.wait_and_judge()?;
    test.stop()
}

/// How often each happened, and how long a hang takes.
#[derive(Default)]
struct Counts {
    panics: AtomicUsize,
    hangs: AtomicUsize,
    fails: AtomicUsize,
    hang: Duration,
}

/// The real backend behind one that looks for texts.
struct Breaks {
    inner: Box<dyn Backend>,
    panics: Encoding,
    hangs: Encoding,
    fails: Encoding,
    counts: Arc<Counts>,
}

impl Backend for Breaks {
    fn run(&mut self, model: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
        let Inputs::Texts(texts) = inputs else { return self.inner.run(model, inputs) };
        let holds = |wanted: &Encoding| texts.iter().any(|text| text.ids == wanted.ids);
        if holds(&self.panics) {
            self.counts.panics.fetch_add(1, Ordering::Relaxed);
            panic!("asked for by a test");
        }
        if holds(&self.hangs) {
            self.counts.hangs.fetch_add(1, Ordering::Relaxed);
            thread::sleep(self.counts.hang);
        }
        if holds(&self.fails) {
            self.counts.fails.fetch_add(1, Ordering::Relaxed);
            return Err(ModelError::Run { model: "text".into(), message: "asked for by a test".into() });
        }
        self.inner.run(model, inputs)
    }
}

/// The pipeline in this process, with a model that breaks.
struct Broken {
    stand: Stand<'static>,
    broken: Arc<Counts>,
    running: Running,
    /// As long as the culprits, so that they share batches.
    neighbours: Vec<String>,
}

impl Broken {
    fn new(tag: &'static str, hang: Duration) -> Outcome<Self> {
        let stand = Stand::new(Kafka::shared()?, tag, 2, "[batch]\ntimeout_ms = 800\nqueue_delay_ms_max = 500\n")?;
        let settings = settings(&stand.config)?;
        let broken = Arc::new(Counts { hang, ..Counts::default() });
        let models = Models::load(&settings)?;
        let neighbours = neighbours(&models)?;
        let models = breaking(models, &broken)?;
        let health = Health::new(["text".to_owned()], ["text"], SOON, Instant::now());
        let running = runtime::start_text(&settings, &models, Arc::new(health))?;
        Ok(Self { stand, broken, running, neighbours })
    }

    /// Each culprit in the middle of good texts, all of them in one request.
    fn write(&mut self, culprits: &[&str]) -> Outcome<()> {
        let record = |text: &str| Record::new(serde_json::json!({"text": text}).to_string()).partition(0);
        for (culprit, around) in culprits.iter().zip(self.neighbours.chunks(NEIGHBOURS)) {
            let (before, behind) = around.split_at(NEIGHBOURS / 2);
            for (texts, fate) in
                [(before, Fate::Scored), (&[(*culprit).to_owned()], Fate::DeadLettered), (behind, Fate::Scored)]
            {
                let records: Vec<Record> = texts.iter().map(|text| record(text)).collect();
                self.stand.write("reviews", &records, fate)?;
            }
        }
        Ok(())
    }

    fn wait_and_judge(&self) -> Outcome<()> {
        let all = self.stand.written().len();
        wait_until(SOON, "the commit of all", || {
            let ended = self.running.is_finished();
            if ended { Err("the stage has ended by itself".into()) } else { Ok(self.stand.committed()? >= all) }
        })?;
        self.stand.judge()?;
        let letters = self.stand.kafka.read_committed(&self.stand.name("dead-letters"))?;
        assert!(letters.iter().all(|letter| super::broker::header(letter, "reason") == "model"));
        Ok(())
    }

    fn stop(self) -> Outcome<()> {
        self.running.stop();
        Ok(self.running.join()?)
    }
}

fn settings(file: &Path) -> Outcome<Settings> {
    Ok(config::load(Some(file), &[], std::env::vars()).map_err(Error::from)?)
}

/// Distinct good texts that are as long as the culprits.
fn neighbours(models: &Models) -> Outcome<Vec<String>> {
    let tokenise = &models.loaded[0].tokenise;
    let length = tokenise(HANGS)?.ids.len();
    let mut found: Vec<(Box<[u32]>, String)> = Vec::new();
    let words = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}")));
    for word in words {
        let text = format!("this one makes the model {word}");
        let ids = tokenise(&text)?.ids;
        let alike = ids.len().abs_diff(length) <= 1;
        if alike && found.iter().all(|(known, _)| *known != ids) {
            found.push((ids, text));
        }
    }
    assert!(found.len() >= NEIGHBOURS * 3, "{} texts", found.len());
    Ok(found.into_iter().map(|(_, text)| text).collect())
}

fn breaking(models: Models, counts: &Arc<Counts>) -> Outcome<Models> {
    let tokenise = models.loaded[0].tokenise.clone();
    let [panics, hangs, fails] = [PANICS, HANGS, FAILS].map(|text| tokenise(text));
    let (panics, hangs, fails) = (panics?, hangs?, fails?);
    let (real, counts) = (models.factory.clone(), counts.clone());
    let factory = move || {
        let (panics, hangs, fails) = (panics.clone(), hangs.clone(), fails.clone());
        let backend = Breaks { inner: real()?, panics, hangs, fails, counts: counts.clone() };
        Ok(Box::new(backend) as Box<dyn Backend>)
    };
    Ok(Models { loaded: models.loaded, factory: Arc::new(factory) })
}
