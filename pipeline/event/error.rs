use std::fmt;

/// Whose fault an error is; decides the exit code and whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The data given to the program.
    Input,
    /// The command line, the configuration, or what it names (files, models, devices).
    Config,
    /// Kafka or the schema registry: unreachable, or refusing.
    Broker,
    /// A model that fails at run time.
    Model,
    /// The program itself.
    Bug,
}

impl Fault {
    /// The process's exit code for an error that ends it.
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::Input => 1,
            Fault::Config => 2,
            Fault::Broker => 3,
            Fault::Model | Fault::Bug => 70,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Input => "input",
            Fault::Config => "config",
            Fault::Broker => "broker",
            Fault::Model => "model",
            Fault::Bug => "bug",
        })
    }
}

/// An error as it reaches a person: what went wrong, whose fault it is, and what to do about it where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub fault: Fault,
    /// In lower case, without a full stop, with the name and both values.
    pub message: String,
    pub hint: Option<String>,
}

impl Error {
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was being done when the error arose: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
