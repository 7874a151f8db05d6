//! What happens to a text before a model sees it: normalise, redact, recognise the language, tokenise.
