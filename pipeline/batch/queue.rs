//! The requests of one model: by length for filling a batch, by arrival for fairness.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::{Fill, Request};
use crate::event::Priority;

/// Places in an arrival list that may be stale before it is swept.
const STALE_MAX: usize = 64;

/// Longer than any model reads; so that sums of lengths cannot overflow.
const TOKENS_MAX: usize = u32::MAX as usize;

/// Each length has two lists, one a priority, in order of arrival. The oldest request of a priority is then always the
/// first of its list, neighbours in length are neighbouring lists, and nothing is ever taken from a list's middle:
/// push costs O(log lengths), a batch O(its requests + the lengths it spans).
#[derive(Debug)]
pub(super) struct Queue<T> {
    lengths: BTreeMap<usize, Lists<T>>,
    /// By priority, in order of arrival. The first place of each is never stale; others may be.
    arrivals: [VecDeque<Place>; 2],
    waiting: [usize; 2],
    tokens: usize,
    rows_max: usize,
    sequence: u64,
    /// Kept for its memory: lengths, how many of each go into the batch being cut, and from which list.
    plan: Vec<(usize, usize, usize)>,
}

/// The requests of one length by priority, each with its place in the order of arrival.
type Lists<T> = [VecDeque<(u64, Request<T>)>; 2];

#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: u64,
    tokens: usize,
    arrived: Instant,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            lengths: BTreeMap::new(),
            arrivals: Default::default(),
            waiting: [0; 2],
            tokens: 0,
            rows_max: usize::MAX,
            sequence: 0,
            plan: Vec::new(),
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&mut self, mut request: Request<T>) {
        request.tokens = request.tokens.clamp(1, TOKENS_MAX);
        let lane = lane(request.priority);
        let sequence = self.sequence;
        self.sequence += 1;
        self.waiting[lane] += 1;
        self.tokens += request.tokens;
        self.rows_max = self.rows_max.min(request.rows_max.unwrap_or(usize::MAX).max(1));
        self.arrivals[lane].push_back(Place { sequence, tokens: request.tokens, arrived: request.arrived });
        self.lengths.entry(request.tokens).or_default()[lane].push_back((sequence, request));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.iter().sum()
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Enough waits for a full batch: more waiting would not make it cheaper.
    pub(super) fn is_full(&self, tokens_max: usize) -> bool {
        self.fills(1, tokens_max)
    }

    /// Enough waits for so many full batches.
    pub(super) fn fills(&self, batches: usize, tokens_max: usize) -> bool {
        let rows = self.rows_max.saturating_mul(batches);
        self.len() > 0 && (self.tokens >= tokens_max.saturating_mul(batches) || self.len() >= rows)
    }

    /// When the oldest request of this priority arrived.
    pub(super) fn oldest(&self, priority: Priority) -> Option<Instant> {
        self.arrivals[lane(priority)].front().map(|place| place.arrived)
    }

    /// Takes the oldest request of this priority, then the chats that pad it least, then the reviews.
    pub(super) fn cut(&mut self, priority: Priority, tokens_max: usize) -> Option<Vec<Request<T>>> {
        let anchor = self.arrivals[lane(priority)].front()?.tokens;
        let mut fill = Fill::start(anchor, tokens_max, self.rows_max);
        self.plan.clear();
        for filler in [Priority::High, Priority::Normal] {
            let led = usize::from(filler == priority);
            self.plan_around(anchor, filler, led, &mut fill);
        }
        let mut requests = Vec::with_capacity(fill.rows());
        self.take_from(anchor, 1, lane(priority), &mut requests);
        let plan = std::mem::take(&mut self.plan);
        for &(tokens, rows, lane) in &plan {
            self.take_from(tokens, rows, lane, &mut requests);
        }
        self.plan = plan;
        self.drop_stale();
        Some(requests)
    }

    pub(super) fn retain(&mut self, wanted: &mut impl FnMut(&T) -> bool) {
        self.arrivals = Default::default();
        self.waiting = [0; 2];
        self.tokens = 0;
        self.lengths.retain(|_, lists| {
            lists.iter_mut().for_each(|list| list.retain(|(_, request)| wanted(&request.payload)));
            lists.iter().any(|list| !list.is_empty())
        });
        for (&tokens, lists) in &self.lengths {
            for (lane, list) in lists.iter().enumerate() {
                self.waiting[lane] += list.len();
                self.tokens += tokens * list.len();
                let places = list.iter().map(|(sequence, r)| Place { sequence: *sequence, tokens, arrived: r.arrived });
                self.arrivals[lane].extend(places);
            }
        }
        for places in &mut self.arrivals {
            places.make_contiguous().sort_unstable_by_key(|place| place.sequence);
        }
    }

    /// Goes outwards from the anchor's length, each time to the side that adds less padding, and adds to `plan` how many
    /// requests of this priority and each length fit, the `led` one that leads the batch not counted. What does not fit
    /// on a side closes it: everything further out fits worse.
    fn plan_around(&mut self, anchor: usize, priority: Priority, led: usize, fill: &mut Fill) {
        let lane = lane(priority);
        let count = |(&tokens, lists): (&usize, &Lists<T>)| (tokens, lists[lane].len());
        let mut below = self.lengths.range(..=anchor).rev().map(count).peekable();
        let mut above = self.lengths.range(anchor.saturating_add(1)..).map(count).peekable();
        if let Some((_, here)) = below.peek_mut() {
            *here -= led;
        }
        let (mut below_open, mut above_open) = (true, true);
        loop {
            let down = below.peek().copied().filter(|_| below_open);
            let up = above.peek().copied().filter(|_| above_open);
            let go_down = match (down, up) {
                (None, None) => return,
                (Some(down), Some(up)) => fill.padding_added(down.0) <= fill.padding_added(up.0),
                (down, _) => down.is_some(),
            };
            let Some((tokens, waiting)) = (if go_down { below.next() } else { above.next() }) else { return };
            let rows = fill.add(tokens, waiting, priority);
            if rows > 0 {
                self.plan.push((tokens, rows, lane));
            }
            // Asked even where all came in, or none waited: it ends the walk over lengths that cannot fit.
            if rows < waiting || !fill.admits(tokens, priority) {
                *(if go_down { &mut below_open } else { &mut above_open }) = false;
            }
        }
    }

    /// Moves this many requests of one length into the batch, oldest first.
    fn take_from(&mut self, tokens: usize, rows: usize, lane: usize, batch: &mut Vec<Request<T>>) {
        let Some(lists) = self.lengths.get_mut(&tokens) else { return };
        batch.extend(lists[lane].drain(..rows).map(|(_, request)| request));
        self.waiting[lane] -= rows;
        self.tokens -= rows * tokens;
        if lists.iter().all(VecDeque::is_empty) {
            self.lengths.remove(&tokens);
        }
    }

    /// Restores what `arrivals` promises, and keeps the lists within twice what waits.
    fn drop_stale(&mut self) {
        for (lane, places) in self.arrivals.iter_mut().enumerate() {
            let lengths = &self.lengths;
            let waits = |place: &Place| {
                let first = lengths.get(&place.tokens).and_then(|lists| lists[lane].front());
                first.is_some_and(|(sequence, _)| *sequence <= place.sequence)
            };
            while places.front().is_some_and(|place| !waits(place)) {
                places.pop_front();
            }
            if places.len() > 2 * self.waiting[lane] + STALE_MAX {
                places.retain(waits);
            }
        }
    }
}

fn lane(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
    }
}
