//! Epochs to Kafka.
