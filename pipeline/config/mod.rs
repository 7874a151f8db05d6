//! From a file as written to [`Settings`] that cannot be wrong.

mod settings;

pub use settings::*;
