//! Latencies, counted in milliseconds.

use std::collections::VecDeque;

/// Anything slower counts as this slow.
const MS_MAX: usize = 60_000;
/// The latest are those that a header can speak of: half a minute at the usual rate.
const RECENT: usize = 2048;

/// Every latency of a run by its millisecond, and the latest as they came.
#[derive(Debug)]
pub struct Latency {
    counts: Vec<u64>,
    recent: VecDeque<u32>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: vec![0; MS_MAX + 1], recent: VecDeque::with_capacity(RECENT) }
    }
}

impl Latency {
    pub fn add(&mut self, ms: i64) {
        let ms = usize::try_from(ms).unwrap_or(0).min(MS_MAX);
        self.counts[ms] += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(ms as u32);
    }

    /// The latency, in milliseconds, that so much (0 to 1) of the whole run stayed within.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().sum();
        let rank = rank(part, total)?;
        let mut below = 0;
        self.counts
            .iter()
            .position(|count| {
                below += count;
                below > rank
            })
            .map(|ms| ms as u64)
    }

    /// The same of the latest.
    pub fn recent_quantile(&self, part: f64) -> Option<u64> {
        let rank = rank(part, self.recent.len() as u64)?;
        let mut sorted: Vec<u32> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(rank as usize).map(|ms| u64::from(*ms))
    }
}

/// How many lie below the quantile.
fn rank(part: f64, total: u64) -> Option<u64> {
    (total > 0).then(|| ((part * total as f64).ceil() as u64).clamp(1, total) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_all_and_of_the_latest() {
        let mut latency = Latency::default();
        assert_eq!((latency.quantile(0.5), latency.recent_quantile(0.5)), (None, None));
        (1..=100).for_each(|ms| latency.add(ms));
        assert_eq!(
            (latency.quantile(0.5), latency.quantile(0.99), latency.quantile(1.0)),
            (Some(50), Some(99), Some(100))
        );
        (0..RECENT).for_each(|_| latency.add(7));
        latency.add(1_000_000);
        latency.add(-5);
        assert_eq!((latency.recent_quantile(0.99), latency.recent_quantile(1.0)), (Some(7), Some(60_000)));
    }
}
