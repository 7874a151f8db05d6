//! A scored text as the sums need it.

use super::scope::{self, About, Scope};
use super::{hash, terms};
use crate::config::{Alerts, Counted};
use crate::event::json::time;
use crate::event::v1;

/// Characters of a sample's text.
const SAMPLE_CHARS_MAX: usize = 280;

/// A text, with everything that is counted of it worked out once for all its scopes.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub at_ms: i64,
    pub scopes: Vec<Scope>,
    /// `None` where no model gave a sentiment.
    pub sentiment: Option<Sentiment>,
    /// A hash of the writer's name.
    pub user: Option<u64>,
    /// `None` where the text is not there.
    pub fingerprint: Option<u64>,
    pub terms: Vec<String>,
    pub parts: Vec<String>,
    pub sample: v1::Sample,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sentiment {
    pub score_milli: i64,
    pub negative: bool,
    pub positive: bool,
}

impl Seen {
    /// `None` for what customers did not write: the turns of agents and bots.
    pub fn new(scored: &v1::Scored, settings: &Alerts) -> Option<Seen> {
        if matches!(scored.speaker(), v1::Speaker::Agent | v1::Speaker::Bot) {
            return None;
        }
        let about = About {
            brand: scored.brand.as_deref().and_then(scope::value),
            product: scored.product.as_deref().and_then(scope::value),
            channel: scored.channel.as_deref().and_then(scope::value),
            topic: best(scored, &settings.topic_head),
            intent: best(scored, &settings.intent_head),
            ..About::default()
        };
        let sentiment = scored.sentiment.as_ref().map(|sentiment| Sentiment {
            score_milli: (sentiment.score * 1000.0).round() as i64,
            negative: sentiment.label == "negative",
            positive: sentiment.label == "positive",
        });
        let text = scored.text.as_deref().unwrap_or_default();
        let fingerprint = match text {
            "" => terms::fingerprint_of_vector(&scored.embedding),
            text => terms::fingerprint(text),
        };
        Some(Seen {
            at_ms: at_ms(scored.event_time, scored.scored_time)?,
            scopes: Counted::OF_TEXTS
                .into_iter()
                .flat_map(|counted| about.scopes(counted, &settings.scopes(counted)))
                .collect(),
            sentiment,
            user: scored.user.as_deref().filter(|user| !user.is_empty()).map(|user| hash::of(user.as_bytes())),
            fingerprint,
            terms: terms::terms(text),
            parts: about.parts(),
            sample: sample(scored, text, fingerprint),
        })
    }

    /// A click, as each of what counts it sees it. Too late ones are in no session, and here they are too.
    pub fn of_click(scored: &v1::ScoredClick, settings: &Alerts) -> Vec<Seen> {
        let Some(at_ms) = at_ms(scored.event_time, scored.scored_time) else { return Vec::new() };
        let about = About {
            product: scope::value(&scored.item),
            category: scored.category.as_deref().and_then(scope::value),
            ..About::default()
        };
        let user = scored.user.as_deref().filter(|user| !user.is_empty()).map(|user| hash::of(user.as_bytes()));
        let bought = scored.action() == v1::Action::Purchase;
        let carted = scored.action() == v1::Action::Cart;
        let counted = [
            (Counted::Clicks, true, false),
            (Counted::Purchases, bought, false),
            (Counted::Checkouts, bought || carted, carted),
        ];
        let counted = counted.into_iter().filter(|(_, counts, _)| *counts);
        let seen = counted.map(|(counted, _, hit)| Seen { user, ..Seen::event(at_ms, counted, &about, hit, settings) });
        seen.filter(|seen| !seen.scopes.is_empty()).collect()
    }

    /// A record of this input topic that was refused for this reason.
    pub fn of_dead_letter(at_ms: i64, input: &str, reason: &str, settings: &Alerts) -> Seen {
        let about = About { input: scope::value(input), reason: scope::value(reason), ..About::default() };
        Seen::event(at_ms, Counted::DeadLetters, &about, false, settings)
    }

    fn event(at_ms: i64, counted: Counted, about: &About, hit: bool, settings: &Alerts) -> Seen {
        Seen {
            at_ms,
            scopes: about.scopes(counted, &settings.scopes(counted)),
            sentiment: Some(Sentiment { score_milli: 0, negative: hit, positive: false }),
            user: None,
            fingerprint: None,
            terms: Vec::new(),
            parts: about.parts(),
            sample: v1::Sample::default(),
        }
    }

    /// A hit: a negative text, a cart.
    pub fn is_negative(&self) -> bool {
        self.sentiment.is_some_and(|sentiment| sentiment.negative)
    }
}

/// When it happened. What is dated ahead of its own scoring has a clock that is wrong, and happened by then: one such text
/// would take the partition's time along, and make what comes in time too late.
fn at_ms(event_time: Option<prost_types::Timestamp>, scored_time: Option<prost_types::Timestamp>) -> Option<i64> {
    let scored_ms = scored_time.as_ref().and_then(time::to_ms).unwrap_or(i64::MAX);
    Some(time::to_ms(event_time.as_ref()?)?.min(scored_ms))
}

/// The label that a head is sure of most.
fn best(scored: &v1::Scored, head: &str) -> Option<String> {
    let label = scored.labels.get(head)?.labels.first()?;
    scope::value(&label.label)
}

fn sample(scored: &v1::Scored, text: &str, fingerprint: Option<u64>) -> v1::Sample {
    let end = text.char_indices().nth(SAMPLE_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    v1::Sample {
        event_id: scored.event_id.clone(),
        event_time: scored.event_time,
        origin: scored.origin.clone(),
        text: text[..end].to_owned(),
        sentiment: scored.sentiment.as_ref().map(|sentiment| sentiment.label.clone()).unwrap_or_default(),
        product: scored.product.clone(),
        channel: scored.channel.clone(),
        language: scored.language.clone(),
        rank: Some(hash::of(scored.event_id.as_bytes())),
        fingerprint,
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{AlertRule, LooksFor, ScopeKind, Signal};

    /// The defaults, in short.
    pub fn settings() -> Alerts {
        let rule = |name: &str, signal| AlertRule {
            name: name.into(),
            signal,
            scopes: ScopeKind::ALL.to_vec(),
            looks_for: LooksFor::Surge,
            ratio_min: 1.3,
            events_min: 5,
            users_min: 1,
            pending: Duration::from_secs(60),
            keep: Duration::from_secs(300),
        };
        Alerts {
            enabled: true,
            partitions: 1,
            bucket: Duration::from_secs(60),
            grace: Duration::from_secs(60),
            idle: Duration::from_secs(900),
            warm_up: Duration::from_secs(3_600),
            new_normal: Duration::from_secs(21_600),
            flap: Duration::from_secs(1_800),
            false_discovery_rate: 0.05,
            topic_head: "topic".into(),
            intent_head: "intent".into(),
            samples_max: 5,
            rules: vec![rule("negative_share", Signal::NegativeShare), rule("volume", Signal::Volume)],
            silences: Vec::new(),
            inhibitions: Vec::new(),
        }
    }

    #[test]
    fn what_is_dated_ahead_of_its_scoring_happened_by_then() {
        let at = |event_ms, scored_ms: Option<i64>| {
            let (event_time, scored_time) = (time::from_ms(event_ms), scored_ms.and_then(time::from_ms));
            let text = Seen::new(&v1::Scored { event_time, scored_time, ..v1::Scored::default() }, &settings());
            let click = v1::ScoredClick { event_time, scored_time, ..v1::ScoredClick::default() };
            let rule = AlertRule { signal: Signal::Clicks, ..settings().rules[0].clone() };
            let click = Seen::of_click(&click, &Alerts { rules: vec![rule], ..settings() });
            (text.unwrap().at_ms, click[0].at_ms)
        };
        assert_eq!(at(5_000, Some(7_000)), (5_000, 5_000));
        assert_eq!(at(3_600_000, Some(7_000)), (7_000, 7_000));
        assert_eq!(at(3_600_000, None), (3_600_000, 3_600_000));
    }

    #[test]
    fn agents_are_no_customers() {
        let mut scored = v1::Scored { event_time: time::from_ms(5_000), ..v1::Scored::default() };
        assert!(Seen::new(&scored, &settings()).is_some());
        scored.speaker = Some(v1::Speaker::Agent.into());
        assert_eq!(Seen::new(&scored, &settings()), None);
    }
}
