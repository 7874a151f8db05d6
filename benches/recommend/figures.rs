//! Recall and mean reciprocal rank, and how sure they are.

use std::collections::BTreeMap;

/// Ranks further back are as good as none.
pub const PLACES: usize = 20;
const RESAMPLES: usize = 1000;

/// By user, because one user's clicks are not independent of each other.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    by_user: BTreeMap<u32, Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    asked: f64,
    found: f64,
    reciprocal: f64,
}

/// A figure with the range that holds 95 % of its resamples.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Figures {
    /// `place`: of the click that came, from 0, among what was ranked.
    pub fn add(&mut self, user: u32, place: Option<usize>) {
        let sums = self.by_user.entry(user).or_default();
        sums.asked += 1.0;
        if let Some(place) = place.filter(|place| *place < PLACES) {
            sums.found += 1.0;
            sums.reciprocal += 1.0 / (place + 1) as f64;
        }
    }

    pub fn asked(&self) -> usize {
        self.by_user.values().map(|sums| sums.asked as usize).sum()
    }

    pub fn recall(&self) -> Figure {
        self.figure(|sums| sums.found, None)
    }

    pub fn mrr(&self) -> Figure {
        self.figure(|sums| sums.reciprocal, None)
    }

    /// How much more of the same clicks is found than by `other`.
    pub fn recall_over(&self, other: &Figures) -> Figure {
        self.figure(|sums| sums.found, Some(other))
    }

    pub fn mrr_over(&self, other: &Figures) -> Figure {
        self.figure(|sums| sums.reciprocal, Some(other))
    }

    fn figure(&self, of: fn(&Sums) -> f64, other: Option<&Figures>) -> Figure {
        let users: Vec<(f64, f64)> = self
            .by_user
            .iter()
            .map(|(user, sums)| {
                let less = other.and_then(|other| other.by_user.get(user)).map_or(0.0, of);
                (of(sums) - less, sums.asked)
            })
            .collect();
        let mean = |users: &mut dyn Iterator<Item = (f64, f64)>| {
            let (sum, asked) = users.fold((0.0, 0.0), |(sum, asked), user| (sum + user.0, asked + user.1));
            if asked > 0.0 { sum / asked } else { 0.0 }
        };
        let value = mean(&mut users.iter().copied());
        let mut random = fastrand::Rng::with_seed(1);
        let mut resampled: Vec<f64> =
            (0..RESAMPLES).map(|_| mean(&mut (0..users.len()).map(|_| users[random.usize(..users.len())]))).collect();
        resampled.sort_by(f64::total_cmp);
        let at = |part: f64| resampled[((RESAMPLES - 1) as f64 * part) as usize];
        Figure { value, low: at(0.025), high: at(0.975) }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} ({:.4} to {:.4})", self.value, self.low, self.high)
    }
}
