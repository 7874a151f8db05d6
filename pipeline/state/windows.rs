//! Windows of event time: sessions that end after a gap, and windows of a fixed length.

/// Something that lasts from its first to its last event, and can take in another of its kind.
pub trait Span {
    /// Of its first event.
    fn start_ms(&self) -> i64;
    /// Of its last event.
    fn end_ms(&self) -> i64;
    /// Takes in one that it touches. `other` may begin earlier.
    fn absorb(&mut self, other: Self);
}

/// Where a span went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub at: usize,
    /// How many of those that were there it has taken in.
    pub merged: usize,
}

/// Puts a span among others that stand in order, further apart than `gap_ms`. It is merged with every one that is
/// `gap_ms` away or less, the earliest of them taking in the later ones, so that a late event may join two.
pub fn insert<S: Span>(spans: &mut Vec<S>, new: S, gap_ms: i64) -> Placed {
    let from = spans.partition_point(|span| span.end_ms().saturating_add(gap_ms) < new.start_ms());
    let to = spans.partition_point(|span| span.start_ms().saturating_sub(gap_ms) <= new.end_ms());
    let merged = to.saturating_sub(from);
    if merged == 0 {
        spans.insert(from, new);
        return Placed { at: from, merged };
    }
    let later: Vec<S> = spans.drain(from + 1..to).collect();
    let first = &mut spans[from];
    first.absorb(new);
    later.into_iter().for_each(|span| first.absorb(span));
    Placed { at: from, merged }
}

/// A window of a fixed length; its end is the first time that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub start_ms: i64,
    pub end_ms: i64,
}

/// The window that holds the time. Windows begin at multiples of their size, which must be above 0.
pub fn tumbling(event_ms: i64, size_ms: i64) -> Window {
    let size_ms = size_ms.max(1);
    let start_ms = event_ms.saturating_sub(event_ms.rem_euclid(size_ms));
    Window { start_ms, end_ms: start_ms.saturating_add(size_ms) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Session {
        start_ms: i64,
        end_ms: i64,
        events: Vec<i64>,
    }

    impl Session {
        fn of(event_ms: i64) -> Session {
            Session { start_ms: event_ms, end_ms: event_ms, events: vec![event_ms] }
        }
    }

    impl Span for Session {
        fn start_ms(&self) -> i64 {
            self.start_ms
        }

        fn end_ms(&self) -> i64 {
            self.end_ms
        }

        fn absorb(&mut self, other: Session) {
            self.start_ms = self.start_ms.min(other.start_ms);
            self.end_ms = self.end_ms.max(other.end_ms);
            self.events.extend(other.events);
            self.events.sort_unstable();
        }
    }

    #[test]
    fn a_late_event_joins_two() {
        let mut spans = Vec::new();
        assert_eq!(insert(&mut spans, Session::of(0), 10), Placed { at: 0, merged: 0 });
        assert_eq!(insert(&mut spans, Session::of(21), 10), Placed { at: 1, merged: 0 });
        assert_eq!(insert(&mut spans, Session::of(11), 10), Placed { at: 1, merged: 1 }, "11 away from the first");
        assert_eq!(insert(&mut spans, Session::of(10), 10), Placed { at: 0, merged: 2 });
        assert_eq!(spans, [Session { start_ms: 0, end_ms: 21, events: vec![0, 10, 11, 21] }]);
    }

    #[test]
    fn windows_tile_the_time_before_1970_too() {
        assert_eq!(tumbling(0, 10), Window { start_ms: 0, end_ms: 10 });
        assert_eq!(tumbling(9, 10), Window { start_ms: 0, end_ms: 10 });
        assert_eq!(tumbling(-1, 10), Window { start_ms: -10, end_ms: 0 });
    }

    proptest! {
        /// The order in which events come makes no difference: sessions are what a sorted pass would make.
        #[test]
        fn sessions_do_not_depend_on_the_order(events in prop::collection::vec(-200i64..200, 1..40), gap in 0i64..20) {
            let mut spans = Vec::new();
            for event in &events {
                let placed = insert(&mut spans, Session::of(*event), gap);
                prop_assert!(spans[placed.at].events.contains(event));
            }
            let mut sorted = events;
            sorted.sort_unstable();
            let mut expected: Vec<Session> = Vec::new();
            for event in sorted {
                match expected.last_mut() {
                    Some(last) if event - last.end_ms <= gap => last.absorb(Session::of(event)),
                    _ => expected.push(Session::of(event)),
                }
            }
            prop_assert_eq!(spans, expected);
        }
    }
}
