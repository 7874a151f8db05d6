//! Who fenced the producer: the broker, because a transaction took too long, or another instance of the same name.

use std::time::{Duration, Instant};

/// Being fenced this often within `WINDOW` means that another instance lives under the same name. A single time can be
/// the end of this instance's former life.
const FENCES_MAX: usize = 4;
pub const WINDOW: Duration = Duration::from_secs(60);

/// The fences of the last minute that cannot have been the broker's own.
#[derive(Debug, Default)]
pub struct Fences {
    at: Vec<Instant>,
}

impl Fences {
    /// Counts a fence of a transaction that was begun at `began`, and returns how many there were within the window if
    /// they are too many. A transaction that has been open for `timeout` is not counted: the broker ends it by itself
    /// then, and fences its producer.
    pub fn count(&mut self, began: Instant, timeout: Duration, now: Instant) -> Option<usize> {
        if now.saturating_duration_since(began) >= timeout {
            return None;
        }
        self.at.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        self.at.push(now);
        (self.at.len() >= FENCES_MAX).then_some(self.at.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_namesake_is_told_by_four_fences_within_a_minute() {
        let start = Instant::now();
        let counted = |every: Duration| {
            let mut fences = Fences::default();
            (1..=8).map(|n| start + every * n).find_map(|now| fences.count(now - SECOND, TIMEOUT, now))
        };
        assert_eq!(counted(10 * SECOND), Some(4));
        assert_eq!(counted(25 * SECOND), None);
    }

    #[test]
    fn transactions_that_the_broker_gave_up_are_no_namesakes() {
        let start = Instant::now();
        let mut fences = Fences::default();
        for n in 1..=20 {
            let began = start + n * 2 * SECOND;
            assert_eq!(fences.count(began, TIMEOUT, began + TIMEOUT), None);
        }
        // Nor do they count towards those that are.
        let later = start + 60 * SECOND;
        let counts: Vec<_> = (1..=4).map(|_| fences.count(later, TIMEOUT, later + SECOND)).collect();
        assert_eq!(counts, [None, None, None, Some(4)]);
    }
}
