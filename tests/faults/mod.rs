//! What can go wrong around a running instance, brought about on purpose, with a real Kafka and a real registry. They
//! need `make fetch`.

mod broker;
mod groups;
mod instances;
mod metrics;
mod model;
mod registry;
mod secrets;
mod topics;
