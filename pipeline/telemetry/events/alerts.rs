//! What the texts have given rise to.

use tracing::trace;

use crate::event::v1::{AlertState, Severity};
use crate::telemetry::names;

/// Alerts of a severity that fire under a rule, neither inhibited nor silenced. Every second.
#[derive(Debug)]
pub struct AlertsFiring<'a> {
    pub rule: &'a str,
    pub severity: Severity,
    pub alerts: usize,
}

impl AlertsFiring<'_> {
    pub fn emit(&self) {
        let &Self { rule, severity, alerts } = self;
        let severity = match severity {
            Severity::Unspecified => "unspecified",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        names::ALERTS_FIRING.set(&[rule, severity], alerts as f64);
        trace!(rule, severity, alerts, "alerts firing");
    }
}

/// What the alerts stage has counted since the last time. Several times a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsObserved {
    pub texts: u64,
    /// Texts that came after the grace, and are in no bucket.
    pub too_late: u64,
    /// Sums of a scope and bucket that came after their bucket was closed.
    pub late_sums: u64,
    pub trends: u64,
    pending: u64,
    firing: u64,
    resolved: u64,
    retracted: u64,
    provisional: u64,
}

impl AlertsObserved {
    /// An alert was written.
    pub fn alert(&mut self, state: AlertState, provisional: bool) {
        self.provisional += u64::from(provisional);
        match state {
            AlertState::Pending => self.pending += 1,
            AlertState::Firing => self.firing += 1,
            AlertState::Resolved => self.resolved += 1,
            AlertState::Retracted => self.retracted += 1,
            AlertState::Unspecified => {}
        }
    }

    pub fn emit(&self) {
        let &Self { texts, too_late, late_sums, trends, pending, firing, resolved, retracted, provisional } = self;
        let counted = [("counted", texts.saturating_sub(too_late)), ("too_late", too_late)];
        counted.iter().for_each(|(outcome, texts)| names::ALERT_TEXTS.add(&[outcome], *texts));
        let states = [("pending", pending), ("firing", firing), ("resolved", resolved), ("retracted", retracted)];
        states.iter().for_each(|(state, written)| names::ALERTS_WRITTEN.add(&[state], *written));
        names::TRENDS_WRITTEN.add(&[], trends);
        names::ALERT_SUMS_LATE.add(&[], late_sums);
        trace!(
            texts,
            too_late, late_sums, trends, pending, firing, resolved, retracted, provisional, "alerts observed"
        );
    }
}
