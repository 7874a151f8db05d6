use std::io::{self, Write};

use super::stop;
use crate::event::{Error, Fault};

/// The exit code of a filter whose reader has gone, as a shell counts: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Text to standard output.
pub fn print(text: &str) -> Result<(), Error> {
    bytes(text.as_bytes())
}

pub fn bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(failed)
}

/// Why standard output takes no more. Where the reader behind a pipe has gone, as `head` does, nothing is left to do and
/// the process ends like any filter.
pub fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        stop::at_once(READER_GONE);
    }
    Error::new(Fault::Input, format!("cannot write to standard output: {error}"))
}

/// A line to standard output.
pub fn line(text: impl std::fmt::Display) -> Result<(), Error> {
    print(&format!("{text}\n"))
}
