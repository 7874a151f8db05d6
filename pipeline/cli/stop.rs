use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use crate::event::{Error, Fault};

/// The exit code of a process that a second Ctrl-C ends: 128 + SIGINT, as a shell counts.
const KILLED: i32 = 130;

unsafe extern "C" {
    /// POSIX: ends the process and runs nothing more of it.
    safe fn _exit(status: std::ffi::c_int) -> !;
}

/// Ends the process as a kill would. `exit` would take ONNX Runtime apart while its threads still load models or score:
/// the one ends in a segmentation fault, and texts that fail only for the other would be committed as dead letters.
pub fn at_once(status: i32) -> ! {
    _exit(status)
}

/// Whether somebody asked the command to end.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by the first SIGINT or SIGTERM; a second one ends the process at once.
    pub fn on_signal() -> Result<Stop, Error> {
        let cannot = |e: std::io::Error| Error::new(Fault::Bug, format!("cannot listen for signals: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let entered = runtime.enter();
        let mut int = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mut term = signal(SignalKind::terminate()).map_err(cannot)?;
        drop(entered);
        let stop = Stop::default();
        let asked = stop.0.clone();
        let listen = move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = int.recv() => {}
                        _ = term.recv() => {}
                    }
                    if asked.swap(true, Ordering::Relaxed) {
                        at_once(KILLED);
                    }
                }
            });
        };
        thread::Builder::new().name("signals".into()).spawn(listen).map_err(cannot)?;
        Ok(stop)
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
