//! Alerts and trends as one instance reads them back from their topics, for those who ask: all of them, whichever instance
//! has written them.

mod alerts;
mod trends;

pub use alerts::AlertBoard;
pub use trends::TrendBoard;

/// What an entry takes beside its text and its key: pointers, times, the places in the order of leaving.
const ENTRY_BYTES: usize = 256;
