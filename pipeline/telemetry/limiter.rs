//! Keeps a flood of equal log lines readable.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::names;

const WINDOW: Duration = Duration::from_secs(10);
const LINES_PER_WINDOW: u64 = 5;

/// Causes told apart at the same time. One more drops those whose window is over; if none is, it shares the place of
/// all such.
const CAUSES_MAX: usize = 256;
const OTHERS: &str = "(others)";

static LIMITER: Limiter = Limiter::new();

/// Whether an event may write its line now: `Some` with the number of lines left out since the last one. `cause` tells
/// apart what a reader would want to see each of: a topic, a model, a reason.
pub(super) fn admit(event: &'static str, cause: &str) -> Option<u64> {
    let admitted = LIMITER.admit(event, cause, Instant::now());
    if admitted.is_none() {
        names::LOG_LINES_SUPPRESSED.add(&[event], 1);
    }
    admitted
}

struct Limiter {
    windows: Mutex<BTreeMap<(&'static str, String), Window>>,
}

struct Window {
    start: Instant,
    written: u64,
    left_out: u64,
}

impl Limiter {
    const fn new() -> Self {
        Self { windows: Mutex::new(BTreeMap::new()) }
    }

    fn admit(&self, event: &'static str, cause: &str, now: Instant) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (event, cause.to_owned());
        if windows.len() >= CAUSES_MAX && !windows.contains_key(&key) {
            windows.retain(|_, window| now.duration_since(window.start) < WINDOW);
            if windows.len() >= CAUSES_MAX {
                key.1 = OTHERS.to_owned();
            }
        }
        let window = windows.entry(key).or_insert(Window { start: now, written: 0, left_out: 0 });
        if now.duration_since(window.start) >= WINDOW {
            (window.start, window.written) = (now, 0);
        }
        if window.written >= LINES_PER_WINDOW {
            window.left_out += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_lines_in_ten_seconds_then_the_number_left_out() {
        let (limiter, start) = (Limiter::new(), Instant::now());
        let admitted = |after: u64| limiter.admit("event", "cause", start + Duration::from_secs(after));
        assert_eq!((0..8).filter_map(admitted).collect::<Vec<_>>(), [0; 5]);
        assert_eq!(admitted(9), None);
        assert_eq!(admitted(10), Some(4));
        assert_eq!(admitted(11), Some(0));
    }

    #[test]
    fn causes_do_not_silence_each_other() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        assert_eq!((0..9).filter_map(|_| limiter.admit("event", "a", now)).count(), 5);
        assert_eq!(limiter.admit("event", "b", now), Some(0));
        assert_eq!(limiter.admit("other", "a", now), Some(0));
    }

    #[test]
    fn any_number_of_causes_takes_bounded_memory() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        let admitted = (0..10_000).filter(|n| limiter.admit("event", &n.to_string(), now).is_some()).count();
        assert_eq!(limiter.windows.lock().unwrap().len(), CAUSES_MAX + 1);
        assert_eq!(admitted as u64, CAUSES_MAX as u64 + LINES_PER_WINDOW);
        assert_eq!(limiter.admit("event", "late", now + WINDOW), Some(0));
        assert_eq!(limiter.windows.lock().unwrap().len(), 1);
    }
}
