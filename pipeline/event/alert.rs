//! What alerts and trends say of themselves to whoever hands them on.

use super::json::time;
use super::v1::{Alert, AlertState, Trend};

impl Alert {
    /// Somebody is to be told of it: it has fired, and no other alert, no silence and no late text has taken the reason
    /// away.
    pub fn is_told(&self) -> bool {
        let lasting = self.state() != AlertState::Retracted;
        lasting && self.firing_time.is_some() && self.inhibited_by.is_none() && self.silenced_by.is_none()
    }

    /// Nothing comes of it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state(), AlertState::Resolved | AlertState::Retracted)
    }
}

impl Trend {
    /// Between a product's scope and the brand that it was named with.
    pub const OF_BRAND: &'static str = " brand=";

    /// What it is a bucket of: its scope and, where texts name a product with its brand, that brand.
    pub fn series(&self) -> String {
        let brand = self.labels.get("brand").filter(|_| !self.scope.starts_with("brand="));
        brand.map_or_else(|| self.scope.clone(), |brand| format!("{}{}{brand}", self.scope, Self::OF_BRAND))
    }

    /// The record's key: series and beginning, in milliseconds since 1970.
    pub fn key(&self) -> String {
        let start_ms = self.start_time.as_ref().and_then(time::to_ms).unwrap_or_default();
        format!("{} {start_ms}", self.series())
    }
}
