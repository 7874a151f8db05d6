use std::fmt;

/// What can go wrong with a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The local copy cannot be read. It is thrown away and the state rebuilt from its changelog.
    Damaged(String),
    /// The changelog holds what this program cannot read: it was written by a newer one, or by something else.
    Incompatible(String),
    /// The directory of local copies cannot be used.
    Directory(String),
    /// The stage does not know what it wrote itself.
    Stage(String),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Damaged(why) => write!(f, "the local copy of the state is damaged: {why}"),
            StateError::Incompatible(why) | StateError::Directory(why) | StateError::Stage(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StateError {}
