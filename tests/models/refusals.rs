//! What stops the start, and what it says.

use std::fs;

use groundswell::config::Device;
use groundswell::event::{Error, Fault};
use groundswell::infer::{ModelDirectory, OnnxBackend};

use super::graphs::{Graph, INT64};
use super::{configured, inference, open};

const LABELS: &str = r#"{"id2label": {"0": "a", "1": "b"}}"#;

fn graph() -> Graph {
    Graph::new()
        .input("input_ids", INT64, &[None, None])
        .node("Cast", &["input_ids"], "logits", &[("to", 1)])
        .output("logits", &[None, None])
}

fn check(error: Error, parts: &[&str]) {
    assert_eq!(error.fault, Fault::Config);
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

/// `no-silent-fallback`: the pinned library knows no CUDA, and the CPU must not take its place.
#[test]
fn cuda_that_cannot_be_had() {
    let files = graph().directory(LABELS);
    let config = groundswell::config::Inference { device: Device::Cuda { id: 3 }, ..inference() };
    let error = OnnxBackend::new(&[open(files.path())], &config).err().expect("the start is refused");
    check(error, &["CUDA device 3", "without its CUDA provider", "onnxruntime-gpu", "inference.device"]);
}

#[test]
fn a_library_that_is_not_there_or_not_the_one_loaded() {
    let files = graph().directory(LABELS);
    let directory = open(files.path());
    OnnxBackend::new(std::slice::from_ref(&directory), &inference()).unwrap();
    let mut config = inference();
    config.library = Some("/nowhere/libonnxruntime.so".into());
    let error = OnnxBackend::new(std::slice::from_ref(&directory), &config).err().unwrap();
    check(error, &["inference.library names /nowhere/libonnxruntime.so"]);
    config.library = Some(directory.tokenizer.clone());
    let error = OnnxBackend::new(&[directory], &config).err().unwrap();
    check(error, &["tokenizer.json is asked for", "is loaded already"]);
}

#[test]
fn a_model_that_the_runtime_cannot_load() {
    let files = graph().node("NoSuchOperator", &["logits"], "other", &[]).directory(LABELS);
    let error = OnnxBackend::new(&[open(files.path())], &inference()).err().unwrap();
    check(error, &["model.onnx cannot be loaded", "NoSuchOperator"]);
}

#[test]
fn session_options_reach_the_runtime() {
    let files = graph().directory(LABELS);
    let mut config = inference();
    config.session_options.insert("optimization.minimal_build_optimizations".to_owned(), "nonsense".to_owned());
    let error = OnnxBackend::new(&[open(files.path())], &config).err().unwrap();
    check(error, &["nonsense"]);
}

#[test]
fn directories_that_lack_something() {
    let files = graph().directory(LABELS);
    for name in ["config.json", "tokenizer.json", "model.onnx"] {
        let files = graph().directory(LABELS);
        fs::remove_file(files.path().join(name)).unwrap();
        check(ModelDirectory::open(&configured(files.path())).unwrap_err(), &["model m: ", &format!("has no {name}")]);
    }
    fs::write(files.path().join("model.onnx"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    check(ModelDirectory::open(&configured(files.path())).unwrap_err(), &["cannot be read as an ONNX model"]);
    let missing = ModelDirectory::open(&configured("/nowhere")).unwrap_err();
    check(missing, &["model m: /nowhere cannot be read"]);
}

#[test]
fn thresholds_for_heads_that_are_not_there() {
    let files = graph().directory(LABELS);
    let mut model = configured(files.path());
    model.thresholds.insert("label".to_owned(), 0.25);
    assert_eq!(ModelDirectory::open(&model).unwrap().heads[0].threshold, 0.25);
    model.thresholds.insert("topic".to_owned(), 0.5);
    check(ModelDirectory::open(&model).unwrap_err(), &["thresholds.topic names no head of the model, which has label"]);
}

#[test]
fn the_version_follows_every_file() {
    let files = graph().directory(LABELS);
    let version = || open(files.path()).version;
    let first = version();
    assert!(first.len() == 12 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    assert_eq!(version(), first);
    let mut seen = vec![first];
    for name in ["config.json", "tokenizer.json"] {
        let file = files.path().join(name);
        fs::write(&file, format!("{} ", fs::read_to_string(&file).unwrap())).unwrap();
        seen.push(version());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}
