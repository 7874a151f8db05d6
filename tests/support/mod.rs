//! The real parts that tests talk to: Apache Kafka and a schema registry, as child processes on loopback; instances of
//! the program between them; and the comparison of what went in with what came out.
//!
//! They are brought by `make fetch` and started by `deploy/local/`. However the test process ends, they end with
//! it: their supervisor watches a pipe that the kernel closes.

pub mod instance;
pub mod kafka;
pub mod ledger;
mod patience;
pub mod receiver;
pub mod registry;
pub mod remembered;
mod service;
mod stand;

pub use instance::Instance;
pub use kafka::{Kafka, Record};
pub use ledger::Fate;
pub use patience::{Patience, wait_until};
pub use registry::{Reference, Registry, framed};
pub use stand::{SOON, Stand, review, reviews};

/// A port of the loopback interface that nobody listens on now.
pub fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What helpers and tests return, so that a test reads as its steps with `?` between them.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
