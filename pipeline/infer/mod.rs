//! Model directories and what runs them.
//!
//! A [`ModelDirectory`] is what a Hugging Face exporter wrote, read once and found runnable. A [`Backend`] answers for
//! batches of encoded texts; [`OnnxBackend`] does so with ONNX Runtime. A [`Pool`] keeps backends on threads of their
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
mod slot;
mod worker;

pub use backend::{Backend, ModelError};
pub use directory::{InputRole, ModelDirectory, ModelInput, Width};
pub use head::{Activation, Head, HeadKind, Polarity};
pub use onnx::OnnxBackend;
pub use pool::{Done, Factory, Job, Pool};
