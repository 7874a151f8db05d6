//! One incident, one peak.

/// After an alert, scores that are no higher are held back for a while: what goes on is the same incident, and a reader
/// is told once. A higher score is a new peak.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peak {
    /// Of the last alert; fades to 0 when it has rested.
    height: f32,
    rest_left: u32,
}

impl Peak {
    /// The score as it is to be shown, and whether it is an alert.
    pub fn observe(&mut self, score: f64, threshold: f64, rest: u32) -> (f64, bool) {
        let resting = self.rest_left > 0;
        self.rest_left = self.rest_left.saturating_sub(1);
        if resting && score as f32 <= self.height {
            return (0.0, false);
        }
        let alert = score >= threshold;
        if alert {
            *self = Self { height: score as f32, rest_left: rest };
        }
        (score, alert)
    }
}
