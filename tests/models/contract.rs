//! What a backend promises, held with small graphs whose answers are known.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use groundswell::event::ModelId;
use groundswell::infer::{Backend, Done, Factory, Job, ModelDirectory, ModelError, OnnxBackend, Pool};

use super::graphs::{Graph, INT32, INT64};
use super::{encoding, inputs, open, values};

const LABELS: &str = r#"{"id2label": {"0": "a", "1": "b"}, "max_position_embeddings": 8, "pad_token_id": 9}"#;

/// Logits [0, log(largest id)]: the probability of `b` is n / (n + 1), and -1 is not a number.
fn largest_id(element: i32, rows: Option<i64>) -> Graph {
    Graph::new()
        .input("input_ids", element, &[rows, None])
        .input("attention_mask", element, &[rows, None])
        .node("Mul", &["input_ids", "attention_mask"], "real", &[])
        .node("Cast", &["real"], "floats", &[("to", 1)])
        .node("ReduceMax", &["floats"], "largest", &[("keepdims", 1)])
        .axes(&[1])
        .floats("shift", &[1], &[2.0])
        .node("Sub", &["largest", "shift"], "shifted", &[])
        .node("Log", &["shifted"], "log", &[])
        .node("Sub", &["log", "log"], "zero", &[])
        .node("Concat", &["zero", "log"], "logits", &[("axis", 1)])
        .output("logits", &[None, Some(2)])
}

fn of(graph: &Graph, config: &str) -> (ModelDirectory, OnnxBackend) {
    let files = graph.directory(config);
    let directory = open(files.path());
    let backend = OnnxBackend::new(std::slice::from_ref(&directory), &super::inference()).unwrap();
    (directory, backend)
}

fn check_close(got: &[Vec<f32>], expected: &[&[f32]]) {
    let expected: Vec<_> = expected.iter().map(|e| e.to_vec()).collect();
    let difference = super::largest_difference(got, &expected);
    assert!(difference < 1e-6, "{got:?}, expected {expected:?}");
}

#[test]
fn padding_is_masked_and_answers_keep_their_order() {
    let (_, mut backend) = of(&largest_id(INT64, None), LABELS);
    // The padding's id, 9, is larger than the first text's: unmasked, it would win.
    let texts = [encoding(&[5]), encoding(&[3, 11, 4]), encoding(&[3, 3])];
    check_close(&values(&mut backend, &texts, 3), &[&[0.25, 0.75], &[0.1, 0.9], &[0.5, 0.5]]);
}

/// A model that finds its padding by the id must meet the right one there.
#[test]
fn padding_has_the_id_of_the_directory() {
    let graph = Graph::new()
        .input("input_ids", INT64, &[None, None])
        .node("Cast", &["input_ids"], "floats", &[("to", 1)])
        .node("ReduceMax", &["floats"], "largest", &[("keepdims", 1)])
        .axes(&[1])
        .node("Log", &["largest"], "log", &[])
        .node("Sub", &["log", "log"], "zero", &[])
        .node("Concat", &["zero", "log"], "logits", &[("axis", 1)])
        .output("logits", &[None, Some(2)]);
    let (directory, mut backend) = of(&graph, LABELS);
    assert_eq!(directory.pad_id, 9);
    let texts = [encoding(&[3]), encoding(&[4, 4])];
    check_close(&values(&mut backend, &texts, 2), &[&[0.1, 0.9], &[0.2, 0.8]]);
}

#[test]
fn integers_of_32_bits_and_a_batch_fixed_at_one() {
    let (directory, mut backend) = of(&largest_id(INT32, Some(1)), LABELS);
    assert_eq!(directory.batch_rows_max(), Some(1));
    let texts = [encoding(&[5]), encoding(&[3, 11, 4]), encoding(&[3, 3])];
    check_close(&values(&mut backend, &texts, 3), &[&[0.25, 0.75], &[0.1, 0.9], &[0.5, 0.5]]);
}

#[test]
fn the_row_that_is_not_finite_is_named() {
    for rows in [None, Some(1)] {
        let (_, mut backend) = of(&largest_id(INT64, rows), LABELS);
        let texts = [encoding(&[5]), encoding(&[3, 4]), encoding(&[1])];
        let error = backend.run(ModelId(0), &inputs(&texts)).unwrap_err();
        let named = ModelError::NotFinite { model: "m".to_owned(), head: "label".to_owned(), row: 2 };
        assert_eq!(error, named, "batch dimension {rows:?}");
        check_close(&values(&mut backend, &texts[..2], 2), &[&[0.25, 0.75], &[1.0 / 3.0, 2.0 / 3.0]]);
    }
}

#[test]
fn texts_that_no_run_can_take_are_named() {
    let (_, mut backend) = of(&largest_id(INT64, None), LABELS);
    for (ids, tokens) in [(&[][..], 0), (&[5; 9][..], 9)] {
        let error = backend.run(ModelId(0), &inputs(&[encoding(&[5]), encoding(ids)])).unwrap_err();
        assert_eq!(error, ModelError::Length { model: "m".to_owned(), row: 1, tokens, tokens_max: 8 });
        assert_eq!(error.to_string(), format!("model m: text 1 has {tokens} tokens; 1 to 8 can be read"));
    }
    assert_eq!(backend.run(ModelId(0), &inputs(&[])).unwrap(), []);
    let error = backend.run(ModelId(3), &inputs(&[encoding(&[5])])).unwrap_err();
    assert_eq!(error, ModelError::UnknownModel { model: 3, models: 1 });
}

/// The runtime's own failure, here an id past the table's end, leaves the session usable.
#[test]
fn a_failed_run_does_not_spoil_the_next() {
    let graph = Graph::new()
        .input("input_ids", INT64, &[None, None])
        .floats("table", &[3], &[0.0, 1.0, 2.0])
        .node("Gather", &["table", "input_ids"], "found", &[])
        .node("ReduceSum", &["found", "axis"], "sum", &[("keepdims", 1)])
        .integers("axis", &[1])
        .node("Concat", &["sum", "sum"], "logits", &[("axis", 1)])
        .output("logits", &[None, Some(2)]);
    let (_, mut backend) = of(&graph, LABELS);
    let error = backend.run(ModelId(0), &inputs(&[encoding(&[2]), encoding(&[3])])).unwrap_err();
    assert!(matches!(&error, ModelError::Run { message, .. } if message.contains("out of data bounds")), "{error}");
    check_close(&values(&mut backend, &[encoding(&[2])], 1), &[&[0.5, 0.5]]);
}

/// Token vectors of one component, the token's id: their mean over the text, not over the padding.
#[test]
fn an_embedding_is_averaged_over_the_tokens() {
    let graph = Graph::new()
        .input("input_ids", INT64, &[None, None])
        .input("attention_mask", INT64, &[None, None])
        .node("Cast", &["input_ids"], "floats", &[("to", 1)])
        .integers("axis", &[2])
        .node("Unsqueeze", &["floats", "axis"], "last_hidden_state", &[])
        .output("last_hidden_state", &[None, None, Some(1)]);
    let (directory, mut backend) = of(&graph, r#"{"pad_token_id": 9}"#);
    assert_eq!(directory.heads[0].name, "embedding");
    let texts = [encoding(&[1, 2, 3, 6]), encoding(&[5, 6]), encoding(&[7])];
    check_close(&values(&mut backend, &texts, 3), &[&[3.0], &[5.5], &[7.0]]);
}

/// Several heads are answered by one run, in the order of the directory's heads.
#[test]
fn heads_of_one_graph() {
    let graph = largest_id(INT64, None)
        .node("Concat", &["log", "zero", "log"], "topics", &[("axis", 1)])
        .output("topics", &[None, Some(3)]);
    let config = r#"{"pad_token_id": 0, "groundswell": {"input_tokens_max": 4, "heads": {
        "sentiment": {"output": "logits", "labels": ["negative", "positive"]},
        "topic": {"output": "topics", "activation": "sigmoid", "labels": ["a", "b", "c"], "threshold": 0.6}}}}"#;
    let (directory, mut backend) = of(&graph, config);
    assert_eq!(directory.tokens_max, 4);
    assert_eq!(directory.heads.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["sentiment", "topic"]);
    let predictions = backend.run(ModelId(0), &inputs(&[encoding(&[5])])).unwrap();
    let heads = &predictions[0].heads;
    check_close(&[heads[0].values.to_vec(), heads[1].values.to_vec()], &[&[0.25, 0.75], &[0.75, 0.5, 0.75]]);
    assert_eq!(directory.heads[1].chosen(&heads[1].values).len(), 2);
}

/// Found at the start and not by the first customer.
#[test]
fn an_output_of_another_width_fails_the_warm_up() {
    let graph = largest_id(INT64, None).output("log", &[None, None]);
    let config = r#"{"groundswell": {"heads": {"topic": {"output": "log", "labels": ["a", "b"]}}}}"#;
    let (_, mut backend) = of(&graph, config);
    let error = backend.warm_up().unwrap_err();
    assert!(error.message.contains("output log has the shape [1, 1], expected [1, 2]"), "{error}");
}

/// As the program runs them: sessions made and used on the pool's threads, three of one model in one process.
#[test]
fn a_pool_of_sessions() {
    let files = largest_id(INT64, None).directory(LABELS);
    let directory = open(files.path());
    let factory: Factory =
        Arc::new(move || Ok(Box::new(OnnxBackend::new(std::slice::from_ref(&directory), &super::inference())?)));
    let (done_out, done) = mpsc::channel();
    let mut pool = Pool::start(3, Duration::from_secs(60), factory, move |d| done_out.send(d).unwrap()).unwrap();
    (0..3).for_each(|n| pool.submit(job(n)).unwrap());
    for n in 3..300 {
        check_done(done.recv().unwrap());
        pool.submit(job(n)).unwrap();
    }
    (0..3).for_each(|_| check_done(done.recv().unwrap()));
    assert_eq!((pool.idle(), done.try_recv().is_err()), (3, true));
}

/// Texts whose largest ids are from 3 on, so that each job has answers of its own.
fn job(payload: u32) -> Job<u32> {
    let texts: Vec<_> = (0..4).map(|row| encoding(&[3, 3 + payload + row])).collect();
    Job { payload, model: ModelId(0), inputs: inputs(&texts) }
}

fn check_done(done: Done<u32>) {
    for (row, prediction) in done.result.unwrap().iter().enumerate() {
        let odds = (1 + done.job.payload + row as u32) as f32;
        check_close(&[prediction.heads[0].values.to_vec()], &[&[1.0 / (odds + 1.0), odds / (odds + 1.0)]]);
    }
}
