use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Outcome, out};
use crate::event::Error;

/// Print a completion script for a shell.
///
/// For bash: groundswell completions bash > ~/.local/share/bash-completion/completions/groundswell
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<Outcome, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "groundswell", &mut script);
        out::bytes(&script).map(|()| Outcome::Done)
    }
}
