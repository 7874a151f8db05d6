//! What happens to a text before a model sees it: normalise, redact, recognise the language, tokenise. In this order, and why:
//!
//! 1. [`normalise`] is the only step that sees the text as its writer sent it. It comes first because redaction must not be fooled by how a
//!    number is written (`１３８００１３８０００`, a zero-width space in the middle); it keeps nothing and logs nothing.
//! 2. [`Redactor::redact`] comes next, before anything else sees the text (the invariant `private`): everything below, the result cache, the
//!    models, the scored events, the logs, has the redacted text alone.
//! 3. [`text_key`] and [`language`] read the redacted text. So two texts that differ in a telephone number only are one to the result cache.
//! 4. [`Tokeniser::encode`] turns it into what a model reads, once for each model that is asked.
//!
//! All of it is pure but for [`Tokeniser::load`], which reads a file; all of it takes time linear in the text and never panics on one.

mod language;
mod normalise;
mod redact;
mod tokenise;

pub use language::{Language, language};
pub use normalise::{normalise, text_key};
pub use redact::{Redacted, Redactor};
pub use tokenise::Tokeniser;
