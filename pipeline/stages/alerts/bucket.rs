//! A bucket of a scope, whole again: what its sources have seen, put together.

use std::collections::BTreeMap;

use super::partial::keep_samples;
use super::{sketch, terms};
use crate::event::v1;

/// Texts of one writer in a bucket that count in full.
const USER_TEXTS: u64 = 3;
/// Samples of a bucket.
const SAMPLES_MAX: usize = 4;

/// All that is known of one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    pub tally: v1::Tally,
    /// Texts, and negative ones among those with a sentiment, less duplicates and bursts of few writers.
    pub effective: f64,
    pub effective_negative: f64,
    /// Hashes of the writers as a sketch, and about how many they are.
    pub users_sketch: Vec<u8>,
    pub terms: Vec<v1::Counted>,
    pub parts: Vec<v1::Counted>,
    pub samples: Vec<v1::Sample>,
}

impl Bucket {
    /// Their order makes no difference.
    pub fn merge<'a>(partials: impl Iterator<Item = &'a v1::Partial> + Clone) -> Bucket {
        let mut bucket = Bucket::default();
        for partial in partials.clone() {
            add_tally(&mut bucket.tally, &partial.tally.unwrap_or_default());
            sketch::merge(&mut bucket.users_sketch, &partial.users_sketch);
            partial.users.iter().for_each(|user| sketch::add(&mut bucket.users_sketch, user.hash));
            bucket.samples.extend(partial.samples.iter().cloned());
        }
        keep_samples(&mut bucket.samples, SAMPLES_MAX);
        bucket.terms = summed(partials.clone().flat_map(|partial| &partial.terms));
        bucket.parts = summed(partials.clone().flat_map(|partial| &partial.parts));
        let (texts, negative) = left_out(partials);
        bucket.effective = bucket.tally.count.saturating_sub(texts) as f64;
        bucket.effective_negative = bucket.tally.negative.saturating_sub(negative) as f64;
        bucket
    }

    pub fn users(&self) -> u64 {
        sketch::count(&self.users_sketch)
    }
}

/// How many texts, and how many negative ones, do not count: of texts that are alike all but one; of a writer all but three.
/// The larger of the two, because a writer's burst is often of one text.
fn left_out<'a>(partials: impl Iterator<Item = &'a v1::Partial> + Clone) -> (u64, u64) {
    let alike = grouped(partials.clone().flat_map(|partial| &partial.alike));
    let mut users: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for user in partials.flat_map(|partial| &partial.users) {
        let sum = users.entry(user.hash).or_default();
        *sum = (sum.0 + user.count, sum.1 + user.negative);
    }
    let beyond = |groups: &mut dyn Iterator<Item = (u64, u64)>, free: u64| {
        groups.fold((0, 0), |(texts, negatives), (count, negative)| {
            let out = count.saturating_sub(free);
            // Negative ones are left out in proportion, so that what stays has the group's own share.
            (texts + out, negatives + (out * negative + count / 2) / count.max(1))
        })
    };
    let alike = beyond(&mut alike.into_iter(), 1);
    let users = beyond(&mut users.into_values(), USER_TEXTS);
    alike.max(users)
}

/// Groups of texts that are alike, those of different sources put together. In the order of their fingerprints, so that it
/// is the same whichever source came first.
fn grouped<'a>(all: impl Iterator<Item = &'a v1::Heavy>) -> Vec<(u64, u64)> {
    let mut all: Vec<&v1::Heavy> = all.collect();
    all.sort_by_key(|heavy| (std::cmp::Reverse(heavy.count), heavy.hash));
    let mut groups: Vec<(u64, u64, u64)> = Vec::new();
    for heavy in all {
        match groups.iter_mut().find(|(hash, ..)| terms::alike(*hash, heavy.hash)) {
            Some(group) => (group.1, group.2) = (group.1 + heavy.count, group.2 + heavy.negative),
            None => groups.push((heavy.hash, heavy.count, heavy.negative)),
        }
    }
    groups.into_iter().map(|(_, count, negative)| (count, negative)).collect()
}

fn summed<'a>(all: impl Iterator<Item = &'a v1::Counted>) -> Vec<v1::Counted> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for counted in all {
        let sum = sums.entry(&counted.name).or_default();
        *sum = (sum.0 + counted.count, sum.1 + counted.negative);
    }
    let list = sums.into_iter();
    list.map(|(name, (count, negative))| v1::Counted { name: name.to_owned(), count, negative }).collect()
}

fn add_tally(sum: &mut v1::Tally, other: &v1::Tally) {
    sum.count += other.count;
    sum.negative += other.negative;
    sum.positive += other.positive;
    sum.judged += other.judged;
    sum.score_milli += other.score_milli;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::time;
    use crate::stages::alerts::partial;
    use crate::stages::alerts::seen::Seen;
    use crate::stages::alerts::seen::tests::settings;

    fn text(id: u32, user: &str, text: &str, negative: bool) -> Seen {
        let label = if negative { "negative" } else { "positive" };
        let scored = v1::Scored {
            event_id: id.to_string(),
            event_time: time::from_ms(i64::from(id)),
            user: Some(user.into()),
            text: Some(text.into()),
            sentiment: Some(v1::Sentiment { label: label.into(), ..v1::Sentiment::default() }),
            product: Some("p".into()),
            ..v1::Scored::default()
        };
        Seen::new(&scored, &settings()).unwrap()
    }

    fn partial(texts: &[Seen]) -> v1::Partial {
        let mut partial = v1::Partial { scope: "all".into(), ..v1::Partial::default() };
        texts.iter().for_each(|text| partial::add(&mut partial, text));
        partial
    }

    #[test]
    fn sources_in_any_order_give_the_same_bucket() {
        let texts: Vec<Seen> = (0..60)
            .map(|i| text(i, &format!("u{}", i % 23), &format!("the battery of mine died {}", i % 7), i % 3 == 0))
            .collect();
        let parts: Vec<v1::Partial> = texts.chunks(13).map(partial).collect();
        let forwards = Bucket::merge(parts.iter());
        assert_eq!(forwards, Bucket::merge(parts.iter().rev()));
        assert_eq!((forwards.tally.count, forwards.tally.negative), (60, 20));
        assert_eq!(forwards.users(), 23);
        assert_eq!(forwards.parts[0].name, "product=p");
        assert_eq!(forwards.samples.len(), SAMPLES_MAX);
    }

    #[test]
    fn copies_and_bursts_of_one_writer_count_little() {
        let copies: Vec<Seen> =
            (0..40).map(|i| text(i, &format!("u{i}"), &format!("Boycott this shop, order {i}"), true)).collect();
        // The same copies from two sources.
        let bucket = Bucket::merge([partial(&copies[..20]), partial(&copies[20..])].iter());
        assert_eq!((bucket.tally.count, bucket.effective, bucket.effective_negative), (40, 1.0, 1.0));

        let words = ["battery", "screen", "delivery", "price", "colour", "camera", "charger", "box", "keys", "sound"];
        let own = |i: usize| format!("{} {} {}", words[i], words[(i + 3) % 10].repeat(2), words[(i * 7 + 1) % 10]);
        let burst: Vec<Seen> = (0..10).map(|i| text(i as u32, "one", &own(i), true)).collect();
        let bucket = Bucket::merge([partial(&burst)].iter());
        assert_eq!((bucket.effective, bucket.effective_negative), (3.0, 3.0));
        let crowd: Vec<Seen> = (0..10).map(|i| text(i as u32, &format!("u{i}"), &own(i), true)).collect();
        assert_eq!(Bucket::merge([partial(&crowd)].iter()).effective, 10.0);
    }

    #[test]
    fn a_flood_stays_within_bounds() {
        let mut partial = v1::Partial { scope: "all".into(), ..v1::Partial::default() };
        for i in 0..20_000u32 {
            let words = format!("w{} x{} y{}", i % 5_000, i / 3, i);
            partial::add(&mut partial, &text(i, &format!("u{i}"), &words, false));
        }
        let bytes = prost::Message::encoded_len(&partial);
        assert!(bytes < 4_096, "{bytes}");
        let users = Bucket::merge([partial].iter()).users();
        assert!((16_000..24_000).contains(&users), "{users}");
    }
}
