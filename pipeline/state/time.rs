//! Event time over several sources, and events from the future.

use std::collections::BTreeMap;

/// True for an event dated further ahead of now than this: it would carry every window along. For `prepare`, which
/// makes a dead letter of it. All in milliseconds.
pub fn is_future(event_ms: i64, now_ms: i64, ahead_max_ms: i64) -> bool {
    event_ms.saturating_sub(now_ms) > ahead_max_ms
}

/// The time that all of several sources have come to, such as the input partitions behind a repartition topic: the
/// least of their highest times. A source that stands still does not hold the others back for ever: one that is further
/// behind the highest than `idle_ms` is left out until it catches up. Idleness is measured in event time too, so it is
/// a function of the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    idle_ms: i64,
    highest: BTreeMap<u32, i64>,
    time: i64,
}

impl Sources {
    pub fn new(idle_ms: i64) -> Sources {
        Sources { idle_ms, highest: BTreeMap::new(), time: i64::MIN }
    }

    /// An event of this source. Returns the time after it, which never falls.
    pub fn observe(&mut self, source: u32, event_ms: i64) -> i64 {
        let highest = self.highest.entry(source).or_insert(event_ms);
        *highest = (*highest).max(event_ms);
        let newest = self.highest.values().copied().max().unwrap_or(event_ms);
        let active = self.highest.values().copied().filter(|highest| newest.saturating_sub(*highest) <= self.idle_ms);
        self.time = self.time.max(active.min().unwrap_or(newest));
        self.time
    }

    /// `i64::MIN` before the first event.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// What has to be kept: the highest time of each source, and the time they have come to.
    pub fn parts(&self) -> (impl Iterator<Item = (u32, i64)> + '_, i64) {
        (self.highest.iter().map(|(source, highest)| (*source, *highest)), self.time)
    }

    pub fn from_parts(idle_ms: i64, highest: impl IntoIterator<Item = (u32, i64)>, time: i64) -> Sources {
        Sources { idle_ms, highest: highest.into_iter().collect(), time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_source_sets_the_time_until_it_is_idle() {
        let mut sources = Sources::new(100);
        assert_eq!(sources.observe(0, 50), 50);
        assert_eq!(sources.observe(1, 20), 50, "time never falls");
        assert_eq!(sources.observe(0, 90), 50);
        assert_eq!(sources.observe(1, 70), 70);
        assert_eq!(sources.observe(0, 170), 70, "100 behind is not idle");
        assert_eq!(sources.observe(0, 171), 171, "101 behind is");
        assert_eq!(sources.observe(1, 172), 171);
        let (highest, time) = sources.parts();
        assert_eq!(Sources::from_parts(100, highest.collect::<Vec<_>>(), time), sources);
    }

    #[test]
    fn the_future_begins_behind_the_allowance() {
        assert!(!is_future(1_100, 1_000, 100));
        assert!(is_future(1_101, 1_000, 100));
        assert!(is_future(i64::MAX, i64::MIN, 100));
    }
}
