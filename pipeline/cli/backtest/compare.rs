//! Two sets of rules over one history: what both have told, and what only one has.

use serde::Serialize;

use super::play::{Played, end_ms, start_ms};
use crate::event::v1;

/// Alerts that somebody would have been told of, by their ids.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Pairs of one incident.
    pub both: Vec<[String; 2]>,
    pub only_new: Vec<String>,
    pub only_old: Vec<String>,
}

impl Difference {
    pub fn of(new: &Played, old: &Played) -> Difference {
        let (new, old) = (new.told(), old.told());
        let mut difference = Difference::default();
        let mut matched = vec![false; old.len()];
        for alert in new {
            let found = (0..old.len()).find(|i| !matched[*i] && is_same(alert, old[*i]));
            match found {
                Some(i) => {
                    matched[i] = true;
                    difference.both.push([alert.id.clone(), old[i].id.clone()]);
                }
                None => difference.only_new.push(alert.id.clone()),
            }
        }
        let left = old.iter().zip(matched).filter(|(_, matched)| !matched);
        difference.only_old = left.map(|(alert, _)| alert.id.clone()).collect();
        difference
    }
}

/// Of the same scope at the same time, whatever the rule is called.
fn is_same(one: &v1::Alert, other: &v1::Alert) -> bool {
    one.scope == other.scope && start_ms(one) <= end_ms(other) && start_ms(other) <= end_ms(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json::time;

    fn played(alerts: &[(&str, &str, i64, i64)]) -> Played {
        let alert = |(id, scope, from, to): &(&str, &str, i64, i64)| v1::Alert {
            id: (*id).into(),
            scope: (*scope).into(),
            since: time::from_ms(*from),
            firing_time: time::from_ms(*from + 1),
            resolved_time: time::from_ms(*to),
            ..v1::Alert::default()
        };
        let told = alerts.iter().map(|(id, ..)| (*id).to_owned()).collect();
        Played { alerts: alerts.iter().map(alert).collect(), told, ..Played::default() }
    }

    #[test]
    fn alerts_of_one_scope_and_time_are_the_same() {
        let new = played(&[("a", "all", 0, 10), ("b", "all", 50, 60), ("c", "brand=x", 0, 10)]);
        let old = played(&[("d", "all", 5, 20), ("e", "brand=y", 0, 10)]);
        let difference = Difference::of(&new, &old);
        assert_eq!(difference.both, [["a".to_owned(), "d".to_owned()]]);
        assert_eq!((difference.only_new, difference.only_old), (vec!["b".into(), "c".into()], vec!["e".into()]));
    }
}
