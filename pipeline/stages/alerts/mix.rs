//! What texts of a scope are about, of late and before: terms, and values of other dimensions.

use super::bucket::Bucket;
use super::partial::below_one;
use super::state::{Mix, Rate};
use crate::config::{Counted, Signal, Statistic};
use crate::event::v1;

/// Buckets of late, and before, as fading sums hold them.
const FAST: f32 = 10.0;
const SLOW_MS: i64 = 2 * 86_400_000;
/// Places for terms and for values of other dimensions. Who has none takes that of the rarest.
const TERMS_MAX: usize = 64;
const NEWCOMERS_MAX: usize = 16;
const PARTS_MAX: usize = 48;
/// Before anything was seen of it, so many texts are believed in.
const PRIOR: f64 = 1.0;
/// A part that is shown is at least so many times as frequent as before: what all texts have in common explains nothing.
const PART_LIFT_MIN: f64 = 1.2;
/// A driver is at least so many times as frequent as before, in so many texts.
const LIFT_MIN: f64 = 1.5;
const TEXTS_MIN: f64 = 2.0;
/// A term that is told of without an alert is in so many texts of late, so many times as frequent as before, and so many
/// standard deviations (Poisson) beyond what was expected of it.
const RISING_TEXTS: f64 = 5.0;
const RISING_LIFT: f64 = 2.0;
const RISING_DEVIATIONS: f64 = 5.0;
/// An hour is within these times the mean, and as if so many texts a bucket had been as many as the mean.
const HOUR: (f64, f64) = (0.25, 4.0);
const HOUR_PRIOR: f64 = 0.1;
/// A lift beyond this is "new".
const LIFT_MAX: f64 = 100.0;

impl Mix {
    /// Takes in a bucket that follows all before it.
    pub fn add(&mut self, at: i64, bucket: &Bucket, bucket_ms: i64, counted: Counted) {
        self.fade(at, bucket_ms);
        let tally = &bucket.tally;
        let (hits, each) = match counted {
            Counted::Sentiment => (below_one(tally.score_milli, tally.judged), 0.001),
            _ => (tally.negative, 1.0),
        };
        take(self.all.get_or_insert_default(), tally.count, hits as f32 * each);
        take_all(&mut self.terms, &mut self.newcomers, &bucket.terms, TERMS_MAX, each);
        take_all(&mut self.parts, &mut Vec::new(), &bucket.parts, PARTS_MAX, each);
    }

    fn fade(&mut self, at: i64, bucket_ms: i64) {
        let steps = if self.fast_buckets == 0.0 { 1 } else { (at - self.at).max(0) };
        let slow_buckets = (SLOW_MS / bucket_ms.max(1)) as f32;
        let (fast, slow) = (keep(FAST, steps), keep(slow_buckets, steps));
        let rates = self.all.iter_mut().chain(&mut self.terms).chain(&mut self.parts).chain(&mut self.newcomers);
        rates.for_each(|rate| {
            rate.fast *= fast;
            rate.fast_negative *= fast;
            rate.slow *= slow;
            rate.slow_negative *= slow;
        });
        self.fast_buckets = self.fast_buckets * fast + FAST * (1.0 - fast);
        self.slow_buckets = self.slow_buckets * slow + slow_buckets * (1.0 - slow);
        self.at = at;
        // What has faded to a hundredth of a text is forgotten.
        self.terms.retain(|rate| rate.slow >= 0.01);
        self.parts.retain(|rate| rate.slow >= 0.01);
        self.newcomers.retain(|rate| rate.fast >= 0.1);
    }

    /// The terms that are more frequent among the texts of late than before, those that explain most first. `samples`: texts
    /// in which a phrase must stand that is put together of terms.
    pub fn drivers(&self, signal: Signal, samples: &[v1::Sample], most: usize) -> Vec<v1::Driver> {
        let all = self.all.clone().unwrap_or_default();
        strongest(self.terms.iter().filter_map(|term| driver(&all, term, signal)).collect(), samples, most)
    }

    /// The terms that have risen against their own past by more than chance explains, the strongest first.
    pub fn rising(&self, samples: &[v1::Sample], most: usize) -> Vec<v1::Driver> {
        let all = self.all.clone().unwrap_or_default();
        let risen = self.terms.iter().filter_map(|term| {
            let Rated { count, lift, score } = rated(&all, term, Signal::Volume);
            let expected = count / lift.max(1e-9);
            let beyond = (count - expected) / expected.max(1.0).sqrt();
            let risen = count >= RISING_TEXTS && lift >= RISING_LIFT && beyond >= RISING_DEVIATIONS;
            risen.then(|| (score, named(&term.name, count, lift)))
        });
        strongest(risen.collect(), samples, most)
    }

    /// The parts that are shown: not those that are as large a part as ever.
    pub fn notable_parts(&self, signal: Signal, usual: Option<f64>, most: usize) -> Vec<v1::Driver> {
        let mut parts = self.parts(signal, usual);
        parts.retain(|part| part.lift >= PART_LIFT_MIN);
        parts.truncate(most);
        parts
    }

    /// The values of other dimensions by their part of what is too much, largest first. `usual`: where texts
    /// are counted, those that are expected of a bucket at this time of day.
    pub fn parts(&self, signal: Signal, usual: Option<f64>) -> Vec<v1::Driver> {
        let all = self.all.clone().unwrap_or_default();
        // The hour is alike for all parts.
        let mean =
            f64::from((all.slow - all.fast).max(0.0)) / f64::from((self.slow_buckets - self.fast_buckets).max(1.0));
        let hour = usual.map_or(1.0, |usual| ((usual + HOUR_PRIOR) / (mean + HOUR_PRIOR)).clamp(HOUR.0, HOUR.1));
        let total = self.excess(&all, &all, signal, hour);
        if total <= 0.0 {
            return Vec::new();
        }
        let mut found: Vec<v1::Driver> = self
            .parts
            .iter()
            .map(|part| {
                let Rated { count, lift, .. } = rated(&all, part, signal);
                let share = (self.excess(&all, part, signal, hour) / total).clamp(0.0, 1.0);
                v1::Driver { excess_share: share, ..named(&part.name, count, lift) }
            })
            .filter(|driver| driver.excess_share >= 0.1)
            .collect();
        found.sort_by(|a, b| b.excess_share.total_cmp(&a.excess_share).then_with(|| a.name.cmp(&b.name)));
        found
    }

    /// Texts of late beyond what was before; of a share, hits beyond what it had before of as many texts of all. Hits are
    /// negative texts, or of the mean sentiment by how much their scores are below 1. Against its own past, since one may
    /// always have been in a worse mood than others.
    fn excess(&self, all: &Rate, part: &Rate, signal: Signal, hour: f64) -> f64 {
        match signal.statistic() {
            Statistic::Count => {
                // What is of late is also in the slow sums.
                let before = f64::from((part.slow - part.fast).max(0.0));
                let buckets = f64::from((self.slow_buckets - self.fast_buckets).max(1.0));
                f64::from(part.fast) - hour * before / buckets * f64::from(self.fast_buckets)
            }
            Statistic::Share => {
                let before = f64::from((part.slow_negative - part.fast_negative).max(0.0));
                let before_of = f64::from((all.slow - all.fast).max(0.0));
                f64::from(part.fast_negative) - before / before_of.max(1.0) * f64::from(all.fast)
            }
        }
    }
}

/// Texts of late, times as frequent as before, and how much that says.
struct Rated {
    count: f64,
    lift: f64,
    score: f64,
}

/// Of late: of a share, only the hits speak.
fn rated(all: &Rate, rate: &Rate, signal: Signal) -> Rated {
    let (count, of) = match signal.statistic() {
        Statistic::Count => (rate.fast, all.fast),
        Statistic::Share => (rate.fast_negative, all.fast_negative),
    };
    let (count, of) = (f64::from(count), f64::from(of).max(1.0));
    let earlier = |rate: &Rate| match signal.statistic() {
        Statistic::Count => f64::from((rate.slow - rate.fast).max(0.0)),
        // What has always been said in a bad mood explains no worse one.
        Statistic::Share => f64::from((rate.slow_negative - rate.fast_negative).max(0.0)),
    };
    let (before, before_of) = (earlier(rate), earlier(all));
    // As if every term had been in one of the texts before.
    let usual = (before + PRIOR) / (before_of + PRIOR * 20.0);
    let lift = (count / of / usual).min(LIFT_MAX);
    let score = if lift > 1.0 { count * lift.ln() } else { 0.0 };
    Rated { count, lift, score }
}

fn named(name: &str, count: f64, lift: f64) -> v1::Driver {
    v1::Driver { name: name.to_owned(), count, lift, excess_share: 0.0 }
}

fn strongest(mut found: Vec<(f64, v1::Driver)>, samples: &[v1::Sample], most: usize) -> Vec<v1::Driver> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    joined(found.into_iter().map(|(_, driver)| driver).collect(), samples, most)
}

fn driver(all: &Rate, term: &Rate, signal: Signal) -> Option<(f64, v1::Driver)> {
    let Rated { count, lift, score } = rated(all, term, signal);
    (lift >= LIFT_MIN && count >= TEXTS_MIN).then(|| (score, named(&term.name, count, lift)))
}

/// Overlapping pairs of Chinese characters that are as frequent, and stand so in a text, are one phrase; words that a pair of
/// words holds as often say nothing of their own.
fn joined(mut found: Vec<v1::Driver>, samples: &[v1::Sample], most: usize) -> Vec<v1::Driver> {
    let near = |one: &v1::Driver, other: &v1::Driver| one.count >= 0.6 * other.count && other.count >= 0.6 * one.count;
    let texts: Vec<String> = samples.iter().map(|sample| sample.text.to_lowercase()).collect();
    let stands = |whole: &String, one: &str, other: &str| {
        whole == one || whole == other || texts.iter().any(|text| text.contains(whole))
    };
    let mut i = 0;
    while i < found.len() {
        let part = (i + 1..found.len()).find_map(|j| {
            if !near(&found[i], &found[j]) {
                return None;
            }
            let (one, other) = (&found[i].name, &found[j].name);
            overlaps(one, other).into_iter().find(|whole| stands(whole, one, other)).map(|whole| (j, whole))
        });
        match part {
            // The whole may overlap with others.
            Some((j, whole)) => {
                found[i].name = whole;
                found.remove(j);
            }
            None => i += 1,
        }
    }
    found.truncate(most);
    found
}

/// The phrases that two terms may be parts of.
fn overlaps(one: &str, other: &str) -> Vec<String> {
    let within = |long: &str, short: &str| long.split(' ').any(|word| word == short);
    if one.is_ascii() || other.is_ascii() {
        let longer = [(one, other), (other, one)].into_iter().filter(|(long, short)| within(long, short));
        return longer.map(|(long, _)| long.to_owned()).collect();
    }
    if one.contains(other) {
        return vec![one.to_owned()];
    }
    let ends_as_begins = |(left, right): &(&str, &str)| left.chars().last() == right.chars().next();
    let chained = [(one, other), (other, one)].into_iter().filter(ends_as_begins);
    chained.map(|(left, right)| left.chars().chain(right.chars().skip(1)).collect()).collect()
}

fn take(rate: &mut Rate, count: u64, hits: f32) {
    rate.fast += count as f32;
    rate.slow += count as f32;
    rate.fast_negative += hits;
    rate.slow_negative += hits;
}

/// `each`: what one hit counts. `newcomers`: those without a place, of which what is new is to find one.
fn take_all(rates: &mut Vec<Rate>, newcomers: &mut Vec<Rate>, counted: &[v1::Counted], most: usize, each: f32) {
    for v1::Counted { name, count, negative } in counted {
        let hits = *negative as f32 * each;
        if let Some(known) = rates.iter_mut().find(|rate| rate.name == *name) {
            take(known, *count, hits);
            continue;
        }
        let place = newcomers.iter().position(|rate| rate.name == *name);
        let mut rate =
            place.map_or_else(|| Rate { name: name.clone(), ..Rate::default() }, |place| newcomers.swap_remove(place));
        take(&mut rate, *count, hits);
        if rates.len() < most {
            rates.push(rate);
            continue;
        }
        // Who comes more often than the lightest takes its place.
        match rates.iter_mut().min_by(|a, b| weight(a).total_cmp(&weight(b))) {
            Some(lightest) if weight(lightest) < rate.fast => *lightest = rate,
            _ if newcomers.len() < NEWCOMERS_MAX => newcomers.push(rate),
            _ => {
                let rarest = newcomers.iter_mut().min_by(|a, b| a.fast.total_cmp(&b.fast));
                if let Some(rarest) = rarest.filter(|rarest| rarest.fast <= rate.fast) {
                    *rarest = rate;
                }
            }
        }
    }
}

/// What is of late counts more: a new term must be able to stay, and to come.
fn weight(rate: &Rate) -> f32 {
    rate.fast + 0.03 * rate.slow
}

fn keep(buckets: f32, steps: i64) -> f32 {
    (1.0 - 1.0 / buckets.max(2.0)).powf(steps as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::time;
    use crate::stages::alerts::partial;
    use crate::stages::alerts::seen::Seen;
    use crate::stages::alerts::seen::tests::settings;

    fn bucket(count: u64, negative: u64, terms: &[(&str, u64, u64)], parts: &[(&str, u64, u64)]) -> Bucket {
        let list = |all: &[(&str, u64, u64)]| {
            let one = |(name, count, negative): &(&str, u64, u64)| v1::Counted {
                name: (*name).into(),
                count: *count,
                negative: *negative,
            };
            all.iter().map(one).collect()
        };
        let tally = v1::Tally { count, negative, judged: count, ..v1::Tally::default() };
        Bucket { tally, terms: list(terms), parts: list(parts), ..Bucket::default() }
    }

    fn usual() -> Bucket {
        bucket(20, 4, &[("delivery", 5, 1), ("price", 4, 1)], &[("product=a", 10, 2), ("product=b", 10, 2)])
    }

    #[test]
    fn what_drives_a_surge_is_named_and_what_is_usual_is_not() {
        let mut mix = Mix::default();
        (0..300).for_each(|at| mix.add(at, &usual(), 60_000, Counted::Texts));
        assert_eq!(mix.drivers(Signal::Volume, &[], 5), []);
        let surge = bucket(
            60,
            44,
            &[
                ("delivery", 5, 1),
                ("payment page", 30, 30),
                ("payment", 31, 30),
                ("退款", 9, 9),
                ("款失", 8, 8),
                ("失败", 9, 9),
            ],
            &[("product=a", 50, 42), ("product=b", 10, 2)],
        );
        (300..303).for_each(|at| mix.add(at, &surge, 60_000, Counted::Texts));
        for signal in [Signal::Volume, Signal::NegativeShare] {
            let sample = v1::Sample { text: "退款失败！payment page".into(), ..v1::Sample::default() };
            let names: Vec<String> = mix.drivers(signal, &[sample], 5).into_iter().map(|driver| driver.name).collect();
            assert_eq!(names, ["payment page", "退款失败"]);
            let parts = mix.parts(signal, None);
            assert_eq!(parts.len(), 1);
            assert!(parts[0].name == "product=a" && parts[0].excess_share > 0.9, "{parts:?}");
        }
    }

    #[test]
    fn what_complaints_always_say_drives_no_share_of_them() {
        let mut mix = Mix::default();
        let calm =
            || bucket(40, 8, &[("refund", 5, 5), ("delivery", 9, 1)], &[("product=a", 4, 4), ("product=b", 36, 4)]);
        (0..300).for_each(|at| mix.add(at, &calm(), 60_000, Counted::Texts));
        let worse = bucket(
            40,
            24,
            &[("refund", 5, 5), ("login", 16, 16), ("delivery", 9, 1)],
            &[("product=a", 4, 4), ("product=b", 36, 20)],
        );
        (300..305).for_each(|at| mix.add(at, &worse, 60_000, Counted::Texts));
        let names = |found: Vec<v1::Driver>| found.into_iter().map(|driver| driver.name).collect::<Vec<_>>();
        assert_eq!(names(mix.drivers(Signal::NegativeShare, &[], 5)), ["login"]);
        assert_eq!(names(mix.parts(Signal::NegativeShare, None)), ["product=b"]);
    }

    #[test]
    fn places_are_bounded_and_new_terms_get_one() {
        let mut mix = Mix::default();
        for at in 0..200 {
            let names: Vec<String> = (0..40).map(|i| format!("t{}", at * 40 + i)).collect();
            let terms: Vec<(&str, u64, u64)> = names.iter().map(|name| (name.as_str(), 1, 0)).collect();
            mix.add(at, &bucket(40, 0, &terms, &[]), 60_000, Counted::Texts);
        }
        mix.add(200, &bucket(10, 0, &[("boycott", 6, 6)], &[]), 60_000, Counted::Texts);
        assert!(mix.terms.len() <= TERMS_MAX);
        assert_eq!(mix.drivers(Signal::Volume, &[], 5)[0].name, "boycott");
        let bytes = prost::Message::encoded_len(&mix);
        assert!(bytes < 3_000, "{bytes}");
    }

    /// Three days of the same hundred sentences, each of some words, and then a word that was never there.
    #[test]
    fn what_is_new_finds_a_place_among_what_is_established() {
        let mut mix = Mix::default();
        let names: Vec<String> = (0..100).map(|i| format!("w{i}")).collect();
        let of = |at: usize, more: Option<(&'static str, u64)>| {
            let said = (0..5).map(|i| names[(at * 5 + i) % 100].as_str());
            let terms: Vec<(&str, u64, u64)> =
                said.map(|name| (name, 1, 0)).chain(more.map(|(name, count)| (name, count, count))).collect();
            bucket(5, more.map_or(0, |(_, count)| count), &terms, &[])
        };
        (0..4_320).for_each(|at| mix.add(at as i64, &of(at, None), 60_000, Counted::Texts));
        (4_320..4_330).for_each(|at| mix.add(at as i64, &of(at, Some(("outage", 4))), 60_000, Counted::Texts));
        assert_eq!(mix.drivers(Signal::Volume, &[], 5)[0].name, "outage");
        assert!(mix.terms.len() <= TERMS_MAX && mix.newcomers.len() <= NEWCOMERS_MAX);
    }

    #[test]
    fn a_phrase_is_one_that_stands_in_a_text() {
        let driver = |name: &str| v1::Driver { name: name.into(), count: 9.0, lift: 8.0, excess_share: 0.0 };
        let sample = |text: &str| v1::Sample { text: text.into(), ..v1::Sample::default() };
        let found = || ["煮饭", "饭煲", "电饭"].map(driver).to_vec();
        let names = |found: Vec<v1::Driver>| found.into_iter().map(|driver| driver.name).collect::<Vec<_>>();
        let texts = [sample("没法煮饭"), sample("这个电饭煲")];
        assert_eq!(names(joined(found(), &texts, 5)), ["煮饭", "电饭煲"]);
        assert_eq!(names(joined(found(), &[], 5)), ["煮饭", "饭煲", "电饭"]);
    }

    #[test]
    fn a_part_that_is_as_large_as_ever_explains_nothing() {
        let mut mix = Mix::default();
        let of = |times: u64, more: u64| {
            let parts = [
                ("channel=app", 6 * times + more, 0),
                ("channel=web", 4 * times, 0),
                ("topic=t", 10 * times + more, 0),
            ];
            bucket(10 * times + more, 0, &[], &parts)
        };
        (0..300).for_each(|at| mix.add(at, &of(1, 0), 60_000, Counted::Texts));
        let (mut all, mut app) = (mix.clone(), mix);
        (300..305).for_each(|at| all.add(at, &of(3, 0), 60_000, Counted::Texts));
        assert_eq!(all.notable_parts(Signal::Volume, None, 5), []);
        (300..305).for_each(|at| app.add(at, &of(1, 20), 60_000, Counted::Texts));
        let names: Vec<String> = app.notable_parts(Signal::Volume, None, 5).into_iter().map(|part| part.name).collect();
        assert_eq!(names, ["channel=app"]);
    }

    #[test]
    fn a_mood_is_driven_by_what_moves_its_mean_whatever_the_labels() {
        // Of 20 texts 4 are negative all the time, and from bucket 300 on 8 of the happy ones are neutral.
        let text = |i: u32, words: &str, product: &str, score: f64, label: &str| {
            let sentiment = v1::Sentiment { score, label: label.into(), ..v1::Sentiment::default() };
            let scored = v1::Scored {
                event_id: i.to_string(),
                event_time: time::from_ms(0),
                text: Some(words.into()),
                sentiment: Some(sentiment),
                product: Some(product.into()),
                ..v1::Scored::default()
            };
            Seen::new(&scored, &settings()).unwrap()
        };
        let bucket = |worse: bool| {
            let mut partial = v1::Partial { scope: "of=sentiment".into(), ..v1::Partial::default() };
            for i in 0..20 {
                let seen = match i {
                    0..4 => text(i, "price too high", "a", -0.9, "negative"),
                    4..12 if worse => text(i, "queue at checkout", "b", 0.0, "neutral"),
                    4..12 => text(i, "checkout was quick", "b", 0.9, "positive"),
                    _ => text(i, "lovely colour", "c", 0.9, "positive"),
                };
                partial::add(&mut partial, &seen);
            }
            Bucket::merge([partial].iter())
        };
        let mut mix = Mix::default();
        (0..300).for_each(|at| mix.add(at, &bucket(false), 60_000, Counted::Sentiment));
        assert_eq!(mix.drivers(Signal::MeanSentiment, &[], 5), []);
        (300..310).for_each(|at| mix.add(at, &bucket(true), 60_000, Counted::Sentiment));
        let drivers = mix.drivers(Signal::MeanSentiment, &[], 5);
        assert_eq!(drivers[0].name, "queue", "{drivers:?}");
        let parts = mix.parts(Signal::MeanSentiment, None);
        assert!(parts.len() == 1 && parts[0].name == "product=b" && parts[0].excess_share > 0.9, "{parts:?}");
    }
}
