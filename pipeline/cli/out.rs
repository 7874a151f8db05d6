use std::io::{self, Write};

use crate::event::{Error, Fault};

/// The exit code of a filter whose reader has gone, as a shell counts: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Text to standard output. Where the reader behind a pipe has gone, as `head` does, nothing is left to do and the
/// process ends like any filter.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(READER_GONE),
        Err(error) => Err(Error::new(Fault::Input, format!("cannot write to standard output: {error}"))),
    }
}

/// A line to standard output.
pub fn line(text: impl std::fmt::Display) -> Result<(), Error> {
    print(&format!("{text}\n"))
}
