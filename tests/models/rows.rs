//! What a model of rows promises, held with small graphs and with the purchase model that ships.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use groundswell::columns::Rows;
use groundswell::config::{self, Settings};
use groundswell::event::{ModelId, Origin, Prediction, RawRecord, Reason};
use groundswell::infer::{Backend, Inputs, ModelError, RowsBackend, RowsDirectory};
use groundswell::runtime::{Offline, Purchase, Registered, clicks_stage};

use super::graphs::{FLOAT, Graph};
use super::{encoding, inference, repository};

const FEATURES: &str = r#"{"input": "features", "output": "p", "features": ["a", "b"]}"#;

fn rows(rows: &[&[f32]]) -> Inputs {
    let mut all = Rows::new(rows.first().map_or(1, |row| row.len()));
    rows.iter().for_each(|row| assert!(all.push(row)));
    Inputs::Rows(Arc::new(all.into_array().unwrap()))
}

fn open(path: &Path) -> RowsBackend {
    RowsBackend::new(&RowsDirectory::open("m", path).unwrap(), &inference()).unwrap()
}

fn said(backend: &mut RowsBackend, inputs: &Inputs) -> Vec<f32> {
    backend.run(ModelId(0), inputs).unwrap().iter().map(|prediction| prediction.heads[0].values[0]).collect()
}

/// The logarithm of a row's sum: not a number where that is negative.
fn logarithm_of_the_sum() -> Graph {
    Graph::new()
        .input("features", FLOAT, &[None, Some(2)])
        .integers("axis", &[1])
        .node("ReduceSum", &["features", "axis"], "sum", &[("keepdims", 1)])
        .node("Log", &["sum"], "p", &[])
        .output("p", &[None, Some(1)])
}

#[test]
fn the_row_that_is_not_finite_is_named_and_spoils_nothing() {
    let files = logarithm_of_the_sum().directory(FEATURES);
    let mut backend = open(files.path());
    let error = backend.run(ModelId(0), &rows(&[&[1.0, 0.0], &[-3.0, 1.0], &[1.0, 1.0]])).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { model: "m".to_owned(), head: "p".to_owned(), row: 1 });
    assert_eq!(said(&mut backend, &rows(&[&[1.0, 0.0], &[0.5, 0.5]])), [0.0, 0.0]);
}

#[test]
fn what_the_model_cannot_read_is_refused() {
    let files = logarithm_of_the_sum().directory(FEATURES);
    let mut backend = open(files.path());
    let refusals =
        [(rows(&[&[1.0]]), "rows of 2 features"), (Inputs::Texts(vec![encoding(&[5])]), "rows of features, not texts")];
    for (inputs, reads) in refusals {
        let error = backend.run(ModelId(0), &inputs).unwrap_err();
        assert_eq!(error.to_string(), format!("model m failed: it reads {reads}"));
    }
    let error = backend.run(ModelId(1), &rows(&[&[1.0, 1.0]])).unwrap_err();
    assert_eq!(error, ModelError::UnknownModel { model: 1, models: 1 });
}

#[test]
fn an_output_that_is_no_number_a_row_fails_the_warm_up() {
    let graph = logarithm_of_the_sum().node("Concat", &["p", "p"], "two", &[("axis", 1)]).output("two", &[None, None]);
    let files = graph.directory(&FEATURES.replace("\"p\"", "\"two\""));
    let error = open(files.path()).warm_up().unwrap_err();
    assert!(error.message.contains("output two has the shape [1, 2], expected [1] or [1, 1]"), "{error}");
}

/// A row's answer is the same to the last bit, whatever rows are beside it.
#[test]
fn the_model_that_ships_does_not_look_at_the_neighbours() {
    let mut backend = open(&repository().join("models/purchase"));
    backend.warm_up().unwrap();
    let width = RowsDirectory::open("m", &repository().join("models/purchase")).unwrap().features.len();
    let mut rng = Rng::with_seed(7);
    let drawn: Vec<Vec<f32>> = (0..300).map(|_| (0..width).map(|_| rng.u8(..40).into()).collect()).collect();
    let drawn: Vec<&[f32]> = drawn.iter().map(Vec::as_slice).collect();
    let together = said(&mut backend, &rows(&drawn));
    let alone: Vec<f32> = drawn.iter().flat_map(|row| said(&mut backend, &rows(&[row]))).collect();
    assert_eq!(together, alone);
    assert!(together.iter().all(|probability| (0.0..=1.0).contains(probability)));
}

/// How often the model broke, by what the row that broke it asked for.
#[derive(Default)]
struct Counts {
    panics: AtomicUsize,
    hangs: AtomicUsize,
    fails: AtomicUsize,
}

/// The real model behind one that looks at the first feature, whether the click is a view: what else it is, breaks it.
struct Breaks {
    inner: Box<dyn Backend>,
    counts: Arc<Counts>,
}

impl Backend for Breaks {
    fn run(&mut self, model: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
        let Inputs::Rows(rows) = inputs else { panic!("clicks ask about rows") };
        let (values, [_, width]) = Rows::tensor(rows).expect("rows of numbers");
        // The order of config.json: is_view, is_cart, is_favourite, is_purchase.
        let holds = |place: usize| values.chunks(width).any(|row| row[place] == 1.0);
        if holds(1) {
            self.counts.panics.fetch_add(1, Ordering::Relaxed);
            panic!("asked for by a test");
        }
        if holds(2) {
            self.counts.hangs.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1500));
        }
        if holds(3) {
            self.counts.fails.fetch_add(1, Ordering::Relaxed);
            return Err(ModelError::Run { model: "purchase".into(), message: "asked for by a test".into() });
        }
        self.inner.run(model, inputs)
    }
}

/// Three rows among three hundred break the model, each in its way: they are set aside, and no other row suffers.
#[test]
fn rows_that_break_the_model_are_set_aside_alone() {
    let sets = ["instance.name=test", "batch.timeout_ms=500", "batch.queue_delay_ms_max=50"];
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let settings = config::load(None, &sets, std::env::vars()).unwrap();
    let settings = Settings { inference: inference(), ..settings };
    let purchase = Purchase::load(&settings).unwrap().expect("a model is configured");
    let (real, counts) = (purchase.factory(), Arc::new(Counts::default()));
    let broken = counts.clone();
    let purchase = purchase.with_factory(Arc::new(move || {
        Ok(Box::new(Breaks { inner: real()?, counts: broken.clone() }) as Box<dyn Backend>)
    }));
    let registered = Registered::new(&settings).unwrap();
    let stage = Arc::new(clicks_stage(&settings, Some(&purchase), &registered).unwrap());
    let mut offline = Offline::new(&settings, stage, &purchase.served(), &registered.resolver()).unwrap();
    let mut rejected = Vec::new();
    let mut scored = 0;
    let records = (0..300).map(|at| Ok(click(at, [(40, "cart"), (150, "favourite"), (260, "purchase")])));
    offline
        .run(records, |entry| {
            match entry.rejected {
                Some(reason) => rejected.push((entry.record.origin.offset, reason)),
                None => scored += 1,
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(rejected, [(40, Reason::Model), (150, Reason::Model), (260, Reason::Model)]);
    assert_eq!(scored, 297);
    for (what, count) in [("panics", &counts.panics), ("hangs", &counts.hangs), ("fails", &counts.fails)] {
        assert!(count.load(Ordering::Relaxed) >= 2, "{what}: tried more than once");
    }
}

/// A view by a user of its own, but for the offsets that do something else.
fn click(offset: i64, others: [(i64, &str); 3]) -> RawRecord {
    let action = others.iter().find(|(at, _)| *at == offset).map_or("view", |(_, action)| action);
    let json =
        serde_json::json!({"user": format!("u{offset}"), "item": "p", "action": action, "event_time": 1_767_571_200});
    RawRecord {
        origin: Origin { topic: "clicks".into(), partition: 0, offset },
        key: None,
        headers: Vec::new(),
        timestamp_ms: None,
        payload: Some(json.to_string().into()),
    }
}
