//! Sessions and what is said of them.

use std::collections::BTreeMap;

use tracing::{trace, warn};

use crate::telemetry::{limiter, names};

/// What clicks did to sessions, and what the purchase model said of them, since the last time. Several times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClicksObserved {
    /// Clicks that are in a session.
    pub counted: u64,
    /// Clicks that came after the grace, and are in none.
    pub too_late: u64,
    pub opened: u64,
    /// Sessions changed by a click that came late, merged ones included.
    pub revised: u64,
    pub merged: u64,
    /// A probability for each answer of the purchase model.
    pub probabilities: Vec<f64>,
    /// Profiles made, by segment; under the empty name where there are no segments.
    pub profiles: BTreeMap<String, u64>,
}

impl ClicksObserved {
    /// `model`: who gave the probabilities.
    pub fn emit(&self, model: &str) {
        let &Self { counted, too_late, opened, revised, merged, ref probabilities, ref profiles } = self;
        let clicks = [("counted", counted), ("too_late", too_late)];
        clicks.iter().for_each(|(outcome, clicks)| names::CLICKS.add(&[outcome], *clicks));
        let sessions = [("opened", opened), ("revised", revised), ("merged", merged)];
        sessions.iter().for_each(|(change, sessions)| names::SESSIONS.add(&[change], *sessions));
        if !probabilities.is_empty() {
            names::PURCHASE_PROBABILITY.record_all(&[model], probabilities);
        }
        profiles.iter().for_each(|(segment, profiles)| names::PROFILES.add(&[segment], *profiles));
        trace!(counted, too_late, opened, revised, merged, scored = probabilities.len(), "clicks observed");
    }
}

/// Clicks whose records have no key, since the last time. Several times a second.
#[derive(Debug)]
pub struct ClicksWithoutKey<'a> {
    pub clicks: u64,
    /// The topic in which they lie in several partitions, where there is one.
    pub spread: Option<&'a str>,
}

impl ClicksWithoutKey<'_> {
    pub fn emit(&self) {
        let &Self { clicks, spread } = self;
        names::CLICKS_WITHOUT_KEY.add(&[], clicks);
        if clicks == 0 {
            return;
        }
        if let Some(topic) = spread
            && let Some(suppressed) = limiter::admit("clicks_without_key", topic)
        {
            warn!(
                topic,
                clicks,
                suppressed,
                "clicks without a key: a user's lie in any partition, and are taken for several users'"
            );
        }
    }
}

/// How the segments of those who come now stand to those that the centres were fitted to. Several times a second.
#[derive(Debug)]
pub struct SegmentsMeasured {
    /// The population stability index.
    pub drift: f64,
}

impl SegmentsMeasured {
    pub fn emit(&self) {
        let &Self { drift } = self;
        names::SEGMENT_DRIFT.set(&[], drift);
        trace!(drift, "segments measured");
    }
}
