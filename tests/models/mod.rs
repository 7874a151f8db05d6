//! Model directories with the real ONNX Runtime, whose library `make fetch` puts under `.local/onnxruntime`.

mod contract;
mod graphs;
mod memory;
mod parity;
mod refusals;
mod rows;
mod shipped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundswell::config::{Device, Inference, Kind, Model};
use groundswell::event::{Encoding, ModelId, Prediction};
use groundswell::infer::{Backend, Inputs, ModelDirectory, OnnxBackend};
use tokenizers::Tokenizer;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn configured(path: impl Into<PathBuf>) -> Model {
    Model { name: "m".to_owned(), path: path.into(), kinds: vec![Kind::Review], thresholds: BTreeMap::new() }
}

fn inference() -> Inference {
    Inference { device: Device::Cpu, workers: 1, library: None, session_options: BTreeMap::new() }
}

fn open(path: impl Into<PathBuf>) -> ModelDirectory {
    ModelDirectory::open(&configured(path)).unwrap()
}

fn backend(directory: &ModelDirectory) -> OnnxBackend {
    let mut backend = OnnxBackend::new(std::slice::from_ref(directory), &inference()).unwrap();
    backend.warm_up().unwrap();
    backend
}

fn encoding(ids: &[u32]) -> Arc<Encoding> {
    Arc::new(Encoding { ids: ids.into(), truncated: false })
}

fn inputs(texts: &[Arc<Encoding>]) -> Inputs {
    Inputs::Texts(texts.to_vec())
}

/// With the directory's own tokenizer, whose padding and truncation are replaced by the model's limit.
fn encode(directory: &ModelDirectory, texts: &[String]) -> Vec<Arc<Encoding>> {
    let mut tokenizer = Tokenizer::from_file(&directory.tokenizer).unwrap();
    let truncation = tokenizers::TruncationParams { max_length: directory.tokens_max, ..Default::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).unwrap();
    texts.iter().map(|text| encoding(tokenizer.encode(text.as_str(), true).unwrap().get_ids())).collect()
}

/// The first head's values of each text, run in batches of `rows`.
fn values(backend: &mut OnnxBackend, texts: &[Arc<Encoding>], rows: usize) -> Vec<Vec<f32>> {
    let run = |part: &[Arc<Encoding>]| -> Vec<Prediction> { backend.run(ModelId(0), &inputs(part)).unwrap() };
    let predictions = texts.chunks(rows).flat_map(run);
    predictions.map(|p| p.heads.iter().flat_map(|h| h.values.iter().copied()).collect()).collect()
}

fn largest_difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
