//! Where log lines go and how they look: standard error; human on a terminal, JSON otherwise.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};
use crate::event::{Error, Fault};

/// Starts logging for the whole process.
///
/// # Errors
/// The configuration's, if its filter cannot be read; a bug's, if logging was started before.
pub fn init(settings: &Log) -> Result<(), Error> {
    let subscriber = subscriber(settings, io::stderr().is_terminal(), io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::new(Fault::Bug, "logging was started twice"))
}

fn subscriber<W>(settings: &Log, terminal: bool, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // ONNX Runtime tells of every block of memory at `info`; a filter that names it is obeyed.
    let filter = EnvFilter::try_new(format!("ort=warn,{}", settings.filter)).map_err(|error| {
        Error::new(Fault::Config, format!("log.filter ({}) cannot be read: {error}", settings.filter))
            .hint("such as `info` or `info,groundswell=debug`")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let human = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(if human {
        Box::new(lines.with_target(false).with_ansi(colours).finish())
    } else {
        Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A place to write to that a test can read.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `emit` logs, at any level, in this format.
    pub(in crate::telemetry) fn logged(format: LogFormat, filter: &str, emit: impl FnOnce()) -> String {
        // With one subscriber alone, a thread without one that comes first to an event switches it off for all.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let captured = Captured::default();
        let writer = captured.clone();
        let settings = Log { format, filter: filter.to_owned() };
        let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_hold_a_constant_message_and_data_in_fields() {
        let line = logged(LogFormat::Auto, "info", || tracing::info!(partitions = 3, "partitions assigned"));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["message"], "partitions assigned");
        assert_eq!(json["partitions"], 3);
        assert_eq!(json["level"], "INFO");
        assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn human_lines_have_no_colours_where_no_terminal_looks_on() {
        let line = logged(LogFormat::Human, "info", || tracing::info!(partitions = 3, "partitions assigned"));
        assert!(line.ends_with("INFO partitions assigned partitions=3\n"), "{line}");
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(logged(LogFormat::Json, "warn", || tracing::info!("quiet")), "");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let settings = Log { format: LogFormat::Json, filter: "groundswell=loud".to_owned() };
        let error = subscriber(&settings, false, io::sink).err().unwrap();
        assert_eq!(error.fault, Fault::Config);
        assert!(error.message.starts_with("log.filter (groundswell=loud) cannot be read: "), "{error}");
    }
}
