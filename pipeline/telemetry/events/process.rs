//! Of the process itself.

use std::time::Duration;

use tracing::{error, info};

use crate::event::Error;
use crate::telemetry::names;

/// The program has started.
#[derive(Debug)]
pub struct Started<'a> {
    pub instance: &'a str,
    pub stages: &'a [&'static str],
}

impl Started<'_> {
    pub fn emit(&self) {
        let version = env!("CARGO_PKG_VERSION");
        names::BUILD_INFO.set(&[version], 1.0);
        info!(instance = self.instance, stages = self.stages.join(","), version, "started");
    }
}

/// The program was asked to end and commits what it has.
#[derive(Debug)]
pub struct Stopping {
    pub stage: &'static str,
    /// By when it will have ended, one way or the other.
    pub within: Duration,
}

impl Stopping {
    pub fn emit(&self) {
        info!(stage = self.stage, within_ms = self.within.as_millis() as u64, "stopping");
    }
}

/// The program has ended; with the error that ended it, if one did.
#[derive(Debug)]
pub struct Stopped<'a> {
    pub error: Option<&'a Error>,
}

impl Stopped<'_> {
    pub fn emit(&self) {
        match self.error {
            None => info!("stopped"),
            Some(cause) => error!(error = %cause, fault = %cause.fault, "stopped by an error"),
        }
    }
}
