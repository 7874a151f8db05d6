//! Numbers in columns: rows of features as Arrow arrays, for models and for files.
//!
//! A model reads rows that lie one behind the other, a file holds a column a name. [`Rows`] is the first, without a copy:
//! what is appended is the memory that ONNX Runtime is given. [`FeatureFile`] makes the second of it, a part at a time.

mod file;
mod rows;

pub use file::{FeatureFile, Labelled};
pub use rows::Rows;
