//! What receivers of alerts were told, and what not.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::telemetry::{limiter, names};

/// Alerts left the queue of a receiver.
#[derive(Debug)]
pub struct Delivered<'a> {
    pub receiver: &'a str,
    /// `delivered`, `told_again`, `superseded` by a newer revision, or `given_up`.
    pub outcome: &'static str,
    pub alerts: u64,
}

impl Delivered<'_> {
    pub fn emit(&self) {
        let &Self { receiver, outcome, alerts } = self;
        names::ALERTS_DELIVERED.add(&[receiver, outcome], alerts);
        debug!(receiver, outcome, alerts, "alerts delivered");
    }
}

/// A receiver was not told, and will be, unless it is given up.
#[derive(Debug)]
pub struct DeliveryFailed<'a> {
    pub receiver: &'a str,
    /// Of the receiver's address: scheme, host and port.
    pub host: &'a str,
    /// Empty where several alerts were told again.
    pub alert: &'a str,
    pub revision: u32,
    pub reason: &'a str,
    /// Until the next try; `None`: given up.
    pub delay_ms: Option<i64>,
}

impl DeliveryFailed<'_> {
    pub fn emit(&self) {
        let &Self { receiver, host, alert, revision, reason, delay_ms } = self;
        names::ALERT_DELIVERIES_FAILED.add(&[receiver], 1);
        match delay_ms {
            Some(delay_ms) => {
                if let Some(suppressed) = limiter::admit("delivery_failed", receiver) {
                    warn!(
                        receiver,
                        host, alert, revision, reason, delay_ms, suppressed, "receiver was not told; trying again"
                    );
                }
            }
            // What is lost to a receiver is said of each.
            None => warn!(receiver, host, alert, revision, reason, "receiver was not told; given up"),
        }
    }
}

/// The topic of alerts ends before what a receiver was told of: it is not the one it was.
#[derive(Debug)]
pub struct AlertsMissed<'a> {
    pub topic: &'a str,
    pub group: &'a str,
    pub partition: i32,
    pub committed: i64,
    pub end: i64,
}

impl AlertsMissed<'_> {
    pub fn emit(&self) {
        let &Self { topic, group, partition, committed, end } = self;
        warn!(
            topic,
            group,
            partition,
            committed,
            end,
            "topic ends before the committed offset; receiver is told from its end on"
        );
    }
}

/// A record of the topic of alerts that is none: it is passed over.
#[derive(Debug)]
pub struct AlertUnreadable<'a> {
    pub receiver: &'a str,
    pub error: &'a str,
}

impl AlertUnreadable<'_> {
    pub fn emit(&self) {
        let &Self { receiver, error } = self;
        names::ALERTS_DELIVERED.add(&[receiver, "unreadable"], 1);
        if let Some(suppressed) = limiter::admit("alert_unreadable", receiver) {
            warn!(receiver, error, suppressed, "alert cannot be read; passed over");
        }
    }
}

/// What waits for a receiver. About once a second.
#[derive(Debug)]
pub struct ReceiverMeasured<'a> {
    pub receiver: &'a str,
    pub waiting: usize,
    /// Those among them that have failed before.
    pub retrying: usize,
    /// Since the oldest of them was written.
    pub oldest: Duration,
}

impl ReceiverMeasured<'_> {
    pub fn emit(&self) {
        let &Self { receiver, waiting, retrying, oldest } = self;
        names::ALERTS_WAITING.set(&[receiver], waiting as f64);
        names::ALERTS_RETRYING.set(&[receiver], retrying as f64);
        names::ALERT_OLDEST_WAITING.set(&[receiver], oldest.as_secs_f64());
    }
}

/// A receiver is told of alerts from now on.
#[derive(Debug)]
pub struct ReceiverStarted<'a> {
    pub receiver: &'a str,
    pub kind: &'static str,
    pub host: &'a str,
    pub group: &'a str,
}

impl ReceiverStarted<'_> {
    pub fn emit(&self) {
        let &Self { receiver, kind, host, group } = self;
        info!(receiver, kind, host, group, "receiver started");
    }
}
