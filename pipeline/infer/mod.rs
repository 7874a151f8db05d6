//! Model directories and what runs them.
//!
//! A [`ModelDirectory`] is what a Hugging Face exporter wrote, read once and found runnable; a [`RowsDirectory`] is a model
//! of features. A [`Backend`] answers for batches of encoded texts or of rows; [`OnnxBackend`] and [`RowsBackend`] do so
//! with ONNX Runtime. A [`Pool`] keeps backends on threads of their
//! own and replaces those that panic or hang.

mod backend;
mod directory;
mod graph;
mod head;
mod json;
mod library;
mod onnx;
mod output;
mod pool;
mod rows;
mod slot;
mod worker;

pub use backend::{Backend, Inputs, ModelError};
pub use directory::{InputRole, ModelDirectory, ModelInput, Width};
pub use head::{Activation, Head, HeadKind, Polarity};
pub use onnx::OnnxBackend;
pub use pool::{Done, Factory, Job, Pool};
pub use rows::{RowsBackend, RowsDirectory};
