//! What one input partition has seen of one scope in one bucket, text by text.

use super::seen::Seen;
use super::{scope, sketch, terms};
use crate::config::Counted;
use crate::event::v1;

/// Writers and groups of alike texts that are counted by themselves.
const HEAVY_MAX: usize = 32;
/// Terms of a bucket.
const TERMS_MAX: usize = 64;
/// Values of other dimensions.
const PARTS_MAX: usize = 24;
/// Texts kept of a bucket.
const SAMPLES_MAX: usize = 4;

/// Takes a text in. What it makes of texts depends on their order in the partition and on nothing else.
pub fn add(partial: &mut v1::Partial, seen: &Seen) {
    let negative = seen.is_negative();
    let tally = partial.tally.get_or_insert_default();
    tally.count += 1;
    if let Some(sentiment) = seen.sentiment {
        tally.judged += 1;
        tally.negative += u64::from(sentiment.negative);
        tally.positive += u64::from(sentiment.positive);
        tally.score_milli += sentiment.score_milli;
    }
    if let Some(user) = seen.user {
        add_user(partial, one_of(user, seen));
    }
    if let Some(fingerprint) = seen.fingerprint {
        heavy(&mut partial.alike, one_of(fingerprint, seen), terms::alike);
    }
    let hits = match scope::counted(&partial.scope) {
        // Every text moves the mean, whatever its label.
        Counted::Sentiment => seen.sentiment.map_or(0, |sentiment| below_one(sentiment.score_milli, 1)),
        _ => u64::from(negative),
    };
    seen.terms.iter().for_each(|term| counted(&mut partial.terms, TERMS_MAX, term, hits));
    // The scope's own values say nothing of it.
    let other = |part: &&String| !partial.scope.split(',').any(|own| own == part.as_str());
    let parts: Vec<&String> = seen.parts.iter().filter(other).collect();
    parts.into_iter().for_each(|part| counted(&mut partial.parts, PARTS_MAX, part, hits));
    if !seen.sample.text.is_empty() && may_be_kept(&partial.samples, &seen.sample) {
        partial.samples.push(seen.sample.clone());
        keep_samples(&mut partial.samples, SAMPLES_MAX);
    }
}

/// So many of them, negative ones first. Half of the places are for negative ones and half for the others, so that what is
/// praised has its texts as well; what one half leaves empty the other has. Which ones is decided by a hash of their ids, so
/// that the choice depends on nothing else.
pub fn keep_samples(samples: &mut Vec<v1::Sample>, most: usize) {
    samples.sort_by(|a, b| sample_order(a).cmp(&sample_order(b)));
    samples.dedup_by(|a, b| a.event_id == b.event_id);
    let negative = samples.partition_point(is_negative);
    let others = samples.len() - negative;
    let kept_others = others.min((most / 2).max(most.saturating_sub(negative)));
    let kept_negative = negative.min(most - kept_others);
    samples.drain(kept_negative..negative);
    samples.truncate(kept_negative + kept_others);
}

/// False for one that [`keep_samples`] would throw out again, as it does most of a busy bucket's.
fn may_be_kept(samples: &[v1::Sample], new: &v1::Sample) -> bool {
    let alike = samples.iter().filter(|sample| is_negative(sample) == is_negative(new));
    let places = if is_negative(new) { SAMPLES_MAX - SAMPLES_MAX / 2 } else { SAMPLES_MAX / 2 };
    samples.len() < SAMPLES_MAX
        || alike.clone().count() < places
        || alike.clone().any(|sample| sample_order(new) <= sample_order(sample))
}

fn is_negative(sample: &v1::Sample) -> bool {
    sample.sentiment == "negative"
}

fn sample_order(sample: &v1::Sample) -> (bool, Option<u64>, &str) {
    (!is_negative(sample), sample.rank, &sample.event_id)
}

/// By how much these scores are below 1, as a part of 2, in thousandths.
pub fn below_one(score_milli: i64, texts: u64) -> u64 {
    let most = i64::try_from(texts).unwrap_or(i64::MAX).saturating_mul(1000);
    most.saturating_sub(score_milli.clamp(-most, most)).unsigned_abs() / 2
}

fn one_of(hash: u64, seen: &Seen) -> v1::Heavy {
    let score_milli = seen.sentiment.map_or(0, |sentiment| sentiment.score_milli);
    v1::Heavy { hash, count: 1, negative: u64::from(seen.is_negative()), score_milli }
}

fn add_user(partial: &mut v1::Partial, one: v1::Heavy) {
    let user = one.hash;
    let known = heavy(&mut partial.users, one, |one, other| one == other);
    if known && partial.users_sketch.is_empty() {
        return;
    }
    // More than can be counted by themselves: from here on all are in the sketch.
    if partial.users_sketch.is_empty() {
        partial.users.iter().for_each(|heavy| sketch::add(&mut partial.users_sketch, heavy.hash));
    }
    sketch::add(&mut partial.users_sketch, user);
}

/// Counts one; false where there is no room. A place is made of one that came once: what comes often stays, and is counted
/// too low rather than too high.
fn heavy(list: &mut Vec<v1::Heavy>, one: v1::Heavy, same: impl Fn(u64, u64) -> bool) -> bool {
    if let Some(known) = list.iter_mut().find(|known| same(known.hash, one.hash)) {
        known.count += 1;
        known.negative += one.negative;
        known.score_milli += one.score_milli;
        return true;
    }
    if list.len() < HEAVY_MAX {
        list.push(one);
        return true;
    }
    if let Some(place) = list.iter().position(|known| known.count == 1) {
        list.remove(place);
        list.push(one);
    }
    false
}

fn counted(list: &mut Vec<v1::Counted>, most: usize, name: &str, hits: u64) {
    if let Some(known) = list.iter_mut().find(|known| known.name == name) {
        known.count += 1;
        known.negative += hits;
        return;
    }
    if list.len() >= most {
        let Some(place) = list.iter().position(|known| known.count == 1) else { return };
        list.remove(place);
    }
    list.push(v1::Counted { name: name.to_owned(), count: 1, negative: hits });
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    fn sample(rank: u64, negative: bool) -> v1::Sample {
        let sentiment = if negative { "negative" } else { "positive" }.to_owned();
        v1::Sample { event_id: format!("e{rank}"), sentiment, rank: Some(rank), ..v1::Sample::default() }
    }

    #[test]
    fn samples_are_of_both_kinds_whatever_the_order_they_come_in() {
        let mut rng = Rng::with_seed(1);
        for (negative, others, expected) in [
            (40, 40, vec![(0, true), (1, true), (0, false), (1, false)]),
            (40, 1, vec![(0, true), (1, true), (2, true), (0, false)]),
            (0, 40, vec![(0, false), (1, false), (2, false), (3, false)]),
            (1, 1, vec![(0, true), (0, false)]),
        ] {
            let mut all: Vec<v1::Sample> = (0..negative)
                .map(|i| (i, true))
                .chain((0..others).map(|i| (i, false)))
                .map(|(i, is)| sample(2 * i + u64::from(is), is))
                .collect();
            rng.shuffle(&mut all);
            let mut kept = Vec::new();
            for new in &all {
                if may_be_kept(&kept, new) {
                    kept.push(new.clone());
                    keep_samples(&mut kept, SAMPLES_MAX);
                }
            }
            let expected: Vec<v1::Sample> =
                expected.into_iter().map(|(i, is)| sample(2 * i + u64::from(is), is)).collect();
            assert_eq!(kept, expected, "{negative} and {others}");
            keep_samples(&mut all, SAMPLES_MAX);
            assert_eq!(all, expected, "at once");
        }
    }
}
