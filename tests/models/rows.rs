//! What a model of rows promises, held with small graphs and with the purchase model that ships.

use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use groundswell::columns::Rows;
use groundswell::event::ModelId;
use groundswell::infer::{Backend, Inputs, ModelError, RowsBackend, RowsDirectory};

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
