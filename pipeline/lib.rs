//! Groundswell hears what customers say and do while they are doing it: records from Kafka, through ONNX models, back to Kafka, exactly once.
//!
//! The modules stand in the order in which data meets them. ARCHITECTURE.md has the map.

pub mod event;

pub mod config;
pub mod http;
pub mod kafka;
pub mod telemetry;

pub mod source;

pub mod codec;
pub mod columns;
pub mod text;

pub mod batch;
pub mod infer;
pub mod state;

pub mod detect;

pub mod stages;

pub mod notify;
pub mod sink;

pub mod runtime;

pub mod api;
pub mod cli;
