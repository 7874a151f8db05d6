//! Models that read rows of features: what their directory says, and what runs them.

mod backend;
mod directory;

pub use backend::RowsBackend;
pub use directory::RowsDirectory;
