//! What the demo has seen so far: sums, and what a screen shows of them.

use std::collections::{BTreeMap, VecDeque};

use super::alerts::Alerts;
use super::delivered::Delivered;
use super::latency::Latency;
use super::reader::{Seen, What};
use super::scenario::PRODUCTS;
use crate::event::v1;

/// Texts kept to be shown: more than any terminal has rows.
const TEXTS_KEPT: usize = 100;
/// The bars speak of so many seconds.
pub const WINDOW_S: i64 = 20;
/// Rates are taken over so many seconds.
const RATE_S: i64 = 5;

/// Customers' texts by sentiment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moods {
    pub negative: u64,
    pub neutral: u64,
    pub positive: u64,
}

impl Moods {
    pub fn total(&self) -> u64 {
        self.negative + self.neutral + self.positive
    }

    /// From 0 to 1; `None` where there are no texts.
    pub fn negative_share(&self) -> Option<f64> {
        (self.total() > 0).then(|| self.negative as f64 / self.total() as f64)
    }

    fn add(&mut self, label: &str) {
        match label {
            "negative" => self.negative += 1,
            "neutral" => self.neutral += 1,
            "positive" => self.positive += 1,
            // The model was unsure.
            _ => {}
        }
    }
}

/// What customers said of one product.
#[derive(Clone, Debug, Default)]
pub struct ProductTally {
    pub before: Moods,
    pub after: Moods,
    /// By second, for the last [`WINDOW_S`].
    seconds: VecDeque<(i64, Moods)>,
}

impl ProductTally {
    fn add(&mut self, label: &str, at_ms: i64, updated: bool) {
        let second = at_ms / 1000;
        if self.seconds.back().is_none_or(|(last, _)| *last < second) {
            self.seconds.push_back((second, Moods::default()));
        }
        while self.seconds.front().is_some_and(|(first, _)| *first <= second - WINDOW_S) {
            self.seconds.pop_front();
        }
        if let Some((_, moods)) = self.seconds.back_mut() {
            moods.add(label);
        }
        if updated { self.after.add(label) } else { self.before.add(label) }
    }

    /// What was said within the last [`WINDOW_S`] before `now_ms`.
    pub fn window(&self, now_ms: i64) -> Moods {
        let recent = self.seconds.iter().filter(|(second, _)| *second > now_ms / 1000 - WINDOW_S);
        recent.fold(Moods::default(), |sum, (_, moods)| Moods {
            negative: sum.negative + moods.negative,
            neutral: sum.neutral + moods.neutral,
            positive: sum.positive + moods.positive,
        })
    }
}

/// What shoppers did, and how likely each session was said to buy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clicks {
    pub scored: u64,
    pub purchases: u64,
    /// At clicks that looked, and at those that put something into the cart.
    pub looking: Mean,
    pub carting: Mean,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Clicks {
    fn add(&mut self, click: &v1::ScoredClick) {
        self.scored += 1;
        let mean = match click.action() {
            v1::Action::Purchase => {
                self.purchases += 1;
                return;
            }
            v1::Action::Cart => &mut self.carting,
            _ => &mut self.looking,
        };
        if let Some(probability) = click.purchase_probability {
            mean.sum += probability;
            mean.count += 1;
        }
    }
}

impl Mean {
    /// `None` of nothing.
    pub fn of(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

fn ms_of(time: Option<&prost_types::Timestamp>) -> Option<i64> {
    time.map(|time| time.seconds * 1000 + i64::from(time.nanos) / 1_000_000)
}

/// Everything seen.
pub struct Tally {
    /// When the story begins and when the incident's update goes out, in milliseconds since 1970.
    began_ms: i64,
    update_ms: i64,
    pub delivered: Delivered,
    pub scored: u64,
    pub clicks: Clicks,
    /// By reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// By kind.
    pub redacted: BTreeMap<String, u64>,
    /// The last text that something was taken out of.
    pub redacted_text: Option<String>,
    pub latency: Latency,
    pub alerts: Alerts,
    /// In the catalogue's order.
    pub products: Vec<ProductTally>,
    /// The latest last.
    pub texts: VecDeque<v1::Scored>,
}

impl Tally {
    /// Of what comes before the story.
    pub fn new() -> Self {
        Self {
            began_ms: i64::MAX,
            update_ms: i64::MAX,
            alerts: Alerts::default(),
            delivered: Delivered::default(),
            scored: 0,
            clicks: Clicks::default(),
            dead_letters: BTreeMap::new(),
            redacted: BTreeMap::new(),
            redacted_text: None,
            latency: Latency::default(),
            products: vec![ProductTally::default(); PRODUCTS.len()],
            texts: VecDeque::with_capacity(TEXTS_KEPT),
        }
    }

    /// The story begins. `update_ms`: when the incident's update goes out, if it does.
    pub fn begin(&mut self, began_ms: i64, update_ms: Option<i64>) {
        (self.began_ms, self.update_ms) = (began_ms, update_ms.unwrap_or(i64::MAX));
    }

    pub fn add(&mut self, seen: Seen) {
        if !matches!(seen.what, What::Alert(_)) && !self.delivered.add(&seen.topic, seen.partition, seen.offset) {
            return;
        }
        match seen.what {
            What::DeadLetter { reason } => *self.dead_letters.entry(reason).or_default() += 1,
            What::Scored(scored) => self.add_scored(*scored, seen.at_ms),
            What::Click(scored) => self.add_click(&scored, seen.at_ms),
            What::Alert(alert) => self.alerts.add(*alert, seen.at_ms),
        }
    }

    fn add_scored(&mut self, scored: v1::Scored, at_ms: i64) {
        self.scored += 1;
        let event_ms = ms_of(scored.event_time.as_ref()).unwrap_or(at_ms);
        // What was written before the story had to wait for it.
        if event_ms >= self.began_ms {
            self.latency.add(at_ms - event_ms);
        }
        for (kind, count) in &scored.redacted {
            *self.redacted.entry(kind.clone()).or_default() += u64::from(*count);
        }
        if !scored.redacted.is_empty() {
            self.redacted_text.clone_from(&scored.text);
        }
        let product = PRODUCTS.iter().position(|product| Some(product.id) == scored.product.as_deref());
        if let (Some(at), Some(sentiment), true) = (product, &scored.sentiment, by_customer(&scored)) {
            self.products[at].add(&sentiment.label, at_ms, event_ms >= self.update_ms);
        }
        if self.texts.len() == TEXTS_KEPT {
            self.texts.pop_front();
        }
        self.texts.push_back(scored);
    }

    fn add_click(&mut self, scored: &v1::ScoredClick, at_ms: i64) {
        self.scored += 1;
        self.latency.add(at_ms - ms_of(scored.event_time.as_ref()).unwrap_or(at_ms));
        self.clicks.add(scored);
    }

    pub fn dead_lettered(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    pub fn redactions(&self) -> u64 {
        self.redacted.values().sum()
    }
}

/// What the shop's own people say is no opinion of a product.
fn by_customer(scored: &v1::Scored) -> bool {
    scored.speaker.is_none_or(|speaker| speaker == i32::from(v1::Speaker::Customer))
}

/// How fast a count grows.
#[derive(Debug, Default)]
pub struct Rate {
    readings: VecDeque<(i64, u64)>,
}

impl Rate {
    pub fn read(&mut self, at_ms: i64, count: u64) {
        self.readings.push_back((at_ms, count));
        while self.readings.len() > 2 && self.readings[0].0 < at_ms - RATE_S * 1000 {
            self.readings.pop_front();
        }
    }

    /// A second, over the last few.
    pub fn per_second(&self) -> f64 {
        match (self.readings.front(), self.readings.back()) {
            (Some((from_ms, from)), Some((to_ms, to))) if to_ms > from_ms => {
                (to - from) as f64 * 1000.0 / (to_ms - from_ms) as f64
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A result as the reader sees it: a review of the catalogue's product at this place.
    pub fn scored(offset: i64, product: usize, label: &str, at_ms: i64) -> Seen {
        let sentiment = v1::Sentiment { label: label.to_owned(), score: -0.5, ..v1::Sentiment::default() };
        let written_ms = at_ms - 10;
        let scored = v1::Scored {
            event_time: Some(prost_types::Timestamp {
                seconds: written_ms / 1000,
                nanos: (written_ms % 1000 * 1_000_000) as i32,
            }),
            product: Some(PRODUCTS[product].id.to_owned()),
            language: "zh".to_owned(),
            text: Some("升级之后电池很快就没电了 [phone]".to_owned()),
            sentiment: Some(sentiment),
            redacted: [("phone".to_owned(), 1)].into(),
            ..v1::Scored::default()
        };
        Seen { topic: "reviews".into(), partition: 0, offset, at_ms, what: What::Scored(Box::new(scored)) }
    }

    #[test]
    fn what_is_seen_is_summed_once() {
        let mut tally = Tally::new();
        tally.begin(0, Some(60_000));
        for (offset, label, at_ms) in
            [(0, "positive", 20_000), (1, "negative", 59_000), (2, "negative", 61_000), (2, "negative", 62_000)]
        {
            tally.add(scored(offset, 0, label, at_ms));
        }
        let letter = What::DeadLetter { reason: "malformed".into() };
        tally.add(Seen { topic: "reviews".into(), partition: 0, offset: 3, at_ms: 61_000, what: letter });
        assert_eq!((tally.scored, tally.dead_lettered(), tally.redactions()), (3, 1, 3));
        assert_eq!((tally.delivered.records(), tally.delivered.repeated()), (4, 1));
        assert_eq!(tally.products[0].before, Moods { negative: 1, neutral: 0, positive: 1 });
        assert_eq!(tally.products[0].after.negative_share(), Some(1.0));
        assert_eq!(tally.products[0].window(62_000), Moods { negative: 2, neutral: 0, positive: 0 });
        assert_eq!(tally.products[0].window(95_000).total(), 0);
        assert_eq!(tally.latency.quantile(1.0), Some(10));
    }

    #[test]
    fn clicks_are_results_like_any_other() {
        let mut tally = Tally::new();
        tally.begin(0, Some(0));
        let actions = [(v1::Action::View, 0.1), (v1::Action::View, 0.3), (v1::Action::Cart, 0.5)];
        for (offset, (action, probability)) in actions.into_iter().enumerate() {
            let click = v1::ScoredClick {
                action: action.into(),
                purchase_probability: Some(probability),
                ..v1::ScoredClick::default()
            };
            let what = What::Click(Box::new(click));
            tally.add(Seen { topic: "clicks".into(), partition: 0, offset: offset as i64, at_ms: 5, what });
        }
        assert_eq!((tally.scored, tally.clicks.scored, tally.clicks.purchases), (3, 3, 0));
        assert_eq!((tally.clicks.looking.of(), tally.clicks.carting.of()), (Some(0.2), Some(0.5)));
    }

    #[test]
    fn agents_have_no_opinion_of_a_product() {
        let mut tally = Tally::new();
        tally.begin(0, Some(0));
        let mut seen = scored(0, 0, "negative", 1000);
        if let What::Scored(scored) = &mut seen.what {
            scored.speaker = Some(v1::Speaker::Agent.into());
        }
        tally.add(seen);
        assert_eq!((tally.scored, tally.products[0].after.total()), (1, 0));
    }

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), 0.0);
        for second in 0..20 {
            rate.read(second * 1000, if second < 10 { 0 } else { (second as u64 - 10) * 60 });
        }
        assert_eq!(rate.per_second(), 60.0);
    }
}
