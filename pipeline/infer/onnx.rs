//! Models run by ONNX Runtime.
//!
//! On a GPU the runtime copies inputs and outputs itself: each is used once, so that binding them to the device's memory
//! would save no copy.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, TensorRef};

use crate::config::{Device, Inference};
use crate::event::{Encoding, Error, Fault, HeadAnswer, ModelId, Prediction};

use super::backend::{Backend, Inputs, ModelError, unreadable};
use super::directory::{InputRole, ModelDirectory, ModelInput, Width};
use super::head::{Head, HeadKind};
use super::{library, output};

/// Session options that pay on a CPU, unless the configuration says otherwise. A worker has one thread, and what it
/// does not use belongs to its neighbours: no spinning. The fused SkipLayerNormalization kernel is slower than its
/// parts. Subnormal numbers are not flushed: the runtime's switch reaches only the thread that makes the first session,
/// and workers would differ.
const CPU_OPTIONS: [(&str, &str); 3] = [
    ("session.intra_op.allow_spinning", "0"),
    ("session.inter_op.allow_spinning", "0"),
    ("optimization.disable_specified_optimizers", "SkipLayerNormFusion"),
];
/// Rows and tokens of the batches that warm a session up. On a GPU the first run of each new shape is about ten times
/// slower, so there are more of them.
const WARM_UP_CPU: [(usize, usize); 3] = [(1, 8), (8, 32), (1, usize::MAX)];
const WARM_UP_CUDA: [(usize, usize); 12] = [
    (1, 8),
    (1, 16),
    (1, 32),
    (1, 64),
    (1, 128),
    (1, usize::MAX),
    (32, 8),
    (32, 16),
    (32, 32),
    (16, 64),
    (8, 128),
    (4, usize::MAX),
];

/// Runs models with ONNX Runtime: a session for each model, used by one thread.
pub struct OnnxBackend {
    models: Vec<Model>,
    buffers: Buffers,
    warm_up: &'static [(usize, usize)],
}

impl OnnxBackend {
    /// Loads the runtime's library on the first call in a process, then makes a session for each model. Errors name the
    /// library, the model's file or the device; a device that cannot be had is never replaced by another.
    pub fn new(models: &[ModelDirectory], config: &Inference) -> Result<OnnxBackend, Error> {
        let environment = library::environment(config.library.as_deref())?;
        let models = models
            .iter()
            .map(|directory| {
                let session = session(Session::builder(&environment), &directory.onnx, config)?;
                Model::new(directory.clone(), session)
            })
            .collect::<Result<_, Error>>()?;
        let warm_up: &[_] = match config.device {
            Device::Cpu => &WARM_UP_CPU,
            Device::Cuda { .. } => &WARM_UP_CUDA,
        };
        Ok(OnnxBackend { models, buffers: Buffers::default(), warm_up })
    }

    /// Runs a few shapes of each model, so that the first real batch is not the slow one, and so that a model whose
    /// outputs are not what its heads need stops the start instead of failing every text.
    pub fn warm_up(&mut self) -> Result<(), Error> {
        for model in 0..self.models.len() {
            let directory = &self.models[model].directory;
            let (name, tokens_max) = (directory.name.clone(), directory.tokens_max);
            let id = u32::from(directory.pad_id == 0);
            for &(rows, tokens) in self.warm_up {
                let ids = vec![id; tokens.min(tokens_max)].into();
                let text = Arc::new(Encoding { ids, truncated: false });
                self.run(ModelId(model as u16), &Inputs::Texts(vec![text; rows]))
                    .map_err(|e| Error::new(Fault::Config, format!("model {name} cannot be run: {e}")))?;
            }
        }
        Ok(())
    }
}

impl Backend for OnnxBackend {
    fn run(&mut self, model: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
        let models = self.models.len();
        let Some(entry) = self.models.get_mut(usize::from(model.0)) else {
            return Err(ModelError::UnknownModel { model: model.0, models });
        };
        let Inputs::Texts(texts) = inputs else {
            return Err(unreadable(&entry.directory.name, "texts, not rows of features"));
        };
        entry.check_lengths(texts)?;
        let rows = entry.directory.batch_rows_max().unwrap_or(usize::MAX);
        let mut predictions = Vec::with_capacity(texts.len());
        for part in texts.chunks(rows) {
            let first = predictions.len();
            predictions.extend(entry.run(part, &mut self.buffers).map_err(|e| e.shifted(first))?);
        }
        Ok(predictions)
    }
}

struct Model {
    directory: ModelDirectory,
    session: Session,
    /// Asks only for the outputs that heads read; the runtime leaves out what nothing needs.
    options: RunOptions<HasSelectedOutputs>,
}

impl Model {
    fn new(directory: ModelDirectory, session: Session) -> Result<Model, Error> {
        let mut names: Vec<_> = directory.heads.iter().map(|h| h.output.clone()).collect();
        names.sort();
        names.dedup();
        let outputs = names.into_iter().fold(OutputSelector::no_default(), OutputSelector::with);
        let options = RunOptions::new().map_err(|e| Error::new(Fault::Model, e.to_string()))?.with_outputs(outputs);
        Ok(Model { directory, session, options })
    }

    /// A text without tokens has nothing to attend to, and one with too many reads past the model's positions; either
    /// would fail the whole batch without naming the culprit.
    fn check_lengths(&self, texts: &[Arc<Encoding>]) -> Result<(), ModelError> {
        let tokens_max = self.directory.tokens_max;
        let bad = texts.iter().position(|t| t.ids.is_empty() || t.ids.len() > tokens_max);
        bad.map_or(Ok(()), |row| {
            let (model, tokens) = (self.directory.name.clone(), texts[row].ids.len());
            Err(ModelError::Length { model, row, tokens, tokens_max })
        })
    }

    fn run(&mut self, texts: &[Arc<Encoding>], buffers: &mut Buffers) -> Result<Vec<Prediction>, ModelError> {
        let Model { directory, session, options } = self;
        let fault = |e: ort::Error| ModelError::Run { model: directory.name.clone(), message: e.to_string() };
        let batch = Batch { texts, tokens: texts.iter().map(|t| t.ids.len()).max().unwrap_or(0), directory };
        buffers.fill(&batch);
        let inputs = buffers.inputs(&batch).map_err(fault)?;
        let outputs = session.run_with_options(inputs, options).map_err(fault)?;
        let mut rows: Vec<Vec<HeadAnswer>> = vec![Vec::with_capacity(directory.heads.len()); texts.len()];
        for head in &directory.heads {
            let output = outputs.get(&head.output).ok_or_else(|| batch.shape_error(head, "nothing".to_owned()))?;
            batch.read(head, output, &mut buffers.values, &mut rows)?;
        }
        Ok(rows.into_iter().map(|heads| Prediction { heads: heads.into() }).collect())
    }
}

/// Texts that go through a model together, padded to the longest.
struct Batch<'a> {
    texts: &'a [Arc<Encoding>],
    tokens: usize,
    directory: &'a ModelDirectory,
}

impl Batch<'_> {
    /// Adds a head's answer to each row.
    fn read(
        &self,
        head: &Head,
        output: &DynValue,
        values: &mut Vec<f32>,
        rows: &mut [Vec<HeadAnswer>],
    ) -> Result<(), ModelError> {
        let shape = output::read(output, values).map_err(|got| self.shape_error(head, got))?;
        if !self.shape_fits(head, &shape) || values.len() != shape.iter().product::<usize>() {
            return Err(self.shape_error(head, format!("{shape:?}")));
        }
        let width = shape[shape.len() - 1];
        for (row, part) in values.chunks_exact_mut(shape[1..].iter().product()).enumerate() {
            let answer = match shape.len() {
                3 => output::mean(part, width, self.texts[row].ids.len()),
                _ => {
                    head.activation.apply(part);
                    Box::from(&*part)
                }
            };
            if answer.iter().any(|v| !v.is_finite()) {
                let (model, head) = (self.directory.name.clone(), head.name.clone());
                return Err(ModelError::NotFinite { model, head, row });
            }
            rows[row].push(HeadAnswer { values: answer });
        }
        Ok(())
    }

    fn shape_fits(&self, head: &Head, shape: &[usize]) -> bool {
        let (rows, tokens) = (self.texts.len(), self.tokens);
        match (&head.kind, shape) {
            (HeadKind::Embedding { dimensions }, [first @ .., width]) => {
                (first == [rows] || first == [rows, tokens]) && *width > 0 && dimensions.is_none_or(|d| d == *width)
            }
            (_, shape) => shape == [rows, head.labels.len()],
        }
    }

    fn shape_error(&self, head: &Head, got: String) -> ModelError {
        let (rows, tokens) = (self.texts.len(), self.tokens);
        let expected = match head.kind {
            HeadKind::Embedding { dimensions } => {
                let width = dimensions.map_or_else(|| "any".to_owned(), |d| d.to_string());
                format!("[{rows}, {width}] or [{rows}, {tokens}, {width}]")
            }
            _ => format!("[{rows}, {}]", head.labels.len()),
        };
        ModelError::Shape { model: self.directory.name.clone(), output: head.output.clone(), expected, got }
    }
}

/// Memory kept from run to run; it grows to the largest batch and no further.
#[derive(Default)]
struct Buffers {
    /// One for each of the model's inputs, in their order; of the two widths one is filled.
    wide: [Vec<i64>; 3],
    narrow: [Vec<i32>; 3],
    /// An output's values.
    values: Vec<f32>,
}

impl Buffers {
    fn fill(&mut self, batch: &Batch<'_>) {
        for (i, input) in batch.directory.inputs.iter().enumerate() {
            match input.width {
                Width::Bits64 => fill(&mut self.wide[i], batch, input, i64::from),
                Width::Bits32 => fill(&mut self.narrow[i], batch, input, |id| id as i32),
            }
        }
    }

    fn inputs<'a>(&'a self, batch: &Batch<'a>) -> ort::Result<Vec<(Cow<'a, str>, SessionInputValue<'a>)>> {
        let shape = [batch.texts.len(), batch.tokens];
        let inputs = batch.directory.inputs.iter().enumerate().map(|(i, input)| {
            let value: SessionInputValue<'a> = match input.width {
                Width::Bits64 => TensorRef::from_array_view((shape, self.wide[i].as_slice()))?.into(),
                Width::Bits32 => TensorRef::from_array_view((shape, self.narrow[i].as_slice()))?.into(),
            };
            Ok((Cow::Borrowed(input.name.as_str()), value))
        });
        inputs.collect()
    }
}

/// The batch as one input sees it, row after row.
fn fill<T: Copy>(buffer: &mut Vec<T>, batch: &Batch<'_>, input: &ModelInput, convert: impl Fn(u32) -> T) {
    buffer.clear();
    for text in batch.texts {
        let end = buffer.len() + batch.tokens;
        match input.role {
            InputRole::Ids => {
                buffer.extend(text.ids.iter().map(|&id| convert(id)));
                buffer.resize(end, convert(batch.directory.pad_id));
            }
            InputRole::Mask => {
                buffer.resize(buffer.len() + text.ids.len(), convert(1));
                buffer.resize(end, convert(0));
            }
            InputRole::Types => buffer.resize(end, convert(0)),
        }
    }
}

pub(super) fn session(builder: ort::Result<SessionBuilder>, path: &Path, config: &Inference) -> Result<Session, Error> {
    let fault = |e: ort::Error| Error::new(Fault::Config, format!("{} cannot be loaded: {e}", path.display()));
    let mut builder = builder.and_then(usual_options).map_err(fault)?;
    let mut options = BTreeMap::new();
    match config.device {
        Device::Cpu => options.extend(CPU_OPTIONS),
        Device::Cuda { id } => builder = cuda(builder, id)?,
    }
    options.extend(config.session_options.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    for (key, value) in options {
        builder = builder.with_config_entry(key, value).map_err(|e| {
            Error::new(Fault::Config, format!("inference.session_options.{key} = {value:?} is refused: {e}"))
        })?;
    }
    builder.commit_from_file(path).map_err(fault)
}

/// One thread, one operator after the other. No memory plan: it would be made anew for each shape of batch, and kept.
fn usual_options(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder
        .with_auto_device(AutoDevicePolicy::PreferCPU)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Warning)?)
}

/// Fails where the provider cannot be had; without `error_on_failure` the runtime would go on with the CPU and say
/// nothing.
fn cuda(builder: SessionBuilder, id: u32) -> Result<SessionBuilder, Error> {
    let fault = |what: String| {
        Error::new(Fault::Config, format!("inference.device is CUDA device {id}, which cannot be had: {what}"))
            .hint("install onnxruntime-gpu's library with CUDA 13 and cuDNN 9, or set inference.device to cpu")
    };
    if !ep::CUDA::is_available().unwrap_or(false) {
        return Err(fault("the ONNX Runtime library was built without its CUDA provider".to_owned()));
    }
    let device = i32::try_from(id).map_err(|_| fault(format!("there are at most {} devices", i32::MAX)))?;
    let provider = ep::CUDA::default().with_device_id(device).build().error_on_failure();
    builder.with_execution_providers([provider]).map_err(|e| fault(e.to_string()))
}
