//! What is recommended how often, and what came of it.
//!
//! Recommendations are made at clicks, so their bound counts in event time, by the user's minutes. Which one a click is
//! put down to is what the click says in `recommendation_id`: nothing is guessed from times. One recommendation is seen
//! once, clicked once and converted once, however many of its items are. It converts when an item that was clicked in it
//! is bought while it may be put down to it, whether the purchase names the recommendation or not.

use super::rules::Emission;
use super::visitor::{Minute, SHOWN_MAX, Shown, Visit, Visitor};
use crate::event::v1::Action;
use crate::stages::clicks::Id;

/// Items of one recommendation whose purchase is waited for.
pub const CLICKED_MAX: usize = 8;

const MINUTE_MS: i64 = 60_000;

/// What a click did to a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    Seen,
    Clicked,
    Converted,
    /// It names one that was not made for this user, or too long ago.
    Unknown,
}

impl Effect {
    pub const ALL: [Effect; 4] = [Effect::Seen, Effect::Clicked, Effect::Converted, Effect::Unknown];

    pub fn name(self) -> &'static str {
        match self {
            Effect::Seen => "seen",
            Effect::Clicked => "clicked",
            Effect::Converted => "converted",
            Effect::Unknown => "unknown",
        }
    }
}

/// The id of what is recommended at a click: the same whenever the click is worked on.
pub fn id(user: &str, event_id: &str) -> u64 {
    Id::of(&format!("{user}\n{event_id}")).0
}

/// As it is written: sixteen hexadecimal digits.
pub fn id_name(id: u64) -> String {
    format!("{id:016x}")
}

impl Visitor {
    /// Whether something may be recommended now; counted as if it were.
    pub fn emits(&mut self, id: u64, at_ms: i64, emission: &Emission) -> bool {
        let minute = at_ms.div_euclid(MINUTE_MS);
        let mut current = self.minute.unwrap_or(Minute { minute, emitted: 0 });
        if minute > current.minute {
            current = Minute { minute, emitted: 0 };
        }
        // A late click gets none: what is recommended at it was, at a later one.
        let emits = minute == current.minute && current.emitted < emission.per_minute_max;
        current.emitted += u32::from(emits);
        self.minute = Some(current);
        if emits {
            self.show(id, at_ms, emission);
        }
        emits
    }

    /// Puts a click down to the recommendation that it names, and a purchase to the one that its item was clicked in.
    pub fn attribute(&mut self, named: Option<&str>, visit: &Visit, emission: &Emission) -> Vec<Effect> {
        let (at_ms, action) = (visit.at_ms, visit.action());
        let lasts = |shown: &Shown| (0..=emission.attribution_ms).contains(&(at_ms - shown.at_ms));
        let mut effects = Vec::new();
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            let id = u64::from_str_radix(named, 16).ok();
            match self.shown.iter_mut().find(|shown| Some(shown.id) == id && lasts(shown)) {
                Some(shown) => shown.respond(&visit.item, action, &mut effects),
                None => effects.push(Effect::Unknown),
            }
        }
        if action == Action::Purchase {
            let clicked = |shown: &&mut Shown| lasts(shown) && shown.clicked.contains(&visit.item);
            // The last one that it was clicked in, if it was in several.
            if let Some(shown) = self.shown.iter_mut().rev().find(clicked)
                && !std::mem::replace(&mut shown.converted, true)
            {
                effects.push(Effect::Converted);
            }
        }
        let response = self.response.get_or_insert_default();
        for effect in &effects {
            match effect {
                Effect::Seen => response.seen += 1,
                Effect::Clicked => response.clicked += 1,
                Effect::Converted => response.converted += 1,
                Effect::Unknown => {}
            }
        }
        effects
    }

    fn show(&mut self, id: u64, at_ms: i64, emission: &Emission) {
        self.response.get_or_insert_default().made += 1;
        self.shown.retain(|shown| at_ms - shown.at_ms <= emission.attribution_ms);
        let place = self.shown.partition_point(|shown| shown.at_ms <= at_ms);
        self.shown.insert(place, Shown { id, at_ms, ..Shown::default() });
        if self.shown.len() > SHOWN_MAX {
            // One that was clicked may still convert: it stays while there are others.
            let leaves = self.shown.iter().position(|shown| shown.clicked.is_empty()).unwrap_or(0);
            self.shown.remove(leaves);
        }
    }
}

impl Shown {
    fn respond(&mut self, item: &str, action: Action, effects: &mut Vec<Effect>) {
        // What was clicked was seen, whether the shop says so or not.
        if !std::mem::replace(&mut self.seen, true) {
            effects.push(Effect::Seen);
        }
        if matches!(action, Action::Impression | Action::Remove) {
            return;
        }
        if self.clicked.is_empty() {
            effects.push(Effect::Clicked);
        }
        if self.clicked.len() < CLICKED_MAX && self.clicked.iter().all(|other| other != item) {
            self.clicked.push(item.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMISSION: Emission = Emission { per_minute_max: 2, attribution_ms: 100_000 };

    fn visit(item: &str, action: Action, at_ms: i64) -> Visit {
        Visit { item: item.into(), category: String::new(), at_ms, action: action.into() }
    }

    #[test]
    fn a_minute_holds_no_more_than_it_may() {
        let mut visitor = Visitor::default();
        let emitted: Vec<bool> =
            [0, 1, 59_999, 60_000, 59_999, 130_000].map(|at_ms| visitor.emits(at_ms as u64, at_ms, &EMISSION)).into();
        assert_eq!(emitted, [true, true, false, true, false, true]);
        assert_eq!(visitor.response.unwrap().made, 4);
        for minute in 0..100 {
            visitor.emits(minute as u64, 200_000 + minute, &Emission { per_minute_max: 200, ..EMISSION });
        }
        assert_eq!(visitor.shown.len(), SHOWN_MAX);
    }

    #[test]
    fn what_came_of_it_is_counted_once() {
        use Effect::*;
        let mut visitor = Visitor::default();
        let id = id("u", "e-1");
        assert!(visitor.emits(id, 1_000, &EMISSION));
        let name = id_name(id);
        let mut check = |named: Option<&str>, item: &str, action, at_ms, expected: &[Effect]| {
            let effects = visitor.attribute(named, &visit(item, action, at_ms), &EMISSION);
            assert_eq!(effects, expected, "{item} {action:?} at {at_ms}");
        };
        check(Some(&name), "a", Action::Impression, 2_000, &[Seen]);
        check(Some(&name), "b", Action::Impression, 2_000, &[]);
        check(None, "a", Action::Purchase, 2_500, &[]);
        check(Some(&name), "a", Action::View, 3_000, &[Clicked]);
        check(Some(&name), "c", Action::View, 3_500, &[]);
        check(None, "c", Action::Purchase, 4_000, &[Converted]);
        check(Some(&name), "a", Action::Purchase, 5_000, &[]);
        check(Some("feed"), "a", Action::View, 5_000, &[Unknown]);
        check(Some("no id"), "a", Action::View, 5_000, &[Unknown]);
        check(Some(""), "a", Action::View, 5_000, &[]);
        check(Some(&name), "a", Action::View, 101_001, &[Unknown]);
        check(Some(&name), "a", Action::View, 999, &[Unknown]);
        let response = visitor.response.unwrap();
        assert_eq!([response.made, response.seen, response.clicked, response.converted], [1, 1, 1, 1]);
    }

    #[test]
    fn a_purchase_through_a_recommendation_is_all_of_it() {
        let mut visitor = Visitor::default();
        visitor.emits(7, 0, &EMISSION);
        let effects = visitor.attribute(Some(&id_name(7)), &visit("a", Action::Purchase, 1), &EMISSION);
        assert_eq!(effects, [Effect::Seen, Effect::Clicked, Effect::Converted]);
    }
}
