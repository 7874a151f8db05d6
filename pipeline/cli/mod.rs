//! What a user types: a file a subcommand.

mod admin;
mod backtest;
mod check;
mod completions;
mod danger;
mod dead_letters;
mod demo;
mod detect;
mod features;
mod lines;
mod out;
mod places;
mod progress;
mod replay;
mod run;
mod score;
mod settings;
mod stages;
mod stop;
mod table;
mod topics;

use std::io::Write;
use std::panic;

use clap::{Parser, Subcommand};

use crate::event::{Error, Fault};

const AFTER_HELP: &str = "\
Exit codes:
  0   done
  1   some input failed
  2   wrong usage or configuration
  3   broker or registry unreachable
  70  a fault of the program itself, or of a model
  130, 143  a second Ctrl-C or SIGTERM ended it at once
  141 whoever read its output has gone

Every configuration key can be set by --set section.key=value and by GROUNDSWELL__SECTION__KEY.";

/// Scores reviews and chats from Kafka with ONNX models and writes them back, exactly once.
#[derive(Debug, Parser)]
#[command(name = "groundswell", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(run::Run),
    Check(check::Check),
    Score(score::Score),
    Detect(detect::Detect),
    Backtest(backtest::Backtest),
    Replay(replay::Replay),
    Features(features::Features),
    Topics(topics::Topics),
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    Completions(completions::Completions),
}

/// How a command that came to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The command did its work, and some of what it was given failed.
    SomeInputFailed,
}

/// Parses the command line, runs the command, says on stderr what went wrong, and ends the process.
pub fn main() -> ! {
    // A panic has said on stderr where it happened.
    let code = panic::catch_unwind(run).unwrap_or(Fault::Bug.exit_code());
    // Nobody is left to tell when what was printed last does not arrive.
    let _ = std::io::stdout().flush();
    stop::at_once(i32::from(code))
}

fn run() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nobody is left to tell when even this cannot be printed.
            let _ = error.print();
            return code;
        }
    };
    match cli.command.run() {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::SomeInputFailed) => 1,
        Err(error) => {
            let hint = error.hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            // Nobody is left to tell when standard error takes nothing.
            let _ = write!(std::io::stderr(), "error: {}\n{hint}", error.message);
            error.fault.exit_code()
        }
    }
}

impl Command {
    fn run(self) -> Result<Outcome, Error> {
        match self {
            Command::Demo(command) => command.run(),
            Command::Run(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Score(command) => command.run(),
            Command::Detect(command) => command.run(),
            Command::Backtest(command) => command.run(),
            Command::Replay(command) => command.run(),
            Command::Features(command) => command.run(),
            Command::Topics(command) => command.run(),
            Command::DeadLetters(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}
