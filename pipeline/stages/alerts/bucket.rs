//! A bucket of a scope, whole again: what its sources have seen, put together.

use std::collections::BTreeMap;

use super::partial::keep_samples;
use super::state::Sums;
use super::{sketch, terms};
use crate::event::v1;

/// Texts of one writer in a bucket that count in full.
const USER_TEXTS: u64 = 3;
/// Samples of a bucket, to choose from.
const SAMPLES_MAX: usize = 16;

/// All that is known of one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    pub tally: v1::Tally,
    /// Texts, and negative ones among those with a sentiment, less duplicates and bursts of few writers.
    pub effective: f64,
    pub effective_negative: f64,
    /// Sum of the scores, likewise, in thousandths.
    pub effective_score_milli: f64,
    /// Hashes of the writers as a sketch, and about how many they are.
    pub users_sketch: Vec<u8>,
    pub terms: Vec<v1::Counted>,
    pub parts: Vec<v1::Counted>,
    pub samples: Vec<v1::Sample>,
}

impl Bucket {
    /// Their order makes no difference.
    pub fn merge<'a>(partials: impl Iterator<Item = &'a v1::Partial> + Clone) -> Bucket {
        let sums: Vec<Sums> = partials.clone().map(Sums::from).collect();
        let mut bucket = Bucket::counts(&sums);
        bucket.samples.extend(partials.clone().flat_map(|partial| partial.samples.iter().cloned()));
        keep_samples(&mut bucket.samples, SAMPLES_MAX);
        bucket.terms = summed(partials.clone().flat_map(|partial| &partial.terms));
        bucket.parts = summed(partials.flat_map(|partial| &partial.parts));
        bucket
    }

    /// The same without words, parts and samples.
    pub fn counts(all: &[Sums]) -> Bucket {
        let mut bucket = Bucket::default();
        for sums in all {
            add_tally(&mut bucket.tally, &sums.tally.unwrap_or_default());
            sketch::merge(&mut bucket.users_sketch, &sums.users_sketch);
            sums.users.iter().for_each(|user| sketch::add(&mut bucket.users_sketch, user.hash));
        }
        let LeftOut { texts, negative, score_milli } = left_out(all);
        bucket.effective = bucket.tally.count.saturating_sub(texts) as f64;
        bucket.effective_negative = bucket.tally.negative.saturating_sub(negative) as f64;
        bucket.effective_score_milli = bucket.tally.score_milli.saturating_sub(score_milli) as f64;
        bucket
    }

    pub fn users(&self) -> u64 {
        sketch::count(&self.users_sketch)
    }
}

impl From<&v1::Partial> for Sums {
    fn from(partial: &v1::Partial) -> Sums {
        Sums {
            revision: partial.revision,
            tally: partial.tally,
            users: partial.users.clone(),
            users_sketch: partial.users_sketch.clone(),
            alike: partial.alike.clone(),
        }
    }
}

/// Texts that do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    texts: u64,
    negative: u64,
    score_milli: i64,
}

impl LeftOut {
    /// All of a group but so many. Negative ones and scores are left out in proportion, so that what stays has the group's
    /// own share and mean.
    fn beyond(group: &v1::Heavy, free: u64) -> LeftOut {
        let (texts, count) = (group.count.saturating_sub(free), group.count.max(1));
        LeftOut {
            texts,
            negative: (texts * group.negative + count / 2) / count,
            score_milli: group.score_milli.saturating_mul(texts as i64) / count as i64,
        }
    }

    fn plus(self, other: LeftOut) -> LeftOut {
        LeftOut {
            texts: self.texts + other.texts,
            negative: self.negative + other.negative,
            score_milli: self.score_milli.saturating_add(other.score_milli),
        }
    }
}

/// What does not count: of texts that are alike all but one; of a writer's all but three. The larger of the two, because a
/// writer's burst is often of one text.
fn left_out(all: &[Sums]) -> LeftOut {
    let alike = grouped(all.iter().flat_map(|sums| &sums.alike));
    let mut users: BTreeMap<u64, v1::Heavy> = BTreeMap::new();
    for user in all.iter().flat_map(|sums| &sums.users) {
        add_heavy(users.entry(user.hash).or_default(), user);
    }
    let beyond = |groups: &mut dyn Iterator<Item = &v1::Heavy>, free: u64| {
        groups.fold(LeftOut::default(), |sum, group| sum.plus(LeftOut::beyond(group, free)))
    };
    let alike = beyond(&mut alike.iter(), 1);
    let users = beyond(&mut users.values(), USER_TEXTS);
    std::cmp::max_by_key(alike, users, |out| (out.texts, out.negative))
}

/// Groups of texts that are alike, those of different sources put together. In the order of their fingerprints, so that it
/// is the same whichever source came first.
fn grouped<'a>(all: impl Iterator<Item = &'a v1::Heavy>) -> Vec<v1::Heavy> {
    let mut all: Vec<&v1::Heavy> = all.collect();
    all.sort_by_key(|heavy| (std::cmp::Reverse(heavy.count), heavy.hash, heavy.negative, heavy.score_milli));
    let mut groups: Vec<v1::Heavy> = Vec::new();
    for heavy in all {
        match groups.iter_mut().find(|group| terms::alike(group.hash, heavy.hash)) {
            Some(group) => add_heavy(group, heavy),
            None => groups.push(*heavy),
        }
    }
    groups
}

fn add_heavy(sum: &mut v1::Heavy, other: &v1::Heavy) {
    sum.count += other.count;
    sum.negative += other.negative;
    sum.score_milli += other.score_milli;
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
    use prost::Message;

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

    /// They are kept as they were written, and read without the rest.
    #[test]
    fn sums_are_what_stands_in_a_written_partial() {
        let texts: Vec<Seen> =
            (0..60).map(|i| text(i, &format!("u{}", i % 50), "the battery died", i % 3 == 0)).collect();
        let partial = v1::Partial { revision: 3, ..partial(&texts) };
        assert!(!partial.users.is_empty() && !partial.users_sketch.is_empty() && !partial.alike.is_empty());
        assert_eq!(Sums::decode(&*partial.encode_to_vec()).unwrap(), Sums::from(&partial));
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

    /// Of 84 writers, each with a word of their own in front, behind, or both.
    #[test]
    fn near_copies_count_little_in_either_language() {
        let check = |copy: &str, before: &[&str], behind: &[&str]| {
            let many = (0u32..84).map(|i| {
                let (before, behind) = (before[i as usize % before.len()], behind[i as usize / 12 % behind.len()]);
                text(i, &format!("u{i}"), &format!("{before}{copy}{behind}"), true)
            });
            let bucket = Bucket::merge([partial(&many.collect::<Vec<_>>())].iter());
            assert_eq!(bucket.tally.count, 84);
            assert!(bucket.effective <= 16.0, "{} of {copy}", bucket.effective);
        };
        let before = ["", "唉，", "大家注意，", "气死了，", "昨天", "真的，", "避雷！"];
        check("更新把我的电饭煲变砖了，退货！", &before, &["", "太坑了", "求解决", "无语"]);
        let before = ["", "ugh ", "people, ", "seriously: ", "wow, ", "today "];
        check(
            "the update bricked my rice cooker, I want my money back",
            &before,
            &["", " now", " please help", " again"],
        );
    }

    #[test]
    fn what_many_people_write_by_themselves_is_no_copy() {
        let many: Vec<Seen> = (0..30).map(|i| text(i, &format!("u{i}"), "登录不了！", true)).collect();
        assert_eq!(Bucket::merge([partial(&many)].iter()).effective, 30.0);
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
