use std::sync::Arc;

use arrow_array::FixedSizeListArray;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use ort::value::TensorRef;

use super::RowsDirectory;
use crate::columns::Rows;
use crate::config::{Device, Inference};
use crate::event::{Error, Fault, HeadAnswer, ModelId, Prediction};
use crate::infer::backend::{Backend, Inputs, ModelError, unreadable};
use crate::infer::{library, onnx, output};

/// Rows of the batches that warm a session up.
const WARM_UP: [usize; 3] = [1, 64, 512];

/// Runs one model of rows with ONNX Runtime, used by one thread. Always on the CPU: a row costs less there than its way
/// to another device.
pub struct RowsBackend {
    directory: RowsDirectory,
    session: Session,
    options: RunOptions<HasSelectedOutputs>,
    /// An output's values, kept from run to run.
    values: Vec<f32>,
}

impl RowsBackend {
    /// Loads the runtime's library on the first call in a process. Errors name the library or the model's file.
    pub fn new(directory: &RowsDirectory, config: &Inference) -> Result<RowsBackend, Error> {
        let environment = library::environment(config.library.as_deref())?;
        let config = Inference { device: Device::Cpu, ..config.clone() };
        let session = onnx::session(Session::builder(&environment), &directory.onnx, &config)?;
        let outputs = OutputSelector::no_default().with(directory.output.clone());
        let options = RunOptions::new().map_err(|e| Error::new(Fault::Model, e.to_string()))?.with_outputs(outputs);
        Ok(RowsBackend { directory: directory.clone(), session, options, values: Vec::new() })
    }

    /// Runs a few shapes, so that the first real batch is not the slow one, and so that a model that does not answer with
    /// a number a row stops the start instead of failing every row.
    pub fn warm_up(&mut self) -> Result<(), Error> {
        let width = self.directory.features.len();
        for rows in WARM_UP.map(|rows| rows.min(self.directory.rows_max.unwrap_or(usize::MAX))) {
            let mut zeros = Rows::with_capacity(width, rows);
            for _ in 0..rows {
                zeros.push(&vec![0.0; width]);
            }
            let inputs = Inputs::Rows(Arc::new(zeros.into_array()?));
            self.run(ModelId(0), &inputs)
                .map_err(|e| Error::new(Fault::Config, format!("model {} cannot be run: {e}", self.directory.name)))?;
        }
        Ok(())
    }

    /// The probabilities of the rows, in `values`.
    fn answer(&mut self, rows: &FixedSizeListArray) -> Result<(), ModelError> {
        let Self { directory, session, options, values } = self;
        let fault = |e: ort::Error| ModelError::Run { model: directory.name.clone(), message: e.to_string() };
        let width = directory.features.len();
        let Some((features, shape)) = Rows::tensor(rows).filter(|(_, shape)| shape[1] == width) else {
            return Err(unreadable(&directory.name, &format!("rows of {width} features")));
        };
        // The array's own memory is what the model reads.
        let input = TensorRef::from_array_view((shape, features)).map_err(fault)?;
        let outputs =
            session.run_with_options(ort::inputs![directory.input.as_str() => input], options).map_err(fault)?;
        let unlike = |got: String| ModelError::Shape {
            model: directory.name.clone(),
            output: directory.output.clone(),
            expected: format!("[{0}] or [{0}, 1]", shape[0]),
            got,
        };
        let found = outputs.get(&directory.output).ok_or_else(|| unlike("nothing".to_owned()))?;
        let got = output::read(found, values).map_err(unlike)?;
        match got.as_slice() {
            [rows] | [rows, 1] if *rows == shape[0] && values.len() == shape[0] => Ok(()),
            _ => Err(unlike(format!("{got:?}"))),
        }
    }
}

impl Backend for RowsBackend {
    fn run(&mut self, model: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError> {
        if model != ModelId(0) {
            return Err(ModelError::UnknownModel { model: model.0, models: 1 });
        }
        let Inputs::Rows(rows) = inputs else {
            return Err(unreadable(&self.directory.name, "rows of features, not texts"));
        };
        self.answer(rows)?;
        if let Some(row) = self.values.iter().position(|value| !value.is_finite()) {
            let head = self.directory.output.clone();
            return Err(ModelError::NotFinite { model: self.directory.name.clone(), head, row });
        }
        let answer = |value: &f32| Prediction { heads: Box::new([HeadAnswer { values: Box::new([*value]) }]) };
        Ok(self.values.iter().map(answer).collect())
    }
}
