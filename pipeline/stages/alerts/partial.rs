//! What one input partition has seen of one scope in one bucket, text by text.

use super::seen::Seen;
use super::{sketch, terms};
use crate::event::v1;

/// Writers and groups of alike texts that are counted by themselves.
const HEAVY_MAX: usize = 32;
/// Terms of a bucket.
const TERMS_MAX: usize = 64;
/// Values of other dimensions.
const PARTS_MAX: usize = 24;
/// Texts kept of a bucket: negative ones first.
const SAMPLES_MAX: usize = 3;

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
    seen.terms.iter().for_each(|term| counted(&mut partial.terms, TERMS_MAX, term, negative));
    // The scope's own values say nothing of it.
    let other = |part: &&String| !partial.scope.split(',').any(|own| own == part.as_str());
    let parts: Vec<&String> = seen.parts.iter().filter(other).collect();
    parts.into_iter().for_each(|part| counted(&mut partial.parts, PARTS_MAX, part, negative));
    if !seen.sample.text.is_empty() {
        partial.samples.push(seen.sample.clone());
        keep_samples(&mut partial.samples, SAMPLES_MAX);
    }
}

/// Texts that show most: negative ones first, then by a hash of their ids, so that the choice depends on nothing else.
pub fn keep_samples(samples: &mut Vec<v1::Sample>, most: usize) {
    samples.sort_by(|a, b| sample_order(a).cmp(&sample_order(b)));
    samples.dedup_by(|a, b| a.event_id == b.event_id);
    samples.truncate(most);
}

fn sample_order(sample: &v1::Sample) -> (bool, Option<u64>, &str) {
    (sample.sentiment != "negative", sample.rank, &sample.event_id)
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

fn counted(list: &mut Vec<v1::Counted>, most: usize, name: &str, negative: bool) {
    if let Some(known) = list.iter_mut().find(|known| known.name == name) {
        known.count += 1;
        known.negative += u64::from(negative);
        return;
    }
    if list.len() >= most {
        let Some(place) = list.iter().position(|known| known.count == 1) else { return };
        list.remove(place);
    }
    list.push(v1::Counted { name: name.to_owned(), count: 1, negative: u64::from(negative) });
}
