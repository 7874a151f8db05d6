//! What is written: alerts and trends.

use std::collections::BTreeSet;

use super::bucket::Bucket;
use super::evidence::{Basis, covering, discounted, evidence, series, shown};
use super::lifecycle::{Change, Moment};
use super::look::{Look, quantity};
use super::state::{ALERTS, Active, CONFIRMED, GROUPS, Mix, Track, Watched};
use super::words::{Said, chinese, english};
use super::{rollup, scope};
use crate::config::{AlertRule, Alerts, Counted, ScopeKind, Statistic};
use crate::event::json::time;
use crate::event::v1;
use crate::state::Tables;

/// A value of another dimension with this part of the excess explains it: within a group, and where the other group cannot
/// be asked.
const EXPLAINS: f64 = 0.7;
const EXPLAINS_ELSEWHERE: f64 = 0.5;
/// Of a bucket.
const HOT_TERMS: usize = 5;
const HOT_SAMPLES: usize = 3;
/// What an alert has taken in, by name.
const TAKES_IN_MAX: usize = 64;

/// Something for an output topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Emit {
    Alert(Box<v1::Alert>),
    Trend(v1::Trend),
}

/// A change in an alert, with all that it is seen from.
pub struct Finding<'a> {
    pub scope: &'a str,
    pub group: &'a str,
    pub moment: &'a Moment<'a>,
    pub watched: &'a Watched,
    pub mix: &'a Mix,
    pub track: &'a Track,
    pub change: Change,
}

/// Writes the alert anew, and those of its group for which it changes who tells of the incident. What is confirmed follows
/// from closed buckets alone, whatever was provisional in between.
pub fn alert(tables: &mut impl Tables, finding: &Finding, out: &mut Vec<Emit>) {
    let id = finding.track.id(finding.scope);
    match finding.change {
        Change::Ended(v1::AlertState::Retracted) => taken_back(tables, finding, &id, out),
        _ if finding.track.provisional => provisional(tables, finding, &id, out),
        _ => confirmed(tables, finding, &id, out),
    }
}

/// Beside the confirmed record that it may stand in the place of.
fn provisional(tables: &mut impl Tables, finding: &Finding, id: &str, out: &mut Vec<Emit>) {
    let before = ALERTS.get(tables, id);
    if let Some(before) = before.as_ref().filter(|before| is_confirmed(before)) {
        CONFIRMED.put(tables, id, before.clone());
    }
    let mut alert = finding.alert(id, before.as_ref());
    let mut group = GROUPS.get(tables, finding.group).unwrap_or_default();
    alert.inhibited_by = group.look_ahead(finding.active(&alert), finding.now_ms(), finding.moment.settings);
    GROUPS.put(tables, finding.group, group);
    write(tables, alert, out);
}

/// What stood in its place stands there again.
fn taken_back(tables: &mut impl Tables, finding: &Finding, id: &str, out: &mut Vec<Emit>) {
    let mut group = GROUPS.get(tables, finding.group).unwrap_or_default();
    group.decided(id);
    GROUPS.put(tables, finding.group, group);
    let before = ALERTS.get(tables, id);
    let inhibited_by = before.as_ref().and_then(|before| before.inhibited_by.clone());
    let revision = before.as_ref().map_or(0, |before| before.revision);
    let alert = match CONFIRMED.get(tables, id) {
        Some(confirmed) => v1::Alert { revision, ..confirmed },
        None => v1::Alert { inhibited_by, ..finding.alert(id, before.as_ref()) },
    };
    CONFIRMED.delete(tables, id);
    write(tables, alert, out);
}

fn confirmed(tables: &mut impl Tables, finding: &Finding, id: &str, out: &mut Vec<Emit>) {
    let (settings, now_ms) = (finding.moment.settings, finding.now_ms());
    let written = ALERTS.get(tables, id);
    let revision = written.as_ref().map_or(0, |written| written.revision);
    let before = CONFIRMED.get(tables, id).or(written.filter(is_confirmed));
    CONFIRMED.delete(tables, id);
    let mut alert = v1::Alert { revision, ..finding.alert(id, before.as_ref()) };
    let mut group = GROUPS.get(tables, finding.group).unwrap_or_default();
    group.decided(id);
    // Whom it has taken in is known only while it is there.
    let mut taken_in = group.taken_in_by(id);
    let others = group.put(finding.active(&alert), now_ms, settings);
    taken_in.extend(group.taken_in_by(id));
    alert.takes_in = merged(alert.takes_in, taken_in.iter().map(rollup::named).collect());
    alert.inhibited_by = match finding.change {
        Change::Ended(_) => before.and_then(|before| before.inhibited_by),
        _ => group.inhibits(id),
    };
    GROUPS.put(tables, finding.group, group);
    write(tables, alert, out);
    for other in others {
        if let Some(mut alert) = ALERTS.get(tables, &other.id) {
            alert.inhibited_by = other.inhibited_by;
            alert.updated_time = time::from_ms(now_ms);
            write(tables, alert, out);
        }
    }
}

fn is_confirmed(alert: &v1::Alert) -> bool {
    !alert.provisional && alert.state() != v1::AlertState::Retracted
}

fn write(tables: &mut impl Tables, mut alert: v1::Alert, out: &mut Vec<Emit>) {
    alert.revision += 1;
    ALERTS.put(tables, &alert.id, alert.clone());
    out.push(Emit::Alert(Box::new(alert)));
}

fn merged(one: Vec<String>, other: Vec<String>) -> Vec<String> {
    let all: BTreeSet<String> = one.into_iter().chain(other).collect();
    all.into_iter().take(TAKES_IN_MAX).collect()
}

impl Finding<'_> {
    /// The alert but for what its group says of it.
    fn alert(&self, id: &str, before: Option<&v1::Alert>) -> v1::Alert {
        let Finding { scope, moment, track, .. } = *self;
        let settings = moment.settings;
        let bucket_ms = settings.bucket_ms();
        let labels = scope::labels(scope);
        let start = |at: i64| time::from_ms(at.saturating_mul(bucket_ms));
        let end = |at: i64| time::from_ms((at + 1).saturating_mul(bucket_ms));
        let moment_of = |ms: i64| if ms > 0 { time::from_ms(ms) } else { None };
        let evidence = self.evidence(before);
        let said = Said {
            scope,
            signal: moment.rule.signal,
            since_ms: track.since.saturating_mul(bucket_ms),
            evidence: &evidence,
            emerging: track.emerging,
        };
        let ended = matches!(self.change, Change::Ended(v1::AlertState::Resolved));
        v1::Alert {
            id: id.to_owned(),
            revision: before.map_or(0, |before| before.revision),
            state: track.shown_state().into(),
            provisional: track.provisional && track.is_active(),
            rule: track.rule.clone(),
            signal: moment.rule.signal.name().to_owned(),
            scope: scope.to_owned(),
            silenced_by: silenced_by(settings, &track.rule, &labels, (moment.now + 1).saturating_mul(bucket_ms)),
            labels,
            severity: track.severity,
            since: start(track.since),
            pending_time: end(track.found),
            firing_time: moment_of(track.shown_firing_ms()),
            resolved_time: if ended { moment_of(track.resolved_ms) } else { None },
            updated_time: end(moment.now),
            takes_in: before.map(|before| before.takes_in.clone()).unwrap_or_default(),
            emerging: track.emerging,
            flaps: track.flaps,
            summary_en: english(&said),
            summary_zh: chinese(&said),
            inhibited_by: None,
            evidence: Some(evidence),
        }
    }

    /// As its group keeps it: by closed buckets, where it is confirmed.
    fn active(&self, alert: &v1::Alert) -> Active {
        Active {
            id: alert.id.clone(),
            scope: alert.scope.clone(),
            rule: alert.rule.clone(),
            state: self.track.state,
            explained_by: self.explained_by(),
            less: self.moment.look.is_less(self.moment.rule),
            severity: self.track.severity,
            few: self.track.state() == v1::AlertState::Pending && !self.moment.are_enough(),
            found_ms: self.track.found.saturating_add(1).saturating_mul(self.moment.settings.bucket_ms()),
            since_ms: self.track.since.saturating_mul(self.moment.settings.bucket_ms()),
            ..Active::default()
        }
    }

    /// The end of the bucket that it is seen from.
    fn now_ms(&self) -> i64 {
        (self.moment.now + 1).saturating_mul(self.moment.settings.bucket_ms())
    }

    /// By what has come of late, whatever the evidence of the worst moment says.
    fn explained_by(&self) -> Option<String> {
        explained_by(self.scope, self.moment.settings, self.moment.rule, self.moment.look, self.mix)
    }

    /// That of the moment at which it was furthest out; what goes on is in the series.
    fn evidence(&self, before: Option<&v1::Alert>) -> v1::Evidence {
        let Finding { moment, watched, mix, track, .. } = *self;
        let Moment { settings, rule, look, now, .. } = *moment;
        let same = before.filter(|before| {
            !before.provisional && track.found != now && before.pending_time == end_of(track.found, settings)
        });
        let written = same.and_then(|before| before.evidence.clone());
        let mut known = written.as_ref().map(|written| written.series.clone()).unwrap_or_default();
        if known.iter().any(|point| point.covers_ms == 0) {
            // Of a time in which points did not say how long they are.
            known.clear();
        }
        let basis = Basis { settings, rule, watched, mix, track, look, now, known: &known };
        match (written, before) {
            (Some(strongest), _) if is_stronger(&strongest, rule, look, track.window as usize) => v1::Evidence {
                series: series(&basis),
                discounted_share: discounted(watched, track.since, now),
                users: super::sketch::count(&track.users_sketch),
                ..strongest
            },
            // What drives it stood out most when it was new.
            (Some(v1::Evidence { terms, parts, samples, p_value, .. }), _)
                if p_value == look.p_value && !terms.is_empty() =>
            {
                v1::Evidence { terms, parts, samples, ..evidence(&basis) }
            }
            // What late data has taken back is shown as it was seen.
            (None, Some(before)) if matches!(self.change, Change::Ended(_)) => {
                before.evidence.clone().unwrap_or_default()
            }
            _ => evidence(&basis),
        }
    }
}

/// Whether what is written says more than what is seen by now. Where both are as improbable as numbers get, by how much it is
/// out.
fn is_stronger(written: &v1::Evidence, rule: &AlertRule, look: &Look, window: usize) -> bool {
    let of = |evidence: &v1::Evidence| match rule.signal.statistic() {
        Statistic::Count => 1.0,
        Statistic::Share => evidence.texts,
    };
    let beyond = (written.observed - written.expected).abs() * of(written);
    let now = look.shown(window).map_or(0.0, |window| (quantity(rule, &window) - window.expected).abs());
    written.p_value < look.p_value || (written.p_value == look.p_value && beyond >= now)
}

fn end_of(at: i64, settings: &Alerts) -> Option<prost_types::Timestamp> {
    time::from_ms((at + 1).saturating_mul(settings.bucket_ms()))
}

/// The value of another dimension that explains most of the excess, where its own scope is watched.
pub fn explained_by(scope: &str, settings: &Alerts, rule: &AlertRule, look: &Look, mix: &Mix) -> Option<String> {
    if look.is_less(rule) {
        // An excess is what the parts are of, and this is the lack of something.
        return None;
    }
    let parts = mix.parts(rule.signal, look.usual());
    let watched = |kind: ScopeKind| settings.telling_within(rule, kind).is_some();
    let largest = |dimension: &str| parts.iter().find(|part| part.name.starts_with(dimension));
    let most = |dimension: &str, kind, least| {
        let part = largest(dimension).filter(|part| part.excess_share >= least)?;
        watched(kind).then(|| part.name.clone())
    };
    match scope::kind(scope) {
        ScopeKind::Product | ScopeKind::Input | ScopeKind::Reason => None,
        ScopeKind::Brand | ScopeKind::BrandTopic => most("product=", ScopeKind::Product, EXPLAINS),
        _ if largest("brand=").is_some() => most("brand=", ScopeKind::Brand, EXPLAINS_ELSEWHERE),
        _ => most("product=", ScopeKind::Product, EXPLAINS_ELSEWHERE),
    }
}

fn silenced_by(
    settings: &Alerts,
    rule: &str,
    labels: &std::collections::BTreeMap<String, String>,
    now_ms: i64,
) -> Option<String> {
    let covers = |silence: &&crate::config::Silence| {
        silence.from.is_none_or(|from| from.as_millisecond() <= now_ms)
            && silence.until.is_none_or(|until| now_ms < until.as_millisecond())
            && silence.matching.matches(rule, labels)
    };
    settings.silences.iter().find(covers).map(|silence| silence.name.clone())
}

/// Hot topics: the words that have risen in a scope, and texts of late that have them. A bucket keeps few of its texts, so
/// those of the buckets before it are remembered while their words rise.
pub fn hot(mix: &mut Mix, bucket: &Bucket) -> (Vec<v1::Driver>, Vec<v1::Sample>) {
    let samples: Vec<v1::Sample> = bucket.samples.iter().cloned().chain(std::mem::take(&mut mix.samples)).collect();
    let terms = mix.rising(&samples, HOT_TERMS);
    mix.samples = covering(samples, &terms, HOT_SAMPLES);
    (terms, shown(mix.samples.clone()))
}

/// Whether a scope's buckets are told of: sentiment and writers are told of with the texts.
pub fn has_trend(scope: &str, settings: &Alerts) -> bool {
    match scope::counted(scope) {
        Counted::Sentiment | Counted::Users => !settings.scopes(Counted::Texts).contains(&scope::kind(scope)),
        _ => true,
    }
}

/// A bucket of a scope as a dashboard shows it. A product is counted in the group of the brand that it is named with, and has
/// that brand among its labels.
pub fn trend(group: &str, scope: &str, at: i64, bucket: &Bucket, provisional: bool, settings: &Alerts) -> v1::Trend {
    let v1::Tally { count, negative, positive, judged, score_milli } = bucket.tally;
    let of_judged = |sum: f64| (judged > 0).then(|| sum / judged as f64);
    let mut labels = scope::labels(scope);
    if scope::kind(scope) == ScopeKind::Product {
        labels.extend(scope::labels(group));
    }
    v1::Trend {
        scope: scope.to_owned(),
        labels,
        start_time: time::from_ms(at.saturating_mul(settings.bucket_ms())),
        bucket_ms: settings.bucket_ms(),
        provisional,
        count,
        effective_count: bucket.effective,
        negative,
        positive,
        negative_share: of_judged(negative as f64),
        mean_score: of_judged(score_milli as f64 / 1000.0),
        users: bucket.users(),
        terms: Vec::new(),
        samples: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::alerts::partial;
    use crate::stages::alerts::seen::Seen;
    use crate::stages::alerts::seen::tests::settings;

    /// Sixty texts, a third of them negative; where something is hot, a twelfth of them praise it.
    fn bucket(at: i64, hot: bool) -> Bucket {
        let mut partial = v1::Partial { scope: "all".into(), ..v1::Partial::default() };
        for i in 0..60 {
            let (words, label) = match i {
                0..20 => (format!("delivery came late {at} {i}"), "negative"),
                20..25 if hot => (format!("cherry flavour tastes wonderful {at} {i}"), "positive"),
                _ => (format!("parcel arrived quickly {at} {i}"), "positive"),
            };
            let scored = v1::Scored {
                event_id: format!("{at} {i}"),
                event_time: time::from_ms(at * 60_000),
                text: Some(words),
                sentiment: Some(v1::Sentiment { label: label.into(), ..v1::Sentiment::default() }),
                ..v1::Scored::default()
            };
            partial::add(&mut partial, &Seen::new(&scored, &settings()).unwrap());
        }
        Bucket::merge([partial].iter())
    }

    #[test]
    fn a_hot_topic_of_praise_has_its_texts_among_many_negative_ones() {
        let mut mix = Mix::default();
        let at = |mix: &mut Mix, at: i64, is_hot: bool| {
            let bucket = bucket(at, is_hot);
            mix.add(at, &bucket, 60_000, Counted::Texts);
            hot(mix, &bucket)
        };
        (0..100).for_each(|minute| drop(at(&mut mix, minute, false)));
        (100..200).for_each(|minute| assert_eq!(at(&mut mix, minute, false), (Vec::new(), Vec::new())));
        let found: Vec<_> = (200..230).map(|minute| at(&mut mix, minute, true)).collect();
        let rising = found.iter().filter(|(terms, _)| terms.iter().any(|term| term.name.contains("cherry"))).count();
        let shown = found.iter().filter(|(_, samples)| samples.iter().any(|sample| sample.text.contains("cherry")));
        let shown = shown.count();
        assert!(rising >= 20 && shown >= rising - 10, "{rising} rising, {shown} shown");
        let bounded = |samples: &[v1::Sample]| {
            let plain = samples.iter().all(|sample| sample.rank.is_none() && sample.fingerprint.is_none());
            samples.len() <= HOT_SAMPLES && plain
        };
        assert!(found.iter().all(|(_, samples)| bounded(samples)));
        // When nothing rises any more, nothing is kept.
        (230..330).for_each(|minute| drop(at(&mut mix, minute, false)));
        assert_eq!(mix.samples, []);
    }
}
