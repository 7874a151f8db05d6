//! One binary holds all integration tests: a module a kind, and the real parts that they share.

mod architecture;
mod cli;
mod demo;
mod faults;
mod golden;
mod hostile;
mod kafka;
mod models;
mod support;
