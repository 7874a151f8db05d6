//! What can go wrong around a running instance, brought about on purpose, with a real Kafka and a real registry. They
//! need `make fetch`.

mod broker;
mod groups;
mod instances;
mod latest;
mod metrics;
mod model;
mod registry;
mod rights;
mod secrets;
mod topics;
