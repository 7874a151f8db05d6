//! Exports of the usual kinds of encoder say what Python's onnxruntime says of them, one text at a time.

use std::collections::BTreeMap;
use std::fs;

use groundswell::config::Inference;
use groundswell::infer::{Activation, HeadKind, ModelDirectory, OnnxBackend};

use serde::Deserialize;

use super::{encode, inference, largest_difference, open, repository, values};

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Expected {
    scores_depend_on_batch: bool,
    logits: Vec<Vec<f32>>,
}

fn check(name: &str, tolerance: f32, batches: &[usize]) -> ModelDirectory {
    check_with(name, tolerance, batches, BTreeMap::new())
}

/// Compares logits, so the head's activation is taken off.
fn check_with(name: &str, tolerance: f32, batches: &[usize], options: BTreeMap<String, String>) -> ModelDirectory {
    let fixtures = repository().join("tests/fixtures/models");
    let directory = open(fixtures.join(name));
    let read = |path: &str| fs::read_to_string(fixtures.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let texts: Vec<Text> = serde_json::from_str(&read("texts.json")).unwrap();
    let expected: Expected = serde_json::from_str(&read(&format!("{name}/expected.json"))).unwrap();
    assert_eq!((texts.len(), expected.logits.len()), (200, 200));
    assert_eq!(directory.batch_dependent, expected.scores_depend_on_batch);

    let texts: Vec<String> = texts.into_iter().map(|t| t.text).collect();
    let encoded = encode(&directory, &texts);
    let mut logits = directory.clone();
    logits.heads[0].activation = Activation::None;
    let config = Inference { session_options: options, ..inference() };
    let mut backend = OnnxBackend::new(&[logits], &config).unwrap();
    for &rows in batches {
        let difference = largest_difference(&values(&mut backend, &encoded, rows), &expected.logits);
        println!("{name}: batches of {rows}, largest difference of a logit {difference:.1e}");
        assert!(difference <= tolerance, "{name}, batches of {rows}: logits differ by {difference:.1e}");
    }
    directory
}

#[test]
fn bert() {
    let directory = check("bert", 1e-4, &[1, 7, 32]);
    assert_eq!(directory.inputs.len(), 3, "token_type_ids are fed");
    assert_eq!(directory.batch_rows_max(), None);
    assert_eq!(directory.warning(), None);
}

/// Between 2 and 4 a half has steps of 2e-3: in a batch the last digit of a logit may differ by one or two of them.
#[test]
fn bert_in_half_precision() {
    check("bert-fp16", 1e-4, &[1]);
    check("bert-fp16", 4e-3, &[7, 32]);
}

/// One scale for a whole batch: the directory says so, and each text is run alone whatever batch it comes in. The
/// optimisers are those of Python's defaults: another order of additions tips roundings to 8 bits, and moves logits by
/// more than the tolerance.
#[test]
fn bert_quantised_dynamically() {
    let python = BTreeMap::from([("optimization.disable_specified_optimizers".to_owned(), String::new())]);
    let directory = check_with("bert-int8-dynamic", 1e-4, &[1, 32], python);
    assert!(directory.batch_dependent);
    assert_eq!(directory.batch_rows_max(), Some(1));
    assert!(directory.warning().unwrap().contains("DynamicQuantizeLinear"));
}

/// Positions start after the padding's: the limit is two less than the embeddings, and the padding has the right id.
#[test]
fn roberta() {
    let directory = check("roberta", 1e-4, &[1, 7, 32]);
    assert_eq!(directory.pad_id, 1);
}

#[test]
fn xlm_roberta() {
    let directory = check("xlmr", 1e-4, &[1, 7, 32]);
    assert_eq!(directory.pad_id, 1);
}

#[test]
fn distilbert() {
    let directory = check("distilbert", 1e-4, &[1, 7, 32]);
    assert_eq!(directory.inputs.len(), 2, "no token_type_ids");
    assert!(matches!(directory.heads[0].kind, HeadKind::Sentiment(_) | HeadKind::Labels));
}
