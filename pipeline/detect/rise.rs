//! Has a series of buckets risen, at once, for a while, or little by little; or has it stopped?
//!
//! The last bucket, and the last 5, 15 and 60 together, are each compared with what the past lets expect of as many: events
//! as negative binomial, hits among them as Beta-binomial, as [`super::count`] and [`super::share`] have them. A short window
//! finds a jump in its first bucket, a long one a drift that no bucket shows alone: a scan statistic over a few lengths
//! (Naus, 1965; of geometric lengths: Neill & Moore, KDD 2004). What spread a length has beyond its model's is learned for
//! that length, so that traffic in waves makes its long windows wide.
//!
//! The past ends [`LAG`] buckets ago, before the longest window begins: what is being judged is not what it is judged by, and
//! a surge is not learned while a window could still find it. What was found is left out of the past by the caller
//! ([`Rise::skip`]), and so is every window that reaches into it. A lull that is as improbable, an outage or a night of
//! silence, is left out likewise, for at most twelve hours: what comes back afterwards is the usual. Buckets without events
//! cost nothing until the next one is looked at.

use prost::Message;

use super::{P_MIN, count, share};

/// Buckets that are looked at together.
pub const WINDOWS: [i64; 4] = [1, 5, 15, 60];
/// The last buckets are not the past yet…
pub const LAG: i64 = WINDOWS[3];
/// …and fewer while the hours are not known: what was an hour ago is no measure of a morning.
const LAG_EARLY: i64 = 15;
/// Buckets that the caller keeps: the longest window, as of the oldest bucket that is still to be learned.
pub const RECENT: i64 = WINDOWS[3] + LAG;

const HOURS: usize = 24;
const DAYS: usize = 7;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The level is the mean of so much past, fading…
const LEVEL_MS: i64 = 2 * DAY_MS;
/// …shares change less, and are made of fewer events.
const SHARE_MS: i64 = 7 * DAY_MS;
/// What is on top of level and season follows the last so many buckets; fewer while the hours are not known, since it is
/// the day itself then that comes and goes.
const TREND_BUCKETS: f64 = 120.0;
const TREND_BUCKETS_EARLY: f64 = 30.0;
/// While the hours are not known, traffic may change by so much an hour, and what was half an hour ago says less.
const DRIFT_PER_HOUR: f64 = 0.35;
/// …and is within these bounds, so that neither a lull nor a surge becomes the measure…
const TREND: (f64, f64) = (0.25, 4.0);
/// …and, once the hours are known, no less than this: what comes back to its level of these days is no surge, since a
/// quarter more is less than what a rule asks for.
const TREND_MIN_LATER: f64 = 0.8;
/// An hour with so few events that this is its probability is a lull, and no lull is learned…
const LULL_P: f64 = 1e-4;
/// …for so long: what lasts for longer than a night is the usual from then on.
const LULL_MS: i64 = 12 * HOUR_MS;
/// Of fewer expected events too few are no news.
const LULL_EVENTS: f64 = 8.0;
/// The hour of the day speaks once so much was seen, the day of the week likewise.
const HOURS_AFTER_MS: i64 = 2 * DAY_MS;
const DAYS_AFTER_MS: i64 = 14 * DAY_MS;
/// A factor is believed as if so many events had shown that it is 1.
const FACTOR_PRIOR: f64 = 10.0;
/// Windows whose spread is remembered.
const SPREAD_WINDOWS: f64 = 200.0;
/// Before any is seen: the spread of so many windows…
const SPREAD_PRIOR: f64 = 20.0;
/// …whose rate varies by a seventh beyond Poisson, and whose shares are this much alike.
const COUNT_SPREAD: f64 = 0.02;
const SHARE_SPREAD: f64 = 0.01;
/// No spread is smaller: nothing is as steady as its model for ever.
const SPREAD_MIN: f64 = 5e-4;
/// One window counts for at most so many standard deviations and events when it is learned.
const REACH: f64 = 6.0;
const REACH_EVENTS: f64 = 3.0;
/// A level that lasts is adopted up to so many times the one before.
const ADOPTED_MAX: f64 = 1e6;
/// No clipping before the level is known.
const CLIP_AFTER_BUCKETS: f64 = 30.0;
/// An earlier start must make what followed so much more improbable, as a logarithm of likelihoods: that of one in seven.
const START_GAIN: f64 = 2.0;
/// Half an event more: what is not seen is not impossible.
const PRIOR: f64 = 0.5;
/// Standard deviations to either side that hold 98 of 100 of a normal distribution.
const DEVIATIONS: f64 = 2.326;

/// A bucket with events; those without need none.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Cell {
    /// The bucket's number since 1970.
    #[prost(int64, tag = "1")]
    pub at: i64,
    #[prost(float, tag = "2")]
    pub events: f32,
    /// Those among them that are looked for, such as negative ones.
    #[prost(float, tag = "3")]
    pub hits: f32,
    /// Events as they came; the caller's own.
    #[prost(float, tag = "4")]
    pub all: f32,
}

/// What is remembered of a series' past: some 420 bytes once hours and days are known, some 120 before.
#[derive(Clone, PartialEq, Message)]
pub struct Rise {
    /// The first bucket seen.
    #[prost(int64, tag = "1")]
    pub first: i64,
    /// Buckets before this one are learned.
    #[prost(int64, tag = "2")]
    pub learned_to: i64,
    #[prost(float, tag = "3")]
    events: f32,
    /// Buckets, each counted as what its hour and day are of the mean.
    #[prost(float, tag = "4")]
    buckets: f32,
    #[prost(float, tag = "5")]
    trend_events: f32,
    #[prost(float, tag = "6")]
    trend_expected: f32,
    /// Events and buckets, by hour of the day and by day of the week.
    #[prost(float, repeated, tag = "13")]
    hours: Vec<f32>,
    #[prost(float, repeated, tag = "14")]
    days: Vec<f32>,
    #[prost(float, tag = "9")]
    hits: f32,
    #[prost(float, tag = "10")]
    misses: f32,
    /// By window: sums of `(x - μ)² - μ` and of `μ²`, as in [`count::CountModel`].
    #[prost(float, repeated, tag = "11")]
    count_spread: Vec<f32>,
    /// By window: as in [`share::ShareModel`].
    #[prost(float, repeated, tag = "12")]
    share_spread: Vec<f32>,
    /// The trend as it was when the last 60 buckets began, and the 60 before.
    #[prost(float, tag = "15")]
    trend_last: f32,
    #[prost(float, tag = "16")]
    trend_then: f32,
    /// Buckets before this one were left out, or came before: windows that reach back to them say nothing of the usual.
    #[prost(int64, tag = "17")]
    whole_from: i64,
    /// Buckets of lulls, less those since that were of none.
    #[prost(int64, tag = "18")]
    lull: i64,
}

/// What is expected of a window: `doubt` is the part of the variance that comes of not knowing the mean, relative to its
/// square; `deviation` is that of the count itself.
#[derive(Clone, Copy, Debug)]
struct Expected {
    mean: f64,
    doubt: f64,
    deviation: f64,
}

/// One window against the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its length in buckets.
    pub buckets: i64,
    pub events: f64,
    pub hits: f64,
    /// Of events where events are judged, of hits where their share is. 98 of 100 are expected from low to high.
    pub expected: f64,
    pub low: f64,
    pub high: f64,
    /// The probability of as much or more, of [`Rise::stops`] of as little or less; not below [`P_MIN`].
    pub p_value: f64,
}

impl Rise {
    /// A series whose first event lies in this bucket.
    pub fn new(first: i64) -> Self {
        Self { first, learned_to: first, ..Self::default() }
    }

    /// Buckets that were learned, fading.
    pub fn known_buckets(&self) -> f64 {
        f64::from(self.buckets)
    }

    /// Expected share of hits.
    pub fn share(&self) -> f64 {
        let (hits, misses) = (f64::from(self.hits) + PRIOR, f64::from(self.misses) + PRIOR);
        hits / (hits + misses)
    }

    /// Learns what is the past for bucket `now`. `cells` are in order, and hold [`RECENT`] buckets up to it.
    pub fn learn(&mut self, cells: &[Cell], now: i64, bucket_ms: i64) {
        let to = now + 1 - self.lag(bucket_ms);
        while self.learned_to < to {
            let at = self.learned_to;
            let next = cells.partition_point(|cell| cell.at < at);
            let cell = cells.get(next).filter(|cell| cell.at == at);
            let end = match cell {
                Some(_) => at + 1,
                None => cells.get(next).map_or(to, |cell| cell.at).min(to).min(hour_end(at, bucket_ms)),
            };
            if self.leaves_out(cells, at, end, now, bucket_ms) {
                self.skip(end);
                continue;
            }
            self.learn_spread(cells, at, end, bucket_ms);
            if at.div_euclid(LAG) != end.div_euclid(LAG) {
                (self.trend_then, self.trend_last) = (self.trend_last, self.trend(bucket_ms) as f32);
            }
            let (events, hits) = cell.map_or((0.0, 0.0), |cell| (f64::from(cell.events), f64::from(cell.hits)));
            self.learn_level(at, end - at, events, bucket_ms);
            self.learn_share(end - at, events, hits, bucket_ms);
            let known = (self.knows_hours(bucket_ms), self.knows_days(bucket_ms));
            self.learned_to = end;
            if known != (self.knows_hours(bucket_ms), self.knows_days(bucket_ms)) {
                // They followed what season says from here on.
                (self.trend_events, self.trend_expected) = (0.0, 0.0);
                (self.trend_last, self.trend_then) = (0.0, 0.0);
                self.count_spread.clear();
            }
        }
    }

    /// Whether these buckets are of a lull that is not learned: with the hour that ends with them, or with the one that
    /// begins with them, there are too few events to be chance.
    fn leaves_out(&mut self, cells: &[Cell], at: i64, end: i64, now: i64, bucket_ms: i64) -> bool {
        let hour = WINDOWS[3];
        let lull = self.knows_hours(bucket_ms)
            && ((at + hour <= now + 1 && self.is_lull(cells, at + hour - 1, bucket_ms))
                || (at + 1 - hour >= self.first && self.is_lull(cells, at, bucket_ms)));
        let (most, run) = (LULL_MS / bucket_ms, end - at);
        let leaves_out = lull && self.lull < most;
        self.lull = if lull { (self.lull + run).min(most) } else { (self.lull - run).max(0) };
        leaves_out
    }

    /// Whether the longest window that ends with this bucket holds far less than expected.
    fn is_lull(&self, cells: &[Cell], at: i64, bucket_ms: i64) -> bool {
        let (hour, i) = (WINDOWS[3], WINDOWS.len() - 1);
        let events = sums(cells, at + 1 - hour, at + 1).events;
        // What can be told without much ado is told so: a factor of the hour is rarely larger than this.
        let level = f64::from(self.events) / f64::from(self.buckets).max(1.0) * hour as f64;
        if 4.0 * level < LULL_EVENTS || events > 4.0 * level {
            return false;
        }
        self.p_of_so_few(i, events, self.events_expected(i, at, bucket_ms)) < LULL_P
    }

    /// The probability of so few events or fewer, where they are less than half of what is expected and that is not little.
    fn p_of_so_few(&self, i: usize, events: f64, Expected { mean, doubt, .. }: Expected) -> f64 {
        if mean < LULL_EVENTS || events >= mean / 2.0 {
            return 1.0;
        }
        count::tails(events.round(), mean, 1.0 / (self.count_spread(i) + doubt)).0
    }

    /// Leaves out the buckets before `to`: neither many nor few, they say nothing of the usual.
    pub fn skip(&mut self, to: i64) {
        if to > self.learned_to {
            (self.learned_to, self.whole_from) = (to, to);
        }
    }

    /// What the longest window that ends with bucket `now` holds is the usual from here on, where it is more than was
    /// expected: a level that has lasted for so long that it is no news any more.
    pub fn adopt_events(&mut self, cells: &[Cell], now: i64, bucket_ms: i64) {
        let seen = sums(cells, now + 1 - WINDOWS[3], now + 1).events + PRIOR;
        let more = |rise: &Self| (seen / (rise.events_expected(3, now, bucket_ms).mean + PRIOR)).min(ADOPTED_MAX);
        let factor = more(self) as f32;
        if factor <= 1.0 {
            return;
        }
        // As many events in less time, all hours and days alike: what they are of the mean stays, and nothing is known
        // better than before.
        let buckets = self.hours.iter_mut().skip(1).step_by(2).chain(self.days.iter_mut().skip(1).step_by(2));
        buckets.for_each(|buckets| *buckets /= factor);
        (self.trend_events, self.trend_expected) = (0.0, 0.0);
        (self.trend_last, self.trend_then) = (0.0, 0.0);
        let factor = more(self) as f32;
        let buckets = (self.buckets / factor).max(1.0);
        self.events *= factor * buckets / self.buckets;
        self.buckets = buckets;
        // What falls from there is no lull.
        self.lull = LULL_MS / bucket_ms;
    }

    /// As [`Self::adopt_events`], of the share of hits.
    pub fn adopt_share(&mut self, cells: &[Cell], now: i64) {
        let Sums { events, hits } = sums(cells, now + 1 - WINDOWS[3], now + 1);
        let share = ((hits + PRIOR) / (events + 2.0 * PRIOR)).max(self.share());
        let all = f64::from(self.hits) + f64::from(self.misses);
        (self.hits, self.misses) = ((all * share) as f32, (all * (1.0 - share)) as f32);
    }

    /// So many buckets before one that is judged the past ends.
    pub fn lag(&self, bucket_ms: i64) -> i64 {
        if self.knows_hours(bucket_ms) { LAG } else { LAG_EARLY }
    }

    /// Is the number of events in the windows that end with bucket `now` more than expected? `None` where the series is
    /// not as old as the window, or its past is not known at all.
    pub fn events(&self, cells: &[Cell], now: i64, bucket_ms: i64) -> [Option<Window>; WINDOWS.len()] {
        self.windows(cells, now, |i, sums| {
            let Expected { mean, doubt, deviation } = self.events_expected(i, now, bucket_ms);
            let size = 1.0 / (self.count_spread(i) + doubt);
            let p = if sums.events > mean {
                count::tails(sums.events.round(), mean, size).1
                    * because_seen(sums.events, mean, WINDOWS[i], cells, now)
            } else {
                1.0
            };
            Window { p_value: p.clamp(P_MIN, 1.0), ..around(i, sums, mean, deviation) }
        })
    }

    /// Is the number of events less than half of what is expected? `None` also while the hours of the day are not known:
    /// an evening is no outage.
    pub fn stops(&self, cells: &[Cell], now: i64, bucket_ms: i64) -> [Option<Window>; WINDOWS.len()] {
        if !self.knows_hours(bucket_ms) {
            return [None; WINDOWS.len()];
        }
        self.windows(cells, now, |i, sums| {
            let expected = self.events_expected(i, now, bucket_ms);
            let p_value = self.p_of_so_few(i, sums.events, expected).clamp(P_MIN, 1.0);
            Window { p_value, ..around(i, sums, expected.mean, expected.deviation) }
        })
    }

    /// Are the hits among the events more than expected?
    pub fn hits(&self, cells: &[Cell], now: i64) -> [Option<Window>; WINDOWS.len()] {
        self.windows(cells, now, |i, sums| {
            let (a, b) = self.beta(i);
            let (chance, of) = (a / (a + b), sums.events);
            let mean = of * chance;
            let deviation = (mean * (1.0 - chance) * (a + b + of) / (a + b + 1.0)).sqrt();
            let (hits, trials) = (sums.hits.round(), of.round());
            let p = if hits > mean && trials >= 1.0 { share::tails(hits.min(trials), trials, a, b).1 } else { 1.0 };
            Window { p_value: p.clamp(P_MIN, 1.0), ..around(i, sums, mean, deviation) }
        })
    }

    /// Expected events of each bucket from `from` up to, not with, `to`.
    pub fn expected_each(&self, from: i64, to: i64, bucket_ms: i64) -> impl Iterator<Item = f64> + '_ {
        let trend = self.trend(bucket_ms);
        (from..to).map(move |at| self.level_at(at, bucket_ms) * trend)
    }

    fn windows(
        &self,
        cells: &[Cell],
        now: i64,
        judge: impl Fn(usize, Sums) -> Window,
    ) -> [Option<Window>; WINDOWS.len()] {
        std::array::from_fn(|i| {
            let known = self.buckets >= 1.0 && (WINDOWS[i] == 1 || now + 1 - WINDOWS[i] >= self.first);
            known.then(|| judge(i, sums(cells, now + 1 - WINDOWS[i], now + 1)))
        })
    }

    fn learn_level(&mut self, at: i64, run: i64, events: f64, bucket_ms: i64) {
        let expected = self.level_at(at, bucket_ms);
        let events = if f64::from(self.buckets) < CLIP_AFTER_BUCKETS {
            events
        } else {
            let Expected { mean, deviation, .. } = self.events_expected(0, at, bucket_ms);
            events.min(mean + REACH * deviation + REACH_EVENTS)
        };
        let n = run as f64;
        fade(&mut self.events, LEVEL_MS as f64 / bucket_ms as f64, n, events);
        let season = self.season(at, bucket_ms);
        fade(&mut self.buckets, LEVEL_MS as f64 / bucket_ms as f64, n, season);
        let trend = if self.knows_hours(bucket_ms) { TREND_BUCKETS } else { TREND_BUCKETS_EARLY };
        fade(&mut self.trend_events, trend, n, events);
        fade(&mut self.trend_expected, trend, n, expected);
        let (hour, day) = places(at, bucket_ms);
        // A week of the hour, six of the day.
        learn_rate(&mut self.hours, HOURS, hour, 7.0 * HOUR_MS as f64 / bucket_ms as f64, n, events);
        learn_rate(&mut self.days, DAYS, day, 6.0 * DAY_MS as f64 / bucket_ms as f64, n, events);
    }

    fn learn_share(&mut self, run: i64, events: f64, hits: f64, bucket_ms: i64) {
        let memory = SHARE_MS as f64 / bucket_ms as f64;
        fade(&mut self.hits, memory, run as f64, hits);
        fade(&mut self.misses, memory, run as f64, events - hits);
    }

    /// Learns the windows that end with a bucket from `at` up to, not with, `end`; those of a length follow each other and
    /// do not overlap. All but the first of them are empty.
    fn learn_spread(&mut self, cells: &[Cell], at: i64, end: i64, bucket_ms: i64) {
        for (i, length) in WINDOWS.into_iter().enumerate() {
            let count = end.div_euclid(length) - at.div_euclid(length);
            let first_end = (at.div_euclid(length) + 1) * length;
            if count <= 0
                || first_end - length < self.first.max(self.whole_from)
                || f64::from(self.buckets) < CLIP_AFTER_BUCKETS
            {
                continue;
            }
            let sums = sums(cells, first_end - length, first_end);
            // As a bucket is judged later: by a trend that does not know the window.
            let trend = if self.trend_then > 0.0 && self.knows_hours(bucket_ms) {
                f64::from(self.trend_then)
            } else {
                self.trend(bucket_ms)
            };
            let Expected { mean, doubt, deviation } = self.events_expected_at(i, first_end - 1, bucket_ms, trend);
            let reach = REACH * deviation + REACH_EVENTS;
            let mut learn = |x: f64, n: f64| {
                let off = (x - mean).clamp(-reach, reach);
                fade_pair(&mut self.count_spread, i, n, off * off - mean - doubt * mean * mean, mean * mean);
            };
            learn(sums.events, 1.0);
            if count > 1 {
                learn(0.0, (count - 1) as f64);
            }
            self.learn_share_spread(i, sums);
        }
    }

    fn learn_share_spread(&mut self, i: usize, sums: Sums) {
        let of = sums.events;
        if of < 1.0 {
            return;
        }
        let (a, b) = self.beta(i);
        let chance = a / (a + b);
        let variance = of * chance * (1.0 - chance);
        let reach = REACH * (variance * (a + b + of) / (a + b + 1.0)).sqrt() + 1.0;
        let off = (sums.hits - of * chance).clamp(-reach, reach);
        fade_pair(&mut self.share_spread, i, 1.0, off * off - variance, (of - 1.0).max(0.0) * variance);
    }

    /// What the past lets expect of a window's events.
    fn events_expected(&self, i: usize, now: i64, bucket_ms: i64) -> Expected {
        self.events_expected_at(i, now, bucket_ms, self.trend(bucket_ms))
    }

    fn events_expected_at(&self, i: usize, now: i64, bucket_ms: i64, trend: f64) -> Expected {
        let (mut mean, mut of_hours) = (0.0, 0.0);
        let mut at = now + 1 - WINDOWS[i];
        while at <= now {
            let end = hour_end(at, bucket_ms).min(now + 1);
            let part = self.level_at(at, bucket_ms) * (end - at) as f64;
            mean += part;
            of_hours += part * part * self.season_doubt(at, bucket_ms);
            at = end;
        }
        let squares = (mean * mean).max(1e-18);
        let level = 1.0 / (f64::from(self.events) + PRIOR) + 1.0 / (f64::from(self.trend_expected) + FACTOR_PRIOR);
        let doubt = level + of_hours / squares + self.drift(i, bucket_ms);
        let mean = (mean * trend).max(1e-9);
        let deviation = (mean + (self.count_spread(i) + doubt) * mean * mean).sqrt();
        Expected { mean, doubt, deviation }
    }

    /// How much a window's rate varies beyond what is known of its mean, squared and relative.
    fn count_spread(&self, i: usize) -> f64 {
        let mean = WINDOWS[i] as f64 * (f64::from(self.events) + PRIOR) / f64::from(self.buckets).max(1.0);
        let prior = SPREAD_PRIOR * mean * mean;
        let (excess, squares) = pair(&self.count_spread, i);
        ((excess + COUNT_SPREAD * prior) / (squares + prior).max(1e-12)).max(SPREAD_MIN)
    }

    /// How far the level may have gone since what it is known from, squared.
    fn drift(&self, i: usize, bucket_ms: i64) -> f64 {
        if self.knows_hours(bucket_ms) {
            return 0.0;
        }
        let age = LAG_EARLY as f64 + TREND_BUCKETS_EARLY + WINDOWS[i] as f64 / 2.0;
        (DRIFT_PER_HOUR * age * bucket_ms as f64 / HOUR_MS as f64).min(1.0).powi(2)
    }

    fn knows_hours(&self, bucket_ms: i64) -> bool {
        (self.learned_to - self.first).saturating_mul(bucket_ms) >= HOURS_AFTER_MS
    }

    fn knows_days(&self, bucket_ms: i64) -> bool {
        (self.learned_to - self.first).saturating_mul(bucket_ms) >= DAYS_AFTER_MS
    }

    fn beta(&self, i: usize) -> (f64, f64) {
        let (hits, misses) = (f64::from(self.hits) + PRIOR, f64::from(self.misses) + PRIOR);
        let seen = hits + misses;
        let chance = hits / seen;
        // As many pairs as so many windows of five events have: a prior that events outweigh soon.
        let prior = SPREAD_PRIOR * 20.0 * chance * (1.0 - chance);
        let (excess, squares) = pair(&self.share_spread, i);
        let alike = ((excess + SHARE_SPREAD * prior) / (squares + prior).max(1e-12)).clamp(SPREAD_MIN, 0.5);
        let sure = 1.0 / (alike / (1.0 - alike) + 1.0 / seen);
        (chance * sure, (1.0 - chance) * sure)
    }

    /// Events of a bucket by level, hour of the day and day of the week.
    fn level_at(&self, at: i64, bucket_ms: i64) -> f64 {
        f64::from(self.events) / f64::from(self.buckets).max(1.0) * self.season(at, bucket_ms)
    }

    /// What hour and day are of the mean, as far as they are known.
    fn season(&self, at: i64, bucket_ms: i64) -> f64 {
        let (hour, day) = places(at, bucket_ms);
        let hour = if self.knows_hours(bucket_ms) { factor(&self.hours, hour) } else { 1.0 };
        let day = if self.knows_days(bucket_ms) { factor(&self.days, day) } else { 1.0 };
        hour * day
    }

    /// How little is known of that, squared and relative.
    fn season_doubt(&self, at: i64, bucket_ms: i64) -> f64 {
        if !self.knows_hours(bucket_ms) {
            return 0.0;
        }
        let (events, _) = pair(&self.hours, places(at, bucket_ms).0);
        1.0 / (events + FACTOR_PRIOR)
    }

    fn trend(&self, bucket_ms: i64) -> f64 {
        let (events, expected) = (f64::from(self.trend_events), f64::from(self.trend_expected));
        let least = if self.knows_hours(bucket_ms) { TREND_MIN_LATER } else { TREND.0 };
        ((events + FACTOR_PRIOR) / (expected + FACTOR_PRIOR)).clamp(least, TREND.1)
    }
}

/// Since when it has been more: the start that makes what followed, up to bucket `now`, most improbable as a part of the
/// past. `expected` says what a bucket's `x` is expected to be; the statistic is Poisson's likelihood ratio (Kulldorff, A
/// spatial scan statistic, 1997).
pub fn since(now: i64, first: i64, x: impl Fn(i64) -> f64, expected: impl Fn(i64) -> f64) -> i64 {
    // A start without events is none.
    start(now, first, &x, expected, |at, seen, mean| seen > mean && x(at) > 0.0)
}

/// The same of what has been less.
pub fn stopped_since(now: i64, first: i64, x: impl Fn(i64) -> f64, expected: impl Fn(i64) -> f64) -> i64 {
    start(now, first, x, expected, |_, seen, mean| seen < mean)
}

/// The most improbable start among those that can be one, by their bucket and what followed and was expected from there. Of
/// those that are about as improbable it is the last: chance alone would have it earlier.
fn start(
    now: i64,
    first: i64,
    x: impl Fn(i64) -> f64,
    expected: impl Fn(i64) -> f64,
    can_be: impl Fn(i64, f64, f64) -> bool,
) -> i64 {
    let (mut seen, mut mean, mut best) = (0.0, 0.0, (0.0, now));
    for at in (first.max(now + 1 - WINDOWS[3])..=now).rev() {
        seen += x(at);
        mean += expected(at).max(1e-9);
        let ratio = if seen > 0.0 { seen * (seen / mean).ln() } else { 0.0 } - (seen - mean);
        if ratio > best.0 + START_GAIN && can_be(at, seen, mean) {
            best = (ratio, at);
        }
    }
    best.1
}

/// The sums over the buckets from `from` up to, not with, `to`.
pub fn sums(cells: &[Cell], from: i64, to: i64) -> Sums {
    let (a, b) = (cells.partition_point(|cell| cell.at < from), cells.partition_point(|cell| cell.at < to));
    cells[a..b].iter().fold(Sums { events: 0.0, hits: 0.0 }, |sums, cell| Sums {
        events: sums.events + f64::from(cell.events),
        hits: sums.hits + f64::from(cell.hits),
    })
}

/// Events and hits of several buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    pub events: f64,
    pub hits: f64,
}

/// A bucket with events is why somebody looks, and that alone makes many of them in its window likelier: by P(the last
/// bucket holds some | the window holds so many) ÷ P(the last bucket holds some).
fn because_seen(events: f64, mean: f64, buckets: i64, cells: &[Cell], now: i64) -> f64 {
    if cells.last().is_none_or(|last| last.at != now || last.events <= 0.0) {
        return 1.0;
    }
    let given = 1.0 - (1.0 - 1.0 / buckets as f64).powf(events);
    (given / (-(-mean / buckets as f64).exp_m1()).max(1e-12)).max(1.0)
}

/// A window of this length with what is expected of it; nothing is said of how probable it is.
pub fn around(i: usize, sums: Sums, expected: f64, deviation: f64) -> Window {
    Window {
        buckets: WINDOWS[i],
        events: sums.events,
        hits: sums.hits,
        expected,
        low: (expected - DEVIATIONS * deviation).max(0.0),
        high: expected + DEVIATIONS * deviation,
        p_value: 1.0,
    }
}

/// A sum that holds the past at the weight of `memory` readings takes in `n` that are alike.
fn fade(sum: &mut f32, memory: f64, n: f64, each: f64) {
    let keep = (1.0 - 1.0 / memory.max(2.0)).powf(n);
    // The sum of a geometric series.
    let new = each * (1.0 - keep) * memory.max(2.0);
    *sum = (f64::from(*sum) * keep + new).clamp(-1e30, 1e30) as f32;
}

fn fade_pair(pairs: &mut Vec<f32>, i: usize, n: f64, first: f64, second: f64) {
    pairs.resize(2 * WINDOWS.len(), 0.0);
    fade(&mut pairs[2 * i], SPREAD_WINDOWS, n, first);
    fade(&mut pairs[2 * i + 1], SPREAD_WINDOWS, n, second);
}

fn pair(pairs: &[f32], i: usize) -> (f64, f64) {
    let at = |i: usize| pairs.get(i).copied().map_or(0.0, f64::from);
    (at(2 * i), at(2 * i + 1))
}

fn learn_rate(pairs: &mut Vec<f32>, count: usize, i: usize, memory: f64, n: f64, events: f64) {
    pairs.resize(2 * count, 0.0);
    fade(&mut pairs[2 * i], memory, n, events);
    fade(&mut pairs[2 * i + 1], memory, n, 1.0);
}

/// What the rate of this hour or day is of their mean; those that were never seen are left out of it.
fn factor(pairs: &[f32], i: usize) -> f64 {
    let rates = pairs.chunks_exact(2).filter(|pair| pair[1] > 0.0).map(|pair| f64::from(pair[0] / pair[1]));
    let (sum, count) = rates.fold((0.0, 0.0), |(sum, count), rate| (sum + rate, count + 1.0));
    let mean = sum / f64::max(count, 1.0);
    let (events, buckets) = pair(pairs, i);
    (events + FACTOR_PRIOR) / (buckets * mean + FACTOR_PRIOR)
}

/// Hour of the day and day of the week.
fn places(at: i64, bucket_ms: i64) -> (usize, usize) {
    let ms = at.saturating_mul(bucket_ms);
    ((ms.rem_euclid(DAY_MS) / HOUR_MS) as usize, ms.div_euclid(DAY_MS).rem_euclid(7) as usize)
}

/// The first bucket that begins in another hour.
fn hour_end(at: i64, bucket_ms: i64) -> i64 {
    let ms = at.saturating_mul(bucket_ms);
    let end = (ms.div_euclid(HOUR_MS) + 1) * HOUR_MS;
    ((end + bucket_ms - 1).div_euclid(bucket_ms)).max(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Dice;

    const MINUTE: i64 = 60_000;

    /// A series as its owner keeps it.
    struct Series {
        rise: Rise,
        cells: Vec<Cell>,
    }

    impl Series {
        fn new() -> Self {
            Self { rise: Rise::new(0), cells: Vec::new() }
        }

        /// The smallest p-values of events and of hits after this bucket.
        fn push(&mut self, at: i64, events: u64, hits: u64) -> [f64; 2] {
            if events > 0 {
                self.cells.push(Cell { at, events: events as f32, hits: hits as f32, all: events as f32 });
            }
            self.rise.learn(&self.cells, at, MINUTE);
            self.cells.retain(|cell| cell.at > at - RECENT);
            let least =
                |windows: [Option<Window>; 4]| windows.into_iter().flatten().map(|w| w.p_value).fold(1.0, f64::min);
            [least(self.rise.events(&self.cells, at, MINUTE)), least(self.rise.hits(&self.cells, at))]
        }
    }

    fn hits(dice: &mut Dice, of: u64, chance: f64) -> u64 {
        (0..of).filter(|_| dice.unit() < chance).count() as u64
    }

    #[test]
    fn steady_series_are_rarely_out_of_the_ordinary() {
        for (seed, mean) in [(1, 0.02), (2, 0.5), (3, 8.0), (4, 120.0)] {
            let (mut dice, mut series) = (Dice::new(seed), Series::new());
            let mut low = [0; 2];
            for at in 0..30_000 {
                let events = dice.poisson(mean);
                let hits = hits(&mut dice, events, 0.25);
                let p = series.push(at, events, hits);
                low.iter_mut().zip(p).for_each(|(low, p)| *low += i32::from(at > 500 && p <= 1e-3));
            }
            // Four windows, each at 1e-3 of 29,500; they overlap, so that one wave is counted several times.
            assert!(low.iter().all(|low| *low < 180), "mean {mean}: {low:?}");
        }
    }

    #[test]
    fn surges_are_found_and_the_larger_the_sooner() {
        let delay = |factor: f64, share: f64| {
            let (mut dice, mut series) = (Dice::new(9), Series::new());
            let mut found = [None; 2];
            // Behind three days the hours are known.
            for at in 0..4_440 {
                let surge = at >= 4_320;
                let events = dice.poisson(if surge { 6.0 * factor } else { 6.0 });
                let hits = hits(&mut dice, events, if surge { share } else { 0.2 });
                let p = series.push(at, events, hits);
                let wanted = [factor > 1.0, share > 0.2];
                for i in 0..2 {
                    if surge && wanted[i] && p[i] < 1e-7 && found[i].is_none() {
                        found[i] = Some(at - 4_320);
                    }
                }
            }
            found
        };
        let (large, small) = (delay(5.0, 0.2)[0].unwrap(), delay(2.0, 0.2)[0].unwrap());
        assert!(large <= 1 && small <= 40, "{large}, {small}");
        let (large, small) = (delay(1.0, 0.8)[1].unwrap(), delay(1.0, 0.4)[1].unwrap());
        assert!(large <= 5 && small <= 55, "{large}, {small}");
    }

    /// Four days of a small series with quiet nights, and in the last of them nothing for as long as told.
    #[test]
    fn what_stops_is_found_and_a_night_is_none() {
        let least = |silence: std::ops::Range<i64>| {
            let (mut dice, mut series) = (Dice::new(13), Series::new());
            let mut least = 1.0f64;
            for at in 0..5_760 {
                let mean = if at % 1_440 < 900 { 3.0 } else { 0.3 };
                series.push(at, if silence.contains(&at) { 0 } else { dice.poisson(mean) }, 0);
                let stops = series.rise.stops(&series.cells, at, MINUTE);
                assert!(at >= 2_880 || stops == [None; 4], "hours are not known at {at}");
                least = stops.iter().flatten().map(|window| window.p_value).fold(least, f64::min);
            }
            least
        };
        assert!(least(0..0) > 1e-5, "{}", least(0..0));
        assert!(least(4_620..4_630) < 1e-8, "{}", least(4_620..4_630));
    }

    /// The expected events of the hour that ends with the last bucket, after a surge of an hour and without it.
    #[test]
    fn an_hour_of_surge_is_judged_by_what_was_before_it() {
        let expected = |factor: f64, minutes: i64| {
            let (mut dice, mut series) = (Dice::new(11), Series::new());
            for at in 0..4_320 + minutes {
                let events = dice.poisson(if at >= 4_320 { 3.0 * factor } else { 3.0 });
                series.push(at, events, 0);
            }
            series.rise.events(&series.cells, 4_319 + minutes, MINUTE)[3].unwrap().expected
        };
        for minutes in [20, 40, 60] {
            assert_eq!(expected(3.0, minutes), expected(1.0, minutes), "{minutes} min: nothing of it is learned");
        }
        assert!(expected(3.0, 300) > 1.3 * expected(1.0, 300), "what stays is learned");
    }

    #[test]
    fn a_level_that_is_adopted_is_expected() {
        let (mut dice, mut series) = (Dice::new(13), Series::new());
        for at in 0..4_500 {
            let surge = at >= 4_400;
            let events = dice.poisson(if surge { 40.0 } else { 2.0 });
            let hits = hits(&mut dice, events, if surge { 0.9 } else { 0.2 });
            series.push(at, events, hits);
            if surge {
                series.rise.skip(at + 1 - LAG);
            }
        }
        let p = |series: &Series| {
            let events = series.rise.events(&series.cells, 4_499, MINUTE)[3].unwrap().p_value;
            [events, series.rise.hits(&series.cells, 4_499)[3].unwrap().p_value]
        };
        assert!(p(&series).iter().all(|p| *p < 1e-6), "{:?}", p(&series));
        series.rise.adopt_events(&series.cells, 4_499, MINUTE);
        series.rise.adopt_share(&series.cells, 4_499);
        assert!(p(&series).iter().all(|p| *p > 1e-2), "{:?}", p(&series));
    }

    /// The usual events of a minute of a day that has a night.
    fn usual(at: i64) -> f64 {
        if (8..22).contains(&(at / 60 % 24)) { 8.0 } else { 1.0 }
    }

    /// After four days of the usual: the least p-value of the buckets from `from`, and the series, where `rate` says what
    /// comes by then.
    fn least_later(seed: u64, days: i64, from: i64, rate: impl Fn(i64) -> f64) -> (f64, Series) {
        let (mut dice, mut series, mut least) = (Dice::new(seed), Series::new(), 1.0_f64);
        for at in 0..days * 1_440 {
            let events = dice.poisson(if at < 4 * 1_440 { usual(at) } else { rate(at) });
            let p = series.push(at, events, 0)[0];
            least = if at >= from { least.min(p) } else { least };
        }
        (least, series)
    }

    #[test]
    fn what_comes_back_after_a_lull_is_no_surge() {
        for (seed, hours) in [(21, 1), (22, 3), (23, 9), (24, 30)] {
            // From nine in the morning on.
            let (begins, ends) = (4 * 1_440 + 540, 4 * 1_440 + 540 + hours * 60);
            let rate = |at: i64| if (begins..ends).contains(&at) { 0.02 * usual(at) } else { usual(at) };
            let (least, series) = least_later(seed, 7, ends, rate);
            assert!(least > 1e-6, "{hours} h: {least:e}");
            let expected: f64 = series.rise.expected_each(7 * 1_440 - 720, 7 * 1_440 - 660, MINUTE).sum();
            assert!((300.0..700.0).contains(&expected), "{hours} h, at noon: {expected}");
        }
    }

    #[test]
    fn what_stays_less_is_learned_within_days() {
        let (_, series) = least_later(25, 10, 0, |at| usual(at) / 4.0);
        let expected: f64 = series.rise.expected_each(10 * 1_440 - 720, 10 * 1_440 - 660, MINUTE).sum();
        assert!(expected < 200.0, "120 at noon, and were 480: {expected}");
    }

    #[test]
    fn a_surge_in_a_slow_decline_is_found() {
        let begins = 6 * 1_440 + 600;
        let declining = |at: i64| usual(at) * (1.0 - 0.2 * (at - 4 * 1_440) as f64 / 1_440.0);
        let rate = |at: i64| declining(at) * if at >= begins { 3.0 } else { 1.0 };
        let (before, _) = least_later(26, 6, 4 * 1_440, declining);
        assert!(before > 1e-6, "{before:e}");
        let (least, _) = least_later(26, 7, begins, rate);
        assert!(least < 1e-7, "{least:e}");
    }

    #[test]
    fn after_a_level_was_adopted_less_of_it_is_soon_known() {
        let begins = 4 * 1_440 + 540;
        let mut series = least_later(27, 4, 0, usual).1;
        let mut dice = Dice::new(28);
        for at in 4 * 1_440..begins {
            series.push(at, dice.poisson(usual(at)), 0);
        }
        // As the owner does: told of for six hours, and then the new normal.
        for at in begins..begins + 360 {
            let events = dice.poisson(10.0 * usual(at)) as f32;
            series.cells.push(Cell { at, events, hits: 0.0, all: events });
            series.rise.skip(at + 1 - LAG);
        }
        series.rise.adopt_events(&series.cells, begins + 359, MINUTE);
        for at in begins + 360..begins + 420 {
            series.push(at, dice.poisson(10.0 * usual(at)), 0);
        }
        let expected = |series: &Series, at: i64| series.rise.expected_each(at, at + 60, MINUTE).sum::<f64>();
        assert!(expected(&series, begins + 420) > 3_000.0, "{}", expected(&series, begins + 420));
        for at in begins + 420..begins + 3 * 1_440 {
            series.push(at, dice.poisson(usual(at)), 0);
        }
        assert!(expected(&series, begins + 3 * 1_440) < 1_000.0, "{}", expected(&series, begins + 3 * 1_440));
    }

    #[test]
    fn what_was_left_out_is_in_no_spread() {
        let spread = |skips: bool| {
            let (mut dice, mut series) = (Dice::new(12), Series::new());
            for at in 0..4_600 {
                let events = dice.poisson(if (4_330..4_390).contains(&at) { 30.0 } else { 3.0 });
                if skips && (4_330..4_390).contains(&(at - LAG)) {
                    series.rise.skip(at + 1 - LAG);
                }
                series.push(at, events, 0);
            }
            series.rise.count_spread(3)
        };
        assert!(spread(true) < 0.02 && spread(false) > 2.0 * spread(true), "{} {}", spread(true), spread(false));
    }

    #[test]
    fn the_hour_of_the_day_is_learned() {
        let (mut dice, mut series, mut low) = (Dice::new(5), Series::new(), 0);
        for at in 0..12 * 1_440 {
            let hour = (at / 60) % 24;
            let events = dice.poisson(if (9..21).contains(&hour) { 40.0 } else { 4.0 });
            let p = series.push(at, events, 0);
            // From the moment on at which the hours are believed.
            low += i32::from(at > 2 * 1_440 && p[0] < 1e-5);
        }
        assert_eq!(low, 0, "of ten days of ups and downs by ten times");
        let expected: f64 = series.rise.expected_each(12 * 1_440 + 180, 12 * 1_440 + 240, MINUTE).sum();
        assert!((150.0..500.0).contains(&expected), "at night: {expected}");
    }

    #[test]
    fn empty_buckets_in_one_step_are_nearly_as_learned_one_by_one() {
        let events = [(3, 4), (70, 2), (75, 9), (400, 1), (401, 6), (2_000, 3)];
        let mut one = Series::new();
        let mut jumps = Series::new();
        for at in 0..=2_000 {
            let count = events.iter().find(|(when, _)| *when == at).map_or(0, |(_, count)| *count);
            one.push(at, count, count / 2);
            if count > 0 {
                // Buckets are kept until they are learned.
                jumps.cells.push(Cell { at, events: count as f32, hits: (count / 2) as f32, all: 0.0 });
                jumps.rise.learn(&jumps.cells, at, MINUTE);
                let kept = jumps.rise.learned_to - WINDOWS[3];
                jumps.cells.retain(|cell| cell.at > kept);
            }
        }
        // Within an hour the level is taken as that of its beginning, and so is what is clipped.
        let close = |a: f32, b: f32| (a - b).abs() <= 0.15 * b.abs();
        let (one, jumps) = (one.rise, jumps.rise);
        assert!(close(one.events, jumps.events) && close(one.buckets, jumps.buckets), "{jumps:?} {one:?}");
        assert!(close(one.hits, jumps.hits) && close(one.misses, jumps.misses), "{one:?} {jumps:?}");
    }

    #[test]
    fn the_beginning_of_a_surge_is_found() {
        let x = |at: i64| if at >= 40 { 9.0 } else { 3.0 };
        assert_eq!(since(50, 0, x, |_| 3.0), 40);
        assert_eq!(since(50, 45, x, |_| 3.0), 45, "not before the series");
        assert_eq!(since(50, 0, |_| 1.0, |_| 3.0), 50);
    }

    #[test]
    fn it_is_small() {
        let (mut dice, mut series) = (Dice::new(6), Series::new());
        for at in 0..5_000 {
            series.push(at, dice.poisson(50.0), 3);
        }
        assert!(series.rise.encoded_len() <= 440, "{}", series.rise.encoded_len());
    }
}
