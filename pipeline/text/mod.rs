//! x

mod language;
mod normalise;
mod redact;
mod tokenise;

pub use language::{Language, language};
pub use normalise::{normalise, text_key};
pub use redact::{Redacted, Redactor};
pub use tokenise::Tokeniser;
