//! Tests against a real Kafka and a real schema registry. They need `make fetch`.

mod alerts;
mod boards;
mod clicks;
mod events;
mod harness;
mod kill;
mod look_up;
mod notify;
mod recommend;
mod reviewers;
mod state;
