use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::start::Running;
use crate::config::{Receiver, Settings};
use crate::event::{Error, Fault};
use crate::notify::Notifier;

/// Starts a thread for each receiver of alerts.
pub fn start_notifiers(settings: &Settings) -> Result<Vec<Running>, Error> {
    settings.receivers.iter().map(|receiver| start(receiver, settings)).collect()
}

fn start(receiver: &Receiver, settings: &Settings) -> Result<Running, Error> {
    let notifier = Notifier::new(receiver, &settings.kafka, &settings.outputs, &settings.instance)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = thread::Builder::new()
        .name(format!("notify-{}", receiver.name))
        .spawn(move || notifier.run(&stopped))
        .map_err(|e| Error::new(Fault::Bug, format!("cannot start the thread of receiver {}: {e}", receiver.name)))?;
    Ok(Running::new(move || stop.store(true, Ordering::Relaxed), thread))
}
