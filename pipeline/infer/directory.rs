use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config;
use crate::event::{Error, Fault};

use super::graph::{Graph, Tensor};
use super::head::Head;
use super::json::{At, Json};

/// Where nothing in the directory says how long a text may be.
const TOKENS_MAX: usize = 512;
/// Hugging Face writes 1e30 for "no limit".
const TOKENS_BELIEVABLE: f64 = 1e6;
/// Models whose position ids start after the padding's: of `max_position_embeddings` so many are never used.
const POSITIONS_AFTER_PADDING: [&str; 9] = [
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "data2vec-text",
    "ibert",
    "xmod",
    "mpnet",
];
/// Operators that choose one scale for a whole batch, so that a text's answer depends on its batch-mates.
const BATCH_DEPENDENT: [&str; 3] = ["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"];

/// A model directory as Hugging Face's exporters write it, read once and found runnable.
#[derive(Clone, Debug)]
pub struct ModelDirectory {
    /// As configured.
    pub name: String,
    /// The first 12 hexadecimal digits of a SHA-256 over the model, its weights, `config.json` and `tokenizer.json`.
    pub version: String,
    pub onnx: PathBuf,
    pub tokenizer: PathBuf,
    /// Tokens of the longest text that the model reads, special tokens included.
    pub tokens_max: usize,
    /// Some models find the padding by this id, so it must be the right one.
    pub pad_id: u32,
    /// What one run answers, in the order of a prediction's heads.
    pub heads: Vec<Head>,
    /// What a run must be fed, in the graph's order.
    pub inputs: Vec<ModelInput>,
    /// The model quantises with one scale for a whole batch: a text's answer would depend on its batch-mates. It is run
    /// one text at a time.
    pub batch_dependent: bool,
    /// The export fixed the batch at one text.
    one_row: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInput {
    pub name: String,
    pub role: InputRole,
    pub width: Width,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRole {
    /// `input_ids`
    Ids,
    /// `attention_mask`: 1 for a token, 0 for padding.
    Mask,
    /// `token_type_ids`: 0 throughout, since a text is one segment.
    Types,
}

/// Of an integer input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Bits32,
    Bits64,
}

impl ModelDirectory {
    /// Errors name the file, the key and both values.
    pub fn open(model: &config::Model) -> Result<ModelDirectory, Error> {
        open(model).map_err(|e| e.context(format_args!("model {}", model.name)))
    }

    /// Texts that one run may take; `None` is as many as fit the budget.
    pub fn batch_rows_max(&self) -> Option<usize> {
        (self.batch_dependent || self.one_row).then_some(1)
    }

    /// What `check` and the start say about a model that must be run one text at a time.
    pub fn warning(&self) -> Option<String> {
        self.batch_dependent.then(|| {
            format!(
                "model {}: {} quantises with one scale for a whole batch (DynamicQuantizeLinear), so that a text's answer \
                 would depend on the texts beside it; it is run one text at a time. Static or per-token quantisation can \
                 be batched",
                self.name,
                self.onnx.display()
            )
        })
    }
}

fn open(model: &config::Model) -> Result<ModelDirectory, Error> {
    let path = &model.path;
    let onnx = onnx_file(path)?;
    let tokenizer = required(path, "tokenizer.json")?;
    let config_file = required(path, "config.json")?;
    let config = Json::open(&config_file)?;
    let graph = Graph::open(&onnx)?;
    let inputs = graph.inputs.iter().map(|i| model_input(&onnx, i)).collect::<Result<Vec<_>, _>>()?;
    if !inputs.iter().any(|i| i.role == InputRole::Ids) {
        return Err(Error::new(Fault::Config, format!("{} has no input input_ids", onnx.display())));
    }
    let pad_id = pad_id(&config.root(), &tokenizer)?;
    Ok(ModelDirectory {
        name: model.name.clone(),
        version: version(&onnx, &graph, &[&config_file, &tokenizer])?,
        tokens_max: tokens_max(&config.root(), path, pad_id)?,
        pad_id,
        heads: heads(model, &config.root(), &graph)?,
        inputs,
        batch_dependent: batch_dependent(&graph),
        one_row: graph.inputs.iter().any(|i| i.dimensions.as_deref().is_some_and(|d| d.first() == Some(&Some(1)))),
        onnx,
        tokenizer,
    })
}

/// Whether a row's answer depends on the rows beside it.
pub(super) fn batch_dependent(graph: &Graph) -> bool {
    BATCH_DEPENDENT.iter().any(|&operator| graph.operators.contains(operator))
}

/// `model.onnx`, `onnx/model.onnx`, or the only `.onnx` file of the directory.
pub(super) fn onnx_file(directory: &Path) -> Result<PathBuf, Error> {
    let usual = ["model.onnx", "onnx/model.onnx"].map(|name| directory.join(name));
    if let Some(file) = usual.into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let fault = |what: String| Error::new(Fault::Config, format!("{} {what}", directory.display()));
    let entries = fs::read_dir(directory).map_err(|e| {
        let error = fault(format!("cannot be read: {e}"));
        match directory.is_relative() {
            true => error.hint("a relative path counts from the working directory, or from where the program lies"),
            false => error,
        }
    })?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(fault("has no model.onnx".to_owned())),
        _ => {
            let names = found.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy()).collect::<Vec<_>>();
            Err(fault(format!("has no model.onnx and several others: {}", names.join(", "))))
        }
    }
}

pub(super) fn required(directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let file = directory.join(name);
    match file.is_file() {
        true => Ok(file),
        false => Err(Error::new(Fault::Config, format!("{} has no {name}", directory.display()))),
    }
}

fn model_input(onnx: &Path, input: &Tensor) -> Result<ModelInput, Error> {
    let name = input.name.clone();
    let fault = |what: String| Error::new(Fault::Config, format!("{}: the input {name} {what}", onnx.display()));
    let role = match name.as_str() {
        "input_ids" => InputRole::Ids,
        "attention_mask" => InputRole::Mask,
        "token_type_ids" => InputRole::Types,
        _ => return Err(fault("is unknown, expected input_ids, attention_mask or token_type_ids".to_owned())),
    };
    let width = match input.element {
        6 => Width::Bits32,
        7 => Width::Bits64,
        other => return Err(fault(format!("has the type {other}, expected 6 or 7 (integers of 32 or 64 bits)"))),
    };
    match input.dimensions.as_deref() {
        None | Some([None | Some(1), None]) => {}
        Some([_, Some(tokens)]) => {
            return Err(fault(format!(
                "takes texts of exactly {tokens} tokens; export it with a dynamic sequence length"
            )));
        }
        Some([Some(rows), None]) => {
            return Err(fault(format!("takes batches of exactly {rows} texts; export it with a dynamic batch size")));
        }
        Some(others) => return Err(fault(format!("has {} dimensions, expected 2 (texts and tokens)", others.len()))),
    }
    Ok(ModelInput { name, role, width })
}

fn heads(model: &config::Model, config: &At<'_>, graph: &Graph) -> Result<Vec<Head>, Error> {
    let mut heads = match config.get("groundswell").and_then(|g| g.get("heads")) {
        Some(listed) => Head::listed(&listed, graph)?,
        None => vec![Head::usual(config, graph)?],
    };
    for (name, &threshold) in &model.thresholds {
        let Some(head) = heads.iter_mut().find(|h| h.name == *name) else {
            let names = heads.iter().map(|h| h.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Error::new(
                Fault::Config,
                format!("thresholds.{name} names no head of the model, which has {names}"),
            ));
        };
        head.threshold = threshold;
    }
    Ok(heads)
}

/// The limit that the model was trained with, as far as its positions reach.
fn tokens_max(config: &At<'_>, directory: &Path, pad_id: u32) -> Result<usize, Error> {
    let positions = positions(config, pad_id)?;
    if let Some(limit) = config.get("groundswell").and_then(|g| g.get("input_tokens_max")) {
        let tokens = limit.count()?;
        return match positions {
            Some(positions) if tokens > positions => {
                Err(limit.expected(&format!("at most {positions}, which is what the model has positions for")))
            }
            _ => Ok(tokens),
        };
    }
    if let Some(positions) = positions {
        return Ok(positions);
    }
    let file = directory.join("tokenizer_config.json");
    if !file.is_file() {
        return Ok(TOKENS_MAX);
    }
    let tokenizer = Json::open(&file)?;
    match tokenizer.root().get("model_max_length") {
        Some(limit) if limit.number()? < TOKENS_BELIEVABLE => limit.count(),
        _ => Ok(TOKENS_MAX),
    }
}

/// The positions that a text's tokens can take.
fn positions(config: &At<'_>, pad_id: u32) -> Result<Option<usize>, Error> {
    let Some(positions) = config.get("max_position_embeddings") else { return Ok(None) };
    let kind = config.get("model_type").map(|k| k.text()).transpose()?.unwrap_or_default();
    let unused = if POSITIONS_AFTER_PADDING.contains(&kind) { pad_id as usize + 1 } else { 0 };
    match positions.count()?.checked_sub(unused) {
        Some(left) if left > 0 => Ok(Some(left)),
        _ => Err(positions.expected(&format!("more than the {unused} that {kind} leaves unused"))),
    }
}

/// From `config.json`, else from the tokenizer's padding, else 0.
fn pad_id(config: &At<'_>, tokenizer: &Path) -> Result<u32, Error> {
    let read = |id: At<'_>| u32::try_from(id.whole()?).map_err(|_| id.expected("a token id"));
    if let Some(id) = config.get("pad_token_id") {
        return read(id);
    }
    let tokenizer = Json::open(tokenizer)?;
    tokenizer.root().get("padding").and_then(|p| p.get("pad_id")).map_or(Ok(0), read)
}

/// Weights outside the model's file count too: they are what the model says.
pub(super) fn version(onnx: &Path, graph: &Graph, others: &[&Path]) -> Result<String, Error> {
    let beside = onnx.parent().unwrap_or(Path::new("."));
    let weights = graph.external_files.iter().map(|name| beside.join(name));
    let files = std::iter::once(onnx).chain(others.iter().copied()).map(Path::to_owned).chain(weights);
    let mut hash = Sha256::new();
    for file in files {
        digest(&file, &mut hash)
            .map_err(|e| Error::new(Fault::Config, format!("{} cannot be read: {e}", file.display())))?;
    }
    Ok(hex::encode(&hash.finalize()[..6]))
}

fn digest(file: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        hash.update(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions_of(text: &str, pad_id: u32) -> Result<Option<usize>, String> {
        positions(&Json::of("config.json", text).root(), pad_id).map_err(|e| e.message)
    }

    #[test]
    fn positions_after_the_padding() {
        assert_eq!(positions_of(r#"{"model_type": "bert", "max_position_embeddings": 512}"#, 0), Ok(Some(512)));
        assert_eq!(positions_of(r#"{"model_type": "roberta", "max_position_embeddings": 514}"#, 1), Ok(Some(512)));
        assert_eq!(positions_of(r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514}"#, 1), Ok(Some(512)));
        assert_eq!(positions_of("{}", 0), Ok(None));
        let message = positions_of(r#"{"model_type": "roberta", "max_position_embeddings": 2}"#, 1).unwrap_err();
        assert_eq!(
            message,
            "config.json: max_position_embeddings is 2, expected more than the 2 that roberta leaves unused"
        );
    }

    #[test]
    fn tokens_from_the_first_that_knows() {
        let directory = tempfile::tempdir().unwrap();
        let check = |config: &str| {
            tokens_max(&Json::of("config.json", config).root(), directory.path(), 0).map_err(|e| e.message)
        };
        assert_eq!(check("{}"), Ok(512));
        let write = |text| fs::write(directory.path().join("tokenizer_config.json"), text).unwrap();
        write(r#"{"model_max_length": 1000000000000000019884624838656}"#);
        assert_eq!(check("{}"), Ok(512), "Hugging Face's number for no limit");
        write(r#"{"model_max_length": 128}"#);
        assert_eq!(check("{}"), Ok(128));
        assert_eq!(check(r#"{"max_position_embeddings": 64}"#), Ok(64));
        assert_eq!(check(r#"{"max_position_embeddings": 64, "groundswell": {"input_tokens_max": 32}}"#), Ok(32));
        assert_eq!(
            check(r#"{"max_position_embeddings": 64, "groundswell": {"input_tokens_max": 65}}"#).unwrap_err(),
            "config.json: groundswell.input_tokens_max is 65, expected at most 64, which is what the model has positions for"
        );
    }

    #[test]
    fn padding_from_the_first_that_knows() {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = directory.path().join("tokenizer.json");
        let check = |config: &str| pad_id(&Json::of("config.json", config).root(), &tokenizer).map_err(|e| e.message);
        fs::write(&tokenizer, r#"{"padding": null}"#).unwrap();
        assert_eq!(check("{}"), Ok(0));
        fs::write(&tokenizer, r#"{"padding": {"pad_id": 3}}"#).unwrap();
        assert_eq!(check("{}"), Ok(3));
        assert_eq!(check(r#"{"pad_token_id": 1}"#), Ok(1));
        assert!(check(r#"{"pad_token_id": -1}"#).unwrap_err().starts_with("config.json: pad_token_id is -1"));
    }

    #[test]
    fn weights_in_a_file_of_their_own_count_for_the_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["model.onnx", "config.json", "tokenizer.json"] {
            fs::write(path(name), name).unwrap();
        }
        let graph = Graph { external_files: ["model.onnx_data".to_owned()].into(), ..Graph::default() };
        let version = || version(&path("model.onnx"), &graph, &[&path("config.json"), &path("tokenizer.json")]);
        assert!(version().unwrap_err().message.contains("model.onnx_data cannot be read"));
        fs::write(path("model.onnx_data"), [1]).unwrap();
        let first = version().unwrap();
        fs::write(path("model.onnx_data"), [2]).unwrap();
        assert_ne!(version().unwrap(), first);
    }

    fn input(name: &str, element: u64, dimensions: &[Option<u64>]) -> Result<ModelInput, String> {
        let tensor = Tensor { name: name.into(), element, dimensions: Some(dimensions.to_vec()) };
        model_input(Path::new("model.onnx"), &tensor).map_err(|e| e.message)
    }

    #[test]
    fn inputs_that_can_be_fed() {
        let ids = input("input_ids", 7, &[None, None]).unwrap();
        assert_eq!((ids.role, ids.width), (InputRole::Ids, Width::Bits64));
        let mask = input("attention_mask", 6, &[Some(1), None]).unwrap();
        assert_eq!((mask.role, mask.width), (InputRole::Mask, Width::Bits32));
        let refused = [
            (input("position_ids", 7, &[None, None]), "the input position_ids is unknown"),
            (input("input_ids", 1, &[None, None]), "has the type 1, expected 6 or 7"),
            (input("input_ids", 7, &[None, Some(128)]), "exactly 128 tokens"),
            (input("input_ids", 7, &[Some(8), None]), "exactly 8 texts"),
            (input("input_ids", 7, &[None]), "1 dimensions, expected 2"),
        ];
        for (refusal, part) in refused {
            let message = refusal.unwrap_err();
            assert!(message.starts_with("model.onnx: ") && message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_onnx_file_is_found_or_named() {
        let directory = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(directory.path().join(name), "").unwrap();
        let find = || onnx_file(directory.path());
        assert!(find().unwrap_err().message.ends_with("has no model.onnx"));
        touch("model_int8.onnx");
        assert!(find().unwrap().ends_with("model_int8.onnx"));
        touch("model_fp16.onnx");
        assert!(find().unwrap_err().message.ends_with("several others: model_fp16.onnx, model_int8.onnx"));
        fs::create_dir(directory.path().join("onnx")).unwrap();
        touch("onnx/model.onnx");
        assert!(find().unwrap().ends_with("onnx/model.onnx"));
        touch("model.onnx");
        assert!(!find().unwrap().ends_with("onnx/model.onnx"));
    }
}
