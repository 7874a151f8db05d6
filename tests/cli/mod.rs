//! The program as it is typed: exit codes, and what it says on standard output and standard error.

mod backtest;
mod detect;
mod kafka;
mod usage;

use std::process::{Child, Command, Output, Stdio};

use crate::support::Outcome;

/// What a finished command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The program with these arguments, and none of the environment's own settings.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GROUNDSWELL") {
            command.env_remove(name);
        }
    }
    command.env("HOSTNAME", "test");
    command
}

fn groundswell(arguments: &[&str]) -> Outcome<Said> {
    Ok(command(arguments).output()?.into())
}

fn spawn(arguments: &[&str]) -> Outcome<Child> {
    Ok(command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Panics with all that was said if the command ended otherwise.
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}
