mod filter;
mod letter;
mod list;
mod reader;
mod replay;
mod sender;
mod show;

use clap::Subcommand;
use jiff::Timestamp;

use super::Outcome;
use crate::event::Error;

/// List, show and replay what could not be processed.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
}

impl DeadLetters {
    pub fn run(self) -> Result<Outcome, Error> {
        match self {
            DeadLetters::List(command) => command.run(),
            DeadLetters::Show(command) => command.run(),
            DeadLetters::Replay(command) => command.run(),
        }
    }
}

/// A timestamp in UTC as a person reads it.
fn time(ms: Option<i64>) -> String {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map_or_else(|| "unknown".into(), |time| time.to_string())
}
