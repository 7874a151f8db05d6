//! Tests against a real Kafka and a real schema registry. They need `make fetch`.

mod harness;
mod kill;
pub mod ledger;
mod state;
