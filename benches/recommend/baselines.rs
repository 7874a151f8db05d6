//! What the product is held against, each as its authors define it. A token is an item or a category.
//!
//! All of them see what the product sees: every click before the one that is asked for, those of the day included.

use std::collections::{BTreeMap, HashMap, HashSet};

pub type Token = u32;

/// A click, for a method that learns.
#[derive(Clone, Copy)]
pub struct Step {
    pub session: u32,
    pub token: Token,
    /// It comes up in its session for the first time.
    pub new: bool,
}

/// What is asked: what comes next in this session.
pub struct Query<'a> {
    pub session: u32,
    /// The session's clicks so far, in order.
    pub tokens: &'a [Token],
}

pub trait Baseline {
    fn learn(&mut self, step: Step);
    /// Tokens with their scores, not sorted; what is not there has none.
    fn scores(&self, query: &Query) -> Vec<(Token, f64)>;
}

/// The most clicked so far.
#[derive(Default)]
pub struct Popularity {
    /// By token.
    counts: Vec<u32>,
}

impl Baseline for Popularity {
    fn learn(&mut self, step: Step) {
        let place = step.token as usize;
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    fn scores(&self, _: &Query) -> Vec<(Token, f64)> {
        (0..).zip(&self.counts).map(|(token, count)| (token, f64::from(*count))).collect()
    }
}

/// Item-to-item neighbours of the last click: sessions with both, over the root of the product of how many have each,
/// regularised. As the baseline of Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based recommendations with
/// recurrent neural networks" (2016).
pub struct ItemKnn {
    pub regularisation: f64,
    sessions: HashMap<u32, Vec<Token>>,
    support: HashMap<Token, f64>,
    together: HashMap<Token, HashMap<Token, f64>>,
}

impl ItemKnn {
    pub fn new(regularisation: f64) -> Self {
        Self { regularisation, sessions: HashMap::new(), support: HashMap::new(), together: HashMap::new() }
    }
}

impl Baseline for ItemKnn {
    fn learn(&mut self, Step { session, token, new }: Step) {
        if !new {
            return;
        }
        let others = self.sessions.entry(session).or_default();
        for other in others.iter() {
            *self.together.entry(token).or_default().entry(*other).or_default() += 1.0;
            *self.together.entry(*other).or_default().entry(token).or_default() += 1.0;
        }
        others.push(token);
        *self.support.entry(token).or_default() += 1.0;
    }

    fn scores(&self, query: &Query) -> Vec<(Token, f64)> {
        let Some(last) = query.tokens.last() else { return Vec::new() };
        let support = |token| self.support.get(token).copied().unwrap_or_default() + self.regularisation;
        let together = self.together.get(last).into_iter().flatten();
        let mut scores: HashMap<Token, f64> =
            together.map(|(token, count)| (*token, count / (support(last) * support(token)).sqrt())).collect();
        // Its likeness to itself: with repeats allowed, the last click is the first guess.
        scores.insert(*last, 1.0);
        scores.into_iter().collect()
    }
}

/// Vector multiplication session-based kNN: the most recent sessions that share a token with this one, the `k` most
/// alike of them, each of which votes for its tokens. Ludewig and Jannach, "Evaluation of session-based recommendation
/// algorithms" (2018), with the weights that their later comparison (Ludewig, Mauro, Latifi, Jannach, "Empirical
/// analysis of session-based recommendation algorithms", 2021) searches over.
pub struct VSknn {
    pub settings: VSknnSettings,
    /// In the order in which they began: the distinct tokens of each, as they came.
    sessions: Vec<Vec<Token>>,
    places: HashMap<u32, usize>,
    by_token: HashMap<Token, Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
pub struct VSknnSettings {
    pub neighbours: usize,
    /// Of the sessions that share a token, so many of the most recent are compared.
    pub sample: usize,
    /// How the weight of the session's tokens falls towards its beginning: (place / length) to this power.
    pub decay: i32,
    /// Votes count by how rare the token is.
    pub idf: bool,
}

impl VSknn {
    pub fn new(settings: VSknnSettings) -> Self {
        Self { settings, sessions: Vec::new(), places: HashMap::new(), by_token: HashMap::new() }
    }
}

impl Baseline for VSknn {
    fn learn(&mut self, Step { session, token, new }: Step) {
        let place = *self.places.entry(session).or_insert_with(|| {
            self.sessions.push(Vec::new());
            self.sessions.len() - 1
        });
        if new {
            self.sessions[place].push(token);
            self.by_token.entry(token).or_default().push(place);
        }
    }

    fn scores(&self, query: &Query) -> Vec<(Token, f64)> {
        let VSknnSettings { neighbours, sample, decay, idf } = self.settings;
        let mut recent: Vec<Token> = Vec::new();
        for token in query.tokens.iter().rev() {
            if !recent.contains(token) {
                recent.push(*token);
            }
        }
        let length = recent.len() as f64;
        let weights: BTreeMap<Token, f64> = recent
            .iter()
            .enumerate()
            .map(|(ago, token)| (*token, ((length - ago as f64) / length).powi(decay)))
            .collect();
        let own = self.places.get(&query.session).copied();
        let mut sharing: Vec<usize> = recent
            .iter()
            .flat_map(|token| self.by_token.get(token).into_iter().flatten().copied())
            .filter(|place| Some(*place) != own)
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        sharing.sort_unstable_by(|a, b| b.cmp(a));
        sharing.truncate(sample);
        let alike = |place: usize| {
            let tokens = &self.sessions[place];
            let shared: f64 = tokens.iter().filter_map(|token| weights.get(token)).sum();
            shared / (length * tokens.len() as f64).sqrt()
        };
        let mut nearest: Vec<(f64, usize)> = sharing.into_iter().map(|place| (alike(place), place)).collect();
        nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        nearest.truncate(neighbours);
        let mut scores: HashMap<Token, f64> = HashMap::new();
        for (likeness, place) in nearest {
            let tokens = &self.sessions[place];
            let ago = recent.iter().position(|token| tokens.contains(token)).unwrap_or_default();
            for token in tokens {
                *scores.entry(*token).or_default() += likeness / (ago + 1) as f64;
            }
        }
        if idf {
            let sessions = self.sessions.len() as f64;
            for (token, score) in &mut scores {
                *score *= (sessions / self.by_token.get(token).map_or(1.0, |places| places.len() as f64)).ln();
            }
        }
        scores.into_iter().collect()
    }
}
