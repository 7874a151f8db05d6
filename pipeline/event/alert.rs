//! What an alert says of itself to whoever hands it on.

use super::v1::{Alert, AlertState};

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
