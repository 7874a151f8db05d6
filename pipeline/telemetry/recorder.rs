//! Keeps the metrics and writes them as Prometheus reads them.

use std::fmt::Write;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::names::{ALL, Kind, Metric};
use crate::event::{Error, Fault};

/// The process's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Metrics that no event counts in, for tests of what shows them.
    #[cfg(test)]
    pub(crate) fn detached() -> Result<Self, Error> {
        Ok(Self(build()?.handle()))
    }

    /// All metrics in Prometheus's text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Puts recorded values into their buckets. To be called every few seconds, for until then they are kept one by one;
    /// [`render`](Self::render) does it too, but nobody need ever ask for the metrics.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Starts keeping metrics for the whole process. Without it, events log and count nothing.
///
/// # Errors
/// A bug's, if metrics were started before.
pub fn recorder() -> Result<Metrics, Error> {
    let recorder = build()?;
    let metrics = Metrics(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| Error::new(Fault::Bug, "metrics were started twice"))?;
    describe();
    Ok(metrics)
}

/// The reference page of all metrics, in Markdown: `docs/metrics.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         What `/metrics` shows, in Prometheus's text format. This page is made from `pipeline/telemetry/names.rs`; \
         `UPDATE_DOCS=1 cargo test --lib telemetry` writes it anew.\n\n\
         | name | type | labels | what it says |\n|---|---|---|---|\n",
    );
    for Metric { name, kind, labels, help, .. } in ALL {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {} | {} | {help} |", kind_name(*kind), labels.join(", "));
    }
    page.push_str("\n## Buckets\n\n");
    for Metric { name, kind, .. } in ALL {
        if let Kind::Histogram(bounds) = kind {
            let bounds: Vec<_> = bounds.iter().map(f64::to_string).collect();
            let _ = writeln!(page, "- `{name}`: {}", bounds.join(", "));
        }
    }
    page
}

/// The exporter can guess unit suffixes; it is left off, for the names say their units already.
fn build() -> Result<PrometheusRecorder, Error> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
                .map_err(|error| Error::new(Fault::Bug, format!("buckets of {}: {error}", metric.name)))?;
        }
    }
    Ok(builder.build_recorder())
}

fn describe() {
    for &&Metric { name, kind, unit, help, .. } in ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram(_) => metrics::describe_histogram!(name, unit, help),
        }
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// The metrics after `emit`, kept apart from those of other tests.
    pub(in crate::telemetry) fn recorded(emit: impl FnOnce()) -> String {
        let recorder = build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            describe();
            emit();
        });
        Metrics(recorder.handle()).render()
    }

    #[test]
    fn the_reference_page_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == reference(), "docs/metrics.md is stale: `UPDATE_DOCS=1 cargo test --lib telemetry`");
    }

    #[test]
    fn histograms_have_buckets_and_counters_their_names_as_written() {
        let text = recorded(|| {
            super::super::names::EVENT_TO_VISIBLE.record_all(&["text"], &[0.004, 0.2, 90.0]);
            super::super::names::RECEIVED.add(&["reviews"], 10);
        });
        assert!(text.contains("# TYPE groundswell_event_to_visible_seconds histogram"), "{text}");
        assert!(text.contains("groundswell_event_to_visible_seconds_bucket{stage=\"text\",le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("groundswell_event_to_visible_seconds_bucket{stage=\"text\",le=\"60\"} 2"), "{text}");
        assert!(text.contains("groundswell_event_to_visible_seconds_count{stage=\"text\"} 3"), "{text}");
        assert!(text.contains("groundswell_received_bytes_total{topic=\"reviews\"} 10"), "{text}");
    }
}
