use std::time::Duration;

use super::*;
use crate::config::LogFormat;
use crate::event::{Origin, Reason};
use crate::telemetry::log::tests::logged;
use crate::telemetry::names::ALL;
use crate::telemetry::recorder::tests::recorded;

const MS: Duration = Duration::from_millis(1);

fn emit_everything() {
    let origin = Origin { topic: "reviews".into(), partition: 3, offset: 42 };
    ChunkReceived { topic: "reviews", records: 10, bytes: 2_000 }.emit();
    LagMeasured { topic: "reviews", partition: 3, records: 7 }.emit();
    Rebalance::ALL.into_iter().for_each(|kind| Rebalanced { stage: "text", kind, changed: 2, assigned: 4 }.emit());
    SourcePaused { stage: "text", paused: true }.emit();
    (0..6).for_each(|_| BrokerFailed { stage: "text", error: "connection refused" }.emit());
    RegistryRetried { attempt: 2, delay: MS, error: "connection refused" }.emit();
    Redacted { kind: "phone", count: 2 }.emit();
    TextsTruncated { model: "text", count: 1 }.emit();
    let probabilities = vec![0.25];
    let profiles = [("buyers".to_owned(), 2)].into();
    ClicksObserved { counted: 5, too_late: 1, opened: 2, revised: 1, merged: 1, probabilities, profiles }
        .emit("purchase");
    ClicksWithoutKey { clicks: 3, spread: Some("clicks") }.emit();
    Delivered { receiver: "pager", outcome: "delivered", alerts: 1 }.emit();
    let failed = DeliveryFailed {
        receiver: "pager",
        host: "https://pager.example",
        alert: "a1",
        revision: 2,
        reason: "status 503",
        delay_ms: Some(500),
    };
    failed.emit();
    DeliveryFailed { delay_ms: None, ..failed }.emit();
    AlertUnreadable { receiver: "pager", error: "record 0@1 is no alert" }.emit();
    AlertsMissed { topic: "alerts", group: "groundswell-webhook-pager", partition: 0, committed: 9, end: 2 }.emit();
    ReceiverMeasured { receiver: "pager", waiting: 2, retrying: 1, oldest: MS }.emit();
    ReceiverStarted { receiver: "pager", kind: "webhook", host: "https://pager.example", group: "g" }.emit();
    SegmentsMeasured { drift: 0.1 }.emit();
    let effects = [("clicked", 2)].into();
    Recommending { made: 3, empty: 1, handed: 20, effects }.emit(5, 1_000, 2_000);
    ListsRead { read: 9, unreadable: 1, lists: 5, bytes: 1_000 }.emit();
    LookUpOutcome::ALL.into_iter().for_each(|outcome| LookedUp { about: "profiles", outcome, took: MS }.emit());
    BoardRead { board: "alerts", read: 9, unreadable: 1, entries: 5, bytes: 1_000 }.emit();
    BoardMeasured { board: "alerts", bytes: 1_000, bytes_max: 2_000 }.emit();
    TableRead { table: "lists", complete: true }.emit();
    UserMisplaced { topic: "clicks", partition: 3 }.emit();
    AddressShared { url: "http://a:1", instance: "b" }.emit();
    AlertsFiring { rule: "volume", severity: crate::event::v1::Severity::Critical, alerts: 2 }.emit();
    let mut alerts = AlertsObserved::default();
    (alerts.texts, alerts.too_late, alerts.late_sums, alerts.trends) = (9, 1, 2, 4);
    alerts.alert(crate::event::v1::AlertState::Firing, true);
    alerts.emit();
    ModelWarm { model: "text", version: "3f9a", took: MS }.emit();
    QueueMeasured { stage: "text", requests: 5, tokens: 100 }.emit();
    BatchTaken { model: "text", rows: 4, tokens_padded: 80, tokens_used: 76 }.emit();
    InferenceDone { model: "text", took: MS, waited: MS }.emit();
    BatchFailed { model: "text", rows: 4, error: "out of memory" }.emit();
    ReplaceCause::ALL.into_iter().for_each(|cause| WorkerReplaced { worker: 0, cause }.emit());
    CacheMeasured { hits: 3, misses: 9, bytes: 1_000, bytes_max: 2_000 }.emit();
    InFlightBounds { stage: "text", records_max: 100, bytes_max: 1_000 }.emit();
    InFlight { stage: "text", records: 10, bytes: 100 }.emit();
    Reason::ALL.into_iter().for_each(|reason| DeadLettered { reason, count: 2, origin: &origin }.emit());
    EpochCommitted { stage: "text", scored: &[("review", 8), ("chat", 2)], took: MS, event_to_visible: &[0.1] }.emit();
    let aborted = |cause| EpochAborted { stage: "text", cause, epochs: 2, error: None }.emit();
    AbortCause::ALL.into_iter().for_each(aborted);
    ProducerRebuilt { stage: "text", error: "fenced" }.emit();
    let (topic, partition) = ("clicks", 3);
    for local_copy in LocalCopy::ALL {
        RestoreStarted { stage: "clicks", topic, partition, records: 9, local_copy }.emit();
    }
    RestoreProgressed { stage: "clicks", topic, partition, records: 4, remaining: 5 }.emit();
    for complete in [true, false] {
        RestoreEnded { stage: "clicks", topic, partition, records: 9, took: MS, complete }.emit();
    }
    LocalCopiesDiscarded { stage: "clicks", why: "damaged" }.emit();
    StateMeasured {
        stage: "clicks",
        entries: 3,
        bytes: 300,
        limit_bytes: 1_000,
        uncommitted_bytes: 10,
        spilled_bytes: 50,
        expired: 2,
        fired: 1,
    }
    .emit();
    Started { instance: "a", stages: &["text"] }.emit();
    Stopping { stage: "text", within: MS }.emit();
    Stopped { error: None }.emit();
}

#[test]
fn every_metric_is_emitted_described_and_of_its_type() {
    let text = recorded(emit_everything);
    for metric in ALL {
        let name = metric.name;
        assert!(text.contains(&format!("# HELP {name} {}\n", metric.help)), "{name} has no HELP");
        let sample =
            text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not emitted"));
        for label in metric.labels {
            assert!(sample.contains(&format!("{label}=\"")), "{sample} lacks {label}");
        }
    }
    let typed = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(typed, ALL.len(), "metrics that are not in the list");
}

#[test]
fn totals_and_states_arrive_as_given() {
    let text = recorded(emit_everything);
    for line in [
        "groundswell_records_received_total{topic=\"reviews\"} 10",
        "groundswell_lag_records{topic=\"reviews\",partition=\"3\"} 7",
        "groundswell_records_scored_total{kind=\"review\"} 8",
        "groundswell_dead_letters_total{topic=\"reviews\",reason=\"too_large\"} 2",
        "groundswell_source_paused{stage=\"text\"} 1",
        "groundswell_cache_hits_total 3",
        "groundswell_epochs_aborted_total{stage=\"text\",cause=\"fenced\"} 2",
        "groundswell_model_workers_replaced_total{cause=\"panic\"} 1",
        "groundswell_batch_used_tokens_total{model=\"text\"} 76",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
}

#[test]
fn a_line_is_a_constant_message_with_its_data_in_fields() {
    let lines = logged(LogFormat::Json, "trace", emit_everything);
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().find(|line| line["message"] == message);
    assert_eq!(said("records received").unwrap()["topic"], "reviews");
    assert_eq!(said("model ready").unwrap()["version"], "3f9a");
    let messages: std::collections::BTreeSet<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert!(messages.iter().all(|message| !message.contains(|c: char| c.is_ascii_digit())), "{messages:?}");
}
