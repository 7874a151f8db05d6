//! Segments: which centre a user's numbers lie nearest to.
//!
//! The numbers are the same for the recipe that fits the centres (`models/segments`) and here. Each is a rate or a share,
//! so that it means the same for a user of three days and one of three years, and in whatever currency.

use super::{Sums, interest};
use crate::event::{Error, Fault};
use crate::stages::clicks::session::Rules;
use crate::stages::clicks::state::User;

/// How far a number may lie from the mean, in standard deviations: one that is beyond all bounds must not decide alone.
const FAR: f64 = 3.0;

/// A number that segments are told by.
pub struct Feature {
    pub name: &'static str,
    pub meaning: &'static str,
    value: fn(&Seen) -> f64,
}

/// What the numbers are made from.
struct Seen<'a> {
    user: &'a User,
    sums: &'a Sums,
    at_ms: i64,
    rules: &'a Rules,
}

/// In the order of a row.
pub const FEATURES: [Feature; 11] = [
    Feature {
        name: "sessions_per_day",
        meaning: "sessions a day since the first click, ln(1 + x)",
        value: |seen| seen.sums.sessions_per_day().ln_1p(),
    },
    Feature {
        name: "clicks_per_session",
        meaning: "clicks a session, ln(1 + x)",
        value: |seen| per_session(seen, f64::from(seen.sums.tally.clicks())).ln_1p(),
    },
    Feature {
        name: "minutes_per_session",
        meaning: "minutes from the first to the last click of a session, ln(1 + x)",
        value: |seen| per_session(seen, seen.sums.seconds as f64 / 60.0).ln_1p(),
    },
    Feature {
        name: "cart_share",
        meaning: "share of clicks that put something into the cart",
        value: |seen| share(seen, seen.sums.tally.carts),
    },
    Feature {
        name: "favourite_share",
        meaning: "share of clicks that mark a favourite",
        value: |seen| share(seen, seen.sums.tally.favourites),
    },
    Feature {
        name: "purchase_share",
        meaning: "share of clicks that are purchases",
        value: |seen| share(seen, seen.sums.tally.purchases),
    },
    Feature {
        name: "buying_session_share",
        meaning: "share of sessions with a purchase, drawn towards 0.1 by three sessions",
        value: |seen| (f64::from(seen.sums.bought) + 0.3) / (f64::from(seen.sums.sessions) + 3.0),
    },
    Feature {
        name: "breadth",
        meaning: "categories that the interest is spread over, as the exponential of its entropy, ln(x)",
        value: entropy,
    },
    Feature {
        name: "item_repeats",
        meaning: "share of remembered items that were clicked more than once",
        value: |seen| {
            let repeated = seen.user.items.iter().filter(|item| item.clicks > 1).count();
            repeated as f64 / seen.user.items.len().max(1) as f64
        },
    },
    Feature {
        name: "night_share",
        meaning: "share of clicks from ten in the evening to six in the morning",
        value: |seen| seen.user.habits.as_ref().map_or(0.0, |habits| habits.night_share()),
    },
    Feature {
        name: "price_level",
        meaning: "logarithm of prices over the mean price of their categories; 0 where there are none",
        value: |seen| seen.user.habits.as_ref().and_then(|habits| habits.price_level()).map_or(0.0, f64::ln),
    },
];

/// Centres, and how far apart numbers lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Segments {
    pub name: String,
    pub version: String,
    /// By place in a row.
    scales: Vec<Scale>,
    pub segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub mean: f64,
    /// Above 0.
    pub deviation: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub name: String,
    /// Of the users that the centres were fitted to.
    pub share: f64,
    /// In standard deviations from the mean.
    pub centre: Vec<f64>,
}

impl Segments {
    /// `features`: the names of the numbers, in their order. Fails unless they are those that this program computes.
    pub fn new(
        name: &str,
        version: &str,
        features: &[String],
        scales: Vec<Scale>,
        segments: Vec<Segment>,
    ) -> Result<Segments, Error> {
        let known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
        let fault = |what: String| Err(Error::new(Fault::Config, format!("model {name} {what}")));
        if *features != known {
            return fault(format!("tells segments by {}; computed are {}", features.join(", "), known.join(", ")));
        }
        if let Some(segment) = segments.iter().find(|segment| segment.centre.len() != known.len()) {
            let numbers = segment.centre.len();
            return fault(format!("has a centre of {numbers} numbers for {}, expected {}", segment.name, known.len()));
        }
        if scales.len() != known.len() || scales.iter().any(|scale| !(scale.deviation > 0.0 && scale.mean.is_finite()))
        {
            return fault(format!("has {} scales that can be used, expected {}", scales.len(), known.len()));
        }
        Ok(Segments { name: name.to_owned(), version: version.to_owned(), scales, segments })
    }

    /// The place of the segment whose centre lies nearest; of two as near, the first.
    pub fn nearest(&self, row: &[f64]) -> Option<usize> {
        let standardised = row.iter().zip(&self.scales).map(|(x, s)| ((x - s.mean) / s.deviation).clamp(-FAR, FAR));
        let standardised: Vec<f64> = standardised.collect();
        let distance = |segment: &Segment| -> f64 {
            segment.centre.iter().zip(&standardised).map(|(centre, x)| (centre - x) * (centre - x)).sum()
        };
        let distances = self.segments.iter().map(distance).enumerate();
        distances.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    }
}

/// A user's numbers as of a time.
pub fn row(user: &User, sums: &Sums, at_ms: i64, rules: &Rules) -> Vec<f64> {
    let seen = Seen { user, sums, at_ms, rules };
    FEATURES.iter().map(|feature| (feature.value)(&seen)).collect()
}

fn per_session(seen: &Seen, sum: f64) -> f64 {
    sum / f64::from(seen.sums.sessions.max(1))
}

fn share(seen: &Seen, count: u32) -> f64 {
    f64::from(count) / f64::from(seen.sums.tally.clicks().max(1))
}

fn entropy(seen: &Seen) -> f64 {
    let shares = interest::shares(&seen.user.categories, seen.at_ms, seen.rules);
    shares.iter().map(|(_, share)| -share * share.max(f64::MIN_POSITIVE).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        FEATURES.iter().map(|feature| feature.name.to_owned()).collect()
    }

    fn segments(first: f64) -> Segments {
        let segment = |name: &str, at: f64| {
            let mut centre = vec![0.0; FEATURES.len()];
            centre[0] = at;
            Segment { name: name.into(), share: 0.5, centre }
        };
        let scales = vec![Scale { mean: 10.0, deviation: 2.0 }; FEATURES.len()];
        Segments::new("s", "1", &names(), scales, vec![segment("low", -first), segment("high", first)]).unwrap()
    }

    #[test]
    fn the_nearest_centre_tells_the_segment() {
        let segments = segments(1.0);
        let of = |first: f64| {
            let mut row = vec![10.0; FEATURES.len()];
            row[0] = first;
            segments.nearest(&row).map(|place| segments.segments[place].name.as_str())
        };
        assert_eq!([of(9.0), of(11.0), of(1e9), of(10.0)], [Some("low"), Some("high"), Some("high"), Some("low")]);
    }

    #[test]
    fn a_model_of_other_numbers_is_refused() {
        let scales = vec![Scale { mean: 0.0, deviation: 1.0 }; FEATURES.len()];
        let refused = |features: &[String], scales: Vec<Scale>, centre: usize| {
            let segment = Segment { name: "a".into(), share: 1.0, centre: vec![0.0; centre] };
            Segments::new("s", "1", features, scales, vec![segment]).unwrap_err().message
        };
        assert!(
            refused(&["shoe_size".to_owned()], scales.clone(), 11).starts_with("model s tells segments by shoe_size;")
        );
        assert_eq!(refused(&names(), scales.clone(), 3), "model s has a centre of 3 numbers for a, expected 11");
        let flat = vec![Scale { mean: 0.0, deviation: 0.0 }; FEATURES.len()];
        assert!(refused(&names(), flat, 11).contains("scales that can be used"));
    }
}
