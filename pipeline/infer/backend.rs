use std::fmt;
use std::sync::Arc;

use arrow_array::{Array, FixedSizeListArray};

use crate::event::{Encoding, ModelId, Prediction};

/// A batch as a model reads it. Cheap to share: the caller keeps it until the answers are there.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    Texts(Vec<Arc<Encoding>>),
    /// Rows of features, one behind the other, in memory that the model reads as it is.
    Rows(Arc<FixedSizeListArray>),
}

impl Inputs {
    /// Texts or rows.
    pub fn len(&self) -> usize {
        match self {
            Inputs::Texts(texts) => texts.len(),
            Inputs::Rows(rows) => rows.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What answers for batches of texts or rows.
///
/// The contract:
/// - One prediction for each text or row, in their order; each holds one answer for each head of the model, in the
///   order of its heads. Never fewer, never more.
/// - A prediction does not depend on the texts or rows beside it, nor on padding (within 1e-4).
/// - A value that is not a finite number is an error that names the row, never a prediction.
/// - After an error the backend answers the next batch as if nothing had happened. A backend that cannot promise that
///   panics: the pool then makes a new one.
/// - It may be slow; the caller decides how long it waits.
pub trait Backend: Send {
    fn run(&mut self, model: ModelId, inputs: &Inputs) -> Result<Vec<Prediction>, ModelError>;
}

/// What a model cannot read is refused, never guessed at.
pub(super) fn unreadable(model: &str, reads: &str) -> ModelError {
    ModelError::Run { model: model.to_owned(), message: format!("it reads {reads}") }
}

/// Why a batch has no answers. What names a row lets the caller set that text aside without a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelError {
    /// The runtime refused or failed; which text is to blame is not known.
    Run { model: String, message: String },
    /// A text whose length no run can take.
    Length { model: String, row: usize, tokens: usize, tokens_max: usize },
    /// An output value is NaN or infinite.
    NotFinite { model: String, head: String, row: usize },
    /// An output has another shape than its head was configured for.
    Shape { model: String, output: String, expected: String, got: String },
    /// The backend panicked and was replaced.
    Panicked { message: String },
    /// No model has this position in the configuration.
    UnknownModel { model: u16, models: usize },
}

impl ModelError {
    /// The text or row to blame, as a position in the batch, where it is known.
    pub fn row(&self) -> Option<usize> {
        match self {
            ModelError::Length { row, .. } | ModelError::NotFinite { row, .. } => Some(*row),
            _ => None,
        }
    }

    /// The same error for a part of a batch that starts at `first`.
    pub(super) fn shifted(mut self, first: usize) -> Self {
        if let ModelError::Length { row, .. } | ModelError::NotFinite { row, .. } = &mut self {
            *row += first;
        }
        self
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelError::Run { model, message } => write!(f, "model {model} failed: {message}"),
            ModelError::Length { model, row, tokens, tokens_max } => {
                write!(f, "model {model}: text {row} has {tokens} tokens; 1 to {tokens_max} can be read")
            }
            ModelError::NotFinite { model, head, row } => {
                write!(
                    f,
                    "model {model}: head {head} gives a value that is not a finite number for row {row} of the batch"
                )
            }
            ModelError::Shape { model, output, expected, got } => {
                write!(f, "model {model}: output {output} has the shape {got}, expected {expected}")
            }
            ModelError::Panicked { message } => write!(f, "the model worker panicked: {message}"),
            ModelError::UnknownModel { model, models } => {
                write!(f, "there is no model {model}; {models} are configured")
            }
        }
    }
}

impl std::error::Error for ModelError {}
