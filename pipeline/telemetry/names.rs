//! Every metric: its name, its unit, its labels and what it says. The one place where they are written; events, the
//! recorder's descriptions and `docs/metrics.md` are made from it.
//!
//! Names follow Prometheus's conventions: base units last, `_total` on counters, no metric type in a name.

use metrics::{Label, Unit};

/// A metric as it is described to Prometheus.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets, in the metric's unit.
    Histogram(&'static [f64]),
}

const FROM_1_TO_1024: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
const FROM_1_MS_TO_10_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const FROM_5_MS_TO_60_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Finer where probabilities of a purchase lie.
const SHARES: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

impl Metric {
    /// Adds to a counter. Label values stand in the order of `labels`, here and below.
    pub(super) fn add(&self, values: &[&str], by: u64) {
        metrics::counter!(self.name, self.labelled(values)).increment(by);
    }

    /// Brings a counter to a total that is counted elsewhere.
    pub(super) fn absolute(&self, values: &[&str], total: u64) {
        metrics::counter!(self.name, self.labelled(values)).absolute(total);
    }

    /// Sets a gauge.
    pub(super) fn set(&self, values: &[&str], value: f64) {
        metrics::gauge!(self.name, self.labelled(values)).set(value);
    }

    /// Moves a gauge by so much.
    pub(super) fn shift(&self, values: &[&str], by: f64) {
        metrics::gauge!(self.name, self.labelled(values)).increment(by);
    }

    /// Records a value in a histogram.
    pub(super) fn record(&self, values: &[&str], value: f64) {
        metrics::histogram!(self.name, self.labelled(values)).record(value);
    }

    /// Records many values in a histogram, looking it up once.
    pub(super) fn record_all(&self, values: &[&str], recorded: &[f64]) {
        let histogram = metrics::histogram!(self.name, self.labelled(values));
        recorded.iter().for_each(|value| histogram.record(*value));
    }

    fn labelled(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.labels.len(), "labels of {}", self.name);
        self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, value.to_string())).collect()
    }
}

// Input
pub(super) static RECORDS_RECEIVED: Metric = Metric {
    name: "groundswell_records_received_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["topic"],
    help: "Records read from Kafka.",
};
pub(super) static RECEIVED: Metric = Metric {
    name: "groundswell_received_bytes_total",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    labels: &["topic"],
    help: "Bytes of the records read from Kafka: values, keys and headers.",
};
pub(super) static LAG: Metric = Metric {
    name: "groundswell_lag_records",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["topic", "partition"],
    help: "Records between what is committed and the partition's end; 0 once the partition is another instance's.",
};
pub(super) static PARTITIONS_ASSIGNED: Metric = Metric {
    name: "groundswell_partitions_assigned",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Partitions that this instance reads.",
};
pub(super) static REBALANCES: Metric = Metric {
    name: "groundswell_rebalances_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage", "kind"],
    help: "Changes of the partitions read, by kind: assigned, revoked, lost.",
};
pub(super) static SOURCE_PAUSED: Metric = Metric {
    name: "groundswell_source_paused",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Engines whose reading is paused because a bound on what is in flight is reached; a stage has one unless it is told to have more.",
};
pub(super) static BROKER_ERRORS: Metric = Metric {
    name: "groundswell_broker_errors_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Errors that the Kafka client reported and went on after.",
};
pub(super) static REGISTRY_RETRIES: Metric = Metric {
    name: "groundswell_registry_retries_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Requests to the schema registry that failed and were tried again.",
};

// Texts
pub(super) static REDACTIONS: Metric = Metric {
    name: "groundswell_redactions_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["kind"],
    help: "Pieces of text that redaction removed.",
};
pub(super) static TRUNCATED: Metric = Metric {
    name: "groundswell_texts_truncated_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["model"],
    help: "Texts cut to the longest input that the model reads.",
};

// Clicks
pub(super) static CLICKS: Metric = Metric {
    name: "groundswell_clicks_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["outcome"],
    help: "Clicks observed, by outcome: counted in a session, or too_late for any; those of epochs that were aborted count again.",
};
pub(super) static CLICKS_WITHOUT_KEY: Metric = Metric {
    name: "groundswell_clicks_without_key_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Clicks whose record has no key: those of one user lie in any partition, and each partition remembers a user of its own. Those of epochs that were aborted count again.",
};
pub(super) static SESSIONS: Metric = Metric {
    name: "groundswell_sessions_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["change"],
    help: "Changes of sessions: opened, revised by a late click, merged by one; those of epochs that were aborted count again.",
};
pub(super) static PURCHASE_PROBABILITY: Metric = Metric {
    name: "groundswell_purchase_probability",
    kind: Kind::Histogram(SHARES),
    unit: Unit::Count,
    labels: &["model"],
    help: "What the purchase model said of clicks, 0 to 1.",
};
pub(super) static PROFILES: Metric = Metric {
    name: "groundswell_profiles_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["segment"],
    help: "Profiles made, by segment; those of epochs that were aborted count again.",
};
pub(super) static SEGMENT_DRIFT: Metric = Metric {
    name: "groundswell_segment_drift",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Population stability index of the segments of the last some thousand profiles against those that the centres were fitted to: below 0.1 alike, above 0.25 another population.",
};

// Recommendations
pub(super) static RECOMMENDATIONS: Metric = Metric {
    name: "groundswell_recommendations_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["outcome"],
    help: "Clicks at which something was to be recommended, by outcome: made, or empty where there was nothing; those of epochs that were aborted count again.",
};
pub(super) static RECOMMENDATION_EFFECTS: Metric = Metric {
    name: "groundswell_recommendation_effects_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["effect"],
    help: "What clicks did to recommendations: seen, clicked, converted, each once a recommendation; unknown where a click names one that was not made for its user or too long ago. Seen over made is the share that is shown, clicked over seen the click-through, converted over clicked the conversion. Those of epochs that were aborted count again.",
};
pub(super) static RECOMMENDATION_COUNTS: Metric = Metric {
    name: "groundswell_recommendation_counts_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Messages of counts handed to the owners of items and categories; those of epochs that were aborted count again.",
};
pub(super) static RECOMMENDATION_LISTS: Metric = Metric {
    name: "groundswell_recommendation_lists",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Lists of neighbours and of what is popular that this instance has in memory.",
};
pub(super) static RECOMMENDATION_LISTS_SIZE: Metric = Metric {
    name: "groundswell_recommendation_lists_size_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    help: "What these lists take, overhead included.",
};
pub(super) static RECOMMENDATION_LISTS_LIMIT: Metric = Metric {
    name: "groundswell_recommendation_lists_limit_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    help: "What they may take.",
};

// Look-ups
pub(super) static LOOK_UP_SECONDS: Metric = Metric {
    name: "groundswell_look_up_seconds",
    kind: Kind::Histogram(FROM_1_MS_TO_10_S),
    unit: Unit::Seconds,
    labels: &["about", "outcome"],
    help: "From a question about a user over HTTP to its answer: found, unknown, redirected or passed_on to the instance that has the user, restoring where that is not ready, nowhere where no instance that has the user can be reached, busy where too many wait, late where no answer came in time, refused where it was no question.",
};
pub(super) static TABLE_READING: Metric = Metric {
    name: "groundswell_table_reading",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["table"],
    help: "1 while a table that every instance reads is read from its beginning (lists: of recommendations; reviewers: what users say in reviews), 0 once that is done.",
};
pub(super) static BOARD_SIZE: Metric = Metric {
    name: "groundswell_board_size_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["board"],
    help: "Alerts, trends, or what users say in reviews (reviewers) that this instance has read back to answer with, overhead included.",
};
pub(super) static BOARD_LIMIT: Metric = Metric {
    name: "groundswell_board_limit_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["board"],
    help: "What they may take.",
};

// Alerts
pub(super) static ALERT_TEXTS: Metric = Metric {
    name: "groundswell_alert_texts_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["outcome"],
    help: "Scored texts and clicks, and dead letters, that the alerts stage has seen, by outcome: counted, or too_late for their bucket; those of epochs that were aborted count again.",
};
pub(super) static ALERT_SUMS_LATE: Metric = Metric {
    name: "groundswell_alert_sums_late_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Sums of a scope and bucket that were left out because their bucket was closed when they came, with the texts that are only in them: a partition was further behind than alerts.grace_ms and alerts.idle_ms allow; those of epochs that were aborted count again.",
};
pub(super) static ALERTS_WRITTEN: Metric = Metric {
    name: "groundswell_alerts_written_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["state"],
    help: "Alerts written, every revision, by state; those of epochs that were aborted count again.",
};
pub(super) static ALERTS_FIRING: Metric = Metric {
    name: "groundswell_alerts_firing",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["rule", "severity"],
    help: "Alerts that fire now and are neither inhibited nor silenced, by rule and severity; every instance with an HTTP port counts all of them.",
};
pub(super) static ALERTS_DELIVERED: Metric = Metric {
    name: "groundswell_alerts_delivered_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["receiver", "outcome"],
    help: "Alerts that a webhook or an Alertmanager need not be told any more, by outcome: delivered, told_again because they go on, superseded by a newer revision, given_up, or unreadable.",
};
pub(super) static ALERT_DELIVERIES_FAILED: Metric = Metric {
    name: "groundswell_alert_deliveries_failed_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["receiver"],
    help: "Requests to a webhook or an Alertmanager that failed or were refused.",
};
pub(super) static ALERTS_WAITING: Metric = Metric {
    name: "groundswell_alerts_waiting",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["receiver"],
    help: "Alerts that a receiver is still to be told of; at 1,000 no more are read for it.",
};
pub(super) static ALERTS_RETRYING: Metric = Metric {
    name: "groundswell_alerts_retrying",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["receiver"],
    help: "Alerts among those waiting that a receiver was tried to be told of in vain.",
};
pub(super) static ALERT_OLDEST_WAITING: Metric = Metric {
    name: "groundswell_alert_oldest_waiting_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    labels: &["receiver"],
    help: "Time since the oldest alert that a receiver is still to be told of was written; 0 where none waits.",
};
pub(super) static TRENDS_WRITTEN: Metric = Metric {
    name: "groundswell_trends_written_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Buckets of scopes written, every revision; those of epochs that were aborted count again.",
};

// Models
pub(super) static MODEL_INFO: Metric = Metric {
    name: "groundswell_model_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["model", "version"],
    help: "1 for each model in use, with its version.",
};
pub(super) static QUEUE_REQUESTS: Metric = Metric {
    name: "groundswell_queue_requests",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Requests that wait for a batch.",
};
pub(super) static QUEUE_TOKENS: Metric = Metric {
    name: "groundswell_queue_tokens",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Tokens that wait for a batch, without padding; a row of features counts as one.",
};
pub(super) static QUEUE_WAIT: Metric = Metric {
    name: "groundswell_queue_wait_seconds",
    kind: Kind::Histogram(FROM_1_MS_TO_10_S),
    unit: Unit::Seconds,
    labels: &["model"],
    help: "Time that the oldest request of a batch waited until a worker began with it.",
};
pub(super) static BATCH_ROWS: Metric = Metric {
    name: "groundswell_batch_rows",
    kind: Kind::Histogram(FROM_1_TO_1024),
    unit: Unit::Count,
    labels: &["model"],
    help: "Texts or rows of features in a batch.",
};
pub(super) static BATCH_TOKENS_COMPUTED: Metric = Metric {
    name: "groundswell_batch_computed_tokens_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["model"],
    help: "Tokens that models computed, padding included.",
};
pub(super) static BATCH_TOKENS_USED: Metric = Metric {
    name: "groundswell_batch_used_tokens_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["model"],
    help: "Tokens that models computed and texts hold; the rest is padding.",
};
pub(super) static INFERENCE: Metric = Metric {
    name: "groundswell_inference_seconds",
    kind: Kind::Histogram(FROM_1_MS_TO_10_S),
    unit: Unit::Seconds,
    labels: &["model"],
    help: "Time of one run of a model on a batch.",
};
pub(super) static BATCH_FAILURES: Metric = Metric {
    name: "groundswell_batch_failures_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["model"],
    help: "Runs of a model that failed and were tried again or cut in two.",
};
pub(super) static WORKERS_REPLACED: Metric = Metric {
    name: "groundswell_model_workers_replaced_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["cause"],
    help: "Model workers replaced, by cause: panic, timeout.",
};
pub(super) static CACHE_HITS: Metric = Metric {
    name: "groundswell_cache_hits_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Texts whose answer was known already.",
};
pub(super) static CACHE_MISSES: Metric = Metric {
    name: "groundswell_cache_misses_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Texts whose answer was not known.",
};
pub(super) static CACHE_SIZE: Metric = Metric {
    name: "groundswell_cache_size_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    help: "What the result cache holds, overhead included.",
};
pub(super) static CACHE_LIMIT: Metric = Metric {
    name: "groundswell_cache_limit_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    help: "What the result cache may hold.",
};

// Output
pub(super) static RECORDS_SCORED: Metric = Metric {
    name: "groundswell_records_scored_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["kind"],
    help: "Scored events committed.",
};
pub(super) static DEAD_LETTERS: Metric = Metric {
    name: "groundswell_dead_letters_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["topic", "reason"],
    help: "Records set aside, by input topic and reason.",
};
pub(super) static IN_FLIGHT_RECORDS: Metric = Metric {
    name: "groundswell_in_flight_records",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Records read and not yet committed.",
};
pub(super) static IN_FLIGHT_RECORDS_LIMIT: Metric = Metric {
    name: "groundswell_in_flight_limit_records",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Records that may be read and not yet committed.",
};
pub(super) static IN_FLIGHT: Metric = Metric {
    name: "groundswell_in_flight_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "Bytes of the records read and not yet committed.",
};
pub(super) static IN_FLIGHT_LIMIT: Metric = Metric {
    name: "groundswell_in_flight_limit_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "Bytes of records that may be read and not yet committed.",
};
pub(super) static EPOCHS_COMMITTED: Metric = Metric {
    name: "groundswell_epochs_committed_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Epochs committed.",
};
pub(super) static EPOCHS_ABORTED: Metric = Metric {
    name: "groundswell_epochs_aborted_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage", "cause"],
    help: "Epochs thrown away and read again, by cause.",
};
pub(super) static COMMIT: Metric = Metric {
    name: "groundswell_commit_seconds",
    kind: Kind::Histogram(FROM_1_MS_TO_10_S),
    unit: Unit::Seconds,
    labels: &["stage"],
    help: "Time from an epoch's last result to the end of its commit.",
};
pub(super) static EVENT_TO_VISIBLE: Metric = Metric {
    name: "groundswell_event_to_visible_seconds",
    kind: Kind::Histogram(FROM_5_MS_TO_60_S),
    unit: Unit::Seconds,
    labels: &["stage"],
    help: "Time from a record's timestamp to the commit that made its result visible.",
};
pub(super) static PRODUCERS_REBUILT: Metric = Metric {
    name: "groundswell_producers_rebuilt_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Producers replaced after a fatal error or a commit whose outcome was unknown.",
};

// State
pub(super) static STATE_ENTRIES: Metric = Metric {
    name: "groundswell_state_entries",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Entries of the stage's state that are in memory.",
};
pub(super) static STATE_SIZE: Metric = Metric {
    name: "groundswell_state_size_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "Memory that the stage's committed state takes, overhead included.",
};
pub(super) static STATE_LIMIT: Metric = Metric {
    name: "groundswell_state_limit_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "Memory that the stage's committed state may take; what is beyond it is on disk.",
};
pub(super) static STATE_UNCOMMITTED: Metric = Metric {
    name: "groundswell_state_uncommitted_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "Memory taken by changes of the state that are not committed yet.",
};
pub(super) static STATE_SPILLED: Metric = Metric {
    name: "groundswell_state_spilled_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["stage"],
    help: "What the local copy of the stage's state takes on disk.",
};
pub(super) static STATE_EXPIRED: Metric = Metric {
    name: "groundswell_state_expired_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Entries of the state deleted at the end of their time to live; those of epochs that were aborted count again.",
};
pub(super) static TIMERS_FIRED: Metric = Metric {
    name: "groundswell_timers_fired_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Timers that fired; those of epochs that were aborted count again.",
};
pub(super) static RESTORED: Metric = Metric {
    name: "groundswell_restored_records_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage"],
    help: "Records of changelogs read to rebuild the state.",
};
pub(super) static RESTORE_REMAINING: Metric = Metric {
    name: "groundswell_restore_remaining_records",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["topic", "partition"],
    help: "Records of the changelog still to be read before the input partition goes on.",
};
pub(super) static LOCAL_COPIES: Metric = Metric {
    name: "groundswell_local_copies_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["stage", "outcome"],
    help: "What became of a partition's local copy: reused, in_memory, or not: missing, damaged, unknown, stale.",
};

// Process
pub(super) static BUILD_INFO: Metric = Metric {
    name: "groundswell_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["version"],
    help: "1, with the program's version.",
};
pub(super) static LOG_LINES_SUPPRESSED: Metric = Metric {
    name: "groundswell_log_lines_suppressed_total",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["event"],
    help: "Log lines left out because many alike came within ten seconds.",
};

/// In the order in which data meets them.
pub static ALL: &[&Metric] = &[
    &RECORDS_RECEIVED,
    &RECEIVED,
    &LAG,
    &PARTITIONS_ASSIGNED,
    &REBALANCES,
    &SOURCE_PAUSED,
    &BROKER_ERRORS,
    &REGISTRY_RETRIES,
    &REDACTIONS,
    &TRUNCATED,
    &CLICKS,
    &CLICKS_WITHOUT_KEY,
    &SESSIONS,
    &PURCHASE_PROBABILITY,
    &PROFILES,
    &SEGMENT_DRIFT,
    &RECOMMENDATIONS,
    &RECOMMENDATION_EFFECTS,
    &RECOMMENDATION_COUNTS,
    &RECOMMENDATION_LISTS,
    &RECOMMENDATION_LISTS_SIZE,
    &RECOMMENDATION_LISTS_LIMIT,
    &LOOK_UP_SECONDS,
    &TABLE_READING,
    &BOARD_SIZE,
    &BOARD_LIMIT,
    &ALERT_TEXTS,
    &ALERT_SUMS_LATE,
    &ALERTS_WRITTEN,
    &ALERTS_FIRING,
    &TRENDS_WRITTEN,
    &ALERTS_DELIVERED,
    &ALERT_DELIVERIES_FAILED,
    &ALERTS_WAITING,
    &ALERTS_RETRYING,
    &ALERT_OLDEST_WAITING,
    &MODEL_INFO,
    &QUEUE_REQUESTS,
    &QUEUE_TOKENS,
    &QUEUE_WAIT,
    &BATCH_ROWS,
    &BATCH_TOKENS_COMPUTED,
    &BATCH_TOKENS_USED,
    &INFERENCE,
    &BATCH_FAILURES,
    &WORKERS_REPLACED,
    &CACHE_HITS,
    &CACHE_MISSES,
    &CACHE_SIZE,
    &CACHE_LIMIT,
    &RECORDS_SCORED,
    &DEAD_LETTERS,
    &IN_FLIGHT_RECORDS,
    &IN_FLIGHT_RECORDS_LIMIT,
    &IN_FLIGHT,
    &IN_FLIGHT_LIMIT,
    &EPOCHS_COMMITTED,
    &EPOCHS_ABORTED,
    &COMMIT,
    &EVENT_TO_VISIBLE,
    &PRODUCERS_REBUILT,
    &STATE_ENTRIES,
    &STATE_SIZE,
    &STATE_LIMIT,
    &STATE_UNCOMMITTED,
    &STATE_SPILLED,
    &STATE_EXPIRED,
    &TIMERS_FIRED,
    &RESTORED,
    &RESTORE_REMAINING,
    &LOCAL_COPIES,
    &BUILD_INFO,
    &LOG_LINES_SUPPRESSED,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_in_the_list_once() {
        let written = include_str!("names.rs").lines().filter(|line| line.starts_with("pub(super) static ")).count();
        let listed: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!((written, ALL.len()), (listed.len(), listed.len()));
    }

    /// What `promtool check metrics` asks for, as far as it can be asked of a name.
    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let words: Vec<_> = metric.name.split('_').collect();
            let valid = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.starts_with("groundswell_") && metric.name.chars().all(valid), "{}", metric.name);
            assert_eq!(words.last() == Some(&"total"), metric.kind == Kind::Counter, "{}", metric.name);
            let unit = words[words.len() - 1 - usize::from(metric.kind == Kind::Counter)];
            for (measured, word) in [(Unit::Seconds, "seconds"), (Unit::Bytes, "bytes")] {
                assert_eq!(metric.unit == measured, unit == word, "{}", metric.name);
                assert!(words.iter().filter(|other| **other == word).count() <= 1, "{}", metric.name);
            }
            for reserved in
                ["count", "sum", "bucket", "counter", "gauge", "histogram", "summary", "ms", "s", "kb", "min"]
            {
                assert!(!words.contains(&reserved), "{} holds `{reserved}`", metric.name);
            }
            assert!(metric.help.ends_with('.'), "{}: {}", metric.name, metric.help);
        }
    }

    #[test]
    fn buckets_rise() {
        for metric in ALL {
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{}", metric.name);
            }
        }
    }
}
