//! The first half, in the partitions of the inputs: texts in, sums of scopes and buckets out, to be put together by whoever
//! owns the scope.
//!
//! Sums are handed on when the partition's clock has come to the end of their bucket. Late texts revise them: the sums are
//! handed on again, once a bucket's length at most, and take the place of the earlier ones. They are forgotten when the
//! grace has passed.

use super::seen::Seen;
use super::state::{Empty, HAND_ON, SUMS, Summed, THROUGH};
use super::{partial, scope};
use crate::config::Alerts;
use crate::event::v1;
use crate::state::windows::tumbling;
use crate::state::{Arrival, Tables};

/// Buckets beyond the grace for which sums are kept: its owner may be that much behind.
const KEPT_BUCKETS: i64 = 2;

/// Something for the repartition topic.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedOn {
    /// Whose owner is to have it; `None`: every partition.
    pub group: Option<String>,
    pub message: v1::Repartitioned,
}

/// Takes a text in. What is to be handed on is appended. Gives how much too late it came, in milliseconds, if it did.
pub fn observe(
    tables: &mut impl Tables,
    settings: &Alerts,
    source: &str,
    seen: &Seen,
    out: &mut Vec<HandedOn>,
) -> Option<i64> {
    let bucket = tumbling(seen.at_ms, settings.bucket_ms());
    let arrival = tables.advance(seen.at_ms);
    let now = tables.stream_time();
    let too_late = now.saturating_sub(forget_ms(bucket.end_ms, settings)).saturating_add(1);
    if too_late <= 0 {
        // A late text waits for the end of the bucket that is under way.
        let due_ms = match arrival {
            Arrival::Late { .. } => bucket.end_ms.max(tumbling(now, settings.bucket_ms()).end_ms),
            Arrival::OnTime => bucket.end_ms,
        };
        seen.scopes.iter().for_each(|scope| {
            let key = (scope::key(&scope.group, &scope.name), bucket.start_ms);
            let mut sums = SUMS.take(tables, &key).unwrap_or_default();
            let empty =
                || v1::Partial { scope: scope.name.clone(), start_ms: bucket.start_ms, ..v1::Partial::default() };
            partial::add(sums.partial.get_or_insert_with(empty), seen);
            if !std::mem::replace(&mut sums.changed, true) {
                let key = ((scope.group.clone(), scope.name.clone()), bucket.start_ms);
                HAND_ON.put_until(tables, &key, Empty {}, due_ms);
                THROUGH.put_until(tables, &due_ms, Empty {}, due_ms);
            }
            SUMS.put(tables, &key, sums);
        });
    }
    hand_on(tables, settings, source, out);
    (too_late > 0).then_some(too_late)
}

/// Lets time pass without a text.
pub fn pass(tables: &mut impl Tables, settings: &Alerts, source: &str, to_ms: i64, out: &mut Vec<HandedOn>) {
    tables.advance(to_ms);
    hand_on(tables, settings, source, out);
}

/// The source has handed on all up to here.
pub fn through(source: &str, through_ms: i64) -> HandedOn {
    let message = v1::Repartitioned { source: source.to_owned(), through_ms, ..v1::Repartitioned::default() };
    HandedOn { group: None, message }
}

/// What a clock on the wall shows, for every owner.
pub fn clock(clock_ms: i64) -> HandedOn {
    HandedOn { group: None, message: v1::Repartitioned { clock_ms, ..v1::Repartitioned::default() } }
}

/// Whatever has fallen due.
fn hand_on(tables: &mut impl Tables, settings: &Alerts, source: &str, out: &mut Vec<HandedOn>) {
    while let Some(due) = tables.next_due() {
        if let Some((through_ms, Empty {})) = THROUGH.due(tables, &due) {
            out.push(through(source, through_ms));
        } else if let Some((((group, scope), start_ms), Empty {})) = HAND_ON.due(tables, &due) {
            let key = (scope::key(&group, &scope), start_ms);
            let Some(mut sums) = SUMS.get(tables, &key) else { continue };
            if !sums.changed {
                SUMS.delete(tables, &key);
                continue;
            }
            let message = revised(&mut sums, source);
            SUMS.put(tables, &key, sums);
            let forget_ms = forget_ms(start_ms.saturating_add(settings.bucket_ms()), settings);
            HAND_ON.put_until(tables, &((group.clone(), scope), start_ms), Empty {}, forget_ms);
            out.push(HandedOn { group: Some(group), message });
        }
    }
}

fn revised(sums: &mut Summed, source: &str) -> v1::Repartitioned {
    sums.changed = false;
    let partial = sums.partial.get_or_insert_default();
    partial.revision += 1;
    let partial = Some(partial.clone());
    v1::Repartitioned { source: source.to_owned(), partial, ..v1::Repartitioned::default() }
}

fn forget_ms(end_ms: i64, settings: &Alerts) -> i64 {
    end_ms.saturating_add(settings.grace_ms()).saturating_add(KEPT_BUCKETS * settings.bucket_ms())
}
