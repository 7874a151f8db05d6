//! Events of the program's own life: each emits its log line and its metric.
//!
//! What happens is a struct of [`events`](self) with an `emit`; nothing else in the program logs or counts. A log line
//! is a constant message with its data in fields, and no field ever holds a payload's text. What happens often is
//! emitted once a chunk, a batch or an epoch, with totals. What can flood (warnings and errors) is written at most five
//! times in ten seconds for each cause, with the number left out.

mod events;
mod health;
mod limiter;
mod log;
mod names;
mod recorder;

pub use events::*;
pub use health::{Health, Seat};
pub use log::init;
pub use names::{ALL, Kind, Metric};
pub use recorder::{Metrics, recorder, reference};
