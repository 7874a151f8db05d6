//! What a running instance shows of itself.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use groundswell::telemetry;

use crate::support::{Fate, Kafka, Outcome, Record, SOON, Stand, review, wait_until};

/// Counters of what did not happen here: they appear with the first time that it does.
const OF_FAULTS: [&str; 8] = [
    "groundswell_source_paused",
    "groundswell_broker_errors_total",
    "groundswell_registry_retries_total",
    "groundswell_batch_failures_total",
    "groundswell_model_workers_replaced_total",
    "groundswell_epochs_aborted_total",
    "groundswell_producers_rebuilt_total",
    "groundswell_log_lines_suppressed_total",
];

/// Of what a stage remembers: the text stage, which runs here, remembers nothing.
const OF_STATE: [&str; 10] = [
    "groundswell_state_entries",
    "groundswell_state_size_bytes",
    "groundswell_state_limit_bytes",
    "groundswell_state_uncommitted_bytes",
    "groundswell_state_spilled_bytes",
    "groundswell_state_expired_total",
    "groundswell_timers_fired_total",
    "groundswell_restored_records_total",
    "groundswell_restore_remaining_records",
    "groundswell_local_copies_total",
];

/// Those of the stage for clicks, which this test does not run.
const OF_CLICKS: [&str; 14] = [
    "groundswell_look_up_seconds",
    "groundswell_clicks_total",
    "groundswell_clicks_without_key_total",
    "groundswell_sessions_total",
    "groundswell_purchase_probability",
    "groundswell_profiles_total",
    "groundswell_segment_drift",
    "groundswell_recommendations_total",
    "groundswell_recommendation_effects_total",
    "groundswell_recommendation_counts_total",
    "groundswell_recommendation_lists",
    "groundswell_table_reading",
    "groundswell_recommendation_lists_size_bytes",
    "groundswell_recommendation_lists_limit_bytes",
];

/// Those of the alerts stage and of the receivers of alerts, which do not run here.
const OF_ALERTS: [&str; 12] = [
    "groundswell_alert_texts_total",
    "groundswell_alert_sums_late_total",
    "groundswell_alerts_written_total",
    "groundswell_alerts_firing",
    "groundswell_trends_written_total",
    "groundswell_alerts_delivered_total",
    "groundswell_alert_deliveries_failed_total",
    "groundswell_alerts_waiting",
    "groundswell_alerts_retrying",
    "groundswell_alert_oldest_waiting_seconds",
    "groundswell_board_size_bytes",
    "groundswell_board_limit_bytes",
];

#[test]
fn metrics_are_complete_and_as_prometheus_wants_them() -> Outcome<()> {
    let mut stand = Stand::new(Kafka::shared()?, "metrics", 2, "")?;
    let mut instance = stand.start_with_http("a", &[], &[])?;
    stand.write_reviews(0, 200)?;
    stand.write("reviews", &[review(0, "call 13812345678"), review(0, &"very long ".repeat(400))], Fate::Scored)?;
    stand.write("reviews", &[Record::new("no JSON")], Fate::DeadLettered)?;
    stand.wait_until_processed(&mut [&mut instance])?;
    // Written every few seconds, when the client says where the partitions end.
    wait_until(SOON, "a lag of 0", || {
        let (_, now) = stand.get("/metrics")?;
        Ok(now.contains("groundswell_lag_records{") && sum(&now, "groundswell_lag_records") == 0.0)
    })?;

    let (_, first) = stand.get("/metrics")?;
    promtool(&first)?;
    let shown: BTreeSet<&str> =
        first.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<&str> = telemetry::ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.contains(name) && !OF_FAULTS.contains(name))
        .filter(|name| !OF_STATE.contains(name) && !OF_CLICKS.contains(name) && !OF_ALERTS.contains(name))
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let unknown: Vec<_> = shown.iter().filter(|name| telemetry::ALL.iter().all(|m| m.name != **name)).collect();
    assert!(unknown.is_empty(), "not in the list: {unknown:?}");

    assert_eq!(sum(&first, "groundswell_records_received_total"), 203.0);
    assert_eq!(sum(&first, "groundswell_records_scored_total"), 202.0);
    assert_eq!(sum(&first, "groundswell_dead_letters_total"), 1.0);
    assert_eq!(sum(&first, "groundswell_redactions_total"), 1.0);
    assert_eq!(sum(&first, "groundswell_event_to_visible_seconds_count"), 203.0);
    wait_until(SOON, "nothing in flight", || {
        Ok(sum(&stand.get("/metrics")?.1, "groundswell_in_flight_records") == 0.0)
    })?;
    stand.judge()
}

fn promtool(metrics: &str) -> Outcome<()> {
    let promtool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".local/bin/promtool");
    let mut child = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{} does not start ({error}): make fetch brings it", promtool.display()))?;
    child.stdin.take().ok_or("no stdin")?.write_all(metrics.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// Over all label values.
fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
